//! The commands about deployments.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        globals::Globals,
        modules::Given,
        output::{Output, complain, print, width},
        server::{Teller, Telling, Way, is_passing},
        watch::duration,
    },
    clock::sleep,
    harmless::harmless,
    modules::library::Reference,
    tables,
};

/// Between two questions how far it is.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// A module to deploy, and who says it.
#[derive(Debug, Args)]
pub(super) struct Deploy {
    /// The module; its version `latest` where none is said.
    #[arg(value_name = "MODULE[@VERSION]")]
    module: Reference,
    /// The name of the deployment [default: the value of `name`, or the module].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    given: Given,
    /// Only tell what it would do.
    #[arg(long, conflicts_with_all = ["wait", "timeout"])]
    dry_run: bool,
    /// Take over fields and objects that others made.
    #[arg(long)]
    force: bool,
    /// Put back at once what is changed by hand.
    #[arg(long)]
    reconcile: bool,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    telling: Telling,
}

/// A deployment to remove, and who says it.
#[derive(Debug, Args)]
pub(super) struct Undeploy {
    /// The deployment.
    name: String,
    /// A PersistentVolumeClaim of it that goes, too; the others stay.
    #[arg(long = "volume", value_name = "NAME")]
    volumes: Vec<String>,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    telling: Telling,
}

/// Whether to wait, and for how long.
#[derive(Debug, Args)]
struct Waiting {
    /// Wait until it is done, and tell how far it is.
    #[arg(long)]
    wait: bool,
    /// How long to wait.
    #[arg(long, default_value = "10m", value_parser = duration, requires = "wait", value_name = "DURATION")]
    timeout: Duration,
}

/// What was seen last of each object.
type Seen = BTreeMap<String, String>;

impl Deploy {
    /// Deploys, or tells what it would do.
    pub(super) async fn run(&self, globals: &Globals) -> anyhow::Result<ExitCode> {
        let words = json!({
            "name": self.name,
            "module": self.module.module,
            "version": self.module.version,
            "config": self.given.read()?,
            "force": self.force,
            "reconcile": self.reconcile,
        });
        let teller = self.telling.begin(globals).await?;
        if self.dry_run {
            return self.try_out(&teller, words).await;
        }
        let told = teller.tell(&["deployment"], with_no_wait(words)).await?;
        let name = told["deployment"]["name"].as_str().unwrap_or_default().to_owned();
        if self.waiting.wait {
            let revision = told["deployment"]["revision"].clone();
            return self.waiting.follow(globals, &self.telling, (teller, &name), &revision).await;
        }
        let table = || {
            let (name, revision) = (harmless(&name), &told["deployment"]["revision"]);
            format!("{name}: revision {revision} is written; `deployments {name}` tells how far it is")
        };
        self.telling.asking.output.print(&told, table)?;
        Ok(ExitCode::SUCCESS)
    }

