//! What is asked of a running job-chief, and told to it.

use serde_json::{Value, json};
use tempfile::TempDir;
use unicode_width::UnicodeWidthStr;

use crate::{chief::Chief, command, job_chief, run};

pub(crate) fn mail(paused: bool) -> Value {
    json!({"name": "mail", "queue": "Mail/1", "maxConcurrentJobs": 4, "phase": {"running": 2}, "paused": paused,
        "backoffSeconds": 0.0, "live": [], "decision": {"why": "full", "ready": 12, "ageSeconds": 0.5}})
}

pub(crate) fn cache(state: &str) -> Value {
    let problem = (state == "failed").then_some("Job/a is in error, no such image");
    json!({"name": "cache", "module": "redis", "version": "latest", "state": state, "revision": 3, "who": "ann", "why": "",
        "writtenAt": "2026-01-02T03:04:05Z", "problem": problem, "objects": [
            {"object": "Job/a", "wanted": true, "state": if state == "failed" { "error" } else { "ready" }, "result": "created",
                "message": null, "since": "2026-01-02T03:04:05Z"}]})
}

fn pools() -> Value {
    json!({"leads": true, "pools": [{"pool": "gpu", "limit": 4, "createsPerMinute": null, "held": 4, "waiting": 1,
        "holders": [{"jobConfig": "render", "places": 4}], "next": [{"jobConfig": "mail", "waitsSeconds": 40.5}]}]})
}

pub(crate) fn chief() -> Chief {
    let redis = json!({"name": "redis", "state": "FAILED", "wanted": true, "ready": 0, "replicas": 1, "priority": 1, "restarts": 7,
        "sinceSeconds": 7512.3, "error": "exit code 1"});
    Chief::new(&[
        ("GET /jobs", 200, json!([mail(false)])),
        ("GET /jobs/mail", 200, mail(false)),
        ("GET /jobs/mail/why", 200, json!({"name": "mail", "lines": ["12:00:00 a", "now b\u{1b}[2J"]})),
        (
            "GET /jobs/mial",
            404,
            json!({"detail": "there is no JobConfig of a queue \"mial\" (did you mean \"mail\"?)"}),
        ),
        ("GET /jobs/redis/why", 404, json!({"detail": "there is no JobConfig of a queue \"redis\""})),
        ("GET /services/redis/why", 200, json!({"name": "redis", "lines": ["12:00:00 down"]})),
        ("GET /jobs/redsi/why", 404, json!({"detail": "there is no JobConfig of a queue \"redsi\""})),
        ("GET /services/redsi/why", 404, json!({"detail": "there is no service \"redsi\" (did you mean \"redis\"?)"})),
        ("GET /members", 200, json!({"me": "a", "members": [{"member": "a", "leads": true}]})),
        ("GET /services", 200, json!([redis])),
        ("GET /pools", 200, pools()),
        ("GET /deployments", 200, json!([cache("settled")])),
        ("GET /deployment/cache", 200, cache("settled")),
        ("POST /deployment", 202, json!({"deployment": {"name": "cache", "revision": 3, "state": "applying"}})),
        (
            "POST /deployment/dry_run",
            200,
            json!({"plan": [{"object": "Job/a", "action": "create"}], "rbac": {"missing": []}, "errors": []}),
        ),
        ("DELETE /deployment/cache", 202, json!({"deployment": "cache", "removed": false})),
        ("POST /jobs/mail/pause", 200, json!({"name": "mail", "paused": true})),
        ("POST /jobs/mail/run", 202, json!({"asked": 1})),
        ("POST /services/redis/stop", 200, json!({"verb": "stop", "services": ["redis"]})),
    ])
}

