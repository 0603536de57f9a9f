//! Where the demo plays: a namespace of a cluster and a database, and how both are spoken to.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use serde_json::{Value, json};

use crate::{
    bosses,
    folders::{folder, root, subfolder},
    image::WORKER,
    postgres,
    processes::succeed,
    state::{CONTEXT, State},
};

/// The queues of `jobs.example.json`, and how many messages a round sends to each.
pub(super) const ROUND: [(&str, &str, u32); 4] = [
    ("thumbnails", "thumbnails", 5),
    ("Video_Transcoding", "Video_Transcoding", 8),
    ("reports", "monthly-reports", 6),
    ("greetings", "greetings", 2),
];

/// Namespace and database on the test cluster.
const OURS: &str = "demo";

/// One way to a cluster.
#[derive(Clone)]
pub(super) struct Way {
    /// kubectl, and what is always said to it.
    pub(super) kubectl: Vec<OsString>,
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) context: String,
}

impl Way {
    pub(super) fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        succeed(&mut self.command(args))
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl[0]);
        command.args(&self.kubectl[1..]).args(["--context", &self.context]);
        if let Some(kubeconfig) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        command.args(args);
        command
    }

    /// Applies objects, all of which may be there already.
    pub(super) fn apply(&self, objects: &Value) -> anyhow::Result<()> {
        let file = subfolder("")?.join("demo.json");
        fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())?;
        self.kubectl(&["apply", "-f", file.to_str().context("a path that is text")?]).map(|_| ())
    }
}

/// What a round is played on.
pub(super) struct Site {
    pub(super) way: Way,
    pub(super) namespace: &'static str,
    /// As this machine reaches it.
    pub(super) database_url: String,
    pub(super) jobs: PathBuf,
    /// Whether pods run in containers, and so take messages.
    pub(super) containers: bool,
}

impl Site {
    /// The test cluster with its Postgres.
    pub(super) fn ours(state: &State) -> anyhow::Result<Self> {
        let exists = format!("select 1 from pg_database where datname = '{OURS}'");
        if postgres::sql(state, "postgres", &exists)?.trim().is_empty() {
            postgres::sql(state, "postgres", &format!("create database {OURS}"))?;
        }
        let site = Self {
            way: Way {
                kubectl: vec![folder().join("bin/testenv").into(), "kubectl".into()],
                kubeconfig: Some(state.kubeconfig.clone()),
                context: CONTEXT.into(),
            },
            namespace: OURS,
            database_url: state.database_url(OURS),
            jobs: root().join("jobs.example.json"),
            containers: state.real_node,
        };
        site.way.apply(&json!([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OURS}}]))?;
        site.prepare(&json!({}))?;
        Ok(site)
    }

    /// Queues, and what the example refers to; the Secrets may hold more.
    pub(super) fn prepare(&self, secret: &Value) -> anyhow::Result<()> {
        let mut reports = json!({"API_KEY": "not-a-real-key"});
        for (key, value) in secret.as_object().into_iter().flatten() {
            reports[key] = value.clone();
        }
        let named = |name| json!({"name": name, "namespace": self.namespace});
        self.way.apply(&json!([
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named("reports"), "data": {"GREETING": "hello"}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": named("reports"), "stringData": reports},
            {"apiVersion": "v1", "kind": "Secret", "metadata": named(WAY_IN), "stringData": secret},
        ]))?;
        ROUND.iter().try_for_each(|(_, queue, _)| self.boss(&["queue", queue]).map(|_| ()))
    }

    pub(super) fn sql(&self, statement: &str) -> anyhow::Result<String> {
        postgres::ask(&self.database_url, statement)
    }

    pub(super) fn boss(&self, words: &[&str]) -> anyhow::Result<String> {
        bosses::boss(&self.database_url, bosses::NEWEST, words)
    }
}

/// The Secret with the workers' way to Postgres, where that is not job-chief's own.
pub(super) const WAY_IN: &str = "postgres";

/// The example for another cluster: the image as its nodes have it, and perhaps another way to Postgres than ours.
pub(super) fn write_jobs(image: Option<&str>, other_way_in: bool) -> anyhow::Result<PathBuf> {
    let path = subfolder("")?.join("demo-jobs.json");
    fs::write(&path, adapted(&fs::read_to_string(root().join("jobs.example.json"))?, image, other_way_in))?;
    Ok(path)
}

fn adapted(example: &str, image: Option<&str>, other_way_in: bool) -> String {
    let mut text = example.to_owned();
    if let Some(image) = image {
        text = text.replace(WORKER, image).replace("\"pullPolicy\": \"Never\"", "\"pullPolicy\": \"IfNotPresent\"");
    }
    if other_way_in {
        let secret = format!("\"injectPgConfig\": false, \"secrets\": [\"{WAY_IN}\"]");
        text = text.replacen("\"injectPgConfig\": true", &secret, 1);
    }
    text
}

/// The same server, another database.
pub(super) fn with_database(url: &str, database: &str) -> anyhow::Result<String> {
    let (scheme, rest) = url.split_once("://").context("--database-url is no URL: postgres://USER:PASSWORD@HOST/DB")?;
    let (rest, query) = rest.split_once('?').map_or((rest, String::new()), |(rest, q)| (rest, format!("?{q}")));
    let authority = rest.split('/').next().unwrap_or_default();
    Ok(format!("{scheme}://{authority}/{database}{query}"))
}

/// A folder as text, for tools that take words.
pub(super) fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gets_another_database() {
        let with = |url| with_database(url, "d").expect("a URL");
        assert_eq!(with("postgres://u:p@h:1/x?sslmode=require"), "postgres://u:p@h:1/d?sslmode=require");
        assert_eq!(with("postgres://h"), "postgres://h/d");
        assert!(with_database("h:5432", "d").is_err());
    }

    #[test]
    fn the_example_is_adapted_to_another_cluster() {
        let example = fs::read_to_string(root().join("jobs.example.json")).expect("it is there");
        let text = adapted(&example, Some("registry.example.com/worker:1"), true);
        assert!(text.contains("\"image\": \"registry.example.com/worker:1\""), "{text}");
        assert!(text.contains("\"pullPolicy\": \"IfNotPresent\""), "{text}");
        assert!(text.contains("\"secrets\": [\"postgres\"]"), "{text}");
        assert_eq!(adapted(&example, None, false), example);
    }
}