    async fn try_out(&self, teller: &Teller<'_>, words: Value) -> anyhow::Result<ExitCode> {
        let told = teller.tell(&["deployment", "dry_run"], words).await?;
        self.telling.asking.output.print(&told, || tables::deployments::plan(&told, width()))?;
        let is_empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
        let works = is_empty(&told["errors"]) && is_empty(&told["rbac"]["missing"]);
        Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Undeploy {
    /// Removes it.
    pub(super) async fn run(&self, globals: &Globals) -> anyhow::Result<ExitCode> {
        let teller = self.telling.begin(globals).await?;
        let volumes = self.volumes.join(",");
        let asking = [("volumes", volumes.as_str())];
        let asking = if volumes.is_empty() { &[][..] } else { &asking[..] };
        let told = teller.remove(&["deployment", &self.name], asking, with_no_wait(json!({}))).await?;
        if self.waiting.wait {
            return self.waiting.follow(globals, &self.telling, (teller, &self.name), &Value::Null).await;
        }
        let name = harmless(&self.name);
        let table = || format!("{name}: it is being removed; `deployments {name}` tells how far that is");
        self.telling.asking.output.print(&told, table)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The answer comes at once: whoever waits asks again and again, and tells people meanwhile.
fn with_no_wait(mut words: Value) -> Value {
    words["waitSeconds"] = json!(0);
    words
}

/// How a deployment is that is waited for.
enum Stage {
    Going,
    Done,
    Failed(String),
}

impl Stage {
    /// By its page; of one that is to go there is none in the end.
    fn of(told: Option<&Value>, revision: &Value) -> Self {
        let Some(told) = told else {
            return if revision.is_null() { Self::Done } else { Self::Failed("somebody has removed it".to_owned()) };
        };
        let problem = || told["problem"].as_str().unwrap_or("it failed").to_owned();
        match told["state"].as_str() {
            Some("failed") => Self::Failed(problem()),
            _ if !revision.is_null() && told["revision"] != *revision => {
                Self::Failed("somebody else has written it meanwhile".to_owned())
            }
            Some("settled" | "drifted") if !revision.is_null() => Self::Done,
            _ => Self::Going,
        }
    }
}

impl Waiting {
    /// What is not done yet after all that time, and where it is told why.
    fn unfinished(&self, last: &Value) -> String {
        let objects = last["objects"].as_array().map(Vec::as_slice).unwrap_or_default();
        let waits = objects.iter().filter(|it| it["state"] != "ready").map(tables::deployments::unfinished);
        let waits = waits.map(|told| format!("\n  {told}")).collect::<String>();
        format!("it is not done after {}{waits}", humantime::format_duration(self.timeout))
    }

    /// Asks again and again until it is done, also another process when the one that was asked has gone.
    async fn follow(
        &self,
        globals: &Globals,
        telling: &Telling,
        (teller, name): (Teller<'_>, &str),
        revision: &Value,
    ) -> anyhow::Result<ExitCode> {
        let output = telling.asking.output;
        let mut way = Some(teller.way);
        let mut seen = Seen::new();
        let mut last = Value::Null;
        let following = async {
            loop {
                let known = match way.take() {
                    Some(known) => Ok(known),
                    None => telling.asking.server.way(globals).await,
                };
                match look(known, name).await {
                    Ok((told, known)) => {
                        way = Some(known);
                        tell_progress(output, told.as_ref(), &mut seen)?;
                        let stage = Stage::of(told.as_ref(), revision);
                        last = told.unwrap_or_else(|| json!({"name": name, "state": "removed"}));
                        if !matches!(stage, Stage::Going) {
                            return Ok(stage);
                        }
                    }
                    Err(error) if is_passing(&error) => {}
                    Err(error) => return Err(error),
                }
                sleep(ASKED_EVERY).await;
            }
        };
        let stage = match tokio::time::timeout(self.timeout, following).await {
            Ok(stage) => stage?,
            Err(_) => Stage::Failed(self.unfinished(&last)),
        };
        if let Some(format) = output.format() {
            format.print(&last)?;
        }
        match stage {
            Stage::Failed(why) => {
                complain(&format!("{name}: {why}"));
                Ok(ExitCode::FAILURE)
            }
            _ => {
                progress(output, &format!("{}: {}", harmless(name), last["state"].as_str().unwrap_or_default()))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// The page of a deployment; none where there is no such deployment.
async fn look(way: anyhow::Result<Way>, name: &str) -> anyhow::Result<(Option<Value>, Way)> {
    let way = way?;
    let all = way.ask(&["deployments"]).await?;
    let found = all.as_array().into_iter().flatten().find(|it| it["name"] == name).cloned();
    Ok((found, way))
}

/// Tells of each object how far it is, where that is another than was told.
fn tell_progress(output: Output, told: Option<&Value>, seen: &mut Seen) -> anyhow::Result<()> {
    let objects = told.and_then(|told| told["objects"].as_array()).map(Vec::as_slice).unwrap_or_default();
    for object in objects {
        let (id, line) = tables::deployments::progress(object);
        if seen.insert(id, line.clone()).as_ref() != Some(&line) {
            progress(output, &line)?;
        }
    }
    Ok(())
}

/// Part of the answer for people, beside that of programs.
fn progress(output: Output, text: &str) -> anyhow::Result<()> {
    if output == Output::Table {
        return print(text);
    }
    eprintln!("{text}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_waited_too_long_is_told_for_what() {
        let object = |id: &str, kind: &str, name: &str, state: &str, message: Value| json!({"object": id, "kind": kind, "name": name, "state": state, "message": message});
        let last = json!({"objects": [
            object("Secret/a", "Secret", "a", "ready", Value::Null),
            object("JobConfig/x", "JobConfig", "x", "applied", Value::Null),
            object("Job/b", "Job", "b", "waiting", json!("no quota")),
        ]});
        let told = Waiting { wait: true, timeout: Duration::from_secs(90) }.unfinished(&last);
        assert_eq!(
            told,
            "it is not done after 1m 30s\n  JobConfig/x applied; `why x` tells why\n  Job/b waiting: no quota"
        );
        let nothing = Waiting { wait: true, timeout: Duration::from_secs(1) }.unfinished(&Value::Null);
        assert_eq!(nothing, "it is not done after 1s");
    }
}
