//! One run, answer by answer: what is waited for, what is shown, and when nothing is on its way any more.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use job_chief::{
    config::entry::Kind,
    decide::{
        outcome::{End, JobName, Outcome, Reason},
        pod::observation::{Observed, Phase, SeenJob},
        queue::{
            event::{QueueEffect, QueueEvent},
            scale::Look,
        },
        run::{
            event::{CreateAnswer, DeleteAnswer, GetAnswer, LoadedRuns, RunEffect, RunEvent, WishAnswer},
            milestone::Milestone,
        },
    },
};
use serde_json::json;

use crate::{
    bare::{Bare, seen},
    script::{SECOND, Script, ended, problem, running, starting},
};

#[test]
fn whoever_stops_waits_for_every_answer_that_is_on_its_way() {
    let mut bare = Bare::begin();
    bare.feed(QueueEvent::DeadlineReached);
    bare.feed(QueueEvent::Run(RunEvent::Stop));
    assert!(!bare.life.is_done(), "the runs are being loaded");
    bare.feed(QueueEvent::Run(RunEvent::RunsLoaded(None)));
    assert!(bare.life.is_done());

    let mut bare = Bare::begin();
    let name = bare.asked();
    bare.feed(QueueEvent::Run(RunEvent::Stop));
    assert!(!bare.life.is_done(), "a Job is being asked for");
    bare.feed(QueueEvent::Run(RunEvent::CreateAnswered(name, CreateAnswer::Exists { uid: "u".into() })));
    assert!(!bare.life.is_done(), "the decision is being written down");
    bare.feed(QueueEvent::LogWritten(true));
    assert!(bare.life.is_done(), "it lives on without us");
}

#[test]
fn an_end_that_is_known_is_written_before_the_process_ends() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 1}));
    assert_eq!(script.look(1, 0), 1);
    assert!(!script.life.is_done());
    script.feed(QueueEvent::Run(RunEvent::Stop));
    assert!(script.life.is_done());
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.ends.len(), 1, "what is seen is still recorded");
    assert!(script.life.is_done());
}

#[test]
fn a_request_without_an_answer_is_repeated_after_a_wait_under_its_name() {
    let mut bare = Bare::begin();
    let name = bare.asked();
    let effects = bare
        .feed(QueueEvent::Run(RunEvent::CreateAnswered(name.clone(), CreateAnswer::Unanswered { retry_after: None })));
    assert_eq!(effects, [], "not at once");
    let wait = bare.life.deadline().unwrap() - bare.now;
    assert!(wait >= Duration::from_millis(400), "{wait:?}");
    bare.now += wait;
    let effects = bare.feed(QueueEvent::DeadlineReached);
    assert!(matches!(&effects[..], [QueueEffect::Run(RunEffect::CreateJob(wish))] if wish.name == name), "{effects:?}");
    // The API server says how long.
    let retry_after = Some(7 * SECOND);
    bare.feed(QueueEvent::Run(RunEvent::CreateAnswered(name.clone(), CreateAnswer::Unanswered { retry_after })));
    assert_eq!(bare.life.deadline().unwrap() - bare.now, 7 * SECOND);
    // A refusal does not count while the first request may still be on its way.
    bare.now += 7 * SECOND;
    bare.feed(QueueEvent::DeadlineReached);
    let refused = CreateAnswer::Refused { message: "quota".into() };
    let effects = bare.feed(QueueEvent::Run(RunEvent::CreateAnswered(name, refused)));
    assert!(!effects.iter().any(|effect| matches!(effect, QueueEffect::Run(RunEffect::WriteEnd(_)))), "{effects:?}");
    bare.now = bare.life.deadline().unwrap();
    let effects = bare.feed(QueueEvent::DeadlineReached);
    assert!(matches!(effects[..], [QueueEffect::Run(RunEffect::CreateJob(_))]), "asked for again: {effects:?}");
}

