//! How the workers of a JobConfig behave, as far as its runs and messages tell: how long they take to their first message,
//! how many they take at once and one after the other, and how long they stay after the last.
//!
//! Nothing says which run took which message. But messages that were taken together have the very same time, runs and
//! messages that overlap are paired in their order, which keeps sums whoever took what, and one that takes the next
//! message as it is done with the last shows by that.

use std::{collections::VecDeque, time::Duration};

use crate::decide::{
    forecast::{
        history::{Message, PastRun},
        samples::{GOLDEN, Sequence, thinned},
    },
    outcome::Outcome,
};

/// Kubernetes tells times in whole seconds, cut: on average what happened is half of that later.
const CUT_OFF: Duration = Duration::from_millis(500);

/// How far such a time may be wrong.
const WRONG_MAX: Duration = Duration::from_secs(1);

/// A worker that takes its next message does so within this time of the last: a query, or a poll of pg-boss's.
const NEXT_WITHIN: Duration = Duration::from_millis(2_500);

/// Fetches of a worker, in thousandths, from which on it is believed to go on until its queue is empty.
const GOES_ON_FROM: usize = 1_200;

/// What is assumed of a JobConfig that has never run, where no other has either.
const ASSUMED: Start = Start { fetched: Duration::from_secs(3), ran: Duration::from_secs(2) };

/// The start of a Job, from its wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Start {
    /// Until its worker takes its first message.
    pub fetched: Duration,
    /// Until its first container runs.
    pub ran: Duration,
}

/// How the workers of a JobConfig behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerModel {
    /// Measured starts, sorted.
    pub starts: Vec<Start>,
    /// From the last message that a Job was done with until it was Complete or Failed, sorted.
    pub stays: Vec<Duration>,
    /// Messages that a worker takes at once, at the most.
    pub at_once: usize,
    /// How often it takes some before it ends; `None`: as long as there are any.
    pub fetches_max: Option<usize>,
    /// Runs that failed, in thousandths.
    pub failed: usize,
    /// Messages that were taken while no Job of it lived, in thousandths: by somebody else.
    pub taken_by_others: usize,
}

/// Messages that were taken by one fetch.
#[derive(Clone, Copy, Debug)]
struct Fetch {
    at: Duration,
    messages: usize,
    /// When all of them were done with; `None` while one is not.
    done_at: Option<Duration>,
}

/// A worker that has started, of which a Job has `parallelism`.
#[derive(Clone, Copy, Debug)]
struct Worker {
    run: usize,
    started_at: Duration,
    ended_at: Duration,
}

impl WorkerModel {
    /// What these runs and the messages of their queue tell of workers, of which each Job has so many. Of runs that were
    /// wished before a time the first messages are not known.
    pub fn of(messages: &[Message], runs: &[PastRun], parallelism: u32, known_from: Duration) -> Self {
        let (fetches, taken_by_others) = fetches(messages, runs);
        let workers = workers(runs, parallelism, known_from);
        // When one has started is on record once it has ended.
        let has_run = |run: &&PastRun| run.started_at.is_some() || run.ended_at.is_none();
        let useful = runs.iter().filter(|run| has_run(run) && !run.took_nothing).count();
        let useful = (useful * parallelism as usize).max(1);
        let goes_on = fetches.len() * 1_000 > useful * GOES_ON_FROM;
        let leaves_some = leaves_some(messages, runs);
        let pairs = paired(&fetches, &workers, goes_on);
        let ended: Vec<&PastRun> =
            runs.iter().filter(|run| run.started_at.is_some() && run.ended_at.is_some()).collect();
        let failed = ended.iter().filter(|run| run.outcome == Some(Outcome::Failed)).count();
        Self {
            starts: starts(runs, &pairs),
            stays: stays(runs, &fetches, &pairs, goes_on),
            at_once: fetches.iter().map(|fetch| fetch.messages).max().unwrap_or(1),
            fetches_max: (!goes_on || leaves_some).then(|| ((fetches.len() + useful / 2) / useful).max(1)),
            failed: failed * 1_000 / ended.len().max(1),
            taken_by_others,
        }
    }

    /// The same where others, of which nothing is known, behave as those of which something is.
    #[must_use]
    pub fn or_as(mut self, others: &Self) -> Self {
        if self.starts.is_empty() {
            self.starts.clone_from(&others.starts);
        }
        if self.stays.is_empty() {
            self.stays.clone_from(&others.stays);
        }
        self
    }

