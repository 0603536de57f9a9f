//! Where one more or one less makes the difference.

use std::{collections::BTreeMap, sync::Arc};

use job_chief::decide::{
    outcome::{End, JobName, Outcome, Reason},
    pod::observation::{Observed, Phase, SeenJob},
    queue::event::{LogEntry, QueueEffect, QueueEvent},
    run::{
        event::{LoadedRun, LoadedRuns, RunEffect, RunEvent, WishAnswer},
        policy::RECORDED_WITHIN,
    },
};
use serde_json::json;

use crate::{
    bare::Bare,
    script::{SECOND, Script, ended, on_record, problem, running, starting},
};

fn job(slot: u32, phase: Phase) -> SeenJob {
    let (uid, resource_version) = (format!("u{slot}").into(), "1".into());
    let age = SECOND;
    SeenJob { uid, resource_version, slot: Some(slot), age, phase, ..SeenJob::default() }
}

fn names<const N: usize>(jobs: [(&str, SeenJob); N]) -> BTreeMap<JobName, SeenJob> {
    jobs.into_iter().map(|(name, job)| (JobName(name.into()), job)).collect()
}

fn loaded(runs: Option<LoadedRuns>) -> QueueEvent {
    QueueEvent::Run(RunEvent::RunsLoaded(runs))
}

fn last_decision(script: &Script) -> (&'static str, u64, bool) {
    let decided = script.notes.iter().rev().find_map(|note| match note {
        LogEntry::Decided { decision, .. } => Some((decision.why.as_str(), decision.jobs, decision.bounded)),
        LogEntry::TookNothing(_) => None,
    });
    decided.unwrap()
}

#[test]
fn runs_that_could_not_be_loaded_are_loaded_later() {
    let mut bare = Bare::begin();
    bare.feed(QueueEvent::DeadlineReached);
    bare.feed(loaded(None));
    let due = bare.life.deadline().unwrap();
    assert!(due > bare.now);
    bare.now = due;
    assert_eq!(bare.feed(QueueEvent::DeadlineReached), [QueueEffect::Run(RunEffect::LoadRuns)]);
}

#[test]
fn what_a_view_has_shown_before_the_runs_were_loaded_lives_although_the_newest_lacks_it() {
    let mut bare = Bare::begin();
    bare.feed(QueueEvent::DeadlineReached);
    for jobs in [names([("a", job(0, running()))]), BTreeMap::new(), BTreeMap::new()] {
        bare.run(RunEvent::Observed(Arc::new(Observed { jobs })));
    }
    let effects = bare.feed(loaded(Some(LoadedRuns::default())));
    let adopts = |effect: &QueueEffect| matches!(effect, QueueEffect::Run(RunEffect::WriteWishes(wishes)) if wishes[0].adopted.as_deref() == Some("u0"));
    assert!(effects.iter().any(adopts), "{effects:?}");
    assert_eq!(bare.life.status(bare.now).live.len(), 1);
    let name = JobName("a".into());
    assert_eq!(
        bare.run(RunEvent::WishWritten(name.clone(), Some(WishAnswer::Written))),
        [RunEffect::GetJob(name)],
        "whether it is gone is asked by name"
    );
}

#[test]
fn a_view_that_became_too_old_while_it_waited_for_the_runs_creates_nothing() {
    for is_stale in [false, true] {
        let mut bare = Bare::begin();
        bare.feed(QueueEvent::DeadlineReached);
        bare.run(RunEvent::Observed(Arc::new(Observed::default())));
        if is_stale {
            bare.run(RunEvent::ViewStale);
        }
        bare.feed(loaded(Some(LoadedRuns::default())));
        let effects = bare.feed(QueueEvent::Switched { paused: false, requested: 1 });
        let creates = effects.iter().any(|effect| matches!(effect, QueueEffect::Run(RunEffect::WriteWishes(_))));
        assert_eq!(creates, !is_stale, "{effects:?}");
    }
}

#[test]
fn after_a_restart_a_slot_is_held_while_a_request_of_the_process_before_may_arrive() {
    let run = LoadedRun { uid: Some("u0".into()), ..on_record("a", 0, SECOND) };
    let jobs = names([("a", job(0, ended(Outcome::Succeeded, Reason::Completed)))]);
    let mut script = Script::restart(json!({"maxConcurrentJobs": 1}), vec![run], jobs);
    script.wait(14 * SECOND);
    assert_eq!(script.ends, []);
    script.looks_within(2 * SECOND);
    assert_eq!(script.ends.len(), 1);
}

