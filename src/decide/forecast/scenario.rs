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

    /// The same with the entry of this name alone, and with those that share anything with it.
    #[must_use]
    pub fn about(mut self, name: &str) -> Self {
        let pools = |entry: &Entry| MemberPolicy::of(entry, &self.sharing).pools;
        let (mut kept, mut shared) = (BTreeSet::from([name.to_owned()]), BTreeSet::<Arc<str>>::new());
        loop {
            let of_kept = self.entries.iter().filter(|entry| kept.contains(entry.name()));
            shared.extend(of_kept.flat_map(|entry| pools(entry).iter().cloned().collect::<Vec<_>>()));
            let sharing = self.entries.iter().filter(|entry| pools(entry).iter().any(|pool| shared.contains(pool)));
            let before = kept.len();
            kept.extend(sharing.map(|entry| entry.name().to_owned()));
            if kept.len() == before {
                break;
            }
        }
        self.entries.retain(|entry| kept.contains(entry.name()));
        self
    }
}

impl Forecast {
    /// Of the configuration that is in force, and of another one if one is asked for. Workers behave as they did.
    pub fn begin(known: Known, today: &Configuration, changed: Option<&Configuration>) -> Self {
        let all: Configs = std::iter::once(today).chain(changed).flat_map(Configuration::configs).collect();
        let names: BTreeSet<&String> = all.iter().map(|config| &config.queue_name).collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
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
        of: &Configuration,
        (names, inputs): (&[String], &[QueueInput]),
        models: &BTreeMap<String, Arc<WorkerModel>>,
    ) -> Self {
        let place = |config: &JobConfig| names.iter().position(|name| *name == config.queue_name);
        let member = |entry: &Entry| {
            let config = entry.queue()?.clone();
            let queue = place(&config).expect("its queue is among them");
            let model = models.get(&config.name).expect("each has one").clone();
            Some(MemberInput { config, queue, model, pools: MemberPolicy::of(entry, &of.sharing).pools })
        };
        let members: Vec<MemberInput> = of.entries.iter().filter_map(member).collect();
        let shared = SharedPlaces::begin(&of.entries, &of.sharing, span.from);
        let queues = members.iter().map(|member| member.queue).collect();
        Self { replay: Replay::new(span, inputs, &members, shared), configs: of.configs(), queues, over: false }
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
fn models(known: &Known, configs: &[Arc<JobConfig>]) -> BTreeMap<String, Arc<WorkerModel>> {
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
