//! Pools: who has their places, who waits for some, and why.

use std::cmp::Reverse;

use serde_json::Value;

use crate::{
    harmless::harmless,
    tables::{
        array,
        grid::{Cell, Column, grid},
        line,
        mood::Mood,
        span, text,
        wrap::wrapped,
    },
};

/// Names in a cell.
const NAMES_SHOWN: usize = 5;

/// All pools, one a line.
pub fn overview(page: &Value, width: usize) -> String {
    let rows: Vec<Vec<Cell>> = array(&page["pools"]).map(row).collect();
    let header = [
        ("POOL", Column::Name),
        ("HELD", Column::Short),
        ("A MINUTE", Column::Short),
        ("HELD BY", Column::Text),
        ("WAITING", Column::Text),
    ];
    let mut told = match (rows.is_empty(), page["leads"] == true) {
        (true, true) if page["poolsError"].is_null() => "jobs.json has neither pools nor limits\n".to_owned(),
        (true, _) => String::new(),
        (false, _) => grid(&header, &rows, width),
    };
    let trouble = match page["leads"] == true {
        false => Some("asked was a process that follows: only who leads knows who holds what".to_owned()),
        true => page["poolsError"].as_str().map(|_| text(&page["poolsError"])),
    };
    if let Some(trouble) = trouble {
        let style = Mood::Waits.style();
        line(&mut told, &format!("{style}{}{style:#}", wrapped(&trouble, 2, width)));
    }
    told
}

fn row(pool: &Value) -> Vec<Cell> {
    vec![
        text(&pool["pool"]).into(),
        Cell::styled(&held(pool), mood(pool).style()),
        text(&pool["createsPerMinute"]).into(),
        holders(pool).into(),
        waiting(pool).into(),
    ]
}

/// How a pool is: somebody waits for its places, or nobody does.
pub fn mood(pool: &Value) -> Mood {
    if pool["waiting"].as_u64() > Some(0) { Mood::Waits } else { Mood::Quiet }
}

/// `3/4`; `3` where there are as many as are wanted.
pub fn held(pool: &Value) -> String {
    let limit = pool["limit"].as_u64().map(|limit| format!("/{limit}"));
    text(&pool["held"]) + &limit.unwrap_or_default()
}

/// `render 3, train 1`, most first.
pub fn holders(pool: &Value) -> String {
    let mut holders: Vec<&Value> = array(&pool["holders"]).collect();
    holders.sort_by_key(|it| Reverse(it["places"].as_u64()));
    let all: Vec<String> =
        holders.iter().map(|it| format!("{} {}", text(&it["jobConfig"]), text(&it["places"]))).collect();
    list(&all, all.len())
}

/// `mail 40s, thumbs 3s`, in the order in which it is their turn.
pub fn waiting(pool: &Value) -> String {
    let one = |it: &Value| {
        let since = it["waitsSeconds"].as_f64().map(|seconds| format!(" {}", span(seconds)));
        text(&it["jobConfig"]) + &since.unwrap_or_default()
    };
    let all: Vec<String> = array(&pool["next"]).map(one).collect();
    let count = pool["waiting"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
    list(&all, count)
}

fn list(all: &[String], count: usize) -> String {
    let shown = &all[..all.len().min(NAMES_SHOWN)];
    match count.saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Why a JobConfig that wants places has none. Nothing of one that wants none.
pub fn place(job: &Value) -> Option<String> {
    if job["places"].is_object() {
        return job["places"]["inWords"].as_str().map(harmless);
    }
    let waits = job["waitsForPlaceSeconds"].as_f64()?;
    Some(format!("waits for {} for places; who has them is not known yet", span(waits)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pool_is_told_by_who_holds_it_and_who_waits_in_their_order() {
        let next: Vec<Value> =
            (0..6).map(|number| json!({"jobConfig": format!("q{number}"), "waitsSeconds": 40.7})).collect();
        let holders = json!([{"jobConfig": "train", "places": 1}, {"jobConfig": "render", "places": 3}]);
        let page = json!({"leads": true, "pools": [
            {"pool": "gpu", "limit": 4, "held": 4, "holders": holders, "waiting": 7, "next": next},
            {"pool": "limits", "held": 4, "createsPerMinute": 120, "holders": [{"jobConfig": "a\u{1b}[2J", "places": 4}], "waiting": 0},
        ]});
        insta::assert_snapshot!(anstream::adapter::strip_str(&overview(&page, 120)).to_string());
        assert!(overview(&page, 120).contains("\u{1b}[33m4/4"), "somebody waits");
    }

    #[test]
    fn who_does_not_know_says_so() {
        let told = |page: Value| anstream::adapter::strip_str(&overview(&page, 100)).to_string();
        assert_eq!(told(json!({"leads": true, "pools": []})), "jobs.json has neither pools nor limits\n");
        let follows = "asked was a process that follows: only who leads knows who holds what\n";
        assert_eq!(told(json!({"leads": false, "pools": []})), follows);
        assert_eq!(told(json!({"leads": true, "pools": [], "poolsError": "not yet"})), "not yet\n");
    }

    #[test]
    fn whoever_waits_is_told_why_as_far_as_that_is_known() {
        let told = json!({"places": {"inWords": "waits for 40s for places for 1 Job: gpu is full\u{1b}[2J"}});
        assert_eq!(place(&told).as_deref(), Some("waits for 40s for places for 1 Job: gpu is full\u{fffd}[2J"));
        let unknown = json!({"waitsForPlaceSeconds": 61.0});
        assert_eq!(place(&unknown).as_deref(), Some("waits for 1m 1s for places; who has them is not known yet"));
        assert_eq!(place(&json!({"places": {}})), None, "it wants none");
        assert_eq!(place(&json!({})), None);
    }
}
