//! The HTTP server: metrics, probes, what is going on, and what can be changed.

/// Connections and their limits.
pub mod server;

/// How the routes refuse.
pub mod problem;

/// Who may ask and change.
pub mod token;

/// Who is signed in to the dashboard.
pub mod session;

/// Between who sees changes and who follows them.
pub mod channel;

/// What the routes answer from.
pub mod state;

/// One route, as it answers and as it is described.
pub mod route;

/// Metrics, probes, totals, and who is there.
pub mod probes;

/// The queues.
pub mod queues;

/// What can be changed of queues.
pub mod writes;

/// The pools, and who waits for their places.
pub mod pools;

/// The services, and what can be changed of them.
pub mod services;

/// The deployments, and what can be said of them.
pub mod deployments;

/// The modules that can be deployed.
pub mod modules;

/// The replicas of a service as they are shown.
mod replicas;

/// What another configuration would have done.
pub mod forecast;

/// What changes, as server-sent events.
pub mod changes;

/// The OpenAPI document.
pub mod openapi;

/// Pages for people.
pub mod dashboard;

/// Every route.
pub mod routes;

/// The client of the commands.
pub mod client;

/// The actions of services.
mod actions;
