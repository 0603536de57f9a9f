//! Several queues that share pools: each the world of [`crate::world`], among them the real arbiter in a made-up broker.
//!
//! One process leads all of them, so what happens to a process happens to all: the kinds of faults by which a single world
//! loses its process are turned off there, and strike here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use job_chief::decide::{
    decision::Wish,
    outcome::JobName,
    place::{Place, Places},
    queue::{
        event::{QueueEffect, QueueEvent},
        lifecycle::Lifecycle,
    },
    run::event::{RunEffect, RunEvent},
    share::{
        arbiter::Arbiter,
        need::{Grant, Need},
    },
};

use crate::{
    dice::Dice,
    faults::Fault,
    pools_broker::{Broker, File},
    pools_disturb::SHARING_FAULTS,
    states::Matrix,
    world::World,
};

/// What one world may not do to itself alone.
const OF_A_PROCESS: u32 = (1 << Fault::Restart as u32)
    | (1 << Fault::Stop as u32)
    | (1 << Fault::LeavesTheFile as u32)
    | (1 << Fault::Reconfigured as u32)
    | (1 << Fault::Frozen as u32);

/// One JobConfig and its actor.
pub(crate) struct Member {
    pub(crate) name: Arc<str>,
    pub(crate) world: World,
    /// What the actor has told the broker.
    pub(crate) told: Option<Need>,
    /// What the broker has put where the actor finds it.
    pub(crate) given: Grant,
    /// The number of the last one that the actor has found.
    pub(crate) found: u64,
    /// The file has changed since the actor has read it.
    pub(crate) is_behind: bool,
    /// Its actor has panicked, and begins anew then.
    pub(crate) asleep_until: Duration,
    /// It is not in the file, and its actor has ended.
    pub(crate) gone: bool,
    pub(crate) blocked: bool,
    /// Outside of its windows nothing may live, or one Job.
    pub(crate) rarely_open: bool,
    /// What may yet be written although nobody waits for it, and until when.
    pub(crate) late_wishes: Vec<(Wish, Duration)>,
    /// The runs that were.
    pub(crate) late_runs: BTreeSet<JobName>,
}

/// The world of one history.
pub(crate) struct SharingWorld {
    pub(crate) dice: Dice,
    /// Windows came later, and cast their own, so that kept histories stay as they are.
    pub(crate) window_dice: Dice,
    /// How seldom anything strikes that concerns all.
    calmness: u64,
    pub(crate) now: Duration,
    pub(crate) members: Vec<Member>,
    pub(crate) file: File,
    pub(crate) broker: Broker,
    /// The arbiter of a process that has lost its lease and does not know it.
    pub(crate) old: Option<Arbiter>,
    pub(crate) faults: u32,
    /// How often each kind of fault struck in each state of the runs and processes.
    pub(crate) seen: Matrix<{ SHARING_FAULTS.len() }>,
    /// Jobs that a pool may have: its limit, or what was there when that was lowered.
    pub(crate) allowed: BTreeMap<Arc<str>, u64>,
    /// Jobs that lived on when the process that had recorded their end was gone: the next one has found them.
    pub(crate) found: BTreeSet<JobName>,
    /// Those of them that no pool was told of, for their JobConfig was not in it any more.
    pub(crate) excused: BTreeSet<JobName>,
}

/// Whether any of these places is in this pool.
pub(crate) fn is_in(places: &Places, pool: &str) -> bool {
    places.iter().any(|place| &*place.pool == pool)
}

impl SharingWorld {
    pub(crate) fn new(seed: u64, faults: u32) -> Self {
        let mut dice = Dice(seed ^ 0x5AAE);
        let count = 3 + dice.roll(4);
        let file = File::any(&mut dice, count as usize);
        let mut window_dice = Dice(seed.rotate_left(16) ^ 0x3D07);
        let member = |at: u64| {
            let mut world = World::new(seed.wrapping_mul(31).wrapping_add(at), faults & !OF_A_PROCESS);
            world.policy.pools = file.pools_of(at as usize);
            let rarely_open = world.is_on(Fault::WindowEdge) && window_dice.once_in(4);
            if rarely_open {
                world.open_rarely(&mut window_dice);
            }
            world.life = Lifecycle::new(crate::policy::naming(), world.policy.clone(), seed ^ at, world.now);
            Member {
                name: format!("c{at}").into(),
                world,
                told: None,
                given: Grant::default(),
                found: 0,
                is_behind: false,
                asleep_until: Duration::ZERO,
                gone: false,
                blocked: false,
                rarely_open,
                late_wishes: vec![],
                late_runs: BTreeSet::new(),
            }
        };
        let members: Vec<Member> = (0..count).map(member).collect();
        let calmness = [1, 3, 9][dice.roll(3) as usize];
        Self {
            dice,
            window_dice,
            calmness,
            now: members[0].world.now,
            members,
            file,
            broker: Broker::default(),
            old: None,
            faults,
            seen: Matrix::default(),
            allowed: BTreeMap::new(),
            found: BTreeSet::new(),
            excused: BTreeSet::new(),
        }
    }

