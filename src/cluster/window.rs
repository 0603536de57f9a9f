//! How many requests may be in flight to the API server, by how it answers: additive increase, multiplicative decrease,
//! with the slow start of TCP (RFC 5681).

use std::{collections::BTreeMap, time::Duration};

/// Requests in flight before anything is known.
pub(super) const START: u16 = 16;

/// Fewer are never held back: a server that answers anything answers these.
const MIN: f64 = 4.0;

/// More are never in flight, whatever is answered.
const MAX: f64 = 64.0;

/// What is left of the window where the server has too much to do.
const DECREASE: f64 = 0.5;

/// Answers that take no longer are no sign of too much: half of what Kubernetes promises for 99 % of the requests that
/// change something (the SLO of API call latency, 1 s).
const UNHURRIED: Duration = Duration::from_millis(500);

/// Nor are those that take no more than so many times what the quickest ones do: an admission webhook may be slow.
const UNHURRIED_TIMES: u32 = 4;

/// The weight of one answer in what answers usually take.
const WEIGHT: f64 = 1.0 / 8.0;

/// The weight of one answer in what the quickest take, where it took longer: what is slow for good becomes usual.
const WEIGHT_OF_SLOWER: f64 = 1.0 / 256.0;

/// What was learned from trouble is forgotten after so long without any.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// The longest that one answer may silence the whole process. Priority and fairness asks for a second.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The window of one API server.
#[derive(Debug)]
pub(super) struct Window {
    size: f64,
    /// Below it each answer widens the window by one, from it on each round of answers.
    threshold: f64,
    /// What was sent before tells of a window that is no more.
    narrowed_at: Duration,
    paused_until: Duration,
    paces: BTreeMap<&'static str, Pace>,
}

/// How long the answers to requests of one verb take, in seconds.
#[derive(Clone, Copy, Debug)]
struct Pace {
    quickest: f64,
    usual: f64,
}

/// A request that was answered, or was not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) verb: &'static str,
    pub(super) sent: Duration,
    pub(super) came: Duration,
    /// All places were taken: the window was what held others back.
    pub(super) full: bool,
    pub(super) load: Load,
}

