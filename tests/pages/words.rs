//! What an operator may read on a screen stands in the pages that explain it: every outcome, reason, state and
//! component, every verb of the Role, every grant.

use std::process::Command;

use job_chief::{
    decide::{
        decision::DecisionReason,
        outcome::{Outcome, Reason},
        service::state::SERVICE_STATES,
    },
    health::Component,
    http::problem::{PROBLEM_TYPES, TYPE_PREFIX},
};
use serde_json::{Value, json};

use crate::page;

/// Every variant of an enum; one that is missing here does not compile.
macro_rules! every {
    ($kind:ident: $($variant:ident),+ $(,)?) => {{
        fn is_complete(it: $kind) {
            match it { $($kind::$variant => ()),+ }
        }
        let all = [$($kind::$variant),+];
        all.into_iter().for_each(is_complete);
        all
    }};
}

/// The first cells of the table below a heading of docs/operations.md.
fn told(heading: &str) -> Vec<String> {
    let rows = page::table("docs/operations.md", heading);
    rows.into_iter()
        .flat_map(|row| row[0].split(", ").map(|word| word.trim_matches('`').to_owned()).collect::<Vec<_>>())
        .collect()
}

fn assert_same(heading: &str, words: impl IntoIterator<Item = &'static str>) {
    let (mut told, mut words) = (told(heading), words.into_iter().map(str::to_owned).collect::<Vec<_>>());
    told.sort();
    words.sort();
    assert_eq!(told, words, "the table \"{heading}\" of docs/operations.md");
}

#[test]
fn every_outcome_is_explained() {
    let all = every!(Outcome: Succeeded, Failed, StartTimedOut, StartError, Vanished, Stopped);
    assert_same("### Outcomes", all.map(Outcome::as_str));
}

#[test]
fn every_reason_is_explained() {
    let all = every!(Reason:
        Completed, ExitCode, OomKilled, Deadline, Disrupted, PodDeleted, JobFailed, Unschedulable, ImagePull,
        ContainerConfig, CrashLoop, InitFailed, Rejected, ContainerCreating, NoPod, Suspended, Refused, Deleted, Unwanted,
        Restarted, Replaced, Unhealthy, NotReady,
    );
    assert_same("### Reasons", all.map(Reason::as_str));
}

#[test]
fn every_decision_is_explained() {
    let all = every!(DecisionReason:
        Empty, Claimed, Created, Full, Closed, Cooling, ClusterFull, BackingOff, NoPlace, Held, Asked, KeptUp,
        Checked, Repaired, Scheduled,
    );
    assert_same("### Decisions", all.map(DecisionReason::as_str));
}

#[test]
fn every_component_of_readiness_is_explained() {
    let all = every!(Component: Schema, Queue, Kubernetes);
    let words: Vec<String> = all.iter().map(|it| json!(it).as_str().unwrap().to_owned()).collect();
    let mut told = told("## Readiness is false");
    told.retain(|word| !word.is_empty());
    told.sort();
    let mut words = words;
    words.sort();
    assert_eq!(told, words);
}

#[test]
fn every_state_of_a_service_is_explained() {
    assert_same("## A service is not RUNNING", SERVICE_STATES.map(|state| state.as_str()));
}

/// Each verb of the Role has its row on the page on security, and no row is of a verb that the Role has not.
#[test]
fn every_verb_of_the_role_is_explained() {
    let role: Value = serde_yaml_ng::from_str(&page::read("deploy/role.yaml")).unwrap();
    let mut verbs: Vec<String> = vec![];
    for rule in role["rules"].as_array().unwrap() {
        for resource in rule["resources"].as_array().unwrap() {
            for verb in rule["verbs"].as_array().unwrap() {
                verbs.push(format!("{} {}", resource.as_str().unwrap(), verb.as_str().unwrap()));
            }
        }
    }
    let rows = page::table("docs/security.md", "### Verb by verb");
    let mut told: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row[0].trim_matches('`'), row[1].trim_matches('`'))).collect();
    verbs.sort();
    told.sort();
    assert_eq!(told, verbs);
}

/// The GRANTs of the page are those that are printed, and the table below has each.
#[test]
fn every_grant_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_job-chief"));
    let printed = command.args(["grants", "job-chief"]).current_dir(folder.path()).env_clear().output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let (blocks, _) = page::taken_apart("docs/security.md");
    let shown = blocks.iter().find(|block| block.language == "sql").expect("docs/security.md shows the grants");
    assert_eq!(shown.text, printed);
    let rows = page::table("docs/security.md", "### Grant by grant");
    let page = rows.iter().map(|row| row[0].as_str()).collect::<String>();
    let (_, tables) = printed.rsplit_once("DELETE ON ").unwrap();
    let (tables, _) = tables.split_once(" TO ").unwrap();
    for table in tables.split(", ") {
        let name = table.rsplit('.').next().unwrap();
        assert!(page.contains(&format!("`{name}`")), "docs/security.md says nothing of the table {name}");
    }
    for schema in ["pgboss", "chief"] {
        assert!(rows.iter().any(|row| row[0].contains("USAGE") && row[0].contains(schema)), "{schema}");
    }
}

#[test]
fn every_kind_of_problem_is_documented_with_its_code() {
    let text = page::read("docs/api.md");
    for kind in PROBLEM_TYPES {
        let (uri, code) = (kind.uri(), kind.code().as_u16().to_string());
        let word = uri.strip_prefix(TYPE_PREFIX).unwrap();
        let row = text.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{word}`")));
        assert!(row.is_some_and(|row| row.contains(&code)), "docs/api.md says nothing of {word} ({code})");
    }
}
