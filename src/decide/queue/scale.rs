//! How many Jobs to create: messages that nobody has been started for are counted, not Jobs.

use std::time::Duration;

use crate::decide::decision::Tally;

/// What one look at the queue found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Look {
    /// Messages that could be fetched already at the last look that created.
    pub old: u64,
    /// Messages that could be fetched only since then.
    pub new: u64,
    /// Where either count stopped: a count that reached it is a lower bound.
    pub limit: u64,
    /// The time of the database up to which messages were counted, in microseconds since 1970.
    pub at_us: i64,
    /// How long from then until the next message can be fetched that could not be yet, where there is one.
    pub next_in: Option<Duration>,
    /// How long the message has waited that could be fetched first, where there is one.
    pub oldest_age: Option<Duration>,
    /// The same among those that are new.
    pub oldest_new_age: Option<Duration>,
    /// pg-boss knows no queue of this name, where it keeps a list of them.
    pub unknown: bool,
}

impl Look {
    /// Neither count stopped at its bound.
    pub fn is_exact(&self) -> bool {
        self.old.max(self.new) < self.limit
    }

    /// All that can be fetched.
    pub fn ready(&self) -> u64 {
        self.old.saturating_add(self.new)
    }
}

/// How far a look counts while it is to be told whether a finished worker has taken any message: far enough for
/// most queues, and a few milliseconds of an index at the most.
pub const COUNTED_FAR: u64 = 10_000;

/// Which messages Jobs have been started for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Claims {
    /// Messages that Jobs which are still starting are expected to take.
    pub claimed: u64,
    /// The database's time up to which the last look that created had counted; `None` before the first one.
    pub since_us: Option<i64>,
    /// `old` at the last look, and whether that was all of them: what has fallen since then was taken by somebody.
    old_before: u64,
    old_was_exact: bool,
    /// What was taken.
    pub tally: Tally,
}

impl Claims {
    /// How far a look needs to count: what is claimed plus one full creation.
    pub fn look_limit(&self, messages_per_job: u64, jobs_max: u64) -> u64 {
        self.claimed.saturating_add(messages_per_job.saturating_mul(jobs_max)).saturating_add(1)
    }

    /// Takes a look into account, before it is asked how many Jobs it wants.
    pub fn note_look(&mut self, look: Look, messages_per_job: u64, starting: u64) {
        let starting_may_hold = messages_per_job.saturating_mul(starting);
        if self.since_us.is_none() {
            // After a restart nothing is known but the Jobs that are starting: they claim what is ready.
            self.claimed = starting_may_hold.min(look.ready());
            self.restart_at(look);
            return;
        }
        // A look that counts less far than the one before sees no fall above its own bound.
        let taken = self.old_before.min(look.limit).saturating_sub(look.old);
        let none_taken = self.old_was_exact && look.old >= self.old_before;
        self.tally.taken = self.tally.taken.saturating_add(taken);
        self.tally.unclear = self.tally.unclear.saturating_add(u64::from(taken == 0 && !none_taken));
        self.claimed = self.claimed.saturating_sub(taken).min(starting_may_hold);
        (self.old_before, self.old_was_exact) = (look.old, look.old < look.limit);
    }

    /// A look led to the creation of `jobs` Jobs.
    pub fn note_created(&mut self, look: Look, messages_per_job: u64, jobs: u64) {
        self.claimed = self.claimed.saturating_add(messages_per_job.saturating_mul(jobs));
        self.restart_at(look);
    }

    fn restart_at(&mut self, look: Look) {
        self.since_us = Some(self.since_us.map_or(look.at_us, |since| since.max(look.at_us)));
        (self.old_before, self.old_was_exact) = (look.ready(), look.is_exact());
    }
}

