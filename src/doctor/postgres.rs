//! Postgres itself, and the way there, judged.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    clock::Ahead,
    config::settings::DbSettings,
    doctor::report::{Check, Name},
    pgboss::{
        survey::Server,
        tls::Tls,
        way::{Sessions, Unreached},
    },
};

/// A difference of clocks that nobody has to know of.
const AHEAD_MAX_MILLIS: i64 = 2_000;

/// A certificate that ends sooner is told of: most are renewed before.
const CERTIFICATE_LEFT_MIN: Duration = Duration::from_secs(14 * 86_400);

/// Postgres was reached.
pub fn reached(db: &DbSettings, server: &Server) -> Check {
    let DbSettings { host, port, database, .. } = db;
    let found = format!("{} at {host}:{port}, database {database}, as {}", server.version, server.role);
    match (server.standby, server.read_only) {
        (true, _) => Name::Postgres.failed(
            format!("{found}: it is a standby, to which nothing can be written"),
            &["Let db.host (DB_HOST) name the primary: job-chief writes down each run."],
        ),
        (_, true) => Name::Postgres.failed(
            format!("{found}: transactions of this role are read only"),
            &["Turn default_transaction_read_only off for this role (ALTER ROLE … RESET default_transaction_read_only)."],
        ),
        _ => Name::Postgres.ok(found),
    }
}

/// Postgres was not reached.
pub fn unreached(db: &DbSettings, why: &Unreached) -> Check {
    let DbSettings { host, port, user, database, .. } = db;
    let found = format!("{host}:{port} was not reached: {why}");
    let advice = match why {
        Unreached::Timeout | Unreached::Network(_) => {
            "Check db.host and db.port (DB_HOST, DB_PORT, DATABASE_URL), whether Postgres runs, and whether a NetworkPolicy or a firewall keeps this machine from it.".to_owned()
        }
        Unreached::Tls(_) => {
            "Check db.sslPaths (DB_CA_PATH, DB_CERT_PATH, DB_KEY_PATH), and that the server's certificate names db.host."
                .to_owned()
        }
        Unreached::Settings(_) => "Check that the files of db.sslPaths are there and can be read, and that this process may connect.".to_owned(),
        Unreached::Refused { code, .. } => refused(code, user, database),
    };
    Name::Postgres.failed(found, &[&advice])
}

/// What to do, by `SQLSTATE`.
fn refused(code: &str, user: &str, database: &str) -> String {
    match code {
        "28P01" => format!("The password of the role {user} is another: check DB_PASSWORD or DATABASE_URL."),
        "28000" => format!("Let the role {user} log in from here: it may not exist, or pg_hba.conf may not let it in."),
        "3D000" => format!("Check db.database (DB_NAME): there is no database {database}."),
        "53300" => "All connections are taken: raise max_connections, or put a pooler in between.".to_owned(),
        "57P03" => "Postgres starts or stops: try again in a minute.".to_owned(),
        _ => "See what Postgres's or the pooler's log says of it.".to_owned(),
    }
}

