//! The replay: queues and JobConfigs in simulated time, one event after the other, without any clock.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use crate::decide::forecast::{
    backlog::Backlog,
    figures::Counted,
    history::{Message, Span},
    member::{JobNumber, JobStep, Member, MemberInput},
    shared_places::SharedPlaces,
};

/// For how long a replay goes on after its span, in lengths of it: what is not taken by then waits for ever.
const GOES_ON_FOR: u32 = 1;

/// The shortest time for which it does.
const GOES_ON_MIN: Duration = Duration::from_secs(3_600);

/// Grants after one another at one time: what one gives back another may take.
const ROUNDS_MAX: usize = 1_000;

/// The shortest wait for a token: it may not keep the replay.
const TOKEN_WAIT_MIN: Duration = Duration::from_millis(1);

/// A queue that is replayed.
#[derive(Clone, Debug)]
pub struct QueueInput {
    /// In the order in which they can be fetched.
    pub messages: Arc<[Message]>,
    /// How long each of them takes a worker.
    pub work: Arc<[Duration]>,
    /// pg-boss notifies of new messages.
    pub notifies: bool,
}

/// What is to happen; in this order at one time: what comes first, looks last, so that they see all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// Something happens to the messages of this queue.
    Messages(usize),
    /// A Job of this member does its next step.
    Job(usize, JobNumber, JobStep),
    /// This member wants to be asked.
    Wakes(usize),
    /// A Job may be created again that had to wait for its minute.
    Token,
}

#[derive(Clone, Debug)]
struct SimulatedQueue {
    backlog: Backlog,
    input: QueueInput,
    /// How long each message waited; `None` while it waits.
    waits: Vec<Option<Duration>>,
    members: Vec<usize>,
}

/// A replay that is under way.
#[derive(Clone, Debug)]
pub struct Replay {
    queues: Vec<SimulatedQueue>,
    members: Vec<Member>,
    /// What they share, where they do.
    shared: Option<SharedPlaces>,
    token_at: Option<Duration>,
    happenings: BinaryHeap<Reverse<(Duration, Happening)>>,
    /// What happens to Jobs counts until then; to messages, until the end.
    counts_until: Duration,
    ends_at: Duration,
    live: u64,
    live_max: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// For each queue how long each of its messages waited; `None` of those that nobody took.
    pub waits: Vec<Vec<Option<Duration>>>,
    /// What was counted of each member within the span.
    pub counted: Vec<Counted>,
    /// The most Jobs of all of them together that lived at once within the span.
    pub live_max: u64,
}

impl Replay {
    /// Nothing has happened yet.
    pub fn new(span: Span, queues: &[QueueInput], members: &[MemberInput], shared: Option<SharedPlaces>) -> Self {
        let simulated = |(at, input): (usize, &QueueInput)| SimulatedQueue {
            backlog: Backlog::new(input.messages.clone()),
            waits: vec![None; input.messages.len()],
            members: (0..members.len()).filter(|member| members[*member].queue == at).collect(),
            input: input.clone(),
        };
        let member = |it: &MemberInput| Member::new(it, queues[it.queue].notifies, span);
        let length = span.to.saturating_sub(span.from);
        let mut replay = Self {
            queues: queues.iter().enumerate().map(simulated).collect(),
            members: members.iter().map(member).collect(),
            shared,
            token_at: None,
            happenings: BinaryHeap::new(),
            counts_until: span.to,
            ends_at: span.to.saturating_add((length * GOES_ON_FOR).max(GOES_ON_MIN)),
            live: 0,
            live_max: 0,
        };
        for queue in &mut replay.queues {
            // What waits already.
            queue.backlog.advance(span.from);
        }
        for queue in 0..replay.queues.len() {
            replay.expect_messages(queue);
        }
        for member in 0..replay.members.len() {
            replay.expect(span.from, Happening::Wakes(member));
        }
        replay
    }

    /// Goes on for so many moments; true once it is over.
    pub fn run(&mut self, moments: usize) -> bool {
        for _ in 0..moments {
            let next = self.happenings.peek().map(|Reverse((at, _))| *at);
            let Some(now) = next.filter(|now| *now <= self.ends_at) else { return true };
            self.pass(now);
        }
        false
    }

