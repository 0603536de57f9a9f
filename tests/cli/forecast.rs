//! What is asked for a forecast, and what is printed of it.

use std::{io::Write, process::Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Told, chief::Chief, command, run};

fn figures(p95: f64) -> Value {
    json!({"waitP50Seconds": 1.0, "waitP95Seconds": p95, "waitP99Seconds": 20.0, "waitMaxSeconds": 90.0, "taken": 99, "left": 0,
        "jobs": 12, "podHours": 1.25, "tookNothing": 1, "liveMax": 4})
}

fn answer() -> Value {
    let verdict = json!({"forecastP95Seconds": 12.1, "reallyP95Seconds": 11.4, "offPercent": 6.1, "reliable": true,
        "told": "p95 12.1 s, really 11.4 s: 6 % off"});
    let compared =
        json!({"really": figures(11.4), "today": figures(12.1), "changed": figures(3.0), "verdict": verdict});
    let mut job = compared.clone();
    job["name"] = json!("mail\u{1b}[2J");
    job["queue"] = json!("mail");
    job["remarks"] = json!(["only its newest 1000 runs are kept"]);
    json!({"fromSeconds": 0.0, "toSeconds": 3600.0, "messages": 99, "jobs": [job], "total": compared, "remarks": []})
}

fn told(chief: &Chief, words: &[&str]) -> Told {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("new.json"), crate::GOOD.replace("mail:1", "mail:2")).unwrap();
    std::fs::write(folder.path().join("bad.json"), "[]").unwrap();
    run(command(&folder, &[words, &["--url", &chief.url()]].concat()))
}

#[test]
fn what_is_set_is_asked_and_what_is_answered_is_printed() {
    let chief = Chief::new(&[("POST /forecast", 200, answer())]);
    let words = [
        "forecast",
        "mail",
        "--set",
        "maxConcurrentJobs=8",
        "--set",
        "backoff.max=10m",
        "--set",
        "messagesPerJob=null",
    ];
    let table = told(&chief, &words);
    assert_eq!(table.code, 0, "{}", table.err);
    for part in ["really", "today", "changed", "11.4s", "1m 30s", "p95 12.1 s, really 11.4 s: 6 % off", "1000 runs"] {
        assert!(table.out.contains(part), "{part}: {}", table.out);
    }
    assert!(!table.out.contains('\u{1b}'), "nothing steers the terminal");
    let asked = chief.told.lock().unwrap().pop().unwrap().1;
    let set = json!({"maxConcurrentJobs": 8, "backoff.max": "10m", "messagesPerJob": null});
    assert_eq!(asked, json!({"name": "mail", "last": "1day", "set": set}));
    let json = told(&chief, &["forecast", "--last", "3d", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap(), answer());
    let asked = chief.told.lock().unwrap().pop().unwrap().1;
    assert_eq!(asked, json!({"name": null, "last": "3days", "set": {}}));
    let wrong = told(&chief, &["forecast", "--set", "nonsense"]);
    assert!(wrong.code == 1 && wrong.err.contains("KEY=VALUE"), "{}", wrong.err);
}

#[test]
fn a_refusal_is_told() {
    let detail = "mail.maxConcurrentJobs: found 0, allowed is 1 to 10000";
    let chief = Chief::new(&[("POST /forecast", 400, json!({ "detail": detail }))]);
    let refused = told(&chief, &["forecast", "mail", "--set", "maxConcurrentJobs=0"]);
    assert_eq!((refused.code, refused.err), (1, format!("error: {detail}\n")));
}

#[test]
fn a_plan_that_can_be_read_once_only_is_forecast_whole() {
    let chief = Chief::new(&[("POST /forecast", 200, answer())]);
    let folder = TempDir::new().unwrap();
    let mut plan = command(&folder, &["plan", "/dev/stdin", "--forecast", "--url", &chief.url()]);
    let mut plan = plan.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    plan.stdin.take().unwrap().write_all(crate::GOOD.as_bytes()).unwrap();
    assert!(plan.wait_with_output().unwrap().status.success());
    assert_eq!(chief.told.lock().unwrap().pop().unwrap().1["file"], crate::GOOD);
}

#[test]
fn a_plan_is_forecast_where_that_is_wanted() {
    let chief = Chief::new(&[("POST /forecast", 200, answer())]);
    let plan = told(&chief, &["plan", "new.json"]);
    assert!(plan.code == 0 && !plan.out.contains("really"), "{}", plan.out);
    assert!(chief.told.lock().unwrap().is_empty(), "nobody is asked");
    let both = told(&chief, &["plan", "new.json", "--forecast", "--last", "1h"]);
    assert!(both.out.contains("1 changed") && both.out.contains("really"), "{}{}", both.out, both.err);
    let asked = chief.told.lock().unwrap().pop().unwrap().1;
    assert_eq!(asked, json!({"last": "1h", "file": crate::GOOD.replace("mail:1", "mail:2")}));
    let json: Value =
        serde_json::from_str(&told(&chief, &["plan", "new.json", "--forecast", "-o", "json"]).out).unwrap();
    assert_eq!((&json["changed"], &json["forecast"]["messages"]), (&json!(1), &json!(99)));
    let bad = told(&chief, &["plan", "bad.json", "--forecast"]);
    assert_eq!(bad.code, 1, "it is wrong as it is: {}", bad.err);
    assert_eq!(told(&chief, &["plan", "new.json", "--last", "1h"]).code, 2, "--last belongs to --forecast");
}