#[test]
fn every_answer_is_there_for_people_and_for_programs() {
    let chief = chief();
    for (words, table, key) in [
        (&["status"][..], "JOBCONFIG", "jobs"),
        (&["status", "mail"], "mail  queue Mail/1", "queue"),
        (&["why", "mail"], "12:00:00 a", "lines"),
        (&["why", "redis"], "12:00:00 down", "lines"),
        (&["service", "status"], "FAILED", ""),
        (&["pause", "mail"], "mail paused", "paused"),
        (&["run-now", "mail"], "mail: 1 asked for", "asked"),
        (&["drain", "mail"], "mail paused\n0 live", "live"),
        (&["service", "stop", "redis"], "stop: redis", ""),
        (&["pools"], "render 4", "pools"),
        (&["deployments"], "settled", ""),
        (&["deployments", "cache"], "Job/a", "module"),
        (&["deploy", "redis@latest", "--set", "name=cache"], "cache: revision 3 is written", "deployment"),
        (&["deploy", "redis", "--dry-run"], "create", "plan"),
        (&["deploy", "redis", "--wait"], "Job/a ready (created)\ncache: settled", "module"),
        (&["undeploy", "cache"], "cache: it is being removed", "deployment"),
    ] {
        let asked = |output: &str| {
            let folder = TempDir::new().unwrap();
            std::fs::write(folder.path().join("token"), "secret\n").unwrap();
            let more = ["--url", &chief.url(), "-o", output, "--token-file", "token"];
            run(command(&folder, &[words, &more].concat()))
        };
        let told = asked("table");
        assert!(told.out.contains(table), "{words:?}: {}{}", told.out, told.err);
        let json: Value = serde_json::from_str(&asked("json").out).unwrap();
        let yaml: Value = serde_yaml_ng::from_str(&asked("yaml").out).unwrap();
        assert_eq!(json, yaml, "{words:?}");
        assert!(key.is_empty() || !json[key].is_null(), "{words:?}: {json}");
    }
    let told = chief.told.lock().unwrap();
    assert!(told.iter().all(|(token, words)| token == "Bearer secret" && words["why"] == ""), "{told:?}");
    assert_eq!(told.len(), 24);
    let mut tokens = chief.tokens.lock().unwrap();
    assert!(tokens.iter().all(|token| token.as_deref() == Some("Bearer secret")), "pages may need it, too: {tokens:?}");
    tokens.clear();
    drop(tokens);
    run(command(&TempDir::new().unwrap(), &["status", "--url", &chief.url()]));
    assert!(chief.tokens.lock().unwrap().iter().all(Option::is_none), "who has none sends none");
}

#[test]
fn colours_are_where_they_can_be_seen_or_are_wanted() {
    let chief = chief();
    let folder = TempDir::new().unwrap();
    let told = |words: &[&str], environment: &[(&str, &str)]| {
        let mut command = command(&folder, &[&["service", "status", "--url", &chief.url()], words].concat());
        command.envs(environment.iter().copied());
        run(command)
    };
    assert!(!told(&[], &[]).out.contains('\u{1b}'), "a pipe gets none");
    assert!(told(&["--color", "always"], &[]).out.contains("\u{1b}[31mFAILED\u{1b}[0m"));
    assert!(!told(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]).out.contains('\u{1b}'));
    assert!(!told(&[], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]).out.contains('\u{1b}'));
    let error = told(&["--color", "always", "--nonsense"], &[]).err;
    assert!(error.contains("\u{1b}[") && error.contains("--nonsense"), "{error:?}");
    assert!(!told(&["--nonsense"], &[]).err.contains('\u{1b}'));
}

#[test]
fn what_others_say_does_not_steer_a_terminal() {
    let chief = chief();
    let told = job_chief(&["why", "mail", "--url", &chief.url()]);
    assert_eq!(told.out, "12:00:00 a\nnow b�[2J\n");
    let mut hostile = mail(false);
    hostile["queue"] = json!("a\u{1b}]0;x\u{7}\nb");
    chief.answer("GET /jobs", json!([hostile]));
    let told = job_chief(&["status", "--url", &chief.url(), "--color", "never"]);
    assert!(told.out.contains("a�]0;x��b"), "{}", told.out);
    chief.answers.lock().unwrap().insert("GET /jobs/x".into(), (404, json!({"detail": "no\u{1b}[2Jsuch"})));
    let told = job_chief(&["status", "x", "--url", &chief.url()]);
    assert_eq!((told.code, told.err.as_str()), (1, "error: no�[2Jsuch\n"));
}

