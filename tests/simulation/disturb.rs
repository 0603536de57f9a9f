//! What disturbs a world, and how it comes to rest.

use std::time::Duration;

use job_chief::decide::{
    decision::Wish,
    outcome::JobName,
    queue::{
        event::{QueueEffect, QueueEvent},
        lifecycle::Lifecycle,
    },
    run::{
        event::{RunEffect, RunEvent, WishAnswer},
        policy::REQUEST_TIMEOUT,
    },
};

use crate::{
    faults::Fault,
    scout::Scout,
    views::Views,
    world::{World, secs},
};

impl World {
    pub(crate) fn disturb(&mut self) {
        if self.strikes(Fault::MessageStolen, 4) {
            self.take_messages(2);
        }
        if self.strikes(Fault::StoreAway, 8) || self.store_away {
            self.store_away = !self.store_away;
        }
        if self.strikes(Fault::Restart, 10) {
            self.restart();
        }
        if self.strikes(Fault::Stop, 20) {
            self.stopped = true;
            self.feed(QueueEvent::Run(RunEvent::Stop));
        }
        if !self.left && self.strikes_later(Fault::LeavesTheFile, 60) {
            self.left = true;
            self.feed(QueueEvent::Run(RunEvent::Drain));
        }
        if self.strikes(Fault::Pause, 10) {
            self.paused = !self.paused;
            self.tell_switches();
        }
        if !self.left && self.asked < self.store.served + 2 && self.strikes_later(Fault::AskedByHand, 12) {
            self.asked += 1;
            self.tell_switches();
        }
        if !self.left && self.strikes_later(Fault::Reconfigured, 12) {
            self.policy.messages_per_job = 1 + self.later_dice.roll(3);
            self.policy.wait_after_failure = secs(self.later_dice.roll(9));
            let other_queue = self.later_dice.once_in(3);
            self.change_windows();
            self.feed(QueueEvent::Configured { policy: self.policy.clone().into(), other_queue });
        }
        if self.strikes_later(Fault::Frozen, 12) {
            self.freeze();
        }
        if self.strikes(Fault::ViewStale, 8) {
            self.feed(QueueEvent::Run(RunEvent::ViewStale));
        }
        let names: Vec<JobName> = self.cluster.jobs.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let name = names[self.dice.roll(names.len() as u64) as usize].clone();
        self.hit = Some(name.clone());
        if self.strikes(Fault::JobDeleted, if self.hasty { 2 } else { 8 }) {
            self.cluster.delete_by_hand(&name);
        }
        let now = self.now;
        let live_pod =
            self.cluster.jobs.get(&name).is_some_and(|it| it.is_live() && it.pod.is_some() && !it.is_terminating());
        if live_pod && self.strikes(Fault::PodDeleted, 8) {
            self.cluster.jobs.get_mut(&name).expect("just seen").lose_pod(now);
            self.cluster.touch(&name);
        }
        if live_pod && self.strikes(Fault::NodeGone, 8) {
            self.cluster.lose_node(&name, now);
        }
    }

    /// The process is frozen for longer than its lease lasts, and another takes over. When it goes on, it believes for a
    /// while that it still leads; what it sends is dropped, and Postgres refuses what it writes.
    pub(crate) fn freeze(&mut self) {
        let seed = self.later_dice.roll(u64::MAX);
        let other = Lifecycle::new(crate::policy::naming(), self.policy.clone(), seed, self.now);
        let in_flight = std::mem::take(&mut self.in_flight);
        // What had been sent when it froze is on its way.
        for effect in &in_flight {
            if let (QueueEffect::Run(RunEffect::CreateJob(wish)), true) = (effect, self.later_dice.once_in(3)) {
                self.late.push((wish.clone(), self.now + REQUEST_TIMEOUT));
            }
        }
        self.frozen = Some((std::mem::replace(&mut self.life, other), in_flight));
        self.begin_anew();
    }

