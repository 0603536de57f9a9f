//! The order in which services start and stop, by their dependencies and priorities.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::service_config::ServiceConfig;

/// How one service stands, as the others have to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its `priority`.
    pub priority: i32,
    /// Its `dependsOn`.
    pub depends_on: Vec<String>,
    /// It is to be up.
    pub wanted: bool,
    /// A Job of it was asked for, or it waits after one that ended.
    pub begun: bool,
    /// Every replica is up.
    pub running: bool,
    /// Jobs of it live, and none of them refuses to end.
    pub ending: bool,
}

/// All services by name.
pub type Peers = BTreeMap<String, PeerStatus>;

/// What is known of services once these are told of, each with whether it is to be up; any other is to be down.
pub fn announced<'a>(known: &Peers, services: impl Iterator<Item = (&'a ServiceConfig, bool)>) -> Peers {
    let mut next = known.clone();
    next.values_mut().for_each(|peer| peer.wanted = false);
    for (service, wanted) in services {
        let peer = next.entry(service.name.clone()).or_default();
        (peer.priority, peer.wanted) = (service.priority, wanted);
        peer.depends_on.clone_from(&service.depends_on);
    }
    next
}

/// Which other services one service waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct WaitsFor {
    /// Whom it waits for before it starts.
    pub start_after: Option<Box<str>>,
    /// Whom it waits for before it stops.
    pub stop_after: Option<Box<str>>,
}

/// What one service waits for. Unknown services are ignored, unless they are a dependency.
pub fn waits_for(name: &str, peers: &Peers) -> WaitsFor {
    let Some(own) = peers.get(name) else { return WaitsFor::default() };
    let own_rank = rank(own, peers, RANK_DEPTH_MAX);
    let ranked = |other: &PeerStatus| rank(other, peers, RANK_DEPTH_MAX);
    // A service that is itself blocked does not block lower priorities.
    let is_free = |other: &PeerStatus| missing(&other.depends_on, peers).is_none();
    let earlier = |other: &PeerStatus| other.wanted && !other.begun && ranked(other) < own_rank && is_free(other);
    let before = peers.iter().find(|(_, other)| earlier(other)).map(|(name, _)| name.as_str());
    let needs = |other: &PeerStatus| other.depends_on.iter().any(|needed| needed == name);
    let holds = |other: &PeerStatus| !other.wanted && other.ending && (needs(other) || ranked(other) > own_rank);
    let after = peers.iter().find(|(other, peer)| *other != name && holds(peer)).map(|(name, _)| name.as_str());
    WaitsFor {
        start_after: missing(&own.depends_on, peers).or(before).map(Into::into),
        stop_after: after.map(Into::into),
    }
}

/// How deep dependencies are followed for a rank; the circles that a file could have are refused at load.
const RANK_DEPTH_MAX: u32 = 100;

/// Its priority, or that of what it needs where that is later: so nobody waits in a circle.
fn rank(peer: &PeerStatus, peers: &Peers, depth: u32) -> i32 {
    let needed = peer.depends_on.iter().filter(|_| depth > 0).filter_map(|name| peers.get(name));
    needed.map(|needed| rank(needed, peers, depth - 1)).fold(peer.priority, i32::max)
}

/// The first of these services that is not RUNNING.
pub fn missing<'a>(needed: &'a [String], peers: &Peers) -> Option<&'a str> {
    needed.iter().find(|name| !peers.get(*name).is_some_and(|peer| peer.running)).map(String::as_str)
}

/// The services that these need, directly or not, with themselves; each after those that it needs.
pub fn with_needed(names: &[String], peers: &Peers) -> Vec<String> {
    closure(names, peers, |name, peers| peers.get(name).map(|peer| peer.depends_on.clone()).unwrap_or_default())
}

/// The services that need these, directly or not, with themselves; each after those that need it.
pub fn with_needing(names: &[String], peers: &Peers) -> Vec<String> {
    closure(names, peers, |name, peers| {
        let needs = |peer: &PeerStatus| peer.depends_on.iter().any(|needed| needed == name);
        peers.iter().filter(|(_, peer)| needs(peer)).map(|(name, _)| name.clone()).collect()
    })
}

