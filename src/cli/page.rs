//! The pages that are shown: how queues and services are.

use serde_json::{Value, json};

use crate::{
    cli::{
        output::{Output, width},
        server::Way,
    },
    tables,
};

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Page<'a> {
    /// All queues, and who leads.
    Jobs,
    /// One of them.
    Job(&'a str),
    /// All services.
    Services,
    /// One of them.
    Service(&'a str),
    /// All deployments.
    Deployments,
    /// One of them.
    Deployment(&'a str),
    /// All pools.
    Pools,
}

impl Page<'_> {
    /// What job-chief says.
    pub(super) async fn ask(&self, way: &Way) -> anyhow::Result<Value> {
        Ok(match self {
            Self::Jobs => json!({ "jobs": way.ask(&["jobs"]).await?, "members": way.ask(&["members"]).await? }),
            Self::Job(name) => way.ask(&["jobs", name]).await?,
            Self::Services => way.ask(&["services"]).await?,
            Self::Service(name) => way.ask(&["services", name]).await?,
            Self::Deployments => way.ask(&["deployments"]).await?,
            Self::Deployment(name) => way.ask(&["deployment", name]).await?,
            Self::Pools => way.ask(&["pools"]).await?,
        })
    }

    /// What people read of it.
    pub(super) fn table(&self, told: &Value) -> String {
        match self {
            Self::Jobs => tables::overview(&told["jobs"], &told["members"], width()),
            Self::Job(_) => tables::details(told, width()),
            Self::Services => tables::services(told, width()),
            Self::Service(_) => tables::service(told, width()),
            Self::Deployments => tables::deployments::overview(told, width()),
            Self::Deployment(_) => tables::deployments::details(told, width()),
            Self::Pools => tables::pools::overview(told, width()),
        }
    }

    /// A service that should run does not, or a deployment has failed.
    pub(super) fn is_down(&self, told: &Value) -> bool {
        let all = told.as_array().map_or(std::slice::from_ref(told), Vec::as_slice);
        match self {
            Self::Jobs | Self::Job(_) | Self::Pools => false,
            Self::Services | Self::Service(_) => {
                all.iter().any(|service| service["wanted"] == true && service["state"] != "RUNNING")
            }
            Self::Deployments | Self::Deployment(_) => all.iter().any(|it| it["state"] == "failed"),
        }
    }
}

/// A page as it is printed, and its lines without what changes by itself with time.
pub(super) fn drawn(page: Page<'_>, told: &Value, output: Output) -> anyhow::Result<(String, Vec<String>)> {
    let still = still(told);
    Ok(match output.format() {
        Some(format) => (format.text(told)?, vec![still.to_string()]),
        None => (page.table(told), page.table(&still).lines().map(str::to_owned).collect()),
    })
}

/// The same without the figures that change by themselves: those that count seconds.
fn still(told: &Value) -> Value {
    match told {
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| {
                let value = match value.as_f64() {
                    Some(seconds) if key.ends_with("Seconds") => json!(if seconds > 0.0 { 1 } else { 0 }),
                    _ => still(value),
                };
                (key.clone(), value)
            };
            Value::Object(entries.iter().map(entry).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(still).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_grows_older_is_no_change() {
        let told = |age: f64, backoff: f64| json!([{"sinceSeconds": age, "n": 3, "x": {"backoffSeconds": backoff}}]);
        assert_eq!(still(&told(3.5, 0.0)), still(&told(4.5, 0.0)));
        assert_ne!(still(&told(3.5, 0.0)), still(&told(3.5, 2.0)));
    }
}
