//! The log of decisions, and of successes that took nothing. It is bounded, written in batches, and never waited for:
//! an entry that is lost costs an explanation, no Job.

use std::{collections::VecDeque, time::Duration};

use crate::decide::{
    backoff::retry_wait,
    decision::{Decision, DecisionReason},
    outcome::JobName,
    queue::event::{LogEntry, QueueEffect},
};

/// Entries that wait while Postgres is away; the oldest go first.
const ENTRIES_MAX: usize = 64;

/// The entries of one JobConfig that are not written yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DecisionLog {
    pending: VecDeque<LogEntry>,
    writing: usize,
    last_why: Option<DecisionReason>,
    tries: u32,
    retry_at: Duration,
}

impl DecisionLog {
    /// A decision was made.
    pub fn note_decision(&mut self, at: Duration, decision: Decision) {
        let changed = self.last_why.replace(decision.why) != Some(decision.why);
        if changed || decision.jobs > 0 {
            self.push(LogEntry::Decided { at, decision });
        }
    }

    /// Whether the last decision was made for this reason: another one for it is no news.
    pub fn has_last(&self, why: DecisionReason) -> bool {
        self.last_why == Some(why)
    }

    /// A success took nothing.
    pub fn note_took_nothing(&mut self, job: JobName) {
        self.push(LogEntry::TookNothing(job));
    }

    fn push(&mut self, entry: LogEntry) {
        if self.pending.len() >= ENTRIES_MAX && self.writing == 0 {
            self.pending.pop_front();
        }
        if self.pending.len() < ENTRIES_MAX {
            self.pending.push_back(entry);
        }
    }

    /// All that is not written yet, one write at a time.
    pub fn next_write(&mut self, now: Duration) -> Option<QueueEffect> {
        if self.deadline()? > now {
            return None;
        }
        self.writing = self.pending.len();
        Some(QueueEffect::WriteLog(self.pending.iter().cloned().collect()))
    }

    /// The write was answered.
    pub fn note_written(&mut self, written: bool, now: Duration) {
        if written {
            self.pending.drain(..self.writing);
            if self.pending.is_empty() {
                // Mostly there is nothing to be written.
                self.pending = VecDeque::new();
            }
            self.tries = 0;
        } else {
            self.retry_at = now.saturating_add(retry_wait(self.tries));
            self.tries = self.tries.saturating_add(1);
        }
        self.writing = 0;
    }

    /// When the next write is due.
    pub fn deadline(&self) -> Option<Duration> {
        (self.writing == 0 && !self.pending.is_empty()).then_some(self.retry_at)
    }

    /// Nothing is being written.
    pub fn is_quiet(&self) -> bool {
        self.writing == 0
    }

    /// Everything is written.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn decided(why: DecisionReason, jobs: u64) -> Decision {
        Decision { why, jobs, ..Decision::default() }
    }

    #[test]
    fn no_more_are_kept_while_a_write_is_under_way_and_none_is_tried_before_its_time() {
        let mut log = DecisionLog::default();
        (0..ENTRIES_MAX).for_each(|number| log.note_took_nothing(JobName(number.to_string())));
        assert!(log.next_write(Duration::ZERO).is_some());
        log.note_took_nothing(JobName("one more".into()));
        assert_eq!(log.pending.len(), ENTRIES_MAX);
        log.note_written(false, Duration::ZERO);
        assert_eq!(log.next_write(Duration::from_millis(1)), None);
        assert!(log.next_write(log.deadline().unwrap_or_default()).is_some());
    }

    #[test]
    fn the_same_reason_is_written_once_and_every_creation() {
        let mut log = DecisionLog::default();
        for decision in [
            decided(DecisionReason::Empty, 0),
            decided(DecisionReason::Empty, 0),
            decided(DecisionReason::Created, 1),
            decided(DecisionReason::Created, 2),
            decided(DecisionReason::Full, 0),
            decided(DecisionReason::Full, 0),
        ] {
            log.note_decision(SECOND, decision);
        }
        let Some(QueueEffect::WriteLog(written)) = log.next_write(SECOND) else { panic!("something is to be written") };
        assert_eq!(written.len(), 4);
        assert_eq!(log.next_write(SECOND), None, "one write at a time");
        log.note_decision(SECOND, decided(DecisionReason::Empty, 0));
        log.note_written(true, SECOND);
        assert!(!log.is_empty(), "what came meanwhile is kept");
    }

    #[test]
    fn an_outage_keeps_a_bounded_number_and_the_waits_between_tries_grow() {
        let mut log = DecisionLog::default();
        for jobs in 1..=100 {
            log.note_decision(SECOND, decided(DecisionReason::Created, jobs));
        }
        let Some(QueueEffect::WriteLog(written)) = log.next_write(SECOND) else { panic!("something is to be written") };
        assert_eq!(written.len(), ENTRIES_MAX);
        let Some(LogEntry::Decided { decision, .. }) = written.last() else { panic!("a decision") };
        assert_eq!(decision.jobs, 100, "the newest are kept");
        log.note_written(false, SECOND);
        let first = log.deadline();
        log.next_write(10 * SECOND);
        log.note_written(false, SECOND);
        assert!(log.deadline() > first);
    }
}
