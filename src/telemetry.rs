//! Logs: one line an event, JSON or text for people, fields that can be queried.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::settings::LoggerSettings;

/// Logs to standard output from here on. A second call changes nothing.
pub fn start(settings: &LoggerSettings) {
    let level = settings.level.as_str();
    let filter = EnvFilter::new(format!("warn,job_chief={level}"));
    let registry = tracing_subscriber::registry().with(filter);
    let started = if settings.pretty_print {
        registry.with(fmt::layer().with_target(false)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false)).try_init()
    };
    if started.is_err() {
        tracing::debug!("logs were started before");
    }
}

/// An error with its causes, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut all: Vec<String> = causes.map(ToString::to_string).collect();
    all.dedup();
    all.join(": ")
}
