//! One deployment while a process leads: what is done next about it, one step after another.
//!
//! Objects are applied in their order, and one that is a dependency is waited for before the next. An object in error
//! stops those after it and is tried again with growing waits. What is not wanted any more goes when everything that is
//! wanted is applied, in reverse order. Each request is written down before it is sent and again when it was answered,
//! so whoever takes over knows what may still arrive.

use std::time::Duration;

use crate::{
    decide::deployment::{
        record::{Deployment, DeploymentState},
        step::{Answer, Facts, Next, Step},
        tracked_object::{Context, TrackedObject, Turn},
    },
    modules::object::ObjectId,
};

/// One deployment while a process leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    revision: i64,
    force: bool,
    reconcile: bool,
    gone: bool,
    volumes: Vec<String>,
    objects: Vec<TrackedObject>,
    over: bool,
    /// Nothing is done before this time: the last record was not answered.
    record_at: Option<Duration>,
}

/// The wait before something is recorded again.
const RECORD_AGAIN: Duration = Duration::from_secs(2);

impl Application {
    /// Takes up a deployment at `now`. A request that may still arrive is waited for before anything else is asked of
    /// its object, for as long as a request can take from now: whoever sent it did so before this term.
    pub fn new(record: &Deployment, now: Duration) -> Self {
        let objects = record.objects.iter().map(|object| TrackedObject::new(object.clone(), now)).collect();
        Self {
            revision: record.revision,
            force: record.force,
            reconcile: record.reconcile,
            gone: record.gone,
            volumes: record.volumes.clone(),
            objects,
            over: false,
            record_at: None,
        }
    }

    /// The revision that is worked on.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Its objects as they are on record now.
    pub fn objects(&self) -> impl Iterator<Item = &TrackedObject> {
        self.objects.iter()
    }

    /// Nothing was learnt that is not on record: another revision may be taken up.
    pub fn is_recorded(&self) -> bool {
        self.objects.iter().all(|object| object.unrecorded().is_none())
    }

    /// Objects in the cluster that are compared now and then with what was applied.
    pub fn checkable(&self) -> Vec<ObjectId> {
        self.objects.iter().filter(|object| object.is_checkable()).map(|object| object.id().clone()).collect()
    }

    /// An object is to be compared with what was applied.
    pub fn check(&mut self, id: &ObjectId) {
        if let Some(object) = self.objects.iter_mut().find(|object| object.id() == id) {
            object.check();
        }
    }

    /// What comes next.
    pub fn next(&mut self, now: Duration, facts: &Facts) -> Next {
        if self.over {
            return Next::Over;
        }
        if let Some(at) = self.record_at.filter(|at| now < *at) {
            return Next::Wait(Some(at));
        }
        match self.objects.iter().find_map(TrackedObject::unrecorded) {
            Some(note) => Next::Do(note),
            None => self.next_of_objects(now, facts),
        }
    }

    fn next_of_objects(&mut self, now: Duration, facts: &Facts) -> Next {
        let context = Context { now, facts, force: self.force, reconcile: self.reconcile, volumes: &self.volumes };
        let next = Self::next_wanted(&mut self.objects, &context, self.gone);
        // Changes by hand are looked for also while an object is in error.
        let mut checks = || self.objects.iter_mut().find_map(|object| object.check_turn(&context));
        match next {
            Next::Wait(_) => checks().map_or(next, Next::Do),
            next => next,
        }
    }

    fn next_wanted(objects: &mut [TrackedObject], context: &Context<'_>, gone: bool) -> Next {
        let mut due = None;
        let mut pending = false;
        for object in objects.iter_mut().filter(|object| object.is_wanted()) {
            match object.apply_turn(context) {
                Turn::Do(step) => return Next::Do(step),
                Turn::Settled => {}
                Turn::Blocked(until) => return Next::Wait(earlier(due, until)),
                Turn::Pending(until) if object.is_dependency() => return Next::Wait(earlier(due, until)),
                Turn::Pending(until) => {
                    pending = true;
                    due = earlier(due, until);
                }
            }
        }
        if pending {
            return Next::Wait(due);
        }
        for object in objects.iter_mut().rev().filter(|object| !object.is_wanted()) {
            match object.removal_turn(context) {
                Turn::Do(step) => return Next::Do(step),
                Turn::Settled => {}
                Turn::Blocked(until) | Turn::Pending(until) => return Next::Wait(earlier(due, until)),
            }
        }
        if gone && objects.is_empty() { Next::Do(Step::Gone) } else { Next::Wait(due) }
    }

    /// A step was answered.
    pub fn answered(&mut self, now: Duration, step: &Step, answer: Answer) {
        let is_record = matches!(step, Step::Note { .. } | Step::ObjectGone(_) | Step::Gone);
        if is_record {
            self.record_at = (answer != Answer::Noted).then(|| now.saturating_add(RECORD_AGAIN));
        }
        match step {
            Step::ObjectGone(id) if answer == Answer::Noted => self.objects.retain(|object| object.id() != id),
            Step::Gone => self.over |= answer == Answer::Noted,
            Step::Look(id) | Step::Apply(id) | Step::Delete(id, _) | Step::Note { id, .. } | Step::ObjectGone(id) => {
                if let Some(object) = self.objects.iter_mut().find(|object| object.id() == id) {
                    object.answered(now, step, answer);
                }
            }
        }
    }

    /// How it stands.
    pub fn state(&self) -> DeploymentState {
        DeploymentState::of(self.gone, self.objects.iter().map(|it| (it.is_wanted(), it.known().state)))
    }
}

fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}
