//! The alerts and the dashboard: what the chart makes of the files, and that all that belongs together is there.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::{Value, json};

use crate::release::{EVERYTHING, MINIMAL, object, objects};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const ON: &[&str] = &["--set", "prometheusRule.enabled=true,dashboard.enabled=true"];

fn read(path: &str) -> String {
    fs::read_to_string(format!("{ROOT}/{path}")).unwrap()
}

fn rules(groups: &Value) -> Vec<Value> {
    groups.as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// The alerts of the file, as any Prometheus reads it.
fn shipped() -> Vec<Value> {
    let file: Value = serde_yaml_ng::from_str(&read("deploy/helm/job-chief/files/rules.yaml")).unwrap();
    rules(&file["groups"])
}

fn rendered(values: &[&str]) -> Value {
    object(values, "PrometheusRule", "job-chief")["spec"]["groups"].clone()
}

fn name(rule: &Value) -> &str {
    rule["alert"].as_str().unwrap()
}

/// Prometheus' own tool reads what the chart renders, and no query leaves the namespace.
#[test]
fn the_charts_rules_are_valid_and_ask_for_the_namespace_of_the_release() {
    for (values, matchers) in
        [(&[MINIMAL, ON].concat()[..], "namespace=\"media\""), (EVERYTHING, "namespace=\"media\",cluster=\"a\"")]
    {
        let groups = rendered(values);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), json!({ "groups": groups }).to_string()).unwrap();
        let checked = Command::new("promtool").args(["check", "rules"]).arg(file.path()).output();
        let checked = checked.expect("cargo xtask test installs promtool");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        for rule in rules(&groups) {
            let query = rule["expr"].as_str().unwrap();
            let asked = query.matches('{').count();
            assert_eq!((query.matches(&format!("{{{matchers}")).count(), asked), (asked, asked), "{query}");
        }
    }
}

#[test]
fn an_alert_is_as_its_values_say_and_else_as_it_is_shipped() {
    let by_name = |values: &[&str], wanted: &str| {
        rules(&rendered(values)).into_iter().find(|rule| name(rule) == wanted).unwrap_or_default()
    };
    let plain = by_name(&[MINIMAL, ON].concat(), "JobChiefMessageTooOld");
    let shipped = shipped().into_iter().find(|rule| name(rule) == "JobChiefMessageTooOld").unwrap();
    for key in ["for", "labels", "annotations"] {
        assert_eq!(plain[key], shipped[key]);
    }
    let changed = by_name(EVERYTHING, "JobChiefMessageTooOld");
    assert!(changed["expr"].as_str().unwrap().ends_with(" > 3600"), "{changed}");
    assert_eq!(
        (&changed["for"], &changed["labels"]),
        (&json!("10m"), &json!({"severity": "critical", "team": "media"}))
    );
    assert_eq!(changed["annotations"]["summary"], shipped["annotations"]["summary"]);
    assert_eq!(
        changed["annotations"]["runbook_url"],
        "https://runbooks.example.com/chief/runbooks/JobChiefMessageTooOld.md"
    );
    let one = by_name(EVERYTHING, "JobChiefApiRequestsFailing");
    assert!(one["expr"].as_str().unwrap().ends_with(" > 0.25"), "{one}");
    assert_eq!(by_name(EVERYTHING, "JobChiefTwoLeaders"), Value::Null, "it is off");
}

