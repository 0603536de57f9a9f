//! What JobConfigs share: who gets a free place in a pool.
//!
//! Each member tells its whole `Need` whenever it has changed; the arbiter answers with `Grant`s. Nothing
//! is counted up and down: who holds what is derived from the newest needs, so no place can leak.

pub mod policy;

pub mod need;

pub mod arbiter;

mod granting;

mod doubt;

pub mod usage;

pub mod account;

pub mod sentence;

mod bucket;

mod holding;

mod index;

mod member;

mod standing;

mod virtual_time;
