//! What people switch: pause, resume, drain, a Job by hand. Under a role with the printed grants and nothing more.

use std::process::Command;

use serde_json::{Value, json};

use crate::stage::{Stage, eventually, script, with};

const TOKEN: &str = "Authorization: Bearer canary-token-1\r\n";

/// A stage with tokens, whose role has the grants that job-chief prints.
async fn limited(name: &str) -> Stage {
    let stage = Stage::set(name).await;
    let tokens = stage.folder.path().join("tokens");
    std::fs::write(&tokens, "canary-token-1\ncanary-token-2\n").unwrap();
    let (role, password) = (format!("limited_{}", stage.database()), "canary-password");
    let job_chief = |word: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_job-chief"));
        command.args(word).env("DATABASE_URL", stage.site.database_url(&stage.database()));
        command.env("APP_JOBS_CONFIG_PATH", stage.folder.path().join("jobs.json"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    stage.write_jobs(&json!([script("work", "true")]).to_string());
    job_chief(&["migrate"]);
    let grants = job_chief(&["grants", &role]);
    let made = format!("drop role if exists {role}; create role {role} login password '{password}'; {grants}");
    stage.execute(&made).await;
    stage.with("DB_USERNAME", &role).with("DB_PASSWORD", password).with("SERVER_TOKEN_FILE", tokens.to_str().unwrap())
}

#[tokio::test]
async fn what_people_switch_is_kept_with_who_and_why() {
    let mut stage = limited("switching").await.with("JOB_CHIEF_TOKEN", "canary-token-2").with("USER", "ann");
    let jobs = json!([with(script("work", "sleep 2"), json!({"maxConcurrentJobs": 2})), script("other", "true")]);
    stage.run(jobs.clone()).await;
    stage.leads().await;
    assert_eq!(stage.command(&["pause", "work", "--why", "the deploy"]).await, "work paused\n");
    eventually("it to be paused", || async { (stage.json("/jobs/work").await?["paused"] == true).then_some(()) }).await;
    stage.send("work", 1).await;
    stage.send("other", 1).await;
    stage.ended("other", 1).await;
    assert_eq!(stage.jobs_of("work").await.len(), 0, "nothing of what is paused");
    stage.prints(&["status"], &["paused by ann since ", "(the deploy)"]).await;
    stage.shows("job_chief_paused{job_config=\"work\"} 1").await;

    stage.kill().await;
    stage.run(jobs.clone()).await;
    stage.leads().await;
    stage.prints(&["why", "work"], &["paused by ann since ", "(the deploy)"]).await;
    let asked = stage.command(&["run-now", "work", "--why", "a look"]).await;
    assert!(asked.contains("1 asked for"), "{asked}");
    stage.ended("work", 1).await;
    assert_eq!(stage.count("select count(*) from chief.runs where job_config = 'work'").await, 1, "one, and no more");
    let wanted = ["→ 1 Job, asked", " succeeded", "ann asked for a Job by hand (a look)"];
    stage.prints(&["why", "work"], &wanted).await;

    // What jobs.json says counts again when it says something else.
    let mut changed = jobs.clone();
    changed[0]["paused"] = json!(true);
    stage.write_jobs(&changed.to_string());
    eventually("nobody but the file to have paused it", || async {
        let told = stage.json("/jobs/work").await?;
        (told["paused"] == true && told["said"].is_null()).then_some(())
    })
    .await;
    stage.write_jobs(&jobs.to_string());
    stage.ended("work", 2).await;

    assert_eq!(stage.command(&["pause", "--all"]).await, "all JobConfigs paused\n");
    let drained = stage.command(&["drain", "work", "--timeout", "10m"]).await;
    assert!(drained.ends_with("0 live\n"), "{drained}");
    stage.command(&["resume", "--all"]).await;
    assert_eq!(stage.json("/jobs/work").await.unwrap()["paused"], true, "each as it was");
    stage.command(&["resume", "work"]).await;
    stage.send("work", 1).await;
    stage.ended("work", 3).await;
    let log = stage.log();
    assert!(!log.contains("canary-"), "no token and no password in the log");
}

#[tokio::test]
async fn whoever_may_not_is_told_why_and_nothing_changes() {
    let mut stage = limited("switching-refused").await;
    stage.run(json!([script("work", "true")])).await;
    stage.leads().await;
    let error = |told: &Value| told["detail"].as_str().unwrap_or_default().to_owned();
    for headers in [
        "",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer canary\r\n",
        "Authorization: Basic canary-token-1\r\n",
    ] {
        let (code, told) = stage.post("/jobs/work/pause", headers, "{}").await;
        assert_eq!(code, 401, "{headers} {told}");
        assert!(error(&told).contains("token"), "{told}");
    }
    let huge = format!("{{\"why\": \"{}\"}}", "x".repeat(10 << 20));
    assert_eq!(stage.post("/jobs/work/pause", TOKEN, &huge).await.0, 413);
    for body in ["[", "{\"who\": 1}", "{\"whom\": \"me\"}", "{\"why\": \"a\\u0007\"}"] {
        let (code, told) = stage.post("/jobs/work/pause", TOKEN, body).await;
        assert_eq!(code, 400, "{body} {told}");
        assert!(error(&told).contains("allowed is"), "{told}");
    }
    let (code, told) = stage.post("/jobs/werk/pause", TOKEN, "").await;
    assert_eq!(code, 404);
    assert!(error(&told).contains("did you mean \"work\"?"), "{told}");
    assert_eq!(stage.count("select count(*) from chief.switches").await, 0, "nothing has changed");
    assert_eq!(stage.post("/jobs/work/pause", TOKEN, "").await.0, 200, "it may be said without words");
    let output = stage.ask(&["pause", "work"]).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("a token is needed"), "{told}");
}
