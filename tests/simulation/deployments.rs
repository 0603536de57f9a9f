//! Deployments in a seeded world: processes die between any two steps, answers are lost, requests come true late, another
//! process takes over, and people deploy, undeploy, edit and delete meanwhile.

use std::time::Duration;

use job_chief::{
    decide::deployment::record::{DeployedObject, Deployment, DeploymentState, Known, ObjectState, body_hash},
    modules::object::{ObjectId, ObjectKind},
};
use serde_json::Map;

use crate::{
    deployment_world::{NAMES, World, ids, object},
    histories::{each_holds, number},
};

impl World {
    fn deploy(&mut self) {
        let name = NAMES[self.dice.roll(2) as usize];
        if self.deployments.get(name).is_some_and(|it| it.gone) {
            return;
        }
        let mut before = self.deployments.remove(name);
        let revision = before.as_ref().map_or(1, |it| it.revision + 1);
        let mut objects = vec![];
        for (at, id) in ids(name).into_iter().enumerate() {
            let known = before.as_mut().and_then(|it| {
                let at = it.objects.iter().position(|object| object.object.id == id)?;
                Some(it.objects.remove(at))
            });
            let (wanted, version) = (!self.dice.once_in(3), self.dice.roll(2));
            let known_known = known.as_ref().map(|it| it.known.clone()).unwrap_or_default();
            let known_known = Known { state: ObjectState::Waiting, result: None, message: None, ..known_known };
            let object = match (wanted, known) {
                (true, _) => object(id, version),
                (false, Some(known)) => known.object,
                (false, None) => continue,
            };
            let hash = body_hash(&object.body);
            let (dependency, changed_at) = (at < 2, String::new());
            objects.push(DeployedObject { dependency, object, hash, revision, wanted, known: known_known, changed_at });
        }
        objects.sort_by_key(|it| !it.wanted);
        let record = Deployment {
            name: name.into(),
            module: "m".into(),
            version: "v".into(),
            config: Map::new(),
            rendered_hash: String::new(),
            force: self.dice.once_in(6),
            reconcile: self.dice.once_in(3),
            revision,
            gone: false,
            volumes: vec![],
            who: String::new(),
            why: String::new(),
            written_at: String::new(),
            objects,
        };
        self.deployments.insert(name.into(), record);
    }

    fn undeploy(&mut self) {
        let name = NAMES[self.dice.roll(2) as usize];
        let with_volume = self.dice.once_in(2);
        let Some(record) = self.deployments.get_mut(name) else { return };
        record.gone = true;
        record.revision += 1;
        record.volumes = with_volume.then(|| format!("{name}-d")).into_iter().collect();
        for object in &mut record.objects {
            object.wanted = false;
            object.revision = record.revision;
            object.known = Known { state: ObjectState::Waiting, result: None, message: None, ..object.known.clone() };
        }
    }

    fn meddle(&mut self) {
        let keys: Vec<ObjectId> =
            self.things.iter().filter(|(_, it)| it.owner.is_some()).map(|(id, _)| id.clone()).collect();
        if keys.is_empty() {
            return;
        }
        let key = &keys[self.dice.roll(keys.len() as u64) as usize];
        if self.dice.once_in(2) {
            self.things.remove(key);
        } else if let Some(thing) = self.things.get_mut(key) {
            thing.edited = true;
        }
    }

    fn step(&mut self) {
        let name = NAMES[self.dice.roll(2) as usize];
        match self.dice.roll(24) {
            0 => self.deploy(),
            1 if self.dice.once_in(2) => self.undeploy(),
            2 if self.dice.once_in(3) => self.take_over(1 - self.leader),
            3 if self.dice.once_in(3) => self.take_over(self.leader),
            4 if self.dice.once_in(2) => self.meddle(),
            5 | 6 => self.live(),
            7..=10 => self.now += Duration::from_millis(self.dice.roll(8_000)),
            11..=14 => self.network(),
            15 => self.act(1 - self.leader, name),
            _ => self.act(self.leader, name),
        }
    }

    fn invariant_nothing_is_forgotten(&self) {
        for record in self.deployments.values() {
            let told = || format!("{}: {:#?} in {:#?}", record.name, record.objects, self.things);
            if record.state() == DeploymentState::Failed {
                let is_blocked =
                    |it: &DeployedObject| it.object.id.name == "mail-e" && it.known.state == ObjectState::Error;
                assert!(record.objects.iter().any(is_blocked), "invariant: nothing_is_forgotten: in error: {}", told());
            } else {
                let is_at_rest = matches!(record.state(), DeploymentState::Settled | DeploymentState::Drifted);
                assert!(is_at_rest, "invariant: nothing_is_forgotten: {:?}: {}", record.state(), told());
            }
            for object in record.objects.iter().filter(|it| it.known.state == ObjectState::Ready) {
                let id = &object.object.id;
                let applied = object.known.applied.as_ref().map(|it| it.hash.as_str());
                assert_eq!(applied, Some(&*object.hash), "invariant: nothing_is_forgotten: {id}");
                if matches!(id.kind, ObjectKind::JobConfig | ObjectKind::Job) {
                    continue;
                }
                let thing =
                    self.things.get(id).unwrap_or_else(|| panic!("invariant: nothing_is_forgotten: {id} is absent"));
                assert!(thing.hash == object.hash && !thing.edited, "invariant: nothing_is_forgotten: {id} is another");
            }
        }
    }

    fn invariant_nothing_of_a_deposed_process_lasts(&self) {
        for (id, thing) in self.things.iter().filter(|(id, _)| id.kind != ObjectKind::PersistentVolumeClaim) {
            let Some(owner) = &thing.owner else { continue };
            let object = self.deployments.get(owner).and_then(|record| record.object(id));
            let object = object.unwrap_or_else(|| {
                panic!("invariant: nothing_of_a_deposed_process_lasts: {id} of {owner} is there and not on record")
            });
            let is_known = thing.edited || thing.hash == object.hash || object.known.state != ObjectState::Ready;
            assert!(is_known, "invariant: nothing_of_a_deposed_process_lasts: {id} of {owner} is as it was once");
        }
    }
}

pub(crate) fn history(seed: u64, steps: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step();
    }
    world.calm();
    world.invariant_nothing_is_forgotten();
    world.invariant_nothing_of_a_deposed_process_lasts();
    let (applies, is_at_rest) =
        (world.applies, |world: &World| world.deployments.values().all(|it| it.state() == DeploymentState::Settled));
    if is_at_rest(&world) {
        world.take_over(1 - world.leader);
        world.calm();
        assert!(world.applies == applies, "invariant: nothing_is_applied_twice");
    }
    world
}

#[test]
fn every_history_of_deployments_holds() {
    let steps = number("SIMULATION_STEPS", 600);
    let (mut applies, mut removals) = (0, 0);
    let seeds = each_holds(
        "deployments",
        500,
        |seed| history(seed, steps),
        |world| (applies, removals) = (applies + world.applies, removals + world.removals),
    );
    eprintln!("{seeds} histories of deployments: {applies} objects applied, {removals} removed");
    assert!(seeds < 500 || applies > 1_000 && removals > 100, "hardly anything happened");
}