#[test]
fn what_has_left_the_file_waits_for_the_first_view_before_it_is_done() {
    let mut bare = Bare::begin();
    bare.feed(QueueEvent::Run(RunEvent::Drain));
    bare.feed(loaded(Some(LoadedRuns::default())));
    assert!(!bare.life.is_done(), "Jobs of it may live");
    assert!(bare.life.status(bare.now).draining);
    bare.feed(QueueEvent::Run(RunEvent::Observed(Arc::new(Observed::default()))));
    assert!(bare.life.is_done());
}

#[test]
fn a_view_that_is_too_old_is_none() {
    let mut bare = Bare::begin();
    bare.feed(QueueEvent::DeadlineReached);
    let unfinished = vec![on_record("a", 0, SECOND)];
    bare.feed(loaded(Some(LoadedRuns { unfinished, ..LoadedRuns::default() })));
    assert_eq!(bare.feed(QueueEvent::Run(RunEvent::ViewStale)), [], "nothing is asked for before the first full view");

    let mut script = Script::begin(json!({}));
    script.look(0, 0);
    script.feed(QueueEvent::Run(RunEvent::ViewStale));
    script.wait(60 * SECOND);
    script.show();
    assert!(script.looks_within(SECOND), "it is overdue");
}

#[test]
fn jobs_that_are_found_take_their_slots_once_and_finished_ones_none() {
    let jobs = names([
        ("a", job(0, running())),
        ("b", job(0, running())),
        ("c", job(1, ended(Outcome::Succeeded, Reason::Completed))),
    ]);
    let mut script = Script::restart(json!({"waitTimeAfterSuccessfulRun": "1h"}), vec![], jobs);
    assert_eq!(script.ends.len(), 1, "what ended while nobody looked is recorded");
    assert_eq!(script.look(9, 0), 2, "two live; the slot of the finished one does not cool");
}

#[test]
fn a_job_whose_end_the_store_has_forgotten_is_not_recorded_again() {
    let (old, new) = (End::new(Outcome::Failed, Reason::JobFailed), End::new(Outcome::Succeeded, Reason::Completed));
    let since = |end: &End, age| Phase::Ended { end: end.clone(), terminal: true, explained: true, age };
    let old = ("old", job(0, since(&old, RECORDED_WITHIN)));
    let jobs = names([old, ("new", job(1, since(&new, RECORDED_WITHIN - SECOND)))]);
    assert_eq!(Script::restart(json!({}), vec![], jobs).ends, [new]);
}

#[test]
fn a_job_that_was_taken_over_stays_when_its_record_is_not_answered() {
    for (answer, live) in [(None, 1), (Some(WishAnswer::Written), 1), (Some(WishAnswer::SlotTaken), 0)] {
        let mut bare = Bare::begin();
        bare.feed(QueueEvent::DeadlineReached);
        bare.feed(loaded(Some(LoadedRuns::default())));
        let jobs = names([("a", job(0, running()))]);
        let effects = bare.feed(QueueEvent::Run(RunEvent::Observed(Arc::new(Observed { jobs }))));
        assert!(
            matches!(&effects[..], [QueueEffect::Run(RunEffect::WriteWishes(wishes)), ..] if wishes.len() == 1),
            "{effects:?}"
        );
        bare.feed(QueueEvent::Run(RunEvent::WishWritten(JobName("a".into()), answer)));
        assert_eq!(bare.life.status(bare.now).live.len(), live, "{answer:?}");
    }
}

#[test]
fn failures_that_begin_together_make_the_wait_grow_once() {
    for (phase, keys) in [
        (problem(Reason::ImagePull, "InvalidImageName"), json!({"waitTimeAfterError": "3s"})),
        (starting(), json!({"waitTimeAfterTimeout": "3s", "jobStartTimeout": "5s"})),
    ] {
        let mut script = Script::begin(keys);
        assert_eq!(script.look(4, 0), 4);
        script.become_once(&phase);
        while script.ends.len() < 4 {
            assert!(!script.looks_within(SECOND), "{:?}", script.ends);
        }
        let until = script.life.status(script.now).backoff_until.unwrap();
        assert!(until <= script.now + 4 * SECOND, "{:?}", until - script.now);
    }
}

#[test]
fn pods_without_a_node_keep_nobody_back_while_nothing_runs() {
    let mut script = Script::begin(json!({}));
    assert_eq!(script.look(1, 0), 1);
    script.become_once(&problem(Reason::Unschedulable, "Unschedulable"));
    assert_eq!(script.look(1, 1), 1);
}

