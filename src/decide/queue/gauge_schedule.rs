//! When a queue is looked at for its gauges alone: while nothing is to be decided, people want to know its depth most.

use std::time::Duration;

use crate::decide::{
    backoff::retry_wait,
    queue::{look_schedule::on_the_beat, policy::GAUGES_EVERY_MIN},
};

/// Beyond all times: on the beat, so that it stays what it is.
const NEVER: Duration = Duration::from_secs(u64::MAX);

/// When the gauges of a queue are to be read again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct GaugeSchedule {
    due: Duration,
    in_flight: bool,
    failures: u32,
}

impl GaugeSchedule {
    /// Nothing was read yet; mostly the first look that decides comes before the first one of this kind.
    pub(super) fn begin(now: Duration) -> Self {
        Self { due: now.saturating_add(GAUGES_EVERY_MIN), in_flight: false, failures: 0 }
    }

    /// When they are to be read; `None` while they are being read, or where that is never.
    pub(super) fn due(&self) -> Option<Duration> {
        Some(self.due).filter(|due| !self.in_flight && *due < NEVER)
    }

    /// A look that decides was answered, and has counted to the end: it has read the gauges, too.
    pub(super) fn note_look(&mut self, now: Duration, every: Duration) {
        self.due = on_the_beat(every.checked_add(now).unwrap_or(NEVER));
    }

    /// They were asked for.
    pub(super) fn note_asked(&mut self) {
        self.in_flight = true;
    }

    /// They were read, or could not be.
    pub(super) fn note_read(&mut self, read: bool, now: Duration, every: Duration) {
        self.in_flight = false;
        if read {
            self.failures = 0;
            self.note_look(now, every);
        } else {
            self.due = now.saturating_add(retry_wait(self.failures));
            self.failures = self.failures.saturating_add(1);
        }
    }
}
