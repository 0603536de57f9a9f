//! The panels of the dashboard, row by row: what each shows, in words and as a query.
//!
//! `$PROCESS` and `$CONFIG` are the matchers of what is chosen above the panels. After a hand-over the gauges of a JobConfig are
//! another replica's, so they are aggregated over `instance`.

use crate::dashboard::{
    panel::{A_MINUTE, COUNT, Kind, Panel, SECONDS, panel},
    service_panels::{DEPLOYMENTS, SERVICES},
};

/// All rows with their titles.
pub(super) const ROWS: &[(&str, &[Panel])] = &[
    ("At a glance", GLANCE),
    ("Queues", QUEUES),
    ("Jobs", JOBS),
    ("Sharing", SHARING),
    ("How long it takes", LATENCY),
    ("Services", SERVICES),
    ("Deployments", DEPLOYMENTS),
    ("Processes", PROCESSES),
];

const GLANCE: &[Panel] = &[
    panel(
        "Processes",
        (Kind::Number, "short"),
        &[("sum(up{$PROCESS} and on (namespace, job, instance) job_chief_build_info{$PROCESS})", "")],
        "Processes that answer Prometheus. One of each Instance leads, the others are ready to.",
    ),
    panel(
        "Leads",
        (Kind::Names, "short"),
        &[("job_chief_leader{$PROCESS} == 1", "{{instance}}")],
        "The process that leads. None for more than some seconds: nothing is started.",
    ),
    panel(
        "Version",
        (Kind::Names, "short"),
        &[("count by (version) (job_chief_build_info{$PROCESS})", "{{version}}")],
        "Versions that run. Two of them while a roll-out goes on.",
    ),
    panel(
        "Messages ready",
        (Kind::Number, "short"),
        &[("sum(max by (namespace, job, job_config) (job_chief_queue_messages{$CONFIG,state=\"ready\"}))", "")],
        "Messages that a worker could fetch now.",
    ),
    panel(
        "Oldest message",
        (Kind::Number, "s"),
        &[("max(job_chief_queue_oldest_ready_age_seconds{$CONFIG})", "")],
        "How long the message has waited that could be fetched first.",
    ),
    panel(
        "Live Jobs",
        (Kind::Number, "short"),
        &[("sum(max by (namespace, job, job_config, phase) (job_chief_jobs{$CONFIG}))", "")],
        "Jobs from their creation until they are Complete, Failed or gone.",
    ),
    panel(
        "Back off",
        (Kind::Number, "short"),
        &[(
            "count(max by (namespace, job, job_config) (job_chief_backoff_seconds{$CONFIG}) > 0) or vector(0) * count(job_chief_build_info{$PROCESS})",
            "",
        )],
        "JobConfigs that wait before they create again, for their Jobs do not start or fail in a row.",
    ),
    panel(
        "Services not up",
        (Kind::Number, "short"),
        &[(
            "count(max by (namespace, job, service_name) (job_chief_service_state{$PROCESS,state=~\"STARTED|RESTART|FAILED\"}) == 1) or vector(0) * count(job_chief_build_info{$PROCESS})",
            "",
        )],
        "Services that are wanted, and of which not every replica is up.",
    ),
];

const QUEUES: &[Panel] = &[
    panel(
        "Messages ready",
        COUNT,
        &[("max by (namespace, job_config) (job_chief_queue_messages{$CONFIG,state=\"ready\"})", "{{job_config}}")],
        "Messages of each queue that could be fetched now. A gap: Postgres was away, or nobody led.",
    ),
    panel(
        "Age of the oldest message",
        SECONDS,
        &[("max by (namespace, job_config) (job_chief_queue_oldest_ready_age_seconds{$CONFIG})", "{{job_config}}")],
        "How long the message has waited that could be fetched first. It rises while nothing is taken.",
    ),
    panel(
        "Messages by state",
        (Kind::Stack, "short"),
        &[(
            "sum by (state) (max by (namespace, job, job_config, state) (job_chief_queue_messages{$CONFIG}))",
            "{{state}}",
        )],
        "All messages of the queues by pg-boss's state; other states than ready are read every monitorStateIntervalSeconds.",
    ),
    panel(
        "Back-off",
        SECONDS,
        &[("max by (namespace, job_config) (job_chief_backoff_seconds{$CONFIG})", "{{job_config}}")],
        "How long until a Job may be created again. Teeth that grow: each trial fails.",
    ),
    panel(
        "Paused",
        (Kind::Lines, "bool_yes_no"),
        &[("max by (namespace, job_config) (job_chief_paused{$CONFIG})", "{{job_config}}")],
        "Yes while nothing is created until somebody resumes.",
    ),
    panel(
        "Took nothing",
        A_MINUTE,
        &[(
            "60 * sum by (job_config) (rate(job_chief_runs_took_nothing_total{$CONFIG}[$__rate_interval]))",
            "{{job_config}}",
        )],
        "Jobs a minute that succeeded without having taken a message: their worker listens elsewhere.",
    ),
];

