//! What came of a replay, and of what really happened.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::decide::forecast::{
    history::{Message, PastRun, Span},
    samples::quantile,
};

/// What is counted of one JobConfig while it is replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Jobs that were created.
    pub jobs: u64,
    /// How long their pods ran, all of them together.
    pub pod_time: Duration,
    /// Successes that took none of the messages they were started for.
    pub took_nothing: u64,
    /// The most Jobs that lived at once.
    pub live_max: u64,
}

impl Counted {
    /// A Job was created; so many live now.
    pub fn note_created(&mut self, live: u64) {
        self.jobs += 1;
        self.live_max = self.live_max.max(live);
    }

    /// A Job has ended whose pods ran for so long.
    pub fn note_end(&mut self, pod_time: Duration) {
        self.pod_time = self.pod_time.saturating_add(pod_time);
    }

    /// Both together; what lived at once of both is not to be had from that, so the larger one counts.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        Self {
            jobs: self.jobs + other.jobs,
            pod_time: self.pod_time.saturating_add(other.pod_time),
            took_nothing: self.took_nothing + other.took_nothing,
            live_max: self.live_max.max(other.live_max),
        }
    }

    /// What really happened to runs within the span, each with the pods of its Job. When a pod began to run is on record
    /// once it has ended: those that live are taken to have run since their wish.
    pub fn of_runs<'a>(runs: impl IntoIterator<Item = (&'a PastRun, u32)>, span: Span) -> Self {
        let mut counted = Self::default();
        let mut edges: Vec<(Duration, i64)> = vec![];
        for (run, parallelism) in runs {
            let until = run.ended_at.map_or(span.to, |ended_at| ended_at.min(span.to));
            let lives = run.ended_at.is_none().then_some(run.wished_at);
            let ran = run.started_at.or(lives).map(|since| until.saturating_sub(since.max(span.from)));
            counted.jobs += 1;
            counted.took_nothing += u64::from(run.took_nothing);
            counted.note_end(ran.unwrap_or_default() * parallelism);
            edges.extend([(run.wished_at.max(span.from).min(until), 1), (until, -1)]);
        }
        // At one time ends come before what takes their places.
        edges.sort_unstable();
        let mut live = 0;
        for (_, change) in edges {
            live += change;
            counted.live_max = counted.live_max.max(u64::try_from(live).unwrap_or_default());
        }
        counted
    }
}

/// How long messages waited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    sorted: Vec<Duration>,
    /// Messages that nobody had taken at the end.
    pub left: u64,
}

impl Waits {
    /// Those of messages that were taken after so long; `None` of those that nobody had taken.
    pub fn of(waits: impl IntoIterator<Item = Option<Duration>>) -> Self {
        let mut found = Self::default();
        for wait in waits {
            match wait {
                Some(wait) => found.sorted.push(wait),
                None => found.left += 1,
            }
        }
        found.sorted.sort_unstable();
        found
    }

    /// What really happened to messages.
    pub fn real<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Self {
        Self::of(messages.into_iter().map(Message::waited))
    }

    /// The wait that so many thousandths of the messages that were taken do not exceed.
    pub fn quantile(&self, thousandths: usize) -> Duration {
        quantile(&self.sorted, thousandths)
    }

    /// Messages that were taken.
    pub fn taken(&self) -> usize {
        self.sorted.len()
    }
}

/// What came of a configuration, or what really happened; times in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ForecastFigures")]
pub struct Figures {
    /// Half of the messages waited no longer, from when they could be fetched until they were.
    pub wait_p50_seconds: f64,
    /// 95 of 100 did.
    pub wait_p95_seconds: f64,
    /// 99 of 100 did.
    pub wait_p99_seconds: f64,
    /// The longest wait.
    pub wait_max_seconds: f64,
    /// Messages that were taken, whose waits these are; of a replay only such as really were, too.
    pub taken: u64,
    /// Messages that nobody had taken at the end; of a replay, some time after it.
    pub left: u64,
    /// Jobs that were created; of what really happened, also those that lived at the begin.
    pub jobs: u64,
    /// How long their pods ran, all of them together.
    pub pod_hours: f64,
    /// Successes that took none of the messages they were started for.
    pub took_nothing: u64,
    /// The most Jobs that lived at once.
    pub live_max: u64,
}

impl Figures {
    /// Of these waits and Jobs.
    pub fn of(waits: &Waits, counted: &Counted) -> Self {
        let seconds = |thousandths| waits.quantile(thousandths).as_secs_f64();
        Self {
            wait_p50_seconds: seconds(500),
            wait_p95_seconds: seconds(950),
            wait_p99_seconds: seconds(990),
            wait_max_seconds: seconds(1_000),
            taken: waits.taken() as u64,
            left: waits.left,
            jobs: counted.jobs,
            pod_hours: counted.pod_time.as_secs_f64() / 3_600.0,
            took_nothing: counted.took_nothing,
            live_max: counted.live_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn what_really_happened_is_read_off_the_runs() {
        let run = |wished: u64, started: Option<u64>, ended: Option<u64>| PastRun {
            wished_at: second(wished),
            started_at: started.map(second),
            ended_at: ended.map(second),
            outcome: None,
            took_nothing: ended == Some(20),
        };
        let never_ran = run(1, None, Some(4));
        let runs = [run(0, Some(5), Some(10)), never_ran, run(10, Some(15), Some(20)), run(12, None, None)];
        let span = Span { from: second(0), to: second(30) };
        let counted = Counted::of_runs(runs.iter().map(|run| (run, 2)), span);
        let expected = Counted { jobs: 4, pod_time: second(2 * (5 + 5 + 18)), took_nothing: 1, live_max: 2 };
        assert_eq!(counted, expected, "the last one lives");
        let span = Span { from: second(8), to: second(18) };
        let counted = Counted::of_runs([(&runs[0], 1), (&runs[2], 1), (&runs[3], 1)], span);
        let expected = Counted { jobs: 3, pod_time: second(2 + 3 + 6), took_nothing: 1, live_max: 2 };
        assert_eq!(counted, expected, "what is before the span and after it does not count");
    }

    #[test]
    fn what_nobody_took_has_no_wait() {
        let waits = Waits::of([Some(second(3)), None, Some(second(1))]);
        assert_eq!((waits.taken(), waits.left, waits.quantile(500)), (2, 1, second(1)));
        assert_eq!(Figures::of(&waits, &Counted::default()).wait_max_seconds, 3.0);
    }
}
