//! Each wrong value is refused with one sentence that says where and what.

use std::fmt::Write;

use crate::release::refusal;

/// What is laid over the minimal values.
const WRONG: [&str; 40] = [
    // The shape.
    r#"replicas=3"#,
    r#"replicaCount="2""#,
    r#"image={"repo":"x"}"#,
    r#"image.digest="latest""#,
    r#"imagePullPolicy="Sometimes""#,
    r#"env.port=70000"#,
    r#"env.instanceUid="Has Capitals""#,
    r#"env.logLevel="loud""#,
    r#"dbConfig.passwort="x""#,
    r#"dbConfig.monitorStateIntervalSeconds="often""#,
    r#"dbConfig.url="mysql://x""#,
    r#"dbConfig.urlSecret="name""#,
    r#"resources={"limits":{"memory":"128mi"}}"#,
    r#"resources={"cpu":1}"#,
    r#"terminationGracePeriodSeconds=5"#,
    r#"jobs={"job":[]}"#,
    r#"podMonitor.interval="often""#,
    r#"prometheusRule.matchers="namespace=media""#,
    r#"prometheusRule.runbookBase="docs""#,
    r#"prometheusRule.alerts={"JobChiefTwoLeaders":{"for":"long"}}"#,
    r#"rbac.apply="yes""#,
    r#"modules.configMaps=[{"name":"Redis","configMap":"m","items":[{"key":"a.yaml"}]}]"#,
    r#"modules.configMaps=[{"name":"redis","configMap":"m","items":[{"key":"a.yaml","path":"../a.yaml"}]}]"#,
    r#"modules.configMaps=[{"name":"redis","configMap":"m"}]"#,
    // What fits together.
    r#"modules={"volume":{"emptyDir":{}},"configMaps":[{"name":"a","configMap":"b","items":[{"key":"c"}]}]}"#,
    r#"jobs=[]"#,
    r#"jobs={"defaults":{}}"#,
    r#"jobsJson="[]""#,
    r#"dbConfig.urlSecret.name="""#,
    r#"dbConfig={"urlSecret":{"name":""},"host":"h"}"#,
    r#"dbConfig.url="postgres://a""#,
    r#"dbConfig.sslAuth.enabled=true"#,
    r#"migrate.enabled=true"#,
    r#"serviceMonitor.enabled=true,service.enabled=false"#,
    r#"prometheusRule={"enabled":true,"alerts":{"MessageTooOld":{"threshold":1}}}"#,
    r#"prometheusRule={"enabled":true,"alerts":{"JobChiefServiceDown":{"threshold":3}}}"#,
    r#"jobs=null,jobsJson="[{""#,
    r#"jobs=null,jobsJson="{\"jobs\": []} // none""#,
    r#"jobs=[{"type":"service","name":"My_API","ports":[80]}]"#,
    r#"image={"repository":"a/k8s-job-chief","tag":"v1.1.1"}"#,
];

#[test]
fn each_wrong_value_gets_a_sentence() {
    let mut told = String::new();
    for values in WRONG {
        writeln!(told, "{values}\n    {}", refusal(values)).unwrap();
    }
    insta::assert_snapshot!("refusals", told);
}
