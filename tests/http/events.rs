//! `/events`: everything once, then what changes.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use serde_json::{Value, json};

use crate::{
    contract::Contract,
    service::{Service, TOKEN},
};

/// A listener.
pub(crate) struct Events {
    pub(crate) code: u16,
    reader: BufReader<TcpStream>,
}

/// An event.
pub(crate) struct Event {
    fields: Vec<(String, String)>,
}

impl Event {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn data(&self) -> Value {
        serde_json::from_str(self.field("data").unwrap()).unwrap()
    }
}

impl Events {
    pub(crate) fn open(service: &Service, headers: &str) -> Self {
        let mut stream = service.connect();
        // HTTP/1.0, whose answer has no chunks.
        write!(stream, "GET /events HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n").unwrap();
        let mut events = Self { code: 0, reader: BufReader::new(stream) };
        let head = events.block();
        events.code = head[0].split(' ').nth(1).unwrap().parse().unwrap();
        if events.code == 200 {
            assert!(head.iter().any(|line| line == "content-type: text/event-stream"), "{head:?}");
        }
        events
    }

    /// Lines until an empty one.
    fn block(&mut self) -> Vec<String> {
        let mut lines = vec![];
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).expect("it goes on");
            match line.trim_end() {
                "" => return lines,
                line => lines.push(line.to_owned()),
            }
        }
    }

    fn next(&mut self) -> Event {
        loop {
            let block = self.block();
            assert!(!block.is_empty(), "the stream has ended");
            let fields: Vec<_> = block.iter().filter_map(|line| line.split_once(':')).collect();
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| ((*name).to_owned(), value.trim_start().to_owned())).collect();
            if fields.iter().any(|(name, _)| name == "event") {
                return Event { fields };
            }
        }
    }

    /// The next event of this name.
    fn of(&mut self, name: &str) -> Event {
        loop {
            let event = self.next();
            if event.field("event") == Some(name) {
                return event;
            }
        }
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect()
}

#[test]
fn whoever_listens_is_told_everything_and_then_what_changes() {
    let service = Service::start(&[]);
    let mut events = Events::open(&service, "");
    let first = events.next();
    assert_eq!((first.field("event"), first.field("retry")), (Some("snapshot"), Some("2000")));
    let snapshot = first.data();
    assert_eq!((names(&snapshot["jobs"]), names(&snapshot["services"])), (vec!["hostile", "mail"], vec!["redis"]));
    assert_eq!((&snapshot["leads"], &snapshot["deployments"]), (&json!(false), &json!([])));
    let contract = Contract { document: service.get("/openapi.json", "").json() };
    snapshot["jobs"].as_array().unwrap().iter().for_each(|job| contract.check_part("Job", job));
    snapshot["services"].as_array().unwrap().iter().for_each(|service| contract.check_part("Service", service));
    let hostile = &snapshot["jobs"][0]["queue"];
    assert_eq!(hostile, "<script>alert(1)</script>\u{1b}[31m\u{202e}&\"'");
    assert!(!first.field("data").unwrap().chars().any(char::is_control), "control characters are escaped");

    let jobs = r#"[{"queueName": "mail", "podConfig": {"image": "mail:1"}, "maxConcurrentJobs": 7},
        {"queueName": "new", "podConfig": {"image": "new:1"}}]"#;
    let path = service.folder.path().join("jobs.json");
    std::fs::write(path.with_extension("next"), jobs).unwrap();
    std::fs::rename(path.with_extension("next"), &path).unwrap();
    let mut seen: Vec<(String, Value)> = vec![];
    let mut last = 0;
    while !["new", "mail", "redis", "hostile"].iter().all(|name| seen.iter().any(|(_, it)| it["name"] == *name)) {
        let event = events.next();
        let id: u64 = event.field("id").unwrap().parse().unwrap();
        assert!(id > last, "ids count on");
        last = id;
        seen.push((event.field("event").unwrap().to_owned(), event.data()));
    }
    let mail = seen.iter().find(|(event, it)| event == "job" && it["name"] == "mail").unwrap();
    assert_eq!(mail.1["maxConcurrentJobs"], 7);
    for (event, it) in &seen {
        let is_there = it["left"] != true && event != "gone";
        assert_eq!(is_there, ["new", "mail"].contains(&it["name"].as_str().unwrap()), "{event} {it}");
    }
    let names_now = names(&Events::open(&service, "").of("snapshot").data()["jobs"]).len();
    assert!(names_now >= 2);
}

/// Closed for ever, so that the test may run at any time: also who follows says so.
#[test]
fn whoever_is_asked_tells_of_windows() {
    let service = Service::start(&[]);
    let window = r#"{"from": "00:00", "to": "24:00", "timezone": "Asia/Kolkata", "maxConcurrentJobs": 0}"#;
    let mail = r#""queueName": "mail", "podConfig": {"image": "mail:1"}, "maxConcurrentJobs": 7"#;
    let path = service.folder.path().join("jobs.json");
    std::fs::write(path.with_extension("next"), format!(r#"[{{{mail}, "windows": [{window}]}}]"#)).unwrap();
    std::fs::rename(path.with_extension("next"), &path).unwrap();
    let job = loop {
        let job = service.get("/jobs/mail", TOKEN).json();
        if job["windows"].is_object() {
            break job;
        }
        std::thread::yield_now();
    };
    let contract = Contract { document: service.get("/openapi.json", "").json() };
    contract.check_part("JobDetails", &job);
    let told = json!({
        "maxConcurrentJobs": 0, "told": "closed",
        "open": {"days": "daily", "from": "00:00", "to": "24:00", "timezone": "Asia/Kolkata", "maxConcurrentJobs": 0},
    });
    assert_eq!((&job["windows"], &job["maxConcurrentJobs"]), (&told, &json!(7)));
    assert_eq!(job["maxInForce"], 0);
    let listed = service.get("/jobs", TOKEN).json();
    let max = listed.as_array().unwrap().iter().find(|it| it["name"] == "mail").map(|it| &it["maxInForce"]);
    assert_eq!(max, Some(&json!(0)), "also in the list of who follows: {listed}");
    let why = service.get("/jobs/mail/why", TOKEN).json();
    assert!(why["lines"].as_array().unwrap().contains(&json!("now      no Job lives: closed")), "{why}");
}

#[test]
fn there_are_no_more_listeners_than_allowed_and_a_place_that_is_left_is_free() {
    let service = Service::start(&[]);
    let mut listeners: Vec<_> = (0..64).map(|_| Events::open(&service, TOKEN)).collect();
    listeners.iter_mut().for_each(|it| assert_eq!(it.next().field("event"), Some("snapshot")));
    let told = service.get("/events", "");
    assert_eq!((told.code, told.json()["type"].as_str().unwrap()), (503, "urn:job-chief:problem:too-many-listeners"));
    assert_eq!(told.field("retry-after"), Some("5"));
    assert_eq!(service.get("/jobs", "").code, 200, "the others are answered");
    listeners.truncate(60);
    // That somebody has gone is noticed when the connection is read, which may take a moment.
    while Events::open(&service, "").code != 200 {
        std::thread::yield_now();
    }
}
