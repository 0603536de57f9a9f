//! The HTTP server: metrics, probes, and what is going on.

/// How the routes refuse.
pub mod refusal;

/// Who may change something.
pub mod token;

/// What the routes answer from.
pub mod state;

/// What can be changed of queues.
pub mod writes;

/// The services, and what can be changed of them.
pub mod services;

/// Every route with its answer.
pub mod routes;

/// The client of the commands.
pub mod client;
