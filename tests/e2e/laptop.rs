//! The commands from outside the cluster: through the API server, with the rights of whoever asks.

use k8s_openapi::api::{
    core::v1::{Pod, Secret, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    in_cluster::{deploy_with, ready_pod, yaml},
    stage::{Stage, eventually, script},
};

/// The executable as it was built, or under the name that kubectl looks for.
const PROGRAM: &str = env!("CARGO_BIN_EXE_job-chief");

/// Somebody with these rights and no others: the path of their kubeconfig.
pub(crate) async fn somebody(stage: &Stage, name: &str, rules: Value) -> String {
    let metadata = json!({"name": name});
    stage.create::<ServiceAccount>(json!({"metadata": metadata})).await;
    stage.create::<Role>(json!({"metadata": metadata, "rules": rules})).await;
    stage
        .create::<RoleBinding>(json!({
            "metadata": metadata, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": stage.name}],
        }))
        .await;
    let asked = serde_json::from_value(json!({"spec": {"audiences": []}})).unwrap();
    let accounts = stage.api::<ServiceAccount>();
    let token = accounts.create_token_request(name, &PostParams::default(), &asked).await.unwrap();
    let text = std::fs::read_to_string(stage.site.text("kubeconfig")).unwrap();
    let mut config: Value = serde_yaml_ng::from_str(&text).unwrap();
    config["users"][0]["user"] = json!({"token": token.status.unwrap().token});
    let path = stage.folder.path().join(format!("{name}.kubeconfig"));
    std::fs::write(&path, config.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The rights that docs/cli.md names.
fn operators() -> Value {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md")).unwrap();
    let (_, role) = page.split_once("```yaml\n").unwrap();
    let (role, _) = role.split_once("```").unwrap();
    let role: Value = serde_yaml_ng::from_str(role).unwrap();
    role["rules"].clone()
}

/// Exit code, standard output and standard error of a command of this person.
async fn told(stage: &Stage, program: &str, kubeconfig: &str, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(program);
    command.args(["--context", "job-chief-test", "--kubeconfig", kubeconfig, "--namespace", &stage.name]).args(words);
    command.env_clear().env("JOB_CHIEF_TOKEN", "canary-token").env("USER", "ann");
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The Deployment with a token, and its ready pod.
async fn deployed(stage: &Stage) -> String {
    stage.create::<Secret>(json!({"metadata": {"name": "tokens"}, "stringData": {"token": "canary-token"}})).await;
    let with_token = |deployment: &mut Value| {
        let pod = &mut deployment["spec"]["template"]["spec"];
        pod["volumes"].as_array_mut().unwrap().push(json!({"name": "tokens", "secret": {"secretName": "tokens"}}));
        let container = &mut pod["containers"][0];
        let mount = json!({"name": "tokens", "mountPath": "/etc/tokens"});
        container["volumeMounts"].as_array_mut().unwrap().push(mount);
        container["env"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "SERVER_TOKEN_FILE", "value": "/etc/tokens/token"}));
    };
    deploy_with(stage, yaml("deploy/role.yaml").remove(0), &json!([script("work", "true")]), with_token).await;
    ready_pod(stage, None).await
}

#[tokio::test]
async fn who_may_asks_and_switches_through_the_api_server() {
    let stage = Stage::set("laptop").await;
    let operator = somebody(&stage, "operator", operators()).await;
    let first = deployed(&stage).await;
    let (first, operator) = (first.as_str(), operator.as_str());
    let ask = async |words: &[&str]| {
        let (code, out, err) = told(&stage, PROGRAM, operator, words).await;
        assert_eq!(code, 0, "{words:?}: {err}");
        out
    };
    eventually("it to lead, and the rights to be in force", || async {
        let (code, out, _) = told(&stage, PROGRAM, operator, &["status"]).await;
        (code == 0 && out.contains("led by")).then_some(())
    })
    .await;
    assert_eq!(ask(&["pause", "work", "--why", "the deploy"]).await, "work paused\n");
    eventually("it to be paused", || async { ask(&["status", "work"]).await.contains("paused by ann").then_some(()) })
        .await;
    eventually("the reason", || async { ask(&["why", "work"]).await.contains("(the deploy)").then_some(()) }).await;
    let status: Value = serde_json::from_str(&ask(&["status", "-o", "json"]).await).unwrap();
    assert_eq!((&status["jobs"][0]["name"], &status["members"]["leads"]), (&json!("work"), &json!(true)));

    // As a plugin of kubectl it is the same, and another pod is found after the first.
    let plugin = stage.folder.path().join("kubectl-job_chief");
    std::os::unix::fs::symlink(PROGRAM, &plugin).unwrap();
    stage.api::<Pod>().delete(first, &DeleteParams::default()).await.unwrap();
    ready_pod(&stage, Some(first)).await;
    // While the first one leaves, whoever is sent to it may find it gone.
    eventually("the other pod to be asked", || async {
        let (code, out, _) = told(&stage, plugin.to_str().unwrap(), operator, &["status"]).await;
        (code == 0 && out.contains("work")).then_some(())
    })
    .await;
    eventually("the first one to be gone", || async {
        stage.api::<Pod>().get_opt(first).await.is_ok_and(|pod| pod.is_none()).then_some(())
    })
    .await;

    let (code, _, err) = told(&stage, PROGRAM, operator, &["status", "wrok"]).await;
    assert!(code == 1 && err.contains("did you mean \"work\"?"), "{err}");
    let (code, _, err) = told(&stage, PROGRAM, operator, &["status", "--instance", "other"]).await;
    assert!(code == 1 && err.contains("app.kubernetes.io/instance=other"), "{err}");
}

#[tokio::test]
async fn who_may_not_is_told_which_right_is_missing() {
    let stage = Stage::set("laptop-no-rights").await;
    let nobody = somebody(&stage, "nobody", json!([])).await;
    let list = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]);
    let looker = somebody(&stage, "looker", list).await;
    deployed(&stage).await;
    let (code, _, err) = told(&stage, PROGRAM, &nobody, &["status"]).await;
    assert!(code == 1 && err.contains("you may not list pods in the namespace"), "{err}");
    let wanted = ["you may not get pods/portforward", "you may not create pods/portforward"];
    let err = eventually("the right to list to be in force", || async {
        let (code, _, err) = told(&stage, PROGRAM, &looker, &["pause", "work"]).await;
        (code == 1 && wanted.iter().any(|text| err.contains(text))).then_some(err)
    })
    .await;
    assert!(err.contains("`list` on `pods`, and `get` and `create` on `pods/portforward`"), "{err}");
}
