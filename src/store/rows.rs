//! What is written into our tables, a row each.

use std::{sync::Arc, time::Duration};

use crate::{
    config::entry::Kind,
    decide::{decision::Wish, queue::event::LogEntry, run::event::Ended},
};

/// A wish with what it belongs to.
#[derive(Clone, Debug)]
pub struct WishRow {
    /// The type of its JobConfig.
    pub kind: Kind,
    /// Its name.
    pub config: Arc<str>,
    /// The hash of what its Job is rendered from.
    pub config_hash: Arc<str>,
    /// The term it was decided in; the wish of another than the current one is not written.
    pub term: u64,
    /// The wish.
    pub wish: Wish,
}

/// An end with the term in which it was seen: who leads no longer records nothing.
#[derive(Clone, Debug)]
pub struct EndRow {
    /// The term.
    pub term: u64,
    /// The end.
    pub ended: Ended,
}

/// A note with what it belongs to.
#[derive(Clone, Debug)]
pub struct NoteRow {
    /// The name of its JobConfig.
    pub config: Arc<str>,
    /// How long ago it was made.
    pub age: Duration,
    /// The note.
    pub note: LogEntry,
}

/// Postgres has no unsigned numbers; none of ours comes near the bound.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
