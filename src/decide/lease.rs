//! Who leads: one process of an Instance at a time, by a row in Postgres that its holder renews.
//!
//! The lease is judged by its counter of renewals, each process by its own clock, and no two clocks are compared. The
//! holder believes in its lease for [`LEASE`](crate::decide::lease::LEASE) from the moment it *sent* the last renewal that was answered; another
//! takes it over only when it has seen one and the same counter for longer than that, from the moment its first
//! answer *came*. So the one has ended before the other begins, as long as no clock runs a twentieth faster than
//! another.

use std::{sync::Arc, time::Duration};

/// How long a holder believes in its lease after a renewal. A crashed leader is followed within 5 s: this, one look of
/// the follower, and the load of the runs.
pub const LEASE: Duration = Duration::from_secs(3);

/// How long a follower sees the same counter before it takes the lease: a twentieth more, for clocks that differ.
pub const TAKE_AFTER: Duration = Duration::from_millis(3150);

/// Between two renewals, and between two looks of a follower: two may be lost before the lease ends.
pub const RENEW_EVERY: Duration = Duration::from_secs(1);

/// After a statement that was not answered.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Between two statements, however many reasons there are for one.
const GAP_MIN: Duration = Duration::from_millis(20);

/// The row as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Who leads; `None` once it was given back.
    pub holder: Option<Arc<str>>,
    /// Raised by each take-over; 0 where there is no row yet.
    pub term: u64,
    /// Raised by each renewal.
    pub renewals: u64,
}

/// What is asked of Postgres. Each is answered by exactly one [`Answer`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// How the row stands.
    Look,
    /// Hold it from now on, if it still stands like this.
    Take(Record),
    /// Raise the counter, if this term is still ours.
    Renew(u64),
    /// Give it back, if this term is still ours.
    Release(u64),
}

/// Postgres' answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It was done; the row as it stands now.
    Done(Record),
    /// It no longer stood so; the row as it stands.
    Refused(Record),
    /// Nothing: it may have been done.
    Unanswered,
}

/// What a process is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Role {
    /// Another leads, or nobody: the row, and since when it stands so.
    Follows(Option<(Record, Duration)>),
    /// This process leads, as long as the lease lasts.
    Leads { term: u64, until: Duration },
    /// It has given the lease back, or never had one, and takes none any more.
    Ended,
}

/// The lease as one process sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    me: Arc<str>,
    role: Role,
    asked: Option<(Ask, Duration)>,
    last_asked: Duration,
    /// When the next statement is due by itself.
    due: Duration,
    ending: bool,
}

impl Lease {
    /// A process that has asked for nothing yet. `me` is its own and nobody else's, also not that of its former life.
    pub fn new(me: Arc<str>, now: Duration) -> Self {
        Self { me, role: Role::Follows(None), asked: None, last_asked: Duration::ZERO, due: now, ending: false }
    }

    /// The term it leads in and the end of its lease, which may have passed: then nobody else has been seen to lead.
    pub fn term(&self) -> Option<(u64, Duration)> {
        match self.role {
            Role::Leads { term, until } => Some((term, until)),
            _ => None,
        }
    }

    /// It takes no lease any more; one that it has is given back.
    pub fn end(&mut self, now: Duration) {
        (self.ending, self.due) = (true, now);
        if !matches!(self.role, Role::Leads { .. }) && !matches!(self.asked, Some((Ask::Take(_), _))) {
            self.role = Role::Ended;
        }
    }

    /// Nothing is on its way, and nothing will be.
    pub fn has_ended(&self) -> bool {
        self.role == Role::Ended && self.asked.is_none()
    }

    /// A notification that something has changed: a reason to look now.
    pub fn hint(&mut self, now: Duration) {
        self.due = self.due.min(now);
    }

    /// When the next statement is due; `None` while one is on its way.
    pub fn deadline(&self) -> Option<Duration> {
        (self.asked.is_none() && self.role != Role::Ended).then(|| {
            let taking = self.may_take_at().filter(|_| !self.ending);
            taking.map_or(self.due, |at| at.min(self.due)).max(self.last_asked.saturating_add(GAP_MIN))
        })
    }

    fn may_take_at(&self) -> Option<Duration> {
        match &self.role {
            Role::Follows(Some((record, since))) if record.holder.is_some() => Some(since.saturating_add(TAKE_AFTER)),
            Role::Follows(Some((_, since))) => Some(*since),
            _ => None,
        }
    }

    /// The statement that is due now, if one is.
    pub fn ask(&mut self, now: Duration) -> Option<Ask> {
        if self.deadline()? > now {
            return None;
        }
        let ask = match &self.role {
            Role::Leads { term, .. } if self.ending => Ask::Release(*term),
            Role::Leads { term, .. } => Ask::Renew(*term),
            // Taken, and the answer lost: the lease begins with a renewal of our own.
            Role::Follows(Some((record, _))) if record.holder.as_ref() == Some(&self.me) => Ask::Renew(record.term),
            Role::Follows(Some((record, _))) if self.may_take_at().is_some_and(|at| at <= now) => {
                Ask::Take(record.clone())
            }
            _ => Ask::Look,
        };
        self.asked = Some((ask.clone(), now));
        (self.last_asked, self.due) = (now, now.saturating_add(RENEW_EVERY));
        Some(ask)
    }

