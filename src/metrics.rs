//! The metrics page: every name, its type and its labels, in one place; those of the gauges of queues are in
//! `queue_gauges.rs`.

pub mod deployment_gauges;
pub mod last_hour;
pub mod pool_gauges;
pub mod queue_gauges;
mod series;
mod text;

use std::time::Duration;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, proto::MetricFamily,
};

use crate::decide::{
    queue::{scale::Look, status::Status},
    run::milestone::Milestone,
    service::{state::SERVICE_STATES as STATES_OF_SERVICES, status::ServiceStatus},
};
use crate::metrics::{deployment_gauges::DeploymentGauges, queue_gauges::QueueGauges, series::absent};

/// Buckets of durations that people wait for, in seconds.
const WAIT_BUCKETS: [f64; 8] = [0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0];

/// Buckets of how long a check takes, in seconds; it is given up after two.
const CHECK_BUCKETS: [f64; 5] = [0.001, 0.01, 0.1, 0.5, 2.0];

/// Buckets of how long Jobs run, in seconds.
const RUN_BUCKETS: [f64; 8] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0];

/// Everything that is counted.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is the metric it is named after, with its help text below")]
pub struct Metrics {
    registry: Registry,
    pub queues: QueueMetrics,
    pub jobs: IntGaugeVec,
    pub jobs_created: IntCounterVec,
    pub runs: IntCounterVec,
    pub took_nothing: IntCounterVec,
    pub message_to_job: HistogramVec,
    pub job_start: HistogramVec,
    pub job_duration: HistogramVec,
    pub terminating_since: GaugeVec,
    pub backoff: GaugeVec,
    pub paused: IntGaugeVec,
    pub jobs_max: IntGaugeVec,
    kube_requests: IntCounterVec,
    kube_request_duration: HistogramVec,
    pub trace_spans: IntCounterVec,
    pub process: ProcessMetrics,
    pub services: ServiceMetrics,
    pub deployments: DeploymentGauges,
}

/// How the services do.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is the metric it is named after, with its help text below")]
pub struct ServiceMetrics {
    pub state: IntGaugeVec,
    pub ready: IntGaugeVec,
    pub outdated: IntGaugeVec,
    pub restarts: IntCounterVec,
    pub check_duration: HistogramVec,
    pub one_offs: IntCounterVec,
}

impl ServiceMetrics {
    fn new(page: &Page<'_>) -> prometheus::Result<Self> {
        let by_service = &["service_name"];
        Ok(Self {
            state: page.gauges(
                "service_state",
                "1 for the state of the service, 0 for the others.",
                &["service_name", "state"],
            )?,
            ready: page.gauges("service_ready_replicas", "Replicas that are up.", by_service)?,
            outdated: page.gauges(
                "service_outdated_replicas",
                "Replicas of another generation that are yet to be replaced one after another.",
                by_service,
            )?,
            restarts: page.counters("service_restarts_total", "Replicas that were started anew.", by_service)?,
            check_duration: page.histograms(
                "service_check_duration_seconds",
                "How long a check took.",
                by_service,
                &CHECK_BUCKETS,
            )?,
            one_offs: page.counters(
                "service_one_offs_total",
                "Jobs that ran once beside the replicas of a service, by what for and how they ended.",
                &["service_name", "purpose", "outcome"],
            )?,
        })
    }

    /// A service's state changed.
    pub fn note_status(&self, name: &str, before: &ServiceStatus, status: &ServiceStatus) {
        for state in STATES_OF_SERVICES {
            let is = status.state == state;
            if is != (before.state == state) || status.since.is_zero() || before.since.is_zero() {
                self.state.with_label_values(&[name, state.as_str()]).set(is.into());
            }
        }
        self.ready.with_label_values(&[name]).set(status.ready.into());
        let outdated = status.rollout.as_ref().map_or(0, |rollout| rollout.outdated);
        self.outdated.with_label_values(&[name]).set(outdated.into());
        // What other processes counted is not counted again.
        if !before.since.is_zero() {
            let more = status.restarts.saturating_sub(before.restarts);
            self.restarts.with_label_values(&[name]).inc_by(more);
        }
    }

