//! Between an actor and the Broker: what it tells of what it needs, and what it is given.

use std::{sync::Arc, time::Duration};

use tokio::sync::{
    mpsc::{self, error::TrySendError},
    watch,
};

use crate::decide::share::need::{Grant, Need};

/// Before a need is told again that found no room: the Broker takes in a thousand within a millisecond.
const TELL_AGAIN: Duration = Duration::from_millis(5);

/// What an actor tells.
#[derive(Debug)]
pub struct Told {
    /// The name of its JobConfig.
    pub name: Arc<str>,
    /// All it holds and wants.
    pub need: Need,
    /// The actor ends: it takes no grant any more.
    pub last: bool,
}

/// Where a JobConfig reaches the Broker.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Takes what it needs.
    pub needs: mpsc::Sender<Told>,
    /// What it is given; absent where it has not shared anything since the Broker began.
    pub grants: Option<watch::Receiver<Grant>>,
}

impl PartialEq for Seat {
    fn eq(&self, other: &Self) -> bool {
        let same_grants = match (&self.grants, &other.grants) {
            (Some(mine), Some(others)) => mine.same_channel(others),
            (None, None) => true,
            _ => false,
        };
        same_grants && self.needs.same_channel(&other.needs)
    }
}

/// The seat of one actor.
#[derive(Debug)]
pub struct Membership {
    name: Arc<str>,
    /// It tells even if it holds nothing: somebody may wait for it, or believe that it holds something.
    owes: bool,
    /// Boxed: where nothing is shared nobody has a seat, nor room for one.
    taken: Option<Box<Taken>>,
}

/// A seat, and what was told there.
#[derive(Debug)]
struct Taken {
    seat: Seat,
    told: Option<Need>,
    /// A need found no room: another has to be told, whatever it says.
    is_late: bool,
    /// It shares nothing and holds nothing of the time when it did, so it is not asked any more.
    is_apart: bool,
    tell_at: Option<Duration>,
}

impl Membership {
    /// Of an actor that has no seat yet.
    pub fn new(name: Arc<str>) -> Self {
        Self { name, owes: false, taken: None }
    }

    /// The seat as it is from here on. At another one everything is told anew, and what lies there was given to somebody
    /// else, or is known to nobody any more: it is to be taken in without its places.
    pub fn take(&mut self, seat: Option<&Seat>, owes: bool) -> Option<Grant> {
        self.owes = owes;
        if self.taken.as_ref().map(|taken| &taken.seat) == seat {
            return None;
        }
        let taken =
            |seat: &Seat| Taken { seat: seat.clone(), told: None, is_late: false, is_apart: false, tell_at: None };
        self.taken = seat.map(taken).map(Box::new);
        let grants = self.taken.as_mut()?.seat.grants.as_mut()?;
        let number = grants.borrow_and_update().number;
        Some(Grant { number, places: vec![] })
    }

    /// Tells what it needs, if that is another than was told last. Whoever has no seat is not even asked.
    pub fn tell(&mut self, now: Duration, need: impl FnOnce() -> Option<Need>) {
        let Some(taken) = &mut self.taken else { return };
        // Whoever does not know what it needs, or has nothing to tell, is not asked again before anything happens.
        taken.tell_at = None;
        if taken.is_apart && !self.owes {
            return;
        }
        let Some(need) = need() else { return };
        if !taken.concerns(self.owes, &need) {
            // Whoever may be given something tells what it has seen.
            taken.is_apart = taken.seat.grants.is_none();
            return;
        }
        if taken.told.as_ref() == Some(&need) {
            return;
        }
        match taken.seat.needs.try_send(Told { name: self.name.clone(), need: need.clone(), last: false }) {
            Ok(()) => (taken.told, taken.is_late) = (Some(need), false),
            Err(TrySendError::Full(_)) => {
                (taken.is_late, taken.tell_at) = (true, Some(now.saturating_add(TELL_AGAIN)));
            }
            // The next Broker is told when there is a seat at it.
            Err(TrySendError::Closed(_)) => {}
        }
    }

    /// When [`Self::tell`] is due although nothing has happened.
    pub fn deadline(&self) -> Option<Duration> {
        self.taken.as_ref()?.tell_at
    }

    /// The next grant; waits for ever where none can come. Cancel-safe.
    pub async fn granted(&mut self) -> Grant {
        if let Some(grants) = self.taken.as_mut().and_then(|taken| taken.seat.grants.as_mut())
            // Boxed: most share nothing, and have no room for it.
            && Box::pin(grants.changed()).await.is_ok()
        {
            return grants.borrow_and_update().clone();
        }
        std::future::pending().await
    }

    /// Tells that the actor ends. One that still holds something goes on elsewhere.
    pub async fn leave(self, need: Option<Need>) {
        let Some((taken, need)) = self.taken.zip(need) else { return };
        if need.held.is_empty() && taken.concerns(self.owes, &need) {
            // Where no Broker is left, nobody has to know.
            drop(taken.seat.needs.send(Told { name: self.name, need, last: true }).await);
        }
    }
}

