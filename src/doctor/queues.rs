//! pg-boss's tables and queues, judged.

use std::sync::Arc;

use humantime::format_duration;

use crate::{
    config::{job_config::JobConfig, problems::nearest},
    doctor::report::{Check, Name, some_of},
    pgboss::{
        error::QueueError,
        shape::Shape,
        survey::{Queue, Queues},
        way::Sessions,
    },
    telemetry::with_causes,
};

/// pg-boss's tables.
pub fn tables(schema: &str, shape: Result<&Shape, &QueueError>) -> Check {
    match shape {
        Ok(shape) => Name::PgBoss.ok(format!("the tables in schema {schema} are those of pg-boss {}", versions(shape))),
        Err(error) => {
            let advice = match error {
                QueueError::NoTable { .. } | QueueError::UnknownShape { .. } => {
                    "Check db.schema (DB_SCHEMA), and start a worker or producer once: pg-boss makes its tables itself."
                }
                _ => "Try again; what Postgres's log says of it tells more.",
            };
            Name::PgBoss.failed(with_causes(error), &[advice])
        }
    }
}

/// The versions that have such tables.
fn versions(shape: &Shape) -> &'static str {
    match (shape.start_after, &shape.queues, shape.blocked, shape.failed_count) {
        ("startafter", ..) => "7 to 9",
        (_, _, true, _) => "12",
        (_, _, _, Some(_)) => "11",
        (_, Some(_), ..) => "10",
        _ => "7 to 12",
    }
}

/// Whether each queue of jobs.json exists.
pub fn queues(configs: &[Arc<JobConfig>], known: &Queues) -> Vec<Check> {
    let Queues::Listed { queues, .. } = known else {
        return vec![
            Name::Queues.skipped("pg-boss 7 to 9 keeps no list of queues: a queue is whatever name a message has"),
        ];
    };
    let is_known = |config: &&Arc<JobConfig>| queues.iter().any(|queue| queue.name == *config.queue_name);
    let (found, missing): (Vec<_>, Vec<_>) = configs.iter().partition(is_known);
    let mut checks = vec![];
    if !found.is_empty() {
        let names = some_of(found.iter().map(|config| &*config.queue_name));
        checks.push(Name::Queues.ok(format!("{} of {} exist: {names}", found.len(), configs.len())));
    }
    checks.extend(missing.into_iter().map(|config| missing_queue(config, queues)));
    if configs.is_empty() {
        checks.push(Name::Queues.ok("jobs.json has services only"));
    }
    checks
}

/// A queue that is not there is not there yet, or misspelt.
fn missing_queue(config: &JobConfig, queues: &[Queue]) -> Check {
    let hint = nearest(&config.queue_name, queues.iter().map(|queue| queue.name.as_str()));
    let found = format!("pg-boss knows no queue \"{}\" (JobConfig {}){hint}", config.queue_name, config.name);
    if hint.is_empty() {
        let advice = "It counts as empty until a producer or worker makes it: boss.createQueue(name).";
        return Name::Queues.warning(found, &[advice]);
    }
    let advice = "Write it in jobs.json as the producer writes it, or make it: boss.createQueue(name).";
    Name::Queues.failed(found, &[advice])
}

/// Whether notifications arrive: `heard` is whether one of our own did, `None` if it was not tried.
pub fn listen(configs: &[Arc<JobConfig>], known: Option<&Queues>, sessions: Sessions, heard: Option<bool>) -> Check {
    let polling = || match configs {
        [] => "queues are polled".to_owned(),
        _ => format!("every queue is polled: {}", intervals(configs.iter())),
    };
    if sessions == Sessions::Shared {
        return Name::Listen.warning(
            format!("a pooler in transaction mode passes no notifications on; {}", polling()),
            &["Nothing is lost by it. For Jobs within milliseconds, let db.host and db.port name Postgres itself."],
        );
    }
    if heard != Some(true) {
        return Name::Listen.warning(
            format!("a notification was sent and did not arrive within 2 s; {}", polling()),
            &["A pooler may stand between: let db.host and db.port name Postgres itself, or use session mode."],
        );
    }
    if configs.is_empty() {
        return Name::Listen.ok("it works");
    }
    let Some(known) = known else {
        return Name::Listen.ok("it works; which queues use it can't be known, for pg-boss's tables were not read");
    };
    let Queues::Listed { queues, can_notify: true } = known else {
        return Name::Listen.ok(format!("it works, but pg-boss before 12 sends none; {}", polling()));
    };
    let tells = |config: &&Arc<JobConfig>| queues.iter().any(|it| it.notify && it.name == *config.queue_name);
    let (told, polled): (Vec<_>, Vec<_>) = configs.iter().partition(tells);
    let names = some_of(told.iter().map(|config| &*config.queue_name));
    let check = match (told.is_empty(), polled.is_empty()) {
        (_, true) => Name::Listen.ok(format!("it works, for every queue: {names}")),
        (true, _) => Name::Listen.ok(format!("it works, but no queue sends any; {}", polling())),
        _ => Name::Listen.ok(format!("it works for {names}; polled: {}", intervals(polled.iter().copied()))),
    };
    check.advising_if(!polled.is_empty(), "For Jobs within milliseconds: boss.updateQueue(name, { notify: true }).")
}

