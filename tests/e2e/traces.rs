//! Traces of real runs: what a collector gets, what the Job and its worker say of it, and that nobody waits for a
//! collector.

use k8s_openapi::api::batch::v1::Job;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;

use crate::{
    collector::{Collector, Mood, attribute, spans},
    stage::{Stage, eventually, script, with},
};

/// A set of bytes as it stands in a header.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_whole(span: &Span) -> bool {
    span.parent_span_id.is_empty()
}

fn trace_of(job: &Job) -> String {
    job.metadata.annotations.as_ref().unwrap()["job-chief/trace-id"].clone()
}

/// The spans of a trace by when they begin.
fn of_trace<'a>(spans: &'a [Span], trace: &str) -> Vec<&'a Span> {
    let mut found: Vec<&Span> = spans.iter().filter(|span| hex(&span.trace_id) == trace).collect();
    found.sort_by_key(|span| (span.start_time_unix_nano, span.end_time_unix_nano));
    found
}

/// One span of each name, each within the whole and none before the one that it follows.
fn assert_is_run(spans: &[&Span], names: &[&str]) {
    let one = |name: &str| {
        let mut found = spans.iter().filter(|span| span.name == name);
        let span = found.next().unwrap_or_else(|| panic!("no {name} in {spans:?}"));
        assert!(found.next().is_none(), "one {name} only: {spans:?}");
        span
    };
    let whole = spans.iter().find(|span| is_whole(span)).unwrap();
    let mut before = whole.start_time_unix_nano;
    for name in names {
        let span = one(name);
        assert_eq!(span.parent_span_id, whole.span_id, "{span:?}");
        assert!(
            before <= span.start_time_unix_nano && span.start_time_unix_nano <= span.end_time_unix_nano,
            "{spans:?}"
        );
        assert!(span.end_time_unix_nano <= whole.end_time_unix_nano, "{spans:?}");
        // A Job that is seen before its request is answered began when Kubernetes says, which counts whole seconds.
        if *name != "create" {
            before = span.start_time_unix_nano;
        }
    }
}

#[tokio::test]
async fn each_run_is_one_trace_of_which_its_job_and_its_worker_know() {
    let mut collector = Collector::start(Mood::Takes).await;
    let mut stage = Stage::set("traces").await.with("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint());
    // Its Job stays until it is looked at.
    let kept = json!({"waitTimeAfterSuccessfulRun": "1h", "successfulJobsHistoryLimit": 10});
    let good = with(script("good", "echo $TRACEPARENT"), kept);
    let bad = script("bad", "sleep 2; exit 7");
    let unpulled = with(script("unpulled", "true"), json!({"podConfig": {"image": "job-chief.test/none:1"}}));
    stage.run(json!([good, bad, unpulled])).await;
    for queue in ["good", "bad", "unpulled"] {
        stage.send(queue, 1).await;
    }
    for queue in ["good", "bad", "unpulled"] {
        stage.ended(queue, 1).await;
    }
    let ended = |name: &str| {
        let name = format!("run {name}");
        move |span: &Span| span.name == name
    };
    for queue in ["good", "bad", "unpulled"] {
        collector.spans_with(ended(queue), 1).await;
    }
    let taken = spans(&collector.taken());
    let whole = |name: &str| taken.iter().find(|span| ended(name)(span)).unwrap();
    let run = |name: &str| of_trace(&taken, &hex(&whole(name).trace_id));

    let steps = ["look", "decide", "create", "start", "work"];
    assert_is_run(&run("good"), &steps);
    assert_is_run(&run("bad"), &steps);
    assert_is_run(&run("unpulled"), &steps[..4]);
    assert_eq!(["good", "bad", "unpulled"].map(|name| run(name).len()), [6, 6, 5]);
    let said = |span: &Span| span.status.clone().map_or(String::new(), |status| status.message);
    assert_eq!(said(whole("good")), "");
    assert!(said(whole("bad")).starts_with("failed exit_code"), "{:?}", whole("bad"));
    let start = run("unpulled").into_iter().find(|span| span.name == "start").unwrap();
    assert!(said(start).starts_with("start_error image_pull"), "{start:?}");

    let name = attribute(&whole("good").attributes, "k8s.job.name");
    let job = stage.jobs().await.into_iter().find(|job| job.metadata.name.as_ref() == Some(&name)).unwrap();
    assert_eq!(trace_of(&job), hex(&whole("good").trace_id));
    let pod = stage.pods_of(&name).await.remove(0);
    let parent = format!("00-{}-{}-01", trace_of(&job), hex(&whole("good").span_id));
    assert_eq!(stage.logs_of(&pod).await.trim(), parent);
    let queue = attribute(&whole("good").attributes, "messaging.destination.name");
    assert_eq!(
        (queue.as_str(), attribute(&whole("good").attributes, "k8s.namespace.name")),
        ("good", stage.name.clone())
    );
}

#[tokio::test]
async fn a_run_that_another_process_sees_to_its_end_is_still_one_trace() {
    let mut collector = Collector::start(Mood::Takes).await;
    let mut stage = Stage::set("traces-over").await.with("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint());
    let config = json!([script("mail", "sleep 15")]);
    stage.run(config.clone()).await;
    stage.send("mail", 1).await;
    let before = collector.spans_with(|span| span.name == "create", 1).await;
    assert!(before.iter().all(|span| !is_whole(span)));
    stage.kill().await;
    stage.run(config).await;
    let first = &before[0].trace_id;
    let spans = collector.spans_with(|span| is_whole(span) && span.trace_id == *first, 1).await;
    let run = of_trace(&spans, &hex(first));
    assert_eq!(run.len(), 6, "{run:?}");
    assert_is_run(&run, &["look", "decide", "create", "work"]);
    // When its Job was confirmed nobody knows any more.
    assert_is_run(&run, &["look", "decide", "start", "work"]);
}

#[tokio::test]
async fn a_collector_that_never_answers_keeps_no_job_and_no_end_waiting() {
    let collector = Collector::start(Mood::NeverAnswers).await;
    let mut stage = Stage::set("traces-stuck")
        .await
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
        .with("OTEL_EXPORTER_OTLP_TIMEOUT", "500");
    let config = with(script("mail", "true"), json!({"maxConcurrentJobs": 5, "waitTimeAfterSuccessfulRun": "0s"}));
    stage.run(json!([config])).await;
    stage.send("mail", 5).await;
    stage.ended("mail", 5).await;
    eventually("what is lost to be counted", || async {
        let page = stage.get("/metrics").await?.1;
        page.contains("job_chief_trace_spans_total{result=\"failed\"}").then_some(())
    })
    .await;
    stage.logs("no answer within 500ms").await;
    assert_eq!(stage.terminate().await, Some(0));
}
