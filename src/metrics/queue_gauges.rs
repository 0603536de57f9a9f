//! The gauges of queues. They are put together when they are asked for, out of what was read and when: what is too old
//! is left out, so none can stand still.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    decide::queue::{policy::gauges_every, scale::Look},
    metrics::{
        last_hour::LastHour,
        text::{Family, write_gauges},
    },
};

/// What was read is shown for so long after the next reading was due: a look may wait and take some seconds.
const LATE_MAX: Duration = Duration::from_secs(15);

/// Postgres answers the lease every second; when it has not for so long, nothing that was read before counts.
const SILENT_MAX: Duration = Duration::from_secs(20);

const MESSAGES: Family = Family::new("queue_messages", "Messages of the queue by state.");

const OLDEST: Family = Family::new(
    "queue_oldest_ready_age_seconds",
    "How long the message has waited that could be fetched first; 0 where there is none.",
);

const MISSED: Family =
    Family::new("target_age_missed", "1 while the oldest message has waited for longer than targetAge.");

const TARGET: Family =
    Family::new("target_age_seconds", "The oldest message is to wait no longer than this (targetAge).");

/// What is known of the queues that this process looks at, as of when it was read. Times are the process' own.
#[derive(Debug, Default)]
pub struct QueueGauges {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    heard_at: Duration,
    /// By JobConfig.
    known: BTreeMap<Arc<str>, QueueGauge>,
}

/// What is known of the queue of one JobConfig, in the hands of who looks at it. Clones are of the same; one that was
/// forgotten meanwhile shows nothing any more.
#[derive(Clone, Debug)]
pub struct QueueGauge(Arc<Entry>);

#[derive(Debug)]
struct Entry {
    queue: Arc<str>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// A look is current for so long.
    fresh_for: Duration,
    /// The oldest message is to wait no longer than this.
    target_age: Option<Duration>,
    looked_at: Option<Duration>,
    /// The messages that can be fetched, and when they were counted to the end.
    ready: Option<(i64, Duration)>,
    empty_at: Option<Duration>,
    /// The age of the oldest; `None` where none has waited since the first look.
    oldest_age: Option<Duration>,
    totals: Option<Totals>,
    last_hour: LastHour,
}

/// A queue as people see it. What is not known, or was read too long ago, is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that can be fetched.
    pub ready: Option<u64>,
    /// Since when the oldest of them has waited; `None` where there is none.
    pub oldest_since: Option<Duration>,
    /// When a look last found nothing in it; also while Postgres does not answer.
    pub empty_at: Option<Duration>,
}