    /// The answer to the last statement.
    pub fn answered(&mut self, answer: Answer, now: Duration) {
        let Some((ask, sent)) = self.asked.take() else { return };
        match (ask, answer) {
            (Ask::Take(_) | Ask::Renew(_), Answer::Done(record)) => {
                self.role = Role::Leads { term: record.term, until: sent.saturating_add(LEASE) };
                if self.ending {
                    self.due = now;
                }
            }
            (Ask::Release(_), Answer::Done(_) | Answer::Refused(_)) => self.role = Role::Ended,
            (_, Answer::Done(record) | Answer::Refused(record)) => self.see(record, now),
            (_, Answer::Unanswered) => self.note_silence(now),
        }
        if self.ending && matches!(self.role, Role::Follows(_)) {
            self.role = Role::Ended;
        }
    }

    /// The row stands like this, and it is not ours to renew.
    fn see(&mut self, record: Record, now: Duration) {
        let since = match &self.role {
            Role::Follows(Some((known, since))) if *known == record => *since,
            _ => now,
        };
        let is_ours = record.holder.as_ref() == Some(&self.me);
        self.role = Role::Follows(Some((record, since)));
        if is_ours {
            self.due = now;
        }
    }

    /// While Postgres is away nobody can renew: a follower begins to wait anew, so that the leader goes on.
    fn note_silence(&mut self, now: Duration) {
        self.due = now.saturating_add(RETRY_AFTER);
        match self.role {
            Role::Follows(_) => self.role = Role::Follows(None),
            // Whoever ends does not wait for Postgres: the lease ends by itself.
            Role::Leads { .. } if self.ending => self.role = Role::Ended,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A row, as Postgres keeps it.
    #[derive(Default)]
    struct Row(Record);

    impl Row {
        fn carry_out(&mut self, me: &str, ask: &Ask) -> Answer {
            let ours = |term: &u64, row: &Record| row.term == *term && row.holder.as_deref() == Some(me);
            let done = match ask {
                Ask::Look => true,
                Ask::Take(seen) if *seen == self.0 => {
                    self.0 = Record { holder: Some(me.into()), term: seen.term + 1, renewals: 0 };
                    true
                }
                Ask::Renew(term) if ours(term, &self.0) => {
                    self.0.renewals += 1;
                    true
                }
                Ask::Release(term) if ours(term, &self.0) => {
                    self.0.holder = None;
                    true
                }
                _ => false,
            };
            if done { Answer::Done(self.0.clone()) } else { Answer::Refused(self.0.clone()) }
        }

        /// One statement, answered at once.
        fn turn(&mut self, me: &str, lease: &mut Lease, now: Duration) -> Option<Ask> {
            let ask = lease.ask(now)?;
            lease.answered(self.carry_out(me, &ask), now);
            Some(ask)
        }
    }

    fn lease(me: &str, now: Duration) -> Lease {
        Lease::new(me.into(), now)
    }

    /// Turns until the lease has nothing to do at this time.
    fn run(row: &mut Row, me: &str, lease: &mut Lease, from: Duration, to: Duration) {
        let mut now = from;
        while let Some(at) = lease.deadline().filter(|at| *at <= to) {
            now = now.max(at);
            row.turn(me, lease, now);
        }
    }

    #[test]
    fn the_first_leads_at_once_and_goes_on() {
        let (mut row, mut a) = (Row::default(), lease("a", SECOND));
        run(&mut row, "a", &mut a, SECOND, SECOND + Duration::from_millis(50));
        let (term, until) = a.term().expect("it leads");
        assert_eq!(term, 1);
        let next = a.deadline().expect("it renews");
        assert_eq!(row.turn("a", &mut a, next), Some(Ask::Renew(1)), "without letting go in between");
        run(&mut row, "a", &mut a, SECOND, 20 * SECOND);
        assert!(a.term().expect("it still leads").1 > until + 15 * SECOND);
        assert!(row.0.renewals <= 20, "one statement a second: {}", row.0.renewals);
    }

    #[test]
    fn a_crashed_leader_is_followed_after_its_lease_has_ended_and_within_5_s() {
        for phase in (0..1000).step_by(50).map(Duration::from_millis) {
            let (mut row, mut a, mut b) = (Row::default(), lease("a", SECOND), lease("b", SECOND + phase));
            let crash = 10 * SECOND;
            run(&mut row, "a", &mut a, SECOND, SECOND + phase);
            let mut now = SECOND + phase;
            while now < crash {
                now += Duration::from_millis(10);
                run(&mut row, "a", &mut a, now, now);
                run(&mut row, "b", &mut b, now, now);
                assert_eq!(b.term(), None);
            }
            let (_, until) = a.term().expect("it led");
            while b.term().is_none() {
                now += Duration::from_millis(10);
                run(&mut row, "b", &mut b, now, now);
            }
            assert!(now > until, "{now:?} {until:?}");
            assert!(now < crash + 5 * SECOND, "{now:?}");
            a.hint(now);
            run(&mut row, "a", &mut a, now, now);
            assert_eq!(a.term(), None, "who comes back learns that it is over");
        }
    }

    #[test]
    fn what_was_given_back_is_taken_at_the_next_look() {
        let (mut row, mut a, mut b) = (Row::default(), lease("a", SECOND), lease("b", 2 * SECOND));
        run(&mut row, "a", &mut a, SECOND, 2 * SECOND);
        run(&mut row, "b", &mut b, 2 * SECOND, 2 * SECOND);
        let now = 2 * SECOND + Duration::from_millis(500);
        a.end(now);
        assert_eq!(row.turn("a", &mut a, now), Some(Ask::Release(1)));
        assert!(a.has_ended() && a.deadline().is_none());
        b.hint(now);
        assert_eq!(row.turn("b", &mut b, now), Some(Ask::Look));
        let soon = now + Duration::from_millis(20);
        assert!(matches!(row.turn("b", &mut b, soon), Some(Ask::Take(_))));
        assert_eq!(b.term().map(|(term, _)| term), Some(2));
    }

    #[test]
    fn a_take_whose_answer_was_lost_leads_from_its_own_renewal_on() {
        let (mut row, mut a) = (Row::default(), lease("a", SECOND));
        row.turn("a", &mut a, SECOND);
        let taking = SECOND + GAP_MIN;
        let ask = a.ask(taking).expect("it takes");
        row.carry_out("a", &ask);
        a.answered(Answer::Unanswered, 2 * SECOND);
        assert_eq!(a.term(), None);
        run(&mut row, "a", &mut a, 2 * SECOND, 3 * SECOND);
        assert_eq!((row.0.term, a.term().map(|(term, _)| term)), (1, Some(1)), "no term is spent");
        assert!(row.0.renewals >= 1, "the others see it by its counter");
    }

    #[test]
    fn while_postgres_is_away_the_lease_ends_and_its_holder_goes_on_after() {
        let (mut row, mut a, mut b) = (Row::default(), lease("a", SECOND), lease("b", SECOND + RETRY_AFTER));
        run(&mut row, "a", &mut a, SECOND, 2 * SECOND);
        run(&mut row, "b", &mut b, 2 * SECOND, 2 * SECOND);
        let mut now = 2 * SECOND;
        while now < 30 * SECOND {
            now += Duration::from_millis(50);
            for lease in [&mut a, &mut b] {
                if lease.ask(now).is_some() {
                    lease.answered(Answer::Unanswered, now);
                }
            }
        }
        assert!(a.term().is_some_and(|(_, until)| until < now), "its lease has ended, and nobody else has been seen");
        while now < 33 * SECOND {
            now += Duration::from_millis(50);
            run(&mut row, "b", &mut b, now, now);
            run(&mut row, "a", &mut a, now, now);
        }
        assert_eq!((a.term().map(|it| it.0), b.term()), (Some(1), None));
    }

    #[test]
    fn whoever_ends_takes_nothing_and_waits_for_no_answer_but_the_one_on_its_way() {
        let mut a = lease("a", SECOND);
        a.end(SECOND);
        assert!(a.has_ended());
        let mut looking = lease("c", SECOND);
        assert_eq!(looking.ask(SECOND), Some(Ask::Look));
        looking.end(SECOND);
        assert!(!looking.has_ended(), "an answer is on its way");
        looking.answered(Answer::Unanswered, SECOND);
        assert!(looking.has_ended());
        let (mut row, mut b) = (Row::default(), lease("b", SECOND));
        row.turn("b", &mut b, SECOND);
        let ask = b.ask(2 * SECOND).expect("it takes");
        b.end(2 * SECOND);
        assert!(!b.has_ended());
        b.answered(row.carry_out("b", &ask), 2 * SECOND);
        assert_eq!(row.turn("b", &mut b, 3 * SECOND), Some(Ask::Release(1)), "what came late is given back");
        assert!(b.has_ended());
        let (mut row, mut c) = (Row::default(), lease("c", SECOND));
        run(&mut row, "c", &mut c, SECOND, 2 * SECOND);
        c.end(3 * SECOND);
        assert_eq!(c.ask(3 * SECOND), Some(Ask::Release(1)));
        c.answered(Answer::Unanswered, 4 * SECOND);
        assert!(c.has_ended(), "the lease ends by itself");
    }
}
