//! What the watch stores hold for a live Job with its pod.

use job_chief::{
    cluster::{
        index::Index,
        partial::{PartialJob, PartialPod},
        reflect::Change,
    },
    decide::pod::digest::{JobDigest, PodDigest},
};
use serde_json::{Value, json};

use crate::{
    figures::Figures,
    process::resident_kb,
    restart::{playing, running},
    stage::Stage,
};

/// So many that nothing else counts beside them.
const JOBS: usize = 100_000;

/// Objects as the API server sends them, many times over under other names, in a store of our own process.
pub(crate) async fn measure(figures: &mut Figures, runs: u32) {
    let mut stage = Stage::set("bench-memory").await;
    stage.run(json!([playing("one", json!({}))])).await;
    stage.send("one", 1).await;
    running(&stage, 1).await;
    let (job, pod) = (json!(stage.jobs().await[0]), json!(stage.pods().await[0]));
    stage.kill().await;
    let text_kb = (job.to_string().len() + pod.to_string().len()) as f64 / 1024.0;
    figures.add("a Job with its pod as JSON", "kB", None, text_kb);
    // What one run gave back, the next would take without growing.
    let mut kept = vec![];
    for _ in 0..runs {
        let before = resident_kb(std::process::id());
        let mut index = Index::default();
        for number in 0..JOBS {
            let (job, pod) = (renamed(&job, number), renamed(&pod, number));
            let job: PartialJob = serde_json::from_value(job).unwrap();
            let pod: PartialPod = serde_json::from_value(pod).unwrap();
            index.change_jobs(Change::Apply(JobDigest::of(&job.0).unwrap()));
            index.change_pods(Change::Apply(PodDigest::of(&pod.0).unwrap()));
        }
        assert_eq!(index.observe("one", 0).jobs.len(), JOBS);
        let held = (resident_kb(std::process::id()) - before) / JOBS as f64;
        figures.add("held by the watch stores per live Job with its pod", "kB", Some("≤ 4"), held);
        kept.push(index);
    }
}

/// The same object of another Job.
fn renamed(object: &Value, number: usize) -> Value {
    let uid = format!("00000000-0000-4000-8000-{number:012}");
    let mut object = object.clone();
    object["metadata"]["name"] = json!(format!("{}{number}", object["metadata"]["name"].as_str().unwrap()));
    object["metadata"]["uid"] = json!(uid);
    if let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() {
        owners[0]["uid"] = json!(uid);
    }
    object
}
