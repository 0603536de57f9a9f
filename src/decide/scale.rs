//! How many Jobs to create: messages that nobody has been started for are counted, not Jobs.

/// What one look at the queue found, both counts bounded by [`Claims::look_limit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Look {
    /// Messages that could be fetched already at the last look that created.
    pub old: u64,
    /// Messages that could be fetched only since then.
    pub new: u64,
    /// The database's time of this look, in microseconds since 1970.
    pub at_us: i64,
}

/// Which messages Jobs have been started for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Claims {
    /// Messages that Jobs which are still starting are expected to take.
    pub claimed: u64,
    /// The database's time of the last look that created; `None` before the first one.
    pub since_us: Option<i64>,
    /// `old` at the last look: what has fallen since then was taken by somebody.
    old_before: u64,
    /// All that was seen to be taken since the start; what a run compares to learn whether it took something.
    pub taken_total: u64,
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
            self.claimed = starting_may_hold.min(look.old.saturating_add(look.new));
            self.restart_at(look);
            return;
        }
        let taken = self.old_before.saturating_sub(look.old);
        self.taken_total = self.taken_total.saturating_add(taken);
        self.claimed = self.claimed.saturating_sub(taken).min(starting_may_hold);
        self.old_before = look.old;
    }

    /// A look led to the creation of `jobs` Jobs.
    pub fn note_created(&mut self, look: Look, messages_per_job: u64, jobs: u64) {
        self.claimed = self.claimed.saturating_add(messages_per_job.saturating_mul(jobs));
        self.restart_at(look);
    }

    fn restart_at(&mut self, look: Look) {
        self.since_us = Some(look.at_us);
        self.old_before = look.old.saturating_add(look.new);
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
        let look = |old, new, at_us| Look { old, new, at_us };
        claims.note_look(look(3, 0, 1), 1, 0);
        claims.note_created(look(3, 0, 1), 1, 3);
        claims.note_look(look(1, 2, 2), 1, 3);
        assert_eq!(claims.claimed, 1, "two of three were taken");
        assert_eq!(claims.taken_total, 2);
        assert_eq!(jobs_wanted(1, 2, claims.claimed, 1, 9), 2);
    }

    #[test]
    fn a_job_that_runs_too_long_without_fetching_claims_nothing() {
        let mut claims = Claims::default();
        let look = Look { old: 1, new: 0, at_us: 1 };
        claims.note_look(look, 1, 0);
        claims.note_created(look, 1, 1);
        claims.note_look(Look { at_us: 2, ..look }, 1, 1);
        assert_eq!(claims.claimed, 1);
        claims.note_look(Look { at_us: 3, ..look }, 1, 0);
        assert_eq!(claims.claimed, 0, "no Job is starting any more, the message waits for a new one");
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
                let look = Look { old, new, at_us: at as i64 };
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
