//! What `chaos` draws and judges by, without a cluster.
#![expect(dead_code, reason = "a part of it only a run with a cluster needs")]

#[path = "../simulation/dice.rs"]
mod dice;
mod judge;
mod judge_tests;
mod messages;
mod schedule;
mod schedule_tests;
mod seen;
mod table;
mod table_tests;
