//! What a forecast says, for programs and, in words, for people.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    config::job_config::JobConfig,
    decide::forecast::{
        figures::{Counted, Figures, Waits},
        history::{Known, Message, PastRun, QueueHistory},
        replay::Replayed,
        verdict::Verdict,
        worker::WorkerModel,
    },
};

/// Messages that others may have taken without a word, in thousandths.
const OTHERS_MAX: usize = 50;

/// The JobConfigs of queues.
pub type Configs = Vec<Arc<JobConfig>>;

/// What came of a configuration.
pub struct Outcomes {
    /// Its JobConfigs.
    pub configs: Configs,
    /// For each of them its queue.
    pub queues: Vec<usize>,
    /// What came of them.
    pub replayed: Replayed,
}

/// What a forecast says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Forecast")]
pub struct Report {
    /// From when on messages were replayed, in seconds since 1970.
    pub from_seconds: f64,
    /// Until when.
    pub to_seconds: f64,
    /// Messages that were.
    pub messages: u64,
    /// By JobConfig.
    pub jobs: Vec<JobForecast>,
    /// All of them together.
    pub total: Compared,
    /// What is to be known of all of it.
    pub remarks: Vec<String>,
}

/// What a forecast says of one JobConfig.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobForecast {
    name: String,
    queue: String,
    #[serde(flatten)]
    compared: Compared,
    /// What is to be known of it.
    remarks: Vec<String>,
}

/// What really happened, what comes of the configuration that is in force, and of the other one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ForecastComparison")]
pub struct Compared {
    /// What really happened.
    pub really: Figures,
    /// What the forecast says of the configuration that is in force; absent where it does not have this JobConfig.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub today: Option<Figures>,
    /// What it says of the changed configuration; absent where none was asked for, or where that does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Figures>,
    /// Whether the forecast of the configuration that is in force tells what really happened; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

impl Report {
    /// Puts together what came of both configurations.
    pub fn of(
        known: &Known,
        (queues, models): (&[String], &BTreeMap<String, Arc<WorkerModel>>),
        today: Outcomes,
        changed: Option<Outcomes>,
    ) -> Self {
        let writer = Writer { known, queues, models, today, changed };
        let mut remarks = vec![];
        if known.cut {
            remarks.push(format!("there were more messages: only the newest {} are replayed", writer.messages()));
        }
        Self {
            from_seconds: known.span.from.as_secs_f64(),
            to_seconds: known.span.to.as_secs_f64(),
            messages: writer.messages(),
            jobs: writer.names().into_iter().map(|name| writer.job(name)).collect(),
            total: writer.total(),
            remarks,
        }
    }
}

struct Writer<'a> {
    known: &'a Known,
    queues: &'a [String],
    models: &'a BTreeMap<String, Arc<WorkerModel>>,
    today: Outcomes,
    changed: Option<Outcomes>,
}

