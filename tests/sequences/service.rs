//! One service in a world that answers each effect at once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use job_chief::{
    config::{entry::Kind, jobs_file, service_config::ServiceConfig},
    decide::{
        outcome::{JobName, Outcome, Reason},
        pod::observation::{Observed, Phase, SeenJob},
        run::event::{CreateAnswer, DeleteAnswer, GetAnswer, LoadedRuns, RunEffect, RunEvent, WishAnswer},
        service::{
            desired::DesiredState,
            event::{Asking, ForceDeleteAnswer, ServiceEffect, ServiceEvent},
            keep_alive::KeepAlive,
            policy::ServicePolicy,
            state::ServiceState,
        },
    },
};
use serde_json::{Value, json};

use crate::script::{SECOND, ended, starting};

/// One service with its cluster.
pub(crate) struct Service {
    pub(crate) life: KeepAlive,
    pub(crate) now: Duration,
    pub(crate) jobs: BTreeMap<JobName, SeenJob>,
    /// Names that are asked for and wait for [`Self::probed`].
    probes: Vec<JobName>,
    /// Targets that are asked and wait for [`Self::targets_answer`].
    asked: Vec<Asking>,
    /// What the store has of one-off Jobs.
    pub(crate) loaded: LoadedRuns,
    pub(crate) refuses: bool,
    pub(crate) generation: String,
    pub(crate) transcript: Vec<String>,
}

pub(crate) fn config(keys: &Value) -> ServiceConfig {
    let mut entry = json!({"type": "service", "name": "api", "podConfig": {"image": "i"}});
    jobs_file::lay_over(&mut entry, keys.clone());
    // Whoever says null of its pods means a service that runs elsewhere.
    if let Some(keys) = entry.as_object_mut().filter(|keys| keys["podConfig"].is_null()) {
        keys.remove("podConfig");
    }
    let other = |name| json!({"type": "service", "name": name, "podConfig": {"image": "i"}});
    let text = json!({"pools": {"gpu": {"jobs": 9}}, "jobs": [entry, other("redis"), other("db")]}).to_string();
    let file = jobs_file::load("jobs.json", &text).unwrap_or_else(|problems| panic!("{problems}"));
    file.jobs[0].service().unwrap().as_ref().clone()
}

pub(crate) fn policy(keys: &Value, generation: &str) -> ServicePolicy {
    ServicePolicy::of(&config(keys), generation)
}

impl Service {
    pub(crate) fn begin(keys: &Value) -> Self {
        let now = 1_000_000 * SECOND;
        let mut service = Self::of(KeepAlive::new(crate::script::naming(), policy(keys, "g1"), 1, now), now);
        service.feed(ServiceEvent::DeadlineReached);
        service.view();
        service
    }

    pub(crate) fn of(life: KeepAlive, now: Duration) -> Self {
        let (jobs, probes, transcript) = (BTreeMap::new(), vec![], vec![]);
        let (asked, loaded) = (vec![], LoadedRuns::default());
        Self { life, now, jobs, probes, asked, loaded, refuses: false, generation: "g1".into(), transcript }
    }

    pub(crate) fn feed(&mut self, event: ServiceEvent) {
        for effect in self.life.step(self.now, [event]) {
            self.transcript.push(format!("{:?} {effect:?}", self.now));
            self.answer(effect);
        }
        let mut slots: Vec<_> = self.jobs.values().filter(|job| job.is_live()).map(|job| job.slot).collect();
        slots.sort_unstable();
        let live = slots.len();
        slots.dedup();
        assert_eq!(slots.len(), live, "two live Jobs for one replica: {:?}", self.jobs);
    }

