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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::{
        place::Place,
        share::{
            need::Need,
            policy::{MemberPolicy, PoolPolicy},
        },
    };

    const NOW: Duration = Duration::from_secs(1_000);

    fn place(number: u32) -> Places {
        [Place { pool: "p".into(), number }].into()
    }

    /// Two members of a pool with two places; a was given the first, and it was refused.
    fn in_doubt() -> Arbiter {
        let mut arbiter = Arbiter::new(BTreeMap::new(), NOW);
        let policy = MemberPolicy { pools: [Arc::from("p")].into(), weight: 1, ..MemberPolicy::default() };
        let pools = [(Arc::from("p"), PoolPolicy { jobs: Some(2), creates_per_minute: None })].into();
        arbiter.configure(pools, ["a", "b"].map(|name| (Arc::from(name), policy.clone())).into(), NOW);
        arbiter.note_need(&"b".into(), Need::default(), NOW);
        arbiter.note_need(&"a".into(), Need { wanted: 1, ..Need::default() }, NOW);
        assert_eq!(arbiter.grants(NOW)[0].1.places, [place(0)]);
        assert!(!arbiter.is_in_doubt());
        arbiter.note_need(&"a".into(), Need { seen: 1, refused: 1, ..Need::default() }, NOW);
        assert!(arbiter.is_in_doubt());
        arbiter.begin_reading();
        arbiter
    }

    #[test]
    fn what_is_on_record_and_was_not_told_is_given_to_nobody_and_its_owner_loads_anew() {
        let mut arbiter = in_doubt();
        arbiter.note_recorded([(Arc::from("b"), vec![place(0)])].into());
        let asked = arbiter.grants(NOW);
        assert_eq!((asked.len(), &*asked[0].0, asked[0].1.places.len()), (1, "b", 0));
        arbiter.note_need(&"a".into(), Need { wanted: 2, seen: 1, refused: 1, ..Need::default() }, NOW);
        assert_eq!(arbiter.grants(NOW)[0].1.places, [place(1)]);
        assert!(arbiter.is_in_doubt(), "b has not told it yet");
        let seen = asked[0].1.number;
        arbiter.note_need(&"b".into(), Need { held: vec![place(0)], seen, ..Need::default() }, NOW);
        assert_eq!(arbiter.usage()[0].held, 2, "each is counted once");
        arbiter.begin_reading();
        arbiter.note_recorded([(Arc::from("b"), vec![place(0)]), (Arc::from("a"), vec![place(1)])].into());
        assert!(!arbiter.is_in_doubt());
        assert!(arbiter.grants(NOW).is_empty());
    }

    #[test]
    fn what_has_ended_meanwhile_and_what_has_left_the_file_is_free_with_the_next_reading() {
        let mut arbiter = in_doubt();
        arbiter.note_recorded([(Arc::from("b"), vec![place(1)]), (Arc::from("gone"), vec![place(0)])].into());
        assert_eq!(arbiter.usage()[0].held, 2);
        arbiter.note_need(&"a".into(), Need { wanted: 1, seen: 1, refused: 1, ..Need::default() }, NOW);
        assert!(arbiter.grants(NOW).iter().all(|(_, grant)| grant.places.is_empty()));
        assert!(arbiter.is_in_doubt(), "while anything is not told");
        arbiter.begin_reading();
        arbiter.note_recorded(BTreeMap::new());
        assert!(!arbiter.is_in_doubt());
        assert_eq!(arbiter.usage()[0].held, 0);
        assert_eq!(arbiter.grants(NOW)[0].1.places, [place(0)]);
        arbiter.note_need(&"a".into(), Need { seen: 3, refused: 2, ..Need::default() }, NOW);
        assert!(arbiter.is_in_doubt(), "another one was refused");
    }
}
