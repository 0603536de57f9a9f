//! The world of `deployments.rs`: a store as Postgres is, a cluster, two processes, and requests on their way.

use std::{collections::BTreeMap, time::Duration};

use job_chief::{
    decide::{
        deployment::{
            application::Application,
            record::{Change, Deployment, Known, ObjectState},
            step::{Answer, Facts, Live, Looked, Next, Step},
        },
        live::{owner::Ownership, readiness::Readiness},
        run::policy::REQUEST_TIMEOUT,
    },
    modules::object::{Object, ObjectId, ObjectKind},
};
use serde_json::{Map, json};

use crate::dice::Dice;

/// The deployments that people speak of.
pub(crate) const NAMES: [&str; 2] = ["cache", "mail"];

/// An object in the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    pub(crate) uid: u64,
    /// `None` for one that no deployment has made.
    pub(crate) owner: Option<String>,
    pub(crate) hash: String,
    pub(crate) edited: bool,
    pub(crate) ready: bool,
    pub(crate) terminating: bool,
}

/// A request that may come true until its time is over.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) process: usize,
    pub(crate) life: u64,
    pub(crate) deployment: String,
    pub(crate) step: Step,
    pub(crate) hash: String,
    pub(crate) force: bool,
    pub(crate) sent: Duration,
    pub(crate) done: bool,
}

/// A deployment in the hands of a process.
#[derive(Debug)]
pub(crate) struct Worked {
    pub(crate) application: Application,
    pub(crate) record: Deployment,
    pub(crate) asking: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) term: Option<u64>,
    pub(crate) life: u64,
    pub(crate) works: BTreeMap<String, Worked>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) now: Duration,
    /// Of the store.
    pub(crate) term: u64,
    pub(crate) deployments: BTreeMap<String, Deployment>,
    pub(crate) things: BTreeMap<ObjectId, Thing>,
    /// Services that are in force and run, or drain.
    pub(crate) running: Vec<String>,
    pub(crate) draining: Vec<String>,
    pub(crate) processes: [Process; 2],
    pub(crate) leader: usize,
    pub(crate) requests: Vec<Request>,
    pub(crate) uids: u64,
    pub(crate) applies: u64,
    pub(crate) removals: u64,
    pub(crate) troubled: bool,
}

pub(crate) fn object(id: ObjectId, version: u64) -> Object {
    let mut body = Map::new();
    body.insert("version".into(), json!(version));
    body.insert("spec".into(), json!({"type": "service"}));
    Object { id, body, file: "x.yaml".into(), line: 1 }
}

