//! The states of a service, in words.

use schemars::JsonSchema;
use serde::Serialize;

/// How a service stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceState {
    /// `enabled: false`, in jobs.json or by hand.
    Disabled,
    /// Nothing was asked for yet, or it was stopped.
    #[default]
    NotStarted,
    /// Its Jobs are asked for, and not every replica is up.
    Started,
    /// Every replica is up.
    Running,
    /// A replica waits after a bad start, or one can't be halted.
    Failed,
    /// A replica has ended and is started anew.
    Restart,
}

/// All states, as the metrics name them.
pub const SERVICE_STATES: [ServiceState; 6] = [
    ServiceState::Disabled,
    ServiceState::NotStarted,
    ServiceState::Started,
    ServiceState::Running,
    ServiceState::Failed,
    ServiceState::Restart,
];

impl ServiceState {
    /// The word in the metrics, the API and what commands print.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "DISABLED",
            Self::NotStarted => "NOT_STARTED",
            Self::Started => "STARTED",
            Self::Running => "RUNNING",
            Self::Failed => "FAILED",
            Self::Restart => "RESTART",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_one_word_everywhere() {
        for state in SERVICE_STATES {
            assert_eq!(serde_json::to_value(state).expect("a word"), state.as_str());
        }
    }
}
