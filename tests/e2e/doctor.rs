//! `doctor` on a real cluster: what it finds well, what is refused, and what goes on when something is away.

use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::{LimitRange, ResourceQuota, Secret, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use crate::{
    chart::try_kubectl,
    in_cluster::{deploy, ready_pod, yaml},
    outages::behind_wire,
    services::service,
    stage::{PATIENCE, Stage, eventually, script, with},
};

/// What stands in a Secret of these cases.
const CANARY: &str = "canary-of-the-doctor";

/// What doctor found, and its exit code.
struct Told {
    code: i32,
    lines: Vec<Value>,
    text: String,
}

impl Told {
    /// The lines of a check.
    fn of(&self, check: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["check"] == check).collect()
    }

    /// A line of a check has this verdict and these words.
    #[track_caller]
    fn has(&self, check: &str, verdict: &str, words: &str) {
        let is_it = |line: &&Value| line["verdict"] == verdict && line.to_string().contains(words);
        assert!(self.of(check).iter().any(is_it), "{check} {verdict} {words}: {}", self.text);
    }

    /// The verdicts of a check.
    fn verdicts(&self, check: &str) -> Vec<&str> {
        self.of(check).iter().map(|line| line["verdict"].as_str().unwrap()).collect()
    }
}

/// Examines the stage with the administrator's kubeconfig, or another one.
async fn doctor(stage: &Stage) -> Told {
    let kubeconfig = stage.kubeconfig.as_deref().unwrap_or_else(|| stage.site.text("kubeconfig"));
    examined(stage, &["--context", "job-chief-test", "--kubeconfig", kubeconfig]).await
}

async fn examined(stage: &Stage, words: &[&str]) -> Told {
    let output = stage.beside_it(&[&["doctor", "--output", "json"], words].concat()).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    let lines = told["checks"].as_array().unwrap().clone();
    Told { code: output.status.code().unwrap(), lines, text }
}

/// The same, once it is so: a Role that was made reaches those who judge by it a moment later.
async fn doctor_finds(stage: &Stage, is_so: impl Fn(&Told) -> bool) -> Told {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let told = doctor(stage).await;
        if is_so(&told) {
            return told;
        }
        assert!(tokio::time::Instant::now() < end, "{}", told.text);
    }
}

fn jobs() -> Value {
    json!([script("work", "true"), service("web", "sleep 36000", json!({"enabled": false}))])
}

#[tokio::test]
async fn where_all_is_well_it_says_so_and_changes_nothing() {
    let mut stage = Stage::set("doctor-well").await;
    stage.send("work", 0).await;
    stage.run(jobs()).await;
    stage.leads().await;
    let told = doctor_finds(&stage, |told| told.code == 0).await;
    for check in ["Postgres", "grants", "pg-boss", "queues", "LISTEN", "schema", "leader", "API server", "API clock"] {
        assert_eq!(told.verdicts(check), ["ok"], "{check}: {}", told.text);
    }
    told.has("verbs", "ok", "create, delete, get, list, watch jobs and list, watch pods");
    told.has("Jobs", "ok", "the Jobs of 2 of 2: work, web");
    told.has("pods", "ok", "the pods of 2 of 2");
    told.has("references", "ok", "no Secret");
    assert_eq!((stage.jobs().await.len(), stage.pods().await.len()), (0, 0), "nothing was created");
    let kubeconfig = stage.site.text("kubeconfig");
    let table = stage.beside_it(&["doctor", "--context", "job-chief-test", "--kubeconfig", kubeconfig]).await;
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    assert!(table.contains("\nok       API server      Kubernetes v1."), "{table}");
    // A follower joins, and the leader goes.
    let mut second = stage.beside().await;
    second.run(jobs()).await;
    eventually("the other one", || async {
        doctor(&stage).await.of("leader")[0].to_string().contains("standing by: ").then_some(())
    })
    .await;
}

