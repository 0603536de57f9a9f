//! The table of worked sequences in docs/queues.md, and the waits: scripts of events with what they lead to.
#![expect(clippy::unwrap_used, reason = "test code")]

mod admission;
mod bare;
mod deployments;
mod edges;
mod effects;
mod external;
mod gauges;
mod generations;
mod keys;
mod looks;
mod objects;
mod one_offs;
mod one_offs_changed;
mod places;
mod places_held;
mod places_of_services;
mod rests;
mod rollouts;
mod runs;
mod script;
mod service;
mod service_health;
mod service_keys;
mod service_shown;
mod services;
mod shared;
mod windows;
mod windows_clock;
mod windows_shared;

use std::{collections::BTreeMap, time::Duration};

use job_chief::{
    config::job_config::JobConfig,
    decide::{
        outcome::{End, JobName, Outcome, Reason},
        pod::observation::{Phase, SeenJob},
        queue::{
            event::{LogEntry, QueueEvent},
            lifecycle::Lifecycle,
            policy::QueuePolicy,
        },
        run::event::{LoadedRun, LoadedRuns, RunEvent},
    },
};
use serde_json::json;

use crate::script::{SECOND, Script, ended, on_record, problem, running, starting};

#[test]
fn nothing_before_runs_are_loaded_and_a_view_is_seen() {
    let mut script = Script::begin(json!({}));
    assert!(script.pending_look, "with both it looks at once");
    assert_eq!(script.look(0, 0), 0, "an empty queue creates nothing");
    assert!(script.looks_within(10 * SECOND), "and again in its interval");
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
    assert_eq!(script.look(8, 0), 3, "a success ends it: all slots but the one that cools");
}

#[test]
fn a_worker_that_succeeds_and_takes_nothing_backs_off_like_one_that_fails() {
    let keys = json!({"maxConcurrentJobs": 1, "waitTimeAfterSuccessfulRun": "1s", "waitTimeAfterFailedRun": "4s", "backoff": {"after": 2}});
    let mut script = Script::begin(keys);
    assert_eq!(script.look(3, 0), 1);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    script.wait(Duration::from_millis(900));
    assert_eq!(script.look(3, 2), 1, "once is no proof; newer messages are none that it was started for");
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.look(5, 0), 0, "twice in a row it backs off");
    assert_eq!(script.life.status(script.now).failed_in_a_row, 2);
    script.wait(Duration::from_millis(3_900));
    assert_eq!(script.look(5, 0), 1, "one trial after the wait");
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.look(4, 0), 1, "this one took a message, and all is forgiven");
    assert_eq!(script.life.status(script.now).failed_in_a_row, 0);
    let marked = script.notes.iter().filter(|note| matches!(note, LogEntry::TookNothing(_))).count();
    assert_eq!(marked, 2);
    let ends: Vec<Outcome> = script.ends.iter().map(|end| end.outcome).collect();
    assert_eq!(ends, [Outcome::Succeeded; 3], "each stays a success on record");
}

#[test]
fn what_another_worker_took_before_is_no_excuse() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 1, "waitTimeAfterSuccessfulRun": "1s"}));
    assert_eq!(script.look(3, 0), 1);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.look(2, 0), 1, "it took one");
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    script.look(2, 0);
    let marked = script.notes.iter().filter(|note| matches!(note, LogEntry::TookNothing(_))).count();
    assert_eq!(marked, 1);
}

#[test]
fn a_worker_is_not_blamed_where_more_messages_wait_than_are_counted() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 1, "backoff": {"after": 1}}));
    for _ in 0..3 {
        assert_eq!(script.look(100, 0), 1);
        script.all(&ended(Outcome::Succeeded, Reason::Completed));
    }
    assert_eq!(script.life.status(script.now).backoff_until, None);
}

#[test]
fn decisions_are_written_down_when_they_create_or_their_reason_changes() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 2}));
    script.look(0, 0);
    script.look(0, 0);
    assert_eq!(script.look(5, 0), 2);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.look(1, 0), 1);
    assert_eq!(script.look(1, 0), 0);
    assert_eq!(script.look(1, 0), 0);
    let whys: Vec<(&str, u64)> = script
        .notes
        .iter()
        .filter_map(|note| match note {
            LogEntry::Decided { decision, .. } => Some((decision.why.as_str(), decision.jobs)),
            LogEntry::TookNothing(_) => None,
        })
        .collect();
    assert_eq!(whys, [("empty", 0), ("full", 2), ("created", 1), ("claimed", 0)]);
}