#[derive(Debug)]
struct Totals {
    /// By state; a state without messages is left out.
    counts: Box<[(&'static str, i64)]>,
    /// Not shown from then on.
    until: Duration,
}

impl QueueGauges {
    /// The queue of a JobConfig is looked at from here on, at least as often as [`gauges_every`] says.
    /// Its oldest message is to wait no longer than `target_age`.
    pub fn begin(
        &self,
        config: impl Into<Arc<str>>,
        queue: impl Into<Arc<str>>,
        interval: Duration,
        target_age: Option<Duration>,
    ) -> QueueGauge {
        let (config, queue) = (config.into(), queue.into());
        let fresh_for = gauges_every(interval).saturating_add(LATE_MAX);
        let mut state = self.state();
        if let Some(gauge) = state.known.get(&config).filter(|gauge| gauge.0.queue == queue) {
            let mut known = gauge.known();
            (known.fresh_for, known.target_age) = (fresh_for, target_age);
            return gauge.clone();
        }
        let known = Mutex::new(Known {
            fresh_for,
            target_age,
            looked_at: None,
            ready: None,
            empty_at: None,
            oldest_age: None,
            totals: None,
            last_hour: LastHour::default(),
        });
        let gauge = QueueGauge(Arc::new(Entry { queue, known }));
        state.known.insert(config, gauge.clone());
        gauge
    }

    /// Nobody looks at the queue of this JobConfig any more.
    pub fn forget(&self, config: &str) {
        self.state().known.remove(config);
    }

    /// Postgres has answered.
    pub fn note_heard(&self, now: Duration) {
        self.state().heard_at = now;
    }

    /// The totals of a queue were read, and are read again after `interval`.
    pub fn note_totals(&self, config: &str, counts: Vec<(&'static str, i64)>, now: Duration, interval: Duration) {
        let until = now.saturating_add(interval).saturating_add(LATE_MAX);
        let counts = counts.into_iter().filter(|(_, count)| *count != 0).collect();
        if let Some(gauge) = self.state().known.get(config) {
            let mut known = gauge.known();
            known.totals = Some(Totals { counts, until });
            known.note_hour(now);
        }
    }

    /// How deep the queue of a JobConfig is as of `now`.
    pub fn depth(&self, config: &str, now: Duration) -> Depth {
        let state = self.state();
        state.known.get(config).map(|gauge| state.depth(gauge, now)).unwrap_or_default()
    }

    /// How deep each queue is of which that is known as of `now`, in the order of the names.
    pub fn depths(&self, now: Duration) -> BTreeMap<String, Depth> {
        let state = self.state();
        let known = state.known.iter().filter(|_| state.is_heard(now));
        known.map(|(config, gauge)| (config.to_string(), gauge.known().depth(now))).collect()
    }

    /// How many messages waited in the last hour; see [`LastHour::points`].
    pub fn last_hour(&self, config: &str, now: Duration) -> Vec<Option<u32>> {
        self.state().known.get(config).map(|gauge| gauge.known().last_hour.points(now)).unwrap_or_default()
    }

    /// Writes what is known as of `now` to the page.
    pub fn write(&self, page: &mut String, now: Duration) {
        let state = self.state();
        let heard = state.known.iter().filter(|_| state.is_heard(now));
        let messages = heard.clone().flat_map(|(config, gauge)| {
            let (config, queue) = (("job_config", &**config), ("queue", &*gauge.0.queue));
            let counts = gauge.known().counts(now);
            counts.into_iter().map(move |(word, count)| ([config, queue, ("state", word)], count as f64))
        });
        write_gauges(page, &MESSAGES, messages);
        let oldest = heard.clone().filter_map(|(config, gauge)| {
            let known = gauge.known();
            let age = known.oldest_age.filter(|_| known.is_fresh(known.looked_at, now))?;
            Some(([("job_config", &**config), ("queue", &*gauge.0.queue)], age.as_secs_f64()))
        });
        write_gauges(page, &OLDEST, oldest);
        let targets =
            heard.filter_map(|(config, gauge)| Some(([("job_config", &**config)], gauge.known().target(now)?)));
        write_gauges(page, &MISSED, targets.clone().map(|(labels, (_, missed))| (labels, f64::from(u8::from(missed)))));
        write_gauges(page, &TARGET, targets.map(|(labels, (target, _))| (labels, target.as_secs_f64())));
    }

    /// What a panic has left is whole: each entry is written in one piece.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueGauge {
    /// A look was answered. A count that stopped at its bound is no gauge.
    pub fn note_look(&self, look: &Look, now: Duration) {
        let mut known = self.known();
        known.looked_at = Some(now);
        if look.is_exact() {
            known.ready = Some((i64::try_from(look.ready()).unwrap_or(i64::MAX), now));
            known.empty_at = Some(now).filter(|_| look.ready() == 0).or(known.empty_at);
        }
        known.note_hour(now);
        known.oldest_age = look.oldest_age.or(known.oldest_age.map(|_| Duration::ZERO));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Postgres has answered not too long ago.
    fn is_heard(&self, now: Duration) -> bool {
        now <= self.heard_at.saturating_add(SILENT_MAX)
    }

    fn depth(&self, gauge: &QueueGauge, now: Duration) -> Depth {
        let known = gauge.known();
        if self.is_heard(now) { known.depth(now) } else { Depth { empty_at: known.empty_at, ..Depth::default() } }
    }
}

impl Known {
    fn is_fresh(&self, read_at: Option<Duration>, now: Duration) -> bool {
        read_at.is_some_and(|at| now <= at.saturating_add(self.fresh_for))
    }

    /// The messages that can be fetched: as the last look has counted them, else as the last total.
    fn ready(&self, now: Duration) -> Option<i64> {
        let counted = self.ready.filter(|(_, at)| self.is_fresh(Some(*at), now)).map(|(ready, _)| ready);
        let count = |totals: &[_]| totals.iter().find(|(word, _)| *word == "ready").map_or(0, |(_, count)| *count);
        counted.or_else(|| self.totals(now).map(count))
    }

    fn totals(&self, now: Duration) -> Option<&[(&'static str, i64)]> {
        self.totals.as_ref().filter(|totals| now <= totals.until).map(|totals| &*totals.counts)
    }

    /// Its `targetAge`, and whether the oldest message has waited for longer; nothing while that is not known.
    fn target(&self, now: Duration) -> Option<(Duration, bool)> {
        let looked_at = self.looked_at.filter(|at| self.is_fresh(Some(*at), now))?;
        let target = self.target_age?;
        let age = self.oldest_age.filter(|age| !age.is_zero());
        Some((target, age.is_some_and(|age| now.saturating_sub(looked_at).saturating_add(age) > target)))
    }

    fn depth(&self, now: Duration) -> Depth {
        let age = self.oldest_age.filter(|age| !age.is_zero() && self.is_fresh(self.looked_at, now));
        Depth {
            ready: self.ready(now).and_then(|ready| u64::try_from(ready).ok()),
            oldest_since: self.looked_at.zip(age).map(|(at, age)| at.saturating_sub(age)),
            empty_at: self.empty_at,
        }
    }

    fn note_hour(&mut self, now: Duration) {
        if let Some(ready) = self.ready(now) {
            self.last_hour.note(u64::try_from(ready).unwrap_or_default(), now);
        }
    }

    /// The counts by state.
    fn counts(&self, now: Duration) -> Vec<(&'static str, i64)> {
        let totals = self.totals(now).unwrap_or_default();
        let others = totals.iter().filter(|(word, _)| *word != "ready").copied();
        others.chain(self.ready(now).map(|ready| ("ready", ready))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn look(ready: u64, limit: u64, age: Option<u64>) -> Look {
        Look { old: ready, limit, oldest_age: age.map(secs), ..Look::default() }
    }

    /// Every series with its value.
    fn shown(gauges: &QueueGauges, now: u64) -> Vec<(String, f64)> {
        gauges.note_heard(secs(now));
        series(gauges, now)
    }

    fn series(gauges: &QueueGauges, now: u64) -> Vec<(String, f64)> {
        let mut page = String::new();
        gauges.write(&mut page, secs(now));
        let all = page.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let state = series.split_once("state=\"").map(|(_, state)| state.trim_end_matches("\"}"));
            let name = state.unwrap_or(if series.contains("_age_seconds{") { "age" } else { series });
            (name.to_owned(), value.parse().expect("a number"))
        });
        all.collect()
    }

    /// Postgres has answered a look.
    fn note_look(gauges: &QueueGauges, gauge: &QueueGauge, look: &Look, now: u64) {
        gauges.note_heard(secs(now));
        gauge.note_look(look, secs(now));
    }

    fn begun() -> (QueueGauges, QueueGauge) {
        let gauges = QueueGauges::default();
        let mail = gauges.begin("mail", "Mail/1", secs(30), None);
        note_look(&gauges, &mail, &look(3, 10, Some(7)), 100);
        (gauges, mail)
    }

    #[test]
    fn what_was_read_is_shown_until_it_is_too_old() {
        let (gauges, _mail) = begun();
        let both = [("ready".to_owned(), 3.0), ("age".to_owned(), 7.0)];
        assert_eq!(shown(&gauges, 100), both);
        assert_eq!(shown(&gauges, 145), both);
        assert_eq!(shown(&gauges, 146), []);
    }

    #[test]
    fn people_see_the_same_as_prometheus_and_the_last_hour() {
        let (gauges, mail) = begun();
        let depth = Depth { ready: Some(3), oldest_since: Some(secs(93)), empty_at: None };
        assert_eq!(gauges.depth("mail", secs(120)), depth);
        assert_eq!(gauges.depth("mail", secs(121)), Depth::default(), "Postgres is silent");
        assert_eq!(gauges.depth("nobody", secs(100)), Depth::default());
        note_look(&gauges, &mail, &look(0, 10, None), 130);
        let empty = Depth { ready: Some(0), oldest_since: None, empty_at: Some(secs(130)) };
        assert_eq!(gauges.depth("mail", secs(130)), empty);
        assert_eq!(gauges.depth("mail", secs(151)), Depth { ready: None, ..empty }, "it was empty then");
        assert_eq!(gauges.last_hour("mail", secs(130)), [Some(3), Some(0)]);
        gauges.note_totals("mail", vec![("ready", 5000)], secs(130), secs(30));
        assert_eq!(gauges.last_hour("mail", secs(130)), [Some(3), Some(0)], "a look knows more than a total");
        note_look(&gauges, &mail, &look(10, 10, Some(1)), 176);
        gauges.note_totals("mail", vec![("ready", 5000)], secs(190), secs(30));
        assert_eq!(gauges.last_hour("mail", secs(190)).last(), Some(&Some(5000)), "the look stopped at its bound");
        assert_eq!(gauges.depth("mail", secs(190)).empty_at, Some(secs(130)));
    }

    #[test]
    fn a_queue_that_a_total_finds_empty_has_no_message_that_can_be_fetched() {
        let gauges = QueueGauges::default();
        let _mail = gauges.begin("mail", "mail", secs(30), None);
        assert_eq!(gauges.depth("mail", secs(0)).ready, None);
        gauges.note_totals("mail", vec![("ready", 0), ("active", 0)], secs(100), secs(30));
        assert_eq!(shown(&gauges, 101), [("ready".to_owned(), 0.0)]);
        assert_eq!(gauges.depth("mail", secs(101)).ready, Some(0));
        assert_eq!(gauges.last_hour("mail", secs(101)), [Some(0)]);
    }

    #[test]
    fn nothing_is_shown_while_postgres_is_silent() {
        let (gauges, _mail) = begun();
        assert_eq!(series(&gauges, 120).len(), 2);
        assert_eq!(series(&gauges, 121), []);
        gauges.note_heard(secs(122));
        assert_eq!(series(&gauges, 122).len(), 2, "it was read not so long ago");
    }

    #[test]
    fn beyond_a_look_s_bound_the_last_total_counts() {
        let (gauges, mail) = begun();
        gauges.note_totals("mail", vec![("ready", 5000), ("active", 2), ("failed", 0)], secs(110), secs(30));
        let all = shown(&gauges, 111);
        assert!(all.contains(&("active".to_owned(), 2.0)) && all.len() == 3, "{all:?}");
        assert!(all.contains(&("ready".to_owned(), 3.0)), "a look has counted to the end");
        note_look(&gauges, &mail, &look(10, 10, Some(9)), 140);
        assert!(shown(&gauges, 146).contains(&("ready".to_owned(), 5000.0)));
        assert_eq!(shown(&gauges, 156), [("age".to_owned(), 9.0)], "the total is too old, too");
    }

    #[test]
    fn a_queue_that_was_forgotten_comes_not_back_with_a_late_answer() {
        let (gauges, mail) = begun();
        gauges.forget("mail");
        note_look(&gauges, &mail, &look(3, 10, Some(7)), 101);
        gauges.note_totals("mail", vec![("active", 2)], secs(101), secs(30));
        assert_eq!(shown(&gauges, 101), []);
    }

    #[test]
    fn another_queue_begins_anew_and_the_age_falls_to_zero_when_none_waits() {
        let (gauges, mail) = begun();
        note_look(&gauges, &mail, &look(0, 10, None), 101);
        assert_eq!(shown(&gauges, 101), [("ready".to_owned(), 0.0), ("age".to_owned(), 0.0)]);
        gauges.begin("mail", "Mail/1", secs(60), None);
        assert_eq!(shown(&gauges, 101).len(), 2, "the same queue in another interval");
        gauges.begin("mail", "Mail/2", secs(60), None);
        assert_eq!(shown(&gauges, 101), []);
    }

    /// What the page says of `targetAge`.
    fn target(gauges: &QueueGauges, now: u64) -> Vec<String> {
        let mut page = String::new();
        gauges.write(&mut page, secs(now));
        page.lines().filter(|line| line.starts_with("job_chief_target_age")).map(str::to_owned).collect()
    }

    #[test]
    fn a_target_is_missed_while_the_oldest_message_waits_for_longer_and_unknown_while_nobody_has_looked() {
        let gauges = QueueGauges::default();
        let mail = gauges.begin("mail", "Mail/1", secs(30), Some(secs(10)));
        gauges.note_heard(secs(100));
        assert!(target(&gauges, 100).is_empty());
        note_look(&gauges, &mail, &look(3, 10, Some(7)), 100);
        let told = |missed: u8| {
            let missed = format!("job_chief_target_age_missed{{job_config=\"mail\"}} {missed}");
            [missed, "job_chief_target_age_seconds{job_config=\"mail\"} 10".to_owned()]
        };
        assert_eq!(target(&gauges, 103), told(0));
        assert_eq!(target(&gauges, 104), told(1), "it has gone on waiting since the look");
        note_look(&gauges, &mail, &look(0, 10, None), 105);
        assert_eq!(target(&gauges, 120), told(0));
        assert!(target(&gauges, 126).is_empty(), "Postgres is silent");
        gauges.begin("mail", "Mail/1", secs(30), None);
        assert!(target(&gauges, 120).is_empty(), "it has none any more");
    }
}