/// A kubeconfig of a ServiceAccount that is bound to a Role.
async fn account(stage: &mut Stage, role: Value) {
    stage.create::<ServiceAccount>(json!({"metadata": {"name": "job-chief"}})).await;
    stage.create::<Role>(role).await;
    let binding = yaml("deploy/job-chief.yaml").into_iter().find(|object| object["kind"] == "RoleBinding").unwrap();
    stage.create::<RoleBinding>(binding).await;
    let accounts: Api<ServiceAccount> = stage.api();
    let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": []}})).unwrap();
    let token = accounts.create_token_request("job-chief", &PostParams::default(), &request).await.unwrap();
    let mut config: Value = serde_json::from_slice(&std::fs::read(stage.site.text("kubeconfig")).unwrap()).unwrap();
    config["users"][0]["user"] = json!({"token": token.status.unwrap().token});
    let path = stage.folder.path().join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    stage.kubeconfig = Some(path.to_str().unwrap().to_owned());
}

/// The Role, without a verb.
fn role_without(resource: &str, verb: &str) -> Value {
    let mut role = yaml("deploy/role.yaml").remove(0);
    let rules = role["rules"].as_array_mut().unwrap();
    let rule = rules.iter_mut().find(|rule| rule["resources"][0] == resource).unwrap();
    rule["verbs"].as_array_mut().unwrap().retain(|granted| granted != verb);
    role
}

#[tokio::test]
async fn with_the_role_alone_all_is_well_and_without_a_verb_it_is_named() {
    let whole = async {
        let mut stage = Stage::set("doctor-role").await;
        stage.send("work", 0).await;
        stage
            .write_jobs(&json!([with(script("work", "true"), json!({"podConfig": {"secrets": ["own"]}}))]).to_string());
        account(&mut stage, yaml("deploy/role.yaml").remove(0)).await;
        let told = doctor_finds(&stage, |told| told.code == 0).await;
        told.has("verbs", "ok", &format!("system:serviceaccount:{}:job-chief may", stage.name));
        told.has("verbs", "ok", "not delete pods");
        told.has("Jobs", "ok", "work");
        told.has("pods", "skipped", "need not");
        told.has("references", "skipped", "Secret own: named");
    };
    let lacking = [("jobs", "create"), ("jobs", "delete"), ("pods", "watch")].map(|(resource, verb)| async move {
        let mut stage = Stage::set(&format!("doctor-no-{verb}-{resource}")).await;
        stage.write_jobs(&json!([script("work", "true")]).to_string());
        account(&mut stage, role_without(resource, verb)).await;
        let jobs = [if verb == "create" { "skipped" } else { "ok" }];
        let is_alone = |told: &Told| told.verdicts("verbs").iter().filter(|verdict| **verdict == "failed").count() == 1;
        let told = doctor_finds(&stage, |told| is_alone(told) && told.verdicts("Jobs") == jobs).await;
        assert_eq!(told.code, 1);
        told.has("verbs", "failed", &format!("may not {verb} {resource} in namespace {}", stage.name));
    });
    tokio::join!(whole, futures::future::join_all(lacking));
}