#[test]
fn a_refusal_does_not_end_a_job_that_is_seen() {
    let mut bare = Bare::begin();
    let name = bare.asked();
    bare.see(&name, starting());
    let refused = CreateAnswer::Refused { message: "quota".into() };
    let effects = bare.run(RunEvent::CreateAnswered(name, refused));
    assert!(!effects.iter().any(|effect| matches!(effect, RunEffect::WriteEnd(_))), "{effects:?}");
    assert_eq!(bare.life.status(bare.now).live.len(), 1);
}

/// How a run ends that was given up because of its image, if the look after an unanswered delete finds its Job so, and
/// the next one nothing.
fn end_after_given_up(found: SeenJob) -> End {
    let mut bare = Bare::begin();
    let name = bare.asked();
    bare.run(RunEvent::CreateAnswered(name.clone(), CreateAnswer::Exists { uid: "u".into() }));
    let pulls = problem(Reason::ImagePull, "ErrImagePull");
    bare.see(&name, pulls.clone());
    bare.now += 31 * SECOND;
    assert_eq!(bare.run_due(), [RunEffect::GetJob(name.clone())]);
    let looked = GetAnswer::Found(Box::new(seen(pulls)));
    let effects = bare.run(RunEvent::GetAnswered(name.clone(), looked));
    assert!(matches!(effects[..], [RunEffect::DeleteJob { .. }]), "{effects:?}");
    bare.run(RunEvent::DeleteAnswered(name.clone(), DeleteAnswer::Unanswered));
    assert_eq!(bare.run_due(), [RunEffect::GetJob(name.clone())]);
    bare.run(RunEvent::GetAnswered(name.clone(), GetAnswer::Found(Box::new(found))));
    bare.now += 20 * SECOND;
    let asked = bare.run(RunEvent::Observed(Arc::new(Observed::default())));
    let asked = if asked.is_empty() { bare.run_due() } else { asked };
    assert_eq!(asked, [RunEffect::GetJob(name.clone())]);
    let effects = bare.run(RunEvent::GetAnswered(name, GetAnswer::Absent));
    let [RunEffect::WriteEnd(ended)] = &effects[..] else { panic!("{effects:?}") };
    ended.end.clone()
}

#[test]
fn a_job_that_does_better_after_all_is_not_given_up_any_more_unless_it_is_on_its_way_out() {
    let better = SeenJob { resource_version: "2".into(), ..seen(starting()) };
    let leaves = SeenJob { terminating: Some(SECOND), ..better.clone() };
    assert_eq!(end_after_given_up(better).outcome, Outcome::Vanished, "somebody else deleted it");
    assert_eq!(end_after_given_up(leaves).reason, Reason::ImagePull, "our delete has worked");
}

#[test]
fn how_long_a_message_waited_and_a_pod_took_is_told_once() {
    let mut bare = Bare::begin();
    let name = bare.asked();
    bare.now += SECOND;
    bare.feed(QueueEvent::Run(RunEvent::CreateAnswered(name, CreateAnswer::Exists { uid: "u".into() })));
    assert_eq!(bare.life.take_milestones(), [Milestone::Created { waited: 4 * SECOND }]);

    let mut script = Script::begin(json!({"maxConcurrentJobs": 1}));
    assert_eq!(script.look(1, 0), 1);
    script.life.take_milestones();
    script.jobs.values_mut().for_each(|job| job.age = 5 * SECOND);
    for _ in 0..2 {
        script.all(&Phase::Running { age: 2 * SECOND });
    }
    assert_eq!(script.life.take_milestones(), [Milestone::Started { took: 3 * SECOND }]);
}

#[test]
fn an_end_says_what_the_api_server_or_the_pod_said() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 1}));
    script.refuses = true;
    script.look(1, 0);
    assert_eq!(script.ends[0].message.as_deref(), Some("quota"));
    let mut script = Script::begin(json!({"startErrorGrace": "5s", "maxConcurrentJobs": 1}));
    script.look(1, 0);
    script.all(&problem(Reason::ImagePull, "ErrImagePull"));
    assert_eq!(script.life.deadline(), Some(script.now + 5 * SECOND), "it comes back when the grace is over");
    script.looks_within(6 * SECOND);
    assert_eq!(script.ends[0].message.as_deref(), Some("ErrImagePull"));
}