    /// What all of these have in common; something is assumed where none of them has ever run.
    pub fn pooled<'a>(all: impl IntoIterator<Item = &'a Self> + Clone) -> Self {
        let starts: Vec<Start> = all.clone().into_iter().flat_map(|model| model.starts.iter().copied()).collect();
        let stays: Vec<Duration> = all.into_iter().flat_map(|model| model.stays.iter().copied()).collect();
        Self {
            starts: if starts.is_empty() { vec![ASSUMED] } else { thinned(starts) },
            stays: if stays.is_empty() { vec![CUT_OFF] } else { thinned(stays) },
            at_once: 1,
            fetches_max: Some(1),
            failed: 0,
            taken_by_others: 0,
        }
    }
}

/// How long each message takes whoever has taken it: of those that were taken together, what each adds to the time. What
/// nobody is done with takes as long as others of its queue.
pub fn work(messages: &[Message]) -> Vec<Duration> {
    let mut work: Vec<Option<Duration>> = vec![None; messages.len()];
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by_key(|place| (messages[*place].taken_at, messages[*place].done_at));
    let mut before: Option<&Message> = None;
    for place in order {
        let message = &messages[place];
        let begun = before.filter(|it| it.taken_at == message.taken_at).map_or(message.taken_at, |it| it.done_at);
        if let (Some(begun), Some(done)) = (begun, message.done_at) {
            work[place] = Some(done.saturating_sub(begun));
        }
        before = Some(message);
    }
    let known = thinned(work.iter().copied().flatten().collect());
    let mut sequence = Sequence::new(GOLDEN);
    work.into_iter().map(|took| took.or_else(|| sequence.pick(&known).copied()).unwrap_or_default()).collect()
}

/// The fetches of messages while a run was there, in their order; and how many messages were taken while none was, in
/// thousandths.
fn fetches(messages: &[Message], runs: &[PastRun]) -> (Vec<Fetch>, usize) {
    let mut taken: Vec<(Duration, Option<Duration>)> =
        messages.iter().filter_map(|message| Some((message.taken_at?, message.done_at))).collect();
    taken.sort_unstable();
    let known_from = runs.first().map_or(Duration::MAX, |run| run.wished_at);
    taken.retain(|(at, _)| *at >= known_from);
    let (total, covered) = (taken.len(), covered(runs));
    taken.retain(|(at, _)| {
        let next = covered.partition_point(|(from, _)| *from <= at.saturating_add(WRONG_MAX));
        next.checked_sub(1).is_some_and(|last| covered[last].1.saturating_add(WRONG_MAX) >= *at)
    });
    let others = (total - taken.len()) * 1_000 / total.max(1);
    let fetch = |together: &[(Duration, Option<Duration>)]| Fetch {
        at: together[0].0,
        messages: together.len(),
        // Nothing is less than anything.
        done_at: together.iter().map(|(_, done)| *done).min().flatten().and(together[together.len() - 1].1),
    };
    (taken.chunk_by(|one, other| one.0 == other.0).map(fetch).collect(), others)
}

/// Most runs have ended while messages waited: workers do not go on until there are none.
fn leaves_some(messages: &[Message], runs: &[PastRun]) -> bool {
    let mut arrived: Vec<Duration> = messages.iter().map(|message| message.at).collect();
    let mut taken: Vec<Duration> = messages.iter().filter_map(|message| message.taken_at).collect();
    arrived.sort_unstable();
    taken.sort_unstable();
    let until = |times: &[Duration], now: Duration| times.partition_point(|time| *time <= now);
    let waits = |now: Duration| until(&arrived, now) > until(&taken, now);
    let ends = || runs.iter().filter(|run| run.started_at.is_some()).filter_map(|run| run.ended_at);
    ends().filter(|ended| waits(ended.saturating_sub(NEXT_WITHIN)) && waits(*ended)).count() * 2 > ends().count()
}

/// When any run was there, as spans in their order.
fn covered(runs: &[PastRun]) -> Vec<(Duration, Duration)> {
    let mut spans: Vec<(Duration, Duration)> = vec![];
    for run in runs {
        let (from, to) = (run.started_at.unwrap_or(run.wished_at), run.ended_at.unwrap_or(Duration::MAX));
        spans.push((from, to));
    }
    spans.sort_unstable();
    let mut joined: Vec<(Duration, Duration)> = vec![];
    for (from, to) in spans {
        match joined.last_mut().filter(|last| from <= last.1) {
            Some(last) => last.1 = last.1.max(to),
            None => joined.push((from, to)),
        }
    }
    joined
}