#[test]
fn a_decision_says_what_kept_it_from_more() {
    let mut script = Script::begin(json!({"waitTimeAfterSuccessfulRun": "20s"}));
    assert_eq!(script.look(2, 0), 2);
    assert_eq!(last_decision(&script), ("created", 2, false));
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.look(9, 0), 2);
    assert_eq!(last_decision(&script), ("cooling", 2, false), "two of four slots wait");
    let mut script = Script::begin(json!({}));
    script.look(100, 0);
    assert_eq!(last_decision(&script), ("full", 4, true), "the count stopped at its bound");
}

#[test]
fn looks_count_far_until_a_worker_has_taken_something() {
    let limit = |script: &Script| {
        let look = script.transcript.iter().rev().find(|line| line.contains("ReadDepth")).unwrap();
        let (_, rest) = look.split_once("limit: ").unwrap();
        rest.split(',').next().unwrap().parse::<u64>().unwrap()
    };
    let mut script = Script::begin(json!({"maxConcurrentJobs": 1, "waitTimeAfterSuccessfulRun": "1s"}));
    let far = limit(&script);
    assert_eq!(script.look(5, 0), 1);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    script.look(4, 0);
    script.looks_within(30 * SECOND);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    script.look(3, 0);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    script.looks_within(30 * SECOND);
    assert!(limit(&script) < far, "{} {far}", limit(&script));
}

#[test]
fn the_phases_are_counted_apart() {
    let mut script = Script::begin(json!({}));
    script.look(4, 0);
    let names: Vec<JobName> = script.jobs.keys().cloned().collect();
    script.jobs.get_mut(&names[0]).unwrap().phase = running();
    script.jobs.get_mut(&names[1]).unwrap().phase = Phase::Queued;
    script.jobs.get_mut(&names[2]).unwrap().terminating = Some(SECOND);
    script.show();
    let phases = script.life.status(script.now).phases;
    assert_eq!((phases.queued, phases.starting, phases.running, phases.terminating), (1, 1, 1, 1));
    let of_view = job_chief::decide::queue::status::Status::of_view(&Observed { jobs: script.jobs.clone() });
    assert_eq!(of_view.phases, phases, "whoever does not lead tells the same");
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    let of_view = job_chief::decide::queue::status::Status::of_view(&Observed { jobs: script.jobs.clone() });
    assert_eq!(of_view.live, []);
}

#[test]
fn what_was_asked_for_by_hand_waits_for_nothing_but_room() {
    let keys = json!({"maxConcurrentJobs": 2, "paused": true, "waitTimeAfterFailedRun": "1h", "backoff": {"after": 1}});
    let mut script = Script::begin(keys);
    let ask = |script: &mut Script, asked| {
        script.feed(QueueEvent::Switched { paused: true, requested: asked });
        script.jobs.values().filter(|job| !matches!(job.phase, Phase::Ended { .. })).count()
    };
    assert_eq!(ask(&mut script, 1), 1, "although it is paused and the queue is empty");
    assert_eq!(ask(&mut script, 1), 1, "once");
    assert_eq!(ask(&mut script, 4), 2, "and never more than maxConcurrentJobs");
    assert_eq!(last_decision(&script), ("asked", 1, false));
    script.all(&ended(Outcome::Failed, Reason::ExitCode));
    assert_eq!(script.jobs.len(), 4, "neither a back-off nor a slot that cools keeps the others");
    script.all(&ended(Outcome::Failed, Reason::ExitCode));
    assert_eq!(script.jobs.len(), 4, "all are served");
}

#[test]
fn another_entry_counts_for_what_is_created_from_then_on() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 1, "queueCheckInterval": "1h"}));
    assert_eq!(script.look(5, 0), 1);
    let policy = |keys| Arc::new(job_chief::decide::queue::policy::QueuePolicy::of(&crate::script::config(keys)));
    let more = policy(json!({"maxConcurrentJobs": 3}));
    script.feed(QueueEvent::Configured { policy: more.clone(), other_queue: false });
    assert_eq!(script.look(5, 0), 2, "at once, and the message of the starting one is claimed");
    script.feed(QueueEvent::Configured { policy: more, other_queue: true });
    script.all(&running());
    assert_eq!(script.ends, Vec::<End>::new(), "what runs goes on");
    script.feed(QueueEvent::Run(RunEvent::Drain));
    assert!(script.life.status(script.now).draining);
    script.feed(QueueEvent::Configured { policy: policy(json!({"maxConcurrentJobs": 4})), other_queue: false });
    assert_eq!(script.look(4, 0), 1, "it is in the file again; as after a restart, those that run may take three");
}
