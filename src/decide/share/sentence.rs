//! The account of who waits for a place, in words.

use std::{sync::Arc, time::Duration};

use crate::decide::share::account::{Account, Because, Before, HeldUp};

/// Why it has no place; `None` where it wants none.
pub fn sentence(account: &Account) -> Option<String> {
    if account.wanted == 0 && account.held_up_by.is_empty() {
        return None;
    }
    let mut parts: Vec<String> = account.held_up_by.iter().map(held_up).collect();
    if parts.is_empty() {
        parts.push(format!("places for {} have just been given", jobs(account.granted)));
    }
    if !account.before.is_empty() {
        let before: Vec<String> = account.before.iter().map(told).collect();
        parts.push(format!(
            "before it {} {}",
            if before.len() == 1 { "goes" } else { "go" },
            list(&before, account.more_before)
        ));
    }
    if account.may_starve {
        parts.push("others of a higher priority may keep it waiting for ever, for it has no targetAge".to_owned());
    }
    let waits = account.waits_seconds.map(Duration::from_secs);
    let waits = waits.map(|time| format!(" for {}", humantime::format_duration(time))).unwrap_or_default();
    Some(format!("waits{waits} for places for {}: {}", jobs(account.wanted), parts.join("; ")))
}

fn held_up(it: &HeldUp) -> String {
    match it {
        HeldUp::Unknown { pool, of, more } => {
            let hold = if of.len() == 1 && *more == 0 { "holds" } else { "hold" };
            format!("what {} {hold} in {pool} is not known yet", list(&names(of), *more))
        }
        HeldUp::Full { pool, limit: 0, .. } => format!("{pool} has no places"),
        HeldUp::Full { pool, limit, held, holders, more } => {
            let holders: Vec<String> = holders.iter().map(|it| format!("{} {}", it.job_config, it.places)).collect();
            format!("{pool} is full, {held} of {limit} places are held by {}", list(&holders, *more))
        }
        HeldUp::Rate { pool, creates_per_minute, next_in_seconds } => {
            let next = next_in_seconds.map(|seconds| format!(", the next in {seconds}s")).unwrap_or_default();
            format!("{pool} lets {creates_per_minute} Jobs be created a minute{next}")
        }
    }
}

fn told(before: &Before) -> String {
    let because = match before.because {
        Because::TargetMissed => "its targetAge is missed",
        Because::Priority => "its priority is higher",
        Because::Weight => "by weight it is its turn",
        Because::OlderMessage => "its message is older",
        Because::Name => "by name",
    };
    format!("{} ({because})", before.job_config)
}

fn names(names: &[Arc<str>]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn list(items: &[String], more: u64) -> String {
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", items.join(", "))
}

fn jobs(count: u64) -> String {
    format!("{count} Job{}", if count == 1 { "" } else { "s" })
}
