//! A run's Job, as far as is known: whether it exists, whether the views show it, and what it was when it was last seen.

use std::time::Duration;

use crate::{
    config::entry::Kind,
    decide::{pod::observation::SeenJob, run::progress::Terminating},
};

/// Whether a run's Job exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Nobody has asked for it.
    NotAsked,
    /// A create was sent, by us or maybe by a process before us, and nothing has confirmed that it worked.
    Asked,
    /// It exists: confirmed by an answer or a view.
    Exists,
    /// It is Complete or Failed.
    Finished,
    /// It is gone, or there never will be one.
    Gone,
}

impl JobState {
    /// Its slot is free, as far as the cluster is concerned.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Finished | Self::Gone)
    }

    /// It exists, or did.
    pub fn is_created(self) -> bool {
        !matches!(self, Self::NotAsked | Self::Asked)
    }
}

/// Whether the views show a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sight {
    /// They have not shown it yet, which is to be expected for a while.
    Awaited {
        /// Since it was asked for or confirmed.
        since: Duration,
    },
    /// The newest one shows it.
    InView,
    /// It was seen, and the newest one does not show it.
    Lost,
    /// The newest one shows another Job of its name than the API server has confirmed: one of the two is out of date.
    Contradicted {
        /// Since when it had been awaited; `None` if it had been seen.
        awaited_since: Option<Duration>,
    },
}

impl Sight {
    /// A view shows it.
    pub fn note_shown(&mut self) {
        *self = Self::InView;
    }

    /// A view does not show it. True if the one before did.
    pub fn note_not_shown(&mut self) -> bool {
        let was_shown = *self == Self::InView;
        *self = if was_shown { Self::Lost } else { self.resolved() };
        was_shown
    }

    /// A view shows another Job of its name.
    pub fn note_other_shown(&mut self) {
        *self = Self::Contradicted { awaited_since: self.awaited_since() };
    }

    /// A live look has found it.
    pub fn note_found(&mut self) {
        if *self != Self::InView {
            *self = Self::Lost;
        }
    }

    /// The API server has confirmed that it was created.
    pub fn note_confirmed(&mut self, now: Duration) {
        match self {
            Self::Awaited { since } | Self::Contradicted { awaited_since: Some(since) } => *since = now,
            Self::InView | Self::Lost | Self::Contradicted { awaited_since: None } => {}
        }
    }

    /// A live look has settled which of two Jobs exists.
    pub fn note_settled(&mut self) {
        *self = self.resolved();
    }

    /// One of two Jobs of its name is out of date.
    pub fn is_contradicted(self) -> bool {
        matches!(self, Self::Contradicted { .. })
    }

    fn awaited_since(self) -> Option<Duration> {
        match self {
            Self::Awaited { since } => Some(since),
            Self::Contradicted { awaited_since } => awaited_since,
            Self::InView | Self::Lost => None,
        }
    }

    fn resolved(self) -> Self {
        match self {
            Self::Contradicted { awaited_since } => awaited_since.map_or(Self::Lost, |since| Self::Awaited { since }),
            other => other,
        }
    }
}

/// Whether a live look has shown that a Job is there that another process asked for: the views may be as old as a delete of
/// that process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Confirmation {
    /// Nobody needs to know.
    #[default]
    NotWanted,
    /// It is to be looked at.
    Wanted,
    /// It is there, and no delete of it was under way.
    Given,
}

/// What a Job was when it was last seen. Before that, it is as old as its run, and all else is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LastSeen {
    /// Its `metadata.resourceVersion`.
    pub resource_version: Box<str>,
    /// The type of the JobConfig that it was made for.
    pub kind: Option<Kind>,
    /// What it was rendered from.
    pub config_hash: Box<str>,
    /// The node of one of its pods.
    pub node: Option<Box<str>>,
    /// The address of its pod, while that is Ready.
    pub address: Option<Box<str>>,
    /// It is deleted and not gone yet.
    pub terminating: Option<Terminating>,
    /// When the API server made it.
    pub born_at: Duration,
    /// When its first container began to run; that stays known when the pod is gone.
    pub ran_at: Option<Duration>,
}

impl LastSeen {
    /// It was not seen yet.
    pub fn never(now: Duration) -> Self {
        Self {
            resource_version: "".into(),
            kind: None,
            config_hash: "".into(),
            node: None,
            address: None,
            terminating: None,
            born_at: now,
            ran_at: None,
        }
    }

    /// It is seen now. True if its first container has begun to run since the last time.
    pub fn note(&mut self, job: &SeenJob, now: Duration) -> bool {
        let had_run = self.ran_at.is_some();
        let terminating = |age| Terminating { since: now.saturating_sub(age), node: job.node.clone() };
        *self = Self {
            resource_version: job.resource_version.clone(),
            kind: Some(job.kind),
            config_hash: job.config_hash.clone(),
            node: job.node.clone(),
            address: job.address.clone(),
            terminating: job.terminating.map(terminating),
            born_at: now.saturating_sub(job.age),
            ran_at: job.ran.map(|ran| now.saturating_sub(ran)).or(self.ran_at),
        };
        self.ran_at.is_some() && !had_run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE: Duration = Duration::from_secs(7);

    #[test]
    fn a_contradiction_ends_as_it_began() {
        for (before, after) in
            [(Sight::Awaited { since: SINCE }, Sight::Awaited { since: SINCE }), (Sight::InView, Sight::Lost)]
        {
            let mut sight = before;
            sight.note_other_shown();
            sight.note_other_shown();
            assert!(sight.is_contradicted());
            sight.note_settled();
            assert_eq!(sight, after);
        }
    }

    #[test]
    fn what_a_live_look_has_found_is_missing_from_the_view() {
        let mut sight = Sight::Awaited { since: SINCE };
        sight.note_found();
        assert_eq!(sight, Sight::Lost);
        sight.note_shown();
        sight.note_found();
        assert_eq!(sight, Sight::InView);
    }

    #[test]
    fn only_a_view_that_showed_it_can_lose_it() {
        let mut sight = Sight::Awaited { since: SINCE };
        assert!(!sight.note_not_shown());
        sight.note_confirmed(2 * SINCE);
        assert_eq!(sight, Sight::Awaited { since: 2 * SINCE });
        sight.note_shown();
        sight.note_found();
        assert!(sight.note_not_shown());
        assert_eq!(sight, Sight::Lost);
    }
}