    /// A check was answered.
    pub fn note_check(&self, name: &str, took: Duration) {
        self.check_duration.with_label_values(&[name]).observe(took.as_secs_f64());
    }

    /// A service is gone: its gauges go with it.
    pub fn forget(&self, name: &str) {
        for state in STATES_OF_SERVICES {
            absent(self.state.remove_label_values(&[name, state.as_str()]));
        }
        absent(self.ready.remove_label_values(&[name]));
        absent(self.outdated.remove_label_values(&[name]));
    }
}

/// What this process is and sees.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is the metric it is named after, with its help text below")]
pub struct ProcessMetrics {
    pub view_age: Gauge,
    pub watch_restarts: IntCounter,
    pub leader: IntGauge,
    kube_requests_max: IntGauge,
    components: IntGaugeVec,
    pub reloads: IntCounterVec,
    pub last_reload_successful: IntGauge,
}

impl ProcessMetrics {
    fn new(page: &Page<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            view_age: page.gauge("view_age_seconds", "Time since the watches last heard of the cluster.")?,
            watch_restarts: page.counter("watch_restarts_total", "Watches that ended and began again with a list.")?,
            leader: page.int_gauge("leader", "1 while this process leads its Instance.")?,
            kube_requests_max: page.int_gauge(
                "kube_requests_in_flight_max",
                "Requests that may be in flight to the API server, by how it answers.",
            )?,
            components: page.gauges(
                "component_up",
                "1 while what readiness stands on works, by component.",
                &["component"],
            )?,
            reloads: page.counters("config_reloads_total", "Changed jobs.json files by result.", &["result"])?,
            last_reload_successful: page.int_gauge(
                "config_last_reload_successful",
                "0 while jobs.json is wrong and the last good one is in force.",
            )?,
        })
    }
}

impl ProcessMetrics {
    /// A part that readiness stands on works, or does not.
    pub fn note_component(&self, component: &str, works: bool) {
        self.components.with_label_values(&[component]).set(works.into());
    }
}

/// What is known of the queues, and how it was come by.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is the metric it is named after, with its help text below")]
pub struct QueueMetrics {
    pub gauges: QueueGauges,
    pub last_read: Gauge,
    pub reads: IntCounterVec,
    pub read_duration: Histogram,
}

impl QueueMetrics {
    fn new(page: &Page<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            gauges: QueueGauges::default(),
            last_read: page.gauge(
                "queue_last_read_timestamp_seconds",
                "When pg-boss's table was last read: how old the gauges of queues are while Postgres is away.",
            )?,
            reads: page.counters("queue_reads_total", "Looks at queues by result.", &["result"])?,
            read_duration: page.histogram("queue_read_duration_seconds", "How long a look at the queues took.")?,
        })
    }

    /// These looks were answered together.
    pub fn note_looks(&self, looks: &[Look], now: Duration) {
        self.gauges.note_heard(now);
        let read_at =
            looks.iter().map(|look| Duration::from_micros(u64::try_from(look.at_us).unwrap_or_default())).max();
        read_at.into_iter().for_each(|at| self.last_read.set(at.as_secs_f64()));
    }

    /// So many looks that were asked for together were answered after this time, or were not.
    pub fn note_reads(&self, looks: usize, took: Duration, works: bool) {
        (0..looks).for_each(|_| self.read_duration.observe(took.as_secs_f64()));
        let result = if works { "ok" } else { "error" };
        self.reads.with_label_values(&[result]).inc_by(u64::try_from(looks).unwrap_or(u64::MAX));
    }
}

