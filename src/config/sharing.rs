//! What the JobConfigs of a jobs.json share.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most places of one pool, and of `limits`: a Kubernetes cluster has no more than 150,000 pods.
pub const PLACES_MAX: u32 = 100_000;

/// The most Jobs that a pool may let be created a minute: beyond it the requests to the API server are the limit.
pub const CREATES_PER_MINUTE_MAX: u32 = 100_000;

/// Pools of one jobs.json: each is a series in the metrics and a line on the pages.
pub const POOLS_MAX: u32 = 100;

/// Characters of a pool's name, which stands in metrics and in each row of a place.
pub const POOL_NAME_MAX: usize = 40;

/// Pools of one entry: each of its Jobs has a row for its place in each.
pub const POOLS_OF_ONE_MAX: usize = 8;

/// The word of jobs.json for what counts for the whole installation, which no pool may be named.
pub(super) const LIMITS: &str = "limits";

/// `limits` and `pools` of a jobs.json.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sharing {
    /// What counts for the whole installation: every Job of a queue takes a place here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Pools by name: a Job takes a place in each that its entry names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = POOLS_MAX))]
    pub pools: BTreeMap<String, Pool>,
}

/// What counts for the whole installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct Limits {
    /// Live Jobs of all queues, and of services that name a pool. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = PLACES_MAX))]
    pub jobs: Option<u32>,
    /// Jobs created a minute: a tenth of them may come at once. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = CREATES_PER_MINUTE_MAX))]
    pub creates_per_minute: Option<u32>,
}

/// Something of which there is only so much: places, of which each Job takes one, whatever its `parallelism`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pool {
    /// Live Jobs of the entries that name it.
    #[schemars(range(min = 1, max = PLACES_MAX))]
    pub jobs: u32,
    /// Jobs created a minute: a tenth of them may come at once. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = CREATES_PER_MINUTE_MAX))]
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