fn workers(runs: &[PastRun], parallelism: u32, known_from: Duration) -> Vec<Worker> {
    let of_run = |(run, past): (usize, &PastRun)| {
        let (started_at, ended_at) = (past.started_at?, past.ended_at?);
        Some(std::iter::repeat_n(Worker { run, started_at, ended_at }, parallelism as usize))
    };
    let known = runs.iter().enumerate().filter(|(_, run)| run.wished_at >= known_from);
    let mut workers: Vec<Worker> = known.filter_map(of_run).flatten().collect();
    workers.sort_by_key(|worker| worker.started_at);
    workers
}

/// The first fetches of runs, each with its run.
fn paired(fetches: &[Fetch], workers: &[Worker], goes_on: bool) -> Vec<(usize, Fetch)> {
    let mut new: VecDeque<Worker> = VecDeque::new();
    let mut later = workers.iter().peekable();
    let mut finished: Vec<&Fetch> = fetches.iter().filter(|fetch| fetch.done_at.is_some()).collect();
    finished.sort_by_key(|fetch| std::cmp::Reverse(fetch.done_at));
    // Of those that are done with their messages and have not taken others yet, the last one that was.
    let mut free: Vec<Duration> = vec![];
    let mut pairs = vec![];
    for fetch in fetches {
        while let Some(worker) = later.next_if(|worker| worker.started_at <= fetch.at) {
            new.push_back(*worker);
        }
        while let Some(done) = finished.pop_if(|it| it.done_at <= Some(fetch.at)) {
            free.extend(done.done_at);
        }
        while new.pop_front_if(|worker| worker.ended_at.saturating_add(WRONG_MAX) < fetch.at).is_some() {}
        let is_next = |done: &mut Duration| fetch.at.saturating_sub(*done) <= NEXT_WITHIN || new.is_empty();
        if goes_on && free.pop_if(is_next).is_some() {
            continue;
        }
        pairs.extend(new.pop_front().map(|worker| (worker.run, *fetch)));
    }
    pairs
}

fn starts(runs: &[PastRun], pairs: &[(usize, Fetch)]) -> Vec<Start> {
    let start = |(run, fetch): &(usize, Fetch)| {
        let PastRun { wished_at, started_at, .. } = runs[*run];
        let fetched = fetch.at.saturating_sub(wished_at);
        Some(Start { fetched, ran: started_at?.saturating_sub(wished_at).min(fetched) })
    };
    thinned(pairs.iter().filter_map(start).collect())
}

