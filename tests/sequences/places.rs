//! Places of queues: what is wanted when, what a grant leads to, and what goes back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use job_chief::decide::{
    decision::DecisionReason,
    outcome::{JobName, Outcome, Reason},
    place::{Place, Places},
    pod::observation::{Phase, SeenJob},
    queue::{
        event::{LogEntry, QueueEffect, QueueEvent},
        policy::QueuePolicy,
        scale::Look,
    },
    run::event::{LoadedRun, LoadedRuns, RunEffect, RunEvent, WishAnswer},
    share::{
        arbiter::Arbiter,
        need::{Grant, Need},
        policy::{MemberPolicy, PoolPolicy, Pools},
    },
};
use serde_json::{Value, json};

use crate::{
    bare::Bare,
    script::{SECOND, Script, config, ended, on_record, running, starting},
};

/// Much shorter than the interval of the queue, and longer than the gap between two looks.
const SOON: Duration = Duration::from_millis(20);

/// One place in each of these pools.
pub(crate) fn places(pools: &[&str], number: u32) -> Places {
    pools.iter().map(|pool| Place { pool: (*pool).into(), number }).collect()
}

/// Places of one pool.
pub(crate) fn grant(number: u64, pool: &str, numbers: &[u32]) -> Grant {
    Grant { number, places: numbers.iter().map(|number| places(&[pool], *number)).collect() }
}

fn policy(keys: Value, pools: &[&str]) -> QueuePolicy {
    QueuePolicy { pools: pools.iter().map(|pool| Arc::from(*pool)).collect(), ..QueuePolicy::of(&config(keys), "i") }
}

impl Script {
    /// A queue whose Jobs take a place of the pool `gpu`.
    fn sharing(keys: Value) -> Self {
        Self::found(keys, vec![], BTreeMap::new())
    }

    fn found(keys: Value, unfinished: Vec<LoadedRun>, jobs: BTreeMap<JobName, SeenJob>) -> Self {
        Self::made(policy(keys, &["gpu"]), 7, unfinished, jobs)
    }

    fn grant(&mut self, number: u64, numbers: &[u32]) {
        self.feed(QueueEvent::Granted(grant(number, "gpu", numbers)));
    }

    /// Without what has gone back so far.
    fn need(&self) -> Need {
        Need { returned: 0, ..self.life.need().unwrap() }
    }

    fn returned(&self) -> u64 {
        self.life.need().unwrap().returned
    }

    /// The numbers of what it holds of `gpu`.
    fn held(&self) -> Vec<u32> {
        let held = self.need().held;
        let mut numbers: Vec<u32> = held.iter().flat_map(|places| places.iter().map(|place| place.number)).collect();
        numbers.sort_unstable();
        numbers
    }

    fn wanted(&self) -> u64 {
        self.need().wanted
    }

    fn why(&self) -> DecisionReason {
        self.life.status(self.now).decided.unwrap().1.why
    }

    fn took_nothing(&self) -> usize {
        self.notes.iter().filter(|note| matches!(note, LogEntry::TookNothing(_))).count()
    }

    fn configure(&mut self, pools: &[&str]) {
        let policy = Box::new(policy(json!({}), pools));
        self.feed(QueueEvent::Configured { policy, other_queue: false });
    }
}

// --- what is wanted, and what a grant leads to

#[test]
fn what_shares_nothing_does_as_it_always_did() {
    let history = |granted: bool| {
        let mut script = Script::begin(json!({}));
        for (old, new) in [(0, 0), (1, 0), (1, 0), (1, 1)] {
            script.look(old, new);
            if granted {
                script.grant(old + new, &[0, 1]);
            }
            script.all(&running());
        }
        let need = script.need();
        assert_eq!((need.held.len(), need.wanted, need.since, need.oldest_at), (0, 0, None, None));
        script.transcript
    };
    assert_eq!(history(false), history(true));
    assert!(!history(true).is_empty());
}

