//! The sequence of faults: of the seed alone, and every kind in it.

use std::time::Duration;

use crate::schedule::{Fault, KINDS, SCHEMAS, Schedule, Step, next_schema};

#[test]
fn one_seed_is_one_sequence_and_another_is_another() {
    let steps = |seed| Schedule::of(seed).take(500).collect::<Vec<_>>();
    assert_eq!(steps(7), steps(7));
    assert_ne!(steps(7), steps(8));
}

#[test]
fn every_kind_comes_about_as_often_as_it_should() {
    let faults: Vec<Fault> = Schedule::of(1).take(20_000).flat_map(|step| step.faults).collect();
    let all: u64 = KINDS.iter().map(|row| row.2).sum();
    for (kind, name, weight, from_ms, to_ms) in KINDS {
        let these: Vec<_> = faults.iter().filter(|fault| fault.kind == kind).collect();
        let (found, wanted) = (these.len() as u64, faults.len() as u64 * weight / all);
        assert!(found > wanted / 2 && found < wanted * 2, "{name}: {found} of about {wanted}");
        let bounds = Duration::from_millis(from_ms)..=Duration::from_millis(to_ms);
        assert!(these.iter().all(|fault| bounds.contains(&fault.lasts)), "{name}");
    }
}

#[test]
fn some_come_two_at_once_and_are_of_two_kinds() {
    let steps: Vec<Step> = Schedule::of(3).take(1_000).collect();
    let pairs: Vec<&Step> = steps.iter().filter(|step| step.faults.len() == 2).collect();
    assert!((100..300).contains(&pairs.len()), "{}", pairs.len());
    assert!(pairs.iter().all(|step| step.faults[0].kind != step.faults[1].kind));
}

#[test]
fn the_schema_goes_up_to_the_newest_and_back_to_the_first() {
    let [first, newest] = SCHEMAS;
    for pick in 0..4 {
        let mut versions = vec![first];
        while versions.last() != Some(&newest) {
            versions.extend(versions.last().map(|now| next_schema(*now, pick)));
        }
        assert!(versions.is_sorted_by(|one, other| one < other), "{versions:?}");
        assert_eq!(next_schema(newest, pick), first);
    }
}