    /// One thing happens.
    pub(crate) fn step(&mut self) {
        let at = self.dice.roll(self.members.len() as u64) as usize;
        match self.dice.roll(12) {
            0..=6 => self.step_of(at),
            7 | 8 => self.broker_goes_on(),
            9 => drop(self.grant_is_found(at)),
            10 if self.dice.once_in(2) => self.late_wish_commits(at),
            10 => self.file_is_read(at),
            _ if self.dice.once_in(self.calmness) => self.disturb(),
            _ => {}
        }
        self.note_allowed();
    }

    /// The world of one JobConfig goes on.
    fn step_of(&mut self, at: usize) {
        if !self.is_there(at) {
            return;
        }
        self.prepare(at);
        self.members[at].world.step();
        self.now = self.members[at].world.now;
        self.old_goes_on();
        self.tell(at);
    }

    /// It has an actor.
    pub(crate) fn is_there(&self, at: usize) -> bool {
        let member = &self.members[at];
        !member.gone && member.asleep_until <= self.now
    }

    /// What one world has to know of the others before anything happens in it.
    pub(crate) fn prepare(&mut self, at: usize) {
        let writes = |effect: &QueueEffect| matches!(effect, QueueEffect::Run(RunEffect::WriteWishes(_)));
        if self.members[at].world.in_flight.iter().any(writes) {
            let others = self.members.iter().enumerate().filter(|(other, _)| *other != at);
            let elsewhere = others.flat_map(|(_, other)| other.world.store.held().cloned()).collect();
            self.members[at].world.elsewhere = elsewhere;
        }
        self.members[at].world.now = self.now;
    }

    /// The actor tells what it needs, if that is news; and that it ends.
    pub(crate) fn tell(&mut self, at: usize) {
        if !self.is_there(at) {
            return;
        }
        let member = &mut self.members[at];
        let Some(need) = member.world.life.need() else { return };
        let last = member.world.left && member.world.life.is_done() && member.world.waiting.is_empty();
        if member.told.as_ref() != Some(&need) || last {
            member.told = Some(need.clone());
            self.broker.told.push_back((at, need, last));
        }
        member.gone = last;
    }

    /// The broker does a little.
    pub(crate) fn broker_goes_on(&mut self) {
        if self.broker.arbiter.is_none() {
            return self.begin_broker();
        }
        if self.broker.is_behind && self.dice.once_in(2) {
            self.configure_broker();
        }
        if self.dice.once_in(2) {
            return;
        }
        // What was told before the file was changed is heard before anything is given by it.
        while self.broker_hears() {}
        if self.dice.once_in(2) {
            self.broker_reads();
        }
        if self.dice.once_in(2) {
            self.broker_gives();
        }
    }

    /// The broker learns what is on record, and what is in the file.
    pub(crate) fn begin_broker(&mut self) {
        self.broker.arbiter = Some(Arbiter::new(self.recorded(), self.now));
        self.configure_broker();
    }

    fn recorded(&self) -> BTreeMap<Arc<str>, Vec<Places>> {
        let recorded = |member: &Member| -> Vec<Places> {
            let rows = member.world.store.rows.values().filter(|row| row.end.is_none() && !row.places.is_empty());
            rows.map(|row| row.places.clone()).collect()
        };
        let all = self.members.iter().map(|member| (member.name.clone(), recorded(member)));
        all.filter(|(_, places)| !places.is_empty()).collect()
    }

