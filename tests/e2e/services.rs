//! Services on a real cluster: whatever happens to a replica, there is one of it, and in the end it is up.

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::api::{DeleteParams, Patch, PatchParams, PropagationPolicy};
use serde_json::{Value, json};

use crate::stage::{Stage, eventually, script, with};

/// A service whose container is a shell script.
pub(crate) fn service(name: &str, script: &str, keys: Value) -> Value {
    let entry = json!({
        "type": "service", "name": name, "stopTimeout": "1s", "checkInterval": "5s",
        // A busy machine is no fault of what is tested.
        "startTimeout": "5m",
        "waitTimeAfterSuccessfulRun": "0s", "waitTimeAfterFailedRun": "0s", "waitTimeAfterTimeout": "0s", "waitTimeAfterError": "1s",
        "backoff": {"factor": 1},
        "podConfig": {"image": "job-chief.test/busybox:dev", "pullPolicy": "Never", "command": ["/bin/sh", "-c", script]},
    });
    with(entry, keys)
}

/// Runs until it is told to end.
pub(crate) const IDLE: &str = "trap 'exit 0' TERM; sleep 36000 & wait";

impl Stage {
    /// Tokens for those who switch.
    pub(crate) fn with_token(self) -> Self {
        let tokens = self.folder.path().join("tokens");
        std::fs::write(&tokens, "canary-token\n").unwrap();
        let path = tokens.to_str().unwrap().to_owned();
        self.with("SERVER_TOKEN_FILE", &path).with("JOB_CHIEF_TOKEN", "canary-token").with("USER", "ann")
    }

    /// The service, once it is in this state.
    pub(crate) async fn in_state(&self, name: &str, state: &str) -> Value {
        eventually(&format!("{name} to be {state}\n{}", self.log()), || async {
            self.json(&format!("/services/{name}")).await.filter(|told| told["state"] == state)
        })
        .await
    }

    /// The service, once it is up after so many restarts.
    async fn up_after(&self, name: &str, restarts: u64) -> Value {
        eventually(&format!("{name} to be up after {restarts} restarts\n{}", self.log()), || async {
            let told = self.json(&format!("/services/{name}")).await?;
            (told["state"] == "RUNNING" && told["restarts"].as_u64()? >= restarts).then_some(told)
        })
        .await
    }

    /// The one live Job of a service.
    async fn job_of(&self, name: &str) -> String {
        let told = self.json(&format!("/services/{name}")).await.unwrap();
        let live = told["live"].as_array().unwrap();
        assert_eq!(live.len(), 1, "{told}");
        live[0]["job"].as_str().unwrap().to_owned()
    }
}

/// Looks all the time that no more pods run than there are replicas.
struct Watchman(tokio::task::JoinHandle<()>);

