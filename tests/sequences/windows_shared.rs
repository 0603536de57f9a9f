//! Windows of a queue that shares: what is wanted of the pools follows what is in force, at the pace of any queue.

use std::{collections::BTreeMap, time::Duration};

use job_chief::decide::{
    decision::DecisionReason,
    outcome::{Outcome, Reason},
    place::LIMITS,
    queue::event::QueueEvent,
};
use serde_json::{Value, json};

use crate::{
    places::{grant, policy},
    script::{SECOND, Script, ended, running},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A queue of an installation with `limits`; scripts begin on Tuesday, 2023-11-14, at 22:13:20.
fn sharing(from: &str, to: &str, otherwise: u32, max: u32) -> Script {
    let window = json!({"days": "Tue", "from": from, "to": to, "maxConcurrentJobs": max});
    let keys: Value = json!({"maxConcurrentJobs": otherwise, "windows": [window], "queueCheckInterval": "10s"});
    Script::made(policy(keys, &[LIMITS]), 7, vec![], BTreeMap::new())
}

/// How often its queue is looked at within a time, while so many messages wait and nothing is given.
fn looks(script: &mut Script, messages: u64, time: Duration) -> usize {
    let end = script.now + time;
    let mut looks = 0;
    while script.looks_within(end - script.now) {
        assert_eq!(script.look(messages, 0), 0);
        looks += 1;
    }
    looks
}

#[test]
fn an_open_window_gets_places_beyond_what_counts_outside_and_looks_no_more_often() {
    let mut script = sharing("22:00", "22:20", 1, 20);
    assert_eq!(script.look(9, 0), 0);
    assert_eq!((script.wanted(), script.why()), (9, DecisionReason::NoPlace));
    let waiting = looks(&mut script, 9, MINUTE);
    assert!((5..=8).contains(&waiting), "{waiting} looks in a minute without a place");
    script.feed(QueueEvent::Granted(grant(1, LIMITS, &[0, 1, 2, 3, 4])));
    assert_eq!(script.look(9, 0), 5);
    script.all(&running());
    let waiting = looks(&mut script, 4, MINUTE);
    assert!((5..=8).contains(&waiting), "{waiting} looks in a minute with some of its places");
    assert_eq!((script.held().len(), script.wanted()), (5, 4));
    script.feed(QueueEvent::Granted(grant(2, LIMITS, &[5, 6, 7, 8])));
    assert_eq!((script.look(4, 0), script.why()), (4, DecisionReason::Created));
    script.all(&running());
    let waiting = looks(&mut script, 9, 7 * MINUTE);
    assert!((20..=40).contains(&waiting), "{waiting} looks until it closes at 22:20, and none from then on");
    assert_eq!((script.held().len(), script.wanted()), (9, 0), "nine run on, and one is allowed");
}

#[test]
fn what_is_closed_wants_no_places_and_what_opens_wants_them_at_once() {
    let mut script = sharing("22:15", "22:20", 0, 3);
    assert_eq!((looks(&mut script, 9, 99 * SECOND), script.wanted()), (0, 0));
    assert!(script.looks_within(SECOND), "at the opening");
    assert_eq!(script.look(9, 0), 0);
    assert_eq!((script.wanted(), script.why()), (3, DecisionReason::NoPlace));
    script.feed(QueueEvent::Granted(grant(1, LIMITS, &[0, 1])));
    assert_eq!((script.look(9, 0), script.wanted()), (2, 1));
    script.all(&running());
    let waiting = looks(&mut script, 7, 4 * MINUTE);
    assert!((4 * 5..=4 * 8).contains(&waiting), "{waiting} looks in four minutes");
    assert_eq!(script.wanted(), 1);
    let waiting = looks(&mut script, 7, 2 * MINUTE);
    assert!((4..=8).contains(&waiting), "{waiting} looks in the last minute, and none once it has closed");
    assert_eq!((script.wanted(), script.life.status(script.now).waiting_for_place), (0, None), "it has closed");
    // What was on its way then.
    script.feed(QueueEvent::Granted(grant(2, LIMITS, &[2])));
    assert_eq!((script.held().len(), script.returned()), (2, 1), "goes back, and is not kept for a week");
    assert_eq!(looks(&mut script, 7, 10 * MINUTE), 0);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    assert_eq!((script.held().len(), script.wanted()), (0, 0));
    assert_eq!(looks(&mut script, 7, 10 * MINUTE), 0);
}