impl Metrics {
    /// A page with nothing counted yet.
    ///
    /// # Errors
    /// If a name were invalid or given twice.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let page = Page(&registry);
        let build = page.gauges("build_info", "1, with the version as a label.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            queues: QueueMetrics::new(&page)?,
            jobs: page.gauges("jobs", "Live Jobs by phase.", &["job_config", "phase"])?,
            jobs_created: page.counters(
                "jobs_created_total",
                "Jobs that the API server confirmed.",
                &["job_config"],
            )?,
            runs: page.counters(
                "runs_total",
                "Runs that ended, by outcome and reason.",
                &["job_config", "outcome", "reason"],
            )?,
            took_nothing: page.counters(
                "runs_took_nothing_total",
                "Successes during which none of the messages they were started for was taken.",
                &["job_config"],
            )?,
            message_to_job: page.histograms(
                "message_to_job_seconds",
                "From the time a message could be fetched to the Job that was created for it.",
                &["job_config"],
                &WAIT_BUCKETS,
            )?,
            job_start: page.histograms(
                "job_start_seconds",
                "From a Job's creation to its first running container.",
                &["job_config"],
                &WAIT_BUCKETS,
            )?,
            terminating_since: page.float_gauges(
                "job_terminating_since_timestamp_seconds",
                "Since when the Job hangs that has been Terminating the longest.",
                &["job_config"],
            )?,
            job_duration: page.histograms(
                "job_duration_seconds",
                "From a Job's first running pod to its end.",
                &["job_config"],
                &RUN_BUCKETS,
            )?,
            backoff: page.float_gauges(
                "backoff_seconds",
                "How long until a Job may be created again.",
                &["job_config"],
            )?,
            paused: page.gauges("paused", "1 while nothing is created until resumed.", &["job_config"])?,
            jobs_max: page.gauges("max_concurrent_jobs", "Jobs that windows allow now.", &["job_config"])?,
            kube_requests: page.counters("kube_requests_total", "Requests to the API server.", &["verb", "code"])?,
            kube_request_duration: page.histograms(
                "kube_request_duration_seconds",
                "How long requests to the API server took.",
                &["verb"],
                &WAIT_BUCKETS,
            )?,
            trace_spans: page.counters("trace_spans_total", "Spans of traces by what became of them.", &["result"])?,
            process: ProcessMetrics::new(&page)?,
            services: ServiceMetrics::new(&page)?,
            deployments: deployment_gauges(&page)?,
            registry,
        })
    }

    /// The page in Prometheus' text format, as of `now`.
    ///
    /// # Errors
    /// If a family can't be encoded.
    pub fn page(&self, now: Duration) -> prometheus::Result<String> {
        self.page_with(now, vec![])
    }

    /// The same with what stands in no registry.
    ///
    /// # Errors
    /// If a family can't be encoded.
    pub fn page_with(&self, now: Duration, more: Vec<MetricFamily>) -> prometheus::Result<String> {
        let mut families = self.registry.gather();
        families.extend(more);
        families.sort_by(|one, other| one.name().cmp(other.name()));
        let mut page = TextEncoder::new().encode_to_string(&families)?;
        self.queues.gauges.write(&mut page, now);
        Ok(page)
    }

    /// A request to the API server was answered, or not.
    pub fn note_kube_request(&self, verb: &str, code: &str, took: Duration) {
        self.kube_requests.with_label_values(&[verb, code]).inc();
        self.kube_request_duration.with_label_values(&[verb]).observe(took.as_secs_f64());
    }

    /// So many requests may be in flight to the API server.
    pub fn note_kube_places(&self, places: usize) {
        self.process.kube_requests_max.set(i64::try_from(places).unwrap_or(i64::MAX));
    }

    /// Requests that may be in flight to the API server.
    #[cfg(test)]
    pub fn kube_places(&self) -> i64 {
        self.process.kube_requests_max.get()
    }

    /// Something happened that is counted.
    pub fn note_milestone(&self, config: &str, milestone: &Milestone) {
        match milestone {
            Milestone::Created { waited } => {
                self.message_to_job.with_label_values(&[config]).observe(waited.as_secs_f64());
            }
            Milestone::Started { took } => self.job_start.with_label_values(&[config]).observe(took.as_secs_f64()),
            Milestone::Ended { outcome, reason } => {
                self.runs.with_label_values(&[config, outcome.as_str(), reason.as_str()]).inc();
            }
            Milestone::OneOffEnded { purpose, outcome } => {
                self.services.one_offs.with_label_values(&[config, purpose, outcome.as_str()]).inc();
            }
            Milestone::TookNothing => self.took_nothing.with_label_values(&[config]).inc(),
        }
    }

    /// A JobConfig is gone: its gauges go with it, its counters stay what they were.
    pub fn forget(&self, config: &str) {
        self.queues.gauges.forget(config);
        for phase in PHASES {
            absent(self.jobs.remove_label_values(&[config, phase]));
        }
        absent(self.backoff.remove_label_values(&[config]));
        absent(self.paused.remove_label_values(&[config]));
        absent(self.jobs_max.remove_label_values(&[config]));
        absent(self.terminating_since.remove_label_values(&[config]));
    }

    /// A JobConfig's state changed. What has never been anything else than zero has no series: most of many
    /// JobConfigs are idle, and a series costs more than they do.
    pub fn note_status(&self, config: &str, before: &Status, status: &Status, now: Duration) {
        for ((phase, was), is) in PHASES.into_iter().zip(counts(before)).zip(counts(status)) {
            if was != is {
                self.jobs.with_label_values(&[config, phase]).set(i64::try_from(is).unwrap_or(i64::MAX));
            }
        }
        if before.backoff_until.is_some() || status.backoff_until.is_some() {
            let backoff = status.backoff_until.map_or(Duration::ZERO, |until| until.saturating_sub(now));
            self.backoff.with_label_values(&[config]).set(backoff.as_secs_f64());
        }
        if before.paused != status.paused {
            self.paused.with_label_values(&[config]).set(status.paused.into());
        }
        match (&before.in_force, &status.in_force) {
            (_, Some(in_force)) => self.jobs_max.with_label_values(&[config]).set(in_force.max.into()),
            (Some(_), None) => absent(self.jobs_max.remove_label_values(&[config])),
            (None, None) => {}
        }
        match (before.terminating_since, status.terminating_since) {
            (_, Some(since)) => self.terminating_since.with_label_values(&[config]).set(since.as_secs_f64()),
            (Some(_), None) => absent(self.terminating_since.remove_label_values(&[config])),
            (None, None) => {}
        }
    }
}

