//! Measured values, used again in a fixed order that spreads over all of them evenly, however many are used: quantiles
//! of a Weyl sequence. So the same question has the same answer, and a few uses are as typical as many.

use std::time::Duration;

/// Values that are kept of one measurement.
pub const SAMPLES_MAX: usize = 1_000;

/// 2⁶⁴ divided by the golden ratio: no sequence spreads more evenly.
pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// 2⁶⁴ times what √2 has behind the point: a second sequence that keeps no step with the first.
pub const ROOT_TWO: u64 = 0x6a09_e667_f3bc_c908;

/// The same of √3.
pub const ROOT_THREE: u64 = 0xbb67_ae85_84ca_a73b;

/// Numbers from 0 up to 1, in thousandths and finer, in a fixed order.
#[derive(Clone, Copy, Debug)]
pub struct Sequence {
    at: u64,
    step: u64,
}

impl Sequence {
    /// One that goes on by so much each time.
    pub fn new(step: u64) -> Self {
        Self { at: 0, step }
    }

    /// The next place among so many.
    pub fn place(&mut self, among: usize) -> usize {
        self.at = self.at.wrapping_add(self.step);
        let place = (u128::from(self.at) * among as u128) >> 64;
        usize::try_from(place).unwrap_or_default()
    }

    /// The next one of some values.
    pub fn pick<'a, T>(&mut self, values: &'a [T]) -> Option<&'a T> {
        values.get(self.place(values.len()))
    }
}

/// At most [`SAMPLES_MAX`] values, sorted, as typical as all of them.
pub fn thinned<T: Ord + Copy>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    if values.len() <= SAMPLES_MAX {
        return values;
    }
    let at = |number: usize| values[(2 * number + 1) * values.len() / (2 * SAMPLES_MAX)];
    (0..SAMPLES_MAX).map(at).collect()
}

/// The value that so many thousandths of sorted values do not exceed; zero where there is none.
pub fn quantile(sorted: &[Duration], thousandths: usize) -> Duration {
    let rank = (sorted.len() * thousandths).div_ceil(1_000);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(values: impl IntoIterator<Item = u64>) -> Vec<Duration> {
        values.into_iter().map(Duration::from_secs).collect()
    }

    #[test]
    fn every_value_is_used_about_as_often_as_any_other_in_the_same_order_each_time() {
        let mut used = [0; 10];
        let (mut one, mut other) = (Sequence::new(GOLDEN), Sequence::new(GOLDEN));
        for _ in 0..1_000 {
            let place = one.place(10);
            assert_eq!(place, other.place(10));
            used[place] += 1;
        }
        assert!(used.iter().all(|times| (98..=102).contains(times)), "{used:?}");
        assert_eq!(Sequence::new(GOLDEN).pick::<u8>(&[]), None);
    }

    #[test]
    fn what_is_kept_of_many_has_the_same_quantiles() {
        let many = thinned(seconds((0..100_000).rev()));
        assert_eq!(many.len(), SAMPLES_MAX);
        for (thousandths, about) in [(500, 50_000), (950, 95_000), (990, 99_000)] {
            let found = quantile(&many, thousandths).as_secs();
            assert!(found.abs_diff(about) <= 100, "{thousandths}: {found}");
        }
    }

    #[test]
    fn quantiles_are_values_that_were_there() {
        let four = seconds([1, 2, 3, 4]);
        let found = [500, 950, 990, 1_000].map(|thousandths| quantile(&four, thousandths).as_secs());
        assert_eq!(found, [2, 4, 4, 4]);
        assert_eq!(quantile(&[], 500), Duration::ZERO);
    }
}
