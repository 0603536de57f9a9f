//! The Broker: hears what the JobConfigs of a term need, asks the arbiter, and tells each what it is given.
//!
//! Everything that reaches it is whole: a need, the configuration. So it may begin at any time, and anew: it gives nothing
//! before it knows what is on record, and nothing in a pool before all that share it have told.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};

use crate::{
    actors::{
        inbox::reached,
        inquiry::{Question, Usage},
        membership::Told,
        record::Record,
    },
    clock::Clock,
    decide::share::{
        arbiter::Arbiter,
        need::Grant,
        policy::{MemberPolicy, Pools},
    },
};

/// Needs that are taken in before places are given, all that can wait: what becomes free together is shared out together,
/// and whoever is in a pool again has told by then that it was in none.
pub const NEEDS_MAX: usize = 1024;

/// Those who wait for a pool that people are shown.
const NEXT_SHOWN: usize = 20;

/// What is shared, and by whom.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The pools.
    pub pools: Pools,
    /// The JobConfigs that take places in any.
    pub members: BTreeMap<Arc<str>, Member>,
}

/// A JobConfig that takes places.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its share.
    pub policy: MemberPolicy,
    /// Where it is told what it is given.
    pub grants: watch::Sender<Grant>,
}

/// What reaches it.
pub struct Links {
    /// What the actors need.
    pub told: mpsc::Receiver<Told>,
    /// What is shared, and by whom.
    pub configured: watch::Receiver<Configuration>,
    /// What people want to know.
    pub questions: mpsc::Receiver<Question>,
}

/// The task.
pub struct Broker {
    links: Links,
    /// As the arbiter knows them.
    members: BTreeMap<Arc<str>, Member>,
    clock: Clock,
}

impl Broker {
    /// One that has not begun.
    pub fn new(links: Links, clock: Clock) -> Self {
        Self { links, members: BTreeMap::new(), clock }
    }

    /// Runs until it is cut off.
    pub async fn run(mut self, mut record: Record) {
        let mut early = BTreeMap::new();
        record.begin();
        let recorded = loop {
            tokio::select! {
                recorded = record.read() => break recorded,
                Some(told) = self.links.told.recv() => drop(early.insert(told.name.clone(), told)),
            }
        };
        let arbiter = Arbiter::new(recorded, self.clock.now());
        self.work(arbiter, record, early.into_values().collect()).await;
    }

    /// Gives, and waits for what is new. Every arm is cancel-safe.
    async fn work(mut self, mut arbiter: Arbiter, mut record: Record, mut told: Vec<Told>) {
        loop {
            // By now it is as new as what was told; and what was told before it was changed is taken in before anything is
            // given by it.
            if self.links.configured.has_changed().unwrap_or_default() {
                self.configure(&mut arbiter);
            }
            told.extend(std::iter::from_fn(|| self.links.told.try_recv().ok()).take(NEEDS_MAX));
            told.drain(..).for_each(|told| self.note(&mut arbiter, told));
            self.give(&mut arbiter);
            if arbiter.is_in_doubt() && record.begin() {
                arbiter.begin_reading();
            }
            let deadline = arbiter.deadline();
            tokio::select! {
                biased;
                Ok(()) = self.links.configured.changed() => self.links.configured.mark_changed(),
                1.. = self.links.told.recv_many(&mut told, NEEDS_MAX) => {}
                recorded = record.read() => arbiter.note_recorded(recorded),
                Some(question) = self.links.questions.recv() => answer(&arbiter, question, self.clock.now()),
                () = reached(self.clock, deadline) => {}
            }
        }
    }

    fn configure(&mut self, arbiter: &mut Arbiter) {
        let Configuration { pools, members } = self.links.configured.borrow_and_update().clone();
        let policies = members.iter().map(|(name, member)| (name.clone(), member.policy.clone()));
        arbiter.configure(pools, policies.collect(), self.clock.now());
        self.members = members;
    }

    fn note(&self, arbiter: &mut Arbiter, Told { name, need, last }: Told) {
        let now = self.clock.now();
        arbiter.note_need(&name, need, now);
        if last {
            arbiter.leave(&name, now);
        }
    }

