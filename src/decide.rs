//! Everything that is decided: pure code, no I/O, no clock, no randomness.
//!
//! Time is a [`std::time::Duration`] since the process started and comes in as an argument; what is
//! to be done to the world goes out as data. So every history can be replayed, and searched.

pub mod run;

pub mod scale;

pub mod backoff;

pub mod observation;

pub mod digest;

pub mod names;

pub mod manifest;

pub mod env;

pub mod policy;

pub mod event;

pub mod notes;

pub mod progress;

pub mod patience;

pub mod tracking;

pub mod history;

pub mod fleet;

pub mod lifecycle;

pub mod demand;

pub mod status;

pub mod lease;

pub mod switches;

pub mod service;

pub mod turn;

pub mod wellness;

pub mod keep_alive;

pub mod state;