#[test]
fn a_job_that_does_not_start_is_shown_with_what_keeps_it() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 1}));
    script.look(1, 0);
    script.all(&problem(Reason::ImagePull, "ErrImagePull"));
    assert_eq!(script.life.status(script.now).live[0].problem.as_deref(), Some("image_pull: ErrImagePull"));
}

#[test]
fn a_job_that_hangs_is_named_with_its_node_and_for_how_long() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 1}));
    script.look(1, 0);
    let hang = |script: &mut Script, terminating| {
        for job in script.jobs.values_mut() {
            (job.terminating, job.node) = (terminating, Some("worker-7".into()));
        }
    };
    hang(&mut script, None);
    script.all(&running());
    let phases = script.life.status(script.now).phases;
    assert_eq!((phases.running, phases.terminating), (1, 0));
    hang(&mut script, Some(9 * SECOND));
    script.show();
    let status = script.life.status(script.now);
    let told = (status.live[0].phase, status.live[0].node.as_deref(), status.live[0].terminating_seconds);
    assert_eq!(told, ("terminating", Some("worker-7"), Some(9)));
    assert_eq!(status.terminating_since, Some(script.now - 9 * SECOND));
    // Also one that has failed already, and is kept by a pod that does not go.
    hang(&mut script, None);
    let ending = Phase::Ended {
        end: job_chief::decide::outcome::End::new(Outcome::Failed, Reason::ExitCode),
        terminal: false,
        explained: true,
        age: 4 * SECOND,
    };
    script.all(&ending);
    assert_eq!(script.life.status(script.now).live[0].terminating_seconds, Some(4));
    script.all(&ended(Outcome::Failed, Reason::ExitCode));
    assert_eq!(script.life.status(script.now).live, []);
}

#[test]
fn another_uid_is_a_job_that_has_not_ended() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 1}));
    script.look(1, 0);
    // About to end, its end not settled yet: deleted by hand, and made anew by a create that was on its way.
    let unexplained = Phase::Ended {
        end: job_chief::decide::outcome::End::new(Outcome::Failed, Reason::JobFailed),
        terminal: true,
        explained: false,
        age: Duration::ZERO,
    };
    script.all(&unexplained);
    script.jobs.values_mut().for_each(|job| job.uid = "another".into());
    script.all(&starting());
    script.wait(10 * SECOND);
    assert_eq!(script.ends, []);
    assert_eq!(script.life.status(script.now).live.len(), 1);
}

#[test]
fn a_name_is_told_as_it_is() {
    assert_eq!(JobName("a-b".into()).to_string(), "a-b");
}

/// The Job controller says first that a Job will end, and `Complete` or `Failed` only when its pods are gone.
#[test]
fn a_slot_cools_from_complete_or_failed_and_not_from_the_sign_before() {
    for (outcome, reason) in [(Outcome::Succeeded, Reason::Completed), (Outcome::Failed, Reason::ExitCode)] {
        let keys = json!({
            "maxConcurrentJobs": 1, "waitTimeAfterSuccessfulRun": "7s", "waitTimeAfterFailedRun": "7s", "queueCheckInterval": "1s",
        });
        let mut script = Script::begin(keys);
        assert_eq!(script.look(1, 0), 1);
        let Phase::Ended { end, explained, age, .. } = ended(outcome, reason) else { unreachable!("an end is an end") };
        script.all(&Phase::Ended { end, terminal: false, explained, age });
        assert_eq!(script.ends.len(), 1, "it is on record by then");
        script.wait(5 * SECOND);
        script.all(&ended(outcome, reason));
        script.wait(Duration::from_millis(6_900));
        assert!(script.looks_within(SECOND), "{outcome:?}");
    }
}

