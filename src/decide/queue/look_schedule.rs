//! When a queue is looked at.

use std::time::Duration;

use crate::decide::{backoff::retry_wait, queue::scale::Look};

/// Routine looks of all JobConfigs fall on a common beat, so that those that are due together are one statement: eight a
/// second at the most, which with the lease stays below ten.
const BEAT: Duration = Duration::from_millis(125);

/// Looks that are closer together fall where they fall.
const ON_THE_BEAT_MIN: Duration = Duration::from_secs(1);

/// Between a look and one for a notification that came after it: a burst of notifications is a look or two.
const NOTIFIED_GAP: Duration = Duration::from_millis(10);

/// How much later than promised a message is looked for.
const TIMER_LATE: Duration = Duration::from_millis(1);

/// When the queue is looked at next, and what the last look tells about that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LookSchedule {
    in_flight: bool,
    due: Duration,
    failures: u32,
    /// The last look left messages for want of room: the next free slot is used at once. Those that wait for places only
    /// are not among them.
    pub(super) backlog_left: bool,
    /// When the last look was asked for.
    asked_at: Duration,
    /// A notification came while a look was under way.
    notified: bool,
    /// No look was answered yet.
    first: bool,
    /// The next look is due by its interval and for nothing else.
    by_interval: bool,
    /// Nothing shows yet that the workers take messages: looks count far enough to tell.
    pub(super) counts_far: bool,
}

impl LookSchedule {
    /// The first look is due.
    pub(super) fn begin(now: Duration) -> Self {
        Self {
            in_flight: false,
            due: now,
            failures: 0,
            backlog_left: false,
            asked_at: Duration::ZERO,
            notified: false,
            first: true,
            by_interval: false,
            counts_far: true,
        }
    }

    /// A look is under way.
    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// When the next look is due, if there is room for what it may find and nothing makes it due at once.
    pub(super) fn due(&self) -> Duration {
        self.due
    }

    /// The look that is due falls on the common beat, so that it may wait for others.
    pub(super) fn is_routine(&self) -> bool {
        since_the_beat(self.due).is_zero()
    }

    /// The look that is due falls on the common beat, and is due by its interval and for nothing else.
    pub(super) fn is_by_interval(&self) -> bool {
        self.by_interval
    }

    /// When the last look was asked for.
    pub(super) fn asked_at(&self) -> Duration {
        self.asked_at
    }

    /// A look was asked for.
    pub(super) fn note_asked(&mut self, now: Duration) {
        (self.in_flight, self.asked_at, self.notified) = (true, now, false);
    }

    /// It was not answered.
    pub(super) fn note_failed(&mut self, now: Duration) {
        self.in_flight = false;
        (self.due, self.by_interval) = (now.saturating_add(retry_wait(self.failures)), false);
        self.failures = self.failures.saturating_add(1);
        self.backlog_left = false;
    }

    /// It was answered. The next one is due after the interval, or when the next message can be fetched. `jitter` is in
    /// thousandths, 0 to 999.
    pub(super) fn note_answered(&mut self, now: Duration, look: &Look, interval: Duration, jitter: u32) {
        let routine = routine_after(now, interval, jitter, self.first);
        let soonest = self.asked_at.saturating_add(NOTIFIED_GAP);
        let timer = timer_of(now, look).map(|timer| timer.max(soonest));
        let notified = self.notified.then_some(soonest);
        self.due = [timer, notified].into_iter().flatten().fold(routine, Duration::min).max(now);
        self.by_interval = self.due == routine && interval >= ON_THE_BEAT_MIN;
        (self.in_flight, self.failures, self.backlog_left, self.first) = (false, 0, false, false);
    }

    /// A notification says that there is a message. Many such in a row are one.
    pub(super) fn note_notified(&mut self, now: Duration) {
        if self.in_flight {
            self.notified = true;
        } else {
            self.due = self.due.min(now.max(self.asked_at.saturating_add(NOTIFIED_GAP)));
            self.by_interval = false;
        }
    }
}

/// When the routine look after one that is answered at `now` is due. The first wait is spread over the whole interval, those
/// after it over a tenth: jitter only shortens.
pub(super) fn routine_after(now: Duration, interval: Duration, jitter: u32, first: bool) -> Duration {
    let early = interval.saturating_mul(jitter) / if first { 1_000 } else { 10_000 };
    let due = now.saturating_add(interval.saturating_sub(early));
    if interval >= ON_THE_BEAT_MIN { on_the_beat(due) } else { due }
}

/// When a message can be fetched that a look which is answered at `now` found to be too early. Both clocks are cut to the
/// microsecond: a little later it can be fetched for sure.
pub(super) fn timer_of(now: Duration, look: &Look) -> Option<Duration> {
    look.next_in.map(|wait| now.saturating_add(wait).saturating_add(TIMER_LATE))
}

/// The last beat that is not after `at`.
pub(super) fn on_the_beat(at: Duration) -> Duration {
    at.saturating_sub(since_the_beat(at))
}

/// The offset of `at` within its beat (`Duration` has no `%`).
fn since_the_beat(at: Duration) -> Duration {
    Duration::from_nanos(u64::from(at.subsec_nanos()) % (BEAT.as_nanos() as u64))
}
