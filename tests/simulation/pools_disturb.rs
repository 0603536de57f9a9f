//! What disturbs queues that share: processes, actors and brokers that end or go on too long, and people who edit.

use std::{collections::BTreeSet, time::Duration};

use job_chief::decide::{
    place::Place,
    queue::event::{QueueEffect, QueueEvent},
    run::event::{RunEffect, RunEvent, WishAnswer},
    share::need::Grant,
};

use crate::{
    faults::FAULTS,
    pools_broker::Broker,
    pools_world::{Member, SharingWorld},
    states::States,
    world::{World, secs},
};

/// What may go wrong with all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub(crate) enum SharingFault {
    HandOver,
    Restart,
    ActorPanics,
    BrokerAnew,
    Reload,
    Blocked,
    WishLate,
}

/// Every kind; in a history's number they come after those of a single world.
pub(crate) const SHARING_FAULTS: [SharingFault; 7] = [
    SharingFault::HandOver,
    SharingFault::Restart,
    SharingFault::ActorPanics,
    SharingFault::BrokerAnew,
    SharingFault::Reload,
    SharingFault::Blocked,
    SharingFault::WishLate,
];

impl SharingFault {
    /// Its bit in a history's number.
    pub(crate) fn bit(self) -> u32 {
        1 << (FAULTS.len() + self as usize)
    }
}

/// Before an actor that has panicked is started again; no statement of its is on its way any more by then.
const ACTOR_RESTART_WAIT: Duration = Duration::from_secs(10);

/// A statement of which nobody waits for the answer lasts no longer.
const STATEMENT_MAX: Duration = Duration::from_secs(30);

impl SharingWorld {
    fn strikes(&mut self, fault: SharingFault, once_in: u64) -> bool {
        let struck = self.dice.once_in(once_in) && self.faults & fault.bit() != 0;
        if struck {
            let states = self.members.iter().map(|member| member.world.standing()).fold(States::default(), States::and);
            self.seen.note(fault as usize, states);
        }
        struck
    }

    pub(crate) fn disturb(&mut self) {
        let at = self.dice.roll(self.members.len() as u64) as usize;
        if self.strikes(SharingFault::HandOver, 8) {
            self.hand_over();
        }
        if self.strikes(SharingFault::Restart, 12) {
            self.restart();
        }
        if self.strikes(SharingFault::ActorPanics, 6) && self.is_there(at) {
            self.leave_behind(at);
            self.begin_actor(at);
            self.members[at].asleep_until = self.now + ACTOR_RESTART_WAIT;
        }
        if self.strikes(SharingFault::BrokerAnew, 15) {
            self.broker = Broker { is_anew: true, ..Broker::default() };
            for member in &mut self.members {
                // There is another place to look at, and nothing lies there.
                (member.told, member.given, member.found) = (None, Grant::default(), 0);
            }
            (0..self.members.len()).for_each(|at| self.tell(at));
        }
        if self.strikes(SharingFault::Reload, 2) {
            let members = self.members.len();
            for at in self.file.edit(&mut self.dice, members) {
                self.members[at].is_behind = true;
            }
            self.broker.is_behind = true;
        }
        if self.strikes(SharingFault::Blocked, 6) && self.is_there(at) {
            let blocked = !self.members[at].blocked;
            self.block(at, blocked);
        }
        if self.is_there(at) && self.strikes(SharingFault::WishLate, 2) {
            self.give_up_wishes(at);
        }
    }

    /// Wishes are on their way, and nobody waits for them any more.
    fn give_up_wishes(&mut self, at: usize) {
        self.prepare(at);
        let Member { world, late_wishes, .. } = &mut self.members[at];
        let writes = |effect: &QueueEffect| matches!(effect, QueueEffect::Run(RunEffect::WriteWishes(_)));
        let Some(which) = world.in_flight.iter().position(writes) else { return };
        let effect = world.in_flight.remove(which);
        if let QueueEffect::Run(RunEffect::WriteWishes(wishes)) = &effect {
            late_wishes.extend(wishes.iter().map(|wish| (wish.clone(), self.now + STATEMENT_MAX)));
        }
        World::unanswered(&effect).into_iter().for_each(|event| world.feed(event));
        self.tell(at);
    }

