//! Windows against a model that does nothing but read the clock on the wall, minute by minute over a year with its clock
//! changes.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use job_chief::{
    config::{time_zones, windows::Window},
    decide::queue::windows::{InForce, Windows},
};
use proptest::prelude::*;
use serde_json::json;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Two of them change their clocks at night by an hour, one by half an hour, and one never.
const ZONES: [&str; 4] = ["Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"];

/// A window as it is written: days, from, to, maximum.
type Written = (Vec<&'static str>, String, String, u32);

/// A policy as the model reads it.
struct Model {
    otherwise: u32,
    windows: Vec<(Written, &'static str)>,
}

impl Model {
    fn windows(&self) -> Windows {
        let window = |((days, from, to, max), zone): &(Written, &str)| -> Window {
            let days = days.join(",");
            serde_json::from_value(
                json!({"days": days, "from": from, "to": to, "timezone": zone, "maxConcurrentJobs": max}),
            )
            .unwrap()
        };
        Windows::of(&self.windows.iter().map(window).collect::<Vec<_>>())
    }

    /// The answer, by what the clock of each window's zone shows: `Mon 22:13`.
    fn answer(&self, shown: impl Fn(&str) -> String) -> (u32, Option<usize>) {
        let open = self.windows.iter().position(|((days, from, to, _), zone)| {
            let shown = shown(zone);
            let (day, time) = shown.split_once(' ').unwrap();
            let day_before = DAYS[(DAYS.iter().position(|it| *it == day).unwrap() + 6) % 7];
            let (today, yesterday) = (days.contains(&day), days.contains(&day_before));
            match (from.as_str() < to.as_str(), time) {
                (true, time) => today && from.as_str() <= time && time < to.as_str(),
                (false, time) => (today && from.as_str() <= time) || (yesterday && time < to.as_str()),
            }
        });
        (open.map_or(self.otherwise, |at| self.windows[at].0.3), open)
    }

    fn at(&self, second: i64) -> (u32, Option<usize>) {
        self.answer(|name| shown(&zone(name), second))
    }
}

fn zone(name: &str) -> TimeZone {
    time_zones::zone(name).unwrap()
}

fn shown(zone: &TimeZone, second: i64) -> String {
    Timestamp::from_second(second).unwrap().to_zoned(zone.clone()).strftime("%a %H:%M").to_string()
}

fn duration(second: i64) -> Duration {
    Duration::from_secs(second.try_into().unwrap())
}

fn answer(found: &InForce) -> (u32, Option<usize>) {
    (found.max, found.window)
}

fn written(days: &[&'static str], from: &str, to: &str, max: u32) -> Written {
    (days.to_vec(), from.to_owned(), to.to_owned(), max)
}

/// Windows that have something to do with clock changes, and some that have not.
fn models(zone: &'static str) -> Vec<Model> {
    let lists = [
        (4, vec![written(&DAYS[..5], "22:00", "06:00", 20)]),
        (4, vec![written(&DAYS, "02:15", "02:45", 5)]),
        (1, vec![written(&DAYS[6..], "01:45", "02:15", 0), written(&DAYS, "02:00", "03:00", 7)]),
        (0, vec![written(&DAYS[5..6], "20:00", "20:00", 3), written(&DAYS[2..3], "00:00", "24:00", 2)]),
        (2, vec![written(&DAYS[6..], "03:00", "02:00", 9)]),
        (2, vec![written(&DAYS[5..], "00:00", "00:00", 8), written(&DAYS, "23:30", "02:30", 1)]),
    ];
    let model = |(otherwise, windows): (u32, Vec<Written>)| Model {
        otherwise,
        windows: windows.into_iter().map(|window| (window, zone)).collect(),
    };
    lists.into_iter().map(model).collect()
}

/// At every minute of 2026 the answer that was worked out at the last edge is that of the model.
fn a_year_of(name: &'static str) {
    let models = models(name);
    let begin = "2026-01-01T00:00Z".parse::<Timestamp>().unwrap().as_second();
    let all: Vec<Windows> = models.iter().map(Model::windows).collect();
    let in_force = |at: usize, second: i64| all[at].in_force(models[at].otherwise, duration(second));
    let mut known: Vec<InForce> = (0..all.len()).map(|at| in_force(at, begin)).collect();
    let (zone, mut edges) = (zone(name), 0);
    for second in (0..365 * 24 * 60).map(|minute| begin + minute * 60) {
        let shown = shown(&zone, second);
        for (at, model) in models.iter().enumerate() {
            let expected = model.answer(|_| shown.clone());
            if known[at].until.is_some_and(|until| until <= duration(second)) {
                let before = std::mem::replace(&mut known[at], in_force(at, second));
                assert_eq!(known[at].since, before.until, "{name} {at} {shown}: it counts since the edge");
                assert_ne!(answer(&known[at]), answer(&before), "{name} {at} {shown}: an edge changes something");
                edges += 1;
            }
            assert_eq!(answer(&known[at]), expected, "{name} {at} {shown}: {:?}", known[at]);
        }
    }
    assert!(edges > 2000, "{edges} edges");
}

#[test]
fn every_minute_of_a_year_in_zurich() {
    a_year_of(ZONES[0]);
}

#[test]
fn every_minute_of_a_year_in_new_york() {
    a_year_of(ZONES[1]);
}

#[test]
fn every_minute_of_a_year_on_lord_howe_where_clocks_change_by_half_an_hour() {
    a_year_of(ZONES[2]);
}

#[test]
fn every_minute_of_a_year_in_kolkata_where_they_never_do() {
    a_year_of(ZONES[3]);
}

fn clock(minutes: u32) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn any_window() -> impl Strategy<Value = (Written, &'static str)> {
    // Half of all edges are at night, where clocks change.
    let minute = || prop_oneof![0u32..1440, (0u32..16).prop_map(|quarter| 15 * quarter)];
    let days = proptest::sample::subsequence(DAYS.to_vec(), 1..=7);
    (days, minute(), minute(), 0u32..4, proptest::sample::select(ZONES.to_vec()))
        .prop_map(|(days, from, to, max, zone)| ((days, clock(from), clock(to), max), zone))
}

fn any_model() -> impl Strategy<Value = Model> {
    (0u32..4, proptest::collection::vec(any_window(), 1..5))
        .prop_map(|(otherwise, windows)| Model { otherwise, windows })
}

/// Some time of fifteen years, every other near a change of clocks in Zurich.
fn any_second() -> impl Strategy<Value = i64> {
    let changes: Vec<i64> = {
        let first = "2022-01-01T00:00Z".parse::<Timestamp>().unwrap();
        zone(ZONES[0]).following(first).take(30).map(|change| change.timestamp().as_second()).collect()
    };
    let near = (proptest::sample::select(changes), -90_000i64..90_000).prop_map(|(change, off)| change + off);
    prop_oneof![1_640_995_200i64..2_114_380_800, near]
}

impl std::fmt::Debug for Model {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{} {:?}", self.otherwise, self.windows)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn since_and_until_are_the_edges_of_the_answer(model in any_model(), now in any_second(), steps in proptest::collection::vec(0.0f64..1.0, 20)) {
        let found = model.windows().in_force(model.otherwise, duration(now));
        let expected = model.at(now);
        prop_assert_eq!(answer(&found), expected);
        let second = |time: Duration| i64::try_from(time.as_secs()).unwrap();
        let until = found.until.map(second);
        let since = found.since.map(second);
        if let Some(until) = until {
            prop_assert!(until > now);
            prop_assert_ne!(model.at(until), expected);
            prop_assert_eq!(model.at(until - 1), expected);
        }
        if let Some(since) = since {
            prop_assert!(since <= now);
            prop_assert_eq!(model.at(since), expected);
            prop_assert_ne!(model.at(since - 1), expected);
        }
        let (begin, end) = (since.unwrap_or(now - 1_000_000), until.unwrap_or(now + 1_000_000));
        for step in steps {
            let between = begin + ((end - begin) as f64 * step) as i64;
            prop_assert_eq!(model.at(between), expected);
        }
    }

    #[test]
    fn while_it_is_closed_it_is_told_when_it_opens(model in any_model(), now in any_second(), steps in proptest::collection::vec(0.0f64..1.0, 20)) {
        let found = model.windows().in_force(model.otherwise, duration(now));
        match found.opens.map(|opens| i64::try_from(opens.as_secs()).unwrap()) {
            _ if found.max > 0 => prop_assert_eq!(found.opens, None),
            Some(opens) => {
                prop_assert!(model.at(opens).0 > 0);
                for step in steps {
                    prop_assert_eq!(model.at(now + ((opens - now) as f64 * step) as i64).0, 0);
                }
            }
            None => {
                for day in 0..7 {
                    for step in &steps {
                        prop_assert_eq!(model.at(now + day * 86_400 + (86_400.0 * step) as i64).0, 0);
                    }
                }
            }
        }
    }
}
