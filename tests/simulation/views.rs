//! The views of a history: on their way, and those that may come once more.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use job_chief::decide::{pod::observation::Observed, queue::event::QueueEvent, run::event::RunEvent};

use crate::{
    cluster::{Snapshot, observed},
    faults::Fault,
    world::World,
};

/// Views that may come once more.
const OLD_MAX: usize = 5;

/// Views that may be on their way before one has to come.
const LATE_MAX: usize = 4;

/// What a watch has to tell, and has told.
#[derive(Default)]
pub(crate) struct Views {
    coming: VecDeque<Snapshot>,
    old: VecDeque<Snapshot>,
    /// One was delivered.
    pub(crate) delivered: bool,
    /// The core was told that the last of them is too old.
    pub(crate) stale: bool,
}

impl Views {
    /// The next one is the first: a list that the API server answers from a quorum.
    pub(crate) fn is_first(&self) -> bool {
        !self.delivered && self.coming.is_empty()
    }

    /// One more is on its way.
    pub(crate) fn put(&mut self, snapshot: Snapshot) {
        self.coming.push_back(snapshot);
    }

    /// None is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.coming.is_empty()
    }

    /// Those on their way may wait.
    pub(crate) fn may_lag(&self) -> bool {
        !self.coming.is_empty() && self.coming.len() < LATE_MAX
    }

    /// An old one may come once more.
    pub(crate) fn may_return(&self) -> bool {
        !self.old.is_empty()
    }

    /// What the core is told.
    pub(crate) fn note(&mut self, event: &RunEvent) {
        match event {
            RunEvent::Observed(_) => self.stale = false,
            RunEvent::ViewStale => self.stale = true,
            _ => {}
        }
    }

    /// What the core of a queue is told at once. Whether the views were too old all the time.
    pub(crate) fn note_all(&mut self, events: &[QueueEvent]) -> bool {
        let mut is_stale = self.stale;
        for event in events {
            let QueueEvent::Run(event) = event else { continue };
            self.note(event);
            is_stale &= self.stale;
        }
        is_stale
    }

    /// The next one, or an old one, as the service's observation code reads it.
    pub(crate) fn deliver(&mut self, returned: bool, now: Duration) -> Option<Observed> {
        let snapshot = if returned { self.old.pop_front() } else { self.coming.pop_front() }?;
        self.delivered = true;
        let seen = observed(&snapshot, now);
        self.old.push_back(snapshot);
        self.old.truncate(OLD_MAX);
        Some(seen)
    }
}

impl World {
    pub(crate) fn take_view(&mut self) {
        let mut snapshot = self.cluster.snapshot();
        // A first view is a list that the API server answers from a quorum: it may be old when it comes, not partial.
        let first = self.views.is_first();
        if !first && !snapshot.is_empty() && self.strikes(Fault::ViewShrinks, 40) {
            let at = self.dice.roll(snapshot.len() as u64) as usize;
            let name = snapshot.keys().nth(at).cloned().expect("in range");
            snapshot.remove(&name);
        }
        self.views.put(snapshot);
    }

    pub(crate) fn deliver_view(&mut self) {
        let lags = self.views.may_lag() && self.strikes(Fault::ViewLags, 3);
        if lags {
            return;
        }
        let returned = self.views.may_return() && self.strikes(Fault::ViewReturns, 40);
        if let Some(seen) = self.views.deliver(returned, self.now) {
            self.feed(QueueEvent::Run(RunEvent::Observed(Arc::new(seen))));
        }
    }
}