/// What an answer says of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// It does its work.
    Well,
    /// It has too much to do, or trouble; and how long it asks to be left alone.
    Overloaded(Option<Duration>),
    /// Nothing: it was not asked.
    Unknown,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            size: START.into(),
            threshold: MAX,
            narrowed_at: Duration::ZERO,
            paused_until: Duration::ZERO,
            paces: BTreeMap::new(),
        }
    }

    /// Requests that may be in flight.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between MIN and MAX")]
    pub(super) const fn places(&self) -> usize {
        self.size as usize
    }

    /// Nothing is sent before.
    pub(super) const fn paused_until(&self) -> Duration {
        self.paused_until
    }

    /// There was no trouble for so long that none is known of.
    pub(super) fn is_untroubled(&self, now: Duration) -> bool {
        now.saturating_sub(self.narrowed_at) > FORGOTTEN_AFTER
    }

    /// Learns from an answer.
    pub(super) fn answered(&mut self, it: Answered) {
        if let Load::Overloaded(pause) = it.load {
            let pause = pause.unwrap_or_default().min(PAUSE_MAX);
            self.paused_until = self.paused_until.max(it.came.saturating_add(pause));
        }
        if it.sent < self.narrowed_at {
            return;
        }
        match it.load {
            Load::Overloaded(_) => self.narrow(MIN, it.came),
            Load::Well if self.has_slowed_down(it) => self.narrow(START.into(), it.came),
            Load::Well => self.widen(it),
            Load::Unknown => {}
        }
    }

    fn widen(&mut self, it: Answered) {
        if self.is_untroubled(it.sent) {
            self.size = self.size.max(START.into());
            self.threshold = MAX;
        }
        if it.full {
            let more = if self.size < self.threshold { 1.0 } else { 1.0 / self.size };
            self.size = (self.size + more).min(MAX);
        }
    }

    /// Halves the window, once for each round of answers, and not beyond `least`.
    fn narrow(&mut self, least: f64, now: Duration) {
        self.size = (self.size * DECREASE).max(least).min(self.size);
        self.threshold = self.size;
        self.narrowed_at = now;
    }

    /// Notes how long an answer took, and tells whether answers take longer than they would take if there were fewer.
    fn has_slowed_down(&mut self, it: Answered) -> bool {
        let took = it.came.saturating_sub(it.sent).as_secs_f64();
        let pace = self.paces.entry(it.verb).or_insert(Pace { quickest: took, usual: took });
        pace.quickest = took.min(pace.quickest + WEIGHT_OF_SLOWER * (took - pace.quickest));
        let most = UNHURRIED.as_secs_f64().max(f64::from(UNHURRIED_TIMES) * pace.quickest);
        // One answer that took for ever tells no more than one that was late.
        pace.usual += WEIGHT * (took.min(2.0 * most) - pace.usual);
        let has_slowed_down = pace.usual > most;
        if has_slowed_down {
            pace.usual = pace.quickest;
        }
        has_slowed_down
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const fn answered(sent: Duration, took: Duration, load: Load) -> Answered {
        Answered { verb: "create", sent, came: sent.saturating_add(took), full: true, load }
    }

    /// Rounds of answers, each to as many requests as the window has; when the last one came.
    fn rounds(window: &mut Window, mut now: Duration, rounds: u32, took: Duration) -> Duration {
        for _ in 0..rounds {
            for _ in 0..window.places() {
                window.answered(answered(now, took, Load::Well));
            }
            now += took;
        }
        now
    }

    #[test]
    fn it_doubles_by_the_round_until_the_most_and_no_further() {
        let mut window = Window::new();
        let now = rounds(&mut window, ms(1), 1, ms(20));
        assert_eq!(window.places(), 32);
        rounds(&mut window, now, 5, ms(20));
        assert_eq!(window.places(), 64);
    }

    #[test]
    fn it_is_not_widened_by_answers_that_nobody_waited_for() {
        let mut window = Window::new();
        for _ in 0..100 {
            window.answered(Answered { full: false, ..answered(ms(1), ms(5), Load::Well) });
        }
        assert_eq!(window.places(), 16);
    }

    #[test]
    fn it_is_halved_once_a_round_and_then_grows_by_one_a_round() {
        let mut window = Window::new();
        for _ in 0..10 {
            window.answered(answered(ms(1), ms(30), Load::Overloaded(None)));
        }
        assert_eq!(window.places(), 8);
        let now = rounds(&mut window, ms(31), 1, ms(20));
        assert_eq!(window.places(), 8, "the first round after it adds up to less than one");
        let now = rounds(&mut window, now, 1, ms(20));
        assert_eq!(window.places(), 9);
        for round in 0..10 {
            window.answered(answered(now + ms(100 * round), ms(30), Load::Overloaded(None)));
        }
        assert_eq!(window.places(), 4, "and never less");
    }

    #[test]
    fn it_is_halved_when_the_answers_become_slow_and_not_by_a_single_one() {
        let mut window = Window::new();
        let now = rounds(&mut window, ms(1), 2, ms(20));
        assert_eq!(window.places(), 64);
        window.answered(answered(now, ms(9_000), Load::Well));
        assert_eq!(window.places(), 64);
        let now = rounds(&mut window, now + ms(9_000), 1, ms(900));
        assert_eq!(window.places(), 32, "900 ms are too long for a server that answers in 20");
        rounds(&mut window, now, 1, ms(200));
        assert_eq!(window.places(), 32, "200 ms are not");
    }

    #[test]
    fn what_is_slow_for_some_leaves_the_others_as_many_places_as_at_first() {
        let mut window = Window::new();
        let mut now = ms(1);
        for _ in 0..50 {
            window.answered(answered(now, ms(5), Load::Well));
            window.answered(answered(now, ms(2_000), Load::Well));
            now += ms(2_000);
        }
        assert!(window.places() >= 16, "{}", window.places());
    }

    #[test]
    fn trouble_is_forgotten_after_a_minute_without_any() {
        let mut window = Window::new();
        for round in 0..3 {
            window.answered(answered(ms(1 + 100 * round), ms(10), Load::Overloaded(None)));
        }
        let alone = |sent| Answered { full: false, ..answered(sent, ms(10), Load::Well) };
        window.answered(alone(ms(60_000)));
        assert_eq!(window.places(), 4);
        window.answered(Answered { load: Load::Unknown, ..alone(ms(60_300)) });
        assert_eq!(window.places(), 4, "the server was not asked");
        window.answered(alone(ms(60_300)));
        assert_eq!(window.places(), 16);
    }

    #[test]
    fn what_is_slow_by_itself_does_not_narrow_it() {
        let mut window = Window::new();
        rounds(&mut window, ms(1), 10, ms(1_500));
        assert_eq!(window.places(), 64, "a webhook takes its time");
    }

    #[test]
    fn nothing_is_sent_for_as_long_as_the_server_asks_within_a_limit() {
        let mut window = Window::new();
        window.answered(answered(ms(1), ms(9), Load::Overloaded(Some(ms(1_000)))));
        assert_eq!(window.paused_until(), ms(1_010));
        window.answered(answered(ms(2), ms(9), Load::Overloaded(None)));
        assert_eq!(window.paused_until(), ms(1_010));
        window.answered(answered(ms(3), ms(9), Load::Overloaded(Some(ms(3_600_000)))));
        assert_eq!(window.paused_until(), ms(10_012));
    }
}