/// `max(0, min(room, ceil((old − claimed + new) / messages_per_job)))`.
pub fn jobs_wanted(old: u64, new: u64, claimed: u64, messages_per_job: u64, room: u64) -> u64 {
    old.saturating_add(new).saturating_sub(claimed).div_ceil(messages_per_job.max(1)).min(room)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_is_rounded_up_to_a_whole_job() {
        assert_eq!(jobs_wanted(5, 0, 0, 2, 10), 3);
        assert_eq!(jobs_wanted(5, 0, 4, 2, 10), 1);
        assert_eq!(jobs_wanted(0, 1, 4, 2, 10), 0);
        assert_eq!(jobs_wanted(9, 9, 0, 1, 4), 4);
    }

    #[test]
    fn what_was_taken_frees_its_claim() {
        let mut claims = Claims::default();
        let look = |old, new, at_us| Look { old, new, limit: 100, at_us, ..Look::default() };
        claims.note_look(look(3, 0, 1), 1, 0);
        claims.note_created(look(3, 0, 1), 1, 3);
        claims.note_look(look(1, 2, 2), 1, 3);
        assert_eq!(claims.claimed, 1, "two of three were taken");
        assert_eq!(claims.tally.took_since(&Tally::default()), Some(true));
        assert_eq!(jobs_wanted(1, 2, claims.claimed, 1, 9), 2);
    }

    #[test]
    fn a_job_that_runs_too_long_without_fetching_claims_nothing() {
        let mut claims = Claims::default();
        let look = Look { old: 1, new: 0, limit: 100, at_us: 1, ..Look::default() };
        claims.note_look(look, 1, 0);
        claims.note_created(look, 1, 1);
        claims.note_look(Look { at_us: 2, ..look }, 1, 1);
        assert_eq!(claims.claimed, 1);
        claims.note_look(Look { at_us: 3, ..look }, 1, 0);
        assert_eq!(claims.claimed, 0, "no Job is starting any more, the message waits for a new one");
    }

    #[test]
    fn whether_anything_was_taken_is_told_only_by_whole_counts() {
        let look = |old, limit| Look { old, new: 0, limit, at_us: 1, ..Look::default() };
        let after = |first, second| {
            let mut claims = Claims::default();
            claims.note_look(first, 1, 0);
            claims.note_created(first, 1, 1);
            claims.note_look(second, 1, 1);
            (claims.tally.took_since(&Tally::default()), claims.claimed)
        };
        assert_eq!(after(look(3, 10), look(3, 10)), (Some(false), 1));
        assert_eq!(after(look(3, 10), look(2, 10)), (Some(true), 0));
        assert_eq!(after(look(10, 10), look(10, 10)), (None, 1), "more wait than were counted");
        assert_eq!(after(look(10, 10), look(12, 20)), (None, 1));
        assert_eq!(after(look(9, 10), look(5, 5)), (None, 1), "a look that counts less far sees no fall");
        assert_eq!(after(look(10, 10), look(9, 10)), (Some(true), 0), "from at least ten to nine");
        assert_eq!(after(look(9, 10), look(9, 9)), (Some(false), 1), "a bound that was reached is still a lower one");
    }

    #[test]
    fn a_look_remembers_whether_it_counted_all() {
        let look = |old, limit| Look { old, new: 0, limit, at_us: 1, ..Look::default() };
        let after = |second, third| {
            let mut claims = Claims::default();
            claims.note_look(look(3, 10), 1, 0);
            claims.note_created(look(3, 10), 1, 1);
            claims.note_look(second, 1, 1);
            let before = claims.tally;
            claims.note_look(third, 1, 1);
            claims.tally.took_since(&before)
        };
        assert_eq!(after(look(3, 10), look(3, 10)), Some(false));
        assert_eq!(after(look(10, 10), look(10, 20)), None, "there may have been twenty, of which ten were taken");
        assert_eq!(after(look(10, 20), look(10, 20)), Some(false));
    }

    #[test]
    fn a_look_counts_what_is_claimed_and_a_whole_creation_and_one_more() {
        let mut claims = Claims::default();
        assert_eq!(claims.look_limit(2, 3), 7);
        let look = Look { old: 9, new: 0, limit: 100, at_us: 1, ..Look::default() };
        claims.note_look(look, 2, 0);
        claims.note_created(look, 2, 3);
        assert_eq!(claims.look_limit(2, 3), 13);
    }

    proptest! {
        #[test]
        fn never_more_than_room_nor_than_messages(old in 0u64..1000, new in 0u64..1000, claimed in 0u64..2000, m in 1u64..50, room in 0u64..100) {
            let jobs = jobs_wanted(old, new, claimed, m, room);
            prop_assert!(jobs <= room);
            prop_assert!(jobs <= old + new);
            prop_assert!(jobs == room || claimed + jobs * m >= old + new, "room was left although a message has nobody");
            prop_assert!(jobs == 0 || claimed + (jobs - 1) * m < old + new, "one Job fewer would have done");
        }

        #[test]
        fn claims_never_exceed_what_starting_jobs_hold(looks in proptest::collection::vec((0u64..50, 0u64..50, 0u64..10), 1..40), m in 1u64..5) {
            let mut claims = Claims::default();
            for (at, (old, new, starting)) in looks.into_iter().enumerate() {
                let look = Look { old, new, limit: 60, at_us: at as i64, ..Look::default() };
                claims.note_look(look, m, starting);
                prop_assert!(claims.claimed <= m * starting);
                let jobs = jobs_wanted(old, new, claims.claimed, m, 10);
                if jobs > 0 {
                    claims.note_created(look, m, jobs);
                }
            }
        }
    }
}