const JOBS: &[Panel] = &[
    panel(
        "Live Jobs by phase",
        (Kind::Stack, "short"),
        &[("sum by (phase) (max by (namespace, job, job_config, phase) (job_chief_jobs{$CONFIG}))", "{{phase}}")],
        "Queued: the Job controller has not looked at it. Starting: no pod has run. Terminating: its pods still end.",
    ),
    panel(
        "Live Jobs",
        (Kind::Stack, "short"),
        &[(
            "sum by (job_config) (max by (namespace, job, job_config, phase) (job_chief_jobs{$CONFIG}))",
            "{{job_config}}",
        )],
        "Live Jobs of each JobConfig; at its top it has reached maxConcurrentJobs.",
    ),
    panel(
        "Terminating the longest",
        SECONDS,
        &[(
            "time() - min by (namespace, job_config) (job_chief_job_terminating_since_timestamp_seconds{$CONFIG})",
            "{{job_config}}",
        )],
        "How long the Job has been Terminating that hangs the longest. Some seconds are ordinary.",
    ),
    panel(
        "Created",
        A_MINUTE,
        &[(
            "60 * sum by (job_config) (rate(job_chief_jobs_created_total{$CONFIG}[$__rate_interval]))",
            "{{job_config}}",
        )],
        "Jobs a minute that the API server confirmed.",
    ),
    panel(
        "Ended, by outcome and reason",
        A_MINUTE,
        &[(
            "60 * sum by (outcome, reason) (rate(job_chief_runs_total{$CONFIG}[$__rate_interval]))",
            "{{outcome}}: {{reason}}",
        )],
        "Runs a minute by how and why they ended.",
    ),
    panel(
        "Ended badly",
        A_MINUTE,
        &[(
            "60 * sum by (job_config, outcome) (rate(job_chief_runs_total{$CONFIG,outcome=~\"failed|start_error|start_timed_out|vanished\"}[$__rate_interval]))",
            "{{job_config}}: {{outcome}}",
        )],
        "Runs a minute that failed, did not start, or were deleted by somebody else.",
    ),
];

const SHARING: &[Panel] = &[
    panel(
        "Places held, of those there are",
        (Kind::Lines, "percentunit"),
        &[(
            "max by (namespace, pool) (job_chief_pool_jobs{$PROCESS}) / max by (namespace, pool) (job_chief_pool_limit{$PROCESS})",
            "{{pool}}",
        )],
        "Places of each pool that Jobs hold; limits is the pool of all. At its top it is full; beyond it its limit was lowered, and it drains.",
    ),
    panel(
        "Waits for a place",
        SECONDS,
        &[("max by (namespace, job_config) (job_chief_waiting_for_place_seconds{$PROCESS})", "{{job_config}}")],
        "Since when each JobConfig wants a place that others have.",
    ),
    panel(
        "Age of the oldest message, of its target",
        (Kind::Lines, "percentunit"),
        &[(
            "max by (namespace, job_config) (job_chief_queue_oldest_ready_age_seconds{$CONFIG}) / max by (namespace, job_config) (job_chief_target_age_seconds{$CONFIG})",
            "{{job_config}}",
        )],
        "Beyond one the targetAge is missed: it goes before all that are within theirs.",
    ),
];

