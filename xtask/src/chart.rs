//! The Helm chart: what is made from it, and whether it holds.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, ensure};
use clap::Subcommand;
use serde_yaml_ng::Value;

use crate::{
    alerts,
    build::{cargo_test, go_tool},
    dashboard,
    folders::root,
    processes::{show, succeed},
};

/// What to do with the chart.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Write what is made from it: the plain manifests, the kustomize base, the dashboard, the tables of
    /// values and of alerts.
    Render,
    /// Hold it to what is made from it, to Helm's own lints, and to its tests.
    Test,
}

/// Helm as the Go module proxy has it, and the version that the chart is held against.
const HELM: (&str, &str) = ("helm.sh/helm/v3/cmd/helm", "v3.22.0");

/// The Kubernetes that Helm takes for granted when it renders without a cluster: what its own build says.
const KUBERNETES: &str =
    "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34";

/// Where the chart is.
const CHART: &str = "deploy/helm/job-chief";

/// Files of values under which the chart has to be without a reproach; the chart's own are not enough to render it.
const VALUES: [&str; 3] = ["ci/minimal.yaml", "ci/everything.yaml", "ci/original.yaml"];

/// What stands around the table of values.
const TABLE: [&str; 2] = ["<!-- values: made by `cargo xtask chart render` -->\n", "<!-- end of values -->"];

/// The same of the table of alerts.
const ALERTS: [&str; 2] = ["<!-- alerts: made by `cargo xtask chart render` -->\n", "<!-- end of alerts -->"];

/// Lines that only mean something to Helm.
const HELMS_OWN: [&str; 4] = ["# Source:", "helm.sh/chart:", "app.kubernetes.io/managed-by: Helm", "checksum/"];

pub(crate) fn run(action: &Action) -> anyhow::Result<()> {
    match action {
        Action::Render => made()?.into_iter().try_for_each(|(path, text)| Ok(fs::write(root().join(path), text)?)),
        Action::Test => test(),
    }
}

/// The part of the tests.
pub(crate) fn test() -> anyhow::Result<()> {
    let helm = helm()?;
    for (path, text) in made()? {
        let found = fs::read_to_string(root().join(path)).unwrap_or_default();
        ensure!(found == text, "{path} is not what the chart makes: run `cargo xtask chart render`");
    }
    let [values, schema] = ["values.yaml", "values.schema.json"].map(|name| root().join(CHART).join(name));
    describes(&serde_json::from_slice(&fs::read(schema)?)?, &fs::read_to_string(values)?)?;
    for values in VALUES {
        let values = root().join(CHART).join(values);
        succeed(Command::new(&helm).args(["lint", "--strict", CHART, "--values"]).arg(values).current_dir(root()))?;
    }
    alerts::test()?;
    let mut tests = cargo_test();
    tests.args(["--test", "chart"]);
    show(tests.env("JOB_CHIEF_TEST_HELM", helm))
}

/// Helm, built the first time.
pub(crate) fn helm() -> anyhow::Result<PathBuf> {
    go_tool("helm", "building Helm (a minute or two the first time)", HELM, &format!("-s -w {KUBERNETES}"))
}

/// Every file that is made from the chart, with its text.
fn made() -> anyhow::Result<[(&'static str, String); 6]> {
    let mut template = Command::new(helm()?);
    template.args(["template", "job-chief", CHART, "--values", "deploy/plain.yaml"]).current_dir(root());
    let (role, others) = manifests(&succeed(&mut template)?);
    let readme = fs::read_to_string(root().join(CHART).join("README.md"))?;
    let values = fs::read_to_string(root().join(CHART).join("values.yaml"))?;
    let page = fs::read_to_string(root().join("docs/alerts.md"))?;
    Ok([
        ("deploy/role.yaml", format!("# Made from the chart by `cargo xtask chart render`.\n{role}")),
        ("deploy/job-chief.yaml", format!("{HEAD}{others}")),
        ("deploy/kustomization.yaml", BASE.to_owned()),
        ("deploy/helm/job-chief/README.md", with_table(&readme, TABLE, &table(&values)?)?),
        ("deploy/helm/job-chief/files/dashboard.json", dashboard::json()?),
        ("docs/alerts.md", with_table(&page, ALERTS, &alerts::table()?)?),
    ])
}

const HEAD: &str = "\
# job-chief in one namespace, made from the chart and deploy/plain.yaml by `cargo xtask chart render`; together with
# role.yaml: kubectl apply -n NAMESPACE -f deploy/role.yaml -f deploy/job-chief.yaml
";

const BASE: &str = "\
# A base for kustomize: name it under `resources`, and patch the ConfigMap, the Secret and the image.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - role.yaml
  - job-chief.yaml
";

/// The Role and everything else, without what only means something to Helm.
fn manifests(rendered: &str) -> (String, String) {
    let plain: Vec<&str> = rendered
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !HELMS_OWN.iter().any(|own| line.trim_start().starts_with(own)))
        .collect();
    let text = plain.join("\n") + "\n";
    let (mut roles, others): (Vec<&str>, Vec<&str>) = text
        .split("---\n")
        .filter(|document| !document.is_empty())
        .partition(|document| document.lines().any(|line| line == "kind: Role"));
    (roles.pop().unwrap_or_default().to_owned(), others.join("---\n"))
}

