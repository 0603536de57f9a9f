//! `updateStrategy` and `restartOn` of a service: how a changed one takes the place of the old, and which files count.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::schema::Finding;

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

    /// What is wrong with it for a service with so many replicas.
    pub fn findings(&self, replicas: u32) -> Vec<Finding> {
        let max = self.unavailable_max();
        if self.kind == UpdateType::Recreate || replicas == 1 || max < replicas {
            return vec![];
        }
        let text = format!("found {max}, allowed is at most {}: one of {replicas} replicas has to stay", replicas - 1);
        vec![Finding::new(&["updateStrategy", "maxUnavailable"], text)]
    }

    /// What is allowed and probably not meant.
    pub fn warnings(&self, replicas: u32) -> Vec<Finding> {
        let (key, text) = match (self.kind, self.max_unavailable) {
            (UpdateType::RollingReplace, _) if replicas == 1 => {
                ("type", "a single replica is away while it is replaced: set \"replicas\" to 2 or more")
            }
            (UpdateType::Recreate, Some(_)) => {
                ("maxUnavailable", "it means nothing without the type \"RollingReplace\": all are replaced at once")
            }
            _ => return vec![],
        };
        vec![Finding::new(&["updateStrategy", key], text)]
    }
}

/// What is wrong with the paths of `restartOn`.
pub fn path_findings(paths: &[String]) -> Vec<Finding> {
    let is_wrong = |path: &String| !path.starts_with('/') || path.contains('\0');
    let wrong = paths.iter().enumerate().filter(|(_, path)| is_wrong(path)).map(|(at, path)| {
        let text =
            format!("found {path:?}, allowed is an absolute path of a file, as job-chief's own container has it");
        Finding::new(&["restartOn", &at.to_string()], text)
    });
    let again = paths.iter().enumerate().filter(|(at, path)| paths[..*at].contains(path)).map(|(at, path)| {
        Finding::new(&["restartOn", &at.to_string()], format!("{path:?} stands here twice: remove one"))
    });
    wrong.chain(again).collect()
}
