//! The real keep-alive in a seeded world of fakes with faults: what holds for queues, and pods that flap, readiness that
//! lies, nodes that vanish with their pods, stop during start, restart during stop, another process at any moment.
//! `SIMULATION_SEED` repeats a history, `SIMULATION_TRACE=1` prints it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use job_chief::{
    config::{jobs_file, service_config::ServiceConfig},
    decide::{
        decision::Wish,
        one_off::is_one_off,
        outcome::JobName,
        pod::names::{LABEL_CONFIG_HASH, LABEL_TYPE},
        run::{
            event::{CreateAnswer, RunEffect, RunEvent},
            policy::REQUEST_TIMEOUT,
        },
        service::{
            desired::DesiredState,
            event::{ForceDeleteAnswer, ServiceEffect, ServiceEvent},
            keep_alive::KeepAlive,
            policy::{HealthCheck, ServicePolicy},
        },
    },
};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Fate, observed},
    dice::Dice,
    faults::run_unanswered,
    service_disturb::{FAULTS, Fault},
    service_one_offs::{is_about_replicas, with_one_offs},
    states::{Matrix, States},
    store::Store,
    views::Views,
    world::secs,
};

/// The world of one history.
pub(crate) struct ServiceWorld {
    pub(crate) dice: Dice,
    pub(crate) now: Duration,
    pub(crate) life: KeepAlive,
    pub(crate) cluster: Cluster,
    pub(crate) store: Store,
    pub(crate) config: ServiceConfig,
    pub(crate) generation: u64,
    /// Replicas that were ever wanted, at the least.
    pub(crate) fewest: u32,
    pub(crate) orders: DesiredState,
    pub(crate) left: bool,
    pub(crate) store_away: bool,
    pub(crate) quiet: bool,
    pub(crate) in_flight: Vec<ServiceEffect>,
    pub(crate) answers: Vec<ServiceEvent>,
    pub(crate) late: Vec<(Wish, Duration)>,
    pub(crate) views: Views,
    pub(crate) frozen: Option<(KeepAlive, Vec<ServiceEffect>)>,
    /// Jobs of which something was wrong: these may be given up.
    pub(crate) blemished: BTreeSet<JobName>,
    /// Jobs that serve this generation and were started by this many starts.
    pub(crate) made: BTreeMap<JobName, (u64, Option<u64>)>,
    pub(crate) struck: BTreeSet<Fault>,
    /// What runs and their process were in meanwhile.
    pub(crate) seen: Matrix<{ FAULTS.len() }>,
    /// The Job that a fault hits.
    pub(crate) hit: Option<JobName>,
    /// What the run is in whose request is carried out.
    pub(crate) performed: States,
    /// Which faults there are.
    pub(crate) faults: fn(Fault) -> bool,
    /// Generations whose Jobs never come up.
    pub(crate) bad: BTreeSet<u64>,
    /// Somebody wanted a generation again that had been replaced.
    pub(crate) went_back: bool,
    /// How often people have asked for the action.
    pub(crate) asked: u64,
    /// When this process learned last that all requirements are met.
    pub(crate) met_at: Option<Duration>,
}

fn config(dice: &mut Dice) -> ServiceConfig {
    let mut entry = json!({
        "type": "service", "name": "api", "podConfig": {"image": "i"}, "replicas": 1 + dice.roll(3), "ports": if dice.once_in(2) { vec![80] } else { vec![] },
        "startTimeout": "40s", "checkInterval": "10s", "unhealthyThreshold": 1 + dice.roll(3), "stopTimeout": "5s",
        "backoff": {"max": "30s"}, "keepAlive": !dice.once_in(5),
    });
    if dice.once_in(2) {
        entry["updateStrategy"] = json!({"type": "RollingReplace"});
    }
    read(&with_one_offs(entry, dice))
}

pub(crate) fn read(entry: &Value) -> ServiceConfig {
    let file = jobs_file::load("jobs.json", &json!([entry]).to_string()).unwrap();
    file.jobs[0].service().unwrap().as_ref().clone()
}

