//! All checks, in their order. What fails stops only those that need it, and they say so.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use secrecy::ExposeSecret;

use crate::{
    clock::Clock,
    cluster::connect::{Access, ConnectError},
    config::{
        entry::Entry,
        jobs_file::{self, JobsFile, ReadError},
        problems::{Problem, Problems},
        settings::Settings,
        sources::{self, Loaded},
    },
    doctor::{
        ask_cluster, ask_postgres,
        report::{Check, Name, Report, skipped},
    },
    telemetry::with_causes,
};

/// What is examined, as far as it could be read.
#[derive(Debug)]
pub struct Subject {
    /// The settings.
    pub settings: Loaded,
    /// jobs.json.
    pub jobs: Result<JobsFile, ReadError>,
    /// The way to the API server.
    pub access: Result<Access, ConnectError>,
}

/// What was said on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// A file of settings.
    pub config: Option<&'a Path>,
    /// A kubeconfig.
    pub kubeconfig: Option<&'a PathBuf>,
    /// A context of it.
    pub context: Option<&'a String>,
}

/// Reads the settings, and examines what they name.
pub async fn examine(words: Words<'_>, environment: &BTreeMap<String, String>) -> Report {
    match sources::load(words.config, environment) {
        Ok(settings) => {
            let jobs = jobs_file::read(&settings.settings.app.jobs_config_path);
            let in_cluster = settings.settings.kubernetes.load_config_from_cluster;
            let access = Access::of(in_cluster, words.kubeconfig.cloned(), words.context.cloned());
            Subject { settings, jobs, access }.examine().await
        }
        Err(problems) => without_settings(&problems),
    }
}

fn without_settings(problems: &Problems) -> Report {
    let advice = "Mend them first: nothing else can be looked at. `job-chief validate` tells the same.";
    let mut checks: Vec<Check> =
        problems.0.iter().map(|problem| Name::Settings.failed(problem.to_string(), &[advice])).collect();
    checks.extend(skipped(&Name::ALL[1..], "the settings are wrong"));
    Report { checks }
}

impl Subject {
    /// Examines everything.
    pub async fn examine(self) -> Report {
        let (settings, clock) = (&self.settings.settings, Clock::start());
        let entries = self.jobs.as_ref().ok().map(|file| file.jobs.as_slice());
        let mut checks = settings_lines(&self.settings, entries.unwrap_or_default());
        checks.extend(jobs_json_lines(settings, &self.jobs));
        let postgres = ask_postgres::checks(settings, entries, clock);
        let cluster = ask_cluster::checks(settings, entries, self.access, clock);
        let (postgres, cluster) = tokio::join!(postgres, cluster);
        checks.extend(postgres);
        checks.extend(cluster);
        let db = &settings.db;
        let words = [&db.host, &db.user, &db.database, &db.schema, &db.manager_schema].map(String::as_str);
        Report { checks }.without(db.password.expose_secret(), &words)
    }
}

/// What of the settings has no effect, or not the one that is meant.
fn settings_lines(loaded: &Loaded, entries: &[Entry]) -> Vec<Check> {
    let Settings { kubernetes, app, db, .. } = &loaded.settings;
    let mut lines: Vec<Check> = warnings(Name::Settings, &loaded.warnings);
    let injected = Entry::any_injects(entries);
    if injected && db.password_secret.is_none() {
        lines.push(Name::Settings.warning(
            "the database password stands in every Job with injectPgConfig, where whoever may read Jobs reads it",
            &["Set db.passwordSecret {name, key}, so that pods read it from a Secret."],
        ));
    }
    if lines.is_empty() {
        let found = format!("no problems; namespace {}, Instance {}", kubernetes.namespace, app.instance_uid);
        lines.push(Name::Settings.ok(found));
    }
    lines
}

fn warnings(name: Name, warnings: &[Problem]) -> Vec<Check> {
    warnings.iter().map(|warning| name.warning(warning.to_string(), &[])).collect()
}

