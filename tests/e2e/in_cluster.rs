//! The image that the Dockerfile makes, as a Deployment under the Role of `deploy/` and nothing else.

use std::collections::BTreeSet;

use k8s_openapi::api::{
    apps::v1::Deployment,
    authorization::v1::SelfSubjectAccessReview,
    core::v1::{ConfigMap, Pod, Secret, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::stage::{Stage, eventually, script, with};

/// The name of the pod that is ready, another than `before`.
pub(crate) async fn ready_pod(stage: &Stage, before: Option<&str>) -> String {
    eventually("a ready pod of job-chief", || async {
        let ours = ListParams::default().labels("app.kubernetes.io/name=job-chief");
        let pods = stage.api::<Pod>().list(&ours).await.ok()?;
        let is_ready = |pod: &&Pod| {
            let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            pod.metadata.name.as_deref() != before
                && conditions.into_iter().any(|it| it.type_ == "Ready" && it.status == "True")
        };
        pods.items.iter().find(is_ready)?.metadata.name.clone()
    })
    .await
}

/// The manifests that the README has people apply, with this stage's settings.
pub(crate) async fn deploy(stage: &Stage, role: Value, jobs: &Value) {
    deploy_with(stage, role, jobs, |_| {}).await;
}

/// The same with something changed in the Deployment.
pub(crate) async fn deploy_with(stage: &Stage, role: Value, jobs: &Value, change: impl FnOnce(&mut Value)) {
    let site = &stage.site;
    stage.create::<ServiceAccount>(json!({"metadata": {"name": "job-chief"}})).await;
    stage.create::<Role>(role).await;
    let mut manifests: Vec<Value> = yaml("deploy/job-chief.yaml");
    let mut take = |kind: &str| manifests.remove(manifests.iter().position(|object| object["kind"] == kind).unwrap());
    let (binding, mut settings, mut secret, mut deployment) =
        (take("RoleBinding"), take("ConfigMap"), take("Secret"), take("Deployment"));
    stage.create::<RoleBinding>(binding).await;
    settings["data"]["jobs.json"] = json!(jobs.to_string());
    stage.create::<ConfigMap>(settings).await;
    secret["stringData"]["DATABASE_URL"] = json!(site.database_url(&stage.database()));
    stage.create::<Secret>(secret).await;
    let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
    container["image"] = json!("job-chief.test/job-chief:dev");
    container["imagePullPolicy"] = json!("Never");
    // The one whose log is read is the one that acts.
    deployment["spec"]["replicas"] = json!(1);
    change(&mut deployment);
    stage.create::<Deployment>(deployment).await;
}

pub(crate) fn yaml(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    text.split("\n---\n").map(|document| serde_yaml_ng::from_str(document).unwrap()).collect()
}

/// The log of the Deployment's pod, once a line of it has all these words.
async fn logged(stage: &Stage, words: &[&str]) -> String {
    eventually(&format!("a log line with {words:?}"), || async {
        let ours = ListParams::default().labels("app.kubernetes.io/name=job-chief");
        let pods = stage.api::<Pod>().list(&ours).await.ok()?;
        let name = pods.items.first()?.metadata.name.clone()?;
        let log = stage.api::<Pod>().logs(&name, &kube::api::LogParams::default()).await.ok()?;
        // What it said before it was started anew, if it was.
        let previous = kube::api::LogParams { previous: true, ..kube::api::LogParams::default() };
        let log = stage.api::<Pod>().logs(&name, &previous).await.unwrap_or_default() + &log;
        log.lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(log)
    })
    .await
}

#[tokio::test]
async fn the_deployment_works_with_the_role_alone() {
    let stage = Stage::set("in-cluster").await;
    // A Job that starts, is given up and deleted, and one that succeeds: every verb is used.
    let given_up = with(
        script("stuck", "true"),
        json!({"jobStartTimeout": "2s", "podConfig": {"resources": {"requests": {"cpu": "900"}}}}),
    );
    deploy(&stage, yaml("deploy/role.yaml").remove(0), &json!([script("work", "true"), given_up])).await;
    logged(&stage, &["kubernetes", "works"]).await;
    stage.send("work", 1).await;
    stage.send("stuck", 1).await;
    let log = logged(&stage, &["a run ended", "start_timed_out"]).await;
    assert!(!log.contains(stage.site.text("postgresPassword")), "the password stands in the log");
    logged(&stage, &["a run ended", "succeeded"]).await;
    let recorded = "select count(distinct outcome) from chief.runs where outcome in ('succeeded', 'start_timed_out')";
    eventually("both to be on record", || async { (stage.count(recorded).await == 2).then_some(()) }).await;
}

/// Every verb of the Role is asked for by its use, and the Role grants nothing else.
#[tokio::test]
async fn without_a_verb_it_fails_and_says_so() {
    let verbs = [
        ("jobs", "get"),
        ("jobs", "list"),
        ("jobs", "watch"),
        ("jobs", "create"),
        ("jobs", "delete"),
        ("pods", "list"),
        ("pods", "watch"),
    ];
    let cases = verbs.map(|(resource, verb)| async move {
        let stage = Stage::set(&format!("in-cluster-no-{verb}-{resource}")).await;
        let mut role = yaml("deploy/role.yaml").remove(0);
        let rule =
            role["rules"].as_array_mut().unwrap().iter_mut().find(|rule| rule["resources"][0] == resource).unwrap();
        let before = rule["verbs"].as_array().unwrap().len();
        rule["verbs"].as_array_mut().unwrap().retain(|granted| granted != verb);
        assert_eq!(rule["verbs"].as_array().unwrap().len(), before - 1, "the Role has {verb} on {resource}");
        let stuck = with(
            script("stuck", "true"),
            json!({"jobStartTimeout": "2s", "podConfig": {"resources": {"requests": {"cpu": "900"}}}}),
        );
        deploy(&stage, role, &json!([stuck])).await;
        stage.send("stuck", 1).await;
        let refused: &[&str] = match (resource, verb) {
            ("jobs", "create") => &["refused a Job", "forbidden"],
            // Looked at live before it is given up, then deleted: without either the Job stays.
            ("jobs", "get" | "delete") => &["the API server refused", verb],
            _ => &["kubernetes", "does not work", "forbidden"],
        };
        logged(&stage, &["schema", "works"]).await;
        logged(&stage, refused).await;
        let ended = stage.count("select count(*) from chief.runs where outcome = 'start_timed_out'").await;
        assert_eq!(ended, 0, "{verb} on {resource}");
    });
    futures::future::join_all(cases).await;
}

/// What the Role grants is what the test above takes away, verb by verb.
#[tokio::test]
async fn the_role_has_no_verb_that_is_not_tested() {
    let role = yaml("deploy/role.yaml").remove(0);
    let granted: BTreeSet<(String, String)> = role["rules"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|rule| {
            let resource = rule["resources"][0].as_str().unwrap().to_owned();
            rule["verbs"]
                .as_array()
                .unwrap()
                .iter()
                .map(move |verb| (resource.clone(), verb.as_str().unwrap().to_owned()))
        })
        .collect();
    assert_eq!(granted.len(), 7);
    // The cluster's own review agrees that the administrator of the tests may do more: the Role is what limits.
    let stage = Stage::set("in-cluster-role").await;
    let reviews: kube::Api<SelfSubjectAccessReview> = kube::Api::all(stage.client.clone());
    let review = json!({"spec": {"resourceAttributes": {"namespace": stage.name, "verb": "patch", "group": "batch", "resource": "jobs"}}});
    let answer =
        reviews.create(&kube::api::PostParams::default(), &serde_json::from_value(review).unwrap()).await.unwrap();
    assert!(answer.status.unwrap().allowed);
}
