//! What a schema can't say of `windows`, and of a `maxConcurrentJobs` of 0 that only windows open.

use jiff::civil::Weekday;

use crate::config::{
    job_config::JobConfig,
    judge::Finding,
    problems::nearest,
    time_zones::zone_names,
    windows::{DAY, TimeOfDay, Window},
};

/// Everything that is wrong with the windows of a queue.
pub(super) fn findings(queue: &JobConfig) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        queue.windows.iter().enumerate().flat_map(|(at, window)| single(at, window)).collect();
    if found.is_empty() {
        found.extend(covered(&queue.windows));
    }
    if queue.max_concurrent_jobs == 0 && queue.windows.iter().all(|window| window.max_concurrent_jobs == 0) {
        found.push(Finding::new(&["maxConcurrentJobs"], NEVER_ANY));
    }
    found
}

const NEVER_ANY: &str = "found 0, allowed is at least 1 where none of \"windows\" has a maxConcurrentJobs of its own above 0: nothing would ever be created (to hold it for a while, set \"paused\")";

/// What is wrong with a window by itself.
fn single(at: usize, window: &Window) -> Vec<Finding> {
    let place = at.to_string();
    let mut found = vec![];
    if window.from == TimeOfDay::END_OF_DAY {
        let text = "found \"24:00\", which is \"00:00\" of the next day: allowed is from \"00:00\" to \"23:59\"";
        found.push(Finding::new(&["windows", &place, "from"], text));
    }
    if window.zone().is_none() {
        let text = format!("there is no time zone \"{}\"{}", window.timezone, near_zone(&window.timezone));
        found.push(Finding::new(&["windows", &place, "timezone"], text));
    }
    found
}

/// The zone that was meant: one in whose name is a typing error, or the one of a city.
fn near_zone(found: &str) -> String {
    let is_city = |name: &&str| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(found));
    match zone_names().find(is_city) {
        Some(name) => format!(" (did you mean \"{name}\"?)"),
        None => nearest(found, zone_names()),
    }
}

/// Windows that never count, for whenever they are open, so are some before them.
fn covered(windows: &[Window]) -> Vec<Finding> {
    let hours: Vec<Vec<bool>> = windows.iter().map(week).collect();
    let mut found = vec![];
    for (at, own) in hours.iter().enumerate().skip(1) {
        // A week by the clock of another zone can't be laid over this one, unless it is a whole one.
        let counts = |before: &usize| {
            let same_zone = windows[*before].timezone.eq_ignore_ascii_case(&windows[at].timezone);
            same_zone || hours[*before].iter().all(|open| *open)
        };
        let before: Vec<usize> = (0..at).filter(counts).collect();
        if (0..own.len()).all(|minute| !own[minute] || before.iter().any(|it| hours[*it][minute])) {
            let text = "it never counts: whenever it is open, so is one before it in the list, and the first that is open counts";
            found.push(Finding::new(&["windows", &at.to_string()], text));
        }
    }
    found
}

/// Each minute of a week, and whether the window is open in it.
fn week(window: &Window) -> Vec<bool> {
    let hours = window.hours();
    let days = Weekday::Monday.cycle_forward().take(7);
    days.flat_map(|day| (0..DAY).map(move |minute| hours.include(day, minute))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::jobs_file;

    fn problems(text: &str) -> String {
        jobs_file::load("jobs.json", text).expect_err("something is wrong").to_string()
    }

    #[test]
    fn what_is_wrong_with_windows_is_told_with_the_remedy() {
        let text = r#"[
  {"queueName": "a", "podConfig": {"image": "i"}, "windows": [
    {"days": "Mo-Fri", "from": "22:00", "to": "25:00", "maxConcurrentJobs": 1},
    {"from": "7:00", "maxConcurrentJobs": -1, "timezone": ""},
    {"from": "07:00", "to": "08:00", "maxConcurrentJobs": 10001, "zone": "UTC"}
  ]},
  {"queueName": "b", "podConfig": {"image": "i"}, "windows": [
    {"days": "Sat", "from": "24:00", "to": "24:00", "maxConcurrentJobs": 1, "timezone": "Europe/Zürich"},
    {"from": "01:00", "to": "02:00", "maxConcurrentJobs": 1, "timezone": "new_york"},
    {"from": "01:00", "to": "02:00", "maxConcurrentJobs": 1, "timezone": "nowhere"}
  ]},
  {"queueName": "c", "podConfig": {"image": "i"}, "maxConcurrentJobs": 0},
  {"queueName": "d", "podConfig": {"image": "i"}, "maxConcurrentJobs": 0, "windows": [{"from": "01:00", "to": "02:00", "maxConcurrentJobs": 0}]},
  {"queueName": "e", "podConfig": {"image": "i"}, "windows": [
    {"days": "Mon-Fri", "from": "22:00", "to": "06:00", "maxConcurrentJobs": 1, "timezone": "Europe/Zurich"},
    {"days": "Fri", "from": "23:00", "to": "01:00", "maxConcurrentJobs": 1, "timezone": "europe/zurich"},
    {"days": "Fri", "from": "23:00", "to": "01:00", "maxConcurrentJobs": 1, "timezone": "Europe/Rome"},
    {"from": "00:00", "to": "24:00", "maxConcurrentJobs": 1},
    {"days": "Sun", "from": "00:00", "to": "01:00", "maxConcurrentJobs": 1, "timezone": "Asia/Kolkata"}
  ]},
  {"type": "service", "name": "f", "podConfig": {"image": "i"}, "windows": []}
]"#;
        insta::assert_snapshot!(problems(text));
        let many = vec![json!({"from": "01:00", "to": "02:00", "maxConcurrentJobs": 1}); 51];
        let entry = json!([{"queueName": "q", "podConfig": {"image": "i"}, "windows": many}]);
        assert!(problems(&entry.to_string()).contains("[0].windows: found an array, allowed is at most 50 entries"));
        let open = json!([{"queueName": "q", "podConfig": {"image": "i"}, "maxConcurrentJobs": 0, "windows": [
            {"from": "01:00", "to": "02:00", "maxConcurrentJobs": 0}, {"from": "01:00", "to": "03:00", "maxConcurrentJobs": 3}]}]);
        let read = jobs_file::load("jobs.json", &open.to_string()).expect("nothing is wrong").jobs.remove(0);
        let written = serde_json::to_value(&read).expect("JSON");
        let read = read.queue().expect("a queue");
        assert_eq!((read.max_concurrent_jobs, read.windows.len(), read.windows[1].timezone.as_str()), (0, 2, "UTC"));
        let again: JobConfig = serde_json::from_value(written).expect("an entry");
        assert_eq!(again, **read, "what is written is what was read");
    }
}