fn with_table(page: &str, [begin, end]: [&str; 2], table: &str) -> anyhow::Result<String> {
    let (before, rest) = page.split_once(begin).with_context(|| format!("nowhere stands {begin}"))?;
    let (_, after) = rest.split_once(end).with_context(|| format!("nowhere stands {end}"))?;
    Ok(format!("{before}{begin}\n{table}\n{end}{after}"))
}

/// The values with their defaults and what stands above them.
fn table(values: &str) -> anyhow::Result<String> {
    let defaults: Value = serde_yaml_ng::from_str(values)?;
    let told = comments(values);
    for leaf in leaves(&defaults, "") {
        let is_told = told.iter().any(|(path, _)| leaf == *path || leaf.starts_with(&format!("{path}.")));
        ensure!(is_told, "values.yaml says nothing of {leaf}");
    }
    let rows = told.iter().map(|(path, text)| {
        let default = path.split('.').fold(&defaults, |value, key| &value[key]);
        Ok(format!("| `{path}` | `{}` | {text} |", serde_json::to_string(default)?))
    });
    let rows: Vec<String> = rows.collect::<anyhow::Result<_>>()?;
    Ok(format!("| value | default | meaning |\n|---|---|---|\n{}\n", rows.join("\n")))
}

/// The schema says of each value what values.yaml says, as editors show the one and people read the other.
fn describes(schema: &serde_json::Value, values: &str) -> anyhow::Result<()> {
    for (path, text) in comments(values) {
        let found = path.split('.').fold(schema, |below, key| &below["properties"][key]);
        ensure!(found["description"] == text, "values.schema.json does not describe {path} as values.yaml does");
    }
    Ok(())
}

/// The path of each value that has a comment, and the comment.
fn comments(values: &str) -> Vec<(String, String)> {
    let (mut path, mut told, mut found) = (Vec::<&str>::new(), String::new(), vec![]);
    for line in values.lines() {
        let text = line.trim_start();
        if let Some(first) = text.strip_prefix("# --") {
            told = first.trim().to_owned();
        } else if let Some(more) = text.strip_prefix('#').filter(|_| !told.is_empty()) {
            told = format!("{told} {}", more.trim());
        } else if let Some((key, _)) = text.split_once(':') {
            path.truncate((line.len() - text.len()) / 2);
            path.push(key);
            if !told.is_empty() {
                found.push((path.join("."), std::mem::take(&mut told)));
            }
        }
    }
    found
}

/// The paths of everything that is no map with keys.
fn leaves(value: &Value, path: &str) -> Vec<String> {
    match value.as_mapping().filter(|keys| !keys.is_empty()) {
        None => vec![path.to_owned()],
        Some(keys) => keys
            .iter()
            .flat_map(|(key, value)| {
                let key = key.as_str().unwrap_or_default();
                leaves(value, &if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") })
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: &str = "# Not of the table.\n\n# -- One,\n# on two lines.\na: 1\nb:\n  # -- Two.\n  c: {}\n";

    #[test]
    fn a_table_has_a_row_for_each_comment() {
        let made = table(VALUES).expect("every value is told of");
        assert!(made.ends_with("| `a` | `1` | One, on two lines. |\n| `b.c` | `{}` | Two. |\n"), "{made}");
    }

    #[test]
    fn a_value_without_a_comment_is_refused() {
        let told = table(&format!("{VALUES}  d: 1\n")).expect_err("d has none").to_string();
        assert_eq!(told, "values.yaml says nothing of b.d");
    }

    #[test]
    fn a_value_that_the_schema_describes_otherwise_is_refused() {
        let mut schema = serde_json::json!({"properties": {
            "a": {"description": "One, on two lines."}, "b": {"properties": {"c": {"description": "Two."}}},
        }});
        describes(&schema, VALUES).expect("it says the same");
        schema["properties"]["b"]["properties"]["c"]["description"] = "Another.".into();
        let told = describes(&schema, VALUES).expect_err("it does not").to_string();
        assert_eq!(told, "values.schema.json does not describe b.c as values.yaml does");
    }

    #[test]
    fn manifests_have_nothing_of_helm() {
        let rendered = "---\n# Source: x\nkind: Role\n---\nkind: A\nl:\n  helm.sh/chart: y\n  z: 1\n\n---\nkind: B\n";
        assert_eq!(manifests(rendered), ("kind: Role\n".into(), "kind: A\nl:\n  z: 1\n---\nkind: B\n".into()));
    }
}
