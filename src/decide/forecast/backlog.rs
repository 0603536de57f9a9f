//! The messages of a queue in simulated time: which can be fetched, and what a look at them finds.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use crate::decide::{
    forecast::history::Message,
    queue::{event::DepthRequest, scale::Look},
};

/// A message by its place among those of its queue.
pub type Place = usize;

/// The order in which pg-boss gives messages away.
type Turn = Reverse<(Reverse<i32>, Duration, Place)>;

/// The messages of one queue.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// In the order in which they can be fetched.
    messages: Arc<[Message]>,
    /// How many of them can be fetched by now, or could.
    arrived: usize,
    /// Which of these nobody has taken.
    waiting: Counts,
    /// The same in the order in which they are given away.
    turns: BinaryHeap<Turn>,
    /// Deferred messages in the order in which they are sent, and how many of them are.
    deferred: Arc<[Place]>,
    sent: usize,
    /// Deferred messages that are sent and can't be fetched yet.
    known: BTreeSet<Place>,
}

impl Backlog {
    /// Nothing of them has happened yet. They are in the order in which they can be fetched.
    pub fn new(messages: Arc<[Message]>) -> Self {
        let mut deferred: Vec<Place> =
            (0..messages.len()).filter(|place| messages[*place].sent_at < messages[*place].at).collect();
        deferred.sort_by_key(|place| messages[*place].sent_at);
        Self {
            arrived: 0,
            waiting: Counts::new(messages.len()),
            turns: BinaryHeap::new(),
            deferred: deferred.into(),
            sent: 0,
            known: BTreeSet::new(),
            messages,
        }
    }

    /// When something happens that no worker does: a message can be fetched, or a deferred one is sent.
    pub fn next_at(&self) -> Option<Duration> {
        let sent = self.deferred.get(self.sent).map(|place| self.messages[*place].sent_at);
        [self.next_arrival(), sent].into_iter().flatten().min()
    }

    /// When the next message can be fetched that can't be yet, whether it is sent or not.
    pub fn next_arrival(&self) -> Option<Duration> {
        self.messages.get(self.arrived).map(|message| message.at)
    }

    /// Lets happen what has by now. True if messages can be fetched from now on of which pg-boss notifies: those that
    /// were not deferred.
    pub fn advance(&mut self, now: Duration) -> bool {
        while let Some(place) = self.deferred.get(self.sent).filter(|place| self.messages[**place].sent_at <= now) {
            self.sent += 1;
            if *place >= self.arrived {
                self.known.insert(*place);
            }
        }
        let mut notified = false;
        while let Some(message) = self.messages.get(self.arrived).filter(|message| message.at <= now) {
            notified |= message.sent_at >= message.at;
            self.known.remove(&self.arrived);
            self.waiting.add(self.arrived, 1);
            self.turns.push(Reverse((Reverse(message.priority), message.sent_at, self.arrived)));
            self.arrived += 1;
        }
        notified
    }

    /// Nobody has taken so many of those that can be fetched.
    pub fn depth(&self) -> usize {
        self.turns.len()
    }

    /// The next message that is given away.
    pub fn take(&mut self) -> Option<Place> {
        let Reverse((_, _, place)) = self.turns.pop()?;
        self.waiting.add(place, -1);
        Some(place)
    }

    /// What a look finds, as [`crate::pgboss::depth`] would.
    pub fn look(&self, now: Duration, request: &DepthRequest) -> Look {
        let horizon = now.saturating_sub(request.younger_left);
        let at_us = i64::try_from(horizon.as_micros()).unwrap_or(i64::MAX);
        let since = request.since_us.map_or(horizon, |us| Duration::from_micros(u64::try_from(us).unwrap_or_default()));
        let (to_since, to_horizon) = (self.places_until(since), self.places_until(horizon));
        let old = self.waiting.before(to_since);
        let new = self.waiting.before(to_horizon).saturating_sub(old);
        let first_after = |place: Place| self.waiting.nth(self.waiting.before(place));
        let waits = |place: Place| now.saturating_sub(self.messages[place].at);
        let oldest = first_after(0).filter(|place| *place < to_since.max(to_horizon));
        let oldest_new = first_after(to_since).filter(|place| *place < to_horizon);
        let later = first_after(to_since.max(to_horizon)).into_iter().chain(self.known.first().copied()).min();
        Look {
            old: (old as u64).min(request.limit),
            new: (new as u64).min(request.limit),
            limit: request.limit,
            at_us,
            next_in: later.map(|place| self.messages[place].at.saturating_sub(horizon)),
            oldest_age: oldest.map(waits),
            oldest_new_age: oldest_new.map(waits),
            unknown: false,
        }
    }

