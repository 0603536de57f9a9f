//! What runs once beside the replicas of a service, in its world of faults: what always holds of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use job_chief::decide::{
    decision::Wish,
    one_off::{OneOff, is_one_off},
    outcome::JobName,
    run::event::RunEffect,
    service::event::{Asking, ServiceEffect, ServiceEvent},
};
use serde_json::{Value, json};

use crate::{
    cluster::{Fate, observed},
    service_disturb::Fault,
    service_world::ServiceWorld,
};

/// How long an answer holds that all requirements are met.
const HOLDS_FOR: Duration = Duration::from_secs(5);

/// The name of the action of this world.
const ACTION: &str = "backup";

/// An entry with what runs beside it: each kind in some histories.
pub(crate) fn with_one_offs(mut entry: Value, dice: &mut crate::dice::Dice) -> Value {
    let once = json!({"podConfig": {"image": "once"}});
    if dice.once_in(4) {
        let keys = entry.as_object_mut().unwrap();
        let own = ["podConfig", "replicas", "ports", "stopTimeout", "keepAlive", "updateStrategy"];
        own.iter().for_each(|key| drop(keys.remove(*key)));
        entry["check"] = json!({"tcp": {"host": "db", "port": 5432}});
        entry["repair"] = once.clone();
    } else if dice.once_in(3) {
        entry["requirements"] = json!([{"tcp": {"host": "db", "port": 5432}}]);
    }
    beside(entry, dice)
}

/// An entry with actions, and in some histories with checks that are Jobs.
pub(crate) fn beside(mut entry: Value, dice: &mut crate::dice::Dice) -> Value {
    let once = json!({"podConfig": {"image": "once"}});
    if dice.once_in(4) {
        entry["check"] = json!({"job": once});
    }
    entry["actions"] = json!({ACTION: once});
    if dice.once_in(2) {
        entry["actions"][ACTION]["every"] = json!("1m");
    }
    entry
}

/// Whether replicas are wished or asked for, and not what runs beside them.
pub(crate) fn is_about_replicas(effect: &ServiceEffect) -> bool {
    match effect {
        ServiceEffect::Run(RunEffect::CreateJob(wish)) => wish.one_off.is_none(),
        ServiceEffect::Run(RunEffect::WriteWishes(wishes)) => {
            wishes.iter().any(|wish| wish.one_off.is_none() && wish.adopted.is_none())
        }
        _ => false,
    }
}

impl ServiceWorld {
    pub(crate) fn actions_asked(&self) -> ServiceEvent {
        ServiceEvent::ActionsAsked(BTreeMap::from([(ACTION.into(), self.asked)]))
    }

    pub(crate) fn note_met(&mut self, event: &ServiceEvent) {
        if let ServiceEvent::TargetsAnswered(Asking::Requirements, Ok(())) = event {
            self.met_at = Some(self.now);
        }
    }

    pub(crate) fn check_requirements(&self, effect: &ServiceEffect) {
        let wished = matches!(effect, ServiceEffect::Run(RunEffect::WriteWishes(_))) && is_about_replicas(effect);
        let met = self.config.requirements.is_empty() || self.met_at.is_some_and(|at| self.now <= at + HOLDS_FOR);
        assert!(!wished || met, "invariant: nothing_starts_before_its_requirements_are_met");
    }

    /// Whether a Job runs once beside the replicas.
    pub(crate) fn is_one_off(&self, name: &JobName) -> bool {
        self.store.rows.get(name).is_some_and(|row| row.one_off.is_some())
    }

    pub(crate) fn fate_of_one_off(&mut self, wish: &Wish) -> Fate {
        let fails = wish.one_off.is_some() && self.strikes(Fault::CheckFails, 3);
        if fails { Fate::Fails("Error", 1) } else { Fate::Works }
    }

    pub(crate) fn check_one_offs(&self) {
        let live: Vec<u32> = observed(&self.cluster.snapshot(), self.now)
            .jobs
            .values()
            .filter(|job| job.is_live())
            .filter_map(|job| job.slot)
            .filter(|slot| is_one_off(*slot))
            .collect();
        let purposes: BTreeSet<u32> = live.iter().copied().collect();
        assert_eq!(purposes.len(), live.len(), "invariant: never_two_checks_repairs_or_runs_of_an_action_at_once");
        let mut numbers = BTreeSet::new();
        for number in self.store.rows.values().filter_map(|row| row.one_off.as_ref().and_then(OneOff::number)) {
            assert!(number <= self.asked, "invariant: no_action_runs_by_hand_that_nobody_asked_for: {number}");
            assert!(numbers.insert(number), "invariant: an_action_that_was_asked_for_runs_once: {number}");
        }
    }

    /// Who waits for its turn, and who is not in the file, is not served; all others are, each once.
    pub(crate) fn has_run_what_was_asked(&self) -> bool {
        let served = self.store.actions.get(ACTION).map_or(0, |(served, _)| *served);
        self.left || served == self.asked
    }

    /// It ends by itself: it is deleted only if it does not start, came back after its end, or is long over.
    pub(crate) fn check_delete_of_one_off(&self, name: &JobName, uid: &str, version: Option<&str>) {
        let Some(it) = self.cluster.jobs.get(name) else { return };
        let meta = &it.job.metadata;
        let strikes = meta.uid.as_deref() == Some(uid)
            && version.is_none_or(|version| meta.resource_version.as_deref() == Some(version));
        let ended = self.store.rows.get(name).is_some_and(|row| row.end.is_some());
        let reason = ended || self.blemished.contains(name);
        assert!(!(strikes && it.is_running()) || reason, "invariant: a_job_that_runs_once_is_left_alone ({name})");
    }

    /// Replicas are never those of a service that runs elsewhere, and a repair is never that of another.
    pub(crate) fn check_purposes(&self) {
        let external = self.config.is_external();
        for row in self.store.rows.values() {
            let fits = match &row.one_off {
                None => !external || row.starts.is_none(),
                Some(OneOff::Repair) => external,
                Some(_) => true,
            };
            assert!(fits, "invariant: what_runs_elsewhere_is_repaired_and_never_started: {row:?}");
        }
    }
}