#[test]
fn each_alert_has_a_severity_a_summary_a_threshold_and_a_page_and_no_page_is_left_over() {
    let mut pages = BTreeSet::new();
    for rule in shipped() {
        let (name, annotations) = (name(&rule).to_owned(), &rule["annotations"]);
        assert!(["critical", "warning", "info"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{rule}");
        for key in ["summary", "description"] {
            assert!(annotations[key].as_str().is_some_and(|text| text.ends_with('.')), "{key} of {rule}");
        }
        assert!(annotations["runbook_url"].as_str().unwrap().ends_with(&format!("/runbooks/{name}.md")), "{rule}");
        let words: Vec<&str> = rule["expr"].as_str().unwrap().rsplit(' ').take(2).collect();
        assert!(words[0].parse::<f64>().is_ok() && ["==", ">", ">="].contains(&words[1]), "{rule}");
        let page = read(&format!("docs/runbooks/{name}.md"));
        let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let expected = ["What you see", "What it means", "First look", "What to do", "When it is not urgent"];
        assert_eq!((page.lines().next(), &headings[..]), (Some(&*format!("# {name}")), &expected[..]));
        assert!(pages.insert(format!("{name}.md")), "{name} is there twice");
    }
    let found = fs::read_dir(format!("{ROOT}/docs/runbooks")).unwrap();
    let found: BTreeSet<String> = found.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, pages);
}

/// Every alert is held to when it fires by a case, and at least one case wants it to.
#[test]
fn each_alert_has_a_case_in_which_it_fires() {
    let cases = ["processes", "queues", "services", "deployments"]
        .map(|group| read(&format!("tests/rules/{group}.yaml")))
        .concat();
    for rule in shipped() {
        assert!(cases.contains(&format!("alertname=\"{}\"", name(&rule))), "{}", name(&rule));
    }
}

/// Words of a text that begin as metrics do.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("job_chief_") || word.starts_with("process_")).collect()
}

/// What rules and dashboard ask for is told of in docs/metrics.md and written in src/metrics.rs under that name.
#[test]
fn every_metric_that_is_asked_for_is_exported() {
    let sources = ["src/metrics.rs", "src/metrics/queue_gauges.rs", "src/metrics/pool_gauges.rs"].map(read).concat();
    let documented = read("docs/metrics.md");
    let queries: Vec<String> = shipped().iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect();
    let queries = [queries.concat(), read("deploy/helm/job-chief/files/dashboard.json")].concat();
    let asked = metrics(&queries);
    assert!(asked.len() > 20, "{asked:?}");
    // What the process itself has is Prometheus' own collector, and tests/e2e sees it.
    for metric in asked.iter().filter_map(|metric| metric.strip_prefix("job_chief_")) {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end)).unwrap_or(metric);
        assert!(sources.contains(&format!("\"{base}\"")), "{base} is not exported");
        assert!(documented.contains(&format!("| `job_chief_{base}` |")), "{base} is not in docs/metrics.md");
    }
}

/// Grafana's sidecar finds the file by its label, and it is the file.
#[test]
fn the_dashboard_is_shipped_as_it_is() {
    let map = object(&[MINIMAL, ON].concat(), "ConfigMap", "job-chief-dashboard");
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let shipped: Value = serde_json::from_str(map["data"]["job-chief.json"].as_str().unwrap()).unwrap();
    let file: Value = serde_json::from_str(&read("deploy/helm/job-chief/files/dashboard.json")).unwrap();
    assert_eq!(shipped, file);
}

/// What docs/alerts.md has people write is accepted: by the chart, and by Prometheus.
#[test]
fn the_snippets_of_the_page_are_valid() {
    let page = read("docs/alerts.md");
    let folder = tempfile::tempdir().unwrap();
    let mut kinds = BTreeSet::new();
    for (n, snippet) in page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).enumerate() {
        let path = folder.path().join(format!("{n}.yaml"));
        // Debian's Prometheus is built without this way to find targets.
        let way = "kubernetes_sd_configs: [{ role: pod, namespaces: { names: [media] } }]";
        fs::write(&path, snippet.replace(way, "static_configs: []")).unwrap();
        let path = path.to_str().unwrap();
        if snippet.contains("scrape_configs") {
            let checked = Command::new("promtool").args(["check", "config", "--syntax-only", path]).output().unwrap();
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
            kinds.insert("a configuration of Prometheus".to_owned());
        } else {
            let found = objects(&[MINIMAL, &["--values", path], ON].concat());
            kinds.extend(found.iter().map(|object| object["kind"].as_str().unwrap().to_owned()));
        }
    }
    for kind in ["PodMonitor", "PrometheusRule", "a configuration of Prometheus"] {
        assert!(kinds.contains(kind), "{kind} of {kinds:?}");
    }
}
