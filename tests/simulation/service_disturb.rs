//! What disturbs a service, and what people say of it.

use job_chief::decide::{
    outcome::JobName,
    run::{
        event::{RunEffect, RunEvent, WishAnswer},
        policy::REQUEST_TIMEOUT,
    },
    service::{
        desired::DesiredState,
        event::{ServiceEffect, ServiceEvent},
        keep_alive::KeepAlive,
    },
};

use crate::{
    service_world::{ServiceWorld, unanswered},
    views::Views,
};

/// What may go wrong, and what people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub(crate) enum Fault {
    RequestLost,
    AnswerLost,
    RequestLate,
    ViewLags,
    ViewShrinks,
    ViewReturns,
    ViewStale,
    Restart,
    Frozen,
    StoreAway,
    QuotaRefuses,
    NeverStarts,
    JobDeleted,
    PodDeleted,
    NodeGone,
    Flaps,
    Unready,
    CheckFails,
    Verb,
    ActionAsked,
    Reconfigured,
    LeavesTheFile,
}

/// Every kind.
pub(crate) const FAULTS: [Fault; 22] = [
    Fault::RequestLost,
    Fault::AnswerLost,
    Fault::RequestLate,
    Fault::ViewLags,
    Fault::ViewShrinks,
    Fault::ViewReturns,
    Fault::ViewStale,
    Fault::Restart,
    Fault::Frozen,
    Fault::StoreAway,
    Fault::QuotaRefuses,
    Fault::NeverStarts,
    Fault::JobDeleted,
    Fault::PodDeleted,
    Fault::NodeGone,
    Fault::Flaps,
    Fault::Unready,
    Fault::CheckFails,
    Fault::Verb,
    Fault::ActionAsked,
    Fault::Reconfigured,
    Fault::LeavesTheFile,
];

impl ServiceWorld {
    pub(crate) fn jobs_advance(&mut self) {
        let names: Vec<JobName> = self.cluster.jobs.keys().cloned().collect();
        for name in names {
            let runs = !self.is_one_off(&name)
                && self.cluster.jobs.get(&name).is_some_and(|it| it.is_running() && !it.is_terminating());
            if runs && self.strikes(Fault::Unready, 8) {
                self.blemished.insert(name.clone());
                self.cluster.set_ready(&name, false);
            } else if runs
                && !(self.strikes(Fault::Flaps, 6) || self.cluster.jobs.get(&name).is_some_and(|it| it.has_verdict()))
            {
                // A service runs until something happens to it.
                self.cluster.set_ready(&name, true);
            } else if self.dice.once_in(2) || self.quiet {
                self.cluster.advance(&name, &mut self.dice, self.now);
            }
        }
        self.cluster.expire(self.now);
    }

    pub(crate) fn people(&mut self) {
        if self.strikes(Fault::Verb, 4) {
            let starts = self.orders.starts + 1;
            match self.dice.roll(5) {
                0 => self.orders = DesiredState { stopped: true, ..self.orders },
                1 => self.orders = DesiredState { stopped: false, halted: false, starts, ..self.orders },
                2 => self.orders = DesiredState { stopped: false, starts, restart_before: starts, ..self.orders },
                3 => self.orders = DesiredState { stopped: true, halted: true, ..self.orders },
                _ => self.orders.enabled = !self.orders.enabled,
            }
            self.feed(ServiceEvent::Desired(self.orders));
        }
        if self.strikes(Fault::ActionAsked, 6) {
            self.asked += 1;
            let asked = self.actions_asked();
            self.feed(asked);
        }
        if !self.left && self.strikes(Fault::Reconfigured, 12) {
            self.generation += 1;
            let replicas = 1 + u32::try_from(self.dice.roll(3)).unwrap();
            if !self.config.is_external() {
                self.config.replicas = replicas;
            }
            self.fewest = self.fewest.min(self.config.replicas);
            self.feed(ServiceEvent::Configured(Box::new(self.policy())));
        }
        if !self.left && self.strikes(Fault::LeavesTheFile, 40) {
            self.left = true;
            self.feed(ServiceEvent::Run(RunEvent::Drain));
        }
    }

    pub(crate) fn disturb(&mut self) {
        if self.strikes(Fault::StoreAway, 6) || self.store_away {
            self.store_away = !self.store_away;
        }
        if self.strikes(Fault::Restart, 8) {
            self.restart();
        }
        if self.strikes(Fault::Frozen, 12) {
            let in_flight = std::mem::take(&mut self.in_flight);
            let other = KeepAlive::new(crate::policy::naming(), self.policy(), self.dice.roll(u64::MAX), self.now);
            self.frozen = Some((std::mem::replace(&mut self.life, other), in_flight));
            self.begin_anew();
        }
        if self.strikes(Fault::ViewStale, 8) {
            self.feed(ServiceEvent::Run(RunEvent::ViewStale));
        }
        let names: Vec<JobName> = self.cluster.jobs.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let name = names[usize::try_from(self.dice.roll(names.len() as u64)).unwrap()].clone();
        self.hit = Some(name.clone());
        if self.strikes(Fault::JobDeleted, 8) {
            self.cluster.delete_by_hand(&name);
        }
        let live_pod =
            self.cluster.jobs.get(&name).is_some_and(|it| it.is_live() && it.pod.is_some() && !it.is_terminating());
        if live_pod && self.strikes(Fault::PodDeleted, 6) {
            self.cluster.jobs.get_mut(&name).unwrap().lose_pod(self.now);
            self.cluster.touch(&name);
        } else if live_pod && self.strikes(Fault::NodeGone, 6) {
            self.cluster.lose_node(&name, self.now);
        }
    }

    pub(crate) fn restart(&mut self) {
        for effect in std::mem::take(&mut self.in_flight) {
            if let ServiceEffect::Run(RunEffect::CreateJob(wish)) = effect {
                self.late.push((wish, self.now + REQUEST_TIMEOUT));
            }
        }
        self.life = KeepAlive::new(crate::policy::naming(), self.policy(), self.dice.roll(u64::MAX), self.now);
        self.begin_anew();
    }

    pub(crate) fn begin_anew(&mut self) {
        self.answers.clear();
        self.views = Views::default();
        self.met_at = None;
        let asked = self.actions_asked();
        self.feed(asked);
        let orders = self.orders;
        self.feed(ServiceEvent::Desired(orders));
        if self.left {
            self.feed(ServiceEvent::Run(RunEvent::Drain));
        }
    }

    /// A little of what a process does that has lost its lease and does not know it: what it sends is dropped.
    pub(crate) fn thaw(&mut self) {
        let Some((mut life, mut in_flight)) = self.frozen.take() else { return };
        let events = match in_flight.pop() {
            None => vec![ServiceEvent::DeadlineReached],
            Some(effect @ (ServiceEffect::Run(RunEffect::LoadRuns) | ServiceEffect::Run(RunEffect::GetJob(_)))) => {
                self.perform(&effect)
            }
            Some(ServiceEffect::Run(RunEffect::WriteWishes(wishes))) => wishes
                .iter()
                .map(|wish| ServiceEvent::Run(RunEvent::WishWritten(wish.name.clone(), Some(WishAnswer::SlotTaken))))
                .collect(),
            Some(held) => unanswered(&held),
        };
        in_flight.extend(life.step(self.now, events));
        self.frozen = (!self.dice.once_in(30)).then_some((life, in_flight));
    }
}