    /// How many of those that have arrived could be fetched at a time already.
    fn places_until(&self, time: Duration) -> usize {
        self.messages[..self.arrived].partition_point(|message| message.at <= time)
    }
}

/// How many of the messages before any place wait: a Fenwick tree.
#[derive(Clone, Debug)]
struct Counts {
    tree: Vec<i32>,
}

impl Counts {
    fn new(places: usize) -> Self {
        Self { tree: vec![0; places + 1] }
    }

    fn add(&mut self, place: Place, count: i32) {
        let mut node = place + 1;
        while let Some(sum) = self.tree.get_mut(node) {
            *sum += count;
            node += node & node.wrapping_neg();
        }
    }

    /// Those before this place.
    fn before(&self, place: Place) -> usize {
        let (mut sum, mut node) = (0, place);
        while node > 0 {
            sum += self.tree[node];
            node &= node - 1;
        }
        usize::try_from(sum).unwrap_or_default()
    }

    /// The place of the one before which so many others wait.
    fn nth(&self, before: usize) -> Option<Place> {
        let mut left = i32::try_from(before).ok()?;
        let (mut node, mut step) = (0, (self.tree.len() / 2 + 1).next_power_of_two());
        while step > 0 {
            if let Some(sum) = self.tree.get(node + step).filter(|sum| **sum <= left) {
                left -= sum;
                node += step;
            }
            step /= 2;
        }
        (node + 1 < self.tree.len()).then_some(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::queue::event::LookPurpose;

    const fn second(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn at(seconds: u64) -> Message {
        Message { at: second(seconds), sent_at: second(seconds), ..Message::default() }
    }

    fn request(since: Option<u64>, younger_left: u64) -> DepthRequest {
        DepthRequest {
            since_us: since.map(|since| i64::try_from(since * 1_000_000).expect("small")),
            limit: 100,
            younger_left: second(younger_left),
            purpose: LookPurpose::Decision,
        }
    }

    #[test]
    fn a_look_finds_what_a_statement_would() {
        let deferred = Message { sent_at: second(1), ..at(9) };
        let mut backlog = Backlog::new([at(1), at(2), at(4), deferred, at(30)].into());
        assert_eq!(backlog.next_at(), Some(second(1)));
        assert!(backlog.advance(second(4)), "it notifies of what can be fetched at once");
        let look = backlog.look(second(4), &request(None, 0));
        assert_eq!((look.old, look.new, look.at_us), (3, 0, 4_000_000));
        assert_eq!(look.next_in, Some(second(5)), "it is sent; what is sent later nobody knows of");
        let look = backlog.look(second(4), &request(Some(2), 0));
        assert_eq!((look.old, look.new), (2, 1));
        assert_eq!((look.oldest_age, look.oldest_new_age), (Some(second(3)), Some(Duration::ZERO)));
        assert_eq!(backlog.take(), Some(0));
        let look = backlog.look(second(5), &request(Some(2), 3));
        assert_eq!((look.old, look.new), (1, 0), "the younger one is left to whoever runs");
        assert_eq!(look.next_in, Some(second(2)));
        assert!(!backlog.advance(second(9)), "nobody is notified of one that was deferred");
        assert_eq!(backlog.depth(), 3);
    }

    #[test]
    fn more_priority_goes_first_then_what_was_sent_first() {
        let urgent = Message { priority: 1, ..at(3) };
        let sent_early = Message { sent_at: second(0), ..at(4) };
        let mut backlog = Backlog::new([at(1), at(2), urgent, sent_early].into());
        backlog.advance(second(4));
        let order: Vec<Place> = std::iter::from_fn(|| backlog.take()).collect();
        assert_eq!(order, [2, 3, 0, 1]);
    }

    #[test]
    fn counts_are_those_of_a_plain_list() {
        let (mut counts, mut plain) = (Counts::new(37), [false; 37]);
        let mut place = 0;
        for step in 0..200 {
            place = (place * 7 + step) % 37;
            plain[place] = !plain[place];
            counts.add(place, if plain[place] { 1 } else { -1 });
            for until in 0..=37 {
                assert_eq!(counts.before(until), plain[..until].iter().filter(|waits| **waits).count());
            }
            let waiting: Vec<usize> = (0..37).filter(|place| plain[*place]).collect();
            for number in 0..=waiting.len() {
                assert_eq!(counts.nth(number), waiting.get(number).copied());
            }
        }
    }
}