/// Depth first, what comes before ahead of what it comes before; the circles that a file could have are refused at load.
fn closure(names: &[String], peers: &Peers, before: impl Fn(&str, &Peers) -> Vec<String>) -> Vec<String> {
    fn visit(
        name: &str,
        peers: &Peers,
        before: &impl Fn(&str, &Peers) -> Vec<String>,
        found: &mut Vec<String>,
        way: &mut Vec<String>,
    ) {
        if found.iter().chain(way.iter()).any(|known| known == name) {
            return;
        }
        way.push(name.to_owned());
        before(name, peers).iter().for_each(|other| visit(other, peers, before, found, way));
        way.pop();
        found.push(name.to_owned());
    }
    let (mut found, mut way) = (vec![], vec![]);
    names.iter().for_each(|name| visit(name, peers, &before, &mut found, &mut way));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(priority: i32, needs: &[&str]) -> PeerStatus {
        PeerStatus {
            priority,
            depends_on: needs.iter().map(|it| (*it).to_owned()).collect(),
            wanted: true,
            ..PeerStatus::default()
        }
    }

    fn peers(all: impl IntoIterator<Item = (&'static str, PeerStatus)>) -> Peers {
        all.into_iter().map(|(name, peer)| (name.to_owned(), peer)).collect()
    }

    fn starts(name: &str, peers: &Peers) -> Option<String> {
        waits_for(name, peers).start_after.map(String::from)
    }

    #[test]
    fn what_is_needed_runs_first_and_lower_priorities_begin_first() {
        let mut all = peers([("api", peer(1, &["redis"])), ("redis", peer(10, &[])), ("late", peer(20, &[]))]);
        assert_eq!(starts("api", &all), Some("redis".into()));
        assert_eq!(starts("redis", &all), None, "api waits itself and holds nobody up");
        assert_eq!(starts("late", &all), Some("redis".into()));
        all.get_mut("redis").expect("there").begun = true;
        assert_eq!(starts("late", &all), None, "it has begun, be it up or not");
        assert_eq!(starts("api", &all), Some("redis".into()));
        all.get_mut("redis").expect("there").running = true;
        assert_eq!(starts("api", &all), None);
    }

    #[test]
    fn what_needs_it_stops_first_unless_it_hangs_or_stays() {
        let mut all = peers([("api", peer(1, &["redis"])), ("redis", peer(10, &[])), ("late", peer(20, &[]))]);
        let stops = |all: &Peers| waits_for("redis", all).stop_after.map(String::from);
        assert_eq!(stops(&all), None, "the others are to stay");
        for name in ["api", "late"] {
            all.get_mut(name).expect("there").wanted = false;
        }
        assert_eq!(stops(&all), None, "nothing of them lives");
        all.get_mut("late").expect("there").ending = true;
        assert_eq!(stops(&all), Some("late".into()), "by its priority");
        all.get_mut("api").expect("there").ending = true;
        assert_eq!(stops(&all), Some("api".into()), "which needs it");
        assert_eq!(waits_for("api", &all).stop_after.map(String::from), Some("late".into()));
        assert_eq!(waits_for("late", &all).stop_after, None);
    }

    #[test]
    fn equals_do_not_wait_for_one_another_and_who_needs_something_later_is_as_late() {
        let mut all =
            peers([("a", peer(5, &[])), ("b", peer(5, &[])), ("api", peer(1, &["redis"])), ("redis", peer(10, &[]))]);
        all.values_mut().for_each(|it| (it.wanted, it.ending) = (false, true));
        let stops = |name: &str| waits_for(name, &all).stop_after.map(String::from);
        assert_eq!((stops("a"), stops("b")), (Some("api".into()), Some("api".into())), "api is as late as redis");
        assert_eq!((stops("api"), stops("redis")), (None, Some("api".into())));
        all.remove("api");
        all.remove("redis");
        assert_eq!((waits_for("a", &all).stop_after, waits_for("b", &all).stop_after), (None, None));
    }

    /// A file with a circle is refused, but what is asked of a Peers never hangs.
    #[test]
    fn a_circle_has_an_end() {
        let all = peers([("a", peer(1, &["b"])), ("b", peer(2, &["a"]))]);
        assert_eq!((starts("a", &all), starts("b", &all)), (Some("b".into()), Some("a".into())));
    }

    #[test]
    fn closures_are_in_order() {
        let all =
            peers([("a", peer(1, &["b", "c"])), ("b", peer(1, &["c"])), ("c", peer(1, &[])), ("d", peer(1, &[]))]);
        assert_eq!(with_needed(&["a".into()], &all), ["c", "b", "a"]);
        assert_eq!(with_needing(&["c".into()], &all), ["a", "b", "c"]);
        assert_eq!(with_needed(&["d".into(), "b".into()], &all), ["d", "c", "b"]);
    }
}