const LATENCY: &[Panel] = &[
    panel(
        "From a message to its Job",
        (Kind::Heat, "short"),
        &[("sum by (le) (increase(job_chief_message_to_job_seconds_bucket{$CONFIG}[$__rate_interval]))", "{{le}}")],
        "How long the first message of each decision had waited when its Job was created.",
    ),
    panel(
        "From a message to its Job, 99 of 100",
        SECONDS,
        &[(
            "histogram_quantile(0.99, sum by (job_config, le) (rate(job_chief_message_to_job_seconds_bucket{$CONFIG}[$__rate_interval])))",
            "{{job_config}}",
        )],
        "Within this time 99 of 100 messages had their Job. With notifications it is far below a second.",
    ),
    panel(
        "Start of a Job",
        SECONDS,
        &[
            (
                "histogram_quantile(0.5, sum by (le) (rate(job_chief_job_start_seconds_bucket{$CONFIG}[$__rate_interval])))",
                "half",
            ),
            (
                "histogram_quantile(0.99, sum by (le) (rate(job_chief_job_start_seconds_bucket{$CONFIG}[$__rate_interval])))",
                "99 of 100",
            ),
        ],
        "From a Job's creation to its first running container: scheduling, image, volumes.",
    ),
    panel(
        "Run of a Job",
        SECONDS,
        &[
            (
                "histogram_quantile(0.5, sum by (le) (rate(job_chief_job_duration_seconds_bucket{$CONFIG}[$__rate_interval])))",
                "half",
            ),
            (
                "histogram_quantile(0.99, sum by (le) (rate(job_chief_job_duration_seconds_bucket{$CONFIG}[$__rate_interval])))",
                "99 of 100",
            ),
        ],
        "From a Job's first running container to its end.",
    ),
    panel(
        "Look at the queues",
        SECONDS,
        &[(
            "histogram_quantile(0.99, sum by (le) (rate(job_chief_queue_read_duration_seconds_bucket{$PROCESS}[$__rate_interval])))",
            "99 of 100",
        )],
        "How long pg-boss's table took to answer.",
    ),
    panel(
        "Requests to the API server",
        SECONDS,
        &[(
            "histogram_quantile(0.99, sum by (verb, le) (rate(job_chief_kube_request_duration_seconds_bucket{$PROCESS}[$__rate_interval])))",
            "{{verb}}",
        )],
        "How long the API server took to answer 99 of 100 requests.",
    ),
];

const PROCESSES: &[Panel] = &[
    panel(
        "Who leads",
        (Kind::YesNo, "short"),
        &[("job_chief_leader{$PROCESS}", "{{instance}}")],
        "Which process leads its Instance.",
    ),
    panel(
        "What works",
        (Kind::YesNo, "short"),
        &[("job_chief_component_up{$PROCESS}", "{{instance}} {{component}}")],
        "What readiness stands on: schema (our tables in Postgres), queue (pg-boss's), kubernetes (the watches).",
    ),
    panel(
        "Requests by code",
        A_MINUTE,
        &[(
            "60 * sum by (verb, code) (rate(job_chief_kube_requests_total{$PROCESS}[$__rate_interval]))",
            "{{verb}} {{code}}",
        )],
        "Requests to the API server a minute; 409 is a Job that is there already, 404 one that is gone.",
    ),
    panel(
        "Looks by result",
        A_MINUTE,
        &[("60 * sum by (result) (rate(job_chief_queue_reads_total{$PROCESS}[$__rate_interval]))", "{{result}}")],
        "Looks at queues a minute; many of them share a statement.",
    ),
    panel(
        "Since the last look",
        SECONDS,
        &[(
            "time() - max by (namespace, job) (job_chief_queue_last_read_timestamp_seconds{$PROCESS})",
            "{{namespace}} {{job}}",
        )],
        "How long ago pg-boss's table was last read. It rises while Postgres is away.",
    ),
    panel(
        "Age of the view",
        SECONDS,
        &[("job_chief_view_age_seconds{$PROCESS}", "{{instance}}")],
        "Time since the watches last heard of the cluster. Beyond 120 s nothing is created.",
    ),
    panel(
        "Watches and jobs.json",
        COUNT,
        &[
            (
                "sum by (instance) (increase(job_chief_watch_restarts_total{$PROCESS}[$__rate_interval]))",
                "{{instance}} watches begun anew",
            ),
            (
                "sum by (instance, result) (increase(job_chief_config_reloads_total{$PROCESS}[$__rate_interval]))",
                "{{instance}} jobs.json read: {{result}}",
            ),
            ("1 - job_chief_config_last_reload_successful{$PROCESS}", "{{instance}} jobs.json is wrong"),
        ],
        "Watches that ended and began with a list, and what came of a changed jobs.json.",
    ),
    panel(
        "Memory",
        (Kind::Lines, "bytes"),
        &[(
            "process_resident_memory_bytes{$PROCESS} and on (namespace, job, instance) job_chief_build_info{$PROCESS}",
            "{{instance}}",
        )],
        "Resident memory of each process.",
    ),
    panel(
        "CPU",
        (Kind::Lines, "percentunit"),
        &[(
            "rate(process_cpu_seconds_total{$PROCESS}[$__rate_interval]) and on (namespace, job, instance) job_chief_build_info{$PROCESS}",
            "{{instance}}",
        )],
        "Share of one core.",
    ),
    panel(
        "Open files",
        COUNT,
        &[(
            "process_open_fds{$PROCESS} and on (namespace, job, instance) job_chief_build_info{$PROCESS}",
            "{{instance}}",
        )],
        "Open files and connections of each process.",
    ),
];
