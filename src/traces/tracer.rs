//! Whom spans are told, and the task that sends them, many at once.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, TraceFlags, TraceState},
};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::sleep,
    config::traces::TraceSettings,
    decide::{outcome::JobName, trace::Span, trace_context::Sampler},
    metrics::Metrics,
    traces::collector::{TraceError, Trouble, exporter},
};

/// Spans that wait for the collector: those of more than a thousand runs. What is beyond is dropped.
const SPANS_MAX: usize = 8192;

/// Spans of one request, as OpenTelemetry's own batches have it.
const SPANS_AT_ONCE: usize = 512;

/// How long a span waits for others to be sent with.
const GATHERED_FOR: Duration = Duration::from_secs(1);

/// The process that traces come from.
#[derive(Clone, Copy, Debug)]
pub struct Process<'a> {
    /// Its own name and nobody else's.
    pub member: &'a str,
    /// Its namespace, in which Jobs are created.
    pub namespace: &'a str,
}

/// Whom spans are told. Clones tell the same task.
#[derive(Clone, Debug)]
pub struct Tracer {
    spans: mpsc::Sender<Span>,
    sampler: Sampler,
    metrics: Arc<Metrics>,
}

/// The task that sends what a [`Tracer`] is told.
#[derive(Debug)]
pub struct TracerTask {
    spans: mpsc::Receiver<Span>,
    exporter: SpanExporter,
    trouble: Trouble,
    timeout: Duration,
    scope: InstrumentationScope,
    metrics: Arc<Metrics>,
    /// Whether the last request was a success; `None` before the first.
    works: Option<bool>,
}

impl Tracer {
    /// A tracer, and the task that it needs to be run.
    ///
    /// # Errors
    /// See [`TraceError`].
    pub fn new(
        settings: &TraceSettings,
        process: Process<'_>,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, TracerTask), TraceError> {
        let (mut exporter, trouble) = exporter(settings)?;
        exporter.set_resource(&resource(settings, process));
        let (spans, told) = mpsc::channel(SPANS_MAX);
        let scope = InstrumentationScope::builder("job-chief").with_version(env!("CARGO_PKG_VERSION")).build();
        let task = TracerTask {
            spans: told,
            exporter,
            trouble,
            timeout: settings.timeout,
            scope,
            metrics: metrics.clone(),
            works: None,
        };
        Ok((Self { spans, sampler: Sampler::of_ratio(settings.ratio), metrics }, task))
    }

    /// Tells spans of the run of this Job, if it is traced. Never waits: spans that find no room are dropped.
    pub fn tell(&self, job: &JobName, spans: impl FnOnce() -> Vec<Span>) {
        if !self.sampler.takes(job) {
            return;
        }
        let dropped = spans().into_iter().filter_map(|span| self.spans.try_send(span).err()).count();
        count(&self.metrics, "dropped", dropped);
    }
}

/// Who sends the spans, as OpenTelemetry calls it; what the environment says of that wins.
fn resource(settings: &TraceSettings, process: Process<'_>) -> Resource {
    let own = [
        KeyValue::new("service.name", "job-chief"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", process.member.to_owned()),
        KeyValue::new("k8s.namespace.name", process.namespace.to_owned()),
    ];
    let builder = Resource::builder_empty().with_attributes(own);
    let builder = builder.with_detector(Box::new(TelemetryResourceDetector));
    let builder = builder.with_detector(Box::new(EnvResourceDetector::new()));
    match &settings.service_name {
        Some(name) => builder.with_service_name(name.clone()).build(),
        None => builder.build(),
    }
}

fn count(metrics: &Metrics, result: &str, spans: usize) {
    if spans > 0 {
        metrics.trace_spans.with_label_values(&[result]).inc_by(spans as u64);
    }
}

impl TracerTask {
    /// Sends what comes until it is to finish, then what is left.
    pub async fn run(mut self, finish: CancellationToken) {
        let mut batch = vec![];
        loop {
            tokio::select! {
                biased;
                () = finish.cancelled(), if !self.spans.is_closed() => self.spans.close(),
                told = self.spans.recv_many(&mut batch, SPANS_AT_ONCE) => {
                    if told == 0 {
                        return;
                    }
                    self.gather(&mut batch, &finish).await;
                    self.send(std::mem::take(&mut batch)).await;
                }
            }
        }
    }

    /// Waits a little for more. What is cut off loses nothing.
    async fn gather(&mut self, batch: &mut Vec<Span>, finish: &CancellationToken) {
        let more = async {
            while batch.len() < SPANS_AT_ONCE && self.spans.recv_many(batch, SPANS_AT_ONCE - batch.len()).await > 0 {}
        };
        tokio::select! {
            () = more => {}
            () = sleep(GATHERED_FOR) => {}
            () = finish.cancelled() => {}
        }
    }

    async fn send(&mut self, batch: Vec<Span>) {
        let spans = batch.len();
        let batch = batch.into_iter().map(|span| to_data(span, &self.scope)).collect();
        let sent = match tokio::time::timeout(self.timeout, self.exporter.export(batch)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.trouble.borrow().clone().unwrap_or_else(|| error.to_string())),
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        };
        count(&self.metrics, if sent.is_ok() { "sent" } else { "failed" }, spans);
        self.note(sent);
    }

    /// Logged when it changes.
    fn note(&mut self, sent: Result<(), String>) {
        let before = self.works.replace(sent.is_ok());
        match sent {
            Ok(()) if before != Some(true) => tracing::info!("the collector takes traces"),
            Err(why) if before != Some(false) => {
                tracing::warn!(why, "the collector does not take traces; they are dropped until it does");
            }
            Err(why) => tracing::debug!(why, "the collector still does not take traces"),
            Ok(()) => {}
        }
    }
}

/// A span as the exporter wants it.
fn to_data(span: Span, scope: &InstrumentationScope) -> SpanData {
    let since_1970 = |time: Duration| SystemTime::UNIX_EPOCH.checked_add(time).unwrap_or(SystemTime::UNIX_EPOCH);
    SpanData {
        span_context: SpanContext::new(span.trace, span.id, TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: span.parent.unwrap_or(SpanId::INVALID),
        parent_span_is_remote: false,
        span_kind: span.kind,
        name: span.name,
        start_time: since_1970(span.began_at),
        end_time: since_1970(span.over_at),
        attributes: span.attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.status,
        instrumentation_scope: scope.clone(),
    }
}
