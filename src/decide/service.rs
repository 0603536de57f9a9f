//! One service: how its replicas are kept up, whatever happens to them.

pub mod desired;

pub mod start_order;

pub mod policy;

pub mod event;

pub mod state;

pub mod replica_health;

pub mod halting;

pub mod bad_generation;

pub mod target;

pub mod requirements;

pub mod actions;

pub mod job_checks;

pub mod external;

pub mod one_off_states;

pub mod one_offs;

pub mod sentence;

pub mod kept_places;

pub mod keep_alive;

pub mod replica_places;

pub mod rollout;

pub mod account;

pub mod status;