    fn give(&self, arbiter: &mut Arbiter) {
        for (name, grant) in arbiter.grants(self.clock.now()) {
            if let Some(member) = self.members.get(&name) {
                member.grants.send_replace(grant);
            }
        }
    }
}

/// Whoever asks may have given up.
fn answer(arbiter: &Arbiter, question: Question, now: Duration) {
    match question {
        Question::Usage(answer) => {
            let pools = arbiter.usage();
            let next = pools.iter().map(|it| arbiter.next_in(&it.pool, now, NEXT_SHOWN)).collect();
            drop(answer.send(Usage { pools, next, waits: arbiter.waits() }));
        }
        Question::Account(name, answer) => drop(answer.send(arbiter.account(&name, now))),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::{sync::oneshot, task::JoinSet};

    use super::*;
    use crate::{
        actors::{
            membership::{Membership, Seat},
            record::Recorded,
        },
        decide::{
            place::{Place, Places},
            share::{need::Need, policy::PoolPolicy},
        },
    };

    /// A Broker of one pool with so many places, and what its members have of it. It ends with the case.
    struct World {
        seats: BTreeMap<&'static str, (Seat, Membership)>,
        configured: watch::Sender<Configuration>,
        questions: mpsc::Sender<Question>,
        clock: Clock,
        /// What a reading finds.
        on_record: watch::Sender<Recorded>,
        _task: JoinSet<()>,
    }

    fn policy(name: &'static str) -> (Arc<str>, Member) {
        let policy = MemberPolicy { pools: [Arc::from("gpu")].into(), weight: 1, priority: 0, target_age: None };
        (name.into(), Member { policy, grants: watch::Sender::default() })
    }

    fn gpu(jobs: u32) -> Pools {
        [(Arc::from("gpu"), PoolPolicy { jobs: Some(jobs), creates_per_minute: None })].into()
    }

    impl World {
        fn begin(places: u32, recorded: BTreeMap<Arc<str>, Vec<Places>>) -> Self {
            let ((needs, told), (ask, questions)) = (mpsc::channel(16), mpsc::channel(4));
            let members: BTreeMap<Arc<str>, Member> = ["a", "b"].map(policy).into();
            let seats = ["a", "b"].map(|name| {
                let seat = Seat { needs: needs.clone(), grants: Some(members[name].grants.subscribe()) };
                let mut membership = Membership::new(name.into());
                assert_eq!(membership.take(Some(&seat), true), Some(Grant::default()));
                (name, (seat, membership))
            });
            let configured = watch::Sender::new(Configuration { pools: gpu(places), members });
            let mut follower = configured.subscribe();
            follower.mark_changed();
            let clock = Clock::start();
            let broker = Broker::new(Links { told, configured: follower, questions }, clock);
            let mut task = JoinSet::new();
            let arbiter = Arbiter::new(recorded.clone(), clock.now());
            let (on_record, found) = watch::channel(recorded);
            let record = Record::read_by(move || {
                let recorded = found.borrow().clone();
                tokio::task::yield_now().map(|()| recorded).boxed()
            });
            task.spawn(broker.work(arbiter, record, vec![]));
            Self { seats: seats.into(), configured, questions: ask, clock, on_record, _task: task }
        }

        fn tell(&mut self, name: &str, need: Need) {
            let now = self.clock.now();
            self.seats.get_mut(name).expect("a member").1.tell(now, || Some(need));
        }

        async fn granted(&mut self, name: &str) -> Grant {
            self.seats.get_mut(name).expect("a member").1.granted().await
        }

        async fn usage(&self) -> Usage {
            let (answer, answered) = oneshot::channel();
            self.questions.send(Question::Usage(answer)).await.expect("it runs");
            answered.await.expect("an answer")
        }

        /// What it has told before has been heard when it answers.
        async fn held(&self) -> u64 {
            self.usage().await.pools[0].held
        }
    }

    fn wants(wanted: u64, held: &[Places], seen: u64) -> Need {
        let since = (wanted > 0).then_some(Duration::from_secs(1));
        Need { held: held.to_vec(), wanted, since, seen, ..Need::default() }
    }

    #[tokio::test]
    async fn nothing_is_given_before_all_have_told_and_then_no_more_than_there_is() {
        let mut world = World::begin(1, BTreeMap::new());
        world.tell("a", wants(2, &[], 0));
        assert_eq!(world.held().await, 0, "b may hold it");
        world.tell("b", wants(2, &[], 0));
        let grant = world.granted("a").await;
        assert_eq!((grant.places.len(), world.held().await), (1, 1));
        assert_eq!(world.usage().await.next, [[Arc::<str>::from("b")]], "a is not asked again before it has answered");
        world.tell("a", wants(0, &[], grant.number));
        assert_eq!(world.granted("b").await.places, grant.places, "it went back");
    }

    #[tokio::test]
    async fn what_nobody_has_told_of_counts_once_somebody_is_refused_and_its_owner_loads_anew() {
        let place: Places = [Place { pool: "gpu".into(), number: 0 }].into();
        let mut world = World::begin(2, BTreeMap::new());
        // A wish of b was written after b had looked for it.
        world.on_record.send_replace([(Arc::from("b"), vec![place.clone()])].into());
        world.tell("b", wants(0, &[], 0));
        world.tell("a", wants(1, &[], 0));
        let grant = world.granted("a").await;
        assert_eq!(grant.places, std::slice::from_ref(&place));
        world.tell("a", Need { refused: 1, ..wants(1, &[], grant.number) });
        let asked = world.granted("b").await;
        assert_eq!(asked.places, Vec::<Places>::new(), "it is to load its runs anew");
        let mut grant = world.granted("a").await;
        if grant.places == [place.clone()] {
            // It was given before anything was read.
            world.tell("a", Need { refused: 2, ..wants(1, &[], grant.number) });
            grant = world.granted("a").await;
        }
        assert_eq!(grant.places[0][0].number, 1);
        assert_eq!(world.held().await, 2);
        world.tell("a", wants(0, &[], grant.number));
        world.tell("b", wants(0, &[place], asked.number));
        assert_eq!(world.held().await, 1, "it is counted once");
        world.on_record.send_replace(BTreeMap::new());
        world.tell("b", wants(0, &[], asked.number));
        // What was read before may say otherwise for a moment.
        while world.held().await > 0 {}
    }

    #[tokio::test]
    async fn what_is_on_record_counts_until_its_actor_has_told_or_ended() {
        let place: Places = [Place { pool: "gpu".into(), number: 0 }].into();
        let mut world = World::begin(1, [(Arc::from("gone"), vec![place.clone()])].into());
        world.tell("a", wants(1, &[], 0));
        world.tell("b", wants(0, &[], 0));
        assert_eq!(world.held().await, 1);
        let needs = world.seats["a"].0.needs.clone();
        let mut gone = Membership::new("gone".into());
        gone.take(Some(&Seat { needs, grants: None }), true);
        gone.leave(Some(Need::default())).await;
        assert_eq!(world.granted("a").await.places, [place]);
    }

    #[tokio::test]
    async fn a_reload_gives_what_it_adds_and_whoever_begins_anew_takes_no_old_grant_for_a_new_one() {
        let mut world = World::begin(1, BTreeMap::new());
        world.tell("a", wants(3, &[], 0));
        world.tell("b", wants(0, &[], 0));
        let first = world.granted("a").await;
        world.configured.send_modify(|configuration| configuration.pools = gpu(2));
        // Its actor has panicked, and another begins.
        let mut anew = Membership::new("a".into());
        let left = anew.take(Some(&world.seats["a"].0), true);
        assert_eq!(left, Some(Grant { number: first.number, places: vec![] }));
        anew.tell(world.clock.now(), || Some(wants(3, &first.places, first.number)));
        let second = anew.granted().await;
        assert_eq!(second.places.len(), 1, "two places, and one is held");
        assert_ne!(second.places, first.places);
        assert_eq!(world.held().await, 2);
    }
}
