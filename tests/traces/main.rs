//! Traces on their way to a collector: what it is sent, and what becomes of it when nobody takes it.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "test code")]

mod collector;
mod tls;

use std::{collections::BTreeMap, process::Command, sync::Arc, time::Duration};

use collector::{Collector, Mood, attribute, spans};
use job_chief::{
    config::traces::{self, TraceSettings},
    decide::{
        decision::{Origin, Wish},
        outcome::{End, JobName, Outcome, Reason},
        run::event::{Course, CreateAnswer, Ended},
        trace::Traced,
        trace_context::{root_span_id, trace_id},
    },
    metrics::Metrics,
    traces::tracer::{Process, Tracer, TracerTask},
};
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

const PROCESS: Process<'_> = Process { member: "job-chief-0", namespace: "media" };

fn settings(endpoint: &str, more: &[(&str, &str)]) -> TraceSettings {
    let given = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)].into_iter().chain(more.iter().copied());
    let environment: BTreeMap<String, String> = given.map(|(name, value)| (name.into(), value.into())).collect();
    traces::read(&environment).unwrap().unwrap()
}

struct Stage {
    tracer: Tracer,
    task: TracerTask,
    metrics: Arc<Metrics>,
}

impl Stage {
    fn set(settings: &TraceSettings) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let (tracer, task) = Tracer::new(settings, PROCESS, metrics.clone()).unwrap();
        Self { tracer, task, metrics }
    }

    /// Tells one span of each of so many runs.
    fn tell(&self, runs: u32) {
        for number in 0..runs {
            let job = JobName(format!("job-{number}"));
            self.tracer.tell(&job, || run(&job).wished(&Wish::example(job.clone()), SECOND));
        }
    }

    /// Sends what was told, to the end.
    async fn finish(self) -> Counted {
        let finish = CancellationToken::new();
        finish.cancel();
        self.task.run(finish).await;
        Counted(self.metrics)
    }
}

/// What became of the spans.
struct Counted(Arc<Metrics>);

impl Counted {
    fn all(&self) -> [u64; 3] {
        ["sent", "failed", "dropped"].map(|result| self.0.trace_spans.with_label_values(&[result]).get())
    }
}

fn run(job: &JobName) -> Traced<'_> {
    Traced { job, job_config: "mail", queue: Some("mail"), namespace: "media", instance: "aaaaaa" }
}

#[tokio::test]
async fn a_collector_gets_one_trace_whose_spans_know_their_parent() {
    let mut collector = Collector::start(Mood::Takes).await;
    let stage = Stage::set(&settings(&collector.endpoint(), &[("OTEL_SERVICE_NAME", "chief")]));
    let job = JobName("job-chief-aaaaaa-mail-0".into());
    let origin = Origin::messages(10 * SECOND, 9 * SECOND, 2 * SECOND);
    let wish = Wish { origin, ..Wish::example(job.clone()) };
    stage.tracer.tell(&job, || run(&job).wished(&wish, 11 * SECOND));
    let answer = CreateAnswer::Exists { uid: "uid".into() };
    stage.tracer.tell(&job, || vec![run(&job).asked(11 * SECOND, 12 * SECOND, &answer)]);
    let course = Course { origin, created_at: Some(12 * SECOND), started_at: Some(13 * SECOND), ended_at: 20 * SECOND };
    let end = End { exit_code: Some(7), ..End::new(Outcome::Failed, Reason::ExitCode) };
    let ended = Ended { name: job.clone(), uid: None, end, age: Duration::ZERO, started_age: Some(7 * SECOND), course };
    stage.tracer.tell(&job, || run(&job).ended(&ended));
    assert_eq!(stage.finish().await.all(), [6, 0, 0]);

    let spans = collector.spans_with(|_| true, 6).await;
    let told: Vec<_> = spans
        .iter()
        .map(|span| {
            let at = |nanos: u64| nanos / 1_000_000_000;
            let failed = span.status.as_ref().map_or("", |status| &status.message);
            (span.name.as_str(), at(span.start_time_unix_nano), at(span.end_time_unix_nano), failed)
        })
        .collect();
    let failed = "failed exit_code";
    assert_eq!(
        told,
        [
            ("look", 9, 10, ""),
            ("decide", 10, 11, ""),
            ("create", 11, 12, ""),
            ("start", 12, 13, ""),
            ("work", 13, 20, failed),
            ("run mail", 8, 20, failed),
        ]
    );
    for span in &spans {
        let parent = if span.name == "run mail" { vec![] } else { root_span_id(&job).to_bytes().to_vec() };
        assert_eq!((&span.trace_id[..], &span.parent_span_id), (&trace_id(&job).to_bytes()[..], &parent), "{span:?}");
    }
    assert_eq!(spans[5].span_id, root_span_id(&job).to_bytes());
    let taken = collector.taken().remove(0);
    assert_eq!(taken.headers["content-type"], "application/x-protobuf");
    let sender = taken.request.resource_spans[0].resource.clone().unwrap().attributes;
    let named = ["service.name", "service.instance.id", "k8s.namespace.name", "telemetry.sdk.language"];
    assert_eq!(named.map(|key| attribute(&sender, key)), ["chief", "job-chief-0", "media", "rust"]);
}

