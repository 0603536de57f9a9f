//! The Scout: looks at the queues that are at rest, in place of their actors.
//!
//! Most of many queues are empty most of the time, and to wake an actor for a look costs more than the look. So an actor at
//! rest leaves its looks to the Scout, which holds a few words for each. It rings the actor's bell, as a notification does,
//! when there is something to decide or Postgres does not answer, and the actor looks for itself: nothing is decided here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::{Notify, mpsc};

use crate::{
    actors::{inbox::reached, lookout::Lookout},
    decide::queue::{rest::Rest, scale::Look},
    metrics::queue_gauges::QueueGauge,
    pgboss::looks::QUEUES_AT_ONCE,
};

/// Actors that have come to rest and are not listed yet; one that finds no room looks for itself until it tries again.
const UNLISTED_MAX: usize = 4096;

/// So many entries are listed before those are looked for that nobody has any more.
const SWEPT_FROM: usize = 1024;

/// An actor at rest, for as long as it holds this.
#[derive(Debug)]
pub struct Resting {
    /// Its queue.
    pub queue: Arc<str>,
    /// Where that is shown.
    pub gauge: QueueGauge,
    /// How its queue is looked at, and when.
    pub rest: Rest,
    /// It was logged that pg-boss does not have the queue.
    pub warned: bool,
    /// Rung when it has to look for itself.
    pub bell: Arc<Notify>,
}

/// Where an actor says that it is at rest. Clones lead to the same Scout.
#[derive(Clone, Debug)]
pub struct RestingPlace {
    unlisted: mpsc::Sender<Weak<Resting>>,
}

/// The task.
pub struct Scout {
    lookout: Lookout,
    unlisted: mpsc::Receiver<Weak<Resting>>,
    list: List,
    /// Those that it is looking for, listed no more.
    looking: Vec<Weak<Resting>>,
    dice: StdRng,
}

/// Those at rest by when they are to be looked for. Whoever has got up stays until its look is due or many have; those that
/// are there still are rung when nobody looks for them any more.
#[derive(Default)]
struct List {
    by_due: BTreeMap<Duration, Vec<Weak<Resting>>>,
    entries: usize,
    /// At so many entries it is swept again.
    swept_at: usize,
}

impl RestingPlace {
    /// Leaves the looks of an actor to the Scout until what is returned is dropped, or its bell is rung. `None` where there is
    /// no room, or no Scout any more, also if it has gone just now.
    pub fn rest(&self, resting: Resting) -> Option<Arc<Resting>> {
        let resting = Arc::new(resting);
        let sent = self.unlisted.try_send(Arc::downgrade(&resting));
        sent.ok().filter(|()| !self.unlisted.is_closed()).map(|()| resting)
    }
}

impl Resting {
    /// When the look after this one is due; `None` where its actor has to look, or to say that pg-boss does not have the queue.
    fn next_due(&self, now: Duration, look: &Look, jitter: u32) -> Option<Duration> {
        self.rest.after(now, look, jitter).filter(|_| self.warned || !look.unknown)
    }
}

impl Scout {
    /// Where actors rest, and the task that needs to be run. `seed` makes its jitter its own.
    pub fn new(lookout: Lookout, seed: u64) -> (RestingPlace, Self) {
        let (sender, unlisted) = mpsc::channel(UNLISTED_MAX);
        let dice = StdRng::seed_from_u64(seed);
        (RestingPlace { unlisted: sender }, Self { lookout, unlisted, list: List::default(), looking: vec![], dice })
    }

    /// Looks for ever.
    pub async fn run(mut self) {
        let clock = self.lookout.clock;
        let mut came = vec![];
        loop {
            tokio::select! {
                biased;
                1.. = self.unlisted.recv_many(&mut came, UNLISTED_MAX) => {
                    came.drain(..).for_each(|resting| self.list.add(resting));
                }
                () = reached(clock, self.list.next_due()) => self.look().await,
            }
        }
    }

    /// Looks for all whose look is due.
    async fn look(&mut self) {
        self.looking = self.list.take_due(self.lookout.clock.now());
        while !self.looking.is_empty() {
            // Whoever has got up meanwhile is not looked for; and all are rung should this panic.
            let first = self.looking.len().saturating_sub(QUEUES_AT_ONCE);
            let part: Vec<Arc<Resting>> = self.looking[first..].iter().filter_map(Weak::upgrade).collect();
            if !part.is_empty() {
                self.look_for(&part).await;
            }
            self.looking.truncate(first);
        }
    }