#[test]
fn a_message_waits_for_a_place_and_a_grant_is_used_at_once() {
    let mut script = Script::sharing(json!({}));
    script.oldest_age = Some(7 * SECOND);
    assert_eq!(script.look(3, 0), 0);
    assert_eq!(script.why(), DecisionReason::NoPlace);
    assert_eq!(script.life.status(script.now).waiting_for_place, Some(script.now));
    let (since, oldest_at) = (Some(script.now), Some(script.now - 7 * SECOND));
    assert_eq!(script.need(), Need { wanted: 3, since, oldest_at, ..Need::default() });
    script.grant(1, &[0, 2]);
    assert!(script.pending_look, "a grant is looked up at once");
    assert_eq!((script.held(), script.wanted(), script.need().seen), (vec![0, 2], 1, 1));
    assert_eq!(script.look(3, 0), 2);
    assert_eq!((script.held(), script.wanted(), script.why()), (vec![0, 2], 1, DecisionReason::NoPlace));
    assert_eq!(script.need().since, since);
    script.grant(2, &[1]);
    assert_eq!((script.look(3, 0), script.why()), (1, DecisionReason::Created));
    assert_eq!((script.held(), script.wanted(), script.need().since), (vec![0, 1, 2], 0, None));
    assert_eq!(script.life.status(script.now).waiting_for_place, None);
}

#[test]
fn each_wish_has_its_own_places() {
    let mut bare = Bare::of(json!({}));
    bare.life = job_chief::decide::queue::lifecycle::Lifecycle::new(policy(json!({}), &["gpu", "limits"]), 7, bare.now);
    bare.found(&[]);
    let look = QueueEvent::DepthRead(Some(Look { old: 2, limit: 100, at_us: 1, ..Look::default() }));
    bare.feed(look.clone());
    let both: Vec<Places> = vec![places(&["gpu", "limits"], 0), places(&["gpu", "limits"], 5)];
    bare.feed(QueueEvent::Granted(Grant { number: 1, places: both.clone() }));
    let effects = bare.feed(look);
    let Some(QueueEffect::Run(RunEffect::WriteWishes(wishes))) = effects.first() else { panic!("{effects:?}") };
    let mut taken: Vec<Places> = wishes.iter().map(|wish| wish.places.clone()).collect();
    taken.sort();
    assert_eq!(taken, both);
}

#[test]
fn what_waits_for_places_is_looked_at_in_its_interval_only() {
    for (messages, keys) in [(3, json!({})), (9, json!({})), (3_000, json!({"maxConcurrentJobs": 2_000}))] {
        let mut script = Script::sharing(keys);
        script.look(messages, 0);
        let begun = script.now;
        let mut looks = 0;
        while script.now < begun + 60 * SECOND {
            assert_eq!(script.look(messages, 0), 0);
            looks += 1;
        }
        assert!((6..=8).contains(&looks), "{looks} looks in a minute");
        assert_eq!(script.need().since, Some(begun), "without a break");
        assert!(!script.transcript.iter().any(|line| line.contains("purpose: Decision")), "{:?}", script.transcript);
    }
}

#[test]
fn the_wait_ends_when_the_messages_are_gone_and_what_is_granted_then_goes_back() {
    let mut script = Script::sharing(json!({}));
    script.look(3, 0);
    script.look(1, 0);
    assert_eq!(script.wanted(), 1);
    script.grant(1, &[0, 1, 2]);
    assert_eq!(script.held(), [0], "it wants one");
    assert_eq!(script.look(0, 0), 0);
    assert_eq!((script.held(), script.wanted(), script.need().since), (vec![], 0, None));
    assert_eq!(script.why(), DecisionReason::Empty);
    script.grant(2, &[0]);
    assert_eq!((script.held(), script.need().seen), (vec![], 2), "nobody asked for it");
    assert_eq!(script.returned(), 4);
}

#[test]
fn what_a_decision_does_not_use_goes_back() {
    let mut script = Script::sharing(json!({}));
    script.look(3, 0);
    script.grant(1, &[0, 1, 2]);
    assert_eq!(script.look(1, 0), 1);
    assert_eq!((script.held(), script.wanted(), script.returned()), (vec![0], 0, 2));
}

#[test]
fn a_grant_that_comes_while_a_look_is_under_way_is_used_by_it() {
    let mut script = Script::sharing(json!({}));
    script.look(2, 0);
    assert!(script.looks_within(10 * SECOND));
    script.grant(1, &[0, 1]);
    assert_eq!(script.look(2, 0), 2);
    script.wait(SECOND);
}

#[test]
fn a_grant_that_is_known_is_no_news() {
    let mut script = Script::sharing(json!({}));
    script.look(3, 0);
    script.grant(1, &[0]);
    assert_eq!(script.look(3, 0), 1);
    script.grant(1, &[0]);
    assert!(!script.pending_look);
    assert_eq!((script.held(), script.wanted()), (vec![0], 2));
}

