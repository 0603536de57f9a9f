//! The path of a message: to a Job, into a container, and on record.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::json;

use crate::stage::{Stage, eventually, script, with};

/// The lines that the worker's `env` prints.
fn promised(stage: &Stage) -> Vec<String> {
    let site = &stage.site;
    vec![
        "QUEUE_NAME=Bilder.und_Filme/2026".to_owned(),
        format!("DB_HOST={}", site.text("postgresHost")),
        format!("DB_PORT={}", site.state["postgresPort"]),
        "DB_USERNAME=postgres".into(),
        format!("DB_PASSWORD={}", site.text("postgresPassword")),
        format!("DB_NAME={}", stage.database()),
        "DB_SCHEMA=pgboss".into(),
        format!("PGDATABASE={}", stage.database()),
        "PGUSER=somebody".into(),
        "OWN=1".into(),
        "NODE=localhost".into(),
        "GREETING=from the ConfigMap".into(),
        "API_KEY=canary-secret".into(),
        "BOTH=secret".into(),
    ]
}

#[tokio::test]
async fn a_message_becomes_a_job_whose_pod_has_all_that_was_promised() {
    let mut stage = Stage::set("path-environment").await;
    stage
        .create::<ConfigMap>(
            json!({"metadata": {"name": "greetings"}, "data": {"GREETING": "from the ConfigMap", "BOTH": "configmap"}}),
        )
        .await;
    stage
        .create::<Secret>(
            json!({"metadata": {"name": "keys"}, "stringData": {"API_KEY": "canary-secret", "BOTH": "secret"}}),
        )
        .await;
    let config = with(
        script("Bilder.und_Filme/2026", "env | sort; cat /etc/extra/GREETING"),
        json!({
            "name": "pictures",
            // One Job is enough: its message stays, for nobody takes it.
            "waitTimeAfterSuccessfulRun": "1h",
            "podConfig": {
                "injectPgConfig": "libpq",
                "configmaps": ["greetings"],
                "secrets": ["keys"],
                "env": [{"name": "OWN", "value": "1"}, {"name": "PGUSER", "value": "somebody"}, {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                "annotations": {"team": "pictures"},
            },
            "jobTemplate": {"spec": {"template": {"spec": {
                "volumes": [{"name": "extra", "configMap": {"name": "greetings"}}],
                "containers": [{"name": "worker", "volumeMounts": [{"name": "extra", "mountPath": "/etc/extra"}]}],
            }}}},
        }),
    );
    stage.run(json!([config])).await;
    stage.send("Bilder.und_Filme/2026", 1).await;
    let run = stage.ended("pictures", 1).await.remove(0);
    assert_eq!((&run["outcome"], &run["reason"]), (&json!("succeeded"), &json!("completed")), "{run}");
    assert_eq!((&run["decision"]["ready"], &run["decision"]["jobs"]), (&json!(1), &json!(1)), "{run}");
    let pod = stage.pods_of(run["job"].as_str().unwrap()).await.remove(0);
    let printed = stage.logs_of(&pod).await;
    for line in promised(&stage) {
        assert!(printed.lines().any(|printed| printed == line), "{line} is missing from\n{printed}");
    }
    assert!(printed.ends_with("from the ConfigMap"), "the volume of the jobTemplate is mounted:\n{printed}");
    let labels = pod.metadata.labels.unwrap();
    assert_eq!(
        (labels["app"].as_str(), labels["owner-id"].as_str(), labels["job-chief/name"].as_str()),
        ("job-chief", "e2e", "pictures")
    );
    let annotations = pod.metadata.annotations.unwrap();
    assert_eq!(
        (annotations["job-chief/queue-name"].as_str(), annotations["team"].as_str()),
        ("Bilder.und_Filme/2026", "pictures")
    );
    stage.prints(&["status", "pictures"], &[" succeeded", "1 Job, created"]).await;
    stage.shows("job_chief_runs_total{job_config=\"pictures\",outcome=\"succeeded\",reason=\"completed\"}").await;
    let metrics = stage.get("/metrics").await.unwrap().1;
    for (page, text) in
        [("metrics", metrics), ("log", stage.log()), ("jobs", stage.json("/jobs/pictures").await.unwrap().to_string())]
    {
        assert!(
            !text.contains("canary-secret") && !text.contains(stage.site.text("postgresPassword")),
            "a secret stands in {page}"
        );
    }
}

#[tokio::test]
async fn workers_take_every_message_and_no_job_is_left_over() {
    let mut stage = Stage::set("path-burst").await;
    let config = json!({
        "queueName": "burst", "maxConcurrentJobs": 3, "messagesPerJob": 4, "queueCheckInterval": "500ms", "waitTimeAfterSuccessfulRun": "0s",
        "podConfig": {"image": "job-chief.test/worker:dev", "pullPolicy": "Never", "injectPgConfig": true, "env": [{"name": "WORK_TIME", "value": "20ms"}]},
    });
    stage.run(json!([config])).await;
    stage.send("burst", 12).await;
    eventually("all messages to be completed", || async {
        (stage.count("select count(*) from pgboss.job where state = 'completed'").await == 12).then_some(())
    })
    .await;
    let runs = stage.ended("burst", 3).await;
    assert_eq!(runs.len(), 3, "ceil(12 / 4), all at once: {runs:?}");
    let states = eventually("the totals", || async {
        let states = stage.json("/states").await?;
        (states["burst"]["completed"] == 12).then_some(states)
    })
    .await;
    assert_eq!(
        states["burst"],
        json!({"created": 0, "retry": 0, "active": 0, "completed": 12, "expired": 0, "cancelled": 0, "failed": 0, "all": 12})
    );
}

#[tokio::test]
async fn a_hint_and_a_timer_start_a_job_long_before_the_next_poll() {
    let mut stage = Stage::set("path-hints").await;
    stage.boss(&["queue", "told", r#"{"notify": true}"#]).await;
    stage.boss(&["queue", "timed"]).await;
    let hourly = |queue| with(script(queue, "true"), json!({"queueCheckInterval": "1h"}));
    stage.run(json!([hourly("told"), hourly("timed")])).await;
    // The first looks are over when both have decided.
    eventually("both to have looked", || async {
        let told = stage.json("/jobs").await?;
        let jobs = told.as_array()?;
        (jobs.len() == 2 && jobs.iter().all(|job| job["decision"]["ready"] == 0)).then_some(())
    })
    .await;
    // Its first wait may be any part of the hour: what is sent now is seen by the notification alone.
    stage.send("told", 1).await;
    assert_eq!(stage.ended("told", 1).await[0]["outcome"], "succeeded");
    // Nobody tells of this one, but a look for another reason sees when it can be fetched.
    stage.boss(&["send", "timed", "1", r#"{"startAfter": 4}"#]).await;
    stage.count("select count(pg_notify('pgboss_' || left(encode(sha224('pgboss'), 'hex'), 24), 'timed'))").await;
    assert_eq!(stage.ended("timed", 1).await[0]["outcome"], "succeeded");
    let wanted = [
        "job_chief_message_to_job_seconds_count{job_config=\"told\"} 1",
        "job_chief_queue_oldest_ready_age_seconds{job_config=\"timed\",queue=\"timed\"} ",
        "job_chief_queue_messages{job_config=\"timed\",queue=\"timed\",state=\"ready\"} ",
    ];
    let metrics = eventually(&format!("{wanted:?}"), || async {
        Some(stage.get("/metrics").await?.1).filter(|page| wanted.iter().all(|wanted| page.contains(wanted)))
    })
    .await;
    let mut promtool = tokio::process::Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut checked =
        promtool.stderr(std::process::Stdio::piped()).spawn().expect("cargo xtask test installs promtool");
    tokio::io::AsyncWriteExt::write_all(&mut checked.stdin.take().unwrap(), metrics.as_bytes()).await.unwrap();
    let checked = checked.wait_with_output().await.unwrap();
    let told = [checked.stdout, checked.stderr].concat();
    assert!(checked.status.success() && told.is_empty(), "{}", String::from_utf8_lossy(&told));
}

#[tokio::test]
async fn sigterm_drains_and_a_restart_adopts_what_runs() {
    let mut stage = Stage::set("path-restart").await;
    let configs = json!([with(script("long", "sleep 36000"), json!({"maxConcurrentJobs": 2}))]);
    stage.run(configs.clone()).await;
    stage.send("long", 2).await;
    stage.running(2).await;
    assert_eq!(stage.terminate().await, Some(0));
    let before: Vec<_> = stage.jobs().await.into_iter().map(|job| job.metadata.uid).collect();
    assert_eq!(before.len(), 2, "running Jobs go on");

    stage.send("long", 5).await;
    stage.run(configs.clone()).await;
    let adopted = || async {
        let told = stage.json("/jobs/long").await?;
        (told["phase"]["running"] == 2).then_some(told)
    };
    eventually("both to be adopted", adopted).await;
    stage.kill().await;
    stage.run(configs).await;
    let adopted = || async { (stage.json("/jobs/long").await?["phase"]["running"] == 2).then_some(()) };
    eventually("both to be adopted again", adopted).await;
    let after: Vec<_> = stage.jobs().await.into_iter().map(|job| job.metadata.uid).collect();
    assert_eq!(after, before, "nothing was doubled, nothing was killed");
    assert_eq!(stage.count("select count(*) from chief.runs").await, 2);
}

#[tokio::test]
async fn a_worker_on_the_wrong_queue_is_told_from_one_that_works() {
    let mut stage = Stage::set("path-nothing").await;
    let keys = json!({"waitTimeAfterSuccessfulRun": "100ms", "waitTimeAfterFailedRun": "1s", "backoff": {"after": 2, "max": "2s"}});
    stage.run(json!([with(script("stuck", "true"), keys)])).await;
    stage.send("stuck", 3).await;
    let runs = stage.ended("stuck", 4).await;
    assert!(runs.iter().all(|run| run["outcome"] == "succeeded"), "{runs:?}");
    eventually("the successes to be marked", || async {
        let told = stage.json("/jobs/stuck").await?;
        let marked = told["runs"].as_array()?.iter().filter(|run| run["tookNothing"] == true).count();
        (marked >= 3 && told["failedInARow"].as_u64()? >= 3).then_some(())
    })
    .await;
    let why =
        |told: &serde_json::Value| told["decisions"].as_array().unwrap().iter().any(|it| it["why"] == "backing_off");
    eventually("a decision that says why", || async { why(&stage.json("/jobs/stuck").await?).then_some(()) }).await;
    stage.shows("job_chief_runs_took_nothing_total{job_config=\"stuck\"}").await;
}
