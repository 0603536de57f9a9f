//! `createsPerMinute`: a bucket of tokens, one for each Job.
//!
//! It begins empty in each term, so that no number of restarts creates more than the limit says; a reload neither empties
//! nor fills it. A token is taken with a grant. One that comes back unused is put back only if time has not put another in
//! its place meanwhile: so the Jobs of no stretch of time are ever more than it brought tokens, and one burst.

use std::time::Duration;

/// What a token weighs: nanoseconds of a minute. A limit of n a minute adds n of these each nanosecond, so nothing is rounded.
const TOKEN: u128 = 60_000_000_000;

/// The bucket of one pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bucket {
    per_minute: u32,
    fill: u128,
    /// What may yet be put back of what was taken; with the fill never more than the burst.
    lent: u128,
    /// Up to when time has been counted.
    at: Duration,
}

impl Bucket {
    /// The bucket at the begin of a term, or of a limit.
    pub(super) fn empty(per_minute: u32, now: Duration) -> Self {
        Self { per_minute, fill: 0, lent: 0, at: now }
    }

    /// Another limit; what is in it stays in it, as far as it holds so much.
    pub(super) fn change(&mut self, per_minute: u32, now: Duration) {
        self.refill(now);
        self.per_minute = per_minute;
        self.cap();
    }

    /// Counts the time up to now.
    pub(super) fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_nanos();
        self.at = self.at.max(now);
        self.fill = self.fill.saturating_add(passed.saturating_mul(self.per_minute.into()));
        self.cap();
    }

    fn cap(&mut self) {
        let burst = u128::from((self.per_minute / 10).max(1)) * TOKEN;
        self.fill = self.fill.min(burst);
        self.lent = self.lent.min(burst - self.fill);
    }

    /// Whether a Job may be created, as of the last [`refill`](Self::refill).
    pub(super) fn has_token(&self) -> bool {
        self.fill >= TOKEN
    }

    /// For a Job of a grant.
    pub(super) fn take(&mut self) {
        self.fill = self.fill.saturating_sub(TOKEN);
        self.lent += TOKEN;
    }

    /// So many Jobs of grants were not created.
    pub(super) fn put_back(&mut self, jobs: u64) {
        let back = TOKEN.saturating_mul(jobs.into()).min(self.lent);
        (self.lent, self.fill) = (self.lent - back, self.fill + back);
    }

    /// When there is a token; `None` where there never will be.
    pub(super) fn ready_at(&self) -> Option<Duration> {
        let missing = TOKEN.saturating_sub(self.fill);
        let wait = (self.per_minute > 0).then(|| missing.div_ceil(self.per_minute.into()))?;
        Some(self.at + Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Takes what there is.
    fn drained(bucket: &mut Bucket, now: Duration) -> usize {
        bucket.refill(now);
        let mut taken = 0;
        while bucket.has_token() {
            bucket.take();
            taken += 1;
        }
        taken
    }

    #[test]
    fn it_begins_empty_and_holds_a_tenth() {
        let mut bucket = Bucket::empty(60, Duration::ZERO);
        assert_eq!((drained(&mut bucket, Duration::ZERO), bucket.ready_at()), (0, Some(SECOND)));
        assert_eq!(drained(&mut bucket, SECOND), 1);
        assert_eq!(drained(&mut bucket, SECOND * 3600), 6, "a tenth of the limit, however long nobody asked");
        let mut slow = Bucket::empty(1, Duration::ZERO);
        assert_eq!(drained(&mut slow, SECOND * 59), 0);
        assert_eq!(drained(&mut slow, SECOND * 60), 1, "or one");
    }

    #[test]
    fn nothing_is_rounded_away() {
        let mut bucket = Bucket::empty(7, Duration::ZERO);
        let taken: usize = (0..60_000).map(|ms| drained(&mut bucket, Duration::from_millis(ms + 1))).sum();
        assert_eq!(taken, 7);
    }

    #[test]
    fn a_reload_neither_empties_nor_fills_it() {
        let mut bucket = Bucket::empty(60, Duration::ZERO);
        bucket.change(600, SECOND * 2);
        assert_eq!(bucket.fill, TOKEN * 2);
        bucket.change(10, SECOND * 2);
        assert_eq!(bucket.fill, TOKEN, "it holds one");
        bucket.change(0, SECOND * 2);
        assert_eq!((drained(&mut bucket, SECOND * 99), bucket.ready_at()), (1, None));
    }

    #[test]
    fn what_comes_back_is_put_back_unless_time_has_done_so() {
        let mut bucket = Bucket::empty(60, Duration::ZERO);
        assert_eq!(drained(&mut bucket, SECOND * 6), 6);
        bucket.put_back(4);
        assert_eq!(drained(&mut bucket, SECOND * 6), 4);
        bucket.refill(SECOND * 12);
        bucket.put_back(4);
        assert_eq!(bucket.fill, TOKEN * 6);
        assert_eq!(drained(&mut bucket, SECOND * 12), 6);
        bucket.put_back(0);
        assert_eq!(drained(&mut bucket, SECOND * 12), 0);
    }
}
