//! When a queue is at rest, so that others may look in its place, and what they are to ring it for.

use std::time::Duration;

use job_chief::decide::{
    outcome::{End, Outcome, Reason},
    queue::{
        event::{DepthRequest, LookPurpose, QueueEvent},
        rest::Rest,
        scale::{COUNTED_FAR, Look},
    },
    run::event::RunEvent,
};
use serde_json::json;

use crate::script::{SECOND, Script, ended, running};

const BEAT: Duration = Duration::from_millis(125);

fn at_rest() -> Script {
    let mut script = Script::begin(json!({}));
    assert_eq!(script.life.rest(), None, "nobody has looked yet");
    script.look(0, 0);
    assert!(script.life.rest().is_some());
    script
}

#[test]
fn who_rests_asks_for_the_look_that_it_would_ask_for_itself_and_wakes_for_what_was_found() {
    let mut script = at_rest();
    let rest = script.life.rest().unwrap();
    assert_eq!((rest.interval, rest.request.purpose), (10 * SECOND, LookPurpose::Routine));
    assert!(rest.request.since_us.is_some() && rest.request.limit == COUNTED_FAR);
    assert_eq!(script.life.deadline(), Some(rest.due));
    assert_eq!(script.life.deadline_at_rest(), None, "nothing else is due");
    // Others have looked all the time.
    script.now += 100 * SECOND;
    script.feed(QueueEvent::Notified);
    assert_eq!(script.life.rest(), None);
    assert_eq!(script.look(0, 3), 3, "none of them is claimed");
}

#[test]
fn nobody_rests_while_more_may_be_due_than_a_routine_look() {
    let unanswered = QueueEvent::DepthRead(None);
    let paused = QueueEvent::Switched { paused: true, requested: 0 };
    let [stale, drains, stops] = [RunEvent::ViewStale, RunEvent::Drain, RunEvent::Stop].map(QueueEvent::Run);
    for event in [QueueEvent::Notified, paused, QueueEvent::Blocked(true), stale, drains, stops] {
        let mut script = at_rest();
        let told = format!("{event:?}");
        script.feed(event);
        assert_eq!(script.life.rest(), None, "{told}");
    }
    let mut script = at_rest();
    assert!(script.looks_within(10 * SECOND));
    assert_eq!(script.life.rest(), None, "a look is under way");
    script.feed(unanswered);
    assert_eq!(script.life.rest(), None, "it has failed");
    let mut script = Script::begin(json!({"queueCheckInterval": "900ms"}));
    script.look(0, 0);
    assert_eq!(script.life.rest(), None, "it looks more often than others would");
}

/// Its last look has found nothing.
fn is_at_rest_after(script: &mut Script, what: &str) -> bool {
    assert_eq!(script.look(0, 0), 0, "{what}");
    script.life.rest().is_some()
}

#[test]
fn who_has_a_job_or_cools_or_backs_off_looks_itself_until_its_last_decision_says_what_is_so() {
    let mut script = Script::begin(json!({"maxConcurrentJobs": 2, "waitTimeAfterFailedRun": "15s"}));
    assert_eq!(script.look(1, 0), 1);
    script.all(&running());
    assert!(!is_at_rest_after(&mut script, "its Job lives"));
    script.all(&ended(Outcome::Failed, Reason::ExitCode));
    assert_eq!(script.life.rest(), None, "its slot cools");
    assert!(!is_at_rest_after(&mut script, "its slot cools"));
    while !is_at_rest_after(&mut script, "the last decision was made while it cooled, then none is") {}
    let mut script = Script::begin(json!({"maxConcurrentJobs": 2, "waitTimeAfterError": "2s"}));
    script.look(0, 0);
    script.refuses = true;
    script.feed(QueueEvent::Switched { paused: false, requested: 1 });
    let until = script.life.status(script.now).backoff_until.expect("its create is refused");
    assert_eq!(script.life.rest(), None, "people are to be told when it is over");
    while !is_at_rest_after(&mut script, "it backs off, then nobody is kept") {}
    assert!(script.now >= until);
}

#[test]
fn after_a_job_that_was_asked_for_by_hand_it_looks_itself_until_the_log_says_that_nothing_waits() {
    let mut script = at_rest();
    script.feed(QueueEvent::Switched { paused: false, requested: 1 });
    assert_eq!(script.jobs.len(), 1);
    script.all(&running());
    script.jobs.clear();
    script.show();
    assert_eq!(script.ends, [End::new(Outcome::Vanished, Reason::Deleted)]);
    assert_eq!(script.life.rest(), None, "the last decision on record is not that of its last look");
    assert!(is_at_rest_after(&mut script, "nothing waits"));
}

#[test]
fn what_is_kept_for_a_while_is_come_back_for() {
    let mut script = Script::begin(json!({"podConfig": {"image": "i"}, "successfulJobsHistoryLimit": 0}));
    script.look(1, 0);
    script.all(&ended(Outcome::Succeeded, Reason::Completed));
    while script.life.rest().is_none() {
        script.look(0, 0);
    }
    let due = script.life.deadline_at_rest().expect("the Job that has succeeded is to be deleted");
    script.now = due;
    script.feed(QueueEvent::DeadlineReached);
    assert!(script.jobs.is_empty());
}

#[test]
fn it_is_rung_for_all_that_it_would_decide_on_and_for_what_it_would_come_back_for() {
    let request =
        DepthRequest { since_us: Some(1), limit: 10, younger_left: Duration::ZERO, purpose: LookPurpose::Routine };
    let rest = Rest { request, due: SECOND, interval: 10 * SECOND };
    let nothing = Look { limit: 10, at_us: 1, ..Look::default() };
    let now = 100 * SECOND;
    assert_eq!(rest.after(now, &nothing, 0), Some(now + 10 * SECOND));
    let earliest = rest.after(now, &nothing, 999).unwrap();
    assert!(earliest >= now + 9 * SECOND && earliest < now + 9 * SECOND + BEAT, "{earliest:?}");
    assert_eq!(rest.after(now + Duration::from_millis(60), &nothing, 0), Some(now + 10 * SECOND), "on the beat");
    for found in [
        Look { old: 1, ..nothing },
        Look { new: 1, ..nothing },
        Look { limit: 0, ..nothing },
        Look { next_in: Some(9 * SECOND), ..nothing },
    ] {
        assert_eq!(rest.after(now, &found, 0), None, "{found:?}");
    }
    let later = Look { next_in: Some(11 * SECOND), ..nothing };
    assert_eq!(rest.after(now, &later, 0), Some(now + 10 * SECOND), "the look after this one is early enough");
}
