//! Every setting that is accepted has an effect: a rendered Job, a request or a connection differs.
#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "sequences/keys.rs"]
mod keys;

use job_chief::{
    cluster::connect::Access,
    config::{jobs_file::lay_over, schema::schema_of, settings::Settings},
    decide::pod::inputs::Instance,
    pgboss::connect,
    sql::quoted,
};
use keys::{at, entry, paths, rendered, settings};
use serde_json::{Value, json};

/// A value for each setting under which something differs.
fn setting_values() -> Value {
    json!({
        "app": {"instanceUid": "other", "environment": "dev"},
        "db": {
            "host": "h", "port": 1, "user": "u", "password": "p", "passwordSecret": {"name": "n", "key": "k"}, "database": "d",
            "schema": "s", "managerSchema": "m", "enableSslAuth": true, "certSecretName": "c",
            "sslPaths": {"ca": "/other/ca", "cert": "/other/cert", "key": "/other/key"},
        },
        "kubernetes": {"namespace": "n", "loadConfigFromCluster": true, "pullSecret": "p", "jobMaxAgeForDeletion": "9m"},
    })
}

/// Settings whose effect another test shows, and its name.
const SHOWN_ELSEWHERE: [(&str, &str, &str); 10] = [
    ("app.modulesPath", "tests/cli/modules.rs", "modules_are_shown_and_rendered"),
    ("app.jobsConfigPath", "tests/commands.rs", "run_with_a_bad_configuration_starts_nothing_and_ends_with_2"),
    ("db.monitorStateIntervalSeconds", "tests/e2e/path.rs", "workers_take_every_message_and_no_job_is_left_over"),
    ("server.port", "tests/commands.rs", "logs_and_the_server_are_as_the_settings_say"),
    ("server.host", "tests/commands.rs", "logs_and_the_server_are_as_the_settings_say"),
    ("server.tokenFile", "tests/e2e/switching.rs", "what_people_switch_is_kept_with_who_and_why"),
    ("server.protectReads", "tests/http/main.rs", "pages_need_a_token_where_the_settings_say_so"),
    ("server.protectMetrics", "tests/http/main.rs", "pages_need_a_token_where_the_settings_say_so"),
    ("telemetry.logger.level", "tests/commands.rs", "logs_and_the_server_are_as_the_settings_say"),
    ("telemetry.logger.prettyPrint", "tests/commands.rs", "logs_and_the_server_are_as_the_settings_say"),
];

#[test]
fn every_setting_has_an_effect() {
    let schema = schema_of::<Settings>();
    let injected = entry(&json!({"podConfig": {"injectPgConfig": "libpq"}}));
    let told = |settings: &Settings| {
        let db = &settings.db;
        let access = Access::of(settings.kubernetes.load_config_from_cluster, None, None);
        format!(
            "{} {:?} {} {} {access:?} {}",
            rendered(&injected, settings),
            connect::options(db),
            quoted(&db.schema),
            quoted(&db.manager_schema),
            Instance::of(settings).selector(),
        )
    };
    // Certificates count only with TLS.
    let base = json!({"db": {"enableSslAuth": true, "sslPaths": {"ca": "/a/ca", "cert": "/a/cert", "key": "/a/key"}, "certSecretName": "x"}});
    let mut changes = setting_values();
    changes["db"]["enableSslAuth"] = json!(false);
    changes["db"]["passwordSecret"] = Value::Null;
    for path in paths(&schema, &schema, "") {
        if let Some((_, file, test)) = SHOWN_ELSEWHERE.iter().find(|(shown, ..)| *shown == path) {
            let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
            assert!(text.contains(&format!("fn {test}()")), "{path} is said to be shown by {test} in {file}");
            continue;
        }
        let keys = match path.as_str() {
            "db.passwordSecret.name" | "db.passwordSecret.key" => {
                json!({"db": {"passwordSecret": {"name": "n", "key": "k"}}})
            }
            _ => at(&path, &changes).unwrap_or_else(|| panic!("{path} has no case in which anything differs")),
        };
        let mut changed = base.clone();
        lay_over(&mut changed, keys);
        assert!(told(&settings(&changed)) != told(&settings(&base)), "{path} is accepted and changes nothing");
    }
}