fn intervals<'a>(configs: impl Iterator<Item = &'a Arc<JobConfig>>) -> String {
    let told = |config: &Arc<JobConfig>| {
        format!("{} every {}", config.queue_name, format_duration(config.queue_check_interval))
    };
    let told: Vec<String> = configs.map(told).collect();
    some_of(told.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::jobs_file, doctor::report::Verdict};

    fn configs(names: &[&str]) -> Vec<Arc<JobConfig>> {
        let entry = |name: &&str| serde_json::json!({"queueName": name, "queueCheckInterval": "7s", "podConfig": {"image": "i"}});
        let text = serde_json::json!(names.iter().map(entry).collect::<Vec<_>>()).to_string();
        let file = jobs_file::load("jobs.json", &text).expect("it is right");
        file.jobs.iter().filter_map(|entry| entry.queue().cloned()).collect()
    }

    fn listed(queues: &[(&str, bool)], can_notify: bool) -> Queues {
        let queue = |(name, notify): &(&str, bool)| Queue { name: (*name).to_owned(), notify: *notify };
        Queues::Listed { queues: queues.iter().map(queue).collect(), can_notify }
    }

    #[test]
    fn the_version_is_told_by_the_shape() {
        let shape = |start_after, queues: Option<&str>, failed_count, blocked| Shape {
            table: "t".into(),
            start_after,
            blocked,
            queues: queues.map(str::to_owned),
            failed_count,
            table_per_queue: queues.is_some() && failed_count.is_none(),
        };
        let q = Some("q");
        assert_eq!(versions(&shape("startafter", None, None, false)), "7 to 9");
        assert_eq!(versions(&shape("start_after", q, None, false)), "10");
        assert_eq!(versions(&shape("start_after", q, Some("0"), false)), "11");
        assert_eq!(versions(&shape("start_after", q, Some("failed_count"), true)), "12");
    }

    #[test]
    fn tables_that_are_not_there_are_a_failure() {
        let error = QueueError::NoTable { schema: "boss".into() };
        let told = tables("boss", Err(&error));
        assert_eq!((told.verdict, told.advice[0].contains("DB_SCHEMA")), (Verdict::Failed, true));
        assert_eq!(tables("boss", Err(&QueueError::Timeout)).verdict, Verdict::Failed);
    }

    #[test]
    fn a_queue_that_looks_misspelt_is_a_failure_and_one_that_is_not_there_yet_a_warning() {
        let told = queues(
            &configs(&["mail", "reports", "thumbnials"]),
            &listed(&[("mail", false), ("thumbnails", false)], true),
        );
        let verdicts: Vec<_> = told.iter().map(|check| check.verdict).collect();
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Warning, Verdict::Failed]);
        assert_eq!(told[0].found, "1 of 3 exist: mail");
        assert!(told[2].found.contains("did you mean \"thumbnails\"?"), "{told:?}");
    }

    #[test]
    fn what_can_not_be_known_is_not_told() {
        assert_eq!(queues(&configs(&["mail"]), &Queues::Unlisted)[0].verdict, Verdict::Skipped);
        assert_eq!(queues(&[], &listed(&[], true))[0].verdict, Verdict::Ok);
    }

    #[test]
    fn whoever_is_polled_is_named_with_how_often() {
        let old = listed(&[], false);
        let (both, some) = (configs(&["a", "b"]), listed(&[("a", true), ("b", false)], true));
        let cases = [
            (Some(&some), Sessions::Shared, None, Verdict::Warning, "transaction mode"),
            (Some(&some), Sessions::Kept, Some(false), Verdict::Warning, "did not arrive"),
            (Some(&some), Sessions::Kept, Some(true), Verdict::Ok, "it works for a; polled: b every 7s"),
            (Some(&old), Sessions::Kept, Some(true), Verdict::Ok, "before 12"),
            (Some(&Queues::Unlisted), Sessions::Kept, Some(true), Verdict::Ok, "before 12"),
        ];
        for (known, sessions, heard, verdict, found) in cases {
            let told = listen(&both, known, sessions, heard);
            assert_eq!((told.verdict, told.found.contains(found)), (verdict, true), "{told:?}");
            assert!(told.found.contains("b every 7s"), "{told:?}");
        }
        assert!(listen(&both, None, Sessions::Kept, Some(true)).found.contains("can't be known"));
        assert_eq!(listen(&[], Some(&some), Sessions::Kept, Some(true)), Name::Listen.ok("it works"));
        let all = listed(&[("a", true), ("b", true)], true);
        let told = listen(&both, Some(&all), Sessions::Kept, Some(true));
        assert_eq!((told.found.as_str(), told.advice.len()), ("it works, for every queue: a, b", 0));
        let none = listed(&[("a", false), ("b", false)], true);
        let told = listen(&both, Some(&none), Sessions::Kept, Some(true));
        assert!(told.found.contains("no queue sends any") && told.advice[0].contains("notify: true"), "{told:?}");
    }
}
