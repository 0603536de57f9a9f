//! The README's table of worked sequences, and the waits: scripts of events with what they lead to.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use job_chief::{
    config::job_config::JobConfig,
    decide::{
        digest::StartProblem,
        event::{CheckAnswer, CreateAnswer, DeleteAnswer, Effect, Event, LoadedRun, LoadedRuns, WishAnswer},
        lifecycle::Lifecycle,
        observation::{Observed, Phase, SeenJob},
        policy::Policy,
        run::{End, JobName, Outcome, Reason},
        scale::Look,
    },
};
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);

/// A lifecycle, a cluster that does as it is told, and a queue whose counts the script says.
struct Script {
    life: Lifecycle,
    now: Duration,
    jobs: BTreeMap<JobName, SeenJob>,
    ends: Vec<End>,
    pending_look: bool,
    refuses: bool,
}

fn running() -> Phase {
    Phase::Running { age: Duration::ZERO }
}

fn starting() -> Phase {
    Phase::Starting { age: Duration::ZERO, problem: None }
}

fn ended(outcome: Outcome, reason: Reason) -> Phase {
    Phase::Ended { end: End::new(outcome, reason), terminal: true, explained: true, age: Duration::ZERO }
}

fn problem(reason: Reason, word: &str) -> Phase {
    let problem = Some(StartProblem { reason, word: word.into(), message: "".into() });
    Phase::Starting { age: Duration::ZERO, problem }
}

impl Script {
    fn begin(keys: Value) -> Self {
        Self::restart(keys, vec![], BTreeMap::new())
    }

    fn restart(keys: Value, unfinished: Vec<LoadedRun>, jobs: BTreeMap<JobName, SeenJob>) -> Self {
        let mut config =
            json!({"queueName": "q", "podConfig": {"image": "i"}, "maxConcurrentJobs": 4, "queueCheckInterval": "10s"});
        config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let config: JobConfig = serde_json::from_value(config).unwrap();
        let now = Duration::from_secs(1_700_000_000);
        let life = Lifecycle::new(Policy::of(&config, "i"), 7, now);
        let mut script = Self { life, now, jobs, ends: vec![], pending_look: false, refuses: false };
        script.feed(Event::DeadlineReached);
        script.feed(Event::RunsLoaded(Some(LoadedRuns { unfinished, failed_in_a_row: 0 })));
        script.show();
        script
    }

    fn feed(&mut self, event: Event) {
        for effect in self.life.step(self.now, event) {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::LoadRuns => {}
            Effect::ReadDepth(_) => self.pending_look = true,
            Effect::WriteWishes(wishes) => {
                for wish in wishes {
                    self.feed(Event::WishWritten(wish.name, Some(WishAnswer::Written)));
                }
            }
            Effect::CreateJob(wish) if self.refuses => {
                self.feed(Event::CreateAnswered(wish.name, CreateAnswer::Refused { message: "quota".into() }));
            }
            Effect::CreateJob(wish) => {
                let uid: Box<str> = wish.name.0.as_str().into();
                let job = SeenJob {
                    uid: uid.clone(),
                    resource_version: "1".into(),
                    slot: Some(wish.slot),
                    age: Duration::ZERO,
                    terminating: false,
                    node: None,
                    phase: starting(),
                };
                self.jobs.insert(wish.name.clone(), job);
                self.feed(Event::CreateAnswered(wish.name, CreateAnswer::Exists { uid }));
            }
            Effect::CheckJob(name) => {
                let answer = self.jobs.get(&name).map_or(CheckAnswer::Absent, |job| CheckAnswer::Found(job.clone()));
                self.feed(Event::Checked(name, answer));
            }
            Effect::DeleteJob { name, .. } => {
                self.jobs.remove(&name);
                self.feed(Event::DeleteAnswered(name, DeleteAnswer::Accepted));
            }
            Effect::WriteEnd(ended) => {
                self.ends.push(ended.end);
                self.feed(Event::EndWritten(ended.name, true));
            }
        }
    }

    /// The watch shows the cluster as it is.
    fn show(&mut self) {
        self.feed(Event::Observed(Arc::new(Observed { jobs: self.jobs.clone() })));
    }

    /// Time goes on, deadline by deadline, until the lifecycle looks or `wait` is over. True if it looks.
    fn looks_within(&mut self, wait: Duration) -> bool {
        let end = self.now + wait;
        while !self.pending_look && self.now < end {
            let next = self.life.deadline().unwrap_or(end).clamp(self.now, end);
            let passed = next - self.now;
            self.now = next;
            for job in self.jobs.values_mut() {
                grow_older(&mut job.phase, passed);
            }
            self.feed(Event::DeadlineReached);
        }
        self.pending_look
    }

    /// The next look finds these counts. Returns how many Jobs it creates.
    fn look(&mut self, old: u64, new: u64) -> usize {
        assert!(self.looks_within(30 * SECOND), "no look within 30 s: {:?}", self.life.status(self.now));
        self.pending_look = false;
        let before = self.jobs.len();
        let at_us = i64::try_from(self.now.as_micros()).unwrap();
        self.feed(Event::DepthRead(Some(Look { old, new, at_us })));
        let created = self.jobs.len() - before;
        self.show();
        created
    }

