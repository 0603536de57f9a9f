//! What job-chief costs and how fast it is, measured from outside on the test cluster. `cargo xtask bench` runs it.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark ends at the first surprise"
)]
#![allow(dead_code, reason = "the stage is the tests' stage, of which a benchmark needs a part")]

#[path = "../../tests/postgres/bouncer.rs"]
mod bouncer;
#[path = "../../tests/e2e/browser.rs"]
mod browser;
mod burst;
mod depth;
mod figures;
mod footprint;
mod forecast;
mod handover;
mod idle;
mod latency;
mod memory;
mod modules;
mod pages;
mod process;
#[path = "../../tests/e2e/recording.rs"]
mod recording;
mod restart;
mod services;
mod sharing;
#[path = "../../tests/e2e/stage.rs"]
mod stage;
mod witness;

use figures::Figures;

/// The parts by name, in order.
const PARTS: [&str; 13] = [
    "footprint",
    "latency",
    "burst",
    "idle",
    "pages",
    "restart",
    "memory",
    "handover",
    "depth",
    "services",
    "modules",
    "forecast",
    "sharing",
];

#[tokio::main]
async fn main() {
    // `cargo bench` adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let runs = words.iter().find_map(|word| word.strip_prefix("--runs=")).map_or(3, |runs| runs.parse().unwrap());
    let asked: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    for part in &asked {
        assert!(PARTS.contains(part), "{part} is none of {PARTS:?}");
    }
    for part in PARTS.iter().filter(|part| asked.is_empty() || asked.contains(part)) {
        let mut figures = Figures::new(part);
        match *part {
            "footprint" => footprint::measure(&mut figures, runs).await,
            "restart" => restart::measure(&mut figures, runs).await,
            "latency" => latency::measure(&mut figures, runs).await,
            "burst" => burst::measure(&mut figures, runs).await,
            "idle" => idle::measure(&mut figures, runs).await,
            "pages" => pages::measure(&mut figures, runs).await,
            "depth" => depth::measure(&mut figures, runs).await,
            "handover" => handover::measure(&mut figures, runs).await,
            "services" => services::measure(&mut figures, runs).await,
            "modules" => modules::measure(&mut figures, runs).await,
            "forecast" => forecast::measure(&mut figures, runs).await,
            "memory" => memory::measure(&mut figures, runs).await,
            "sharing" => sharing::measure(&mut figures, runs).await,
            _ => unreachable!("every part has an arm"),
        }
        figures.show();
    }
}