    /// What came of it so far.
    pub fn result(self) -> Replayed {
        Replayed {
            waits: self.queues.into_iter().map(|queue| queue.waits).collect(),
            counted: self.members.iter().map(Member::counted).collect(),
            live_max: self.live_max,
        }
    }

    fn expect(&mut self, at: Duration, what: Happening) {
        self.happenings.push(Reverse((at, what)));
    }

    fn expect_messages(&mut self, queue: usize) {
        if let Some(at) = self.queues[queue].backlog.next_at() {
            self.expect(at, Happening::Messages(queue));
        }
    }

    /// Lets happen what does at this time, then asks whom that concerns.
    fn pass(&mut self, now: Duration) {
        let mut touched = BTreeSet::new();
        while let Some(Reverse((at, what))) = self.happenings.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.happenings.pop();
            match what {
                Happening::Messages(queue) => self.note_messages(queue, now, &mut touched),
                Happening::Job(member, number, step) => {
                    self.step_job(member, (number, step), now);
                    if self.members[member].is_touched() {
                        touched.insert(member);
                    }
                }
                Happening::Wakes(member) if self.members[member].wake_at == Some(at) => drop(touched.insert(member)),
                // It wants to be asked at another time by now.
                Happening::Wakes(_) => {}
                Happening::Token => self.token_at = None,
            }
        }
        for member in touched {
            self.ask(member, now);
        }
        self.share_out(now);
    }

    /// Gives away what is free of what is shared. What is granted and not used goes back at once, and to another.
    fn share_out(&mut self, now: Duration) {
        for _ in 0..ROUNDS_MAX {
            let grants = self.shared.as_mut().map(|shared| shared.grants(now)).unwrap_or_default();
            if grants.is_empty() {
                break;
            }
            for (member, grant) in grants {
                self.members[member].grant(grant);
                self.ask(member, now);
            }
        }
        let token_at = self.shared.as_ref().and_then(SharedPlaces::deadline).map(|at| at.max(now + TOKEN_WAIT_MIN));
        if let Some(at) = token_at.filter(|at| self.token_at.is_none_or(|expected| *at < expected)) {
            self.token_at = Some(at);
            self.expect(at, Happening::Token);
        }
    }

    fn note_messages(&mut self, queue: usize, now: Duration, touched: &mut BTreeSet<usize>) {
        let SimulatedQueue { backlog, input, members, .. } = &mut self.queues[queue];
        if backlog.advance(now) && input.notifies {
            for member in members {
                self.members[*member].notify();
                touched.insert(*member);
            }
        }
        self.expect_messages(queue);
    }

    fn step_job(&mut self, member: usize, step: (JobNumber, JobStep), now: Duration) {
        let queue = &mut self.queues[self.members[member].queue];
        let take = || {
            let place = queue.backlog.take()?;
            queue.waits[place] = Some(now.saturating_sub(queue.input.messages[place].at));
            Some(queue.input.work[place])
        };
        if let Some((at, number, step)) = self.members[member].step_job(now, step, take) {
            self.expect(at, Happening::Job(member, number, step));
        }
    }

    fn ask(&mut self, member: usize, now: Duration) {
        let asked = &mut self.members[member];
        let (before, woken_before) = (asked.live(), asked.wake_at);
        let steps = asked.step(now, &self.queues[asked.queue].backlog);
        let wake_at = asked.wake_at;
        if let Some((shared, need)) = self.shared.as_mut().zip(asked.need()) {
            shared.tell(member, need, now);
        }
        self.live = self.live.saturating_sub(before) + asked.live();
        if now <= self.counts_until {
            self.live_max = self.live_max.max(self.live);
        }
        for (at, number, step) in steps {
            self.expect(at, Happening::Job(member, number, step));
        }
        // One that has not passed is expected already.
        if let Some(at) = wake_at.filter(|at| woken_before != Some(*at) || *at <= now) {
            self.expect(at, Happening::Wakes(member));
        }
    }
}
