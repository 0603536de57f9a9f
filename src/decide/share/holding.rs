//! Who holds places of a pool, and which.

use std::{collections::BTreeMap, sync::Arc};

/// The places of one pool that are held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Holding {
    /// Jobs by who has them.
    pub(super) holders: BTreeMap<Arc<str>, u64>,
    /// All of them.
    pub(super) jobs: u64,
    /// How many say that they hold a number: one, unless two processes disagree.
    numbers: BTreeMap<u32, u32>,
    /// The lowest number that nobody holds.
    lowest: u32,
}

impl Holding {
    /// The lowest number that nobody holds.
    pub(super) fn lowest(&self) -> u32 {
        self.lowest
    }

    /// One more Job; without a number where it takes part in the pool without a place.
    pub(super) fn add(&mut self, name: &Arc<str>, number: Option<u32>) {
        match self.holders.get_mut(name) {
            Some(jobs) => *jobs += 1,
            None => drop(self.holders.insert(name.clone(), 1)),
        }
        self.jobs += 1;
        if let Some(number) = number {
            *self.numbers.entry(number).or_default() += 1;
            while self.numbers.contains_key(&self.lowest) {
                self.lowest = self.lowest.saturating_add(1);
            }
        }
    }

    /// One that was added is no more.
    pub(super) fn remove(&mut self, name: &str, number: Option<u32>) {
        let jobs = self.holders.get_mut(name).expect("only what was added is removed");
        *jobs -= 1;
        if *jobs == 0 {
            self.holders.remove(name);
        }
        self.jobs -= 1;
        let Some(number) = number else { return };
        let times = self.numbers.get_mut(&number).expect("only what was added is removed");
        *times -= 1;
        if *times == 0 {
            self.numbers.remove(&number);
            self.lowest = self.lowest.min(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_number_is_known() {
        let (mut holding, a) = (Holding::default(), Arc::from("a"));
        for number in [1, 0, 2, 7, 2] {
            holding.add(&a, Some(number));
        }
        holding.add(&a, None);
        assert_eq!((holding.lowest(), holding.jobs, holding.holders[&a]), (3, 6, 6));
        holding.remove("a", Some(2));
        assert_eq!(holding.lowest(), 3, "another holds it, too");
        holding.remove("a", Some(1));
        assert_eq!(holding.lowest(), 1);
        for number in [Some(0), Some(2), Some(7), None] {
            holding.remove("a", number);
        }
        assert_eq!(holding, Holding::default());
    }
}
