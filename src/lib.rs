//! job-chief: starts Kubernetes Jobs for the messages of pg-boss queues.
//!
//! Read in this order: [`decide::lifecycle`] decides, [`actors`] hold the decider to the world,
//! [`app`] puts everything together.

pub mod config;

pub mod decide;
