//! The page on metrics against a page of metrics on which every family has a value.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use job_chief::{
    decide::{
        decision::Decision,
        deployment::record::{DEPLOYMENT_STATES, DeploymentState, OBJECT_STATES},
        outcome::{Outcome, Reason},
        queue::{scale::Look, status::Status},
        run::{live_job::Phases, milestone::Milestone},
        service::{state::ServiceState, status::ServiceStatus},
        share::usage::{MemberWait, PoolUsage},
    },
    metrics::{Metrics, pool_gauges},
    pgboss::totals::States,
};

use crate::page;

const NOW: Duration = Duration::from_secs(1_000);

/// A page on which everything that can be exported is.
fn exported() -> String {
    let metrics = Metrics::new().unwrap();
    let gauges = &metrics.queues.gauges;
    let mail = gauges.begin("mail", "mail", Duration::from_secs(10), Some(NOW));
    let look = Look { old: 2, new: 1, limit: 10, oldest_age: Some(NOW), ..Look::default() };
    metrics.queues.note_looks(&[look], NOW);
    mail.note_look(&look, NOW);
    let some = States {
        created: 2,
        retry: 1,
        active: 1,
        completed: 1,
        cancelled: 1,
        failed: 1,
        deferred: 1,
        ..States::default()
    };
    gauges.note_totals("mail", some.gauges(), NOW, Duration::from_secs(30));
    for result in ["ok", "error"] {
        metrics.queues.reads.with_label_values(&[result]).inc();
        metrics.process.reloads.with_label_values(&[result]).inc();
    }
    metrics.queues.read_duration.observe(0.1);
    let status = Status {
        phases: Phases { queued: 1, starting: 1, running: 1, terminating: 1 },
        decided: Some(Arc::new((NOW, Decision::default()))),
        backoff_until: Some(NOW),
        paused: true,
        in_force: Some(Box::default()),
        terminating_since: Some(NOW),
        ..Status::default()
    };
    metrics.note_status("mail", &Status::default(), &status, NOW);
    metrics.jobs_created.with_label_values(&["mail"]).inc();
    for milestone in [
        Milestone::OneOffEnded { purpose: "check", outcome: Outcome::Failed },
        Milestone::Created { waited: NOW },
        Milestone::Started { took: NOW },
        Milestone::Ended { outcome: Outcome::Failed, reason: Reason::ExitCode },
        Milestone::TookNothing,
    ] {
        metrics.note_milestone("mail", &milestone);
    }
    metrics.job_duration.with_label_values(&["mail"]).observe(1.0);
    for result in ["sent", "failed", "dropped"] {
        metrics.trace_spans.with_label_values(&[result]).inc();
    }
    metrics.process.note_component("schema", true);
    metrics.note_kube_request("create", "201", NOW);
    let running = ServiceStatus { state: ServiceState::Running, since: NOW, ready: 1, ..ServiceStatus::default() };
    metrics.services.note_status("redis", &ServiceStatus::default(), &running);
    metrics.services.note_status("redis", &running, &ServiceStatus { restarts: 1, ..running.clone() });
    metrics.services.note_check("redis", NOW);
    for state in DEPLOYMENT_STATES {
        metrics.deployments.note_deployments(state, 1);
    }
    metrics.deployments.note("cache", DeploymentState::Settled, &OBJECT_STATES);
    metrics.deployments.note_list_errors(1);
    let pool = PoolUsage {
        pool: "gpu".into(),
        limit: Some(4),
        creates_per_minute: None,
        held: 1,
        holders: vec![],
        waiting: 1,
    };
    let wait = MemberWait { job_config: "mail".into(), since: Some(NOW) };
    metrics.page_with(NOW, pool_gauges::families(&[pool], &[wait], NOW).unwrap()).unwrap()
}

/// What is told of one metric.
#[derive(Debug, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
}

/// The values that a label of a family has, by the names of both.
type LabelValues = BTreeMap<(String, String), BTreeSet<String>>;

/// Our own families of a page in Prometheus' text format, and the values of their labels.
fn families(page: &str) -> (BTreeMap<String, Family>, LabelValues) {
    let (mut found, mut values) = (BTreeMap::<String, Family>::new(), LabelValues::new());
    let mut name = String::new();
    for line in page.lines() {
        if let Some(told) = line.strip_prefix("# TYPE ") {
            let (family, kind) = told.split_once(' ').unwrap();
            family.clone_into(&mut name);
            found.insert(name.clone(), Family { kind: kind.to_owned(), ..Family::default() });
        } else if let Some((labels, _)) = line.split_once('{').and_then(|(_, rest)| rest.split_once('}')) {
            for (label, value) in
                labels.split(',').filter_map(|pair| pair.split_once('=')).filter(|(label, _)| *label != "le")
            {
                found.get_mut(&name).unwrap().labels.insert(label.to_owned());
                values.entry((name.clone(), label.to_owned())).or_default().insert(value.trim_matches('"').to_owned());
            }
        }
    }
    found.retain(|name, _| !name.starts_with("process_"));
    (found, values)
}

/// The families of the document, each with its text.
fn documented() -> (BTreeMap<String, Family>, BTreeMap<String, String>) {
    let unquoted = |cell: &str| cell.trim_matches('`').to_owned();
    let (mut found, mut texts) = (BTreeMap::new(), BTreeMap::new());
    for row in page::table("docs/metrics.md", "## Every metric") {
        let [name, kind, labels, text] = row.as_slice() else { panic!("{row:?} has other cells") };
        let labels = labels.split(", ").filter(|label| !label.is_empty()).map(unquoted).collect();
        let known = found.insert(unquoted(name), Family { kind: kind.clone(), labels });
        assert!(known.is_none(), "{name} stands twice in docs/metrics.md");
        texts.insert(unquoted(name), text.clone());
    }
    (found, texts)
}

#[test]
fn the_page_on_metrics_has_each_that_is_exported_with_its_type_and_labels() {
    let (exported, _) = families(&exported());
    let (documented, _) = documented();
    for (name, family) in &exported {
        assert_eq!(documented.get(name), Some(family), "docs/metrics.md on {name}");
    }
    for name in documented.keys() {
        assert!(exported.contains_key(name), "docs/metrics.md tells of {name}, which is not exported");
    }
}

#[test]
fn the_words_of_labels_are_on_the_page() {
    let (_, values) = families(&exported());
    let (_, texts) = documented();
    for ((name, label), words) in values {
        for word in words.iter().filter(|_| ["state", "phase", "result"].contains(&label.as_str())) {
            assert!(
                texts[&name].contains(word.as_str()),
                "docs/metrics.md says nothing of {label}=\"{word}\" of {name}"
            );
        }
    }
}

/// A family without a series stands on no page of metrics, so what is registered is looked up in the source.
#[test]
fn no_metric_is_registered_that_this_test_gives_no_value() {
    let (exported, _) = families(&exported());
    let source =
        ["", "/queue_gauges", "/pool_gauges"].map(|file| page::read(&format!("src/metrics{file}.rs"))).concat();
    let calls = [
        "page.gauge(",
        "page.int_gauge(",
        "page.gauges(",
        "page.float_gauges(",
        "page.counter(",
        "page.counters(",
        "page.histogram(",
        "page.histograms(",
        "Opts::new(",
        "Family::new(",
    ];
    let named = calls.iter().flat_map(|call| source.split(*call).skip(1)).filter_map(|rest| {
        let name = rest.trim_start().strip_prefix('"')?.split('"').next()?;
        Some(format!("job_chief_{name}"))
    });
    let registered: BTreeSet<String> = named.collect();
    assert_eq!(registered, exported.into_keys().collect());
}
