//! One object of a deployment: whether it is its turn, and what is done with it then.

use std::time::Duration;

use serde_json::Value;

use crate::{
    decide::{
        backoff::doubled,
        deployment::{
            record::{Applied, Change, DeployedObject, Known, ObjectState},
            step::{Answer, Facts, Live, Looked, Step},
        },
        live::{owner::Ownership, readiness::Readiness},
        run::policy::REQUEST_TIMEOUT,
    },
    modules::object::{ObjectId, ObjectKind},
};

/// How long an object may take to be ready, or to be gone, before that is an error. It is still looked at after it.
pub const READY_WITHIN: Duration = Duration::from_secs(600);

/// Between the first two looks at an object that is not ready yet; doubled up to [`LOOK_MAX`].
const LOOK_MIN: Duration = Duration::from_secs(1);

/// The longest wait between looks at an object that is not ready yet, and between looks without an answer.
const LOOK_MAX: Duration = Duration::from_secs(15);

/// The first wait after an error; doubled up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(5);

/// The longest wait between tries at an object in error.
pub const RETRY_MAX: Duration = Duration::from_secs(300);

/// The longest wait after a request that has not worked yet: the API server may be back any time.
const TROUBLE_MAX: Duration = Duration::from_secs(60);

/// What a turn is judged by.
pub(super) struct Context<'a> {
    pub(super) now: Duration,
    pub(super) facts: &'a Facts,
    pub(super) force: bool,
    pub(super) reconcile: bool,
    pub(super) volumes: &'a [String],
}

/// What comes of a turn.
pub(super) enum Turn {
    Do(Step),
    /// It is as it is wanted, as far as others have to wait for that.
    Settled,
    /// It is applied, and not ready yet; looked at again then.
    Pending(Option<Duration>),
    /// Those after it wait.
    Blocked(Option<Duration>),
}

/// One object of a deployment, with what this process remembers of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedObject {
    id: ObjectId,
    dependency: bool,
    is_service: bool,
    hash: String,
    revision: i64,
    wanted: bool,
    known: Known,
    /// What was learnt and is not on record.
    unrecorded: Option<Known>,
    /// The request that is on record may be sent.
    may_ask: bool,
    /// A request may still arrive until then.
    doubt_until: Option<Duration>,
    looked: Option<Looked>,
    /// The last look holds until then.
    look_at: Duration,
    looks: u32,
    tries: u32,
    /// Why the last request has not worked, told with the next one.
    trouble: Option<String>,
    retry_at: Option<Duration>,
    /// Since when it is waited for.
    since: Option<Duration>,
    check: bool,
}

impl TrackedObject {
    pub(super) fn new(object: DeployedObject, now: Duration) -> Self {
        let is_service =
            object.object.body.get("spec").and_then(|spec| spec.get("type")).and_then(Value::as_str) == Some("service");
        let doubt_until = object.known.asked.then(|| now.saturating_add(REQUEST_TIMEOUT));
        Self {
            id: object.object.id,
            dependency: object.dependency,
            is_service,
            hash: object.hash,
            revision: object.revision,
            wanted: object.wanted,
            known: object.known,
            unrecorded: None,
            may_ask: false,
            doubt_until,
            looked: None,
            look_at: now,
            looks: 0,
            tries: 0,
            trouble: None,
            retry_at: None,
            since: None,
            check: false,
        }
    }

    /// Which one.
    pub fn id(&self) -> &ObjectId {
        &self.id
    }