#[tokio::test]
async fn quota_and_limits_are_seen_before_any_job_is_refused() {
    let stage = Stage::set("doctor-refused").await;
    stage
        .create::<ResourceQuota>(json!({"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}))
        .await;
    let limit = json!({"type": "Container", "max": {"cpu": "100m"}, "default": {"cpu": "50m"}});
    stage.create::<LimitRange>(json!({"metadata": {"name": "small"}, "spec": {"limits": [limit]}})).await;
    let large = json!({"podConfig": {"resources": {"limits": {"cpu": "2"}}}});
    let invalid = json!({"jobTemplate": {"spec": {"template": {"spec": {"volumes": [{"name": "Not Valid"}]}}}}});
    let robot = json!({"jobTemplate": {"spec": {"template": {"spec": {"serviceAccountName": "robot"}}}}});
    let entries = [("small", json!({})), ("large", large), ("invalid", invalid), ("robot", robot)];
    let entries: Vec<Value> = entries.into_iter().map(|(name, keys)| with(script(name, "true"), keys)).collect();
    stage.write_jobs(&json!(entries).to_string());
    let refused = ["exceeded quota", "refused for a LimitRange: ", "refused for a ServiceAccount that is not there: "];
    let quota = doctor_finds(&stage, |told| refused.iter().all(|words| told.text.contains(words))).await;
    assert_eq!(quota.code, 1);
    quota.has("Jobs", "failed", "small: refused for a ResourceQuota: ");
    quota.has("Jobs", "failed", "invalid: refused for something that is not valid: ");
    quota.has("pods", "ok", "1 of 4: small");
    quota.has("pods", "failed", "large: refused for a LimitRange: ");
    quota.has("pods", "failed", "robot: refused for a ServiceAccount that is not there: ");
    let nowhere = stage.with("K8S_NAMESPACE", "doctor-nowhere");
    let told = doctor(&nowhere).await;
    told.has("Jobs", "failed", "a namespace that is not there");
}

#[tokio::test]
async fn secrets_that_jobs_name_are_looked_for_and_never_read() {
    let stage = Stage::set("doctor-secrets").await.with("K8S_PULL_SECRET", "pull");
    let keys = json!({"podConfig": {"secrets": ["own"], "configmaps": ["nowhere"]}});
    stage.write_jobs(&json!([with(script("work", "true"), keys)]).to_string());
    stage.create::<Secret>(json!({"metadata": {"name": "own"}, "stringData": {"KEY": CANARY}})).await;
    let told = doctor(&stage).await;
    assert_eq!(told.code, 1);
    told.has("references", "ok", "Secret own");
    told.has("references", "failed", "there is no Secret pull, which Jobs of work name");
    told.has("references", "failed", "there is no ConfigMap nowhere, which Jobs of work name");
    assert!(!told.text.contains(CANARY), "{}", told.text);
}

#[tokio::test]
async fn what_is_away_stops_only_what_needs_it() {
    let (stage, wire) = behind_wire("doctor-away").await;
    stage.write_jobs(&jobs().to_string());
    wire.cut();
    let told = doctor(&stage).await;
    assert_eq!(told.code, 1);
    told.has("Postgres", "failed", "was not reached");
    assert_eq!(told.verdicts("leader"), ["skipped"]);
    assert_eq!((told.verdicts("verbs"), told.verdicts("Jobs")), (vec!["ok"], vec!["ok"]), "{}", told.text);
    wire.mend();
    let kubeconfig = stage.site.text("kubeconfig");
    let told = examined(&stage, &["--context", "nowhere", "--kubeconfig", kubeconfig]).await;
    assert_eq!(told.code, 1);
    told.has("API server", "failed", "nowhere");
    told.has("API server", "failed", "get-contexts");
    assert_eq!((told.verdicts("Postgres"), told.verdicts("Jobs")), (vec!["ok"], vec!["skipped"]), "{}", told.text);
    let away = std::fs::read_to_string(kubeconfig).unwrap().replace(stage.site.text("api"), "127.0.0.1:1");
    let path = stage.folder.path().join("away");
    std::fs::write(&path, away).unwrap();
    let told = examined(&stage, &["--context", "job-chief-test", "--kubeconfig", path.to_str().unwrap()]).await;
    told.has("API server", "failed", "not reached");
    stage.write_jobs("[{}]");
    let told = doctor(&stage).await;
    told.has("jobs.json", "failed", "queueName");
    assert_eq!((told.verdicts("queues"), told.verdicts("Jobs")), (vec!["skipped"], vec!["skipped"]), "{}", told.text);
    assert_eq!((told.verdicts("pg-boss"), told.verdicts("verbs")), (vec!["ok"], vec!["ok"]), "{}", told.text);
}

/// In the image there is nothing but the program, and in the pod its Role and its settings.
#[tokio::test]
async fn it_works_in_the_pod() {
    let stage = Stage::set("doctor-pod").await;
    stage.send("work", 0).await;
    deploy(&stage, yaml("deploy/role.yaml").remove(0), &json!([script("work", "true")])).await;
    ready_pod(&stage, None).await;
    eventually("it to lead", || async {
        let led = stage.count("select count(*) from chief.leadership where holder is not null").await;
        (led == 1).then_some(())
    })
    .await;
    let told = eventually("doctor to find nothing wrong", || async {
        let told = try_kubectl(&stage, &["exec", "deployment/job-chief", "--", "job-chief", "doctor"]).await;
        told.status.success().then(|| String::from_utf8(told.stdout).unwrap())
    })
    .await;
    // Lines break where the name of the namespace has them break.
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("job-chief may create, delete, get, list, watch jobs"), "{told}");
    assert!(!told.contains("failed"), "{told}");
}