#[test]
fn more_room_than_waits_for_places_is_a_reason_to_look_once() {
    let mut script = Script::sharing(json!({"maxConcurrentJobs": 3, "waitTimeAfterSuccessfulRun": "0s"}));
    assert_eq!(script.look(9, 0), 0);
    assert_eq!(script.wanted(), 3, "no more than there is room for");
    script.grant(1, &[0]);
    assert_eq!(script.look(9, 0), 1);
    assert_eq!(script.wanted(), 2);
    script.wait(SECOND);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert!(script.pending_look, "a slot has become free");
    assert_eq!(script.look(8, 0), 0);
    assert_eq!((script.held(), script.wanted()), (vec![], 3));
    script.wait(SECOND);
}

#[test]
fn a_slot_that_has_cooled_while_places_are_waited_for_is_a_reason_to_look() {
    let mut script = Script::sharing(json!({"maxConcurrentJobs": 2, "waitTimeAfterSuccessfulRun": "3s"}));
    script.look(9, 0);
    script.grant(1, &[0]);
    assert_eq!(script.look(9, 0), 1);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!(script.wanted(), 1, "one slot cools");
    script.wait(Duration::from_millis(2_900));
    assert!(script.looks_within(Duration::from_millis(200)));
    script.look(8, 0);
    assert_eq!(script.wanted(), 2);
}

#[test]
fn less_room_wants_less_and_a_slot_that_becomes_free_is_looked_up() {
    let mut script = Script::sharing(json!({"maxConcurrentJobs": 2}));
    script.look(2, 0);
    script.grant(1, &[0, 1]);
    let policy = Box::new(policy(json!({"maxConcurrentJobs": 1}), &["gpu"]));
    script.feed(QueueEvent::Configured { policy, other_queue: false });
    assert_eq!((script.held(), script.wanted()), (vec![0], 0));
    assert_eq!(script.look(2, 0), 1);
    assert_eq!((script.wanted(), script.why()), (0, DecisionReason::Full));
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    script.look(1, 0);
    assert_eq!(script.wanted(), 1);
}

// --- what can't create wants nothing

#[test]
fn whoever_may_not_create_wants_nothing_and_gives_back_at_once() {
    let paused = |paused| QueueEvent::Switched { paused, requested: 0 };
    let back = || QueueEvent::Configured { policy: Box::new(policy(json!({}), &["gpu"])), other_queue: false };
    let cases: [(&str, QueueEvent, Option<QueueEvent>); 4] = [
        ("paused", paused(true), Some(paused(false))),
        ("blocked", QueueEvent::Blocked(true), Some(QueueEvent::Blocked(false))),
        ("stale", QueueEvent::Run(RunEvent::ViewStale), None),
        ("left", QueueEvent::Run(RunEvent::Drain), Some(back())),
    ];
    for (name, held, freed) in cases {
        let mut script = Script::sharing(json!({}));
        script.look(2, 0);
        script.grant(1, &[0]);
        assert_eq!(script.held(), [0], "{name}");
        script.feed(held);
        let nothing = Need { seen: 1, ..Need::default() };
        assert_eq!(script.need(), nothing, "{name}");
        script.pending_look = false;
        script.feed(QueueEvent::DepthRead(Some(Look { old: 2, limit: 100, at_us: 2, ..Look::default() })));
        assert_eq!((script.jobs.len(), script.why()), (0, DecisionReason::Held), "{name}");
        script.grant(2, &[0]);
        assert_eq!(script.need(), Need { seen: 2, ..nothing }, "{name}: it can't use it");
        script.wait(30 * SECOND);
        match freed {
            Some(event) => script.feed(event),
            None => script.show(),
        }
        assert!(script.looks_within(SOON), "{name}");
        script.look(2, 0);
        assert_eq!((script.wanted(), script.need().since), (2, Some(script.now)), "{name}");
    }
}

#[test]
fn a_back_off_wants_nothing_and_then_one_place_for_its_trial() {
    let keys = json!({"waitTimeAfterFailedRun": "5s", "backoff": {"factor": 2, "max": "1m", "after": 1}});
    let mut script = Script::sharing(keys);
    script.look(3, 0);
    script.grant(1, &[0]);
    assert_eq!(script.look(3, 0), 1);
    assert_eq!(script.wanted(), 2);
    script.all(&ended(Outcome::Failed, Reason::ExitCode));
    assert_eq!((script.held(), script.wanted()), (vec![], 0));
    script.grant(2, &[0]);
    assert_eq!(script.held(), [] as [u32; 0]);
    script.wait(Duration::from_millis(4_900));
    assert_eq!(script.look(3, 0), 0);
    assert_eq!((script.wanted(), script.why()), (1, DecisionReason::NoPlace));
    script.grant(3, &[0, 1]);
    assert_eq!(script.held(), [0]);
    assert_eq!(script.look(3, 0), 1);
    assert_eq!((script.wanted(), script.why()), (0, DecisionReason::BackingOff));
}

