//! Places of queues: what is held for how long, and what another jobs.json changes of it.

use std::{collections::BTreeMap, sync::Arc};

use job_chief::decide::{
    outcome::{End, JobName, Outcome, Reason},
    pod::observation::{Phase, SeenJob},
    queue::{
        event::{QueueEffect, QueueEvent},
        lifecycle::Lifecycle,
        scale::Look,
    },
    run::event::{LoadedRun, LoadedRuns, RunEffect, RunEvent, WishAnswer},
    share::{
        arbiter::Arbiter,
        need::{Grant, Need},
        policy::{MemberPolicy, PoolPolicy, Pools},
    },
};
use serde_json::json;

use crate::{
    bare::Bare,
    places::{SOON, grant, places, policy},
    script::{SECOND, Script, ended, on_record, running},
};

// --- what is held

#[test]
fn a_run_keeps_its_places_until_its_job_is_finished() {
    let mut script = Script::sharing(json!({"maxConcurrentJobs": 1}));
    script.look(1, 0);
    script.grant(1, &[3]);
    assert_eq!(script.look(1, 0), 1);
    let sign = Phase::Ended { end: end(), terminal: false, explained: true, age: SECOND };
    script.all(&sign);
    assert_eq!((script.ends.len(), script.held()), (1, vec![3]), "its pods still end");
    script.all(&ended(Outcome::Failed, Reason::ExitCode));
    assert_eq!(script.need(), Need { seen: 1, ..Need::default() });
}

fn end() -> End {
    End::new(Outcome::Failed, Reason::ExitCode)
}

#[test]
fn what_is_found_counts_without_places_and_what_is_on_record_has_its_own() {
    let job = |slot, phase| SeenJob {
        uid: "u".into(),
        resource_version: "1".into(),
        slot: Some(slot),
        phase,
        ..SeenJob::default()
    };
    let finished = ended(Outcome::Succeeded, Reason::Completed);
    let jobs = BTreeMap::from([
        (JobName("found".into()), job(0, running())),
        (JobName("known".into()), job(1, running())),
        (JobName("over".into()), job(2, finished)),
    ]);
    let known = LoadedRun { places: places(&["gpu"], 6), ..on_record("known", 1, SECOND) };
    let script = Script::found(json!({}), vec![known.clone()], jobs.clone());
    assert_eq!(script.need().held, [places(&[], 0), places(&["gpu"], 6)]);
    let script = Script::made(policy(json!({}), &[]), 7, vec![known], jobs);
    assert_eq!(script.need().held, [places(&["gpu"], 6)], "it does not share any more, and what it holds it holds");
}

#[test]
fn nothing_is_said_before_it_knows_itself() {
    let mut bare = Bare::begin();
    assert_eq!(bare.life.need(), None);
    bare.feed(QueueEvent::DeadlineReached);
    bare.feed(QueueEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns::default()))));
    assert_eq!(bare.life.need(), None);
    bare.run(RunEvent::Observed(Arc::default()));
    assert_eq!(bare.life.need(), Some(Need { partial: true, ..Need::default() }));
}

/// One Job is wished for, and its wish is answered like this; then the store has these runs.
fn need_after(answer: Option<WishAnswer>, unfinished: impl FnOnce(JobName) -> Vec<LoadedRun>) -> Need {
    let mut bare = Bare::begin();
    bare.life = Lifecycle::new(crate::script::naming(), policy(json!({}), &["gpu"]), 7, bare.now);
    bare.found(&[]);
    let look = QueueEvent::DepthRead(Some(Look { old: 1, limit: 100, at_us: 1, ..Look::default() }));
    bare.feed(look.clone());
    bare.feed(QueueEvent::Granted(grant(1, "gpu", &[2])));
    let effects = bare.feed(look);
    let Some(QueueEffect::Run(RunEffect::WriteWishes(wishes))) = effects.first() else { panic!("{effects:?}") };
    let wish = wishes[0].clone();
    assert_eq!(bare.life.need().unwrap().held, [places(&["gpu"], 2)]);
    bare.run(RunEvent::WishWritten(wish.name.clone(), answer));
    assert_eq!(bare.life.need(), None, "what the store holds is what counts");
    bare.feed(QueueEvent::Granted(grant(2, "gpu", &[3])));
    let mut effects = bare.run_due();
    while !effects.contains(&RunEffect::LoadRuns) {
        bare.feed(QueueEvent::LogWritten(true));
        effects = bare.run_due();
    }
    let unfinished = unfinished(wish.name);
    bare.run(RunEvent::RunsLoaded(Some(LoadedRuns { unfinished, ..LoadedRuns::default() })));
    bare.life.need().unwrap()
}

