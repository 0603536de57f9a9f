//! Why a JobConfig has no place: the account that people are given.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Serialize;

use crate::decide::share::{
    arbiter::{Arbiter, Obstacle},
    bucket::Bucket,
    index::Turn,
    member::Member,
    standing::{Rule, Standing},
    usage::Holder,
};

/// Names in each list of an account: what a person reads. How many more there are is told beside it.
const NAMED_MAX: usize = 5;

/// The priority of services, which keep what they have and want no more than that.
const SERVICE_PRIORITY: i32 = i32::MAX;

/// How a JobConfig that shares something stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Jobs that it would create at once if it had the places.
    pub wanted: u64,
    /// For how long it has wanted any; none where it wants none.
    pub waits_seconds: Option<u64>,
    /// Jobs for which it has just been given places.
    pub granted: u64,
    /// The pools that hold it up, and how; none where it wants nothing.
    pub held_up_by: Vec<HeldUp>,
    /// Who goes before it there, first first; no more than a few.
    pub before: Vec<Before>,
    /// How many more do.
    pub more_before: u64,
    /// It has no `targetAge`, and others of a higher priority may take every place, for ever.
    pub may_starve: bool,
}

/// How a pool holds somebody up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "why", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HeldUp {
    /// What these hold is not known yet.
    Unknown {
        /// The pool.
        pool: Arc<str>,
        /// JobConfigs of the pool that have told nothing since this process leads; no more than a few.
        of: Vec<Arc<str>>,
        /// How many more.
        more: u64,
    },
    /// All places are held.
    Full {
        /// The pool.
        pool: Arc<str>,
        /// Its places.
        limit: u32,
        /// Those that are held; more than the limit while that was lowered.
        held: u64,
        /// By whom, most first; no more than a few.
        holders: Vec<Holder>,
        /// How many more JobConfigs hold some.
        more: u64,
    },
    /// No further Job may be created yet.
    Rate {
        /// The pool.
        pool: Arc<str>,
        /// Its `createsPerMinute`.
        creates_per_minute: u32,
        /// When the next may be.
        next_in_seconds: Option<u64>,
    },
}

/// Who goes before somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Before {
    /// Its name.
    pub job_config: Arc<str>,
    /// Why.
    pub because: Because,
}

/// Why one goes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Because {
    /// Its oldest message is older than its `targetAge`, by a larger ratio where both are.
    TargetMissed,
    /// Its `priority` is higher.
    Priority,
    /// By the weights it is its turn.
    Weight,
    /// Its oldest message has waited for longer.
    OlderMessage,
    /// Of two that are equal in all of that, by name.
    Name,
}

impl Arbiter {
    /// How a JobConfig stands; `None` where it shares nothing.
    pub fn account(&self, name: &str, now: Duration) -> Option<Account> {
        let (name, member) = self.members.get_key_value(name)?;
        let group = member.group()?;
        let need = member.need.as_ref();
        let wants = need.is_none_or(|need| need.wanted > 0) && member.unanswered.is_none();
        let held_up_by: Vec<HeldUp> =
            group.pools.iter().filter(|_| wants).filter_map(|pool| self.held_up(pool, now)).collect();
        let mut before = self.before(name, member, now);
        before.sort_unstable();
        let mine = self.standing(&group, &Turn::of(name, member), Some(now));
        let told = |it: &Standing| Before { job_config: it.name.clone(), because: it.compare(&mine).1.into() };
        let since = need.filter(|need| need.wanted > 0).and_then(|need| need.since);
        Some(Account {
            wanted: need.map_or(0, |need| need.wanted),
            waits_seconds: since.map(|since| now.saturating_sub(since).as_secs()),
            granted: member.unanswered.as_ref().map_or(0, |grant| grant.places.len() as u64),
            held_up_by,
            before: before.iter().take(NAMED_MAX).map(told).collect(),
            more_before: before.len().saturating_sub(NAMED_MAX) as u64,
            may_starve: self.may_starve(member),
        })
    }

    fn held_up(&self, pool: &Arc<str>, now: Duration) -> Option<HeldUp> {
        let usage = || self.usage_of(pool);
        Some(match self.obstacle(pool)? {
            Obstacle::Untold => {
                let names = &self.index.untold[pool];
                let of = names.iter().take(NAMED_MAX).cloned().collect();
                HeldUp::Unknown { pool: pool.clone(), of, more: names.len().saturating_sub(NAMED_MAX) as u64 }
            }
            Obstacle::Full => {
                let usage = usage();
                let mut holders = usage.holders;
                holders.sort_by_key(|holder| Reverse(holder.places));
                let more = holders.len().saturating_sub(NAMED_MAX) as u64;
                holders.truncate(NAMED_MAX);
                HeldUp::Full { pool: usage.pool, limit: usage.limit?, held: usage.held, holders, more }
            }
            Obstacle::Rate => {
                let ready_at = self.pools[pool].bucket.as_ref().and_then(Bucket::ready_at);
                let next_in = ready_at.map(|at| at.saturating_sub(now));
                HeldUp::Rate {
                    pool: pool.clone(),
                    creates_per_minute: usage().creates_per_minute?,
                    // Rounded up: what is due in half a second is not due yet.
                    next_in_seconds: next_in.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
                }
            }
        })
    }

    /// Those that wait for a pool that holds this one up, and go first.
    fn before(&self, name: &Arc<str>, member: &Member, now: Duration) -> Vec<Standing> {
        let Some(group) = member.group().filter(|_| member.wanted() > 0) else { return vec![] };
        let mine = self.standing(&group, &Turn::of(name, member), Some(now));
        let held_up: Vec<&Arc<str>> = group.pools.iter().filter(|pool| self.obstacle(pool).is_some()).collect();
        let rivals = self.index.waiting.iter().filter(|(group, _)| held_up.iter().any(|it| group.pools.contains(it)));
        let standings =
            rivals.flat_map(|(group, waiting)| waiting.turns.iter().map(|turn| self.standing(group, turn, Some(now))));
        standings.filter(|it| *it < mine).collect()
    }

    /// Whether strict priority can keep it waiting for ever.
    fn may_starve(&self, member: &Member) -> bool {
        let is_limited = |pool: &Arc<str>| {
            let policy = self.pools.get(pool).map(|pool| pool.policy).unwrap_or_default();
            policy.jobs.is_some() || policy.creates_per_minute.is_some()
        };
        let limited: Vec<&Arc<str>> = member.policy.pools.iter().filter(|pool| is_limited(pool)).collect();
        let goes_before = |other: &Member| {
            other.policy.priority > member.policy.priority
                && other.policy.priority < SERVICE_PRIORITY
                && limited.iter().any(|pool| other.policy.pools.contains(pool))
        };
        member.policy.target_age.is_none() && self.members.values().any(goes_before)
    }
}

impl From<Rule> for Because {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::Target => Self::TargetMissed,
            Rule::Priority => Self::Priority,
            Rule::Weight => Self::Weight,
            Rule::Oldest => Self::OlderMessage,
            Rule::Name => Self::Name,
        }
    }
}
