//! Whose turn it is to start and to stop, among services that depend on one another.

use std::collections::BTreeMap;

use serde::Serialize;

/// How one service stands, as the others have to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
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
pub type Stages = BTreeMap<String, Stage>;

/// Whether it is a service's turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Turn {
    /// Whom it waits for before it starts.
    pub start_after: Option<Box<str>>,
    /// Whom it waits for before it stops.
    pub stop_after: Option<Box<str>>,
}

/// The turn of one service. A service that is not there yet is not waited for, but where it is needed.
pub fn turn(name: &str, stages: &Stages) -> Turn {
    let Some(own) = stages.get(name) else { return Turn::default() };
    let own_rank = rank(own, stages, RANK_DEPTH_MAX);
    let ranked = |other: &Stage| rank(other, stages, RANK_DEPTH_MAX);
    // Who waits for others itself holds nobody up.
    let is_free = |other: &Stage| missing(&other.depends_on, stages).is_none();
    let earlier = |other: &Stage| other.wanted && !other.begun && ranked(other) < own_rank && is_free(other);
    let before = stages.iter().find(|(_, other)| earlier(other)).map(|(name, _)| name.as_str());
    let needs = |other: &Stage| other.depends_on.iter().any(|needed| needed == name);
    let holds = |other: &Stage| !other.wanted && other.ending && (needs(other) || ranked(other) > own_rank);
    let after = stages.iter().find(|(other, stage)| *other != name && holds(stage)).map(|(name, _)| name.as_str());
    Turn { start_after: missing(&own.depends_on, stages).or(before).map(Into::into), stop_after: after.map(Into::into) }
}

/// How deep dependencies are followed for a rank; the circles that a file could have are refused at load.
const RANK_DEPTH_MAX: u32 = 100;

/// Its priority, or that of what it needs where that is later: so nobody waits in a circle.
fn rank(stage: &Stage, stages: &Stages, depth: u32) -> i32 {
    let needed = stage.depends_on.iter().filter(|_| depth > 0).filter_map(|name| stages.get(name));
    needed.map(|needed| rank(needed, stages, depth - 1)).fold(stage.priority, i32::max)
}

/// The first of these services that is not RUNNING.
pub fn missing<'a>(needed: &'a [String], stages: &Stages) -> Option<&'a str> {
    needed.iter().find(|name| !stages.get(*name).is_some_and(|stage| stage.running)).map(String::as_str)
}

/// The services that these need, directly or not, with themselves; each after those that it needs.
pub fn with_needed(names: &[String], stages: &Stages) -> Vec<String> {
    closure(names, stages, |name, stages| stages.get(name).map(|stage| stage.depends_on.clone()).unwrap_or_default())
}

/// The services that need these, directly or not, with themselves; each after those that need it.
pub fn with_needing(names: &[String], stages: &Stages) -> Vec<String> {
    closure(names, stages, |name, stages| {
        let needs = |stage: &Stage| stage.depends_on.iter().any(|needed| needed == name);
        stages.iter().filter(|(_, stage)| needs(stage)).map(|(name, _)| name.clone()).collect()
    })
}

/// Depth first, what comes before ahead of what it comes before; the circles that a file could have are refused at load.
fn closure(names: &[String], stages: &Stages, before: impl Fn(&str, &Stages) -> Vec<String>) -> Vec<String> {
    fn visit(
        name: &str,
        stages: &Stages,
        before: &impl Fn(&str, &Stages) -> Vec<String>,
        found: &mut Vec<String>,
        way: &mut Vec<String>,
    ) {
        if found.iter().chain(way.iter()).any(|known| known == name) {
            return;
        }
        way.push(name.to_owned());
        before(name, stages).iter().for_each(|other| visit(other, stages, before, found, way));
        way.pop();
        found.push(name.to_owned());
    }
    let (mut found, mut way) = (vec![], vec![]);
    names.iter().for_each(|name| visit(name, stages, &before, &mut found, &mut way));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(priority: i32, needs: &[&str]) -> Stage {
        Stage {
            priority,
            depends_on: needs.iter().map(|it| (*it).to_owned()).collect(),
            wanted: true,
            ..Stage::default()
        }
    }

    fn stages(all: impl IntoIterator<Item = (&'static str, Stage)>) -> Stages {
        all.into_iter().map(|(name, stage)| (name.to_owned(), stage)).collect()
    }

    fn starts(name: &str, stages: &Stages) -> Option<String> {
        turn(name, stages).start_after.map(String::from)
    }

    #[test]
    fn what_is_needed_runs_first_and_lower_priorities_begin_first() {
        let mut all = stages([("api", stage(1, &["redis"])), ("redis", stage(10, &[])), ("late", stage(20, &[]))]);
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
        let mut all = stages([("api", stage(1, &["redis"])), ("redis", stage(10, &[])), ("late", stage(20, &[]))]);
        let stops = |all: &Stages| turn("redis", all).stop_after.map(String::from);
        assert_eq!(stops(&all), None, "the others are to stay");
        for name in ["api", "late"] {
            all.get_mut(name).expect("there").wanted = false;
        }
        assert_eq!(stops(&all), None, "nothing of them lives");
        all.get_mut("late").expect("there").ending = true;
        assert_eq!(stops(&all), Some("late".into()), "by its priority");
        all.get_mut("api").expect("there").ending = true;
        assert_eq!(stops(&all), Some("api".into()), "which needs it");
        assert_eq!(turn("api", &all).stop_after.map(String::from), Some("late".into()));
        assert_eq!(turn("late", &all).stop_after, None);
    }

    #[test]
    fn equals_do_not_wait_for_one_another_and_who_needs_something_later_is_as_late() {
        let mut all = stages([
            ("a", stage(5, &[])),
            ("b", stage(5, &[])),
            ("api", stage(1, &["redis"])),
            ("redis", stage(10, &[])),
        ]);
        all.values_mut().for_each(|it| (it.wanted, it.ending) = (false, true));
        let stops = |name: &str| turn(name, &all).stop_after.map(String::from);
        assert_eq!((stops("a"), stops("b")), (Some("api".into()), Some("api".into())), "api is as late as redis");
        assert_eq!((stops("api"), stops("redis")), (None, Some("api".into())));
        all.remove("api");
        all.remove("redis");
        assert_eq!((turn("a", &all).stop_after, turn("b", &all).stop_after), (None, None));
    }

    #[test]
    fn closures_are_in_order() {
        let all =
            stages([("a", stage(1, &["b", "c"])), ("b", stage(1, &["c"])), ("c", stage(1, &[])), ("d", stage(1, &[]))]);
        assert_eq!(with_needed(&["a".into()], &all), ["c", "b", "a"]);
        assert_eq!(with_needing(&["c".into()], &all), ["a", "b", "c"]);
        assert_eq!(with_needed(&["d".into(), "b".into()], &all), ["d", "c", "b"]);
    }
}