    /// What is on record of it.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// It is to be there.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    pub(super) fn is_dependency(&self) -> bool {
        self.dependency
    }

    pub(super) fn check(&mut self) {
        self.check = true;
    }

    pub(super) fn is_checkable(&self) -> bool {
        use ObjectState::{Drifted, Missing, Ready};
        self.wanted
            && self.id.kind != ObjectKind::JobConfig
            && matches!(self.known.state, Ready | Drifted | Missing)
            && !self.known.applied.as_ref().is_some_and(|it| it.completed)
    }

    /// The record of what was learnt.
    pub(super) fn unrecorded(&self) -> Option<Step> {
        self.unrecorded.clone().map(|known| self.recording(known))
    }

    fn note(&self, known: Known) -> Turn {
        Turn::Do(self.recording(known))
    }

    fn recording(&self, known: Known) -> Step {
        let in_force = |known: &Known| known.applied.as_ref().map(|it| it.hash.clone());
        let fleet = self.id.kind == ObjectKind::JobConfig && in_force(&known) != in_force(&self.known);
        Step::Note { id: self.id.clone(), revision: self.revision, known, fleet }
    }

    fn as_known(&self, state: ObjectState) -> Known {
        Known { state, message: None, asked: false, ..self.known.clone() }
    }

    /// It is in error; tried again later.
    fn fail(&mut self, now: Duration, message: String) -> Turn {
        let wait = doubled(RETRY_MIN, RETRY_MAX, self.tries);
        self.tries = self.tries.saturating_add(1);
        let until = now.saturating_add(wait);
        (self.retry_at, self.looked, self.looks) = (Some(until), None, 0);
        let known = Known { message: Some(message), ..self.as_known(ObjectState::Error) };
        if known == self.known { Turn::Blocked(Some(until)) } else { self.note(known) }
    }

    /// Until when nothing is asked of it.
    fn held_until(&self, now: Duration) -> Option<Duration> {
        [self.doubt_until, self.retry_at].into_iter().flatten().filter(|until| now < *until).max()
    }

    /// It was waited for in vain.
    fn is_late(&mut self, now: Duration) -> bool {
        let since = *self.since.get_or_insert(now);
        now >= since.saturating_add(READY_WITHIN)
    }

    // --- what is wanted

    pub(super) fn apply_turn(&mut self, context: &Context<'_>) -> Turn {
        if self.id.kind == ObjectKind::JobConfig {
            return self.force_turn(context);
        }
        if self.may_ask {
            return Turn::Do(Step::Apply(self.id.clone()));
        }
        match self.known.state {
            ObjectState::Ready => return Turn::Settled,
            ObjectState::Drifted | ObjectState::Missing if !context.reconcile => return Turn::Settled,
            _ => {}
        }
        if let Some(until) = self.held_until(context.now) {
            return Turn::Blocked(Some(until));
        }
        let is_done = |it: &&Applied| it.completed && it.hash == self.hash;
        if self.known.applied.as_ref().filter(is_done).is_some() {
            return self.note(Known { result: Some(Change::Unchanged), ..self.as_known(ObjectState::Ready) });
        }
        match self.looked.clone().filter(|_| context.now < self.look_at) {
            None => Turn::Do(Step::Look(self.id.clone())),
            Some(Looked::Absent) if self.known.state == ObjectState::Applied => {
                self.fail(context.now, "somebody deleted it before it was ready".to_owned())
            }
            Some(Looked::Absent) => self.intend(ObjectState::Applying),
            Some(Looked::Found(live)) => self.found_turn(context, &live),
        }
    }

    fn found_turn(&mut self, context: &Context<'_>, live: &Live) -> Turn {
        let applied = self.known.applied.clone().filter(|it| it.uid == live.uid);
        if live.terminating {
            return self.terminating_turn(context.now);
        }
        if let Some(text) = taken(&live.whose, context.force) {
            return self.fail(context.now, text);
        }
        // What is otherwise as soon as it was applied was made so by an admission plugin, or is a Job, which can't be
        // changed: to apply it again would not end. It is told when it is compared.
        let is_as_applied = live.changed.is_none() || self.known.state == ObjectState::Applied;
        match applied {
            Some(applied) if applied.hash == self.hash && is_as_applied => self.ready_turn(context.now, live),
            _ => self.intend(ObjectState::Applying),
        }
    }

    fn terminating_turn(&mut self, now: Duration) -> Turn {
        if self.is_late(now) {
            return self.fail(now, "it is being deleted, and something holds it: see its finalizers".to_owned());
        }
        Turn::Blocked(Some(self.look_at))
    }

    /// It is there as it is wanted, and is waited for.
    fn ready_turn(&mut self, now: Duration, live: &Live) -> Turn {
        let result = self.known.result.or(Some(Change::Unchanged));
        let is_late = self.is_late(now);
        let why = match &live.ready {
            Readiness::Ready => {
                let mut known = Known { result, ..self.as_known(ObjectState::Ready) };
                known.applied.iter_mut().for_each(|it| it.completed = self.id.kind == ObjectKind::Job);
                return self.note(known);
            }
            Readiness::Failed(why) => return self.fail(now, why.clone()),
            Readiness::NotYet(why) => why,
        };
        if is_late || self.known.state == ObjectState::Error {
            return self.fail(now, format!("not ready within {} minutes: {why}", READY_WITHIN.as_secs() / 60));
        }
        if self.known.state == ObjectState::Applied {
            return Turn::Pending(Some(self.look_at));
        }
        self.note(Known { result, ..self.as_known(ObjectState::Applied) })
    }

    /// A request is written down before it is sent.
    fn intend(&self, state: ObjectState) -> Turn {
        self.note(Known { asked: true, message: self.trouble.clone(), ..self.as_known(state) })
    }

    /// A JobConfig comes into force by being recorded.
    fn force_turn(&mut self, context: &Context<'_>) -> Turn {
        let (now, name) = (context.now, self.id.name.as_str());
        if context.facts.in_file.contains(name) {
            let text = format!("jobs.json has an entry \"{name}\", which counts: give one of the two another name");
            let known = Known { message: Some(text), ..self.as_known(ObjectState::Error) };
            return if known == self.known { Turn::Blocked(None) } else { self.note(known) };
        }
        let before = self.known.applied.as_ref().map(|it| it.hash.as_str());
        let result = match before {
            None => Change::Created,
            Some(hash) if hash == self.hash => self.known.result.unwrap_or(Change::Unchanged),
            Some(_) => Change::Configured,
        };
        if before != Some(&self.hash) || self.known.state == ObjectState::Waiting {
            let applied = Some(Applied { hash: self.hash.clone(), ..Applied::default() });
            return self.note(Known { result: Some(result), applied, ..self.as_known(ObjectState::Applied) });
        }
        if self.known.state == ObjectState::Ready {
            return Turn::Settled;
        }
        if !self.is_service || context.facts.running.contains(name) {
            return self.note(self.as_known(ObjectState::Ready));
        }
        match self.is_late(now) {
            true => self.late_service(),
            // What was wrong before is over.
            false if self.known.state == ObjectState::Error => self.note(self.as_known(ObjectState::Applied)),
            false => Turn::Pending(self.since.map(|since| since.saturating_add(READY_WITHIN))),
        }
    }

    fn late_service(&self) -> Turn {
        let text = format!(
            "the service is not RUNNING after {} minutes: `why {}` tells why",
            READY_WITHIN.as_secs() / 60,
            self.id.name
        );
        let known = Known { message: Some(text), ..self.as_known(ObjectState::Error) };
        if known == self.known { Turn::Blocked(None) } else { self.note(known) }
    }

    // --- what was changed by hand

    /// Compares it with what was applied, if that was asked for.
    pub(super) fn check_turn(&mut self, context: &Context<'_>) -> Option<Step> {
        if !self.check || !self.is_checkable() || self.held_until(context.now).is_some() {
            return None;
        }
        let Some(looked) = self.looked.clone().filter(|_| context.now < self.look_at) else {
            return Some(Step::Look(self.id.clone()));
        };
        self.check = false;
        let applied = self.known.applied.as_ref();
        let is_ours = |live: &Live| applied.is_some_and(|it| it.uid == live.uid);
        let (state, message) = match looked {
            Looked::Absent => (ObjectState::Missing, None),
            Looked::Found(live) if !is_ours(&live) => (ObjectState::Drifted, Some("somebody made it anew".to_owned())),
            Looked::Found(Live { changed: None, .. }) => (ObjectState::Ready, None),
            Looked::Found(Live { changed, .. }) => (ObjectState::Drifted, changed),
        };
        let known = Known { message, ..self.as_known(state) };
        (known != self.known).then(|| self.recording(known))
    }

    // --- what is to go

    pub(super) fn removal_turn(&mut self, context: &Context<'_>) -> Turn {
        let gone = Turn::Do(Step::ObjectGone(self.id.clone()));
        match self.id.kind {
            ObjectKind::JobConfig => return self.out_of_force_turn(context, gone),
            ObjectKind::PersistentVolumeClaim if !context.volumes.contains(&self.id.name) => return gone,
            // It was never made, perhaps for want of rights, which a look needs, too.
            _ if self.known.applied.is_none() && !self.known.asked => return gone,
            _ => {}
        }
        let uid = match &self.looked {
            Some(Looked::Found(live)) => live.uid.clone(),
            _ => String::new(),
        };
        if self.may_ask {
            return Turn::Do(Step::Delete(self.id.clone(), uid));
        }
        if let Some(until) = self.held_until(context.now) {
            return Turn::Blocked(Some(until));
        }
        match self.looked.clone().filter(|_| context.now < self.look_at) {
            None => Turn::Do(Step::Look(self.id.clone())),
            Some(Looked::Absent) => gone,
            Some(Looked::Found(live)) if live.terminating => self.terminating_turn(context.now),
            Some(Looked::Found(live)) => {
                let is_applied = self.known.applied.as_ref().is_some_and(|it| it.uid == live.uid);
                let is_ours = live.whose == Ownership::Ours || live.whose == Ownership::Foreign && is_applied;
                if is_ours { self.intend(ObjectState::Removing) } else { gone }
            }
        }
    }

    /// A JobConfig leaves force, and what others have of it stays until its Jobs have ended, within a limit.
    fn out_of_force_turn(&mut self, context: &Context<'_>, gone: Turn) -> Turn {
        if self.known.applied.is_some() {
            return self.note(Known { applied: None, ..self.as_known(ObjectState::Removing) });
        }
        let name = self.id.name.as_str();
        let is_draining = context.facts.present.contains(name) && !context.facts.in_file.contains(name);
        if !is_draining || self.is_late(context.now) {
            return gone;
        }
        Turn::Blocked(self.since.map(|since| since.saturating_add(READY_WITHIN)))
    }

    // --- answers

    pub(super) fn answered(&mut self, now: Duration, step: &Step, answer: Answer) {
        match (step, answer) {
            (Step::Look(_), Answer::Looked(looked)) => self.see(now, looked),
            (Step::Note { known, .. }, Answer::Noted) => self.noted(now, known.clone()),
            // What was learnt is recorded again; what was only intended is decided anew.
            (Step::Note { known, .. }, _) if !is_intended(known) => self.unrecorded = Some(known.clone()),
            (Step::Apply(_), Answer::Applied(change, uid)) => {
                let applied = Some(Applied { hash: self.hash.clone(), uid, completed: false });
                self.unrecorded = Some(Known { result: Some(change), applied, ..self.as_known(ObjectState::Applied) });
                self.worked();
            }
            (Step::Delete(..), Answer::Deleted) => {
                self.unrecorded = Some(self.as_known(ObjectState::Removing));
                self.worked();
            }
            (Step::Look(_), Answer::Refused(message)) => self.refused(now, message, self.known.asked),
            (Step::Apply(_) | Step::Delete(..), Answer::Refused(message)) => self.refused(now, message, false),
            (Step::Apply(_) | Step::Delete(..), answer) => {
                (self.may_ask, self.looked) = (false, None);
                let wait = doubled(RETRY_MIN, TROUBLE_MAX, self.tries).max(REQUEST_TIMEOUT);
                self.doubt_until = Some(now.saturating_add(wait));
                self.tries = self.tries.saturating_add(1);
                self.trouble = if let Answer::Later(why) = answer { Some(why) } else { None };
            }
            (Step::Look(_), _) => {
                self.retry_at = Some(now.saturating_add(doubled(RETRY_MIN, LOOK_MAX, self.tries)));
                self.tries = self.tries.saturating_add(1);
            }
            _ => {}
        }
    }

    /// What was asked for is done, and is looked at.
    fn worked(&mut self) {
        (self.may_ask, self.looked, self.looks, self.trouble) = (false, None, 0, None);
    }

    fn see(&mut self, now: Duration, looked: Looked) {
        self.looked = Some(looked);
        self.look_at = now.saturating_add(doubled(LOOK_MIN, LOOK_MAX, self.looks));
        self.looks = self.looks.saturating_add(1);
    }

    /// The answer is final: nothing is on its way any more, but for what was `asked` for before a look.
    fn refused(&mut self, now: Duration, message: String, asked: bool) {
        self.may_ask = false;
        let known = Known { message: Some(message), asked, ..self.as_known(ObjectState::Error) };
        if known != self.known {
            self.unrecorded = Some(known);
        }
        self.retry_at = Some(now.saturating_add(doubled(RETRY_MIN, RETRY_MAX, self.tries)));
        self.tries = self.tries.saturating_add(1);
        (self.looked, self.check) = (None, false);
    }

    fn noted(&mut self, now: Duration, known: Known) {
        self.unrecorded = None;
        self.may_ask = is_intended(&known);
        if !known.asked {
            self.doubt_until = None;
        }
        if known.state == ObjectState::Ready {
            (self.tries, self.retry_at, self.since) = (0, None, None);
        }
        if known.state == ObjectState::Applied && self.known.state != ObjectState::Applied {
            self.since = Some(now);
        }
        if matches!(known.state, ObjectState::Drifted | ObjectState::Missing) {
            (self.looked, self.looks) = (None, 0);
        }
        self.known = known;
    }
}

/// A request is to be sent when this is on record.
fn is_intended(known: &Known) -> bool {
    known.asked && matches!(known.state, ObjectState::Applying | ObjectState::Removing)
}

/// Why an object that is there can't be taken, if it can't.
fn taken(whose: &Ownership, force: bool) -> Option<String> {
    match whose {
        Ownership::Ours => None,
        Ownership::Foreign if force => None,
        Ownership::Foreign => {
            Some("it exists and no deployment has made it: delete it, or deploy with force to take it over".to_owned())
        }
        Ownership::OfDeployment { instance, deployment } => Some(format!(
            "it exists and is of deployment {deployment} of the Instance {instance}: give one another name"
        )),
    }
}
