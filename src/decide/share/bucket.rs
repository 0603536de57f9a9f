//! `createsPerMinute`: a bucket of tokens, one for each Job.
//!
//! It begins empty in each term, so that no number of restarts creates more than the limit says; a reload neither empties
//! nor fills it. A token is taken with a grant. One that comes back unused is put back only if time has not put another in
//! its place meanwhile: so the Jobs of no stretch of time are ever more than it brought tokens, and one burst, each counted
//! when it was granted.

use std::{collections::VecDeque, sync::Arc, time::Duration};

/// What a token weighs: nanoseconds of a minute. A limit of n a minute adds n of these each nanosecond, so nothing is rounded.
const TOKEN: u128 = 60_000_000_000;

/// The bucket of one pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bucket {
    per_minute: u32,
    fill: u128,
    /// What may yet be put back of what was taken, by whom, the oldest first; with the fill never more than the burst.
    lent: VecDeque<(Arc<str>, u128)>,
    /// All of that.
    lent_weight: u128,
    /// Up to when time has been counted.
    at: Duration,
}

impl Bucket {
    /// The bucket at the begin of a term, or of a limit.
    pub(super) fn empty(per_minute: u32, now: Duration) -> Self {
        Self { per_minute, fill: 0, lent: VecDeque::new(), lent_weight: 0, at: now }
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

    /// What time has brought takes the place of what was lent longest ago.
    fn cap(&mut self) {
        let burst = u128::from((self.per_minute / 10).max(1)) * TOKEN;
        self.fill = self.fill.min(burst);
        let mut excess = self.lent_weight.saturating_sub(burst - self.fill);
        self.lent_weight -= excess;
        while let Some((_, weight)) = self.lent.front_mut().filter(|_| excess > 0) {
            let replaced = excess.min(*weight);
            (*weight, excess) = (*weight - replaced, excess - replaced);
            if *weight == 0 {
                self.lent.pop_front();
            }
        }
    }

    /// Whether a Job may be created, as of the last [`refill`](Self::refill).
    pub(super) fn has_token(&self) -> bool {
        self.fill >= TOKEN
    }

    /// For a Job that this member is granted.
    pub(super) fn take(&mut self, name: &Arc<str>) {
        self.fill = self.fill.saturating_sub(TOKEN);
        self.lent_weight += TOKEN;
        match self.lent.back_mut() {
            Some((last, weight)) if last == name => *weight += TOKEN,
            _ => self.lent.push_back((name.clone(), TOKEN)),
        }
    }

    /// So many Jobs of its grants were not created: the newest, for it has used the oldest, without those of a grant that
    /// it has not seen yet.
    pub(super) fn put_back(&mut self, name: &str, jobs: u64, unseen: u64) {
        let weigh = |jobs: u64| TOKEN.saturating_mul(jobs.into());
        let (mut left, mut unseen) = (weigh(jobs), weigh(unseen));
        for (_, weight) in self.lent.iter_mut().rev().filter(|(whose, _)| **whose == *name) {
            let skipped = unseen.min(*weight);
            let back = left.min(*weight - skipped);
            (unseen, left, *weight) = (unseen - skipped, left - back, *weight - back);
            (self.lent_weight, self.fill) = (self.lent_weight - back, self.fill + back);
        }
        self.lent.retain(|(_, weight)| *weight > 0);
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
            bucket.take(&"a".into());
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
        let mut bucket = Bucket::empty(70, Duration::ZERO);
        let taken: usize = (0..60_000).map(|ms| drained(&mut bucket, Duration::from_millis(ms + 1))).sum();
        assert_eq!(taken, 70);
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
        bucket.put_back("a", 4, 0);
        assert_eq!(drained(&mut bucket, SECOND * 6), 4);
        bucket.refill(SECOND * 12);
        bucket.put_back("a", 4, 0);
        assert_eq!(bucket.fill, TOKEN * 6);
        assert_eq!(drained(&mut bucket, SECOND * 12), 6);
        bucket.put_back("a", 0, 0);
        assert_eq!(drained(&mut bucket, SECOND * 12), 0);
    }

    #[test]
    fn nobody_puts_back_what_another_has_taken() {
        let (mut bucket, a, b) = (Bucket::empty(3, Duration::ZERO), Arc::from("a"), Arc::from("b"));
        bucket.refill(SECOND * 20);
        bucket.take(&a);
        bucket.refill(SECOND * 40);
        bucket.take(&b);
        bucket.put_back("a", 1, 0);
        assert!(!bucket.has_token(), "time has put another in its place, which b has now");
        bucket.put_back("b", 1, 1);
        assert!(!bucket.has_token(), "what it has not seen, it has not returned");
        bucket.put_back("b", 1, 0);
        assert!(bucket.has_token() && bucket.lent.is_empty() && bucket.lent_weight == 0);
    }
}
