//! What is shared in a history, by whom, and the made-up broker with the real arbiter in it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use job_chief::decide::{
    place::{LIMITS, Places},
    share::{
        arbiter::Arbiter,
        need::Need,
        policy::{MemberPolicy, PoolPolicy, Pools},
    },
};

use crate::dice::Dice;

/// The pools that a file may have, besides `limits`.
const POOLS: [&str; 2] = ["gpu", "licence"];

/// What a jobs.json says of sharing.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) pools: Pools,
    /// By the number of the member; those that are not in the file are missing.
    pub(crate) entries: BTreeMap<usize, MemberPolicy>,
}

/// The broker of one process.
#[derive(Default)]
pub(crate) struct Broker {
    /// Absent until it knows what is on record.
    pub(crate) arbiter: Option<Arbiter>,
    /// What actors have told, on its way: with whom it is of, and whether it is the last.
    pub(crate) told: VecDeque<(usize, Need, bool)>,
    /// What is shared, as the broker knows it.
    pub(crate) file: File,
    /// The file has changed since.
    pub(crate) is_behind: bool,
    /// It has begun while its actors were at work.
    pub(crate) is_anew: bool,
    /// What a reading of the record has found that has not arrived yet.
    pub(crate) reading: Option<BTreeMap<Arc<str>, Vec<Places>>>,
}

fn any_pool(dice: &mut Dice) -> PoolPolicy {
    let creates_per_minute = dice.once_in(5).then(|| 20 + u32::try_from(dice.roll(100)).expect("small"));
    let jobs =
        (creates_per_minute.is_none() || !dice.once_in(3)).then(|| 1 + u32::try_from(dice.roll(5)).expect("small"));
    PoolPolicy { jobs, creates_per_minute }
}

impl File {
    pub(crate) fn any(dice: &mut Dice, members: usize) -> Self {
        let mut file = Self::default();
        for pool in POOLS {
            file.pools.insert(pool.into(), any_pool(dice));
        }
        if dice.once_in(2) {
            file.pools.insert(LIMITS.into(), any_pool(dice));
        }
        (0..members).for_each(|at| file.put(at, dice));
        file
    }

    /// Any entry for this member.
    fn put(&mut self, at: usize, dice: &mut Dice) {
        let mut pools: Vec<Arc<str>> = POOLS.iter().filter(|_| dice.once_in(2)).map(|pool| Arc::from(*pool)).collect();
        if self.pools.contains_key(LIMITS) {
            pools.push(LIMITS.into());
        }
        pools.sort();
        let entry = MemberPolicy {
            pools: pools.into(),
            weight: 1 + u32::try_from(dice.roll(3)).expect("small"),
            priority: i32::try_from(dice.roll(2)).expect("small"),
            target_age: dice.once_in(2).then(|| Duration::from_secs(5 + dice.roll(100))),
        };
        self.entries.insert(at, entry);
    }

    /// The pools of a member; none where it has left the file.
    pub(crate) fn pools_of(&self, at: usize) -> Arc<[Arc<str>]> {
        self.entries.get(&at).map_or_else(|| [].into(), |entry| entry.pools.clone())
    }

    /// Somebody edits it. Returns the members that have to know.
    pub(crate) fn edit(&mut self, dice: &mut Dice, members: usize) -> Vec<usize> {
        let at = usize::try_from(dice.roll(members as u64)).expect("small");
        match dice.roll(5) {
            0 | 1 => {
                let pool =
                    self.pools.keys().nth(dice.roll(self.pools.len() as u64) as usize).cloned().expect("in range");
                self.pools.insert(pool, any_pool(dice));
                vec![]
            }
            2 => {
                self.put(at, dice);
                vec![at]
            }
            3 => {
                if self.entries.remove(&at).is_none() {
                    self.put(at, dice);
                }
                vec![at]
            }
            _ => self.toggle_limits(dice),
        }
    }

    fn toggle_limits(&mut self, dice: &mut Dice) -> Vec<usize> {
        let has = self.pools.remove(LIMITS).is_some();
        if !has {
            self.pools.insert(LIMITS.into(), any_pool(dice));
        }
        for entry in self.entries.values_mut() {
            let others = entry.pools.iter().filter(|pool| &***pool != LIMITS).cloned();
            let mut pools: Vec<Arc<str>> = others.chain((!has).then(|| LIMITS.into())).collect();
            pools.sort();
            entry.pools = pools.into();
        }
        self.entries.keys().copied().collect()
    }

    /// Everybody is in it again.
    pub(crate) fn complete(&mut self, dice: &mut Dice, members: usize) {
        for at in 0..members {
            if !self.entries.contains_key(&at) {
                self.put(at, dice);
            }
        }
    }
}
