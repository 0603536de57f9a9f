//! job-chief: starts Kubernetes Jobs for the messages of pg-boss queues, and keeps services up.
//!
//! Read in this order: [`decide::queue::lifecycle`] decides what is to be done for a queue, [`actors::spawner`] performs
//! it, [`app`] puts everything together. [`decide::service::keep_alive`] and [`actors::keeper`] are the same for a
//! service, [`decide::run`] is what both have in common. The floors, from the ground up; each names only those below it:

/// What people write: jobs.json and the settings, checked whole.
pub mod config;

/// Modules: templates of what is deployed together.
pub mod modules;

/// Texts of others, made safe for a terminal.
pub mod harmless;

/// The configuration of other tools, as entries of jobs.json: pure code.
pub mod import;

/// Everything that is decided: pure code.
pub mod decide;

/// The one home of clocks and sleeps.
pub mod clock;

/// Values that many have, each kept once.
pub mod interned;

/// The newest of what one task tells, for those who follow it.
pub mod latest;

/// The end of a term, as requests look at it.
pub mod fence;

/// Statements with their values in them, each one message.
pub mod sql;

/// Logs.
pub mod telemetry;

/// Which component works, and what is wrong with the others.
pub mod health;

/// The metrics page.
pub mod metrics;

/// pg-boss's tables, read only.
pub mod pgboss;

/// Our own tables.
pub mod store;

/// Kubernetes: the views, and the only writer.
pub mod cluster;

/// Traces, on their way to a collector.
pub mod traces;

/// The tasks that join decisions and adapters.
pub mod actors;

/// What the commands print.
pub mod tables;

/// The pages, what can be changed through them, and the client of the commands.
pub mod http;

/// What works, what does not, and what to do about it.
pub mod doctor;

/// The end of the process, in two stages.
pub mod shutdown;

/// The composition root.
pub mod app;

/// The commands.
pub mod cli;
