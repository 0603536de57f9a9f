//! Jobs that run once beside the replicas of a service, and what is asked before a start: what is due of them, and what
//! follows. None of it is a replica, and a replica is none of it.

use std::{collections::BTreeSet, time::Duration};

use crate::decide::{
    one_off::{OneOff, action_slot, is_one_off},
    outcome::JobName,
    run::{event::LoadedRuns, milestone::Milestone, tracked_run::Run},
    service::{
        event::{Asking, ServiceEffect},
        keep_alive::KeepAlive,
        policy::{HealthCheck, Looked},
    },
};

impl KeepAlive {
    // --- facts

    pub(super) fn note_loaded_one_offs(&mut self, loaded: &LoadedRuns, now: Duration) {
        self.one_offs.actions.note_loaded(&loaded.actions, now);
        for run in self.runs.by_name.values() {
            if let Some(OneOff::Action { name, number }) = run.purpose.one_off() {
                self.one_offs.actions.note_begun(name, *number, run.origin.decided_at);
            }
        }
        self.one_offs.external.note_loaded(loaded.repaired, &self.policy, now);
    }

    pub(super) fn note_targets_answered(&mut self, asking: Asking, answer: Result<(), Box<str>>, now: Duration) {
        match asking {
            Asking::Requirements => {
                let jitter = self.runs.jitter();
                self.one_offs.requirements.note_answer(answer, &self.policy, now, jitter);
            }
            Asking::External => {
                let wanted = self.is_wanted();
                self.one_offs.external.note_answer(answer, wanted, &self.policy, now);
            }
        }
    }

    /// What follows the end of a Job that runs once.
    pub(super) fn follow_one_off(&mut self, now: Duration, run: &Run) {
        let (Some(end), Some(one_off)) = (run.end(), run.purpose.one_off()) else { return };
        self.milestones.push(Milestone::OneOffEnded { purpose: one_off.purpose(), outcome: end.outcome });
        match one_off {
            OneOff::Action { name, .. } => self.one_offs.actions.note_ended(name, end),
            OneOff::Repair => {
                let jitter = self.runs.jitter();
                self.one_offs.external.note_repaired(end, &self.policy, now, jitter);
            }
            OneOff::Check => {
                let (mut about, answer) = self.one_offs.checks.note_ended(end, &self.policy, now);
                let Some(answer) = answer else { return };
                if answer.is_err() {
                    self.spare_outdated(&mut about);
                }
                for name in &about {
                    if let (Some(it), Some(run)) = (self.health.get_mut(name), self.runs.by_name.get(name)) {
                        it.note_checked(answer.clone(), run, &self.policy, now);
                    }
                }
                if self.policy.external.is_some() {
                    let wanted = self.is_wanted();
                    self.one_offs.external.note_answer(answer, wanted, &self.policy, now);
                }
            }
        }
    }

    /// A check that fails while replicas are rolled tells against the new ones; else a bad generation would take the good
    /// ones with it.
    fn spare_outdated(&self, about: &mut BTreeSet<JobName>) {
        let is_new = |name: &JobName| self.runs.by_name.get(name).is_some_and(|run| !self.is_outdated(run));
        if about.iter().any(is_new) {
            about.retain(is_new);
        }
    }

    // --- what follows

    /// Whatever is due of them; `due` are the replicas that wait for a check that is a Job.
    pub(super) fn advance_one_offs(&mut self, now: Duration, due: BTreeSet<JobName>, effects: &mut Vec<ServiceEffect>) {
        if self.runs.stopping {
            return;
        }
        self.forget_what_nobody_asks();
        if self.job_check_due(!due.is_empty(), now).is_some_and(|at| at <= now) {
            self.one_offs.checks.begin(due);
            self.begin_one_off(OneOff::Check, now);
        }
        if self.external_check_at().is_some_and(|at| at <= now)
            && let Some(Looked::Target(target)) = &self.policy.external
        {
            effects.push(ServiceEffect::AskTargets(Asking::External, [target.clone()].into()));
            self.one_offs.external.note_asked();
        }
        if self.repair_at().is_some_and(|at| at <= now) {
            self.begin_one_off(OneOff::Repair, now);
        }
        while let Some(action) = self.next_action(now) {
            self.begin_one_off(action, now);
        }
    }

