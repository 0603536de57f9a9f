//! What the JobConfigs of a jobs.json share.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

/// `limits` and `pools` of a jobs.json.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sharing {
    /// `limits`: of this installation.
    pub limits: Option<Limits>,
    /// `pools`, by name.
    pub pools: BTreeMap<String, Pool>,
}

/// `limits`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Live Jobs of all queues, and of services that name a pool.
    pub jobs: Option<u32>,
    /// Jobs created a minute.
    pub creates_per_minute: Option<u32>,
}

/// One of `pools`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// Live Jobs of the JobConfigs that name it.
    pub jobs: u32,
    /// Jobs created a minute.
    pub creates_per_minute: Option<u32>,
}

/// The share of one entry: its keys `pools`, `weight`, `priority`, `targetAge`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share<'a> {
    /// `pools`.
    pub pools: &'a [String],
    /// `weight`, from 1.
    pub weight: u32,
    /// `priority`.
    pub priority: i32,
    /// `targetAge`.
    pub target_age: Option<Duration>,
}