    /// One look at each of their queues: whoever has something to decide is rung, the others are listed again.
    async fn look_for(&mut self, part: &[Arc<Resting>]) {
        let question = |it: &Arc<Resting>| (it.queue.clone(), it.gauge.clone(), it.rest.request);
        let looks = self.lookout.look(part.iter().map(question).collect()).await;
        let now = self.lookout.clock.now();
        let looks = looks.into_iter().flatten().map(Some).chain(std::iter::repeat(None));
        for (resting, look) in part.iter().zip(looks) {
            let jitter = self.dice.random_range(0..1000);
            match look.and_then(|look| resting.next_due(now, &look, jitter)) {
                Some(due) => self.list.add_at(due, Arc::downgrade(resting)),
                None => resting.bell.notify_one(),
            }
        }
    }
}

impl List {
    fn add(&mut self, resting: Weak<Resting>) {
        if let Some(due) = resting.upgrade().map(|resting| resting.rest.due) {
            self.add_at(due, resting);
        }
    }

    fn add_at(&mut self, due: Duration, resting: Weak<Resting>) {
        if self.entries >= self.swept_at.max(SWEPT_FROM) {
            self.sweep();
        }
        self.by_due.entry(due).or_default().push(resting);
        self.entries += 1;
    }

    /// Only those stay that are still at rest: the list is never much longer than twice as many.
    fn sweep(&mut self) {
        self.by_due.retain(|_, listed| {
            listed.retain(|resting| resting.strong_count() > 0);
            !listed.is_empty()
        });
        self.entries = self.by_due.values().map(Vec::len).sum();
        self.swept_at = 2 * self.entries;
    }

    fn next_due(&self) -> Option<Duration> {
        self.by_due.keys().next().copied()
    }

    /// Those whose look is due. They are listed no more.
    fn take_due(&mut self, now: Duration) -> Vec<Weak<Resting>> {
        let mut due = vec![];
        while let Some(first) = self.by_due.first_entry().filter(|first| *first.key() <= now) {
            let listed = first.remove();
            self.entries -= listed.len();
            due.extend(listed);
        }
        due
    }
}

