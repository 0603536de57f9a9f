//! The stage of the scripts: a lifecycle, a cluster that does as it is told, and a queue whose counts a script says.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use job_chief::{
    config::job_config::JobConfig,
    decide::{
        outcome::{End, JobName, Outcome, Reason},
        pod::{
            digest::StartProblem,
            names::Naming,
            observation::{Observed, Phase, SeenJob},
        },
        queue::{
            event::{LogEntry, QueueEffect, QueueEvent},
            lifecycle::Lifecycle,
            policy::QueuePolicy,
            scale::Look,
        },
        run::event::{CreateAnswer, DeleteAnswer, GetAnswer, LoadedRun, LoadedRuns, RunEffect, RunEvent, WishAnswer},
    },
};
use serde_json::{Value, json};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A lifecycle, a cluster that does as it is told, and a queue whose counts the script says.
pub(crate) struct Script {
    pub(crate) life: Lifecycle,
    pub(crate) now: Duration,
    pub(crate) jobs: BTreeMap<JobName, SeenJob>,
    pub(crate) ends: Vec<End>,
    pub(crate) notes: Vec<LogEntry>,
    /// Every effect with its time.
    pub(crate) transcript: Vec<String>,
    pub(crate) pending_look: bool,
    pub(crate) refuses: bool,
    /// When the gauges were read for themselves.
    pub(crate) gauges_at: Vec<Duration>,
    /// What a look says of the next message that can't be fetched yet.
    pub(crate) next_in: Option<Duration>,
    /// What a look says of the oldest message.
    pub(crate) oldest_age: Option<Duration>,
}

pub(crate) fn config(keys: Value) -> JobConfig {
    let mut config =
        json!({"queueName": "q", "podConfig": {"image": "i"}, "maxConcurrentJobs": 4, "queueCheckInterval": "10s"});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    serde_json::from_value(config).unwrap()
}

pub(crate) fn running() -> Phase {
    Phase::Running { age: Duration::ZERO }
}

pub(crate) fn starting() -> Phase {
    Phase::Starting { age: Duration::ZERO, problem: None }
}

pub(crate) fn ended(outcome: Outcome, reason: Reason) -> Phase {
    Phase::Ended { end: End::new(outcome, reason), terminal: true, explained: true, age: Duration::ZERO }
}

pub(crate) fn problem(reason: Reason, word: &str) -> Phase {
    let problem = Some(StartProblem { reason, word: word.into(), message: "".into() });
    Phase::Starting { age: Duration::ZERO, problem }
}

/// Whose Jobs they are.
pub(crate) fn naming() -> Naming {
    Naming::new("i", "q")
}

impl Script {
    pub(crate) fn begin(keys: Value) -> Self {
        Self::restart(keys, vec![], BTreeMap::new())
    }

    /// With jitter of its own.
    pub(crate) fn seeded(keys: Value, seed: u64) -> Self {
        Self::made(QueuePolicy::of(&config(keys)), seed, vec![], BTreeMap::new())
    }

    pub(crate) fn restart(keys: Value, unfinished: Vec<LoadedRun>, jobs: BTreeMap<JobName, SeenJob>) -> Self {
        Self::of(&config(keys), unfinished, jobs)
    }

    pub(crate) fn of(config: &JobConfig, unfinished: Vec<LoadedRun>, jobs: BTreeMap<JobName, SeenJob>) -> Self {
        Self::made(QueuePolicy::of(config), 7, unfinished, jobs)
    }