fn deployment_gauges(page: &Page<'_>) -> prometheus::Result<DeploymentGauges> {
    let of_one = &["deployment", "state"];
    Ok(DeploymentGauges {
        deployments: page.gauges("deployments", "Deployments by state.", &["state"])?,
        state: page.gauges("deployment_state", "1 for the state of the deployment, 0 for the others.", of_one)?,
        objects: page.gauges("deployment_objects", "Objects of each deployment by state.", of_one)?,
        list_errors: page.int_gauge(
            "deployment_list_errors",
            "Entries of the list of modules to deploy that could not be deployed.",
        )?,
    })
}

fn counts(status: &Status) -> [u64; 4] {
    let phases = &status.phases;
    [phases.queued, phases.starting, phases.running, phases.terminating]
}

/// The label `phase` of the gauge of Jobs.
const PHASES: [&str; 4] = ["queued", "starting", "running", "terminating"];

/// Registers metrics under the prefix of the service.
struct Page<'a>(&'a Registry);

impl Page<'_> {
    fn opts(name: &str, help: &str) -> Opts {
        Opts::new(name, help).namespace("job_chief")
    }

    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, metric: C) -> prometheus::Result<C> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.add(Gauge::with_opts(Self::opts(name, help))?)
    }

    fn int_gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::with_opts(Self::opts(name, help))?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Self::opts(name, help), labels)?)
    }

    fn float_gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        self.add(GaugeVec::new(Self::opts(name, help), labels)?)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::with_opts(Self::opts(name, help))?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Self::opts(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str) -> prometheus::Result<Histogram> {
        let opts = HistogramOpts { common_opts: Self::opts(name, help), buckets: WAIT_BUCKETS.to_vec() };
        self.add(Histogram::with_opts(opts)?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts { common_opts: Self::opts(name, help), buckets: buckets.to_vec() };
        self.add(HistogramVec::new(opts, labels)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_component_is_one_while_it_works_and_zero_while_it_does_not() {
        let metrics = Metrics::new().expect("valid names");
        for works in [true, false] {
            metrics.process.note_component("schema", works);
            let page = metrics.page(Duration::ZERO).expect("a page");
            let line = format!("job_chief_component_up{{component=\"schema\"}} {}\n", u8::from(works));
            assert!(page.contains(&line), "{page}");
        }
    }
}
