//! A real Prometheus reads two processes while good and bad things happen: every query of the alerts and of the
//! dashboard gives data.

use std::process::{Output, Stdio};

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::api::{DeleteParams, PropagationPolicy};
use serde_json::{Value, json};
use tokio::{
    net::TcpSocket,
    process::{Child, Command},
};

use crate::{
    services::service,
    stage::{Stage, eventually, keep_port, script, with},
};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/job-chief/files/rules.yaml");
const DASHBOARD: &str = include_str!("../../deploy/helm/job-chief/files/dashboard.json");

/// Alerts for which nothing gives cause here, so that what they compare need not have any series.
const SILENT: [&str; 2] = ["JobChiefAbsent", "JobChiefApiRequestsFailing"];

/// What fires here, and by whom: the alerts that wait for nothing else.
const FIRES: [(&str, &str, &str); 3] = [
    ("JobChiefStartFailures", "job_config", "missing"),
    ("JobChiefTookNothing", "job_config", "stuck"),
    ("JobChiefServiceRestarting", "service_name", "weak"),
];

/// A Prometheus on loopback; it ends with the case.
struct Prometheus {
    url: String,
    _process: Child,
    _kept: TcpSocket,
}

impl Prometheus {
    fn start(stage: &Stage, targets: &[u16]) -> Self {
        let (folder, (port, kept)) = (stage.folder.path(), keep_port());
        let targets: Vec<String> = targets.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [RULES],
            "scrape_configs": [{
                "job_name": "job-chief",
                "static_configs": [{"targets": targets, "labels": {"namespace": stage.name}}],
            }],
        });
        std::fs::write(folder.join("prometheus.json"), config.to_string()).unwrap();
        let log = std::fs::File::create(folder.join("prometheus.log")).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "prometheus", "--config.file=prometheus.json"]);
        command.args(["--storage.tsdb.path=prometheus", &format!("--web.listen-address=127.0.0.1:{port}")]);
        command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.kill_on_drop(true).spawn().unwrap();
        Self { url: format!("http://127.0.0.1:{port}"), _process: process, _kept: kept }
    }

    async fn ask(&self, query: &str) -> Output {
        let promtool = ["query", "--format=json", "instant", &self.url, query];
        Command::new("promtool").args(promtool).output().await.unwrap()
    }

    /// Waits until it answers.
    async fn is_ready(&self) {
        eventually("Prometheus to answer", || async { self.ask("vector(1)").await.status.success().then_some(()) })
            .await;
    }

    /// The series of a query; what is no query fails.
    async fn series(&self, query: &str) -> Vec<Value> {
        let output = self.ask(query).await;
        assert!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
        match serde_json::from_slice(&output.stdout).unwrap() {
            Value::Array(series) => series,
            Value::Null => vec![],
            other => panic!("{query}: {other}"),
        }
    }

    /// Waits until a query gives nothing.
    async fn gives_nothing(&self, query: &str) {
        eventually(&format!("nothing of {query}"), || async { self.series(query).await.is_empty().then_some(()) })
            .await;
    }

    /// Asks each query until it has given data.
    async fn give_data(&self, queries: Vec<(String, String)>) {
        for (name, query) in queries {
            eventually(&format!("{name} to give data: {query}"), || async {
                (!self.series(&query).await.is_empty()).then_some(())
            })
            .await;
        }
    }
}

fn rules() -> Vec<Value> {
    let rules: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(RULES).unwrap()).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
}

/// The alerts that fire as soon as there is cause. The others fire when it lasts, and so may what goes wrong here.
fn at_once() -> Vec<String> {
    let at_once = rules().into_iter().filter(|rule| rule["for"].is_null());
    at_once.map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect()
}

/// What each alert compares with its threshold: an alert that is quiet has no series, but this has.
fn alerts() -> Vec<(String, String)> {
    let compared = rules().into_iter().map(|rule| {
        let (rest, _threshold) = rule["expr"].as_str().unwrap().rsplit_once(' ').unwrap();
        let (compared, _comparison) = rest.rsplit_once(' ').unwrap();
        (rule["alert"].as_str().unwrap().to_owned(), compared.to_owned())
    });
    compared.collect()
}

/// The queries of the dashboard's panels, with everything chosen.
fn panels(namespace: &str) -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut queries = vec![];
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let query = query.replace("$namespace", namespace).replace("$job_config", ".*").replace("$job", ".*");
            queries.push((panel["title"].as_str().unwrap().to_owned(), query.replace("$__rate_interval", "1m")));
        }
    }
    queries
}