impl Watchman {
    fn begin(stage: &Stage, replicas: usize) -> Self {
        let pods: kube::Api<Pod> = stage.api();
        Self(tokio::spawn(async move {
            loop {
                let seen =
                    pods.list(&kube::api::ListParams::default()).await.map(|list| list.items).unwrap_or_default();
                let running = seen.iter().filter(|pod| is_running(pod)).count();
                assert!(running <= replicas, "{running} pods run of {replicas} replicas");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }))
    }

    /// Fails if it has seen any.
    fn end(self) {
        assert!(!self.0.is_finished(), "more pods ran at once than there are replicas");
        self.0.abort();
    }
}

#[tokio::test]
async fn a_service_comes_back_after_its_container_its_pod_or_its_job_is_gone() {
    let mut stage = Stage::set("services-gone").await;
    let marker = format!("sleep 9{}", std::process::id());
    stage.run(json!([service("api", &format!("exec {marker}"), json!({}))])).await;
    let watchman = Watchman::begin(&stage, 1);
    stage.in_state("api", "RUNNING").await;
    let first = stage.job_of("api").await;
    // The container is killed: its only process, which is known by its unique argument.
    kill(&marker).await;
    stage.up_after("api", 1).await;
    let second = stage.job_of("api").await;
    assert_ne!(first, second);

    let pod = stage.pods_of(&second).await.remove(0).metadata.name.unwrap();
    stage.api::<Pod>().delete(&pod, &DeleteParams::default().grace_period(0)).await.unwrap();
    stage.up_after("api", 2).await;
    let third = stage.job_of("api").await;
    assert_ne!(second, third);

    let in_background =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Foreground), ..DeleteParams::default() };
    stage.api::<Job>().delete(&third, &in_background).await.unwrap();
    let told = stage.up_after("api", 3).await;
    let ends: Vec<&str> = told["runs"].as_array().unwrap().iter().filter_map(|run| run["outcome"].as_str()).collect();
    // Where the Job controller learns late that its Job is being deleted, the end of the pod is a failure to it.
    assert!(["vanished", "failed"].contains(&ends[0]), "{told}");
    assert_eq!(ends[1..], ["failed", "failed"], "{told}");
    watchman.end();
    let table = stage.command(&["service", "status"]).await;
    assert!(table.starts_with("NAME") && table.contains("RUNNING") && table.contains("1/1"), "{table}");
    for line in [
        "job_chief_service_state{service_name=\"api\",state=\"RUNNING\"} 1",
        "job_chief_service_state{service_name=\"api\",state=\"RESTART\"} 0",
        "job_chief_service_restarts_total{service_name=\"api\"} 3",
    ] {
        stage.shows(line).await;
    }
}

/// Kills the process of a container that is known by its whole command line, once it is there.
async fn kill(line: &str) {
    eventually(&format!("the process {line:?}"), || async {
        let mut kill = tokio::process::Command::new("pkill");
        kill.args(["-KILL", "-f", &format!("^{line}$")]).status().await.unwrap().success().then_some(())
    })
    .await;
}

#[tokio::test]
async fn any_exit_is_a_reason_to_start_it_again() {
    let mut stage = Stage::set("services-exits").await;
    stage
        .run(json!([service("fine", "sleep 5; exit 0", json!({})), service("bad", "sleep 5; exit 3", json!({}))]))
        .await;
    for (name, outcome, code) in [("fine", "succeeded", Value::Null), ("bad", "failed", json!(3))] {
        let told = stage.up_after(name, 2).await;
        let ended: Vec<&Value> =
            told["runs"].as_array().unwrap().iter().filter(|run| run["outcome"].is_string()).collect();
        assert!(
            ended.len() >= 2 && ended.iter().all(|run| run["outcome"] == outcome && run["exitCode"] == code),
            "{told}"
        );
    }
}

#[tokio::test]
async fn what_is_never_ready_fails_and_what_is_unhealthy_is_restarted() {
    let mut stage = Stage::set("services-checks").await;
    // Long enough for a pod to run on a busy machine.
    let never = json!({"quiet": true, "startTimeout": "45s", "waitTimeAfterTimeout": "1h", "backoff": {"max": "1h"},
        "readiness": {"exec": {"command": ["false"]}, "periodSeconds": 1}});
    // It serves until its server is killed; then nobody listens, and its container runs on.
    let server = format!("httpd -f -p 8080 -h /tmp/{}", stage.name);
    let page = format!(
        "mkdir -p /tmp/{0}; echo ok > /tmp/{0}/health; {server} & trap 'exit 0' TERM; while :; do sleep 0.5; done",
        stage.name
    );
    let http =
        |path: &str| json!({"ports": [8080], "unhealthyThreshold": 2, "check": {"http": {"port": 8080, "path": path}}});
    let wrong =
        with(http("/wrong"), json!({"startTimeout": "45s", "waitTimeAfterTimeout": "1h", "backoff": {"max": "1h"}}));
    let serves = "mkdir -p /tmp/www; httpd -p 8080 -h /tmp/www; trap 'exit 0' TERM; sleep 36000 & wait";
    let jobs =
        json!([service("never", IDLE, never), service("web", &page, http("/health")), service("wrong", serves, wrong)]);
    stage.run(jobs).await;
    stage.in_state("web", "RUNNING").await;
    kill(&server).await;
    let told = stage.in_state("never", "FAILED").await;
    assert_eq!(told["error"], "start timed out: not ready (the pod is not ready)", "{told}");
    let is_end = |line: &&str| line.contains("a run ended") && line.contains("-e2e-never-");
    let end = eventually("its end in the log", || async { stage.log().lines().find(is_end).map(str::to_owned) }).await;
    assert!(end.to_uppercase().contains("DEBUG"), "quiet: {end}");
    let told = stage.in_state("wrong", "FAILED").await;
    assert!(told["error"].as_str().unwrap().contains("GET /wrong answers 404"), "{told}");
    let told = stage.up_after("web", 1).await;
    let ended = told["runs"].as_array().unwrap().iter().find(|run| run["outcome"].is_string()).unwrap();
    assert_eq!((&ended["outcome"], &ended["reason"]), (&json!("stopped"), &json!("unhealthy")), "{told}");
    assert!(ended["message"].as_str().unwrap().contains("port 8080"), "{ended}");
    let output = stage.ask(&["service", "status"]).await;
    assert_eq!(output.status.code(), Some(1), "some that should run do not");
    stage.shows("job_chief_service_check_duration_seconds_count{service_name=\"web\"}").await;
}