impl ServiceWorld {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let config = config(&mut dice);
        Self::of(config, dice, seed)
    }

    pub(crate) fn of(config: ServiceConfig, dice: Dice, seed: u64) -> Self {
        let now = secs(1_700_000_000);
        let mut world = Self {
            life: KeepAlive::new(crate::policy::naming(), ServicePolicy::of(&config, "g0"), seed, now),
            dice,
            now,
            cluster: Cluster::default(),
            store: Store::default(),
            fewest: config.replicas,
            config,
            generation: 0,
            orders: DesiredState::default(),
            left: false,
            store_away: false,
            quiet: false,
            in_flight: vec![],
            answers: vec![],
            late: vec![],
            views: Views::default(),
            frozen: None,
            blemished: BTreeSet::new(),
            made: BTreeMap::new(),
            struck: BTreeSet::new(),
            seen: Matrix::default(),
            hit: None,
            performed: States::default(),
            faults: |_| true,
            bad: BTreeSet::new(),
            went_back: false,
            asked: 0,
            met_at: None,
        };
        world.feed(ServiceEvent::DeadlineReached);
        world
    }

    pub(crate) fn strikes(&mut self, fault: Fault, once_in: u64) -> bool {
        let struck = self.dice.once_in(once_in) && !self.quiet && (self.faults)(fault);
        if struck {
            self.struck.insert(fault);
            self.seen.note(fault as usize, self.states(fault));
        }
        struck
    }

    pub(crate) fn policy(&self) -> ServicePolicy {
        ServicePolicy::of(&self.config, &format!("g{}", self.generation))
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.orders.enabled && !self.orders.stopped && !self.left
    }

    pub(crate) fn feed(&mut self, event: ServiceEvent) {
        self.note_met(&event);
        let told = std::env::var_os("SIMULATION_TRACE").map(|_| format!("{event:?}"));
        if let ServiceEvent::Run(event) = &event {
            self.views.note(event);
        }
        let effects = self.life.step(self.now, [event]);
        if let Some(told) = told {
            eprintln!("{:.3} {told} -> {effects:?}", self.now.as_secs_f64());
        }
        for effect in &effects {
            let wishes = matches!(effect, ServiceEffect::Run(RunEffect::WriteWishes(wishes)) if wishes.iter().any(|wish| wish.adopted.is_none()));
            assert!(!wishes || !self.views.stale, "invariant: nothing_is_wished_by_a_view_that_is_too_old");
            let creates = wishes || matches!(effect, ServiceEffect::Run(RunEffect::CreateJob(_)));
            assert!(!creates || self.views.delivered, "invariant: nothing_is_created_before_the_first_view");
            let starts = creates && is_about_replicas(effect);
            self.check_requirements(effect);
            assert!(!starts || self.is_wanted(), "invariant: a_stopped_service_is_never_started: {effect:?}");
        }
        self.in_flight.extend(effects);
    }

    /// Of each replica one Job lives at the most; one that is on its way out counts.
    pub(crate) fn check(&self) {
        self.check_one_offs();
        let mut slots: Vec<u32> = observed(&self.cluster.snapshot(), self.now)
            .jobs
            .values()
            .filter(|job| job.is_live())
            .filter_map(|job| job.slot)
            .filter(|slot| !is_one_off(*slot))
            .collect();
        let live = slots.len();
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), live, "invariant: never_two_live_jobs_for_one_replica: {:?}", self.cluster.jobs.keys());
    }

    pub(crate) fn step(&mut self) {
        self.now += Duration::from_millis(self.dice.roll(2500));
        match self.dice.roll(16) {
            0 | 1 => self.take_view(),
            2..=4 => self.deliver_view(),
            5..=8 => self.perform_any(),
            9 => self.deliver_answer(),
            10 | 11 => self.jobs_advance(),
            12 => self.people(),
            13 => self.disturb(),
            14 => self.late_arrives(),
            _ => self.deadline(),
        }
        self.thaw();
        self.check();
    }

    pub(crate) fn deadline(&mut self) {
        if self.life.deadline().is_some_and(|at| at <= self.now) {
            self.feed(ServiceEvent::DeadlineReached);
            let next = self.life.deadline();
            assert!(next.is_none_or(|at| at > self.now), "invariant: no_deadline_is_passed_over: {next:?}");
        }
    }

    // --- views

    pub(crate) fn take_view(&mut self) {
        let mut snapshot = self.cluster.snapshot();
        let first = self.views.is_first();
        if !first && !snapshot.is_empty() && self.strikes(Fault::ViewShrinks, 40) {
            snapshot.pop_first();
        }
        self.views.put(snapshot);
    }

    pub(crate) fn deliver_view(&mut self) {
        if self.views.may_lag() && self.strikes(Fault::ViewLags, 3) {
            return;
        }
        let returned = self.views.may_return() && self.strikes(Fault::ViewReturns, 40);
        if let Some(seen) = self.views.deliver(returned, self.now) {
            self.feed(ServiceEvent::Run(RunEvent::Observed(Arc::new(seen))));
        }
    }

    // --- requests

    pub(crate) fn perform_any(&mut self) {
        let Some(effect) = self.dice.draw(&mut self.in_flight) else { return };
        if let ServiceEffect::Run(effect) = &effect {
            self.performed = States::of_request(effect);
        }
        self.perform_this(effect);
        self.performed = States::default();
    }

    fn perform_this(&mut self, effect: ServiceEffect) {
        let lost = self.strikes(Fault::RequestLost, 25);
        let answer_lost = !lost && self.strikes(Fault::AnswerLost, 25);
        if let (true, ServiceEffect::CheckHealth { name, .. }) = (lost || answer_lost, &effect) {
            self.blemished.insert(name.clone());
        }
        let to_store = matches!(
            effect,
            ServiceEffect::Run(RunEffect::LoadRuns)
                | ServiceEffect::Run(RunEffect::WriteWishes(_))
                | ServiceEffect::Run(RunEffect::WriteEnd(_))
        );
        if lost || (to_store && self.store_away) {
            return self.answer(unanswered(&effect));
        }
        if let ServiceEffect::Run(RunEffect::CreateJob(wish)) = &effect
            && !answer_lost
            && self.strikes(Fault::RequestLate, 6)
        {
            self.late.push((wish.clone(), self.now + REQUEST_TIMEOUT));
            return self.answer(unanswered(&effect));
        }
        let answers = self.perform(&effect);
        self.answer(if answer_lost { unanswered(&effect) } else { answers });
    }

    pub(crate) fn answer(&mut self, events: Vec<ServiceEvent>) {
        for event in events {
            if self.dice.once_in(3) && !self.quiet { self.answers.push(event) } else { self.feed(event) }
        }
    }

    pub(crate) fn deliver_answer(&mut self) {
        if let Some(event) = self.dice.draw(&mut self.answers) {
            self.feed(event);
        }
    }

    pub(crate) fn perform(&mut self, effect: &ServiceEffect) -> Vec<ServiceEvent> {
        let now = self.now;
        match effect {
            ServiceEffect::Run(RunEffect::LoadRuns) => {
                vec![ServiceEvent::Run(RunEvent::RunsLoaded(Some(self.store.load(now))))]
            }
            ServiceEffect::Run(RunEffect::WriteWishes(wishes)) => {
                let written = |wish: &Wish| {
                    ServiceEvent::Run(RunEvent::WishWritten(wish.name.clone(), Some(self.store.wish(wish, now))))
                };
                wishes.iter().map(written).collect()
            }
            ServiceEffect::Run(RunEffect::CreateJob(wish)) => {
                let answer = self.create(wish);
                vec![ServiceEvent::Run(RunEvent::CreateAnswered(wish.name.clone(), answer))]
            }
            ServiceEffect::Run(RunEffect::GetJob(name)) => {
                vec![ServiceEvent::Run(RunEvent::GetAnswered(name.clone(), self.cluster.check(name, now)))]
            }
            ServiceEffect::Run(RunEffect::DeleteJob { name, uid, resource_version }) => {
                self.check_delete(name, uid, resource_version.as_deref());
                let answer = self.cluster.delete(name, uid, resource_version.as_deref(), now);
                vec![ServiceEvent::Run(RunEvent::DeleteAnswered(name.clone(), answer))]
            }
            ServiceEffect::Run(RunEffect::WriteEnd(ended)) => {
                self.store.end(ended, now);
                vec![ServiceEvent::Run(RunEvent::EndWritten(ended.name.clone(), true))]
            }
            ServiceEffect::CheckHealth { name, .. } => {
                let fails = self.strikes(Fault::CheckFails, 6);
                if fails {
                    self.blemished.insert(name.clone());
                }
                vec![ServiceEvent::HealthChecked(name.clone(), if fails { Err("refused".into()) } else { Ok(()) })]
            }
            ServiceEffect::AskTargets(asking, _) => {
                let fails = self.strikes(Fault::CheckFails, 4);
                vec![ServiceEvent::TargetsAnswered(*asking, if fails { Err("refused".into()) } else { Ok(()) })]
            }
            ServiceEffect::ForceDeletePods { name, .. } => {
                if let Some(it) = self.cluster.jobs.get_mut(name) {
                    it.stuck = false;
                }
                vec![ServiceEvent::ForceDeleteAnswered(name.clone(), ForceDeleteAnswer::Deleted)]
            }
        }
    }

    /// It is rendered by what is in force when it is asked for.
    pub(crate) fn create(&mut self, wish: &Wish) -> CreateAnswer {
        let exists = self.cluster.jobs.contains_key(&wish.name);
        if !exists && self.strikes(Fault::QuotaRefuses, 25) {
            return CreateAnswer::Refused { message: "exceeded quota".into() };
        }
        let fate = match self.strikes(Fault::NeverStarts, 8) {
            true if self.dice.once_in(2) => Fate::Waits("ImagePullBackOff"),
            true => Fate::BadCommand,
            false if wish.one_off.is_none() && self.bad.contains(&self.generation) && !self.quiet => Fate::BadCommand,
            false => self.fate_of_one_off(wish),
        };
        if fate != Fate::Works {
            self.blemished.insert(wish.name.clone());
        }
        let answer = self.cluster.create(wish, "api", fate, self.now);
        if let Some(it) = self.cluster.jobs.get_mut(&wish.name).filter(|_| !exists) {
            let labels = [(LABEL_TYPE, "service".to_owned()), (LABEL_CONFIG_HASH, format!("g{}", self.generation))];
            it.job.metadata.labels = Some(labels.map(|(key, value)| (key.to_owned(), value)).into());
            self.made.insert(wish.name.clone(), (self.generation, wish.starts));
        }
        answer
    }

    pub(crate) fn late_arrives(&mut self) {
        let now = self.now;
        self.late.retain(|(_, until)| *until > now);
        if let Some((wish, _)) = self.late.pop() {
            self.create(&wish);
        }
    }

    pub(crate) fn check_delete(&self, name: &JobName, uid: &str, version: Option<&str>) {
        if self.is_one_off(name) {
            return self.check_delete_of_one_off(name, uid, version);
        }
        let Some(it) = self.cluster.jobs.get(name) else { return };
        let meta = &it.job.metadata;
        let strikes = meta.uid.as_deref() == Some(uid)
            && version.is_none_or(|version| meta.resource_version.as_deref() == Some(version));
        let (generation, starts) = self.made.get(name).copied().unwrap_or_default();
        let outdated =
            generation != self.generation || starts.is_some_and(|starts| starts < self.orders.restart_before);
        let row = self.store.rows.get(name);
        let ended = row.is_some_and(|row| row.end.is_some());
        let surplus = row.is_none_or(|row| row.slot >= self.fewest);
        let ready =
            observed(&self.cluster.snapshot(), self.now).jobs.get(name).is_some_and(|job| job.address.is_some());
        // What was decided before people changed their minds again is carried out.
        let reason = !self.is_wanted()
            || outdated
            || ended
            || surplus
            || !ready
            || self.struck.contains(&Fault::Verb)
            || self.went_back
            || (self.struck.contains(&Fault::CheckFails) && self.policy().check == Some(HealthCheck::Job))
            || self.blemished.contains(name);
        assert!(!(strikes && it.is_running()) || reason, "invariant: what_runs_and_is_wanted_is_left_alone ({name})");
    }
}

pub(crate) fn unanswered(effect: &ServiceEffect) -> Vec<ServiceEvent> {
    match effect {
        ServiceEffect::CheckHealth { name, .. } => {
            vec![ServiceEvent::HealthChecked(name.clone(), Err("no answer".into()))]
        }
        ServiceEffect::AskTargets(asking, _) => {
            vec![ServiceEvent::TargetsAnswered(*asking, Err("no answer".into()))]
        }
        ServiceEffect::ForceDeletePods { name, .. } => {
            vec![ServiceEvent::ForceDeleteAnswered(name.clone(), ForceDeleteAnswer::Unanswered)]
        }
        ServiceEffect::Run(effect) => run_unanswered(effect).into_iter().map(ServiceEvent::Run).collect(),
    }
}
