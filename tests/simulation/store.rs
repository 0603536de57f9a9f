//! A made-up run store with the rules that Postgres holds: a name is used once, a slot has one unfinished run, and so has
//! a place.

use std::{collections::BTreeMap, time::Duration};

use job_chief::decide::{
    decision::Wish,
    one_off::OneOff,
    outcome::{End, JobName, Outcome, Reason, Slot},
    place::{Place, Places},
    queue::event::LogEntry,
    run::event::{Ended, LoadedAction, LoadedRun, LoadedRuns, WishAnswer},
};

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub slot: Slot,
    pub wished_at: Duration,
    pub end: Option<(End, Duration)>,
    pub starts: Option<u64>,
    pub one_off: Option<OneOff>,
    pub places: Places,
}

impl Row {
    fn is_replaced(&self) -> bool {
        self.end.as_ref().is_some_and(|(end, _)| end.reason == Reason::Replaced)
    }
}

/// The table of runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    pub rows: BTreeMap<JobName, Row>,
    /// How many of the Jobs that were asked for by hand are on record.
    pub served: u64,
    /// The same of each action of a service, and when it began last.
    pub actions: BTreeMap<Box<str>, (u64, Duration)>,
}

impl Store {
    /// The places of unfinished runs.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Place> {
        self.rows.values().filter(|row| row.end.is_none()).flat_map(|row| row.places.iter())
    }

    pub(crate) fn wish(&mut self, wish: &Wish, now: Duration) -> WishAnswer {
        self.wish_beside(wish, now, |_| false)
    }

    /// The same where runs of other JobConfigs may hold a place.
    pub(crate) fn wish_beside(&mut self, wish: &Wish, now: Duration, elsewhere: impl Fn(&Place) -> bool) -> WishAnswer {
        if let Some(row) = self.rows.get(&wish.name) {
            return if row.end.is_some() { WishAnswer::Ended } else { WishAnswer::Written };
        }
        let taken = self.rows.values().any(|row| row.end.is_none() && row.slot == wish.slot)
            || wish.places.iter().any(|place| elsewhere(place) || self.held().any(|held| held == place));
        let action = wish.one_off.as_ref().and_then(OneOff::action);
        let served = action.map_or(self.served, |name| self.actions.get(name).map_or(0, |(served, _)| *served));
        let number = wish.serves.or(wish.one_off.as_ref().and_then(OneOff::number));
        if taken || number.is_some_and(|number| number <= served) {
            return WishAnswer::SlotTaken;
        }
        assert!(number.is_none_or(|number| number == served + 1), "invariant: whoever_asks_is_served_in_turn");
        match action {
            Some(name) => drop(self.actions.insert(name.into(), (served.max(number.unwrap_or_default()), now))),
            None => self.served = served.max(number.unwrap_or_default()),
        }
        let one_off = wish.one_off.clone();
        let row = Row {
            slot: wish.slot,
            wished_at: now,
            end: None,
            starts: wish.starts,
            one_off,
            places: wish.places.clone(),
        };
        self.rows.insert(wish.name.clone(), row);
        WishAnswer::Written
    }

    pub(crate) fn end(&mut self, ended: &Ended, now: Duration) {
        let row = self.rows.get_mut(&ended.name).expect("invariant: an_end_has_a_wish");
        if let Some((recorded, _)) = &row.end {
            assert_eq!(recorded, &ended.end, "invariant: each_run_is_recorded_once ({})", ended.name);
        }
        row.end.get_or_insert((ended.end.clone(), now));
    }

    pub(crate) fn note(&mut self, notes: &[LogEntry]) {
        for note in notes {
            if let LogEntry::TookNothing(name) = note {
                let end = self.rows.get(name).and_then(|row| row.end.as_ref());
                let succeeded = end.is_some_and(|(end, _)| end.outcome == Outcome::Succeeded);
                assert!(succeeded, "invariant: only_a_recorded_success_is_marked ({name})");
            }
        }
    }

    pub(crate) fn load(&self, now: Duration) -> LoadedRuns {
        let unfinished = self.rows.iter().filter(|(_, row)| row.end.is_none());
        LoadedRuns {
            unfinished: unfinished
                .map(|(name, row)| LoadedRun {
                    name: name.clone(),
                    slot: row.slot,
                    uid: None,
                    age: now - row.wished_at,
                    begun_at: None,
                    starts: row.starts,
                    one_off: row.one_off.clone(),
                    places: row.places.clone(),
                })
                .collect(),
            failed_in_a_row: 0,
            served: self.served,
            starts: self
                .rows
                .values()
                .filter(|row| !row.is_replaced())
                .filter_map(|row| Some((row.slot, row.starts?)))
                .fold(BTreeMap::new(), |mut all, (slot, starts)| {
                    let most = all.entry(slot).or_insert(starts);
                    *most = starts.max(*most);
                    all
                }),
            actions: self
                .actions
                .iter()
                .map(|(name, (served, at))| (name.clone(), LoadedAction { served: *served, begun: Some(now - *at) }))
                .collect(),
            repaired: self
                .rows
                .values()
                .filter(|row| row.one_off == Some(OneOff::Repair))
                .filter_map(|row| Some(now - row.end.as_ref()?.1))
                .min(),
            ..LoadedRuns::default()
        }
    }
}