impl Taken {
    /// Somebody has to know.
    fn concerns(&self, owes: bool, need: &Need) -> bool {
        owes || self.is_late || self.told.is_some() || need.held.iter().any(|places| !places.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::decide::place::{Place, Places};

    fn place(number: u32) -> Places {
        [Place { pool: "gpu".into(), number }].into()
    }

    fn need(held: &[u32], wanted: u64) -> Need {
        Need { held: held.iter().map(|number| place(*number)).collect(), wanted, ..Need::default() }
    }

    fn seat(room: usize) -> (Seat, mpsc::Receiver<Told>, watch::Sender<Grant>) {
        let (needs, told) = mpsc::channel(room);
        let (given, grants) = watch::channel(Grant { number: 7, places: vec![place(3)] });
        (Seat { needs, grants: Some(grants) }, told, given)
    }

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn what_lies_at_a_seat_that_is_taken_is_seen_and_not_used() {
        let (seat, _told, given) = seat(1);
        let mut membership = Membership::new("a".into());
        assert_eq!(membership.take(Some(&seat), true), Some(Grant { number: 7, places: vec![] }));
        assert_eq!(membership.granted().now_or_never(), None, "it is no news");
        assert_eq!(membership.take(Some(&seat), true), None, "the same seat");
        given.send_replace(Grant { number: 8, places: vec![place(4)] });
        assert_eq!(membership.granted().now_or_never().map(|grant| grant.number), Some(8));
        assert_eq!(membership.take(None, true), None);
        given.send_replace(Grant { number: 9, places: vec![] });
        assert_eq!(membership.granted().now_or_never(), None, "there is no seat");
    }

    #[test]
    fn a_need_is_told_once_and_again_where_there_was_no_room() {
        let (seat, mut told, _given) = seat(1);
        let mut membership = Membership::new("a".into());
        membership.tell(NOW, || panic!("nobody asks whoever has no seat"));
        membership.take(Some(&seat), true);
        membership.tell(NOW, || None);
        assert!(told.try_recv().is_err(), "it does not know yet");
        membership.tell(NOW, || Some(need(&[], 1)));
        membership.tell(NOW, || Some(need(&[], 1)));
        assert_eq!(membership.deadline(), None);
        membership.tell(NOW, || Some(need(&[], 2)));
        assert_eq!(membership.deadline(), Some(NOW + TELL_AGAIN));
        assert_eq!(told.try_recv().map(|told| told.need.wanted), Ok(1));
        membership.tell(NOW + TELL_AGAIN, || Some(need(&[], 2)));
        assert_eq!((membership.deadline(), told.try_recv().map(|told| told.need.wanted)), (None, Ok(2)));
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn what_found_no_room_is_told_once_it_is_known_again_and_nobody_hurries_before() {
        let (seat, mut told, _given) = seat(1);
        let mut membership = Membership::new("a".into());
        membership.take(Some(&seat), false);
        seat.needs.try_send(Told { name: "b".into(), need: Need::default(), last: false }).expect("room");
        membership.tell(NOW, || Some(need(&[1], 0)));
        assert_eq!(membership.deadline(), Some(NOW + TELL_AGAIN));
        membership.tell(NOW + TELL_AGAIN, || None);
        assert_eq!(membership.deadline(), None, "it loads its runs anew");
        drop(told.try_recv());
        membership.tell(NOW + TELL_AGAIN, || Some(Need::default()));
        assert_eq!(
            told.try_recv().map(|told| told.need),
            Ok(Need::default()),
            "nobody knows yet that it holds nothing"
        );
        membership.tell(NOW + TELL_AGAIN, || Some(Need { wanted: 1, ..Need::default() }));
        assert!(told.try_recv().is_ok());
    }

    #[test]
    fn another_broker_is_told_everything() {
        let ((first, mut told, _given), (second, mut told_second, _given_second)) = (seat(4), seat(4));
        let mut membership = Membership::new("a".into());
        membership.take(Some(&first), true);
        membership.tell(NOW, || Some(need(&[1], 1)));
        assert!(told.try_recv().is_ok());
        assert!(membership.take(Some(&second), true).is_some());
        membership.tell(NOW, || Some(need(&[1], 1)));
        assert_eq!(told_second.try_recv().map(|told| told.need), Ok(need(&[1], 1)));
    }

    #[tokio::test]
    async fn whoever_shares_nothing_tells_only_what_it_still_holds_and_that_it_holds_it_no_more() {
        let (seat, mut told, _given) = seat(4);
        let mut membership = Membership::new("a".into());
        membership.take(Some(&seat), false);
        let idle = || Some(Need { held: vec![Places::default()], ..Need::default() });
        membership.tell(NOW, idle);
        assert!(told.try_recv().is_err(), "a Job without places concerns nobody");
        membership.tell(NOW, || Some(need(&[1], 0)));
        membership.tell(NOW, idle);
        assert_eq!(told.try_recv().map(|told| told.need), Ok(need(&[1], 0)));
        assert_eq!(told.try_recv().map(|told| told.need), Ok(idle().expect("a need")));
        membership.leave(Some(Need::default())).await;
        assert!(told.try_recv().is_ok_and(|told| told.last));
    }

    #[test]
    fn whoever_has_never_shared_anything_is_asked_once() {
        let (mut seat, mut told, _given) = seat(4);
        seat.grants = None;
        let mut membership = Membership::new("a".into());
        membership.take(Some(&seat), false);
        membership.tell(NOW, || None);
        membership.tell(NOW, || Some(Need::default()));
        membership.tell(NOW, || panic!("it is apart"));
        assert!(told.try_recv().is_err());
        membership.take(Some(&seat), true);
        membership.tell(NOW, || Some(Need::default()));
        assert!(told.try_recv().is_ok(), "it is to tell now");
    }
}
