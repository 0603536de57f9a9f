//! Jobs and Pods as an API server could send them: a Job, then its Pods, a line each. What is decoded leanly is read as
//! the whole, and whatever it says it becomes something that was seen.

use job_chief::{
    cluster::partial::{PartialJob, PartialPod},
    decide::{
        outcome::MESSAGE_MAX,
        pod::{
            digest::{JobDigest, PodDigest},
            observation::{Phase, observe},
            references::references,
        },
    },
};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use serde_json::Value;

/// Some time, in milliseconds since 1970.
const NOW: i64 = 1_800_000_000_000;

pub(crate) fn try_out(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let job = lines.next().and_then(job);
    let pods: Vec<PodDigest> = lines.filter_map(pod).collect();
    let pods: Vec<&PodDigest> = pods.iter().collect();
    let Some(job) = job else { return };
    for now in [0, NOW, i64::MAX, i64::MIN] {
        if let Phase::Ended { end, .. } = observe(&job, &pods, now).phase {
            let message = end.message.unwrap_or_default();
            assert!(message.chars().count() <= MESSAGE_MAX && !message.contains('\0'), "{message:?}");
        }
    }
}

/// The same without a key that stands there twice, which no API server writes.
fn plain(text: &[u8]) -> Option<String> {
    serde_json::from_slice::<Value>(text).ok().map(|value| value.to_string())
}

fn job(text: &[u8]) -> Option<JobDigest> {
    let text = plain(text)?;
    let lean = serde_json::from_str::<PartialJob>(&text);
    if let Ok(whole) = serde_json::from_str::<Job>(&text) {
        references(&whole);
        let lean = lean.as_ref().unwrap_or_else(|error| panic!("only the whole is decoded: {error}"));
        assert_eq!(JobDigest::of(&lean.0), JobDigest::of(&whole));
    }
    JobDigest::of(&lean.ok()?.0)
}

fn pod(text: &[u8]) -> Option<PodDigest> {
    let text = plain(text)?;
    let lean = serde_json::from_str::<PartialPod>(&text);
    if let Ok(whole) = serde_json::from_str::<Pod>(&text) {
        let lean = lean.as_ref().unwrap_or_else(|error| panic!("only the whole is decoded: {error}"));
        assert_eq!(PodDigest::of(&lean.0), PodDigest::of(&whole));
    }
    PodDigest::of(&lean.ok()?.0)
}