#[test]
fn a_wish_that_was_refused_or_not_answered_holds_what_is_on_record() {
    let refused = need_after(Some(WishAnswer::SlotTaken), |_| vec![]);
    assert_eq!((refused.held, refused.seen), (vec![], 2), "somebody else has the place");
    let lost =
        need_after(None, |name| vec![LoadedRun { places: places(&["gpu"], 2), ..on_record(&name.0, 0, SECOND) }]);
    assert_eq!((lost.held, lost.seen), (vec![places(&["gpu"], 2)], 2), "it was written");
}

#[test]
fn a_place_of_a_run_of_ours_is_not_given_to_another() {
    let mut script = Script::sharing(json!({}));
    script.look(2, 0);
    script.grant(1, &[0]);
    assert_eq!(script.look(2, 0), 1);
    script.grant(2, &[0]);
    assert_eq!((script.held(), script.wanted(), script.need().seen), (vec![0], 0, 2));
    assert!(script.looks_within(SOON), "it asks again, at a pace");
    assert_eq!(script.look(2, 0), 0);
    assert_eq!(script.wanted(), 1);
}

// --- another jobs.json

#[test]
fn other_pools_leave_what_runs_alone_and_grants_of_the_old_ones_go_back() {
    let mut script = Script::sharing(json!({}));
    script.look(1, 0);
    script.grant(1, &[0]);
    assert_eq!(script.look(1, 0), 1);
    script.configure(&["gpu", "licence"]);
    assert_eq!(script.need().held, [places(&["gpu"], 0)]);
    script.look(1, 1);
    assert_eq!(script.wanted(), 1);
    script.grant(2, &[1]);
    assert_eq!((script.held(), script.need().seen), (vec![0], 2));
    assert!(script.looks_within(SOON), "it asks again, at a pace");
    assert_eq!(script.look(1, 1), 0);
    script.feed(QueueEvent::Granted(Grant { number: 3, places: vec![places(&["gpu", "licence"], 1)] }));
    assert_eq!(script.look(1, 1), 1);
    assert_eq!(script.need().held.len(), 2);
    assert!(script.need().held.contains(&places(&["gpu", "licence"], 1)));
}

#[test]
fn without_pools_nothing_is_waited_for_any_more() {
    let mut script = Script::sharing(json!({}));
    script.look(2, 0);
    script.grant(1, &[0]);
    assert_eq!(script.look(2, 0), 1);
    script.configure(&[]);
    assert_eq!((script.need().held, script.need().wanted), (vec![places(&["gpu"], 0)], 0));
    assert!(script.looks_within(SOON));
    assert_eq!(script.look(2, 0), 1);
    assert_eq!(script.need().held, [places(&["gpu"], 0)]);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.need(), Need { seen: 1, partial: true, ..Need::default() }, "and at the end it tells so");
}

#[test]
fn what_has_left_the_file_holds_its_places_to_the_end_and_says_so() {
    let mut script = Script::sharing(json!({"maxConcurrentJobs": 2}));
    script.look(2, 0);
    script.grant(1, &[0, 1]);
    assert_eq!(script.look(2, 0), 2);
    script.feed(QueueEvent::Run(RunEvent::Drain));
    assert_eq!(script.held(), [0, 1]);
    let first = script.jobs.keys().next().cloned().unwrap();
    script.jobs.get_mut(&first).unwrap().phase = ended(Outcome::Succeeded, Reason::Completed);
    script.show();
    assert_eq!((script.held().len(), script.life.is_done()), (1, false));
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!((script.need(), script.life.is_done()), (Need { seen: 1, ..Need::default() }, true));
}

/// It tells only what is new: were it forgotten meanwhile, nobody of the pool would be given anything.
#[test]
fn whoever_leaves_and_is_back_before_its_actor_has_noticed_need_not_tell_again() {
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let configure = |arbiter: &mut Arbiter, names: &[&Arc<str>]| {
        let policy = MemberPolicy { pools: ["gpu".into()].into(), weight: 1, ..MemberPolicy::default() };
        let pools = Pools::from([("gpu".into(), PoolPolicy { jobs: Some(1), creates_per_minute: None })]);
        arbiter.configure(pools, names.iter().map(|name| ((*name).clone(), policy.clone())).collect(), SECOND);
    };
    let mut arbiter = Arbiter::new(BTreeMap::new(), SECOND);
    configure(&mut arbiter, &[&a, &b]);
    arbiter.note_need(&a, Need::default(), SECOND);
    configure(&mut arbiter, &[&b]);
    configure(&mut arbiter, &[&a, &b]);
    arbiter.note_need(&b, Need { wanted: 1, since: Some(SECOND), ..Need::default() }, SECOND);
    assert_eq!(arbiter.grants(SECOND), [(b, grant(1, "gpu", &[0]))]);
}