#[test]
fn a_look_that_fails_gives_back_and_is_tried_again_in_its_time() {
    let mut script = Script::sharing(json!({}));
    script.look(2, 0);
    script.grant(1, &[0]);
    script.pending_look = false;
    script.feed(QueueEvent::DepthRead(None));
    assert_eq!((script.held(), script.wanted()), (vec![], 0));
    script.wait(Duration::from_millis(400));
    script.look(2, 0);
    assert_eq!(script.wanted(), 2);
}

// --- by hand

#[test]
fn jobs_by_hand_take_places_too_one_after_another_and_also_while_paused() {
    let mut script = Script::sharing(json!({"maxConcurrentJobs": 2}));
    script.look(0, 0);
    script.feed(QueueEvent::Switched { paused: true, requested: 3 });
    assert_eq!((script.jobs.len(), script.wanted()), (0, 1));
    assert!(script.life.status(script.now).waiting_for_place.is_some());
    script.wait(20 * SECOND);
    script.grant(1, &[4]);
    assert_eq!((script.jobs.len(), script.held(), script.wanted()), (1, vec![4], 1));
    script.grant(2, &[0, 1]);
    assert_eq!((script.jobs.len(), script.held(), script.wanted()), (2, vec![0, 4], 0), "no third has room");
}

#[test]
fn who_asks_by_hand_goes_before_messages() {
    let mut script = Script::sharing(json!({"maxConcurrentJobs": 2}));
    script.look(3, 0);
    script.feed(QueueEvent::Switched { paused: false, requested: 1 });
    assert_eq!((script.wanted(), script.pending_look), (2, false));
    script.grant(1, &[0]);
    let by_hand = script.transcript.iter().any(|line| line.contains("CreateJob") && line.contains("serves: Some(1)"));
    assert!(by_hand, "{:?}", script.transcript);
    assert_eq!((script.held(), script.wanted(), script.pending_look), (vec![0], 1, false));
    script.grant(2, &[1]);
    assert_eq!((script.look(3, 0), script.held()), (1, vec![0, 1]));
}

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

fn end() -> job_chief::decide::outcome::End {
    job_chief::decide::outcome::End::new(Outcome::Failed, Reason::ExitCode)
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
    assert_eq!(bare.life.need(), Some(Need::default()));
}

/// One Job is wished for, and its wish is answered like this; then the store has these runs.
fn need_after(answer: Option<WishAnswer>, unfinished: impl FnOnce(JobName) -> Vec<LoadedRun>) -> Need {
    let mut bare = Bare::begin();
    bare.life = job_chief::decide::queue::lifecycle::Lifecycle::new(policy(json!({}), &["gpu"]), 7, bare.now);
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
    assert_eq!(script.need(), Need { seen: 1, ..Need::default() }, "and at the end it tells so");
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

// --- what is known of messages

#[test]
fn decisions_without_places_claim_no_messages_and_do_not_disturb_what_is_known_of_workers() {
    for (left, marked) in [(2, 0), (3, 1)] {
        let mut script = Script::sharing(json!({"waitTimeAfterSuccessfulRun": "0s", "fetchGrace": "1m"}));
        assert_eq!(script.look(3, 0), 0);
        assert_eq!(script.look(3, 0), 0);
        assert_eq!(script.wanted(), 3, "nobody is expected to take them");
        script.grant(1, &[0]);
        assert_eq!(script.look(3, 0), 1);
        assert_eq!(script.wanted(), 2);
        script.all(&running());
        script.look(3, 0);
        assert_eq!(script.wanted(), 2, "one is claimed");
        script.look(left, 0);
        script.all(&ended(Outcome::Succeeded, Reason::Completed));
        script.look(left, 0);
        assert_eq!((script.took_nothing(), script.wanted()), (marked, left));
    }
}

#[test]
fn a_look_that_finds_a_starting_job_for_each_message_wants_nothing() {
    let mut script = Script::sharing(json!({}));
    script.look(1, 0);
    script.grant(1, &[0]);
    assert_eq!(script.look(1, 0), 1);
    script.all(&starting());
    script.look(1, 0);
    assert_eq!((script.wanted(), script.why()), (0, DecisionReason::Claimed));
    script.look(1, 1);
    assert_eq!((script.wanted(), script.why()), (1, DecisionReason::NoPlace));
}
