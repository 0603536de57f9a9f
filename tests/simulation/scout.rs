//! What a world does when something is due, and the Scout, which looks in place of a lifecycle that rests.

use std::{sync::Arc, time::Duration};

use job_chief::decide::queue::{
    event::{QueueEffect, QueueEvent},
    lifecycle::Lifecycle,
    rest::Rest,
    scale::Look,
    status::Status,
};

use crate::world::World;

/// Looks while the lifecycle rests, and rings it when there is something to decide, or no answer.
#[derive(Debug, Default)]
pub(crate) struct Scout {
    /// Since it rests, and when the next look is due.
    listed: Option<(Rest, Duration)>,
    /// The lifecycle rests, whether it is listed or was rung.
    rests: bool,
}

impl World {
    /// The lifecycle rests, and is left to a Scout.
    pub(crate) fn rests(&self) -> bool {
        self.scout.as_ref().is_some_and(|scout| scout.rests)
    }

    /// When something is due next.
    pub(crate) fn due(&self) -> Option<Duration> {
        let listed = self.scout.as_ref().and_then(|scout| scout.listed.map(|(_, due)| due));
        [listed, self.own_deadline()].into_iter().flatten().min()
    }

    /// When the lifecycle has to come back, whatever the Scout does.
    fn own_deadline(&self) -> Option<Duration> {
        if self.rests() { self.life.deadline_at_rest() } else { self.life.deadline() }
    }

    /// The lifecycle has come to rest, or has got up.
    pub(crate) fn note_rest(&mut self) {
        let Some(scout) = &mut self.scout else { return };
        let rest = self.life.rest();
        let comes_to_rest = !std::mem::replace(&mut scout.rests, rest.is_some());
        match rest {
            None => scout.listed = None,
            Some(rest) if comes_to_rest => {
                scout.listed = Some((rest, rest.due));
                self.check_rest(rest);
            }
            Some(_) => {}
        }
    }

    /// A look of its own that finds nothing would change nothing but the time of the next.
    fn check_rest(&self, rest: Rest) {
        let (mut life, due) = (self.life.clone(), rest.due.max(self.now));
        if life.deadline_at_rest().is_some_and(|at| at <= due) {
            return;
        }
        let asked = life.step(due, [QueueEvent::DeadlineReached]);
        assert_eq!(asked, [QueueEffect::ReadDepth(rest.request)], "invariant: who_rests_has_nothing_else_to_do");
        let at_us = i64::try_from(due.as_micros()).expect("years");
        let nothing = Look { limit: rest.request.limit, at_us, ..Look::default() };
        let effects = life.step(due, [QueueEvent::DepthRead(Some(nothing))]);
        assert_eq!(effects, [], "invariant: a_look_that_finds_nothing_asks_for_nothing");
        let again = life.rest().map(|again| Rest { due: rest.due, ..again });
        assert_eq!(again, Some(rest), "invariant: who_finds_nothing_goes_on_resting");
        // But for when it was decided.
        let shown = |life: &Lifecycle, now| Status {
            decided: life.status(now).decided.map(|decided| Arc::new((Duration::ZERO, decided.1))),
            ..life.status(now)
        };
        assert_eq!(
            shown(&life, due),
            shown(&self.life, self.now),
            "invariant: a_look_that_finds_nothing_changes_nothing"
        );
        assert!(life.need().zip(self.life.need()).is_some_and(|(after, before)| after == before));
    }

    /// What is due is done.
    pub(crate) fn deadline(&mut self) {
        self.scout_looks();
        if self.own_deadline().is_some_and(|at| at <= self.now) {
            self.feed(QueueEvent::DeadlineReached);
            self.feed_waiting();
            let next = self.own_deadline();
            assert!(next.is_none_or(|at| at > self.now), "invariant: no_deadline_is_passed_over: {next:?}");
        }
    }

    fn scout_looks(&mut self) {
        let listed = self.scout.as_mut().and_then(|scout| scout.listed.take_if(|(_, due)| *due <= self.now));
        let Some((rest, _)) = listed else { return };
        let look = Some(self.look(&rest.request)).filter(|_| !self.store_away);
        let jitter = u32::try_from(self.later_dice.roll(1000)).expect("less than a thousand");
        let next = look.and_then(|look| rest.after(self.now, &look, jitter));
        if let Some(scout) = &mut self.scout {
            scout.listed = next.map(|due| (rest, due));
        }
        if next.is_none() {
            self.feed(QueueEvent::Notified);
        }
    }
}