    pub(crate) fn made(
        policy: QueuePolicy,
        seed: u64,
        unfinished: Vec<LoadedRun>,
        jobs: BTreeMap<JobName, SeenJob>,
    ) -> Self {
        let now = Duration::from_secs(1_700_000_000);
        let life = Lifecycle::new(naming(), policy, seed, now);
        let mut script = Self {
            life,
            now,
            jobs,
            ends: vec![],
            notes: vec![],
            transcript: vec![],
            pending_look: false,
            refuses: false,
            gauges_at: vec![],
            next_in: None,
            oldest_age: None,
        };
        script.feed(QueueEvent::DeadlineReached);
        script.feed(QueueEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns { unfinished, ..LoadedRuns::default() }))));
        script.show();
        script
    }

    pub(crate) fn feed(&mut self, event: QueueEvent) {
        for effect in self.life.step(self.now, [event]) {
            self.transcript.push(format!("{:?} {effect:?}", self.now));
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: QueueEffect) {
        match effect {
            QueueEffect::Run(RunEffect::LoadRuns) => {}
            QueueEffect::ReadDepth(_) => self.pending_look = true,
            QueueEffect::ReadGauges(_) => {
                self.gauges_at.push(self.now);
                self.feed(QueueEvent::GaugesRead(true));
            }
            QueueEffect::Run(RunEffect::WriteWishes(wishes)) => {
                for wish in wishes {
                    self.feed(QueueEvent::Run(RunEvent::WishWritten(wish.name, Some(WishAnswer::Written))));
                }
            }
            QueueEffect::Run(RunEffect::CreateJob(wish)) if self.refuses => {
                self.feed(QueueEvent::Run(RunEvent::CreateAnswered(
                    wish.name,
                    CreateAnswer::Refused { message: "quota".into() },
                )));
            }
            QueueEffect::Run(RunEffect::CreateJob(wish)) => {
                let uid: Box<str> = wish.name.0.as_str().into();
                let job = SeenJob {
                    uid: uid.clone(),
                    resource_version: "1".into(),
                    slot: Some(wish.slot),
                    phase: starting(),
                    ..SeenJob::default()
                };
                self.jobs.insert(wish.name.clone(), job);
                self.feed(QueueEvent::Run(RunEvent::CreateAnswered(wish.name, CreateAnswer::Exists { uid })));
            }
            QueueEffect::Run(RunEffect::GetJob(name)) => {
                let answer =
                    self.jobs.get(&name).map_or(GetAnswer::Absent, |job| GetAnswer::Found(Box::new(job.clone())));
                self.feed(QueueEvent::Run(RunEvent::GetAnswered(name, answer)));
            }
            QueueEffect::Run(RunEffect::DeleteJob { name, .. }) => {
                self.jobs.remove(&name);
                self.feed(QueueEvent::Run(RunEvent::DeleteAnswered(name, DeleteAnswer::Accepted)));
            }
            QueueEffect::WriteLog(notes) => {
                self.notes.extend(notes);
                self.feed(QueueEvent::LogWritten(true));
            }
            QueueEffect::Run(RunEffect::WriteEnd(ended)) => {
                self.ends.push(ended.end);
                self.feed(QueueEvent::Run(RunEvent::EndWritten(ended.name, true)));
            }
        }
    }

    /// The watch shows the cluster as it is.
    pub(crate) fn show(&mut self) {
        self.feed(QueueEvent::Run(RunEvent::Observed(Arc::new(Observed { jobs: self.jobs.clone() }))));
    }

    /// Time goes on, deadline by deadline, until the lifecycle looks or `wait` is over. True if it looks.
    pub(crate) fn looks_within(&mut self, wait: Duration) -> bool {
        let end = self.now + wait;
        while !self.pending_look && self.now < end {
            let next = self.life.deadline().unwrap_or(end).clamp(self.now, end);
            let passed = next - self.now;
            self.now = next;
            for job in self.jobs.values_mut() {
                grow_older(&mut job.phase, passed);
            }
            self.feed(QueueEvent::DeadlineReached);
        }
        self.pending_look
    }

    /// The next look finds these counts. Returns how many Jobs it creates.
    pub(crate) fn look(&mut self, old: u64, new: u64) -> usize {
        assert!(self.looks_within(30 * SECOND), "no look within 30 s: {:?}", self.life.status(self.now));
        self.pending_look = false;
        let before = self.jobs.len();
        let at_us = i64::try_from(self.now.as_micros()).unwrap();
        self.feed(QueueEvent::DepthRead(Some(Look {
            old,
            new,
            limit: 100,
            at_us,
            next_in: self.next_in,
            oldest_age: self.oldest_age,
            ..Look::default()
        })));
        let created = self.jobs.len() - before;
        self.show();
        created
    }

    /// Every Job is in this phase from now on.
    pub(crate) fn all(&mut self, phase: &Phase) {
        for job in self.jobs.values_mut() {
            job.phase = phase.clone();
            if let Phase::Running { age } = phase {
                job.ran = Some(*age);
            }
        }
        self.show();
    }

    /// Every new Job is in this phase, and grows older in it.
    pub(crate) fn become_once(&mut self, phase: &Phase) {
        for job in self.jobs.values_mut().filter(|job| &*job.resource_version == "1") {
            job.phase = phase.clone();
            job.resource_version = "2".into();
        }
        self.show();
    }

    pub(crate) fn wait(&mut self, wait: Duration) {
        assert!(!self.looks_within(wait), "a look came early: {:?}", self.life.status(self.now));
    }
}

fn grow_older(phase: &mut Phase, by: Duration) {
    match phase {
        Phase::Starting { age, .. } | Phase::Running { age } | Phase::Ended { age, .. } => *age += by,
        Phase::Queued | Phase::Suspended => {}
    }
}

/// An unfinished run of a queue, as the store knows it.
pub(crate) fn on_record(name: &str, slot: u32, age: Duration) -> LoadedRun {
    let name = JobName(name.into());
    LoadedRun { name, slot, uid: None, age, begun_at: None, starts: None, one_off: None, places: [].into() }
}