#[tokio::test]
async fn dependencies_come_first_also_for_queues() {
    let mut stage = Stage::set("services-needed").await.with_token();
    let api = service("api", IDLE, json!({"dependsOn": ["redis"]}));
    let work = with(script("work", "true"), json!({"dependsOn": ["api"]}));
    let redis = service("redis", IDLE, json!({"enabled": false}));
    let jobs = json!([work, api, redis]);
    stage.run(jobs).await;
    stage.leads().await;
    stage.send("work", 1).await;
    let told = eventually("api to wait", || async {
        stage.json("/services/api").await.filter(|told| told["error"] == "waits for redis")
    })
    .await;
    assert_eq!(told["state"], "NOT_STARTED");
    assert_eq!(stage.jobs().await.len(), 0, "neither the service nor the queue");
    stage.prints(&["status"], &["waits for api"]).await;
    let refused = stage.ask(&["service", "enable", "api"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("depends on \"redis\", which is disabled"));
    assert_eq!(stage.command(&["service", "enable", "api", "--deps"]).await, "enable: redis, api\n");
    stage.in_state("api", "RUNNING").await;
    assert_eq!(stage.ended("work", 1).await[0]["outcome"], "succeeded");

    // And the other way round: who needs it stops first.
    assert_eq!(stage.command(&["service", "stop", "redis", "--deps"]).await, "stop: api, redis\n");
    eventually("both to be gone", || async { stage.pods().await.iter().all(|pod| !is_running(pod)).then_some(()) })
        .await;
    stage.send("work", 1).await;
    assert_eq!(stage.command(&["service", "start", "api"]).await, "start: redis, api\n");
    stage.ended("work", 2).await;
    let order = "select count(*) from chief.runs as api join chief.runs as redis on redis.job_config = 'redis' and api.job_config = 'api'
        where api.ended_at is not null and redis.ended_at is not null and api.ended_at > redis.ended_at";
    assert_eq!(stage.count(order).await, 0, "api ended before redis");
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

#[tokio::test]
async fn a_changed_entry_is_replaced_and_one_that_left_is_stopped() {
    let mut stage = Stage::set("services-changed").await;
    let jobs = |version: &str| {
        json!([
            service("api", IDLE, json!({"replicas": 2, "podConfig": {"env": [{"name": "V", "value": version}]}})),
            script("q", "true")
        ])
    };
    stage.run(jobs("1")).await;
    let before = stage.in_state("api", "RUNNING").await;
    assert_eq!(before["ready"], 2);
    let watchman = Watchman::begin(&stage, 2);
    stage.write_jobs(&jobs("2").to_string());
    let replaced = "select count(*) from chief.runs where reason = 'replaced'";
    eventually("the new generation", || async {
        let told = stage.json("/services/api").await?;
        let is_new = told["generation"] != before["generation"] && stage.count(replaced).await == 2;
        let is_up = told["state"] == "RUNNING" && told["ready"] == 2 && told["live"].as_array()?.len() == 2;
        (is_new && is_up).then_some(())
    })
    .await;
    watchman.end();
    stage.write_jobs(&json!([script("q", "true")]).to_string());
    eventually("it to be gone", || async {
        (stage.get("/services/api").await?.0 == 404
            && stage.jobs().await.iter().all(|job| job.status.as_ref().is_some_and(|it| it.active.is_none())))
        .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stop_survives_a_restart_and_every_verb_does_what_it_says() {
    let mut stage = Stage::set("services-verbs").await.with_token();
    let jobs = json!([service("api", IDLE, json!({})), service("other", IDLE, json!({}))]);
    stage.run(jobs.clone()).await;
    stage.in_state("api", "RUNNING").await;
    stage.in_state("other", "RUNNING").await;
    let other = stage.job_of("other").await;
    assert_eq!(stage.command(&["service", "stop", "api", "--why", "the deploy"]).await, "stop: api\n");
    let told = stage.in_state("api", "NOT_STARTED").await;
    assert_eq!(
        (&told["desired"], &told["said"]["who"], &told["said"]["why"]),
        (&json!("stopped"), &json!("ann"), &json!("the deploy"))
    );
    stage.kill().await;
    stage.run(jobs.clone()).await;
    stage.leads().await;
    stage.in_state("other", "RUNNING").await;
    assert_eq!(stage.job_of("other").await, other, "what runs is left alone");
    assert_eq!(stage.json("/services/api").await.unwrap()["state"], "NOT_STARTED", "the stop sticks");
    assert!(stage.ask(&["service", "status"]).await.status.success(), "what is stopped need not run");
    stage.command(&["service", "start", "api"]).await;
    stage.in_state("api", "RUNNING").await;

    let before = stage.job_of("other").await;
    stage.command(&["service", "restart", "other"]).await;
    eventually("another Job", || async {
        let told = stage.json("/services/other").await?;
        (told["state"] == "RUNNING" && told["live"][0]["job"] != before.as_str()).then_some(())
    })
    .await;
    stage.command(&["service", "disable", "other"]).await;
    stage.in_state("other", "DISABLED").await;
    stage.command(&["service", "enable", "other"]).await;
    stage.in_state("other", "RUNNING").await;
    let refused = stage.ask(&["service", "stop", "apy", "other"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is no service \"apy\" (did you mean \"api\"?)"));
    stage.in_state("other", "NOT_STARTED").await;
    let details = stage.command(&["service", "status", "other"]).await;
    assert!(details.contains("stop by ann at") && details.contains("stopped: unwanted"), "{details}");
}

/// A kubeconfig of somebody who has the Role of `deploy/`, and this more.
async fn limited(stage: &Stage, more: Option<Value>) -> String {
    stage.create::<ServiceAccount>(json!({"metadata": {"name": "limited"}})).await;
    let text = std::fs::read_to_string(format!("{}/deploy/role.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut role: Value = serde_yaml_ng::from_str(&text).unwrap();
    role["rules"].as_array_mut().unwrap().extend(more);
    stage.create::<Role>(role).await;
    stage
        .create::<RoleBinding>(json!({
            "metadata": {"name": "limited"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "job-chief"},
            "subjects": [{"kind": "ServiceAccount", "name": "limited", "namespace": stage.name}],
        }))
        .await;
    let asked = serde_json::from_value(json!({"spec": {"audiences": []}})).unwrap();
    let accounts = stage.api::<ServiceAccount>();
    let token = accounts.create_token_request("limited", &kube::api::PostParams::default(), &asked).await.unwrap();
    let text = std::fs::read_to_string(stage.site.text("kubeconfig")).unwrap();
    let mut config: Value = serde_yaml_ng::from_str(&text).unwrap();
    config["users"][0]["user"] = json!({"token": token.status.unwrap().token});
    let path = stage.folder.path().join("limited.kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn halt_kills_where_the_role_allows_it_and_says_so_where_it_does_not() {
    let delete_pods = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]});
    let cases = [("services-halt", Some(delete_pods)), ("services-no-halt", None)].map(|(name, more)| async move {
        let may = more.is_some();
        let mut stage = Stage::set(name).await.with_token();
        stage.kubeconfig = Some(limited(&stage, more).await);
        // It takes no notice of SIGTERM, and has an hour to do so.
        let stubborn = service("api", "trap '' TERM; while :; do sleep 0.2; done", json!({"stopTimeout": "1h"}));
        stage.run(json!([stubborn])).await;
        stage.in_state("api", "RUNNING").await;
        stage.command(&["service", "stop", "api"]).await;
        stage.in_state("api", "NOT_STARTED").await;
        let pod = stage.pods().await.remove(0).metadata.name.unwrap();
        stage.command(&["service", "halt", "api"]).await;
        if may {
            eventually("its pod to be gone", || async { stage.pods().await.is_empty().then_some(()) }).await;
            stage.command(&["service", "start", "api"]).await;
            stage.in_state("api", "RUNNING").await;
        } else {
            let told = stage.in_state("api", "FAILED").await;
            assert!(told["error"].as_str().unwrap().starts_with("could not halt"), "{told}");
            stage.command(&["service", "start", "api"]).await;
            assert_eq!(stage.jobs().await.len(), 1, "never started beside it");
            let now = DeleteParams::default().grace_period(0);
            stage.api::<Pod>().delete(&pod, &now).await.unwrap();
            stage.in_state("api", "RUNNING").await;
        }
    });
    futures::future::join_all(cases).await;
}

#[tokio::test]
async fn a_follower_takes_over_and_leaves_what_runs_alone() {
    let mut first = Stage::set("services-replicas").await;
    let jobs = json!([service("api", IDLE, json!({"replicas": 2}))]);
    first.run(jobs.clone()).await;
    first.in_state("api", "RUNNING").await;
    let mut second = first.beside().await;
    second.run(jobs).await;
    eventually("the follower to show it", || async {
        (second.json("/services/api").await?["ready"] == 2).then_some(())
    })
    .await;
    let before: Vec<_> = first.jobs().await.into_iter().map(|job| job.metadata.name).collect();
    let watchman = Watchman::begin(&first, 2);
    first.kill().await;
    second.leads().await;
    second.in_state("api", "RUNNING").await;
    let after: Vec<_> = second.jobs().await.into_iter().map(|job| job.metadata.name).collect();
    assert_eq!(before, after, "nothing was started anew");
    // A replica that is lost now is replaced by the second.
    let lost = after[0].clone().unwrap();
    // Held by a finalizer, it hangs in Terminating, and its replica is not started beside it.
    let held = json!({"metadata": {"finalizers": ["job-chief.test/held"]}});
    second.api::<Job>().patch(&lost, &PatchParams::default(), &Patch::Merge(held)).await.unwrap();
    second.api::<Job>().delete(&lost, &DeleteParams::foreground()).await.unwrap();
    let finalizers = || async { second.api::<Job>().get(&lost).await.ok()?.metadata.finalizers };
    eventually("nothing else to hold it", || async {
        finalizers().await.is_some_and(|all| all == ["job-chief.test/held"]).then_some(())
    })
    .await;
    eventually("it to hang", || async {
        (second.json("/services/api").await?["phase"]["terminating"] == 1).then_some(())
    })
    .await;
    assert_eq!(second.jobs().await.len(), 2);
    let free = json!({"metadata": {"finalizers": null}});
    second.api::<Job>().patch(&lost, &PatchParams::default(), &Patch::Merge(free)).await.unwrap();
    second.up_after("api", 1).await;
    watchman.end();
}