    /// What the broker has read of the record arrives, or it begins to read it if it has to.
    pub(crate) fn broker_reads(&mut self) {
        let recorded = self.recorded();
        let Some(arbiter) = &mut self.broker.arbiter else { return };
        if let Some(found) = self.broker.reading.take() {
            arbiter.note_recorded(found);
        } else if arbiter.is_in_doubt() {
            arbiter.begin_reading();
            self.broker.reading = Some(recorded);
        }
    }

    pub(crate) fn configure_broker(&mut self) {
        let Some(arbiter) = &mut self.broker.arbiter else { return };
        let names = |at: &usize| self.members[*at].name.clone();
        let entries = self.file.entries.iter().map(|(at, entry)| (names(at), entry.clone())).collect();
        arbiter.configure(self.file.pools.clone(), entries, self.now);
        (self.broker.file, self.broker.is_behind) = (self.file.clone(), false);
        self.note_allowed();
    }

    /// The next that an actor has told reaches the broker. False if there is none.
    pub(crate) fn broker_hears(&mut self) -> bool {
        let Some(arbiter) = &mut self.broker.arbiter else { return false };
        let Some((at, need, last)) = self.broker.told.pop_front() else { return false };
        arbiter.note_need(&self.members[at].name, need, self.now);
        if last {
            arbiter.leave(&self.members[at].name, self.now);
        }
        true
    }

    pub(crate) fn broker_gives(&mut self) {
        let Some(arbiter) = &mut self.broker.arbiter else { return };
        let grants = arbiter.grants(self.now);
        grants.iter().for_each(|(_, grant)| self.check_given(grant));
        for (name, grant) in grants {
            let member = self.members.iter_mut().find(|member| member.name == name).expect("a member");
            member.given = grant;
        }
    }

    /// What is given finds room beside the Jobs that were created while their JobConfig shared nothing, and that take part
    /// in the pool by now. Postgres does not know of those. A process that leads no longer may create such Jobs, too.
    fn check_given(&self, grant: &Grant) {
        if self.old.is_some() || self.members.iter().any(|member| member.world.frozen.is_some()) {
            return;
        }
        for (pool, policy) in &self.broker.file.pools {
            let given = grant.places.iter().filter(|places| is_in(places, pool)).count();
            let mut without = 0;
            let mut with: BTreeSet<JobName> = BTreeSet::new();
            for (at, member) in self.members.iter().enumerate() {
                let is_member = self.broker.file.pools_of(at).contains(pool);
                for (name, row) in member.world.store.rows.iter().filter(|(_, row)| row.end.is_none()) {
                    let lives = member.world.cluster.jobs.get(name).is_some_and(|it| it.is_live());
                    if is_in(&row.places, pool) {
                        with.insert(name.clone());
                    } else if is_member && lives {
                        without += 1;
                    }
                }
            }
            let limit = policy.jobs.map_or(usize::MAX, |limit| limit as usize);
            assert!(
                given == 0 || without == 0 || given + without <= limit,
                "invariant: nothing_is_given_beyond_the_limit: {pool}: {given} beside {without} without and {} with: {:#?}",
                with.len(),
                self.members.iter().map(|member| self.account_of(member, pool)).collect::<Vec<_>>()
            );
        }
    }

    /// An actor finds what the broker has given it. False if there is nothing.
    pub(crate) fn grant_is_found(&mut self, at: usize) -> bool {
        let member = &mut self.members[at];
        if member.gone || member.asleep_until > self.now || member.given.number <= member.found {
            return false;
        }
        member.found = member.given.number;
        let grant = member.given.clone();
        self.prepare(at);
        self.members[at].world.feed(QueueEvent::Granted(grant));
        self.tell(at);
        true
    }

    /// An actor learns what the file says now.
    pub(crate) fn file_is_read(&mut self, at: usize) {
        if !self.members[at].is_behind || self.members[at].asleep_until > self.now {
            return;
        }
        self.prepare(at);
        let entry = self.file.entries.contains_key(&at);
        let pools = self.file.pools_of(at);
        let member = &mut self.members[at];
        member.is_behind = false;
        match (entry, member.gone) {
            (true, true) => self.begin_actor(at),
            (true, false) => {
                member.world.left = false;
                member.world.policy.pools = pools;
                let policy = member.world.policy.clone().into();
                member.world.feed(QueueEvent::Configured { policy, other_queue: false });
            }
            (false, _) if member.world.left => {}
            (false, _) => {
                member.world.left = true;
                member.world.feed(QueueEvent::Run(RunEvent::Drain));
            }
        }
        self.tell(at);
    }