    pub(crate) fn answer(&mut self, effect: ServiceEffect) {
        match effect {
            ServiceEffect::Run(RunEffect::LoadRuns) => {
                self.feed(ServiceEvent::Run(RunEvent::RunsLoaded(Some(self.loaded.clone()))))
            }
            ServiceEffect::Run(RunEffect::WriteWishes(wishes)) => {
                wishes.into_iter().for_each(|wish| {
                    self.feed(ServiceEvent::Run(RunEvent::WishWritten(wish.name, Some(WishAnswer::Written))))
                });
            }
            ServiceEffect::Run(RunEffect::CreateJob(wish)) if self.refuses => {
                self.feed(ServiceEvent::Run(RunEvent::CreateAnswered(
                    wish.name,
                    CreateAnswer::Refused { message: "quota".into() },
                )));
            }
            ServiceEffect::Run(RunEffect::CreateJob(wish)) => {
                let uid: Box<str> = wish.name.0.as_str().into();
                self.jobs.insert(wish.name.clone(), job(&uid, wish.slot, &self.generation));
                self.feed(ServiceEvent::Run(RunEvent::CreateAnswered(wish.name, CreateAnswer::Exists { uid })));
                self.view();
            }
            ServiceEffect::Run(RunEffect::GetJob(name)) => {
                let found =
                    self.jobs.get(&name).map_or(GetAnswer::Absent, |job| GetAnswer::Found(Box::new(job.clone())));
                self.feed(ServiceEvent::Run(RunEvent::GetAnswered(name, found)));
            }
            ServiceEffect::Run(RunEffect::DeleteJob { name, .. }) => {
                match self.jobs.get_mut(&name) {
                    Some(job) if job.is_live() => job.terminating = Some(Duration::ZERO),
                    _ => drop(self.jobs.remove(&name)),
                }
                self.feed(ServiceEvent::Run(RunEvent::DeleteAnswered(name, DeleteAnswer::Accepted)));
                self.view();
            }
            ServiceEffect::Run(RunEffect::WriteEnd(ended)) => {
                self.feed(ServiceEvent::Run(RunEvent::EndWritten(ended.name, true)))
            }
            ServiceEffect::CheckHealth { name, .. } => self.probes.push(name),
            ServiceEffect::AskTargets(asking, _) => self.asked.push(asking),
            ServiceEffect::ForceDeletePods { name, .. } => {
                self.feed(ServiceEvent::ForceDeleteAnswered(name, ForceDeleteAnswer::Forbidden))
            }
        }
    }

    pub(crate) fn view(&mut self) {
        self.feed(ServiceEvent::Run(RunEvent::Observed(Arc::new(Observed { jobs: self.jobs.clone() }))));
    }

    /// The live Jobs become this.
    pub(crate) fn all_become(&mut self, phase: &Phase, address: Option<&str>) {
        for job in self.jobs.values_mut().filter(|job| job.is_live()) {
            job.phase = phase.clone();
            job.address = address.map(Into::into);
        }
        self.view();
    }

    pub(crate) fn all_run(&mut self) {
        self.all_become(&Phase::Running { age: Duration::ZERO }, Some("10.0.0.1"));
    }

    pub(crate) fn all_end(&mut self, outcome: Outcome, reason: Reason) {
        self.all_become(&ended(outcome, reason), None);
    }

    /// Jobs that are on their way out are gone.
    pub(crate) fn gone(&mut self) {
        if self.jobs.values().any(|job| job.terminating.is_some()) {
            self.jobs.retain(|_, job| job.terminating.is_none());
            self.view();
        }
    }

    pub(crate) fn probed(&mut self, answer: Result<(), &str>) {
        for name in std::mem::take(&mut self.probes) {
            self.feed(ServiceEvent::HealthChecked(name, answer.map_err(Into::into)));
        }
    }

    /// The targets that are asked answer.
    pub(crate) fn targets_answer(&mut self, answer: Result<(), &str>) -> usize {
        let asked = std::mem::take(&mut self.asked);
        let count = asked.len();
        for asking in asked {
            self.feed(ServiceEvent::TargetsAnswered(asking, answer.map_err(Into::into)));
        }
        count
    }

    /// Time goes on to this long from now, deadline by deadline.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.life.deadline().filter(|at| *at <= end) {
            self.go_on_to(self.now.max(at));
            self.feed(ServiceEvent::DeadlineReached);
            assert!(self.life.deadline().is_none_or(|next| next > self.now), "a deadline is passed over");
        }
        self.go_on_to(end);
        self.feed(ServiceEvent::DeadlineReached);
    }

    pub(crate) fn go_on_to(&mut self, now: Duration) {
        for job in self.jobs.values_mut() {
            if let Phase::Starting { age, .. } = &mut job.phase {
                *age += now - self.now;
            }
        }
        self.now = now;
    }

    pub(crate) fn order(&mut self, orders: DesiredState) {
        self.feed(ServiceEvent::Desired(orders));
    }

    pub(crate) fn live(&self) -> Vec<&str> {
        self.jobs
            .iter()
            .filter(|(_, job)| job.is_live() && job.terminating.is_none())
            .map(|(name, _)| name.0.as_str())
            .collect()
    }

    pub(crate) fn state(&self) -> (ServiceState, u32) {
        let status = self.life.status(self.now);
        (status.state, status.ready)
    }

    pub(crate) fn error(&self) -> String {
        self.life.status(self.now).error.unwrap_or_default()
    }
}

pub(crate) fn job(uid: &str, slot: u32, generation: &str) -> SeenJob {
    SeenJob {
        uid: uid.into(),
        resource_version: "1".into(),
        kind: Kind::Service,
        config_hash: generation.into(),
        slot: Some(slot),
        phase: starting(),
        ..SeenJob::default()
    }
}
