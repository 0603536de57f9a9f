//! A forecast: what is known, the configuration that is in force, and another one beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    config::{entry::Entry, job_config::JobConfig, sharing::Sharing},
    decide::{
        forecast::{
            history::{Known, QueueHistory, Span},
            member::MemberInput,
            replay::{QueueInput, Replay, Replayed},
            report::{Configs, Outcomes, Report},
            shared_places::SharedPlaces,
            worker::{WorkerModel, work},
        },
        share::policy::MemberPolicy,
    },
};

/// A configuration: its entries, and what they share.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// Its entries. Services keep the places that they have.
    pub entries: Vec<Entry>,
    /// What they share.
    pub sharing: Sharing,
}

/// What several entries may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Used {
    Pool,
    Queue,
}

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

impl Configuration {
    /// The JobConfigs of queues.
    pub fn configs(&self) -> Configs {
        self.entries.iter().filter_map(Entry::queue).cloned().collect()
    }

    /// The same with the entry of this name alone, and with those that share anything with it: a pool, or its queue.
    #[must_use]
    pub fn about(mut self, name: &str) -> Self {
        let used = |entry: &Entry| {
            let pools = MemberPolicy::of(entry, &self.sharing).pools;
            let queue = entry.queue().map(|config| (Used::Queue, config.queue_name.clone()));
            pools.iter().map(|pool| (Used::Pool, pool.clone())).chain(queue).collect::<Vec<(Used, Arc<str>)>>()
        };
        let all: Vec<_> = self.entries.iter().map(used).collect();
        let mut kept: Vec<bool> = self.entries.iter().map(|entry| entry.name() == name).collect();
        let mut shared = BTreeSet::new();
        loop {
            let before = shared.len();
            for (used, kept) in all.iter().zip(&mut kept) {
                *kept |= used.iter().any(|it| shared.contains(it));
                shared.extend(used.iter().filter(|_| *kept));
            }
            if shared.len() == before {
                break;
            }
        }
        let mut kept = kept.into_iter();
        self.entries.retain(|_| kept.next().unwrap_or_default());
        self
    }
}

impl Forecast {
    /// Of the configuration that is in force, and of another one if one is asked for. Workers behave as they did.
    pub fn begin(known: Known, today: &Configuration, changed: Option<&Configuration>) -> Self {
        let all: Configs = std::iter::once(today).chain(changed).flat_map(Configuration::configs).collect();
        let names: BTreeSet<&str> = all.iter().map(|config| &*config.queue_name).collect();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let models = models(&known, &all);
        let inputs: Vec<QueueInput> = names.iter().map(|name| input(known.queues.get(name))).collect();
        let scenario = |of: &Configuration| Scenario::begin(known.span, of, (&names, &inputs), &models);
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

    /// What has come of it, of one JobConfig or of all of them.
    pub fn report(self, of: Option<&str>) -> Report {
        let outcomes = |scenario: Scenario| {
            let Scenario { configs, queues, replay, .. } = scenario;
            let replayed: Replayed = replay.result();
            let queue_shared = |queue: &usize| queues.iter().filter(|other| *other == queue).count() > 1;
            let queues_shared = queues.iter().copied().filter(queue_shared).collect();
            let all = Outcomes { configs, queues, queues_shared, replayed };
            of.iter().fold(all, |all, name| all.only(name))
        };
        Report::of(&self.known, (&self.names, &self.models), outcomes(self.today), self.changed.map(outcomes))
    }
}

impl Scenario {
    fn begin(
        span: Span,
        of: &Configuration,
        (names, inputs): (&[String], &[QueueInput]),
        models: &BTreeMap<String, Arc<WorkerModel>>,
    ) -> Self {
        let place = |config: &JobConfig| names.iter().position(|name| **name == *config.queue_name);
        let member = |entry: &Entry| {
            let config = entry.queue()?.clone();
            let queue = place(&config).expect("its queue is among them");
            let model = models.get(&*config.name).expect("each has one").clone();
            Some(MemberInput { config, queue, model, pools: MemberPolicy::of(entry, &of.sharing).pools })
        };
        let members: Vec<MemberInput> = of.entries.iter().filter_map(member).collect();
        let shared = SharedPlaces::begin(&of.entries, &of.sharing, span.from);
        let queues = members.iter().map(|member| member.queue).collect();
        Self { replay: Replay::new(span, inputs, &members, shared), configs: of.configs(), queues, over: false }
    }
}

fn input(history: Option<&QueueHistory>) -> QueueInput {
    let messages = history.map(|it| it.messages.clone()).unwrap_or_default();
    QueueInput { work: work(&messages).into(), messages, notifies: history.is_some_and(|it| it.notifies) }
}

/// How the workers of each JobConfig behave: as they did, by the first entry of its name; those that have never run as
/// the others do.
fn models(known: &Known, configs: &[Arc<JobConfig>]) -> BTreeMap<String, Arc<WorkerModel>> {
    let mut own: BTreeMap<&str, WorkerModel> = BTreeMap::new();
    for config in configs {
        own.entry(&config.name).or_insert_with(|| {
            let messages = known.queues.get(&*config.queue_name).map(|it| &*it.messages).unwrap_or_default();
            let runs = known.runs.get(&*config.name).map(|it| it.runs.as_slice()).unwrap_or_default();
            WorkerModel::of(messages, runs, config.pod_config.parallelism, known.span.from)
        });
    }
    let pooled = WorkerModel::pooled(own.values());
    own.into_iter().map(|(name, model)| (name.to_owned(), Arc::new(model.or_as(&pooled)))).collect()
}