    /// A little of what a process does that has lost its lease and does not know it: its actors and its broker go on.
    fn old_goes_on(&mut self) {
        let Some(arbiter) = &mut self.old else { return };
        for member in &self.members {
            if let Some(need) = member.world.frozen.as_ref().and_then(|(life, _)| life.need()) {
                arbiter.note_need(&member.name, need, self.now);
            }
        }
        for (name, grant) in arbiter.grants(self.now) {
            let member = self.members.iter_mut().find(|member| member.name == name).expect("a member");
            if let Some((life, in_flight)) = &mut member.world.frozen {
                in_flight.extend(life.step(self.now, [QueueEvent::Granted(grant)]));
            }
        }
    }

    // --- what is there

    /// The Jobs of a JobConfig that live and have a place in this pool by their records.
    pub(crate) fn live_in<'a>(&'a self, member: &'a Member, pool: &'a str) -> impl Iterator<Item = &'a JobName> {
        let live = member.world.cluster.jobs.iter().filter(|(_, it)| it.is_live()).map(|(name, _)| name);
        live.filter(move |name| {
            let row = member.world.store.rows.get(*name);
            row.is_some_and(|row| is_in(&row.places, pool)) && !self.excused.contains(*name)
        })
    }

    /// What somebody wants to know who has to find out why a pool has too many.
    pub(crate) fn account_of(&self, member: &Member, pool: &str) -> String {
        let job = |name: &JobName| {
            let row = &member.world.store.rows[name];
            let (ended, found) = (row.end.is_some(), self.found.contains(name));
            format!("{name} {:?} ended: {ended} found: {found}", row.places)
        };
        let jobs: Vec<String> = self.live_in(member, pool).map(job).collect();
        let need = member.world.life.need();
        format!("{} {:?} {jobs:?} {need:?}, told {:?}", member.name, member.world.policy.pools, member.told)
    }

    /// Jobs that live, are on record, or may yet come, and have a place in this pool.
    fn potential(&self, pool: &str) -> u64 {
        let of = |member: &Member| {
            let store = &member.world.store;
            let open = store.rows.iter().filter(|(_, row)| row.end.is_none() && is_in(&row.places, pool));
            let jobs: BTreeSet<&JobName> = open.map(|(name, _)| name).chain(self.live_in(member, pool)).collect();
            let need = member.world.life.need();
            let held = need.iter().chain(&member.told).flat_map(|need| need.held.iter());
            let wishes = member.world.in_flight.iter().filter_map(|effect| match effect {
                QueueEffect::Run(RunEffect::WriteWishes(wishes)) => Some(wishes.iter().map(|wish| &wish.places)),
                _ => None,
            });
            let coming = held.chain(wishes.flatten()).chain(&member.given.places);
            let recorded: BTreeSet<&Place> = store.held().collect();
            let coming = coming.flat_map(|places| places.iter());
            let coming: BTreeSet<&Place> =
                coming.filter(|place| &*place.pool == pool && !recorded.contains(place)).collect();
            (jobs.len() + coming.len()) as u64
        };
        self.members.iter().map(of).sum()
    }

    /// What a pool may have: no more than its limit, once those are gone that were there before it was lowered.
    pub(crate) fn note_allowed(&mut self) {
        if self.broker.arbiter.is_none() {
            return;
        }
        for (pool, policy) in &self.broker.file.pools {
            let allowed = self.allowed.get(pool).copied().unwrap_or(u64::MAX);
            let limit = policy.jobs.map_or(u64::MAX, u64::from);
            if allowed != limit {
                let next = allowed.min(self.potential(pool)).max(limit);
                self.allowed.insert(pool.clone(), next);
            }
        }
        let lacks = |at: usize, pool: &Place| !self.broker.file.pools_of(at).contains(&pool.pool);
        let mut excused = vec![];
        for (at, member) in self.members.iter().enumerate() {
            let rows = self.found.iter().filter_map(|name| Some((name, member.world.store.rows.get(name)?)));
            excused.extend(
                rows.filter(|(_, row)| row.places.iter().any(|place| lacks(at, place))).map(|(name, _)| name.clone()),
            );
        }
        self.excused.extend(excused);
    }
}
