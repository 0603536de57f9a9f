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

/// Runs that may have taken messages of which pg-boss knows nothing, in thousandths.
const FORGOTTEN_MAX: usize = 50;

/// The JobConfigs of queues.
pub type Configs = Vec<Arc<JobConfig>>;

/// What came of a configuration.
pub struct Outcomes {
    /// Its JobConfigs.
    pub configs: Configs,
    /// For each of them its queue.
    pub queues: Vec<usize>,
    /// Queues whose messages Jobs of several JobConfigs take.
    pub queues_shared: BTreeSet<usize>,
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
            remarks.push(format!(
                "there were more messages: only {} are replayed, those that were taken last before those that wait",
                writer.messages()
            ));
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
        let all = std::iter::once(&self.today).chain(&self.changed);
        let queues: BTreeSet<usize> = all.flat_map(|it| it.queues.iter().copied()).collect();
        queues.into_iter().map(|queue| self.history(queue).len() as u64).sum()
    }

    fn names(&self) -> BTreeSet<&str> {
        let all = self.today.configs.iter().chain(self.changed.iter().flat_map(|it| &it.configs));
        all.map(|config| &*config.name).collect()
    }

    fn history(&self, queue: usize) -> &[Message] {
        self.known.queues.get(&self.queues[queue]).map(|it| &*it.messages).unwrap_or_default()
    }

    fn job(&self, name: &str) -> JobForecast {
        let today = self.today.of(name);
        let changed = self.changed.as_ref().and_then(|it| it.of(name));
        let (outcomes, member) = today.or(changed).expect("the name is of one of them");
        let (queue, parallelism) = (outcomes.queues[member], outcomes.configs[member].pod_config.parallelism);
        let figures = |(outcomes, member): (&Outcomes, usize)| {
            Figures::of(&self.waits(outcomes, [outcomes.queues[member]]), &outcomes.replayed.counted[member])
        };
        let runs = self.known.runs.get(name).map(|it| it.runs.as_slice()).unwrap_or_default();
        let counted = Counted::of_runs(runs.iter().map(|run| (run, parallelism)), self.known.span);
        let compared = Compared {
            really: Figures::of(&Waits::real(self.history(queue)), &counted),
            today: today.map(figures),
            changed: changed.map(figures),
            verdict: today.map(|(outcomes, _)| self.verdict(outcomes, [queue])),
        };
        let remarks = self.remarks(&outcomes.configs[member], queue);
        JobForecast { remarks, queue: self.queues[queue].clone(), name: name.to_owned(), compared }
    }

    /// Of the messages of which it is known how long they really waited, so that these waits are comparable; and of those
    /// that are left.
    fn waits(&self, outcomes: &Outcomes, queues: impl IntoIterator<Item = usize>) -> Waits {
        let of_queue = |queue: usize| outcomes.waits(queue).zip(self.history(queue));
        let all = queues.into_iter().flat_map(of_queue);
        Waits::of(all.filter(|(wait, it)| wait.is_none() || it.taken_at.is_some()).map(|(wait, _)| wait))
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
            let counted = outcomes.replayed.counted.iter().fold(Counted::default(), Counted::with);
            Figures::of(
                &self.waits(outcomes, of_queues(outcomes)),
                &Counted { live_max: outcomes.replayed.live_max, ..counted },
            )
        };
        let runs = self.today.configs.iter().flat_map(|config| {
            let runs = self.known.runs.get(&*config.name).map(|it| it.runs.as_slice()).unwrap_or_default();
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

    fn remarks(&self, config: &JobConfig, queue: usize) -> Vec<String> {
        let mut remarks = self.remarks_of_runs(&config.name, queue);
        if self.known.switched.contains(&*config.name) {
            remarks.push(match config.paused {
                true => "it was resumed by hand, but is replayed as it is configured: paused".to_owned(),
                false => "it was paused by hand, but is replayed as if it were not".to_owned(),
            });
        }
        if !config.depends_on.is_empty() {
            let needed = config.depends_on.join(", ");
            remarks.push(format!("it depends on {needed}: a forecast takes that to be up all the time"));
        }
        if self.known.queues.get(&self.queues[queue]).is_some_and(|it: &QueueHistory| it.keyed) {
            remarks.push(
                "the policy of its queue holds messages back by key, of which a forecast knows nothing".to_owned(),
            );
        }
        if self.today.queues_shared.contains(&queue) {
            remarks
                .push("its queue has Jobs of another JobConfig, too: who took which message is not known".to_owned());
        }
        let others = self.models.get(&*config.name).map_or(0, |model| model.taken_by_others);
        if others > OTHERS_MAX {
            let percent = others / 10;
            remarks
                .push(format!("{percent} % of its messages were taken while no Job of it ran: others take them, too"));
        }
        remarks
    }

    fn remarks_of_runs(&self, name: &str, queue: usize) -> Vec<String> {
        let Some(history) = self.known.runs.get(name).filter(|it| !it.runs.is_empty()) else {
            return vec!["no run of it is known: its Jobs are taken to start as others do".to_owned()];
        };
        let (runs, mut remarks) = (&history.runs, vec![]);
        if runs.iter().all(|run| run.started_at.is_none() || run.wished_at < self.known.span.from) {
            remarks.push("no start of its Jobs is known: they are taken to start as others do".to_owned());
        }
        if history.cut {
            let count = runs.len();
            remarks
                .push(format!("only its newest {count} runs are known: there were more Jobs and pod-hours in reality"));
        }
        let first = self.history(queue).iter().filter_map(|message| message.taken_at).min();
        let useful = |run: &&PastRun| run.started_at.is_some() && run.ended_at.is_some() && !run.took_nothing;
        let forgotten = |run: &&PastRun| useful(run) && run.ended_at < Some(first.unwrap_or(Duration::MAX));
        let count = runs.iter().filter(forgotten).count();
        if count * 1_000 > runs.len() * FORGOTTEN_MAX {
            remarks.push(format!(
                "{count} of its {} runs had ended before the first message that pg-boss still knows was taken: their Jobs and \
                 pod-hours count in reality alone, so look back for a shorter time",
                runs.len()
            ));
        }
        remarks
    }
}

impl Outcomes {
    /// The same of the JobConfig of this name alone.
    #[must_use]
    pub fn only(mut self, name: &str) -> Self {
        let member = self.configs.iter().position(|config| *config.name == *name);
        let counted = member.map(|member| self.replayed.counted[member]);
        self.queues = member.map(|member| self.queues[member]).into_iter().collect();
        self.configs = member.map(|member| self.configs[member].clone()).into_iter().collect();
        self.replayed.live_max = counted.map_or(0, |counted| counted.live_max);
        self.replayed.counted = counted.into_iter().collect();
        self
    }

    /// The JobConfig of this name, if it has one.
    fn of(&self, name: &str) -> Option<(&Self, usize)> {
        self.configs.iter().position(|config| *config.name == *name).map(|member| (self, member))
    }

    /// How long the messages of a queue waited.
    fn waits(&self, queue: usize) -> impl Iterator<Item = Option<Duration>> {
        self.replayed.waits[queue].iter().copied()
    }
}
