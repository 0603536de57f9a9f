//! Which `maxConcurrentJobs` is in force: that of the first window in the list that is open, else the top-level one.
//!
//! A window is open while the clock on the wall of its zone shows a time within it, and this alone counts where clocks
//! change, too. An edge in an hour that is skipped acts at the moment of the change; one in an hour that comes twice acts
//! both times.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::{AmbiguousOffset, TimeZone},
};
use serde::Serialize;

use crate::config::windows::{Hours, Window};

/// The windows of one JobConfig, in their order; mostly none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Windows(Arc<[Opening]>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Opening {
    hours: Hours,
    /// `None`: it never opens. Such a zone was refused when jobs.json was read, by a version that may have known others.
    zone: Option<Zone>,
    max: u32,
}

/// A time zone, told from others by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Zone(TimeZone);

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iana_name().hash(state);
    }
}

/// What counts now, and until when nothing else does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct InForce {
    /// Jobs that may live at once.
    pub max: u32,
    /// The window that is open, by its place in the list; `None` where none is.
    pub window: Option<usize>,
    /// Since when; `None` where that was long ago.
    pub since: Option<Duration>,
    /// When another window counts, or none; `None` where that is never.
    pub until: Option<Duration>,
    /// While `max` is 0: when it no longer is.
    pub opens: Option<Duration>,
}

/// A time in seconds since 1970, as times are here: all edges fall on whole ones.
type Second = i64;

const DAY: Second = 24 * 3600;

/// How far edges are looked for: a week, one more in which a clock change swallows the only window, and the days around.
const DAYS_MAX: usize = 16;

/// Edges between two openings: each window may close in the place of another, every day.
const CLOSED_EDGES_MAX: usize = 1000;

impl Windows {
    /// Those of a JobConfig.
    pub fn of(windows: &[Window]) -> Self {
        if windows.is_empty() {
            return Self::default();
        }
        let opening = |window: &Window| Opening {
            hours: window.hours(),
            zone: window.zone().map(Zone),
            max: window.max_concurrent_jobs,
        };
        Self(windows.iter().map(opening).collect())
    }

    /// There are none: nothing ever changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What counts at a time, and until when; `otherwise` where no window is open.
    pub fn in_force(&self, otherwise: u32, now: Duration) -> InForce {
        if self.is_empty() {
            return InForce { max: otherwise, ..InForce::default() };
        }
        let now = Second::try_from(now.as_secs()).unwrap_or(Second::MAX).min(Timestamp::MAX.as_second() - DAY);
        let window = self.open_at(now);
        let until = self.next_edge(now, window);
        let max = self.max_of(window, otherwise);
        InForce {
            max,
            window,
            since: self.last_edge(now, window).and_then(since_1970),
            until: until.and_then(since_1970),
            opens: until.filter(|_| max == 0).and_then(|until| self.opens(until, otherwise)).and_then(since_1970),
        }
    }

    /// What may live at once at a time.
    pub fn max_at(&self, otherwise: u32, now: Duration) -> u32 {
        self.max_of(self.window_at(now), otherwise)
    }

    /// The window that is open at a time.
    pub(super) fn window_at(&self, now: Duration) -> Option<usize> {
        self.open_at(Second::try_from(now.as_secs()).unwrap_or(Second::MAX))
    }

    /// The zone of a window, for people.
    pub(super) fn zone(&self, window: usize) -> Option<&TimeZone> {
        self.0.get(window).and_then(|opening| opening.zone.as_ref()).map(|zone| &zone.0)
    }

    fn max_of(&self, window: Option<usize>, otherwise: u32) -> u32 {
        window.map_or(otherwise, |window| self.0[window].max)
    }

    /// The first that is open.
    fn open_at(&self, at: Second) -> Option<usize> {
        let at = Timestamp::from_second(at).ok()?;
        self.0.iter().position(|opening| {
            let Some(Zone(zone)) = &opening.zone else { return false };
            let shown = zone.to_datetime(at);
            let minute = u16::from(shown.hour().unsigned_abs()) * 60 + u16::from(shown.minute().unsigned_abs());
            opening.hours.include(shown.weekday(), minute)
        })
    }

    /// The first time after `at` at which another window counts than this one.
    fn next_edge(&self, at: Second, window: Option<usize>) -> Option<Second> {
        let days = (0..DAYS_MAX as Second).map(|day| at + day * DAY);
        let mut edges = days.flat_map(|begin| self.edges(begin, begin + DAY));
        edges.find(|edge| self.open_at(*edge) != window)
    }

    /// The last time until `at` at which this window began to count.
    fn last_edge(&self, at: Second, window: Option<usize>) -> Option<Second> {
        let days = (0..DAYS_MAX as Second).map(|day| at - day * DAY);
        let mut edges = days.flat_map(|end| self.edges(end - DAY, end).into_iter().rev());
        edges.find(|edge| self.open_at(*edge - 1) != window)
    }

    /// The first time from an edge on at which something may live.
    fn opens(&self, edge: Second, otherwise: u32) -> Option<Second> {
        let next = |edge: &Second| self.next_edge(*edge, self.open_at(*edge));
        let mut edges = std::iter::successors(Some(edge), next).take(CLOSED_EDGES_MAX);
        edges.find(|edge| self.max_of(self.open_at(*edge), otherwise) > 0)
    }

    /// All times after `begin` and until `end` at which a window may open or close: when its clock shows one of its edges,
    /// and when that clock is changed.
    fn edges(&self, begin: Second, end: Second) -> BTreeSet<Second> {
        let (Ok(first), Ok(last)) = (Timestamp::from_second(begin), Timestamp::from_second(end)) else {
            return BTreeSet::new();
        };
        let mut edges = BTreeSet::new();
        for Opening { hours, zone, .. } in &*self.0 {
            let Some(Zone(zone)) = zone else { continue };
            let changes = zone.following(first).map(|change| change.timestamp()).take_while(|change| *change <= last);
            edges.extend(changes.map(Timestamp::as_second));
            let (from, to) = (zone.to_datetime(first).date(), zone.to_datetime(last).date());
            for date in from.series(jiff::Span::new().days(1)).take_while(|date| *date <= to) {
                edges.extend(hours.edges().into_iter().flat_map(|minute| shown_at(zone, date, minute)));
            }
        }
        edges.retain(|edge| begin < *edge && *edge <= end);
        edges
    }
}

/// When the clocks of a zone show this minute of a day: once, twice, or never.
fn shown_at(zone: &TimeZone, date: Date, minute: u16) -> Vec<Second> {
    let (hour, minute) = ((minute / 60) as i8, (minute % 60) as i8);
    let shown = date.to_datetime(Time::constant(hour, minute, 0, 0));
    let offsets = match zone.to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Unambiguous { offset } => vec![offset],
        AmbiguousOffset::Fold { before, after } => vec![before, after],
        // The change itself is an edge.
        AmbiguousOffset::Gap { .. } => vec![],
    };
    offsets.into_iter().filter_map(|offset| offset.to_timestamp(shown).ok()).map(Timestamp::as_second).collect()
}

fn since_1970(second: Second) -> Option<Duration> {
    u64::try_from(second).ok().map(Duration::from_secs)
}
