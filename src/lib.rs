//! job-chief: starts Kubernetes Jobs for the messages of pg-boss queues, and keeps services up.
//!
//! Read in this order: [`decide::lifecycle`] decides what is to be done for a queue, [`actors::spawner`] holds it to
//! the world, [`app`] puts everything together. [`decide::keep_alive`] and [`actors::keeper`] are the same for a
//! service, [`decide::fleet`] what both have in common. The floors, from the ground up; each names only those
//! below it:

pub mod config;

pub mod decide;

pub mod clock;

pub mod fence;

pub mod telemetry;

pub mod health;

pub mod metrics;

pub mod sql;

pub mod queue;

pub mod store;

pub mod cluster;

pub mod actors;

pub mod http;

pub mod tables;

pub mod shutdown;

pub mod app;

pub mod cli;
