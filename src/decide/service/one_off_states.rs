//! How all that runs once beside the replicas of a service stands, and what is asked before a start.

use crate::decide::service::{
    actions::Actions, external::ExternalHealth, job_checks::JobChecks, requirements::Requirements,
};

/// How all of them stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OneOffs {
    pub(super) requirements: Requirements,
    pub(super) actions: Actions,
    pub(super) checks: JobChecks,
    pub(super) external: ExternalHealth,
}

impl OneOffs {
    /// An answer is awaited that is not a run's.
    pub(super) fn is_asking(&self) -> bool {
        self.requirements.is_asking() || self.external.is_asking()
    }
}
