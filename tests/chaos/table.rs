//! What is told at the end: faults by kind, how long it took until all was well again, and what did not hold.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use crate::schedule::Kind;

/// How often a kind came, and how long it took afterwards.
#[derive(Default)]
struct Row {
    count: usize,
    /// Nothing else happened meanwhile.
    alone: Vec<Duration>,
    /// Something else happened before all was well.
    among: Vec<Duration>,
}

/// The table, as it grows.
#[derive(Default)]
pub(crate) struct Table(BTreeMap<Kind, Row>);

impl Table {
    /// It was done; `false` where there was nothing to do it to.
    pub(crate) fn happened(&mut self, kind: Kind, was_done: bool) {
        self.0.entry(kind).or_default().count += usize::from(was_done);
    }

    pub(crate) fn recovered(&mut self, kind: Kind, took: Duration, was_alone: bool) {
        let row = self.0.entry(kind).or_default();
        if was_alone { row.alone.push(took) } else { row.among.push(took) }
    }

    /// Faults that were done.
    pub(crate) fn faults(&self) -> usize {
        self.0.values().map(|row| row.count).sum()
    }

    /// In Markdown.
    pub(crate) fn text(&self) -> String {
        let mut text = "| fault | count | alone | p50 | most | among others | p50 | most |\n".to_owned();
        text += "|---|--:|--:|--:|--:|--:|--:|--:|\n";
        let mut all = Row::default();
        for (kind, row) in &self.0 {
            line(&mut text, kind.name(), row);
            all.count += row.count;
            all.alone.extend(&row.alone);
            all.among.extend(&row.among);
        }
        line(&mut text, "all", &all);
        text
    }
}

fn line(text: &mut String, name: &str, row: &Row) {
    let Row { count, alone, among } = row;
    let [(one, half, most), (others, half_among, most_among)] =
        [alone, among].map(|times| (times.len(), seconds(middle(times)), seconds(times.iter().max().copied())));
    writeln!(text, "| {name} | {count} | {one} | {half} | {most} | {others} | {half_among} | {most_among} |")
        .expect("writing to a text can't fail");
}

fn middle(times: &[Duration]) -> Option<Duration> {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied()
}

fn seconds(time: Option<Duration>) -> String {
    time.map(|time| format!("{:.1} s", time.as_secs_f64())).unwrap_or_default()
}
