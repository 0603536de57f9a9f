//! A forecast: what is known, the configuration that is in force, and another one beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    config::job_config::JobConfig,
    decide::forecast::{
        history::{Known, QueueHistory, Span},
        replay::{MemberInput, QueueInput, Replay, Replayed},
        report::{Configs, Outcomes, Report},
        worker::{WorkerModel, work},
    },
};

/// A configuration that is replayed.
struct Scenario {
    configs: Configs,
    /// For each of them its queue.
    queues: Vec<usize>,
    replay: Replay,
    over: bool,
}

/// A forecast that is under way.
pub struct Forecast {
    known: Known,
    names: Vec<String>,
    models: BTreeMap<String, Arc<WorkerModel>>,
    today: Scenario,
    changed: Option<Scenario>,
}

impl Forecast {
    /// Of the configuration that is in force, and of another one if one is asked for. Workers behave as they did.
    pub fn begin(known: Known, today: Configs, changed: Option<Configs>) -> Self {
        let all: Vec<&Arc<JobConfig>> = today.iter().chain(changed.iter().flatten()).collect();
        let names: BTreeSet<&String> = all.iter().map(|config| &config.queue_name).collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
        let models = models(&known, &all);
        let inputs: Vec<QueueInput> = names.iter().map(|name| input(known.queues.get(name))).collect();
        let scenario = |configs: Configs| Scenario::begin(known.span, configs, &names, &inputs, &models);
        let (today, changed) = (scenario(today), changed.map(scenario));
        Self { today, changed, names, models, known }
    }

    /// Goes on for so many moments; true once it is over.
    pub fn run(&mut self, moments: usize) -> bool {
        let mut all = std::iter::once(&mut self.today).chain(&mut self.changed);
        match all.find(|scenario| !scenario.over) {
            Some(scenario) => {
                scenario.over = scenario.replay.run(moments);
                false
            }
            None => true,
        }
    }

    /// What has come of it.
    pub fn report(self) -> Report {
        let outcomes = |scenario: Scenario| {
            let Scenario { configs, queues, replay, .. } = scenario;
            let replayed: Replayed = replay.result();
            Outcomes { configs, queues, replayed }
        };
        Report::of(&self.known, (&self.names, &self.models), outcomes(self.today), self.changed.map(outcomes))
    }
}

impl Scenario {
    fn begin(
        span: Span,
        configs: Configs,
        names: &[String],
        inputs: &[QueueInput],
        models: &BTreeMap<String, Arc<WorkerModel>>,
    ) -> Self {
        let place = |config: &Arc<JobConfig>| names.iter().position(|name| *name == config.queue_name);
        let queues: Vec<usize> = configs.iter().map(|config| place(config).expect("its queue is among them")).collect();
        let member = |(config, queue): (&Arc<JobConfig>, &usize)| MemberInput {
            config: config.clone(),
            queue: *queue,
            model: models.get(&config.name).expect("each has one").clone(),
        };
        let members: Vec<MemberInput> = configs.iter().zip(&queues).map(member).collect();
        Self { replay: Replay::new(span, inputs, &members), configs, queues, over: false }
    }
}

fn input(history: Option<&QueueHistory>) -> QueueInput {
    let messages = history.map(|it| it.messages.as_slice()).unwrap_or_default();
    QueueInput {
        messages: messages.into(),
        work: work(messages).into(),
        notifies: history.is_some_and(|it| it.notifies),
    }
}

/// How the workers of each JobConfig behave: as they did, by the first entry of its name; those that have never run as
/// the others do.
fn models(known: &Known, configs: &[&Arc<JobConfig>]) -> BTreeMap<String, Arc<WorkerModel>> {
    let mut own: BTreeMap<&String, WorkerModel> = BTreeMap::new();
    for config in configs {
        own.entry(&config.name).or_insert_with(|| {
            let messages = known.queues.get(&config.queue_name).map(|it| it.messages.as_slice()).unwrap_or_default();
            let runs = known.runs.get(&config.name).map(|it| it.runs.as_slice()).unwrap_or_default();
            WorkerModel::of(messages, runs, config.pod_config.parallelism)
        });
    }
    let pooled = WorkerModel::pooled(own.values());
    own.into_iter().map(|(name, model)| (name.clone(), Arc::new(model.or_as(&pooled)))).collect()
}
