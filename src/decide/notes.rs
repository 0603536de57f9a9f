//! What is written down besides runs: decisions, and successes that took nothing. Bounded, in batches, and never
//! waited for: a note that is lost costs an explanation, no Job.

use std::{collections::VecDeque, time::Duration};

use crate::decide::{
    event::{Decision, Effect, Why},
    policy::retry_wait,
    run::JobName,
};

/// Notes that wait while Postgres is away; the oldest go first.
const NOTES_MAX: usize = 64;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// A decision that created something, or whose reason is another than the last one's.
    Decided {
        /// When, in the lifecycle's time.
        at: Duration,
        /// What.
        decision: Decision,
    },
    /// A success during which none of the messages it was started for was taken.
    TookNothing(JobName),
}

/// The notes of one JobConfig that are not written yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Notes {
    pending: VecDeque<Note>,
    writing: usize,
    last_why: Option<Why>,
    tries: u32,
    retry_at: Duration,
}

impl Notes {
    /// A decision was made.
    pub fn note_decision(&mut self, at: Duration, decision: Decision) {
        let changed = self.last_why.replace(decision.why) != Some(decision.why);
        if changed || decision.jobs > 0 {
            self.push(Note::Decided { at, decision });
        }
    }

    /// A success took nothing.
    pub fn note_took_nothing(&mut self, job: JobName) {
        self.push(Note::TookNothing(job));
    }

    fn push(&mut self, note: Note) {
        if self.pending.len() >= NOTES_MAX && self.writing == 0 {
            self.pending.pop_front();
        }
        if self.pending.len() < NOTES_MAX {
            self.pending.push_back(note);
        }
    }

    /// All that is not written yet, one write at a time.
    pub fn next_write(&mut self, now: Duration) -> Option<Effect> {
        if self.deadline()? > now {
            return None;
        }
        self.writing = self.pending.len();
        Some(Effect::WriteNotes(self.pending.iter().cloned().collect()))
    }

    /// The write was answered.
    pub fn note_written(&mut self, written: bool, now: Duration) {
        if written {
            self.pending.drain(..self.writing);
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

    fn decided(why: Why, jobs: u64) -> Decision {
        Decision { why, jobs, ..Decision::default() }
    }

    #[test]
    fn no_more_are_kept_while_a_write_is_under_way_and_none_is_tried_before_its_time() {
        let mut notes = Notes::default();
        (0..NOTES_MAX).for_each(|number| notes.note_took_nothing(JobName(number.to_string())));
        assert!(notes.next_write(Duration::ZERO).is_some());
        notes.note_took_nothing(JobName("one more".into()));
        assert_eq!(notes.pending.len(), NOTES_MAX);
        notes.note_written(false, Duration::ZERO);
        assert_eq!(notes.next_write(Duration::from_millis(1)), None);
        assert!(notes.next_write(notes.deadline().unwrap_or_default()).is_some());
    }

    #[test]
    fn the_same_reason_is_written_once_and_every_creation() {
        let mut notes = Notes::default();
        for decision in [
            decided(Why::Empty, 0),
            decided(Why::Empty, 0),
            decided(Why::Created, 1),
            decided(Why::Created, 2),
            decided(Why::Full, 0),
            decided(Why::Full, 0),
        ] {
            notes.note_decision(SECOND, decision);
        }
        let Some(Effect::WriteNotes(written)) = notes.next_write(SECOND) else { panic!("something is to be written") };
        assert_eq!(written.len(), 4);
        assert_eq!(notes.next_write(SECOND), None, "one write at a time");
        notes.note_decision(SECOND, decided(Why::Empty, 0));
        notes.note_written(true, SECOND);
        assert!(!notes.is_empty(), "what came meanwhile is kept");
    }

    #[test]
    fn an_outage_keeps_a_bounded_number_and_the_waits_between_tries_grow() {
        let mut notes = Notes::default();
        for jobs in 1..=100 {
            notes.note_decision(SECOND, decided(Why::Created, jobs));
        }
        let Some(Effect::WriteNotes(written)) = notes.next_write(SECOND) else { panic!("something is to be written") };
        assert_eq!(written.len(), NOTES_MAX);
        let Some(Note::Decided { decision, .. }) = written.last() else { panic!("a decision") };
        assert_eq!(decision.jobs, 100, "the newest are kept");
        notes.note_written(false, SECOND);
        let first = notes.deadline();
        notes.next_write(10 * SECOND);
        notes.note_written(false, SECOND);
        assert!(notes.deadline() > first);
    }
}
