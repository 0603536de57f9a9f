//! One service: how its replicas are kept up, whatever happens to them.

pub mod desired;

pub mod start_order;

pub mod policy;

pub mod event;

pub mod state;

pub mod sentences;

pub mod replica_health;

pub mod halting;

pub mod bad_generation;

pub mod keep_alive;

pub mod rollout;

pub mod account;

pub mod status;
