//! What the arbiter does when a place was refused that it had given: somebody has it on record who has not told of it.
//!
//! A wish may be written when nobody waits for it any more: by a process that led before, or after its actor has looked for
//! it in vain. Nobody tells of it then, and its places would be given and refused for ever. So what is on record is read
//! again, and counts; and whose it is loads its runs anew.

use std::{collections::BTreeMap, sync::Arc};

use crate::decide::{
    place::Places,
    share::{arbiter::Arbiter, member::Member},
};

impl Arbiter {
    /// What is on record is to be read, and told to [`Self::note_recorded`].
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// It is read from here on: who is refused later is not answered by that.
    pub fn begin_reading(&mut self) {
        self.in_doubt = false;
    }

    /// What Postgres has, by JobConfig. What nobody has told of counts as held, until it is told or is on record no more;
    /// some of it has just ended maybe, so while there is any the doubt stays.
    pub fn note_recorded(&mut self, mut recorded: BTreeMap<Arc<str>, Vec<Places>>) {
        let mut names: Vec<Arc<str>> = recorded.keys().cloned().collect();
        names.extend(self.members.iter().filter(|(_, member)| !member.untold.is_empty()).map(|(name, _)| name.clone()));
        names.sort_unstable();
        names.dedup();
        for name in names {
            let mut member = self.members.remove(&name).unwrap_or_default();
            self.find_untold(&name, &mut member, |_| false);
            let recorded = recorded.remove(&name).unwrap_or_default();
            let untold = recorded.into_iter().filter(|places| !member.known().any(|known| known == places));
            member.untold = untold.collect();
            for places in &member.untold {
                self.index.add(&name, &member, places);
            }
            if !member.untold.is_empty() {
                self.in_doubt = true;
                if !member.is_untold() && !member.policy.pools.is_empty() {
                    self.to_load.insert(name.clone());
                }
            }
            if !member.is_nobody() {
                self.members.insert(name, member);
            }
        }
    }

    /// Of what a member had not told, only this is so any more.
    pub(super) fn find_untold(&mut self, name: &str, member: &mut Member, is_so: impl Fn(&Places) -> bool) {
        let (untold, over): (_, Vec<Places>) = std::mem::take(&mut member.untold).into_iter().partition(is_so);
        member.untold = untold;
        for places in &over {
            self.index.remove(name, member, places);
        }
    }
}