    /// One of those is written after all.
    pub(crate) fn late_wish_commits(&mut self, at: usize) {
        let now = self.now;
        let others = self.members.iter().enumerate().filter(|(other, _)| *other != at);
        let elsewhere: BTreeSet<Place> = others.flat_map(|(_, other)| other.world.store.held().cloned()).collect();
        let Member { world, late_wishes, late_runs, .. } = &mut self.members[at];
        late_wishes.retain(|(_, until)| *until > now);
        let Some((wish, _)) = late_wishes.pop() else { return };
        if world.store.wish_beside(&wish, now, |place| elsewhere.contains(place)) == WishAnswer::Written {
            late_runs.insert(wish.name);
        }
    }

    pub(crate) fn block(&mut self, at: usize, blocked: bool) {
        self.members[at].blocked = blocked;
        self.prepare(at);
        self.members[at].world.feed(QueueEvent::Blocked(blocked));
        self.tell(at);
    }

    /// The process is frozen for longer than its lease lasts, and another takes over; for a while the first goes on.
    fn hand_over(&mut self) {
        self.old = self.broker.arbiter.take();
        for at in 0..self.members.len() {
            let was_there = self.is_there(at);
            self.leave_behind(at);
            self.begin_process(at, |world| world.freeze());
            if !was_there {
                self.members[at].world.frozen = None;
            }
        }
        self.broker = Broker::default();
        (0..self.members.len()).for_each(|at| self.tell(at));
    }

    /// The process is killed and started again.
    pub(crate) fn restart(&mut self) {
        self.old = None;
        for at in 0..self.members.len() {
            self.leave_behind(at);
            self.begin_process(at, |world| world.restart());
            self.members[at].world.frozen = None;
        }
        self.broker = Broker::default();
        (0..self.members.len()).for_each(|at| self.tell(at));
    }

    /// What was on its way when nobody waited for it any more comes true, or does not.
    fn leave_behind(&mut self, at: usize) {
        self.prepare(at);
        let effects = self.members[at].world.in_flight.clone();
        for effect in effects {
            let writes = matches!(
                effect,
                QueueEffect::Run(RunEffect::WriteWishes(_) | RunEffect::WriteEnd(_) | RunEffect::DeleteJob { .. })
            );
            if writes && self.dice.once_in(2) {
                drop(self.members[at].world.perform(&effect));
            }
        }
        self.note_found(at);
    }

    /// Jobs whose end is on record are nobody's until the next actor finds them.
    fn note_found(&mut self, at: usize) {
        let world = &self.members[at].world;
        let live = world.cluster.jobs.iter().filter(|(_, it)| it.is_live()).map(|(name, _)| name);
        let ended = |name: &&_| world.store.rows.get(*name).is_some_and(|row| row.end.is_some());
        self.found.extend(live.filter(ended).cloned());
    }

    /// Another process begins with what is on record and in the file.
    fn begin_process(&mut self, at: usize, begin: impl FnOnce(&mut crate::world::World)) {
        let (left, pools) = (!self.file.entries.contains_key(&at), self.file.pools_of(at));
        let member = &mut self.members[at];
        let world = &mut member.world;
        let live = world.cluster.jobs.values().any(|it| it.is_live());
        let open = world.store.rows.values().any(|row| row.end.is_none());
        (world.left, world.policy.pools) = (false, pools);
        begin(world);
        world.left = left;
        if left {
            world.feed(QueueEvent::Run(RunEvent::Drain));
        }
        // Nobody begins an actor for what has left the file and has left nothing.
        let gone = left && !live && !open;
        (member.told, member.given, member.found) = (None, Grant::default(), 0);
        (member.is_behind, member.gone, member.asleep_until) = (false, gone, Duration::ZERO);
        self.tell_blocked(at);
    }

