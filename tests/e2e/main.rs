//! job-chief on a real cluster: real pods in real containers, messages of pg-boss' own client.
//! `cargo xtask test` brings the cluster up and sets `JOB_CHIEF_TEST_STATE`.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "test code")]

mod alone;
mod api;
mod apply;
mod browser;
mod chart;
#[expect(dead_code, reason = "tests/traces needs all of it")]
#[path = "../traces/collector.rs"]
mod collector;
#[path = "../http/contract.rs"]
mod contract;
mod cut;
mod database;
mod deployments;
mod doctor;
mod ends;
mod first_job;
mod gauges;
mod in_cluster;
mod laptop;
mod modules_page;
mod nodes;
mod one_offs;
mod outages;
mod path;
mod prometheus;
mod proxy;
mod recording;
mod reload;
mod replicas;
mod rollouts;
mod services;
mod sharing;
mod stage;
mod switching;
mod traces;
mod versions;
mod watched;
