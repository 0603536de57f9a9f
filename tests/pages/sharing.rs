//! The worked examples of docs/sharing.md, played against the arbiter.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use job_chief::decide::{
    place::Places,
    share::{
        arbiter::Arbiter,
        need::Need,
        policy::{MemberPolicy, PoolPolicy, Pools},
    },
};

use crate::page;

const NOW: Duration = Duration::from_secs(1_000_000);

/// A JobConfig of a row.
#[derive(Clone, Default)]
struct Member {
    name: Arc<str>,
    policy: MemberPolicy,
    wants: u64,
    holds: usize,
    oldest_at: Option<Duration>,
}

impl Member {
    /// `a in gpu+licence wants 3 weight 2`
    fn of(text: &str) -> Self {
        let mut words = text.split(' ');
        let mut member = Self { name: words.next().unwrap().into(), ..Self::default() };
        member.policy.weight = 1;
        while let Some(key) = words.next() {
            let value = words.next().unwrap_or_else(|| panic!("{text}: {key} has no value"));
            let time = || humantime::parse_duration(value).unwrap();
            match key {
                "in" => member.policy.pools = value.split('+').map(Arc::from).collect(),
                "wants" => member.wants = value.parse().unwrap(),
                "holds" => member.holds = value.parse().unwrap(),
                "weight" => member.policy.weight = value.parse().unwrap(),
                "priority" => member.policy.priority = value.parse().unwrap(),
                "targetAge" => member.policy.target_age = Some(time()),
                "oldest" => member.oldest_at = Some(NOW - time()),
                _ => panic!("{text}: what is {key}?"),
            }
        }
        member
    }

    fn need(&self, wanted: u64, seen: u64) -> Need {
        let held = vec![Places::default(); self.holds];
        Need { held, wanted, since: Some(NOW), oldest_at: self.oldest_at, seen, ..Need::default() }
    }
}

/// The cell without its quotes.
fn cell(text: &str) -> &str {
    text.trim_matches('`')
}

fn members(text: &str) -> Vec<Member> {
    cell(text).split("; ").map(Member::of).collect()
}

fn arbiter(pools: Pools, members: &[Member], now: Duration) -> Arbiter {
    let mut arbiter = Arbiter::new(BTreeMap::new(), now);
    let policies = members.iter().map(|it| (it.name.clone(), it.policy.clone()));
    arbiter.configure(pools, policies.collect(), now);
    arbiter
}

fn pool(name: &str, jobs: Option<u32>, creates_per_minute: Option<u32>) -> (Arc<str>, PoolPolicy) {
    (name.into(), PoolPolicy { jobs, creates_per_minute })
}

#[test]
fn places_that_become_free_at_once_go_as_the_page_says() {
    for row in page::table("docs/sharing.md", "## Pools") {
        let pools = cell(&row[0]).split("; ").map(|it| {
            let (name, places) = it.split_once(": ").unwrap();
            pool(name, Some(places.parse().unwrap()), None)
        });
        let members = members(&row[1]);
        let mut arbiter = arbiter(pools.collect(), &members, NOW);
        members.iter().for_each(|member| arbiter.note_need(&member.name, member.need(member.wants, 0), NOW));
        let given = arbiter.grants(NOW).into_iter().map(|(name, grant)| format!("{name} {}", grant.places.len()));
        let given = given.collect::<Vec<_>>().join(", ");
        assert_eq!(if given.is_empty() { "none" } else { &given }, cell(&row[2]), "{row:?}");
    }
}

#[test]
fn whose_turn_it_is_is_as_the_page_says() {
    for row in page::table("docs/sharing.md", "## Who goes first") {
        let mut members = members(&row[0]);
        members.iter_mut().for_each(|member| member.policy.pools = [Arc::from("one")].into());
        let mut arbiter = arbiter([pool("one", Some(1), None)].into(), &members, NOW);
        members.iter().for_each(|member| arbiter.note_need(&member.name, member.need(100, 0), NOW));
        for turn in cell(&row[1]).split(' ') {
            let grants = arbiter.grants(NOW);
            let [(name, grant)] = &grants[..] else { panic!("{row:?}: {grants:?}") };
            assert_eq!(&**name, turn, "{row:?}");
            // Its Job runs, and is over.
            let member = members.iter().find(|member| member.name == *name).unwrap();
            let running = Need { held: grant.places.clone(), ..member.need(100, grant.number) };
            arbiter.note_need(name, running, NOW);
            assert!(arbiter.grants(NOW).is_empty(), "{row:?}: the place is held");
            arbiter.note_need(name, member.need(100, grant.number), NOW);
        }
    }
}

#[test]
fn jobs_a_minute_are_as_many_as_the_page_says() {
    for row in page::table("docs/sharing.md", "## Jobs a minute") {
        let rate = row[0].parse().unwrap();
        let member = Member::of("a in limits");
        let mut arbiter = arbiter([pool("limits", None, Some(rate))].into(), std::slice::from_ref(&member), NOW);
        let later = NOW + humantime::parse_duration(cell(&row[1])).unwrap();
        arbiter.note_need(&member.name, member.need(1000, 0), later);
        let given: usize = arbiter.grants(later).iter().map(|(_, grant)| grant.places.len()).sum();
        assert_eq!(given.to_string(), row[2], "{row:?}");
    }
}
