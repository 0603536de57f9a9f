//! The API while everything works: what it answers is what `/openapi.json` says, and `/events` tells what happens.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
};

use crate::{
    contract::Contract,
    stage::{PATIENCE, Stage, eventually, script, with},
};

const TOKEN: &str = "Authorization: Bearer canary-token\r\nContent-Type: application/json\r\n";

/// Follows `/events`.
struct Events {
    lines: Lines<BufReader<TcpStream>>,
}

impl Events {
    async fn open(stage: &Stage) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", stage.port)).await.unwrap();
        stream.write_all(b"GET /events HTTP/1.0\r\n\r\n").await.unwrap();
        Self { lines: BufReader::new(stream).lines() }
    }

    /// The data of the next event of this name of which this is so; `None` when the stream has ended.
    async fn until(&mut self, name: &str, is_so: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut event = String::new();
        let reading = async {
            while let Some(line) = self.lines.next_line().await.unwrap_or(None) {
                match line.split_once(": ") {
                    Some(("event", value)) => value.clone_into(&mut event),
                    Some(("data", data)) if event == name => {
                        let data: Value = serde_json::from_str(data).unwrap();
                        if is_so(&data) {
                            return Some(data);
                        }
                    }
                    _ => {}
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("no {name} within {PATIENCE:?}"))
    }
}

fn jobs() -> Value {
    let pod = |words: &str| script("redis", words)["podConfig"].clone();
    let redis = json!({"type": "service", "name": "redis", "podConfig": pod("sleep 36000"), "actions": {"backup": {"podConfig": pod("true")}}});
    json!([script("work", "sleep 3; echo '<b>canary-free</b>' > /dev/termination-log; exit 3"), redis])
}

#[tokio::test]
async fn every_route_answers_as_the_document_says_while_everything_works() {
    let note = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}});
    let mut stage = Stage::set("api").await.with_token().with_modules(&[("note/latest/note.yaml", note)]);
    stage.run(jobs()).await;
    stage.leads().await;
    stage.send("work", 1).await;
    stage.ended("work", 1).await;
    assert_eq!(stage.post("/deployment", TOKEN, "{\"module\": \"note\"}").await.0 / 100, 2);
    let contract = Contract { document: stage.json("/openapi.json").await.unwrap() };
    for (route, operations) in contract.document["paths"].as_object().unwrap() {
        let said = json!({"who": "ann", "why": "a look"});
        let (name, body) = match route.split('/').nth(1).unwrap() {
            "services" => ("redis", said),
            "deployment" | "deployments" | "modules" => ("note", with(said, json!({"module": "note"}))),
            "forecast" => ("work", json!({"name": "work", "set": {"maxConcurrentJobs": 3}})),
            _ => ("work", said),
        };
        let path = route.replace("{name}", name).replace("{action}", "backup");
        if operations["get"].is_object() && route != "/events" {
            let answers = || async { stage.get(&path).await.filter(|(code, _)| *code == 200) };
            let (code, body) = eventually(&format!("{path} to answer"), answers).await;
            let media = operations["get"]["responses"]["200"]["content"].as_object().unwrap().keys().next().unwrap();
            contract.check(("get", route), (code, media, &body));
            assert!(!body.contains("canary-token"), "{body}");
        }
        if operations["post"].is_object() {
            let (code, told) = stage.post(&path, TOKEN, &body.to_string()).await;
            assert!((200..300).contains(&code), "{route} {code} {told}");
            contract.check(("post", route), (code, "application/json", &told.to_string()));
        }
    }
}

#[tokio::test]
async fn whoever_follows_is_told_what_happens_also_after_a_restart() {
    let mut stage = Stage::set("events").await.with_token();
    stage.run(jobs()).await;
    stage.leads().await;
    let mut events = Events::open(&stage).await;
    let snapshot = events.until("snapshot", |_| true).await.unwrap();
    assert_eq!((&snapshot["leads"], &snapshot["jobs"][0]["name"]), (&json!(true), &json!("work")));
    let runs = |service: &Value| service["state"] == "RUNNING";
    // It may run before anybody listens.
    if !runs(&snapshot["services"][0]) {
        events.until("service", runs).await.unwrap();
    }
    let contract = Contract { document: stage.json("/openapi.json").await.unwrap() };
    stage.send("work", 1).await;
    let lives = |job: &Value| job["phase"]["running"] == 1 || job["phase"]["starting"] == 1;
    contract.check_part("Job", &events.until("job", lives).await.unwrap());
    let ended = events.until("ended", |end| end["name"] == "work").await.unwrap();
    assert_eq!((&ended["outcome"], &ended["exitCode"]), (&json!("failed"), &json!(3)));
    assert!(ended["message"].as_str().unwrap().contains("<b>canary-free</b>"), "{ended}");
    stage.post("/jobs/work/pause", TOKEN, "{\"who\": \"ann\"}").await;
    let paused = events.until("job", |job| job["paused"] == true).await.unwrap();
    assert_eq!(paused["said"]["who"], "ann");

    stage.kill().await;
    assert!(events.until("nothing", |_| true).await.is_none(), "the stream ends with the process");
    stage.run(jobs()).await;
    let mut events = Events::open(&stage).await;
    let leads = |it: &Value| it["leads"] == true;
    if events.until("snapshot", |_| true).await.is_some_and(|it| !leads(&it)) {
        events.until("leader", leads).await.unwrap();
    }
    eventually("it to be paused still", || async { (stage.json("/jobs/work").await?["paused"] == true).then_some(()) })
        .await;
}
