//! The stage of cases that give every answer themselves.

use std::{sync::Arc, time::Duration};

use job_chief::decide::{
    outcome::JobName,
    pod::observation::{Observed, Phase, SeenJob},
    queue::{
        event::{QueueEffect, QueueEvent},
        lifecycle::Lifecycle,
        policy::QueuePolicy,
        scale::Look,
    },
    run::event::{LoadedRuns, RunEffect, RunEvent, WishAnswer},
};
use serde_json::{Value, json};

use crate::script::{SECOND, config};

/// A lifecycle whose every answer the case gives.
pub(crate) struct Bare {
    pub(crate) life: Lifecycle,
    pub(crate) now: Duration,
}

impl Bare {
    pub(crate) fn begin() -> Self {
        Self::of(json!({"maxConcurrentJobs": 1}))
    }

    pub(crate) fn of(keys: Value) -> Self {
        let now = Duration::from_secs(1_700_000_000);
        Self { life: Lifecycle::new(crate::script::naming(), QueuePolicy::of(&config(keys)), 7, now), now }
    }

    pub(crate) fn feed(&mut self, event: QueueEvent) -> Vec<QueueEffect> {
        self.life.step(self.now, [event])
    }

    /// Begun without a run on record, and the first view has these Jobs.
    pub(crate) fn found(&mut self, jobs: &[(&str, SeenJob)]) -> Vec<RunEffect> {
        self.feed(QueueEvent::DeadlineReached);
        self.run(RunEvent::RunsLoaded(Some(LoadedRuns::default())));
        let jobs = jobs.iter().map(|(name, job)| (JobName((*name).into()), job.clone())).collect();
        self.run(RunEvent::Observed(Arc::new(Observed { jobs })))
    }

    /// Begun, looked, and the wish of the one Job is written: its name, asked for.
    pub(crate) fn asked(&mut self) -> JobName {
        self.feed(QueueEvent::DeadlineReached);
        self.feed(QueueEvent::Run(RunEvent::RunsLoaded(Some(LoadedRuns::default()))));
        let effects = self.feed(QueueEvent::Run(RunEvent::Observed(Arc::new(Observed::default()))));
        assert!(matches!(effects[..], [QueueEffect::ReadDepth(_)]), "{effects:?}");
        let look = Look { old: 1, limit: 100, at_us: 1, oldest_age: Some(3 * SECOND), ..Look::default() };
        let effects = self.feed(QueueEvent::DepthRead(Some(look)));
        let Some(QueueEffect::Run(RunEffect::WriteWishes(wishes))) = effects.first() else { panic!("{effects:?}") };
        let name = wishes[0].name.clone();
        let effects = self.feed(QueueEvent::Run(RunEvent::WishWritten(name.clone(), Some(WishAnswer::Written))));
        assert!(matches!(effects[..], [QueueEffect::Run(RunEffect::CreateJob(_))]), "{effects:?}");
        name
    }

    /// Feeds what happens to a run, and returns what that asks for.
    pub(crate) fn run(&mut self, event: RunEvent) -> Vec<RunEffect> {
        runs_of(self.feed(QueueEvent::Run(event)))
    }

    /// Goes on to the next deadline, and returns what is asked for then.
    pub(crate) fn run_due(&mut self) -> Vec<RunEffect> {
        self.now = self.life.deadline().unwrap().max(self.now);
        runs_of(self.feed(QueueEvent::DeadlineReached))
    }

    /// The views show the Job so.
    pub(crate) fn see(&mut self, name: &JobName, phase: Phase) -> Vec<RunEffect> {
        self.run(RunEvent::Observed(Arc::new(Observed { jobs: [(name.clone(), seen(phase))].into() })))
    }
}

fn runs_of(effects: Vec<QueueEffect>) -> Vec<RunEffect> {
    let of_run = |effect| match effect {
        QueueEffect::Run(effect) => Some(effect),
        _ => None,
    };
    effects.into_iter().filter_map(of_run).collect()
}

/// A Job as the views show it.
pub(crate) fn seen(phase: Phase) -> SeenJob {
    SeenJob { uid: "u".into(), resource_version: "1".into(), slot: Some(0), phase, ..SeenJob::default() }
}
