//! `updateStrategy` and `restartOn` of a service: how a changed one takes the place of the old, and which files count.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Files that one service may be restarted on. Each is read whole when it has changed.
pub const RESTART_ON_MAX: usize = 16;

/// How replicas are replaced whose entry has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateStrategy {
    /// All at once, or one after another. Default: `Recreate`.
    #[serde(default, rename = "type")]
    pub kind: UpdateType,
    /// Replicas that may be away at once while they are replaced, for whatever reason; of `RollingReplace` only. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 999))]
    pub max_unavailable: Option<u32>,
}

/// The ways to replace replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdateType {
    /// All at once.
    #[default]
    Recreate,
    /// One after another: the next when the one before is up.
    RollingReplace,
}

impl UpdateStrategy {
    /// Replicas that may be away at once.
    pub fn unavailable_max(&self) -> u32 {
        self.max_unavailable.unwrap_or(1)
    }
}