#[tokio::test]
async fn what_comes_while_it_runs_is_sent_without_being_asked_to_finish() {
    let mut collector = Collector::start(Mood::Takes).await;
    let stage = Stage::set(&settings(&collector.endpoint(), &[]));
    let running = tokio::spawn(stage.task.run(CancellationToken::new()));
    let job = JobName("job".into());
    stage.tracer.tell(&job, || run(&job).wished(&Wish::example(job.clone()), SECOND));
    assert_eq!(collector.spans_with(|span| span.name == "decide", 1).await.len(), 1);
    drop(stage.tracer);
    running.await.unwrap();
}

#[tokio::test]
async fn nobody_waits_for_a_collector_that_never_answers_and_what_is_lost_is_counted() {
    let collector = Collector::start(Mood::NeverAnswers).await;
    let stage = Stage::set(&settings(&collector.endpoint(), &[("OTEL_EXPORTER_OTLP_TIMEOUT", "50")]));
    // Nothing is sent yet, so that the queue is full: telling more is answered at once all the same.
    stage.tell(9_000);
    assert_eq!(stage.finish().await.all(), [0, 8_192, 808]);
    // One that is given up before it has arrived is not seen there.
    assert!(collector.asked() <= 8_192 / 512, "no batch twice: {}", collector.asked());
}

#[tokio::test]
async fn who_is_busy_is_asked_again_and_who_refuses_is_not() {
    let busy = Collector::start(Mood::BusyFor(2)).await;
    let stage = Stage::set(&settings(&busy.endpoint(), &[]));
    stage.tell(3);
    assert_eq!(stage.finish().await.all(), [3, 0, 0]);
    assert_eq!((busy.asked(), spans(&busy.taken()).len()), (3, 3));
    let refusing = Collector::start(Mood::Refuses).await;
    let stage = Stage::set(&settings(&refusing.endpoint(), &[]));
    stage.tell(3);
    assert_eq!(stage.finish().await.all(), [0, 3, 0]);
    assert_eq!(refusing.asked(), 1);
}

#[tokio::test]
async fn a_run_that_the_sampler_leaves_out_is_not_even_put_into_spans() {
    let collector = Collector::start(Mood::Takes).await;
    let stage = Stage::set(&settings(&collector.endpoint(), &[("OTEL_TRACES_SAMPLER", "always_off")]));
    stage.tracer.tell(&JobName("job".into()), || unreachable!("nobody asks for its spans"));
    assert_eq!(stage.finish().await.all(), [0, 0, 0]);
    assert_eq!(collector.asked(), 0);
}

#[tokio::test]
async fn a_collector_behind_tls_is_trusted_by_the_authority_that_is_named() {
    let (listener, authority) = tls::listen().await;
    let collector = Collector::behind(listener, Mood::Takes);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority).unwrap();
    let endpoint = format!("https://{}", collector.address);
    let named = settings(&endpoint, &[("OTEL_EXPORTER_OTLP_CERTIFICATE", file.to_str().unwrap())]);
    for (settings, told) in
        [(named, [1, 0, 0]), (settings(&endpoint, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "500")]), [0, 1, 0])]
    {
        let stage = Stage::set(&settings);
        stage.tell(1);
        assert_eq!(stage.finish().await.all(), told, "{settings:?}");
    }
    assert_eq!(spans(&collector.taken()).len(), 1);
}

#[test]
fn a_file_of_authorities_that_is_none_is_told_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let path = file.to_str().unwrap();
    for (text, why) in [
        (None, "no certificate in"),
        (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "a certificate in"),
    ] {
        text.into_iter().for_each(|text| std::fs::write(&file, text).unwrap());
        let settings = settings("https://127.0.0.1:1", &[("OTEL_EXPORTER_OTLP_CERTIFICATE", path)]);
        let error = Tracer::new(&settings, PROCESS, Arc::new(Metrics::new().unwrap())).unwrap_err().to_string();
        assert!(error.starts_with(why) && error.contains(path), "{error}");
    }
}

#[test]
fn a_protocol_that_is_not_spoken_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("jobs.json"), "[]").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_job-chief"));
    command.args(["run", "--context", "nowhere"]).current_dir(folder.path()).env_clear();
    command.envs([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("OTEL_EXPORTER_OTLP_PROTOCOL: is \"grpc\": http/protobuf"), "{told}");
    assert_eq!(output.status.code(), Some(2), "{told}");
}