/// What goes well, and what goes wrong in each way.
fn jobs() -> Value {
    let soon = json!({"waitTimeAfterSuccessfulRun": "100ms", "waitTimeAfterFailedRun": "100ms"});
    let waits = json!({"startErrorGrace": "1s", "waitTimeAfterError": "1s", "backoff": {"max": "3s"}});
    let slow = json!({"jobTemplate": {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 300}}}}});
    // Once, as soon as its service is up.
    let fails = json!({"podConfig": script("backup", "exit 1")["podConfig"], "every": "1h"});
    let shares = json!({"pools": ["narrow"], "maxConcurrentJobs": 2, "targetAge": "1h"});
    let jobs = json!([
        with(script("crowded", "sleep 36000"), shares),
        with(script("stuck", "true"), soon.clone()),
        with(script("bad", "exit 7"), soon),
        with(with(script("missing", "true"), waits), json!({"podConfig": {"image": "job-chief.test/missing:dev"}})),
        with(script("held", "true"), json!({"paused": true})),
        with(script("hangs", "trap '' TERM; while :; do sleep 0.2; done"), slow),
        service("web", "httpd -f -p 8080 -h /tmp", json!({"ports": [8080], "actions": {"backup": fails}})),
        service("weak", "exit 3", json!({})),
    ]);
    json!({"pools": {"narrow": {"jobs": 1}}, "jobs": jobs})
}

impl Stage {
    /// A list of modules, of which one entry can't be deployed.
    fn with_list(self) -> Self {
        let listed = json!({"apiVersion": "job-chief/v1", "kind": "JobConfig", "metadata": {"name": "listed"},
            "spec": script("listed", "true")});
        let list = json!({ &self.name: {"listed": {"listed": {}}, "missing": {"missing": {}}} }).to_string();
        self.with_modules(&[("listed/latest/listed.yaml", listed)]).with("MODULES", &list)
    }
}

/// A Job whose pod does not end when it is told to.
async fn hangs(stage: &Stage) {
    let running = || async { (stage.json("/jobs/hangs").await?["phase"]["running"] == 1).then_some(()) };
    eventually("a Job to run", running).await;
    let live = stage.json("/jobs/hangs").await.unwrap()["live"][0]["job"].as_str().unwrap().to_owned();
    let foreground =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Foreground), ..DeleteParams::default() };
    stage.api::<Job>().delete(&live, &foreground).await.unwrap();
}

#[tokio::test]
async fn every_query_of_alerts_and_dashboard_gives_data() {
    let mut first = Stage::set("prometheus").await.with_list();
    first.run(jobs()).await;
    first.leads().await;
    let mut second = first.beside().await;
    second.run(jobs()).await;
    let prometheus = Prometheus::start(&first, &[first.port, second.port]);
    for queue in ["stuck", "bad", "missing", "held", "hangs"] {
        first.send(queue, 1).await;
    }
    first.send("crowded", 2).await;
    hangs(&first).await;
    prometheus.is_ready().await;
    let mut changed = jobs();
    changed["jobs"][0]["queueCheckInterval"] = json!("400ms");
    first.write_jobs(&changed.to_string());

    let alerts = alerts();
    let (silent, alerts): (Vec<_>, Vec<_>) = alerts.into_iter().partition(|(name, _)| SILENT.contains(&name.as_str()));
    prometheus.give_data(alerts).await;
    prometheus.give_data(panels(&first.name)).await;
    for (name, query) in &silent {
        match name.as_str() {
            "JobChiefAbsent" => prometheus.gives_nothing(query).await,
            // A busy API server may have refused a request; the query is valid all the same.
            _ => drop(prometheus.series(query).await),
        }
    }

    // What does not wait for minutes fires, and for those alone who gave cause.
    for (alert, label, whose) in FIRES {
        let query = format!("ALERTS{{alertstate=\"firing\",alertname=\"{alert}\"}}");
        let fires = || async { prometheus.series(&query).await.into_iter().next() };
        let told = eventually(&format!("{alert} to fire"), fires).await;
        assert_eq!(told["metric"][label], whose, "{told}");
    }
    for alert in at_once().into_iter().filter(|alert| FIRES.iter().all(|(fires, ..)| fires != alert)) {
        let query = format!("ALERTS{{alertstate=\"firing\",alertname=\"{alert}\"}}");
        assert_eq!(prometheus.series(&query).await, [] as [Value; 0]);
    }

    // The hand-over: who follows has the gauges, and each query goes on.
    first.kill().await;
    second.leads().await;
    let of_second = format!("job_chief_queue_messages{{instance=\"127.0.0.1:{}\"}}", second.port);
    prometheus.give_data(vec![("the gauges of the other".to_owned(), of_second)]).await;
    prometheus.gives_nothing("sum by (namespace, job) (job_chief_leader) > 1").await;
    for pod in second.pods().await {
        let (name, at_once) = (pod.metadata.name.unwrap(), DeleteParams::default().grace_period(0));
        second.api::<Pod>().delete(&name, &at_once).await.ok();
    }
}
