//! A generation that has shown that it can't be kept up.

use crate::decide::outcome::{End, Outcome, Reason, Slot};

/// A generation of which a replica failed while it was rolled out. No replica is replaced by it any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BadGeneration {
    /// Its hash.
    pub generation: Box<str>,
    /// The replica that failed.
    pub replica: Slot,
    /// How it ended.
    pub end: End,
}

/// Whether an end tells against what ran: not one that somebody wanted, nor one that came from outside.
pub fn is_own_fault(end: &End) -> bool {
    match (end.outcome, end.reason) {
        (Outcome::Stopped, reason) => reason == Reason::Unhealthy,
        (Outcome::Vanished, _) | (_, Reason::Disrupted | Reason::PodDeleted | Reason::Deleted) => false,
        (Outcome::Succeeded | Outcome::Failed | Outcome::StartTimedOut | Outcome::StartError, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_wanted_or_a_node_did_tells_against_no_generation() {
        let own = [
            (Outcome::Failed, Reason::ExitCode),
            (Outcome::Succeeded, Reason::Completed),
            (Outcome::StartError, Reason::ImagePull),
            (Outcome::StartTimedOut, Reason::NotReady),
            (Outcome::Stopped, Reason::Unhealthy),
        ];
        let others = [
            (Outcome::Failed, Reason::Disrupted),
            (Outcome::Failed, Reason::PodDeleted),
            (Outcome::Vanished, Reason::Deleted),
            (Outcome::Stopped, Reason::Replaced),
            (Outcome::Stopped, Reason::Restarted),
        ];
        assert!(own.iter().all(|(outcome, reason)| is_own_fault(&End::new(*outcome, *reason))));
        assert!(!others.iter().any(|(outcome, reason)| is_own_fault(&End::new(*outcome, *reason))));
    }
}
