//! The HTTP server: metrics, probes, and what is going on.

pub mod routes;

pub mod client;
