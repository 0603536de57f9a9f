//! The commands that need neither a cluster nor a database: they read files, and print.

use std::{path::Path, process::ExitCode};

use anyhow::Context;
use serde_json::{Value, json};

use crate::{
    cli::{
        globals::{BadConfiguration, Globals},
        output::{Format, Output, complain, print, warn},
    },
    config::{
        changes::{Change, Changes},
        entry::{Entry, Kind},
        in_file::InFile,
        jobs_file::{self, ReadError},
        problems::{Problem, nearest},
        schema::jobs_json_schema,
        sources,
    },
    decide::{
        decision::Wish,
        pod::{
            inputs::{Instance, Parts},
            manifest::Template,
            names::job_name,
        },
    },
    telemetry::with_causes,
};

/// The Role, made from the chart.
const ROLE: &str = include_str!("../../deploy/role.yaml");

/// What is wrong with the settings or with jobs.json.
#[derive(Debug, Default)]
struct Verdict {
    file: String,
    entries: usize,
    warnings: Vec<Problem>,
    problems: Vec<Problem>,
    /// What is no problem of one place: a file that can't be read.
    error: Option<String>,
    /// All of it as a sentence with its lines.
    told: String,
}

impl Verdict {
    fn of(globals: &Globals) -> Self {
        let loaded = match sources::load(globals.config(), &globals.environment()) {
            Ok(loaded) => loaded,
            Err(problems) => {
                let told = format!("the settings are wrong: {problems}");
                return Self { problems: problems.0, told, ..Self::default() };
            }
        };
        let path = &loaded.settings.app.jobs_config_path;
        let verdict = Self { file: path.display().to_string(), warnings: loaded.warnings, ..Self::default() };
        match jobs_file::read(path) {
            Ok(file) => {
                let warnings = verdict.warnings.into_iter().chain(file.warnings).collect();
                Self { entries: file.jobs.len(), warnings, ..verdict }
            }
            Err(error) => {
                let told = with_causes(&error);
                match error {
                    ReadError::Wrong(_, problems) => Self { problems: problems.0, told, ..verdict },
                    _ => Self { error: Some(told.clone()), told, ..verdict },
                }
            }
        }
    }

    fn is_valid(&self) -> bool {
        self.problems.is_empty() && self.error.is_none()
    }

    fn report(&self) -> Value {
        json!({
            "file": self.file,
            "valid": self.is_valid(),
            "entries": self.entries,
            "warnings": self.warnings,
            "problems": self.problems,
            "error": self.error,
        })
    }
}

/// Tells everything that is wrong.
pub(super) fn validate(globals: &Globals, output: Output) -> anyhow::Result<ExitCode> {
    let verdict = Verdict::of(globals);
    match output.format() {
        Some(format) => format.print(&verdict.report())?,
        None => {
            verdict.warnings.iter().for_each(|warning| warn(&warning.to_string()));
            if verdict.is_valid() {
                let count = verdict.entries;
                let plural = if count == 1 { "" } else { "s" };
                print(&format!("{}: {count} JobConfig{plural}, no problems", verdict.file))?;
            } else {
                complain(&verdict.told);
            }
        }
    }
    Ok(if verdict.is_valid() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the Job of one entry.
pub(super) fn render(globals: &Globals, name: &str, format: Format) -> anyhow::Result<()> {
    let plan = globals.plan()?;
    let hint = nearest(name, plan.jobs.iter().map(Entry::name));
    let entry = plan.jobs.iter().find(|entry| entry.name() == name);
    let entry = entry.with_context(|| format!("there is no JobConfig \"{name}\" in jobs.json{hint}"))?;
    let instance = Instance::of(&plan.settings);
    let wish = Wish::example(job_name(&instance.uid, name, 0, 0));
    let jobs = Parts::each(entry, |_, parts| Template::of(parts, &instance).job(&wish));
    // What runs once beside it is told only of what has no Job of its own.
    let job = jobs.first().with_context(|| format!("\"{name}\" runs elsewhere: jobs.json has no Job of it"))?;
    format.print(job)
}

/// What another jobs.json would change.
pub(super) struct Planned {
    /// What becomes of whom.
    pub(super) changes: Changes,
    /// The file as it is.
    pub(super) text: String,
}

/// Compares another jobs.json with the one that is configured.
pub(super) fn planned(globals: &Globals, file: &Path) -> anyhow::Result<Planned> {
    let plan = globals.plan()?;
    let (after, text) = jobs_file::read_with_text(file).map_err(|error| match error {
        ReadError::Unreadable(path, source) => {
            anyhow::Error::from(source).context(format!("can't read {}", path.display()))
        }
        other => anyhow::Error::from(other),
    })?;
    after.warnings.iter().for_each(|warning| warn(&warning.to_string()));
    let before = InFile::new(plan.jobs, plan.sharing);
    let changes = Changes::between(&before, &InFile::new(after.jobs, after.sharing));
    Ok(Planned { changes, text })
}

impl Planned {
    /// For programs.
    pub(super) fn report(&self) -> Value {
        let change = |(name, (kind, change)): (&String, &(Kind, Change))| {
            let (word, keys) = match change {
                Change::Added => ("added", &[][..]),
                Change::Changed(keys) => ("changed", keys.as_slice()),
                Change::Removed => ("removed", &[][..]),
            };
            json!({ "name": name, "kind": kind.as_str(), "change": word, "keys": keys })
        };
        let (added, changed, removed) = self.changes.counts();
        json!({
            "sharing": self.changes.sharing,
            "changes": self.changes.by_name.iter().map(change).collect::<Vec<_>>(),
            "added": added,
            "changed": changed,
            "removed": removed,
            "unchanged": self.changes.unchanged,
        })
    }
}

/// Prints the JSON Schema of jobs.json.
pub(super) fn schema(format: Format) -> anyhow::Result<()> {
    format.print(&jobs_json_schema())
}

/// Prints the Role: as YAML the very file that is shipped, with its comments.
pub(super) fn rbac(format: Format) -> anyhow::Result<()> {
    match format {
        Format::Yaml => print(ROLE),
        Format::Json => {
            let role: Value = serde_yaml_ng::from_str(ROLE)
                .map_err(|error| BadConfiguration(format!("the Role is no YAML: {error}")))?;
            Format::Json.print(&role)
        }
    }
}