/// The runs of these Jobs, as the store knows them.
fn unfinished(jobs: &BTreeMap<JobName, SeenJob>) -> Vec<LoadedRun> {
    let run = |(name, job): (&JobName, &SeenJob)| on_record(&name.0, job.slot.unwrap(), SECOND);
    jobs.iter().map(run).collect()
}

#[test]
fn a_jobconfig_that_left_is_seen_to_its_end_and_no_further() {
    let mut before = Script::begin(json!({}));
    assert_eq!(before.look(2, 0), 2);
    let mut jobs = before.jobs;
    let unfinished = unfinished(&jobs);
    // One of them never came to be: it can't be rendered any more.
    let lost = jobs.pop_first().unwrap().0;
    let mut after = Script::restart(json!({}), vec![], BTreeMap::new());
    after.life = Lifecycle::new(crate::script::naming(), QueuePolicy::of(&JobConfig::left("q")), 8, after.now);
    after.jobs = jobs;
    after.pending_look = false;
    after.feed(QueueEvent::Run(RunEvent::Drain));
    after.feed(QueueEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns { unfinished, ..LoadedRuns::default() }))));
    after.show();
    assert!(!after.life.is_done());
    after.wait(120 * SECOND);
    assert_eq!(after.ends, [End::new(Outcome::Vanished, Reason::Deleted)]);
    assert!(!after.jobs.contains_key(&lost));
    after.all(&running());
    assert!(!after.life.is_done(), "the other runs on");
    after.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(after.ends.len(), 2);
    assert!(after.life.is_done());
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
fn a_pod_that_has_failed_for_good_is_a_start_error_and_not_a_timeout() {
    for (reason, outcome) in [
        (Reason::InitFailed, Outcome::StartError),
        (Reason::Rejected, Outcome::StartError),
        (Reason::ContainerCreating, Outcome::StartTimedOut),
    ] {
        let mut script = Script::begin(json!({"jobStartTimeout": "5s", "maxConcurrentJobs": 1}));
        assert_eq!(script.look(1, 0), 1);
        script.all(&problem(reason, "Word"));
        script.wait(Duration::from_millis(4_900));
        script.looks_within(SECOND);
        let ends: Vec<(Outcome, Reason)> = script.ends.iter().map(|end| (end.outcome, end.reason)).collect();
        assert_eq!(ends, [(outcome, reason)]);
    }
}

#[test]
fn a_job_that_lives_again_after_its_end_was_recorded_is_taken_away() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 1}));
    assert_eq!(script.look(1, 0), 1);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.ends.len(), 1);
    // It was deleted, and a create that had been on its way for long made it anew: nobody counts on it any more.
    script.jobs.values_mut().for_each(|job| job.uid = "again".into());
    script.all(&running());
    assert!(script.jobs.is_empty(), "{:?}", script.jobs);
    assert_eq!(script.look(1, 0), 1, "and the queue goes on");
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
fn a_start_timeout_grows_the_wait_unless_it_is_for_want_of_a_node_while_others_run() {
    for (reason, other_runs, grows) in [
        (Reason::Unschedulable, true, false),
        (Reason::Unschedulable, false, true),
        (Reason::ContainerCreating, true, true),
        (Reason::ContainerCreating, false, true),
    ] {
        let mut script = Script::begin(json!({"jobStartTimeout": "5s", "waitTimeAfterTimeout": "20s"}));
        assert_eq!(script.look(1, 0), 1);
        if other_runs {
            script.become_once(&running());
            assert_eq!(script.look(0, 1), 1);
        }
        script.become_once(&problem(reason, "Word"));
        script.looks_within(6 * SECOND);
        assert_eq!(script.ends.len(), 1, "{reason:?}");
        let status = script.life.status(script.now);
        assert_eq!(status.backoff_until.is_some(), grows, "{reason:?} {other_runs} {status:?}");
    }
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
    let mut after = Script::restart(json!({}), unfinished(&jobs), jobs.clone());
    assert_eq!(after.look(2, 0), 0, "min(m · starting, ready) is claimed");
    assert_eq!(after.look(2, 1), 1);
    assert!(jobs.keys().all(|name| after.jobs.contains_key(name)), "nothing was killed");
}

#[test]
fn a_wish_that_was_never_asked_for_is_asked_for_under_its_name() {
    let wished = on_record("wished", 0, SECOND);
    let script = Script::restart(json!({}), vec![wished], BTreeMap::new());
    assert!(script.jobs.contains_key(&JobName("wished".into())));
    let long_ago = on_record("old", 0, 600 * SECOND);
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
