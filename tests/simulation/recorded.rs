//! Histories recorded on a real cluster: the observation code reads them as it should, and the made-up cluster
//! tells the same story for the same script. `JOB_CHIEF_RECORD=1 cargo xtask test` records them anew.

use std::{collections::BTreeMap, time::Duration};

use job_chief::decide::{
    decision::Wish,
    outcome::{JobName, Reason},
    pod::{
        digest::{JobDigest, PodDigest},
        observation::{Phase, SeenJob, observe},
    },
};
use serde_json::Value;

use crate::{
    cluster::{Cluster, Fate, seen},
    dice::Dice,
};

/// What one Job went through, in words; what passes by itself within a moment is left out.
#[derive(Default)]
pub(crate) struct Story(Vec<String>);

impl Story {
    /// The Job as it is now, or that it is gone.
    pub(crate) fn tell(&mut self, seen: Option<&SeenJob>) {
        let word = seen.map_or_else(|| "gone".to_owned(), word);
        if self.0.last() != Some(&word) {
            self.0.push(word);
        }
    }

    fn text(self) -> String {
        self.0.join(", ")
    }
}

fn word(seen: &SeenJob) -> String {
    if seen.terminating.is_some() {
        return "terminating".to_owned();
    }
    match &seen.phase {
        Phase::Queued => "queued".to_owned(),
        Phase::Suspended => "suspended".to_owned(),
        Phase::Starting { problem: None, .. } => "starting".to_owned(),
        Phase::Starting { problem: Some(problem), .. } => match problem.reason {
            Reason::ContainerCreating => "starting".to_owned(),
            reason => format!("starting {}", reason.as_str()),
        },
        Phase::Running { .. } => "running".to_owned(),
        Phase::Ended { end, terminal, .. } => {
            let how = if *terminal { "" } else { "about to be " };
            format!("{how}{} {}", end.outcome.as_str(), end.reason.as_str())
        }
    }
}

/// The story of a recorded history.
fn story(history: &[Value]) -> String {
    let mut job: Option<JobDigest> = None;
    let mut pods: BTreeMap<Box<str>, PodDigest> = BTreeMap::new();
    let mut story = Story::default();
    for entry in history {
        let object = entry["object"].clone();
        let deleted = entry["change"] == "delete";
        if entry["kind"] == "job" {
            let digest = JobDigest::of(&serde_json::from_value(object).unwrap()).unwrap();
            job = Some(digest).filter(|_| !deleted);
        } else {
            let digest = PodDigest::of(&serde_json::from_value(object).unwrap()).unwrap();
            pods.remove(&digest.uid);
            if !deleted {
                pods.insert(digest.uid.clone(), digest);
            }
        }
        let pods: Vec<&PodDigest> = pods.values().collect();
        story.tell(job.as_ref().map(|job| observe(job, &pods, 0)).as_ref());
    }
    story.text()
}

/// What happens to a made-up Job beside its fate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hand {
    Off,
    /// Somebody deletes the Job once it runs.
    DeletesTheJob,
    /// The Job hangs, and is given up.
    GivesUp,
    DeletesThePod,
    TakesTheNode,
}

/// The story of a made-up Job.
fn made_up(fate: Fate, hand: Hand) -> String {
    let (mut cluster, mut dice, mut story) = (Cluster::default(), Dice(1), Story::default());
    let name = JobName("job".into());
    let wish = Wish::example(name.clone());
    cluster.create(&wish, "config", fate, Duration::from_secs(1));
    for second in 2..40 {
        let now = Duration::from_secs(second);
        story.tell(cluster.snapshot().get(&name).map(|pair| seen(pair, now)).as_ref());
        let Some(it) = cluster.jobs.get_mut(&name) else { break };
        let uid = it.job.metadata.uid.clone().unwrap();
        match hand {
            Hand::DeletesTheJob if it.is_running() => cluster.delete_by_hand(&name),
            // It has hung long enough by then.
            Hand::GivesUp if second > 20 && !it.is_terminating() => {
                cluster.delete(&name, &uid, None, now);
            }
            Hand::DeletesThePod if it.is_running() => it.lose_pod(now),
            Hand::TakesTheNode if it.is_running() && !it.has_verdict() => it.evict(now),
            _ => {
                cluster.advance(&name, &mut dice, now);
            }
        }
    }
    story.text()
}

#[test]
fn the_made_up_cluster_tells_the_recorded_stories() {
    use Hand::{DeletesTheJob, DeletesThePod, GivesUp, Off, TakesTheNode};
    let scripts = [
        ("ends-quick", Fate::Works, Off),
        ("ends-exit", Fate::Fails("Error", 7), Off),
        ("ends-oom", Fate::Fails("OOMKilled", 137), Off),
        ("ends-deadline", Fate::Deadline, Off),
        ("ends-command", Fate::BadCommand, Off),
        ("ends-init", Fate::InitFails, Off),
        ("ends-image", Fate::Waits("ErrImageNeverPull"), GivesUp),
        ("ends-image-name", Fate::Waits("InvalidImageName"), GivesUp),
        ("ends-configmap", Fate::Waits("CreateContainerConfigError"), GivesUp),
        ("ends-secret", Fate::Waits("CreateContainerConfigError"), GivesUp),
        ("ends-unschedulable", Fate::Unschedulable, GivesUp),
        ("ends-account", Fate::NoPod, GivesUp),
        ("ends-pod-quota", Fate::NoPod, GivesUp),
        ("ends-job-deleted", Fate::Works, DeletesTheJob),
        ("ends-pod-deleted", Fate::Works, DeletesThePod),
        ("nodes-gone", Fate::Works, TakesTheNode),
    ];
    let mut recorded = recorded();
    for (case, fate, hand) in scripts {
        let real = recorded.remove(case).unwrap_or_else(|| panic!("{case} is not recorded"));
        assert_eq!(made_up(fate, hand), real, "{case}");
    }
    assert!(recorded.is_empty(), "recorded without a script: {recorded:?}");
}

fn recorded() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulation/recorded")).unwrap();
    let told = files.map(|entry| {
        let path = entry.unwrap().path();
        let history: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        (path.file_stem().unwrap().to_string_lossy().into_owned(), story(&history))
    });
    told.collect()
}

#[test]
fn recorded_histories_are_read_as_they_were() {
    insta::assert_debug_snapshot!(recorded());
}
