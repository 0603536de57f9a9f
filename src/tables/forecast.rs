//! What really happened, what a forecast says of it, and what another configuration would have done.

use std::time::Duration;

use serde_json::Value;

use crate::{
    harmless::harmless,
    tables::{
        array,
        grid::{Cell, Column, grid},
        mood::Mood,
        text,
        wrap::wrapped,
    },
};

/// The three that stand side by side, by their key.
const SIDES: [&str; 3] = ["really", "today", "changed"];

/// What all JobConfigs together are called.
const ALL: &str = "all of them";

/// All of a forecast, by JobConfig and together.
pub fn forecast(told: &Value, width: usize) -> String {
    let header = [
        ("JOBCONFIG", Column::Name),
        ("", Column::Short),
        ("WAIT P50", Column::Short),
        ("P95", Column::Short),
        ("P99", Column::Short),
        ("MAX", Column::Short),
        ("JOBS", Column::Short),
        ("MOST LIVE", Column::Short),
        ("POD-H", Column::Short),
        ("TOOK NOTHING", Column::Short),
        ("LEFT", Column::Short),
    ];
    let jobs: Vec<&Value> = array(&told["jobs"]).collect();
    let mut rows: Vec<Vec<Cell>> = jobs.iter().flat_map(|job| sides(&text(&job["name"]), job)).collect();
    let mut remarks: Vec<_> = jobs.iter().map(|job| (text(&job["name"]), said(job))).collect();
    if jobs.len() > 1 {
        rows.extend(sides(ALL, &told["total"]));
        remarks.push((ALL.to_owned(), said(&told["total"])));
    }
    remarks.push((String::new(), said(told)));
    let mut page = format!("{}\n\n{}", span(told), grid(&header, &rows, width));
    for (name, remarks) in remarks {
        for (remark, mood) in remarks {
            let line = if name.is_empty() { remark } else { format!("{name}: {remark}") };
            let style = mood.style();
            page.push_str(&format!("\n{style}{}{style:#}", wrapped(&harmless(&line), 2, width)));
        }
    }
    page.push('\n');
    page
}

/// Which messages were replayed.
fn span(told: &Value) -> String {
    let time = |key: &str| {
        #[expect(clippy::cast_possible_truncation, reason = "a time of our days, to the second")]
        let at = jiff::Timestamp::from_second(told[key].as_f64().unwrap_or_default() as i64);
        at.map(|at| at.to_string()).unwrap_or_default()
    };
    format!("{} messages from {} to {}", text(&told["messages"]), time("fromSeconds"), time("toSeconds"))
}

/// The rows of one JobConfig: its name stands in the first of them.
fn sides(name: &str, compared: &Value) -> Vec<Vec<Cell>> {
    let known = SIDES.iter().filter(|side| compared[**side].is_object());
    let row = |(number, side): (usize, &&str)| {
        let name = if number == 0 { name.to_owned() } else { String::new() };
        row(name, side, &compared[*side])
    };
    known.enumerate().map(row).collect()
}

fn row(name: String, side: &str, figures: &Value) -> Vec<Cell> {
    let wait = |key: &str| figures[key].as_f64().filter(|_| figures["taken"] != 0).map(seconds).unwrap_or_default();
    let hours = figures["podHours"].as_f64().map(|hours| format!("{hours:.1}")).unwrap_or_default();
    let left =
        Cell::styled(&text(&figures["left"]), if figures["left"] == 0 { Mood::Quiet } else { Mood::Waits }.style());
    let mut cells: Vec<Cell> = vec![name.into(), side.to_owned().into()];
    cells.extend(
        ["waitP50Seconds", "waitP95Seconds", "waitP99Seconds", "waitMaxSeconds"].map(|key| Cell::from(wait(key))),
    );
    cells.extend(["jobs", "liveMax"].map(|key| Cell::from(text(&figures[key]))));
    cells.extend([hours.into(), text(&figures["tookNothing"]).into(), left]);
    cells
}

/// A wait as people read it: to a tenth below a minute, to the second above.
fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1}s");
    }
    humantime::format_duration(Duration::from_secs_f64(seconds.round())).to_string()
}

/// What is said of one JobConfig, or of all of it: whether it is to be believed, then what is to be known.
fn said(of: &Value) -> Vec<(String, Mood)> {
    let verdict = &of["verdict"];
    let mood = if verdict["reliable"] == true { Mood::Good } else { Mood::Bad };
    let told = verdict["told"].as_str().map(|told| (told.to_owned(), mood));
    let remarks = array(&of["remarks"]).filter_map(Value::as_str).map(|remark| (remark.to_owned(), Mood::Waits));
    told.into_iter().chain(remarks).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain(told: &Value) -> String {
        let mut text = String::new();
        for part in forecast(told, 100).split('\u{1b}') {
            text.push_str(
                part.split_once('m').filter(|(code, _)| code.starts_with('[')).map_or(part, |(_, rest)| rest),
            );
        }
        text
    }

    #[test]
    fn the_three_stand_below_one_another_and_what_is_to_be_believed_below_that() {
        let figures = |p95: f64, left: u64| {
            json!({"waitP50Seconds": 1.04, "waitP95Seconds": p95, "waitP99Seconds": 90.2, "waitMaxSeconds": 7_300.0,
                "taken": 99, "left": left, "jobs": 12, "podHours": 1.25, "tookNothing": 1, "liveMax": 4})
        };
        let verdict = json!({"reliable": true, "told": "p95 12.1 s, really 11.4 s: 6 % off"});
        let job = json!({"name": "mail", "queue": "mail", "really": figures(11.4, 0), "today": figures(12.1, 0),
            "changed": figures(3.0, 2), "verdict": verdict, "remarks": ["only its newest 1000 runs are kept"]});
        let told =
            json!({"fromSeconds": 0.0, "toSeconds": 3600.5, "messages": 99, "jobs": [job], "total": {}, "remarks": []});
        let two = json!({"messages": 99, "jobs": [told["jobs"][0], told["jobs"][0]], "total": told["jobs"][0]});
        assert!(plain(&two).contains("\nall of them: p95 12.1 s, really 11.4 s: 6 % off"), "{}", plain(&two));
        insta::assert_snapshot!(plain(&told), @r"
        99 messages from 1970-01-01T00:00:00Z to 1970-01-01T01:00:00Z

        JOBCONFIG           WAIT P50  P95    P99     MAX        JOBS  MOST LIVE  POD-H  TOOK NOTHING  LEFT
        mail       really   1.0s      11.4s  1m 30s  2h 1m 40s  12    4          1.2    1             0
                   today    1.0s      12.1s  1m 30s  2h 1m 40s  12    4          1.2    1             0
                   changed  1.0s      3.0s   1m 30s  2h 1m 40s  12    4          1.2    1             2

        mail: p95 12.1 s, really 11.4 s: 6 % off
        mail: only its newest 1000 runs are kept
        ");
    }
}