/// The two watches are not in step: a Job may be seen to have failed before its pod tells why.
#[test]
fn a_failure_that_nobody_explains_is_recorded_in_time() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 1, "waitTimeAfterFailedRun": "1h"}));
    assert_eq!(script.look(1, 0), 1);
    let Phase::Ended { end, terminal, age, .. } = ended(Outcome::Failed, Reason::JobFailed) else {
        unreachable!("an end is an end")
    };
    script.all(&Phase::Ended { end, terminal, explained: false, age });
    assert!(script.ends.is_empty(), "its pod may still tell");
    let due = script.life.deadline().unwrap() - script.now;
    assert!(due <= 2 * SECOND, "{due:?}");
    script.wait(2 * SECOND);
    assert_eq!(script.ends.iter().map(|end| end.reason).collect::<Vec<_>>(), [Reason::JobFailed]);
}

/// What is loaded anew after a wish that was lost tells nothing of the failures that we have seen ourselves.
#[test]
fn a_wish_that_was_lost_ends_no_back_off() {
    let mut bare = Bare::of(json!({"maxConcurrentJobs": 4}));
    let name = bare.asked();
    let refused = CreateAnswer::Refused { message: "quota".into() };
    bare.feed(QueueEvent::Run(RunEvent::CreateAnswered(name.clone(), refused)));
    bare.feed(QueueEvent::Run(RunEvent::EndWritten(name, true)));
    bare.feed(QueueEvent::LogWritten(true));
    let look = || QueueEvent::DepthRead(Some(Look { old: 4, limit: 100, at_us: 2, ..Look::default() }));
    let wishes = |effects: Vec<QueueEffect>| {
        effects.into_iter().find_map(|effect| match effect {
            QueueEffect::Run(RunEffect::WriteWishes(wishes)) => Some(wishes),
            _ => None,
        })
    };
    bare.now += 30 * SECOND;
    bare.feed(QueueEvent::DeadlineReached);
    let trial = wishes(bare.feed(look())).expect("one trial");
    assert_eq!(trial.len(), 1);
    bare.feed(QueueEvent::Run(RunEvent::WishWritten(trial[0].name.clone(), None)));
    bare.now += 5 * SECOND;
    bare.feed(QueueEvent::DeadlineReached);
    bare.feed(QueueEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns::default()))));
    bare.now += 30 * SECOND;
    bare.feed(QueueEvent::DeadlineReached);
    assert_eq!(wishes(bare.feed(look())).expect("another trial").len(), 1, "still one at a time");
}

#[test]
fn a_finished_job_is_live_no_more_and_its_end_is_written_although_the_process_stops() {
    let mut bare = Bare::begin();
    let name = bare.asked();
    bare.feed(QueueEvent::Run(RunEvent::CreateAnswered(name.clone(), CreateAnswer::Exists { uid: "u".into() })));
    let job = SeenJob { uid: "u".into(), phase: ended(Outcome::Succeeded, Reason::Completed), ..SeenJob::default() };
    let seen = Observed { jobs: [(name.clone(), job)].into() };
    let is_end = |effect: &QueueEffect| matches!(effect, QueueEffect::Run(RunEffect::WriteEnd(_)));
    assert!(bare.feed(QueueEvent::Run(RunEvent::Observed(Arc::new(seen)))).iter().any(is_end));
    assert!(bare.life.status(bare.now).live.is_empty(), "it is Complete");
    bare.feed(QueueEvent::Run(RunEvent::Stop));
    bare.feed(QueueEvent::Run(RunEvent::EndWritten(name, false)));
    bare.now = bare.life.deadline().expect("it is tried again");
    assert!(bare.feed(QueueEvent::DeadlineReached).iter().any(is_end));
}