    /// What was found out is of use as long as it is asked; jobs.json may ask it no more.
    fn forget_what_nobody_asks(&mut self) {
        let (wanted, policy) = (self.is_wanted(), &self.policy);
        let by_job = policy.check == Some(HealthCheck::Job) || policy.external == Some(Looked::Job);
        if !wanted || policy.requirements.is_empty() || self.has_no_start_ahead() {
            self.one_offs.requirements.forget();
        }
        if !wanted || self.policy.external.is_none() {
            self.one_offs.external.forget();
        }
        if !by_job {
            self.one_offs.checks.forget();
        }
    }

    fn begin_one_off(&mut self, one_off: OneOff, now: Duration) {
        let name = self.runs.next_name();
        self.runs.by_name.insert(name.clone(), Run::one_off(name, one_off, now));
    }

    fn next_action(&mut self, now: Duration) -> Option<OneOff> {
        let (running, runs) = (self.is_all_up(), &self.runs);
        let is_free = |name: &str| runs.may_create() && !runs.is_taken(action_slot(name));
        self.one_offs.actions.begin(&self.policy, running, is_free, now)
    }

    /// When something of them is due that no event brings.
    pub(super) fn one_offs_deadline(&self) -> Option<Duration> {
        if self.runs.stopping {
            return None;
        }
        let runs = &self.runs;
        let is_free = |name: &str| !runs.is_taken(action_slot(name));
        let actions = self.one_offs.actions.deadline(&self.policy, self.is_all_up(), is_free);
        let waiting = self.health.iter().filter_map(|(name, it)| it.job_check_at(self.runs.by_name.get(name)?));
        let is_by_job = self.policy.check == Some(HealthCheck::Job);
        let check = waiting.min().filter(|_| is_by_job).and_then(|at| Some(self.job_check_due(true, at)?.max(at)));
        let own = self.job_check_due(false, Duration::ZERO);
        [actions.filter(|_| self.runs.may_create()), check, own, self.external_check_at(), self.repair_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the next check that is a Job may be begun, where replicas wait for one or the service runs elsewhere.
    fn job_check_due(&self, replicas_wait: bool, at: Duration) -> Option<Duration> {
        let external = self.external_at().filter(|_| self.policy.external == Some(Looked::Job));
        let due = if replicas_wait { Some(at) } else { external };
        let free = !self.runs.is_taken(OneOff::Check.slot()) && self.runs.may_create();
        due.filter(|_| free).map(|due| due.max(self.one_offs.checks.next_at()))
    }

    /// When a service that runs elsewhere is looked at, in whatever way.
    fn external_at(&self) -> Option<Duration> {
        let may_begin = self.one_offs.external.has_begun() || self.waits_for.start_after.is_none();
        let looks = self.policy.external.is_some() && self.is_wanted() && may_begin && !self.is_repairing();
        self.one_offs.external.check_at().filter(|_| looks)
    }

    fn external_check_at(&self) -> Option<Duration> {
        self.external_at().filter(|_| matches!(self.policy.external, Some(Looked::Target(_))))
    }

    fn repair_at(&self) -> Option<Duration> {
        let may = self.policy.repairs && self.is_wanted() && !self.is_repairing() && self.runs.may_create();
        self.one_offs.external.repair_at(&self.policy).filter(|_| may)
    }

    /// A repair is under way.
    pub(super) fn is_repairing(&self) -> bool {
        self.runs.is_taken(OneOff::Repair.slot())
    }

    /// It is to be up, and is.
    pub(super) fn is_all_up(&self) -> bool {
        let up = match self.policy.external {
            Some(_) => self.one_offs.external.is_up(),
            None => self.up() >= self.policy.replicas,
        };
        up && self.is_wanted()
    }

    /// No replica waits to be started, or to be replaced.
    fn has_no_start_ahead(&self) -> bool {
        !self.rolls_once_met && (0..self.policy.replicas).all(|slot| self.runs.is_taken(slot) || self.is_spent(slot))
    }

    /// Runs that are replicas, or were found beyond them.
    pub(super) fn replica_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.by_name.values().filter(|run| !is_one_off(run.slot))
    }
}
