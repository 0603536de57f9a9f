//! The real lifecycle and the real observation code in a seeded world of fakes with faults.
//!
//! `SIMULATION_TRACE=1` prints every event with its effects. `SIMULATION_SEEDS` and `SIMULATION_STEPS` make a longer run, `SIMULATION_SEED` one history (of the kinds of `SIMULATION_FAULTS` only). A failing
//! history is shrunk (fewer steps, fewer kinds of faults), printed, and belongs into `kept.txt`.
#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::disallowed_methods, reason = "test code")]

mod arbiter;
mod arbiter_world;
mod cluster;
mod deployment_world;
mod deployments;
mod dice;
mod disturb;
mod explore;
mod faults;
mod histories;
mod policy;
mod pools;
mod pools_broker;
mod pools_disturb;
mod pools_world;
mod queues;
mod recorded;
mod rivals;
mod rollouts;
mod scout;
mod search;
mod service_disturb;
mod service_one_offs;
mod service_world;
mod services;
mod sharing_search;
mod states;
mod store;
mod views;
mod windows;
mod world;