#[test]
fn whoever_stops_looks_at_nothing_whose_end_is_on_record() {
    let mut bare = Bare::begin();
    let name = bare.asked();
    bare.run(RunEvent::CreateAnswered(name.clone(), CreateAnswer::Unanswered { retry_after: None }));
    bare.feed(QueueEvent::LogWritten(true));
    bare.see(&name, ended(Outcome::Succeeded, Reason::Completed));
    bare.now += 20 * SECOND;
    let effects = bare.run_due();
    assert!(matches!(effects[..], [RunEffect::WriteEnd(_)]), "no late create can come any more: {effects:?}");
    bare.run(RunEvent::Stop);
    bare.feed(QueueEvent::DepthRead(None));
    assert!(!bare.life.is_done(), "its end is being written");
    assert_eq!(bare.run(RunEvent::EndWritten(name, true)), []);
    assert!(bare.life.is_done());
}

#[test]
fn whoever_stops_does_not_wait_for_the_end_of_a_job_whose_run_could_not_be_written() {
    let mut bare = Bare::begin();
    let effects = bare.found(&[("a", seen(ended(Outcome::Succeeded, Reason::Completed)))]);
    assert!(matches!(effects[..], [RunEffect::WriteWishes(_)]), "{effects:?}");
    bare.feed(QueueEvent::DepthRead(None));
    bare.run(RunEvent::Stop);
    assert!(!bare.life.is_done(), "its wish is being written");
    bare.run(RunEvent::WishWritten(JobName("a".into()), None));
    assert!(bare.life.is_done(), "the next process finds it as this one did");
}

#[test]
fn whoever_stops_waits_for_the_delete_of_a_finished_job() {
    let mut bare = Bare::of(json!({"maxConcurrentJobs": 1, "successfulJobsHistoryLimit": 0}));
    let name = bare.asked();
    bare.run(RunEvent::CreateAnswered(name.clone(), CreateAnswer::Exists { uid: "u".into() }));
    bare.feed(QueueEvent::LogWritten(true));
    bare.see(&name, ended(Outcome::Succeeded, Reason::Completed));
    bare.run(RunEvent::EndWritten(name.clone(), true));
    bare.see(&name, ended(Outcome::Succeeded, Reason::Completed));
    bare.now += 200 * SECOND;
    let effects = bare.run_due();
    assert!(matches!(effects[..], [RunEffect::DeleteJob { .. }]), "{effects:?}");
    bare.run(RunEvent::Stop);
    bare.feed(QueueEvent::DepthRead(None));
    assert!(!bare.life.is_done(), "a delete is on its way");
    bare.run(RunEvent::DeleteAnswered(name, DeleteAnswer::Accepted));
    assert!(bare.life.is_done());
}

#[test]
fn jobs_that_claim_one_slot_get_a_slot_each() {
    let mut bare = Bare::of(json!({"maxConcurrentJobs": 4}));
    let effects = bare.found(&[("a", seen(running())), ("b", seen(running())), ("c", seen(running()))]);
    let wishes = effects.iter().filter_map(|effect| match effect {
        RunEffect::WriteWishes(wishes) => Some(wishes),
        _ => None,
    });
    let slots: BTreeSet<_> = wishes.flatten().map(|wish| wish.slot).collect();
    assert_eq!(slots.len(), 3, "Postgres has one unfinished run for a slot: {effects:?}");
}

#[test]
fn the_jobs_of_a_service_that_had_this_name_are_ended() {
    let mut bare = Bare::of(json!({"maxConcurrentJobs": 1}));
    let of_service = SeenJob { kind: Kind::Service, ..seen(running()) };
    bare.found(&[("a", of_service.clone())]);
    let name = JobName("a".into());
    let effects = bare.run(RunEvent::WishWritten(name.clone(), Some(WishAnswer::Written)));
    assert_eq!(effects, [RunEffect::GetJob(name.clone())]);
    let effects = bare.run(RunEvent::GetAnswered(name, GetAnswer::Found(Box::new(of_service))));
    assert!(matches!(effects[..], [RunEffect::DeleteJob { .. }]), "it would never end by itself: {effects:?}");
}