/// How the way to Postgres is encrypted, by what it speaks and the settings, at this time since 1970.
pub fn tls(db: &DbSettings, tls: Tls, now: Duration) -> Check {
    let advice = "Set db.enableSslAuth (DB_ENABLE_SSL_AUTH) and db.sslPaths.ca (DB_CA_PATH).";
    let Tls::Spoken { until } = tls else {
        if is_loopback(&db.host) {
            return Name::Tls.ok(format!("not needed: {} is this machine", db.host));
        }
        return Name::Tls.warning(
            "not encrypted: passwords and messages can be read on the way, for the server speaks no TLS",
            &["Turn on ssl in Postgres or the pooler.", advice],
        );
    };
    let day = |until| i64::try_from(Duration::as_secs(&until)).ok().and_then(|it| Timestamp::from_second(it).ok());
    let ends = until.and_then(day).map(|day| format!("; the certificate ends on {}", day.strftime("%Y-%m-%d")));
    let ends = ends.unwrap_or_default();
    let ends_soon = until.is_some_and(|until| until < now + CERTIFICATE_LEFT_MIN);
    let found = if db.enable_ssl_auth {
        format!("encrypted, and the server's certificate is verified by {}{ends}", db.ssl_paths.ca)
    } else {
        format!("encrypted, but the server's certificate is not verified: anybody could answer{ends}")
    };
    let renew = "Renew the server's certificate: with db.enableSslAuth nobody connects after its end.";
    match (db.enable_ssl_auth || is_loopback(&db.host), ends_soon) {
        (true, false) => Name::Tls.ok(found),
        (true, true) => Name::Tls.warning(found, &[renew]),
        (false, false) => Name::Tls.warning(found, &[advice]),
        (false, true) => Name::Tls.warning(found, &[advice, renew]),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// What stands between.
pub fn pooler(sessions: Sessions) -> Check {
    match sessions {
        Sessions::Kept => Name::Pooler.ok("none, or one in session mode: each connection keeps its backend"),
        Sessions::Shared => Name::Pooler
            .ok("one in transaction mode (such as PgBouncer): two open connections were served by one backend"),
    }
}

/// This machine's clock against another.
pub fn clock(name: Name, ahead: Ahead) -> Check {
    let whose = if name == Name::ApiClock { "the API server's" } else { "Postgres's" };
    let seconds = |millis: i64| format!("{}.{} s", millis / 1000, millis % 1000 / 100);
    let difference = ahead.millis.saturating_abs();
    // What is less than a tenth of a second is not told.
    let within = ahead.within_millis.saturating_add(100);
    let side = if ahead.millis < 0 { "behind" } else { "ahead of" };
    if difference <= within {
        return name.ok(format!("{whose} clock and this machine's agree to within {}", seconds(within)));
    }
    let found = format!("{whose} clock is {} {side} this machine's", seconds(difference));
    if difference <= AHEAD_MAX_MILLIS.saturating_add(ahead.within_millis) {
        return name.ok(found);
    }
    let why = if name == Name::ApiClock {
        "Ages of Jobs and start timeouts are wrong by as much."
    } else {
        "Times that are shown are wrong by as much; who leads and when a queue is looked at are not."
    };
    name.warning(found, &[why, "Let all machines follow one time server (chrony, systemd-timesyncd)."])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    fn server() -> Server {
        let ahead = Ahead { millis: 0, within_millis: 1 };
        Server { version: "16.2".into(), role: "chief".into(), standby: false, read_only: false, ahead }
    }

    fn db(host: &str) -> DbSettings {
        DbSettings { host: host.into(), ..DbSettings::default() }
    }

    #[test]
    fn a_server_that_can_be_written_to_is_well() {
        let told = reached(&db("db"), &server());
        assert_eq!(told, Name::Postgres.ok("16.2 at db:5432, database postgres, as chief"));
        for wrong in [Server { standby: true, ..server() }, Server { read_only: true, ..server() }] {
            assert_eq!(reached(&db("db"), &wrong).verdict, Verdict::Failed);
        }
    }

    #[test]
    fn whatever_keeps_us_out_has_its_own_advice() {
        let refused = |code: &str| Unreached::Refused { code: code.into(), message: "no".into() };
        let cases = [
            (Unreached::Timeout, "NetworkPolicy"),
            (Unreached::Network("refused".into()), "db.port"),
            (Unreached::Tls("unknown issuer".into()), "DB_CA_PATH"),
            (Unreached::Settings("no such file".into()), "can be read"),
            (refused("28P01"), "password of the role postgres"),
            (refused("28000"), "pg_hba.conf"),
            (refused("3D000"), "no database postgres"),
            (refused("53300"), "max_connections"),
            (refused("57P03"), "try again"),
            (refused("08P01"), "log"),
        ];
        for (why, advice) in cases {
            let told = unreached(&db("db"), &why);
            assert_eq!((told.verdict, told.advice[0].contains(advice)), (Verdict::Failed, true), "{told:?}");
            assert!(told.found.starts_with("db:5432 was not reached: "), "{told:?}");
        }
    }

    #[test]
    fn what_is_sent_in_the_clear_is_told_but_not_on_one_machine() {
        let now = Duration::from_secs(1_800_000_000);
        let verified = DbSettings { enable_ssl_auth: true, ..db("db") };
        let spoken = |days: u64| Tls::Spoken { until: Some(now + Duration::from_secs(days * 86_400)) };
        let cases = [
            (&verified, spoken(90), Verdict::Ok, "ends on 2027-04-15"),
            (&verified, spoken(13), Verdict::Warning, "ends on 2027-01-28"),
            (&verified, Tls::Spoken { until: None }, Verdict::Ok, "verified by"),
            (&db("db"), spoken(90), Verdict::Warning, "not verified"),
            (&db("db"), spoken(0), Verdict::Warning, "not verified"),
            (&db("10.0.0.7"), Tls::None, Verdict::Warning, "no TLS"),
            (&db("localhost"), Tls::None, Verdict::Ok, "not needed"),
            (&db("127.0.0.1"), Tls::None, Verdict::Ok, "not needed"),
            (&db("::1"), spoken(90), Verdict::Ok, "encrypted"),
        ];
        for (db, spoken, verdict, found) in cases {
            let told = tls(db, spoken, now);
            assert_eq!((told.verdict, told.found.contains(found)), (verdict, true), "{told:?}");
        }
        assert_eq!(tls(&db("db"), spoken(0), now).advice.len(), 2);
    }

    #[test]
    fn a_pooler_is_no_fault() {
        for (sessions, word) in [(Sessions::Kept, "none"), (Sessions::Shared, "transaction mode")] {
            let told = pooler(sessions);
            assert_eq!((told.verdict, told.found.contains(word)), (Verdict::Ok, true), "{told:?}");
        }
    }

    #[test]
    fn clocks_may_differ_by_what_is_not_known_and_two_seconds_more() {
        let cases = [
            (0, 10, "agree to within 0.1 s", Verdict::Ok),
            (-600, 500, "agree to within 0.6 s", Verdict::Ok),
            (-1999, 10, "1.9 s behind this machine's", Verdict::Ok),
            (2100, 100, "2.1 s ahead of this machine's", Verdict::Ok),
            (2101, 100, "2.1 s ahead", Verdict::Warning),
            (-3_600_000, 600, "3600.0 s behind this machine's", Verdict::Warning),
        ];
        for (millis, within_millis, found, verdict) in cases {
            let told = clock(Name::PostgresClock, Ahead { millis, within_millis });
            assert_eq!((told.verdict, told.found.contains(found)), (verdict, true), "{told:?}");
        }
        let far = Ahead { millis: 60_000, within_millis: 0 };
        assert!(clock(Name::ApiClock, far).advice[0].contains("start timeouts"));
        assert!(clock(Name::PostgresClock, far).advice[0].contains("who leads"));
    }
}