/// Nobody is forgotten if the Scout panics: whoever rests looks for itself from then on.
impl Drop for Scout {
    fn drop(&mut self) {
        self.unlisted.close();
        let unlisted = std::iter::from_fn(|| self.unlisted.try_recv().ok());
        let listed = std::mem::take(&mut self.list.by_due).into_values().flatten();
        let resting = unlisted.chain(listed).chain(self.looking.drain(..)).filter_map(|resting| resting.upgrade());
        resting.for_each(|resting| resting.bell.notify_one());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt;
    use tokio::task::JoinSet;

    use super::*;
    use crate::{
        clock::{Clock, sleep},
        decide::queue::event::{DepthRequest, LookPurpose},
        health::Health,
        metrics::{Metrics, queue_gauges::QueueGauges},
        pgboss::looks::Looks,
    };

    const SECOND: Duration = Duration::from_secs(1);

    /// A Scout, and what the queues hold; a queue that is not there is one that Postgres does not answer for.
    struct World {
        place: RestingPlace,
        clock: Clock,
        queues: Arc<Mutex<BTreeMap<Arc<str>, Look>>>,
        /// How many queues each statement has asked for.
        asked: Arc<Mutex<Vec<usize>>>,
        metrics: Arc<Metrics>,
        tasks: JoinSet<()>,
    }

    impl World {
        fn begin() -> Self {
            let (queues, asked) =
                (Arc::<Mutex<BTreeMap<Arc<str>, Look>>>::default(), Arc::<Mutex<Vec<usize>>>::default());
            let (found, noted) = (queues.clone(), asked.clone());
            let looks = Looks::answered_by(move |asked| {
                noted.lock().expect("no panic").push(asked.len());
                let found = found.lock().expect("no panic");
                asked.iter().map(|(queue, _)| found.get(queue).copied()).collect()
            });
            let (clock, metrics) = (Clock::start(), Arc::new(Metrics::new().expect("a page")));
            let (place, scout) =
                Scout::new(Lookout { looks, clock, health: Health::default(), metrics: metrics.clone() }, 1);
            let mut tasks = JoinSet::new();
            tasks.spawn(scout.run());
            Self { place, clock, queues, asked, metrics, tasks }
        }

        fn holds(&self, queue: &str, look: Look) {
            self.queues.lock().expect("no panic").insert(queue.into(), look);
        }

        fn rests(&self, queue: &str, warned: bool) -> Arc<Resting> {
            let gauges = &self.metrics.queues.gauges;
            let resting = resting(queue, self.clock.now() + SECOND, gauges);
            self.place.rest(Resting { warned, ..resting }).expect("room")
        }

        fn looks(&self) -> usize {
            self.asked.lock().expect("no panic").iter().sum()
        }
    }

    fn resting(queue: &str, due: Duration, gauges: &QueueGauges) -> Resting {
        let purpose = LookPurpose::Routine;
        let request = DepthRequest { since_us: Some(1), limit: 10, younger_left: Duration::ZERO, purpose };
        let rest = Rest { request, due, interval: 10 * SECOND };
        let gauge = gauges.begin(queue, queue, SECOND, None);
        Resting { queue: queue.into(), gauge, rest, warned: false, bell: Arc::default() }
    }

    fn nothing() -> Look {
        Look { limit: 10, ..Look::default() }
    }

    fn is_rung(resting: &Resting) -> bool {
        resting.bell.notified().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_queue_is_looked_at_again_and_again_and_a_message_rings_its_actor_alone() {
        let world = World::begin();
        ["a", "b"].into_iter().for_each(|queue| world.holds(queue, nothing()));
        let [a, b] = ["a", "b"].map(|queue| world.rests(queue, false));
        sleep(35 * SECOND).await;
        assert_eq!(*world.asked.lock().expect("no panic").first().expect("a look"), 2, "together");
        assert!((8..=10).contains(&world.looks()), "{}", world.looks());
        assert!(!is_rung(&a) && !is_rung(&b));
        let depth = |queue| world.metrics.queues.gauges.depth(queue, world.clock.now());
        let (since, now) = (depth("b").empty_at.expect("a look"), world.clock.now());
        assert!(depth("a").ready == Some(0) && now - since <= 10 * SECOND);
        world.holds("a", Look { new: 1, ..nothing() });
        sleep(10 * SECOND).await;
        assert!(is_rung(&a) && !is_rung(&b));
        assert_eq!(["a", "b"].map(|queue| depth(queue).ready), [Some(1), Some(0)], "each is shown as it is");
        let before = world.looks();
        sleep(10 * SECOND).await;
        assert_eq!(world.looks(), before + 1, "whoever was rung looks for itself");
    }

    #[tokio::test(start_paused = true)]
    async fn of_more_than_one_statement_asks_for_everybody_has_its_look() {
        let world = World::begin();
        let names: Vec<String> = (0..2 * QUEUES_AT_ONCE + 1).map(|number| number.to_string()).collect();
        let resting: Vec<_> = names.iter().map(|name| world.rests(name, false)).collect();
        for (number, name) in names.iter().enumerate() {
            world.holds(name, Look { new: u64::from(number % 2 == 0), ..nothing() });
        }
        sleep(2 * SECOND).await;
        assert_eq!(world.looks(), names.len());
        assert!(world.asked.lock().expect("no panic").iter().all(|asked| *asked <= QUEUES_AT_ONCE));
        for (number, resting) in resting.iter().enumerate() {
            assert_eq!(is_rung(resting), number % 2 == 0, "{number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gets_up_is_looked_for_no_more() {
        let world = World::begin();
        world.holds("a", nothing());
        let resting = world.rests("a", false);
        sleep(SECOND / 2).await;
        drop(resting);
        sleep(30 * SECOND).await;
        assert!(world.asked.lock().expect("no panic").is_empty(), "nothing is asked for nobody");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_not_answered_for_looks_for_itself_and_so_does_who_has_to_warn_of_its_queue() {
        let world = World::begin();
        let unanswered = world.rests("a", false);
        sleep(2 * SECOND).await;
        assert!(is_rung(&unanswered));
        world.holds("b", Look { unknown: true, ..nothing() });
        let [new, known] = [false, true].map(|warned| world.rests("b", warned));
        sleep(2 * SECOND).await;
        assert!(is_rung(&new) && !is_rung(&known));
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_scout_is_gone_all_that_rest_are_rung_and_nobody_rests_any_more() {
        let mut world = World::begin();
        world.holds("a", nothing());
        let listed = world.rests("a", false);
        sleep(5 * SECOND).await;
        let unlisted = world.rests("a", false);
        world.tasks.shutdown().await;
        assert!(is_rung(&listed) && is_rung(&unlisted));
        assert!(world.place.rest(resting("a", SECOND, &world.metrics.queues.gauges)).is_none());
    }

    #[test]
    fn whoever_rests_often_leaves_no_long_list() {
        let (mut list, rest) = (List::default(), || Arc::new(resting("a", 3600 * SECOND, &QueueGauges::default())));
        let stays = rest();
        list.add(Arc::downgrade(&stays));
        for _ in 0..100_000 {
            let goes = rest();
            list.add(Arc::downgrade(&goes));
            assert!(list.entries <= SWEPT_FROM);
        }
        assert!(list.take_due(3600 * SECOND).iter().any(|listed| listed.strong_count() > 0));
        assert_eq!((list.entries, list.next_due()), (0, None));
    }
}
