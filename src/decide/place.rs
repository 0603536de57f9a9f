//! Places: what a Job takes of what all JobConfigs share.

use std::sync::Arc;

use serde::Serialize;

/// The pool of which every Job of a queue takes a place: `limits` of jobs.json. No other pool may have this name.
pub const LIMITS: &str = "limits";

/// One place in a pool. Postgres has each once: no two unfinished runs have the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The name of the pool in jobs.json, or [`LIMITS`].
    pub pool: Arc<str>,
    /// From 0; below the limit of the pool when it was given.
    pub number: u32,
}

/// The places of one Job, one in each of its pools, sorted; empty where it takes none. All are taken together, or none.
pub type Places = Arc<[Place]>;

/// Whether these are one place in each of these pools, both sorted.
pub fn are_in(places: &[Place], pools: &[Arc<str>]) -> bool {
    places.iter().map(|place| &place.pool).eq(pools)
}
