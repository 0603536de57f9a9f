//! A queue at rest: nothing waits in it, nothing is on its way for it, and all that is due is the next look.
//!
//! Such a look changes nothing but the time of the one after it, as long as it finds nothing. So somebody else may look for
//! many JobConfigs that are at rest, each by its [`Rest`], and need wake one only when there is something to decide.

use std::time::Duration;

use crate::decide::{
    decision::{Decision, DecisionReason},
    queue::{
        event::DepthRequest,
        lifecycle::Lifecycle,
        look_schedule::{routine_after, timer_of},
        scale::Look,
    },
};

/// What whoever looks in place of a lifecycle at rest has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// How its queue is to be counted.
    pub request: DepthRequest,
    /// When the next look is due.
    pub due: Duration,
    /// Between looks.
    pub interval: Duration,
}

impl Rest {
    /// When the look after one that is answered at `now` is due; `None` where there is something to decide, and the lifecycle
    /// is to be told as of a notification. `jitter` is in thousandths, 0 to 999.
    pub fn after(&self, now: Duration, look: &Look, jitter: u32) -> Option<Duration> {
        let due = routine_after(now, self.interval, jitter, false);
        let is_nothing = look.ready() == 0 && look.is_exact() && timer_of(now, look).is_none_or(|timer| timer >= due);
        is_nothing.then_some(due)
    }
}

impl Lifecycle {
    /// What is to be known for looking in its place; `None` while more than a routine look is due, or may be, and while a
    /// look that finds nothing would have another decision than the last one.
    pub fn rest(&self) -> Option<Rest> {
        let (at, decision) = self.decided.as_deref().filter(|_| self.runs.by_name.is_empty())?;
        let again = Decision {
            why: DecisionReason::Empty,
            room: self.room(),
            max: self.in_force.max.into(),
            backing_off: self.backoff.is_active(),
            ..Decision::default()
        };
        let is_held = self.backoff.until().is_some_and(|until| until > *at);
        let waits = is_held || !self.cooling.is_empty() || !self.unjudged.is_empty();
        let is_asked = self.manual.requested > self.manual.served;
        // A Job that was asked for by hand is no look's decision, and is in the log all the same.
        let is_idle = *decision == again && self.log.has_last(again.why) && !waits && !is_asked;
        let may_look = self.may_create() && !self.looks.is_in_flight() && self.room() > 0;
        (is_idle && may_look && self.looks.is_by_interval()).then(|| Rest {
            request: self.depth_request(),
            due: self.looks.due(),
            interval: self.policy.check_interval,
        })
    }

    /// While others look in its place: when it must be come back to even if they find nothing.
    pub fn deadline_at_rest(&self) -> Option<Duration> {
        let runs = self.runs.deadline(&self.policy.runs);
        [runs, self.log.deadline(), self.in_force.until].into_iter().flatten().min()
    }
}
