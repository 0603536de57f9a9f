//! When a queue is looked at: by hints, by messages that can be fetched later, and in its interval.

use std::{collections::BTreeSet, time::Duration};

use job_chief::decide::queue::event::QueueEvent;
use serde_json::json;

use crate::script::{SECOND, Script};

#[test]
fn a_hint_is_looked_up_at_once_and_a_burst_of_hints_is_a_look_or_two() {
    let mut script = Script::begin(json!({}));
    script.look(0, 0);
    script.feed(QueueEvent::Notified);
    assert!(script.looks_within(Duration::from_millis(10)), "at once, but for the gap after the last look");
    script.feed(QueueEvent::Notified);
    script.feed(QueueEvent::Notified);
    assert_eq!(script.look(0, 0), 0);
    assert!(script.looks_within(Duration::from_millis(10)), "what came while it was read is looked up, too");
    script.look(0, 0);
    script.wait(SECOND);
}

#[test]
fn a_deferred_message_is_looked_for_when_it_can_be_fetched() {
    let mut script = Script::begin(json!({"queueCheckInterval": "60s"}));
    script.look(0, 0);
    assert!(script.looks_within(60 * SECOND));
    script.next_in = Some(3 * SECOND);
    script.look(0, 0);
    script.next_in = None;
    script.wait(Duration::from_millis(2_999));
    assert!(script.looks_within(Duration::from_millis(5)));
    assert_eq!(script.look(1, 0), 1);
}

#[test]
fn looks_are_spread_at_first_and_then_fall_on_a_common_beat() {
    let mut firsts = BTreeSet::new();
    for seed in 0..50 {
        let mut script = Script::seeded(json!({"queueCheckInterval": "10s"}), seed);
        for look in 0..3 {
            script.look(0, 0);
            let asked = script.now;
            assert!(script.looks_within(10 * SECOND), "jitter only shortens");
            assert_eq!(script.now.subsec_millis() % 125, 0, "{:?}", script.now);
            if look == 0 {
                firsts.insert(script.now - asked);
            } else {
                assert!(script.now - asked >= 8_875 * Duration::from_millis(1), "and not by more than a tenth");
            }
        }
    }
    assert!(firsts.len() > 20 && firsts.first().unwrap() < &SECOND, "{firsts:?}");
}