impl Writer<'_> {
    fn messages(&self) -> u64 {
        self.known.queues.values().map(|queue| queue.messages.len() as u64).sum()
    }

    fn names(&self) -> BTreeSet<&str> {
        let all = self.today.configs.iter().chain(self.changed.iter().flat_map(|it| &it.configs));
        all.map(|config| config.name.as_str()).collect()
    }

    fn history(&self, queue: usize) -> &[Message] {
        self.known.queues.get(&self.queues[queue]).map(|it| it.messages.as_slice()).unwrap_or_default()
    }

    fn job(&self, name: &str) -> JobForecast {
        let today = self.today.of(name);
        let changed = self.changed.as_ref().and_then(|it| it.of(name));
        let (outcomes, member) = today.or(changed).expect("the name is of one of them");
        let (queue, parallelism) = (outcomes.queues[member], outcomes.configs[member].pod_config.parallelism);
        let figures = |(outcomes, member): (&Outcomes, usize)| {
            let waits = outcomes.waits(outcomes.queues[member]);
            Figures::of(&Waits::of(waits), &outcomes.replayed.counted[member])
        };
        let runs = self.known.runs.get(name).map(|it| it.runs.as_slice()).unwrap_or_default();
        let counted = Counted::of_runs(runs.iter().map(|run| (run, parallelism)), self.known.span);
        let compared = Compared {
            really: Figures::of(&Waits::real(self.history(queue)), &counted),
            today: today.map(figures),
            changed: changed.map(figures),
            verdict: today.map(|(outcomes, _)| self.verdict(outcomes, [queue])),
        };
        let name = name.to_owned();
        JobForecast { remarks: self.remarks(&name, queue), queue: self.queues[queue].clone(), name, compared }
    }

    /// Over the messages of which it is known how long they really waited.
    fn verdict(&self, outcomes: &Outcomes, queues: impl IntoIterator<Item = usize>) -> Verdict {
        let both =
            |queue: usize| outcomes.waits(queue).zip(self.history(queue)).filter(|(_, it)| it.taken_at.is_some());
        let (forecast, really): (Vec<_>, Vec<_>) =
            queues.into_iter().flat_map(both).map(|(wait, message)| (wait, message.waited())).unzip();
        Verdict::of(&Waits::of(forecast), &Waits::of(really))
    }

    fn total(&self) -> Compared {
        let of_queues = |outcomes: &Outcomes| outcomes.queues.iter().copied().collect::<BTreeSet<usize>>();
        let figures = |outcomes: &Outcomes| {
            let waits = of_queues(outcomes).into_iter().flat_map(|queue| outcomes.waits(queue));
            let counted = outcomes.replayed.counted.iter().fold(Counted::default(), Counted::with);
            Figures::of(&Waits::of(waits), &Counted { live_max: outcomes.replayed.live_max, ..counted })
        };
        let runs = self.today.configs.iter().flat_map(|config| {
            let runs = self.known.runs.get(&config.name).map(|it| it.runs.as_slice()).unwrap_or_default();
            runs.iter().map(|run: &PastRun| (run, config.pod_config.parallelism))
        });
        let queues = of_queues(&self.today);
        let waited: Vec<Option<Duration>> =
            queues.iter().flat_map(|queue| self.history(*queue)).map(Message::waited).collect();
        Compared {
            really: Figures::of(&Waits::of(waited), &Counted::of_runs(runs, self.known.span)),
            today: Some(figures(&self.today)),
            changed: self.changed.as_ref().map(figures),
            verdict: Some(self.verdict(&self.today, queues)),
        }
    }

    fn remarks(&self, name: &str, queue: usize) -> Vec<String> {
        let mut remarks = vec![];
        let history = self.known.runs.get(name);
        if history.is_none_or(|it| it.runs.iter().all(|run| run.started_at.is_none())) {
            remarks.push("no run of it is known: its Jobs are taken to start as others do".to_owned());
        }
        if let Some(history) = history.filter(|it| it.cut) {
            let count = history.runs.len();
            remarks
                .push(format!("only its newest {count} runs are kept: there were more Jobs and pod-hours in reality"));
        }
        if self.known.queues.get(&self.queues[queue]).is_some_and(|it: &QueueHistory| it.keyed) {
            remarks.push(
                "the policy of its queue holds messages back by key, of which a forecast knows nothing".to_owned(),
            );
        }
        if self.today.queues.iter().filter(|of| **of == queue).count() > 1 {
            remarks
                .push("its queue has Jobs of another JobConfig, too: who took which message is not known".to_owned());
        }
        let others = self.models.get(name).map_or(0, |model| model.taken_by_others);
        if others > OTHERS_MAX {
            let percent = others / 10;
            remarks
                .push(format!("{percent} % of its messages were taken while no Job of it ran: others take them, too"));
        }
        remarks
    }
}

impl Outcomes {
    /// The JobConfig of this name, if it has one.
    fn of(&self, name: &str) -> Option<(&Self, usize)> {
        self.configs.iter().position(|config| config.name == name).map(|member| (self, member))
    }

    /// How long the messages of a queue waited.
    fn waits(&self, queue: usize) -> impl Iterator<Item = Option<Duration>> {
        self.replayed.waits[queue].iter().copied()
    }
}