    /// Every Job is in this phase from now on.
    fn all(&mut self, phase: &Phase) {
        for job in self.jobs.values_mut() {
            job.phase = phase.clone();
        }
        self.show();
    }

    fn wait(&mut self, wait: Duration) {
        assert!(!self.looks_within(wait), "a look came early: {:?}", self.life.status(self.now));
    }
}

fn grow_older(phase: &mut Phase, by: Duration) {
    match phase {
        Phase::Starting { age, .. } | Phase::Running { age } | Phase::Ended { age, .. } => *age += by,
        Phase::Queued | Phase::Suspended => {}
    }
}

#[test]
fn nothing_before_runs_are_loaded_and_a_view_is_seen() {
    let mut script = Script::begin(json!({}));
    assert!(script.pending_look, "with both it looks at once");
    assert_eq!(script.look(0, 0), 0, "an empty queue creates nothing");
    script.wait(Duration::from_millis(8_900));
    assert!(script.looks_within(2 * SECOND), "jitter shortens the interval by a tenth at most");
}

#[test]
fn a_first_message_and_a_burst() {
    let mut script = Script::begin(json!({}));
    assert_eq!(script.look(1, 0), 1);
    script.all(&running());
    assert_eq!(script.look(0, 9), 3, "room for three more, at once although a Job runs");
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.ends.len(), 4);
    assert_eq!(script.look(5, 0), 4, "as the slots are free again");
}

#[test]
fn a_starting_job_is_not_doubled() {
    let mut script = Script::begin(json!({}));
    assert_eq!(script.look(1, 0), 1);
    assert_eq!(script.look(1, 0), 0, "its message is claimed");
    assert_eq!(script.look(1, 1), 1, "another message is not");
}

#[test]
fn a_message_that_nobody_takes_blocks_nobody() {
    let mut script = Script::begin(json!({"fetchGrace": "15s"}));
    assert_eq!(script.look(1, 0), 1);
    script.all(&running());
    assert_eq!(script.look(1, 0), 0, "the pod may still be about to take it");
    script.looks_within(6 * SECOND);
    assert_eq!(script.look(1, 0), 1, "after fetchGrace it is nobody's");
}

#[test]
fn a_batch_worker_gets_as_many_jobs_as_batches() {
    let mut script = Script::begin(json!({"messagesPerJob": 5}));
    assert_eq!(script.look(12, 0), 3);
    let mut pods = Script::begin(json!({"podConfig": {"image": "i", "parallelism": 2}}));
    assert_eq!(pods.look(3, 0), 2, "messagesPerJob is parallelism by default");
}

#[test]
fn another_consumer_costs_at_most_one_idle_job() {
    let mut script = Script::begin(json!({}));
    assert_eq!(script.look(1, 0), 1);
    assert_eq!(script.look(0, 0), 0, "somebody else took it");
    assert_eq!(script.look(0, 1), 1, "its claim is gone with it");
}

#[test]
fn a_worker_that_crashes_is_followed_by_another_after_the_wait() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 1, "waitTimeAfterFailedRun": "7s"}));
    assert_eq!(script.look(1, 0), 1);
    script.all(&ended(Outcome::Failed, Reason::ExitCode));
    script.wait(Duration::from_millis(6_900));
    assert_eq!(script.look(1, 0), 1);
}

#[test]
fn failed_runs_in_a_row_back_off_with_one_trial_until_a_success() {
    let keys = json!({"waitTimeAfterFailedRun": "1s", "backoff": {"factor": 2, "max": "1m", "after": 2}, "failedJobsHistoryLimit": 100});
    let mut script = Script::begin(keys);
    assert_eq!(script.look(2, 0), 2);
    script.all(&ended(Outcome::Failed, Reason::ExitCode));
    script.wait(Duration::from_millis(900));
    assert_eq!(script.look(9, 0), 1, "one trial, whatever the room");
    script.all(&running());
    assert!(!script.looks_within(20 * SECOND), "no other while the trial runs");
    script.all(&ended(Outcome::Failed, Reason::ExitCode));
    script.wait(Duration::from_millis(1_900));
    assert_eq!(script.look(9, 0), 1, "the wait has doubled");
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.look(9, 0), 3, "a success ends it: all slots but the one that cools");
}

#[test]
fn a_pod_that_starts_ends_a_back_off_from_start_errors() {
    let mut script = Script::begin(json!({"waitTimeAfterError": "3s", "maxConcurrentJobs": 2}));
    assert_eq!(script.look(2, 0), 2);
    script.all(&problem(Reason::ImagePull, "InvalidImageName"));
    assert_eq!(script.ends.len(), 2, "no waiting mends a name that is none");
    assert!(script.ends.iter().all(|end| end.outcome == Outcome::StartError && end.reason == Reason::ImagePull));
    script.wait(Duration::from_millis(2_900));
    assert_eq!(script.look(2, 0), 1, "one trial");
    script.all(&running());
    assert_eq!(script.look(1, 0), 1, "the start is mended");
}

