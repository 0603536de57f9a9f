//! The alerts of `deploy/helm/job-chief/files/rules.yaml`: their table, and their tests by promtool.

use std::{fmt::Write, fs, process::Command};

use anyhow::Context;
use serde_yaml_ng::Value;

use crate::{folders::root, processes::succeed, programs::need};

/// The rules, as a Prometheus reads them.
const RULES: &str = "deploy/helm/job-chief/files/rules.yaml";

/// What promtool runs on them.
const TESTS: &str = "tests/rules";

/// Prometheus' own tool finds the rules valid, and each alert fires when it should and is quiet when it should.
pub(crate) fn test() -> anyhow::Result<()> {
    let promtool = need("promtool")?;
    succeed(Command::new(&promtool).args(["check", "rules", RULES]).current_dir(root()))?;
    let mut tests = Command::new(promtool);
    tests.args(["test", "rules"]).current_dir(root());
    for entry in fs::read_dir(root().join(TESTS))? {
        tests.arg(entry?.path());
    }
    succeed(&mut tests)?;
    Ok(())
}

/// A row for each alert.
pub(crate) fn table() -> anyhow::Result<String> {
    let rules: Value = serde_yaml_ng::from_str(&fs::read_to_string(root().join(RULES))?)?;
    let mut table = "| alert | severity | threshold | for | when |\n|---|---|---|---|---|\n".to_owned();
    let groups = rules["groups"].as_sequence().context("the rules have no groups")?;
    for rule in groups.iter().filter_map(|group| group["rules"].as_sequence()).flatten() {
        let name = text(&rule["alert"], "name")?;
        let severity = text(&rule["labels"]["severity"], "severity")?;
        let lasting = rule["for"].as_str().unwrap_or("at once");
        let threshold = threshold(&text(&rule["expr"], "expression")?).unwrap_or_default();
        let summary = plain(&text(&rule["annotations"]["summary"], "summary")?);
        writeln!(table, "| [{name}](runbooks/{name}.md) | {severity} | {threshold} | {lasting} | {summary} |")?;
    }
    Ok(table)
}

/// The text at a place of a rule.
fn text(value: &Value, what: &str) -> anyhow::Result<String> {
    Ok(value.as_str().with_context(|| format!("an alert without its {what}"))?.to_owned())
}

/// How the expression ends, unless it is a matter of yes or no.
fn threshold(expression: &str) -> Option<String> {
    let (rest, number) = expression.trim_end().rsplit_once(' ')?;
    let (_, comparison) = rest.rsplit_once(' ')?;
    (comparison != "==").then(|| format!("`{comparison} {number}`"))
}

/// A summary without its placeholders.
fn plain(summary: &str) -> String {
    let (mut told, mut rest) = (String::new(), summary);
    while let Some((before, (_, after))) = rest.split_once("{{").and_then(|(a, b)| Some((a, b.split_once("}}")?))) {
        told += before;
        told += "…";
        rest = after;
    }
    told + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_how_an_expression_ends() {
        assert_eq!(threshold("max(a{b=\"c\"} == 1) > 0.5\n").as_deref(), Some("`> 0.5`"));
        assert_eq!(threshold("max(a > 2) == 0"), None);
    }

    #[test]
    fn a_summary_is_told_without_its_placeholders() {
        assert_eq!(plain("{{ $value | humanize }} of {{ $labels.a }} wait."), "… of … wait.");
    }
}
