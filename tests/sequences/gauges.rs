//! In whatever state a JobConfig is, its queue is looked at for its gauges, and nothing is created by that.

use std::time::Duration;

use job_chief::decide::{
    outcome::{Outcome, Reason},
    queue::event::{QueueEffect, QueueEvent},
    run::event::RunEvent,
};
use serde_json::json;

use crate::script::{SECOND, Script, ended, running};

/// How long a gauge may be old, with the beat on which looks fall.
fn fresh_for(seconds: u64) -> Duration {
    Duration::from_secs(seconds) + Duration::from_millis(125)
}

/// Nothing is decided for three minutes, and the gauges are read in time; nothing is created by that.
fn is_read_in_time(script: &mut Script, fresh_for: Duration) {
    let begun = script.now;
    script.gauges_at.clear();
    let jobs: Vec<_> = script.jobs.keys().cloned().collect();
    assert!(!script.looks_within(180 * SECOND), "nothing is to be decided");
    assert!(script.jobs.keys().all(|name| jobs.contains(name)), "nothing is created");
    let mut last = begun;
    for at in script.gauges_at.iter().chain([&script.now]) {
        assert!(*at - last <= fresh_for, "for {:?} nobody has looked: {:?}", *at - last, script.gauges_at);
        last = *at;
    }
}

#[test]
fn while_it_is_full() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 2, "queueCheckInterval": "5s"}));
    assert_eq!(script.look(5, 0), 2);
    script.all(&running());
    is_read_in_time(&mut script, fresh_for(10));
    let mut script = Script::begin(json!({"maxConcurrentJobs": 1, "queueCheckInterval": "40s"}));
    assert_eq!(script.look(5, 0), 1);
    script.all(&running());
    is_read_in_time(&mut script, fresh_for(40));
    assert!(script.gauges_at.len() <= 5, "no more often than its interval: {:?}", script.gauges_at);
}

#[test]
fn while_it_is_paused_or_blocked_or_its_view_is_old() {
    let paused = QueueEvent::Switched { paused: true, requested: 0 };
    for event in [paused, QueueEvent::Blocked(true), QueueEvent::Run(RunEvent::ViewStale)] {
        let mut script = Script::begin(json!({}));
        assert_eq!(script.look(0, 0), 0);
        script.feed(event);
        is_read_in_time(&mut script, fresh_for(10));
    }
    let mut script = Script::begin(json!({"paused": true}));
    is_read_in_time(&mut script, fresh_for(10));
}

#[test]
fn while_it_backs_off() {
    let keys = json!({"waitTimeAfterFailedRun": "1h", "backoff": {"factor": 1, "max": "1h", "after": 1}, "maxConcurrentJobs": 1});
    let mut script = Script::begin(keys);
    assert_eq!(script.look(1, 0), 1);
    script.all(&ended(Outcome::Failed, Reason::ExitCode));
    is_read_in_time(&mut script, fresh_for(10));
}

#[test]
fn while_it_drains_by_hand_but_not_when_it_has_left_the_file() {
    let mut script = Script::begin(json!({}));
    assert_eq!(script.look(1, 0), 1);
    script.all(&running());
    script.feed(QueueEvent::Switched { paused: true, requested: 0 });
    is_read_in_time(&mut script, fresh_for(10));
    script.feed(QueueEvent::Run(RunEvent::Drain));
    script.gauges_at.clear();
    assert!(!script.looks_within(60 * SECOND));
    assert_eq!(script.gauges_at, [] as [Duration; 0]);
}

#[test]
fn an_idle_queue_is_not_looked_at_more_often() {
    for interval in ["10s", "1m"] {
        let mut script = Script::begin(json!({"queueCheckInterval": interval}));
        for _ in 0..20 {
            assert!(script.looks_within(61 * SECOND));
            script.look(0, 0);
        }
        assert_eq!(script.gauges_at, [] as [Duration; 0]);
    }
}

#[test]
fn a_count_that_stopped_at_its_bound_is_followed_by_one_that_goes_on() {
    let mut script = Script::begin(json!({"queueCheckInterval": "1s"}));
    for _ in 0..30 {
        assert_eq!(script.look(0, 0), 0);
    }
    assert_eq!(script.gauges_at, [] as [Duration; 0], "each look has counted to the end");
    script.feed(QueueEvent::Notified);
    assert_eq!(script.look(100, 0), 4);
    script.all(&running());
    is_read_in_time(&mut script, fresh_for(10));
}

#[test]
fn what_could_not_be_read_is_tried_again_and_a_look_that_decides_waits_for_nothing() {
    let mut script = Script::begin(json!({"paused": true}));
    let asks = |effects: &[QueueEffect]| effects.iter().any(|it| matches!(it, QueueEffect::ReadGauges(_)));
    let now = script.now + 10 * SECOND;
    assert!(asks(&script.life.step(now, [QueueEvent::DeadlineReached])));
    assert!(!asks(&script.life.step(now + 60 * SECOND, [QueueEvent::DeadlineReached])), "one at a time");
    let effects = script.life.step(now + SECOND, [QueueEvent::Switched { paused: false, requested: 0 }]);
    assert!(matches!(effects[..], [QueueEffect::ReadDepth(_)]), "{effects:?}");
    let paused = [QueueEvent::DepthRead(None), QueueEvent::Switched { paused: true, requested: 0 }];
    script.life.step(now + SECOND, paused);
    assert!(!asks(&script.life.step(now + SECOND, [QueueEvent::GaugesRead(false)])), "not at once");
    let again = script.life.deadline().unwrap();
    assert!(again <= now + 2 * SECOND);
    assert!(asks(&script.life.step(again, [QueueEvent::DeadlineReached])));
}

#[test]
fn a_gauge_look_counts_far_and_knows_no_claims() {
    let mut script = Script::begin(json!({"paused": true}));
    assert!(!script.looks_within(11 * SECOND));
    let asked = script.transcript.iter().find(|line| line.contains("ReadGauges")).unwrap();
    assert!(asked.contains("since_us: None, limit: 10000, younger_left: 0ns, purpose: Gauges"), "{asked}");
}