#[test]
fn a_pull_back_off_has_its_grace_and_then_counts_as_a_start_error() {
    let mut script = Script::begin(json!({"startErrorGrace": "5s", "jobStartTimeout": "1m", "maxConcurrentJobs": 1}));
    assert_eq!(script.look(1, 0), 1);
    script.all(&problem(Reason::ImagePull, "ImagePullBackOff"));
    script.wait(Duration::from_millis(4_900));
    assert_eq!(script.ends.len(), 0);
    script.looks_within(SECOND);
    assert_eq!(script.ends.first().map(|end| end.outcome), Some(Outcome::StartError));
    assert!(script.jobs.is_empty(), "what is given up on is deleted");
}

#[test]
fn the_start_clock_does_not_run_for_a_queued_or_suspended_job() {
    let mut script = Script::begin(json!({"jobStartTimeout": "5s", "maxConcurrentJobs": 1}));
    assert_eq!(script.look(1, 0), 1);
    for phase in [Phase::Queued, Phase::Suspended] {
        script.all(&phase);
        script.wait(120 * SECOND);
    }
    script.all(&starting());
    script.looks_within(6 * SECOND);
    assert_eq!(script.ends.first().map(|end| end.outcome), Some(Outcome::StartTimedOut));
}

#[test]
fn a_full_cluster_gets_one_more_job_than_has_started_and_the_waits_do_not_grow() {
    let mut script = Script::begin(json!({"jobStartTimeout": "1m"}));
    assert_eq!(script.look(2, 0), 2);
    let names: Vec<JobName> = script.jobs.keys().cloned().collect();
    script.jobs.get_mut(&names[0]).unwrap().phase = running();
    script.jobs.get_mut(&names[1]).unwrap().phase = problem(Reason::Unschedulable, "Unschedulable");
    script.show();
    assert!(!script.looks_within(30 * SECOND), "one runs, one waits for room: no third");
    script.looks_within(40 * SECOND);
    assert_eq!(script.ends.first().map(|end| end.reason), Some(Reason::Unschedulable));
    assert_eq!(script.life.status(script.now).backoff_until, None);
}

#[test]
fn refused_creates_wait_longer_and_longer() {
    let mut script = Script::begin(json!({"waitTimeAfterError": "2s", "backoff": {"factor": 3}}));
    script.refuses = true;
    assert_eq!(script.look(4, 0), 0);
    assert_eq!(script.ends.len(), 4);
    script.wait(Duration::from_millis(1_900));
    script.look(4, 0);
    assert_eq!(script.ends.len(), 5, "one trial");
    script.wait(Duration::from_millis(5_900));
}

#[test]
fn a_restart_adopts_and_doubles_nothing() {
    let mut before = Script::begin(json!({}));
    assert_eq!(before.look(2, 0), 2);
    let jobs = before.jobs.clone();
    let unfinished = jobs
        .iter()
        .map(|(name, job)| LoadedRun { name: name.clone(), slot: job.slot.unwrap(), uid: None, age: SECOND })
        .collect();
    let mut after = Script::restart(json!({}), unfinished, jobs.clone());
    assert_eq!(after.look(2, 0), 0, "min(m · starting, ready) is claimed");
    assert_eq!(after.look(2, 1), 1);
    assert!(jobs.keys().all(|name| after.jobs.contains_key(name)), "nothing was killed");
}

#[test]
fn a_wish_that_was_never_asked_for_is_asked_for_under_its_name() {
    let wished = LoadedRun { name: JobName("wished".into()), slot: 0, uid: None, age: SECOND };
    let script = Script::restart(json!({}), vec![wished], BTreeMap::new());
    assert!(script.jobs.contains_key(&JobName("wished".into())));
    let long_ago = LoadedRun { name: JobName("old".into()), slot: 0, uid: None, age: 600 * SECOND };
    let mut script = Script::restart(json!({}), vec![long_ago], BTreeMap::new());
    for _ in 0..3 {
        script.look(0, 0);
    }
    assert!(script.jobs.is_empty(), "its Job may have come and gone: not made anew");
    assert_eq!(script.ends, [End::new(Outcome::Vanished, Reason::Deleted)]);
}

#[test]
fn finished_jobs_beyond_the_limits_are_deleted_oldest_first_and_not_at_once() {
    let mut script = Script::begin(json!({"successfulJobsHistoryLimit": 1, "waitTimeAfterSuccessfulRun": "0s"}));
    assert_eq!(script.look(3, 0), 3);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.jobs.len(), 3, "no late request may find a name free");
    for _ in 0..9 {
        script.look(0, 0);
    }
    assert_eq!(script.jobs.len(), 1);
}

#[test]
fn evictions_are_nobodys_fault() {
    let mut script =
        Script::begin(json!({"maxConcurrentJobs": 1, "backoff": {"after": 1}, "waitTimeAfterFailedRun": "1s"}));
    for _ in 0..3 {
        assert_eq!(script.look(1, 0), 1);
        script.all(&ended(Outcome::Failed, Reason::Disrupted));
        assert_eq!(script.life.status(script.now).backoff_until, None);
    }
}
