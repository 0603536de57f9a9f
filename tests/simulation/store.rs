//! A made-up run store with the two rules that Postgres holds: a name is used once, a slot has one unfinished run.

use std::{collections::BTreeMap, time::Duration};

use job_chief::decide::{
    decision::Wish,
    outcome::{End, JobName, Outcome, Reason, Slot},
    queue::event::LogEntry,
    run::event::{Ended, LoadedRun, LoadedRuns, WishAnswer},
};

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub slot: Slot,
    pub wished_at: Duration,
    pub end: Option<(End, Duration)>,
    pub starts: Option<u64>,
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
}

impl Store {
    pub(crate) fn wish(&mut self, wish: &Wish, now: Duration) -> WishAnswer {
        if let Some(row) = self.rows.get(&wish.name) {
            return if row.end.is_some() { WishAnswer::Ended } else { WishAnswer::Written };
        }
        let taken = self.rows.values().any(|row| row.end.is_none() && row.slot == wish.slot);
        if taken || wish.serves.is_some_and(|serves| serves <= self.served) {
            return WishAnswer::SlotTaken;
        }
        assert!(
            wish.serves.is_none_or(|serves| serves == self.served + 1),
            "invariant: whoever_asks_is_served_in_turn"
        );
        self.served = self.served.max(wish.serves.unwrap_or_default());
        self.rows.insert(wish.name.clone(), Row { slot: wish.slot, wished_at: now, end: None, starts: wish.starts });
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
            ..LoadedRuns::default()
        }
    }
}
