//! Places of queues: what is wanted when, what a grant leads to, and what goes back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use job_chief::decide::{
    decision::DecisionReason,
    outcome::{JobName, Outcome, Reason},
    place::{Place, Places},
    pod::observation::SeenJob,
    queue::{
        event::{LogEntry, QueueEffect, QueueEvent},
        lifecycle::Lifecycle,
        policy::QueuePolicy,
        scale::Look,
    },
    run::event::{LoadedRun, RunEffect, RunEvent},
    share::need::{Grant, Need},
};
use serde_json::{Value, json};

use crate::{
    bare::Bare,
    script::{SECOND, Script, config, ended, running, starting},
};

/// Much shorter than the interval of the queue, and longer than the gap between two looks.
pub(crate) const SOON: Duration = Duration::from_millis(20);

/// One place in each of these pools.
pub(crate) fn places(pools: &[&str], number: u32) -> Places {
    pools.iter().map(|pool| Place { pool: (*pool).into(), number }).collect()
}

/// Places of one pool.
pub(crate) fn grant(number: u64, pool: &str, numbers: &[u32]) -> Grant {
    Grant { number, places: numbers.iter().map(|number| places(&[pool], *number)).collect() }
}

pub(crate) fn policy(keys: Value, pools: &[&str]) -> QueuePolicy {
    QueuePolicy { pools: pools.iter().map(|pool| Arc::from(*pool)).collect(), ..QueuePolicy::of(&config(keys)) }
}

impl Script {
    /// A queue whose Jobs take a place of the pool `gpu`.
    pub(crate) fn sharing(keys: Value) -> Self {
        Self::found(keys, vec![], BTreeMap::new())
    }

    pub(crate) fn found(keys: Value, unfinished: Vec<LoadedRun>, jobs: BTreeMap<JobName, SeenJob>) -> Self {
        Self::made(policy(keys, &["gpu"]), 7, unfinished, jobs)
    }

    pub(crate) fn grant(&mut self, number: u64, numbers: &[u32]) {
        self.feed(QueueEvent::Granted(grant(number, "gpu", numbers)));
    }

    /// Without what has gone back so far.
    pub(crate) fn need(&self) -> Need {
        Need { returned: 0, ..self.life.need().unwrap() }
    }

    pub(crate) fn returned(&self) -> u64 {
        self.life.need().unwrap().returned
    }

    /// The numbers of what it holds of `gpu`.
    pub(crate) fn held(&self) -> Vec<u32> {
        let held = self.need().held;
        let mut numbers: Vec<u32> = held.iter().flat_map(|places| places.iter().map(|place| place.number)).collect();
        numbers.sort_unstable();
        numbers
    }

    pub(crate) fn wanted(&self) -> u64 {
        self.need().wanted
    }

    pub(crate) fn why(&self) -> DecisionReason {
        self.life.status(self.now).decided.unwrap().1.why
    }

    pub(crate) fn took_nothing(&self) -> usize {
        self.notes.iter().filter(|note| matches!(note, LogEntry::TookNothing(_))).count()
    }

    pub(crate) fn configure(&mut self, pools: &[&str]) {
        let policy = Arc::new(policy(json!({}), pools));
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
    bare.life = Lifecycle::new(crate::script::naming(), policy(json!({}), &["gpu", "limits"]), 7, bare.now);
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
    let policy = Arc::new(policy(json!({"maxConcurrentJobs": 1}), &["gpu"]));
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
    let back = || QueueEvent::Configured { policy: Arc::new(policy(json!({}), &["gpu"])), other_queue: false };
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