    /// Another actor begins in the same process: what lies where it looks was given to the one before it.
    pub(crate) fn begin_actor(&mut self, at: usize) {
        let (left, pools) = (!self.file.entries.contains_key(&at), self.file.pools_of(at));
        let member = &mut self.members[at];
        (member.world.left, member.world.policy.pools) = (false, pools);
        member.world.restart();
        member.world.left = left;
        if left {
            member.world.feed(QueueEvent::Run(RunEvent::Drain));
        }
        (member.told, member.found) = (None, member.given.number);
        (member.is_behind, member.gone) = (false, false);
        let lies = Grant { number: member.given.number, places: vec![] };
        member.world.feed(QueueEvent::Granted(lies));
        self.tell_blocked(at);
    }

    fn tell_blocked(&mut self, at: usize) {
        let Member { world, blocked, .. } = &mut self.members[at];
        world.feed(QueueEvent::Blocked(*blocked));
    }

    // --- rest

    /// No fault any more, and everybody is in the file; whoever has panicked has begun anew.
    pub(crate) fn calm(&mut self) {
        self.now += ACTOR_RESTART_WAIT;
        (self.faults, self.old) = (0, None);
        let members = self.members.len();
        self.file.complete(&mut self.dice, members);
        self.broker.is_behind = true;
        for at in 0..members {
            let world = &mut self.members[at].world;
            (world.faults, world.store_away, world.paused, world.frozen) = (0, false, false, None);
            world.cluster.jobs.values_mut().for_each(|it| it.stuck = false);
            if self.members[at].rarely_open {
                // Or nothing of it would come to an end.
                self.prepare(at);
                self.members[at].world.open_soon(&mut self.window_dice);
            }
            self.members[at].is_behind = true;
            self.file_is_read(at);
            self.members[at].world.tell_switches();
            self.block(at, false);
        }
    }

    /// Everything that is on its way arrives, while no time passes.
    pub(crate) fn settle(&mut self) {
        for at in 0..self.members.len() {
            self.prepare(at);
            let world = &mut self.members[at].world;
            world.take_view();
            while !world.views.is_empty() {
                world.deliver_view();
            }
        }
        if self.broker.arbiter.is_none() {
            self.begin_broker();
        }
        for _ in 0..1_000 {
            let mut busy = false;
            for at in 0..self.members.len() {
                busy |= self.settle_one(at);
            }
            if self.broker.is_behind {
                self.configure_broker();
            }
            while self.broker_hears() {
                busy = true;
            }
            self.broker_reads();
            self.broker_reads();
            self.broker_gives();
            for at in 0..self.members.len() {
                busy |= self.grant_is_found(at);
            }
            if !busy {
                return self.note_allowed();
            }
        }
        panic!("liveness: it_comes_to_rest: {:?}", self.members.iter().map(|it| &it.told).collect::<Vec<_>>());
    }

    fn settle_one(&mut self, at: usize) -> bool {
        let mut busy = false;
        loop {
            self.prepare(at);
            let world = &mut self.members[at].world;
            world.feed_waiting();
            let effect = if world.in_flight.is_empty() { None } else { Some(world.in_flight.remove(0)) };
            let events = match (world.answers.pop(), effect) {
                (None, None) if world.life.deadline().is_some_and(|due| due <= world.now) => {
                    vec![QueueEvent::DeadlineReached]
                }
                (None, None) => break,
                (answer, effect) => {
                    answer.into_iter().chain(effect.into_iter().flat_map(|effect| world.perform(&effect))).collect()
                }
            };
            events.into_iter().for_each(|event| world.feed(event));
            busy = true;
        }
        self.tell(at);
        busy
    }

    /// Jobs go on, and time to what is due next, at most ten seconds.
    pub(crate) fn time_passes(&mut self) {
        let lives = self.members.iter().filter_map(|member| member.world.life.deadline());
        let broker = self.broker.arbiter.as_ref().and_then(|arbiter| arbiter.deadline());
        let next = lives.chain(broker).min().map_or(secs(10), |at| at.saturating_sub(self.now));
        self.now += next.clamp(Duration::from_millis(10), secs(10));
        for at in 0..self.members.len() {
            self.prepare(at);
            self.members[at].world.jobs_advance();
        }
    }
}
