//! The desired state of a service: what people and jobs.json say of it.

use serde::Serialize;

/// What people and jobs.json say of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredState {
    /// Not `enabled: false`.
    pub enabled: bool,
    /// Stopped by an operator, and not started since.
    pub stopped: bool,
    /// Pods get no grace.
    pub halted: bool,
    /// How often an operator has started or restarted it, ever.
    pub starts: u64,
    /// Replicas that were started before this many starts are to be started anew.
    pub restart_before: u64,
}

impl Default for DesiredState {
    fn default() -> Self {
        Self { enabled: true, stopped: false, halted: false, starts: 0, restart_before: 0 }
    }
}
