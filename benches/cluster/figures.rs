//! Figures with their spread: printed as a table, kept as JSON.

use std::path::PathBuf;

use serde_json::json;

/// The figures of one part.
pub(crate) struct Figures {
    part: String,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    unit: &'static str,
    goal: Option<&'static str>,
    samples: Vec<f64>,
}

impl Figures {
    pub(crate) fn new(part: &str) -> Self {
        eprintln!("\n== {part}");
        Self { part: part.to_owned(), rows: vec![] }
    }

    /// One more sample of a figure.
    pub(crate) fn add(&mut self, name: &str, unit: &'static str, goal: Option<&'static str>, sample: f64) {
        eprintln!("  {name}: {sample:.2} {unit}");
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.samples.push(sample),
            None => self.rows.push(Row { name: name.to_owned(), unit, goal, samples: vec![sample] }),
        }
    }

    /// Prints the table in Markdown, and writes the JSON beside those of the other parts.
    pub(crate) fn show(&self) {
        println!("\n| {} | median | least | most | runs | goal |\n|---|---:|---:|---:|---:|---|", self.part);
        for Row { name, unit, goal, samples } in &self.rows {
            let sorted = sorted(samples);
            let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
            println!(
                "| {name} | {} {unit} | {} | {} | {} | {} |",
                short(median(samples)),
                short(least),
                short(most),
                samples.len(),
                goal.unwrap_or("")
            );
        }
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| json!({"name": row.name, "unit": row.unit, "goal": row.goal, "samples": row.samples}))
            .collect();
        if let Some(folder) = std::env::var_os("JOB_CHIEF_BENCH_RESULTS") {
            let path = PathBuf::from(folder).join(format!("{}.json", self.part));
            std::fs::write(path, serde_json::to_vec_pretty(&rows).unwrap()).unwrap();
        }
    }
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// What so many of a hundred do not exceed.
pub(crate) fn within(samples: &[f64], share: usize) -> f64 {
    let sorted = sorted(samples);
    sorted[(sorted.len() * share / 100).min(sorted.len() - 1)]
}

pub(crate) fn median(samples: &[f64]) -> f64 {
    let sorted = sorted(samples);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// Three digits, or all before the point.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
