//! How something looks: a colour of the terminal, a class of the dashboard.

use anstyle::{AnsiColor, Style};
use serde_json::Value;

/// How something looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Nothing to remark.
    Quiet,
    /// As it should be.
    Good,
    /// Something is waited for.
    Waits,
    /// Somebody has to look.
    Bad,
}

impl Mood {
    /// Of a run.
    pub fn of_run(run: &Value) -> Self {
        match run["outcome"].as_str() {
            Some("succeeded") if run["tookNothing"] == true => Self::Waits,
            Some("succeeded") => Self::Good,
            Some("stopped") | None => Self::Quiet,
            Some(_) => Self::Bad,
        }
    }

    /// Of a service, by its state.
    pub fn of_service(service: &Value) -> Self {
        match service["state"].as_str() {
            Some("RUNNING") => Self::Good,
            Some("FAILED") => Self::Bad,
            Some("RESTART" | "STARTED") => Self::Waits,
            _ => Self::Quiet,
        }
    }

    /// Of a deployment, by its state.
    pub fn of_deployment(deployment: &Value) -> Self {
        match deployment["state"].as_str() {
            Some("settled") => Self::Good,
            Some("failed") => Self::Bad,
            Some("applying" | "drifted" | "removing") => Self::Waits,
            _ => Self::Quiet,
        }
    }

    /// Of an object of a deployment, by its state.
    pub fn of_object(object: &Value) -> Self {
        match object["state"].as_str() {
            Some("ready") => Self::Good,
            Some("error") => Self::Bad,
            Some("drifted" | "missing" | "removing") => Self::Waits,
            _ => Self::Quiet,
        }
    }

    /// Its colour.
    pub(super) const fn style(self) -> Style {
        match self {
            Self::Quiet => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Waits => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
        }
    }

    /// Its class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Good => "good",
            Self::Waits => "waits",
            Self::Bad => "bad",
        }
    }
}
