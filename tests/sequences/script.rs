//! The stage of the scripts: a lifecycle, a cluster that does as it is told, and a queue whose counts a script says.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use job_chief::{
    config::job_config::JobConfig,
    decide::{
        digest::StartProblem,
        event::{CheckAnswer, CreateAnswer, DeleteAnswer, Effect, Event, LoadedRun, LoadedRuns, WishAnswer},
        lifecycle::Lifecycle,
        notes::Note,
        observation::{Observed, Phase, SeenJob},
        policy::Policy,
        run::{End, JobName, Outcome, Reason},
        scale::Look,
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
    pub(crate) notes: Vec<Note>,
    /// Every effect with its time.
    pub(crate) transcript: Vec<String>,
    pub(crate) pending_look: bool,
    pub(crate) refuses: bool,
    /// What a look says of the next message that can't be fetched yet.
    pub(crate) next_in: Option<Duration>,
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

impl Script {
    pub(crate) fn begin(keys: Value) -> Self {
        Self::restart(keys, vec![], BTreeMap::new())
    }

    /// With jitter of its own.
    pub(crate) fn seeded(keys: Value, seed: u64) -> Self {
        Self::made(&config(keys), seed, vec![], BTreeMap::new())
    }

    pub(crate) fn restart(keys: Value, unfinished: Vec<LoadedRun>, jobs: BTreeMap<JobName, SeenJob>) -> Self {
        Self::of(&config(keys), unfinished, jobs)
    }

    pub(crate) fn of(config: &JobConfig, unfinished: Vec<LoadedRun>, jobs: BTreeMap<JobName, SeenJob>) -> Self {
        Self::made(config, 7, unfinished, jobs)
    }

    fn made(config: &JobConfig, seed: u64, unfinished: Vec<LoadedRun>, jobs: BTreeMap<JobName, SeenJob>) -> Self {
        let now = Duration::from_secs(1_700_000_000);
        let life = Lifecycle::new(Policy::of(config, "i"), seed, now);
        let mut script = Self {
            life,
            now,
            jobs,
            ends: vec![],
            notes: vec![],
            transcript: vec![],
            pending_look: false,
            refuses: false,
            next_in: None,
        };
        script.feed(Event::DeadlineReached);
        script.feed(Event::RunsLoaded(Some(LoadedRuns { unfinished, ..LoadedRuns::default() })));
        script.show();
        script
    }

    pub(crate) fn feed(&mut self, event: Event) {
        for effect in self.life.step(self.now, [event]) {
            self.transcript.push(format!("{:?} {effect:?}", self.now));
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::LoadRuns => {}
            Effect::ReadDepth(_) => self.pending_look = true,
            Effect::WriteWishes(wishes) => {
                for wish in wishes {
                    self.feed(Event::WishWritten(wish.name, Some(WishAnswer::Written)));
                }
            }
            Effect::CreateJob(wish) if self.refuses => {
                self.feed(Event::CreateAnswered(wish.name, CreateAnswer::Refused { message: "quota".into() }));
            }
            Effect::CreateJob(wish) => {
                let uid: Box<str> = wish.name.0.as_str().into();
                let job = SeenJob {
                    uid: uid.clone(),
                    resource_version: "1".into(),
                    slot: Some(wish.slot),
                    phase: starting(),
                    ..SeenJob::default()
                };
                self.jobs.insert(wish.name.clone(), job);
                self.feed(Event::CreateAnswered(wish.name, CreateAnswer::Exists { uid }));
            }
            Effect::CheckJob(name) => {
                let answer =
                    self.jobs.get(&name).map_or(CheckAnswer::Absent, |job| CheckAnswer::Found(Box::new(job.clone())));
                self.feed(Event::Checked(name, answer));
            }
            Effect::DeleteJob { name, .. } => {
                self.jobs.remove(&name);
                self.feed(Event::DeleteAnswered(name, DeleteAnswer::Accepted));
            }
            Effect::Probe { .. } | Effect::KillPods { .. } => unreachable!("a queue has no checks"),
            Effect::WriteNotes(notes) => {
                self.notes.extend(notes);
                self.feed(Event::NotesWritten(true));
            }
            Effect::WriteEnd(ended) => {
                self.ends.push(ended.end);
                self.feed(Event::EndWritten(ended.name, true));
            }
        }
    }

    /// The watch shows the cluster as it is.
    pub(crate) fn show(&mut self) {
        self.feed(Event::Observed(Arc::new(Observed { jobs: self.jobs.clone() })));
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
            self.feed(Event::DeadlineReached);
        }
        self.pending_look
    }

    /// The next look finds these counts. Returns how many Jobs it creates.
    pub(crate) fn look(&mut self, old: u64, new: u64) -> usize {
        assert!(self.looks_within(30 * SECOND), "no look within 30 s: {:?}", self.life.status(self.now));
        self.pending_look = false;
        let before = self.jobs.len();
        let at_us = i64::try_from(self.now.as_micros()).unwrap();
        self.feed(Event::DepthRead(Some(Look {
            old,
            new,
            limit: 100,
            at_us,
            next_in: self.next_in,
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