/// What a deployment may be of: the first two are dependencies. The last name is that of something foreign.
pub(crate) fn ids(name: &str) -> Vec<ObjectId> {
    use ObjectKind::{ConfigMap, Job, JobConfig, PersistentVolumeClaim, Service};
    let kinds = [(ConfigMap, "a"), (JobConfig, "b"), (Job, "c"), (PersistentVolumeClaim, "d"), (Service, "e")];
    kinds.into_iter().map(|(kind, letter)| ObjectId { kind, name: format!("{name}-{letter}") }).collect()
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = Self {
            dice: Dice(seed),
            now: Duration::from_secs(1_000),
            term: 0,
            deployments: BTreeMap::new(),
            things: BTreeMap::new(),
            running: vec![],
            draining: vec![],
            processes: Default::default(),
            leader: 0,
            requests: vec![],
            uids: 0,
            applies: 0,
            removals: 0,
            troubled: true,
        };
        let foreign = ObjectId { kind: ObjectKind::Service, name: "mail-e".into() };
        let thing =
            Thing { uid: 0, owner: None, hash: "foreign".into(), edited: false, ready: true, terminating: false };
        world.things.insert(foreign, thing);
        world.take_over(0);
        world
    }

    // --- the cluster

    pub(crate) fn live(&mut self) {
        for thing in self.things.values_mut() {
            thing.ready |= self.dice.once_in(3);
        }
        let dice = &mut self.dice;
        self.things.retain(|_, thing| !(thing.terminating && dice.once_in(3)));
        let in_force: Vec<String> = self.in_force();
        for name in &in_force {
            if !self.running.contains(name) && self.dice.once_in(3) {
                self.running.push(name.clone());
            }
        }
        let left: Vec<String> = self.running.iter().filter(|name| !in_force.contains(name)).cloned().collect();
        self.running.retain(|name| in_force.contains(name));
        self.draining.extend(left);
        let dice = &mut self.dice;
        self.draining.retain(|name| !in_force.contains(name) && !dice.once_in(3));
    }

    pub(crate) fn in_force(&self) -> Vec<String> {
        let objects = self.deployments.values().flat_map(|it| &it.objects);
        let configs = objects.filter(|it| it.object.id.kind == ObjectKind::JobConfig && it.known.applied.is_some());
        configs.map(|it| it.object.id.name.clone()).collect()
    }

    /// A request comes true. Returns what the API server would answer.
    pub(crate) fn carry_out(&mut self, request: &Request) -> Answer {
        let ours = |thing: &Thing| thing.owner.as_deref() == Some(request.deployment.as_str());
        match &request.step {
            Step::Apply(id) => {
                if let Some(thing) = self.things.get(id) {
                    invariant_only_force_takes_what_is_not_its_own(thing, request);
                    if thing.terminating {
                        return Answer::Unanswered;
                    }
                }
                self.applies += 1;
                self.uids += 1;
                let is_new = !self.things.contains_key(id);
                let uid = self.uids;
                let fresh =
                    || Thing { uid, owner: None, hash: String::new(), edited: false, ready: false, terminating: false };
                let thing = self.things.entry(id.clone()).or_insert_with(fresh);
                let is_same = thing.hash == request.hash && !thing.edited && ours(thing);
                (thing.owner, thing.edited) = (Some(request.deployment.clone()), false);
                thing.hash.clone_from(&request.hash);
                thing.ready &= is_same;
                let change = match (is_new, is_same) {
                    (true, _) => Change::Created,
                    (false, true) => Change::Unchanged,
                    (false, false) => Change::Configured,
                };
                Answer::Applied(change, thing.uid.to_string())
            }
            Step::Delete(id, uid) => {
                if let Some(thing) = self.things.get_mut(id).filter(|thing| thing.uid.to_string() == *uid) {
                    assert!(ours(thing), "invariant: removal_deletes_only_its_own: {id} of {:?}", thing.owner);
                    self.removals += 1;
                    thing.terminating = true;
                }
                Answer::Deleted
            }
            _ => unreachable!("no request"),
        }
    }

    pub(crate) fn look(&self, id: &ObjectId, deployment: &str, hash: &str) -> Answer {
        let Some(thing) = self.things.get(id) else { return Answer::Looked(Looked::Absent) };
        let whose = match &thing.owner {
            None => Ownership::Foreign,
            Some(owner) if owner == deployment => Ownership::Ours,
            Some(owner) => Ownership::OfDeployment { instance: "i".into(), deployment: owner.clone() },
        };
        Answer::Looked(Looked::Found(Live {
            uid: thing.uid.to_string(),
            whose,
            terminating: thing.terminating,
            ready: if thing.ready { Readiness::Ready } else { Readiness::NotYet("soon".into()) },
            changed: (thing.edited || thing.hash != hash).then(|| "data".to_owned()),
        }))
    }

    // --- the store

    pub(crate) fn record(&mut self, term: u64, deployment: &str, step: &Step, worked_on: i64) -> Answer {
        if term != self.term {
            return Answer::Unanswered;
        }
        let Some(record) = self.deployments.get_mut(deployment) else { return Answer::Noted };
        match step {
            Step::Note { id, revision, known, .. } => {
                if let Some(object) = record.objects.iter_mut().find(|it| it.object.id == *id) {
                    let own = object.known.clone();
                    let is_newest = object.revision == *revision;
                    let mut known = if is_newest {
                        known.clone()
                    } else {
                        Known { state: own.state, result: own.result, message: own.message, ..known.clone() }
                    };
                    // A JobConfig comes into force as it is wanted now, or stays as it was.
                    if let (ObjectKind::JobConfig, Some(applied)) = (id.kind, &known.applied)
                        && applied.hash != object.hash
                    {
                        known.applied = own.applied;
                    }
                    object.known = known;
                }
            }
            Step::ObjectGone(id) => {
                record.objects.retain(|it| it.object.id != *id || it.wanted || it.revision != worked_on);
            }
            Step::Gone => {
                if record.gone && record.objects.is_empty() && record.revision == worked_on {
                    self.deployments.remove(deployment);
                }
            }
            _ => unreachable!("no record"),
        }
        Answer::Noted
    }

    // --- processes

    pub(crate) fn take_over(&mut self, process: usize) {
        self.term += 1;
        self.leader = process;
        let it = &mut self.processes[process];
        it.term = Some(self.term);
        it.life += 1;
        it.works.clear();
    }

    pub(crate) fn facts(&self) -> Facts {
        let in_force = self.in_force();
        Facts {
            in_file: Default::default(),
            running: self.running.iter().cloned().collect(),
            present: in_force.into_iter().chain(self.draining.iter().cloned()).collect(),
        }
    }

    /// A process does the next thing about a deployment.
    pub(crate) fn act(&mut self, process: usize, name: &str) {
        let Some(term) = self.processes[process].term else { return };
        let (now, facts) = (self.now, self.facts());
        let newest = self.deployments.get(name).cloned();
        let life = self.processes[process].life;
        let works = &mut self.processes[process].works;
        if !works.contains_key(name) {
            let Some(record) = newest.clone() else { return };
            let application = Application::new(&record, now);
            works.insert(name.to_owned(), Worked { application, record, asking: false });
        }
        let worked = works.get_mut(name).expect("it was put there");
        if worked.asking {
            return;
        }
        if worked.application.is_recorded()
            && newest.as_ref().is_some_and(|newest| newest.revision != worked.application.revision())
        {
            works.remove(name);
            return;
        }
        let step = match worked.application.next(now, &facts) {
            Next::Do(step) => step,
            Next::Wait(_) => return,
            Next::Over => {
                works.remove(name);
                return;
            }
        };
        let record = worked.record.clone();
        match &step {
            Step::Look(id) => {
                let object = record.object(id).expect("of the record");
                let answer = self.look(id, name, &object.hash);
                let lost = self.troubled && self.dice.once_in(8);
                self.answer(process, life, name, &step, if lost { Answer::Unanswered } else { answer });
            }
            Step::Apply(id) | Step::Delete(id, _) => {
                // Who leads no longer sends nothing.
                if term != self.term {
                    return self.answer(process, life, name, &step, Answer::Unanswered);
                }
                if let Step::Apply(id) = &step {
                    self.invariant_a_dependency_is_ready_before_the_next_is_applied(&record, id);
                }
                let hash = record.object(id).expect("of the record").hash.clone();
                let (deployment, sent, force) = (name.to_owned(), now, record.force);
                self.processes[process].works.get_mut(name).expect("there").asking = true;
                self.requests.push(Request { process, life, deployment, step, hash, force, sent, done: false });
            }
            _ => {
                let answer = self.record(term, name, &step, record.revision);
                let lost = self.troubled && self.dice.once_in(8);
                self.answer(process, life, name, &step, if lost { Answer::Unanswered } else { answer });
            }
        }
    }

    pub(crate) fn answer(&mut self, process: usize, life: u64, name: &str, step: &Step, answer: Answer) {
        let now = self.now;
        let it = &mut self.processes[process];
        if it.life != life {
            return;
        }
        if let Some(worked) = it.works.get_mut(name) {
            worked.asking = false;
            worked.application.answered(now, step, answer);
        }
    }

    /// A request comes true, is answered, loses its answer, or is given up.
    pub(crate) fn network(&mut self) {
        let Some(mut request) = self.dice.draw(&mut self.requests) else { return };
        let is_over = self.now >= request.sent + REQUEST_TIMEOUT;
        let asks = |world: &Self| {
            let it = &world.processes[request.process];
            it.life == request.life && it.works.get(&request.deployment).is_some_and(|worked| worked.asking)
        };
        // One that is given up comes true late, if it does.
        let comes_true = if asks(self) { !self.dice.once_in(3) } else { self.dice.once_in(12) };
        if !request.done && !is_over && comes_true {
            request.done = true;
            let answer = self.carry_out(&request);
            if !(self.troubled && self.dice.once_in(4)) {
                let Request { process, life, deployment, step, .. } = request;
                return self.answer(process, life, &deployment, &step, answer);
            }
        }
        // It is given up early, and may still come true.
        if (is_over || self.troubled && self.dice.once_in(3)) && asks(self) {
            let Request { process, life, deployment, step, .. } = request.clone();
            self.answer(process, life, &deployment, &step, Answer::Unanswered);
        }
        if !is_over {
            self.requests.push(request);
        }
    }

    pub(crate) fn calm(&mut self) {
        self.troubled = false;
        for round in 0..3_000_u64 {
            self.now += Duration::from_secs(1);
            self.live();
            for _ in 0..self.requests.len() {
                self.network();
            }
            for name in NAMES {
                self.act(self.leader, name);
                if round % 500 == 499 {
                    self.check(name);
                }
            }
        }
    }

    /// Every object is compared with what was applied.
    pub(crate) fn check(&mut self, name: &str) {
        if let Some(worked) = self.processes[self.leader].works.get_mut(name) {
            worked.application.checkable().iter().for_each(|id| worked.application.check(id));
        }
    }

    pub(crate) fn invariant_a_dependency_is_ready_before_the_next_is_applied(
        &self,
        record: &Deployment,
        id: &ObjectId,
    ) {
        let Some(newest) = self.deployments.get(&record.name).filter(|it| it.revision == record.revision) else {
            return;
        };
        for earlier in newest.objects.iter().filter(|it| it.wanted).take_while(|it| it.object.id != *id) {
            let state = earlier.known.state;
            let is_applied = !matches!(state, ObjectState::Waiting | ObjectState::Applying | ObjectState::Error);
            let is_ready = is_applied && state != ObjectState::Applied;
            assert!(is_applied, "invariant: applied_in_order: {id} before {}, which is {state:?}", earlier.object.id);
            assert!(
                is_ready || !earlier.dependency,
                "invariant: a_dependency_is_ready_before_the_next_is_applied: {id} before {}",
                earlier.object.id
            );
        }
    }
}

fn invariant_only_force_takes_what_is_not_its_own(thing: &Thing, request: &Request) {
    let is_own = thing.owner.as_deref() == Some(request.deployment.as_str());
    assert!(
        is_own || request.force && thing.owner.is_none(),
        "invariant: only_force_takes_what_is_not_its_own: {request:?} {thing:?}"
    );
}