#[test]
fn a_table_in_a_pipe_has_100_columns_at_the_most() {
    let chief = chief();
    let mut wide = mail(true);
    wide["name"] = json!("n".repeat(63));
    wide["queue"] = json!("漢".repeat(63));
    wide["said"] = json!({"who": "w".repeat(200), "why": "", "at": "2026-01-02T03:04:05Z"});
    chief.answer("GET /jobs", json!([wide]));
    let told = job_chief(&["status", "--url", &chief.url()]);
    assert!(told.out.contains('…') && told.out.lines().all(|line| line.width() <= 100), "{}", told.out);
}

#[test]
fn a_mistyped_name_has_the_nearest_one() {
    let chief = chief();
    let told = job_chief(&["status", "mial", "--url", &chief.url()]);
    assert_eq!((told.code, told.out.as_str()), (1, ""));
    assert!(told.err.contains("did you mean \"mail\"?"), "{}", told.err);
}

#[test]
fn a_service_that_is_down_is_an_exit_code() {
    let chief = chief();
    assert_eq!(job_chief(&["service", "status", "--url", &chief.url()]).code, 1);
    chief.answer("GET /services", json!([]));
    let told = job_chief(&["service", "status", "--url", &chief.url()]);
    assert_eq!((told.code, told.out.as_str()), (0, "jobs.json has no service\n"));
}

#[test]
fn a_deployment_is_told_whole_and_waited_for_until_it_is_done_or_has_failed() {
    let chief = chief();
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("values.yaml"), "name: mails\nargs: [a]\n").unwrap();
    let ask = |words: &[&str]| {
        let more = ["--url", &chief.url()];
        let mut command = command(&folder, &[words, &more].concat());
        run({
            command.env("JOB_CHIEF_TOKEN", "secret");
            command
        })
    };
    let words = [
        "deploy",
        "redis@2",
        "--name",
        "n",
        "--values",
        "values.yaml",
        "--set",
        "name=x",
        "--set",
        "size=3",
        "--force",
        "--why",
        "w",
    ];
    assert_eq!(ask(&words).code, 0);
    let told = chief.told.lock().unwrap().pop().unwrap().1;
    let expected = json!({"name": "n", "module": "redis", "version": "2", "config": {"name": "x", "args": ["a"], "size": 3},
        "force": true, "reconcile": false, "waitSeconds": 0, "who": "", "why": "w"});
    assert_eq!(told, expected);
    chief.answer("GET /deployments", json!([cache("failed")]));
    let told = ask(&["deploy", "redis", "--wait"]);
    assert_eq!((told.code, told.out.as_str()), (1, "Job/a error (created)\n"));
    assert!(told.err.contains("cache: Job/a is in error, no such image"), "{}", told.err);
    assert_eq!(ask(&["deployments"]).code, 1, "one has failed");
    chief.answer("GET /deployments", json!([]));
    assert_eq!(ask(&["undeploy", "cache", "--wait"]).out, "cache: removed\n");
    let told = ask(&["deploy", "redis", "--wait"]);
    assert!(told.code == 1 && told.err.contains("somebody has removed it"), "{}", told.err);
    chief
        .answers
        .lock()
        .unwrap()
        .insert("DELETE /deployment/cache?volumes=a%2Cb".into(), (409, json!({"detail": "queue mail depends on it"})));
    let told = ask(&["undeploy", "cache", "--volume", "a", "--volume", "b"]);
    assert_eq!((told.code, told.err.as_str()), (1, "error: queue mail depends on it\n"));
    let missing = json!({"plan": [], "rbac": {"missing": ["create secrets"]}, "errors": []});
    chief.answer("POST /deployment/dry_run", missing);
    let told = ask(&["deploy", "redis", "--dry-run"]);
    assert!(told.code == 1 && told.out.contains("rights that are missing: create secrets"), "{}", told.out);
}

#[test]
fn a_name_that_is_neither_a_queues_nor_a_services_is_told_with_the_nearest_of_both() {
    let chief = chief();
    let told = job_chief(&["why", "redsi", "--url", &chief.url()]);
    let both = "there is no JobConfig of a queue \"redsi\"; there is no service \"redsi\" (did you mean \"redis\"?)";
    assert!(told.code == 1 && told.err.contains(both), "{}", told.err);
}