    /// A little of what a process does that has lost its lease and does not know it.
    pub(crate) fn thaw(&mut self) {
        let Some((mut life, mut in_flight)) = self.frozen.take() else { return };
        let effect = self.later_dice.draw(&mut in_flight);
        let now = self.now;
        let events = match effect {
            None => vec![QueueEvent::DeadlineReached],
            Some(effect) => match effect {
                QueueEffect::Run(RunEffect::LoadRuns) | QueueEffect::Run(RunEffect::GetJob(_)) => self.perform(&effect),
                QueueEffect::ReadGauges(_) => vec![QueueEvent::GaugesRead(true)],
                QueueEffect::ReadDepth(request) => vec![QueueEvent::DepthRead(Some(self.look(&request)))],
                QueueEffect::Run(RunEffect::WriteWishes(wishes)) => {
                    let refused = |wish: &Wish| {
                        QueueEvent::Run(RunEvent::WishWritten(wish.name.clone(), Some(WishAnswer::SlotTaken)))
                    };
                    wishes.iter().map(refused).collect()
                }
                held => Self::unanswered(&held),
            },
        };
        in_flight.extend(life.step(now, events));
        // It learns sooner or later that it leads no longer.
        self.frozen = (!self.later_dice.once_in(30)).then_some((life, in_flight));
    }

    /// The process is killed and started again: what was on its way may still arrive.
    pub(crate) fn restart(&mut self) {
        let seed = self.dice.roll(u64::MAX);
        for effect in std::mem::take(&mut self.in_flight) {
            if let QueueEffect::Run(RunEffect::CreateJob(wish)) = effect {
                self.late.push((wish, self.now + REQUEST_TIMEOUT));
            }
        }
        self.life = Lifecycle::new(crate::policy::naming(), self.policy.clone(), seed, self.now);
        self.begin_anew();
    }

    /// Another process knows what is on record, and what people say.
    fn begin_anew(&mut self) {
        self.answers.clear();
        self.waiting.clear();
        self.views = Views::default();
        self.scout = self.scout.as_ref().map(|_| Scout::default());
        (self.last_look, self.paused, self.stopped) = (None, false, false);
        self.tell_switches();
        // The file may have changed back meanwhile.
        self.left = self.left && self.later_dice.once_in(2);
        if self.left {
            self.feed(QueueEvent::Run(RunEvent::Drain));
        }
    }

    /// No fault any more; everything that hangs comes loose.
    pub(crate) fn calm(&mut self) {
        (self.faults, self.store_away) = (0, false);
        for it in self.cluster.jobs.values_mut() {
            it.stuck = false;
        }
        if self.stopped {
            assert!(self.is_done_within(20), "liveness: who_stops_comes_to_its_end: {:?}", self.life.status(self.now));
            // Another process begins.
            self.restart();
        }
        if self.left {
            self.see_to_the_end();
        }
        self.paused = false;
        self.tell_switches();
    }

    /// What people say, whole.
    pub(crate) fn tell_switches(&mut self) {
        self.feed(QueueEvent::Switched { paused: self.paused, requested: self.asked });
    }

    fn is_done_within(&mut self, steps: u32) -> bool {
        (0..steps).any(|_| {
            self.calm_step();
            self.life.is_done()
        })
    }

    /// What has left the file is done when its last run is; then it comes back.
    fn see_to_the_end(&mut self) {
        assert!(
            self.is_done_within(2000),
            "liveness: what_has_left_the_file_comes_to_its_end: {:?}",
            self.life.status(self.now)
        );
        let open = self.store.rows.values().filter(|row| row.end.is_none()).count();
        assert_eq!(open, 0, "invariant: what_has_left_the_file_leaves_no_run_without_an_end");
        self.left = false;
        self.restart();
    }

    /// Everything on its way arrives, and time goes on to what is due next, at most ten seconds.
    pub(crate) fn calm_step(&mut self) {
        self.feed_waiting();
        while let Some(event) = self.answers.pop() {
            self.feed(event);
        }
        while !self.in_flight.is_empty() {
            let effect = self.in_flight.remove(0);
            for event in self.perform(&effect) {
                self.feed(event);
            }
        }
        self.jobs_advance();
        // Nothing of it has changed in the cluster: only the Scout wakes it.
        if !self.rests() {
            self.take_view();
        }
        while !self.views.is_empty() {
            self.deliver_view();
        }
        self.feed_waiting();
        let next = self.due().map_or(secs(10), |at| at.saturating_sub(self.now));
        self.now += next.clamp(Duration::from_millis(10), secs(10));
        self.deadline();
    }
}
