//! Histories of Jobs and Pods as the real cluster writes them, for the simulation to be measured by.
//!
//! `JOB_CHIEF_RECORD=1` writes those of each case under `tests/simulation/recorded/`.

use std::{path::Path, sync::Arc};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api, Client,
    runtime::watcher::{Config, Event, watcher},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::stage::eventually;

/// Everything that was seen in one namespace, in order.
#[derive(Clone, Default)]
pub(crate) struct Recording(Arc<Mutex<Vec<Value>>>);

impl Recording {
    /// Begins, if recording is asked for.
    pub(crate) fn begin(client: &Client, namespace: &str) -> Self {
        let recording = Self::default();
        if std::env::var_os("JOB_CHIEF_RECORD").is_some() {
            recording.follow::<Job>(Api::namespaced(client.clone(), namespace), "job");
            recording.follow::<Pod>(Api::namespaced(client.clone(), namespace), "pod");
        }
        recording
    }

    fn follow<K>(&self, api: Api<K>, kind: &'static str)
    where
        K: kube::Resource<DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let seen = self.0.clone();
        tokio::spawn(async move {
            let mut events = watcher(api, Config::default()).boxed();
            while let Ok(Some(event)) = events.try_next().await {
                let (change, object) = match event {
                    Event::Apply(object) | Event::InitApply(object) => ("apply", object),
                    Event::Delete(object) => ("delete", object),
                    Event::Init | Event::InitDone => continue,
                };
                seen.lock().await.push(json!({"change": change, "kind": kind, "object": cut(&json!(object))}));
            }
        });
    }

    /// Writes the history of one Job with its pods.
    pub(crate) async fn keep(&self, case: &str, job: &str) {
        if std::env::var_os("JOB_CHIEF_RECORD").is_none() {
            return;
        }
        let of_job = |entry: &&Value| {
            let metadata = &entry["object"]["metadata"];
            metadata["name"] == job || metadata["ownerReferences"][0]["name"] == job
        };
        let history = eventually("the history to be whole", || async {
            let history: Vec<Value> = self.0.lock().await.iter().filter(of_job).cloned().collect();
            is_whole(&history).then_some(history)
        })
        .await;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/recorded");
        std::fs::create_dir_all(&folder).unwrap();
        let text = serde_json::to_string_pretty(&history).unwrap();
        std::fs::write(folder.join(format!("{case}.json")), text + "\n").unwrap();
    }
}

/// The Job is finished or gone.
fn is_whole(history: &[Value]) -> bool {
    let last = history.iter().rfind(|entry| entry["kind"] == "job");
    let finished = |entry: &Value| {
        let conditions = entry["object"]["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|it| it["type"] == "Complete" || it["type"] == "Failed")
    };
    last.is_some_and(|entry| entry["change"] == "delete" || finished(entry))
}

/// What a digest may read of an object, and nothing of its environment.
fn cut(object: &Value) -> Value {
    let mut cut = json!({"metadata": {}, "spec": {}, "status": object["status"]});
    for (part, keys) in [
        (
            "metadata",
            &[
                "name",
                "uid",
                "resourceVersion",
                "creationTimestamp",
                "deletionTimestamp",
                "annotations",
                "ownerReferences",
            ][..],
        ),
        ("spec", &["suspend", "nodeName"]),
    ] {
        for key in keys.iter().filter(|key| !object[part][**key].is_null()) {
            cut[part][*key] = object[part][*key].clone();
        }
    }
    if object["spec"]["template"].is_object() {
        // A Job's template is required, and nothing of it is read.
        cut["spec"]["template"] = json!({});
    } else {
        cut["spec"]["containers"] = json!([]);
    }
    cut
}