fn stays(runs: &[PastRun], fetches: &[Fetch], pairs: &[(usize, Fetch)], goes_on: bool) -> Vec<Duration> {
    let stay = |done: Duration, ended: Duration| ended.saturating_add(CUT_OFF).saturating_sub(done);
    if !goes_on {
        let of_pair = |(run, fetch): &(usize, Fetch)| Some(stay(fetch.done_at?, runs[*run].ended_at?));
        return thinned(pairs.iter().filter_map(of_pair).collect());
    }
    let mut done: Vec<Duration> = fetches.iter().filter_map(|fetch| fetch.done_at).collect();
    done.sort_unstable();
    let mut ends: Vec<&PastRun> = runs.iter().filter(|run| run.started_at.is_some() && !run.took_nothing).collect();
    ends.sort_by_key(|run| run.ended_at);
    let mut stays = vec![];
    for (started, ended) in ends.into_iter().filter_map(|run| Some((run.started_at?, run.ended_at?))) {
        let before = done.partition_point(|done| *done <= ended.saturating_add(WRONG_MAX));
        if let Some(last) = before.checked_sub(1).filter(|last| done[*last] >= started) {
            stays.push(stay(done.remove(last), ended));
        }
    }
    thinned(stays)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    fn message(taken: u64, done: u64) -> Message {
        Message { taken_at: Some(ms(taken)), done_at: Some(ms(done)), ..Message::default() }
    }

    fn run(wished: u64, started: u64, ended: u64) -> PastRun {
        PastRun {
            wished_at: ms(wished),
            started_at: Some(ms(started)),
            ended_at: Some(ms(ended)),
            outcome: Some(Outcome::Succeeded),
            took_nothing: false,
        }
    }

    #[test]
    fn one_message_a_run_whoever_took_which() {
        let messages = [message(3_500, 8_500), message(3_700, 9_700)];
        let runs = [run(1_000, 2_000, 9_000), run(1_000, 3_000, 10_000)];
        let model = WorkerModel::of(&messages, &runs, 1, Duration::ZERO);
        assert_eq!(model.fetches_max, Some(1));
        assert_eq!((model.at_once, model.failed, model.taken_by_others), (1, 0, 0));
        let start = |fetched, ran| Start { fetched: ms(fetched), ran: ms(ran) };
        assert_eq!(model.starts, [start(2_500, 1_000), start(2_700, 2_000)]);
        assert_eq!(model.stays, [ms(800), ms(1_000)], "half a second was cut off");
    }

    #[test]
    fn one_that_takes_the_next_as_it_is_done_goes_on() {
        let messages = [message(3_500, 5_000), message(5_010, 6_000), message(6_010, 8_000), message(20_000, 21_000)];
        let runs = [run(1_000, 2_000, 9_000), run(18_000, 19_000, 22_000)];
        let model = WorkerModel::of(&messages, &runs, 1, Duration::ZERO);
        assert_eq!(model.fetches_max, None);
        let fetched: Vec<Duration> = model.starts.iter().map(|start| start.fetched).collect();
        assert_eq!(fetched, [ms(2_000), ms(2_500)]);
        assert_eq!(model.stays, [ms(1_500), ms(1_500)]);
    }

    #[test]
    fn workers_that_leave_messages_take_so_many_and_end() {
        let taken = |(place, at): (u64, u64)| message(at, at + 900 + place % 2);
        let messages: Vec<Message> = (0..).zip([2_000, 3_000, 10_000, 11_000, 18_000, 19_000]).map(taken).collect();
        let runs = [run(500, 1_000, 6_000), run(8_500, 9_000, 14_000), run(16_500, 17_000, 22_000)];
        assert_eq!(WorkerModel::of(&messages, &runs, 1, Duration::ZERO).fetches_max, Some(2));
    }

    #[test]
    fn messages_of_one_time_were_taken_together_and_each_adds_what_it_took() {
        let messages = [message(3_000, 6_000), message(3_000, 4_000), message(3_000, 4_500)];
        let model = WorkerModel::of(&messages, &[run(1_000, 2_000, 7_000)], 1, Duration::ZERO);
        assert_eq!((model.at_once, model.fetches_max), (3, Some(1)));
        assert_eq!(work(&messages), [ms(1_500), ms(1_000), ms(500)]);
        let unfinished = Message { done_at: None, ..message(9_000, 0) };
        assert_eq!(work(&[message(0, 700), unfinished]), [ms(700), ms(700)]);
    }

    #[test]
    fn what_was_taken_while_no_run_was_there_is_others() {
        let messages = [message(3_000, 4_000), message(30_000, 31_000)];
        let model = WorkerModel::of(&messages, &[run(1_000, 2_000, 5_000)], 1, Duration::ZERO);
        assert_eq!(model.taken_by_others, 500);
    }

    #[test]
    fn one_that_was_there_before_the_span_tells_no_start() {
        let messages = [message(13_500, 15_000), message(15_010, 16_000)];
        let ended = WorkerModel::of(&messages, &[run(1_000, 2_000, 19_000)], 1, ms(10_000));
        assert!(ended.starts.is_empty() && ended.fetches_max.is_none(), "{ended:?}");
        let lives = PastRun { started_at: None, ended_at: None, outcome: None, ..run(1_000, 0, 0) };
        let lives = WorkerModel::of(&messages, &[lives], 1, ms(10_000));
        assert_eq!((lives.fetches_max, lives.taken_by_others), (None, 0));
    }

    #[test]
    fn of_one_that_never_ran_others_tell() {
        let known = WorkerModel::of(&[message(3_500, 8_500)], &[run(1_000, 2_000, 9_000)], 1, Duration::ZERO);
        let pooled = WorkerModel::pooled([&known]);
        let never = WorkerModel::of(&[], &[], 1, Duration::ZERO).or_as(&pooled);
        assert_eq!((&never.starts, &never.stays), (&known.starts, &known.stays));
        assert_eq!(WorkerModel::pooled(std::iter::empty()).starts, [ASSUMED]);
    }
}
