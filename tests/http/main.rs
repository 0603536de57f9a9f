//! The HTTP server as anybody may meet it: every route and every refusal as the document says, and nobody who is slow,
//! silent or hostile keeps others out.
#![expect(clippy::unwrap_used, reason = "test code")]

mod contract;
mod dashboard;
mod deployments;
mod events;
mod service;

use std::io::{Read, Write};

use contract::Contract;
use serde_json::json;
use service::{Service, TOKEN, Told, read_answer};

/// Every route of the document, as (method, path).
fn routes(contract: &Contract) -> Vec<(String, String)> {
    let paths = contract.document["paths"].as_object().unwrap();
    let of_path = |(path, operations): (&String, &serde_json::Value)| {
        operations.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

fn check(contract: &Contract, (method, route): (&str, &str), told: &Told) {
    let media_type = told.field("content-type").unwrap();
    contract.check((method, route), (told.code, media_type, &told.body));
    assert_eq!(told.field("x-content-type-options"), Some("nosniff"));
    assert!(!told.body.contains("canary") && !told.head.contains("canary"), "{}{}", told.head, told.body);
}

#[test]
fn every_route_answers_as_the_document_says_and_tells_no_secret() {
    let service = Service::start(&[]);
    let contract = Contract { document: service.get("/openapi.json", "").json() };
    let routes = routes(&contract);
    insta::assert_snapshot!(
        "routes",
        routes.iter().map(|(method, path)| format!("{method} {path}\n")).collect::<String>()
    );
    let words = &contract.document["paths"]["/jobs/{name}/pause"]["post"]["requestBody"]["content"]["application/json"]
        ["schema"];
    for (body, allowed) in [(json!({}), true), (json!({"who": "me"}), true), (json!({"whom": "me"}), false)] {
        assert_eq!(jsonschema::is_valid(words, &body), allowed, "{body} {words}");
    }
    // All at once: while Postgres is away most of them wait for it.
    std::thread::scope(|scope| {
        for (method, route) in routes.iter().filter(|(_, route)| route != "/events") {
            scope.spawn(|| try_route(&service, &contract, (method, route)));
        }
    });
}

fn try_route(service: &Service, contract: &Contract, (method, documented): (&str, &str)) {
    let route = documented;
    let ask = |path: &str, headers: &str, body: &str| {
        let told = service.ask(method, path, headers, body);
        check(contract, (method, documented), &told);
        told.code
    };
    let route = &route.replace("{action}", "backup");
    let needs_record = route.starts_with("/deployment");
    let in_file = route.starts_with("/services") || route.starts_with("/modules");
    let path = route.replace("{name}", if in_file { "redis" } else { "mail" });
    if method == "GET" {
        assert_eq!(ask(&path, "", ""), if route == "/readiness" || needs_record { 503 } else { 200 }, "{route}");
    } else {
        let huge = format!("{{\"why\": \"{}\"}}", "x".repeat(10 << 20));
        let wrong = "Authorization: Bearer canary\r\n";
        let form = format!("{TOKEN}Content-Type: application/x-www-form-urlencoded\r\n");
        let codes =
            [("", "{}"), (wrong, "{}"), (TOKEN, "["), (TOKEN, "{\"whom\": 1}"), (&form, "who=me"), (TOKEN, &huge)];
        let codes = codes.map(|(headers, body)| ask(&path, headers, body));
        // Whatever only reads needs no token here.
        let stranger = if route == "/forecast" { 503 } else { 401 };
        assert_eq!(codes, [stranger, stranger, 400, 400, 415, 413], "{route}");
        let words = if route == "/forecast" {
            "{\"last\": \"1h\"}"
        } else if method == "POST" && needs_record {
            "{\"module\": \"redis\"}"
        } else {
            "{\"who\": \"me\"}"
        };
        assert_eq!(ask(&path, TOKEN, words), 503, "{route}: Postgres is away");
    }
    if route.contains("{name}") {
        let unknown = if needs_record { 503 } else { 404 };
        for (name, code) in [("nobody", unknown), ("%3Cscript%3E%1b%5b31m%E2%80%AE", unknown), ("%FF", 400)] {
            assert_eq!(ask(&route.replace("{name}", name), TOKEN, ""), code, "{route} {name}");
        }
    }
}

/// Type, code and instance of a problem.
fn problem(told: &Told) -> (String, u16, String) {
    assert_eq!(told.field("content-type"), Some("application/problem+json"), "{}{}", told.head, told.body);
    let page = told.json();
    let text = |key: &str| page[key].as_str().unwrap_or_else(|| panic!("no {key}: {page}")).to_owned();
    assert_eq!(page["status"], json!(told.code));
    assert!(!text("title").is_empty() && !text("detail").is_empty(), "{page}");
    let kind = text("type").strip_prefix("urn:job-chief:problem:").expect("one of ours").to_owned();
    (kind, told.code, text("instance"))
}

#[test]
fn whoever_asks_for_what_is_not_there_is_told_the_nearest() {
    let service = Service::start(&[]);
    let told = service.get("/job?x=1", "");
    assert_eq!(problem(&told), ("unknown-path".into(), 404, "/job".into()));
    assert!(told.body.contains("did you mean \\\"/jobs\\\"?"), "{}", told.body);
    let told = service.get("/jobs/mial", "");
    assert_eq!(problem(&told), ("unknown-name".into(), 404, "/jobs/mial".into()));
    assert!(told.body.contains("did you mean \\\"mail\\\"?"), "{}", told.body);
    let told = service.get("/jobs/redis", "");
    assert_eq!(problem(&told).1, 404, "a service is no queue");
    let told = service.ask("POST", "/services/redis/actions/bakup", TOKEN, "");
    assert_eq!(problem(&told), ("unknown-name".into(), 404, "/services/redis/actions/bakup".into()));
    assert!(told.body.contains("did you mean \\\"backup\\\"?"), "{}", told.body);
    let told = service.ask("DELETE", "/jobs/mail/pause", TOKEN, "");
    assert_eq!(problem(&told), ("method-not-allowed".into(), 405, "/jobs/mail/pause".into()));
    assert_eq!(told.field("allow"), Some("POST"));
    assert_eq!(service.ask("PUT", "/jobs", TOKEN, "").field("allow"), Some("GET,HEAD"));
    assert_eq!(service.ask("HEAD", "/jobs", "", "").code, 200);
}

#[test]
fn what_is_wrong_with_what_is_to_be_forecast_is_told() {
    let service = Service::start(&[("SERVER_PROTECT_READS", "true")]);
    let ask = |headers: &str, words: serde_json::Value| {
        let told = service.ask("POST", "/forecast", headers, &words.to_string());
        (told.code, problem(&told).0, told.json()["detail"].as_str().unwrap().to_owned())
    };
    assert_eq!(ask("", json!({})).0, 401, "it is protected as what is read is");
    let refused = |words: serde_json::Value, kind: &str, part: &str| {
        let (code, told, detail) = ask(TOKEN, words);
        assert!(told == kind && detail.contains(part), "{code} {told} {detail}");
    };
    refused(json!({"name": "mial"}), "unknown-name", "did you mean \"mail\"?");
    refused(json!({"name": "redis"}), "unknown-name", "no JobConfig of a queue");
    refused(json!({"last": "8d"}), "invalid-body", "at the most \"7d\"");
    refused(json!({"name": "mail", "set": {"maxConcurrentJobs": 0}}), "invalid-body", "mail.maxConcurrentJobs");
    refused(json!({"set": {"mail.maxConcurentJobs": 1}}), "invalid-body", "did you mean \"maxConcurrentJobs\"?");
    refused(json!({"set": {"maxConcurrentJobs": 1}}), "invalid-body", "NAME.KEY");
    refused(json!({"name": "mail", "set": {"maxConcurentJobs": null}}), "invalid-body", "did you mean");
    refused(json!({"file": "["}), "invalid-body", "jobs.json");
    refused(json!({"file": " ".repeat((1 << 20) + 1)}), "invalid-body", "found 1048577 bytes");
    refused(json!({"file": "[]", "set": {"mail.paused": true}}), "invalid-body", "one of the two");
    refused(json!({"name": "mail", "set": {"maxConcurrentJobs": 8}}), "unavailable", "pg-boss");
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let service = Service::start(&[]);
    let long = format!("X-Long: {}\r\n", "x".repeat(20 << 10));
    let many = (0..100).map(|number| format!("X-{number}: x\r\n")).collect::<String>();
    for headers in [&long, &many] {
        assert_eq!(problem(&service.get("/jobs", headers)), ("head-too-large".into(), 431, "/jobs".into()));
    }
    let path = format!("/jobs/{}", "x".repeat(20 << 10));
    assert_eq!(problem(&service.get(&path, "")).1, 431);
    // Beyond what is read at all there is a code and no more.
    let endless = format!("X-Long: {}\r\n", "x".repeat(200 << 10));
    assert_eq!(service.get("/jobs", &endless).code, 431);
    assert_eq!(service.send(b"\x16\x03\x01 hello\r\n\r\n").code, 400);
}

#[test]
fn a_body_that_comes_a_byte_at_a_time_is_not_waited_for() {
    let service = Service::start(&[]);
    let mut stream = service.connect();
    let head = format!("POST /jobs/mail/pause HTTP/1.1\r\nHost: localhost\r\n{TOKEN}Content-Length: 1000\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut writing = stream.try_clone().unwrap();
    // A byte a second, until nobody takes it.
    let dripping = std::thread::spawn(move || {
        while writing.write_all(b" ").is_ok() {
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
    });
    assert_eq!(service.get("/jobs", "").code, 200, "others are answered meanwhile");
    let told = read_answer(&mut stream);
    assert_eq!(problem(&told), ("body-too-slow".into(), 408, "/jobs/mail/pause".into()));
    drop(stream);
    dripping.join().unwrap();
}

#[test]
fn a_thousand_silent_connections_keep_nobody_out() {
    let service = Service::start(&[]);
    let idle: Vec<_> = (0..1000).map(|_| service.connect()).collect();
    for _ in 0..20 {
        assert_eq!(service.get("/liveness", "").code, 200);
        assert_eq!(service.get("/jobs", "").code, 200);
    }
    let mut oldest = &idle[0];
    assert_eq!(oldest.read(&mut [0]).unwrap_or(0), 0, "the one that was silent for the longest has given its place");
    let mut newest = &idle[999];
    newest.write_all(b"GET /liveness HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    newest.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
}

#[test]
fn pages_need_a_token_where_the_settings_say_so() {
    let open = ["/liveness", "/readiness", "/openapi.json"];
    let read = [
        ("/jobs", 200),
        ("/jobs/nobody", 404),
        ("/jobs/nobody/why", 404),
        ("/services", 200),
        ("/services/nobody", 404),
        ("/modules", 200),
        ("/modules/nothing", 404),
        ("/services/nobody/why", 404),
        ("/pools", 200),
        ("/states", 200),
        ("/events", 200),
    ];
    for (setting, protects_reads, protects_metrics) in
        [("", false, false), ("SERVER_PROTECT_READS", true, false), ("SERVER_PROTECT_METRICS", false, true)]
    {
        let settings = if setting.is_empty() { vec![] } else { vec![(setting, "true")] };
        let service = Service::start(&settings);
        let code = |path: &str, headers: &str| match path {
            "/events" => events::Events::open(&service, headers).code,
            _ => service.get(path, headers).code,
        };
        for path in open {
            assert_ne!(code(path, ""), 401, "{setting} {path}");
        }
        for (path, known) in read {
            let codes = (code(path, ""), code(path, TOKEN));
            assert_eq!(codes, (if protects_reads { 401 } else { known }, known), "{setting} {path}");
        }
        let codes = (code("/metrics", ""), code("/metrics", TOKEN));
        assert_eq!(codes, (if protects_metrics { 401 } else { 200 }, 200), "{setting}");
    }
}
