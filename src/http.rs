//! The HTTP server: metrics, probes, and what is going on.

pub mod desk;

pub mod routes;

pub mod writes;

pub mod services;

pub mod token;

pub mod client;