/// What is wrong with jobs.json, or probably not meant.
fn jobs_json_lines(settings: &Settings, jobs: &Result<JobsFile, ReadError>) -> Vec<Check> {
    match jobs {
        Ok(file) => {
            let (count, path) = (file.jobs.len(), settings.app.jobs_config_path.display());
            let services = file.jobs.iter().filter(|entry| entry.service().is_some()).count();
            let of = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
            let told = [of(count - services, "queue"), of(services, "service")].join(", ");
            let mut lines = vec![Name::JobsJson.ok(format!("{path}: {told}"))];
            lines.extend(warnings(Name::JobsJson, &file.warnings));
            lines
        }
        Err(ReadError::Wrong(_, problems)) => {
            let advice =
                "One that runs goes on with the last file that was right, and does not start anew with this one.";
            problems.0.iter().map(|problem| Name::JobsJson.failed(problem.to_string(), &[advice])).collect()
        }
        Err(error) => {
            vec![Name::JobsJson.failed(with_causes(error), &["Check app.jobsConfigPath (APP_JOBS_CONFIG_PATH)."])]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    fn verdicts(checks: &[Check]) -> Vec<Verdict> {
        checks.iter().map(|check| check.verdict).collect()
    }

    fn loaded(environment: &[(&str, &str)]) -> Loaded {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        sources::load(None, &environment).expect("it is right")
    }

    fn entries(keys: &str) -> Vec<Entry> {
        let text = format!(r#"[{{"queueName": "a", "podConfig": {{"image": "i"{keys}}}}}]"#);
        jobs_file::load("jobs.json", &text).expect("it is right").jobs
    }

    #[test]
    fn a_password_that_stands_in_jobs_is_told_of() {
        let injected = entries(r#", "injectPgConfig": true"#);
        assert_eq!(verdicts(&settings_lines(&loaded(&[]), &entries(""))), [Verdict::Ok]);
        assert_eq!(verdicts(&settings_lines(&loaded(&[]), &injected)), [Verdict::Warning]);
        let meaningless = settings_lines(&loaded(&[("DB_DELETE_JOBS_AFTER_HOURS", "7")]), &injected);
        assert_eq!(verdicts(&meaningless), [Verdict::Warning, Verdict::Warning]);
    }

    #[test]
    fn every_problem_of_jobs_json_is_a_line() {
        let settings = loaded(&[]).settings;
        let wrong =
            jobs_file::load("jobs.json", r#"[{"queueName": 1, "podConfig": {"image": 5}}]"#).expect_err("wrong");
        let count = wrong.0.len();
        let told = jobs_json_lines(&settings, &Err(ReadError::Wrong("jobs.json".into(), wrong)));
        assert_eq!((verdicts(&told), count), (vec![Verdict::Failed; 2], 2), "{told:?}");
        let told = jobs_json_lines(&settings, &jobs_file::read(Path::new("nowhere/jobs.json")));
        assert_eq!(verdicts(&told), [Verdict::Failed]);
        let shared = r#"[{"name": "a", "queueName": "q", "podConfig": {"image": "i"}}, {"name": "b", "queueName": "q", "podConfig": {"image": "i"}}]"#;
        let told = jobs_json_lines(&settings, &Ok(jobs_file::load("jobs.json", shared).expect("allowed")));
        assert_eq!(verdicts(&told), [Verdict::Ok, Verdict::Warning]);
        assert_eq!(told[0].found, "./jobs.json: 2 queues, 0 services");
    }

    #[tokio::test]
    async fn with_wrong_settings_nothing_else_is_looked_at() {
        let environment = [("DB_PORT".to_owned(), "none".to_owned())].into();
        let told = examine(Words { config: None, kubeconfig: None, context: None }, &environment).await;
        assert_eq!(told.checks.len(), Name::ALL.len());
        assert_eq!(told.checks.iter().filter(|check| check.verdict == Verdict::Skipped).count(), Name::ALL.len() - 1);
        assert!(told.has_failed() && told.checks[0].found.contains("DB_PORT"), "{told:?}");
    }
}
