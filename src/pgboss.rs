//! pg-boss's tables, read only.
//!
//! Another queue in Postgres would be a sibling of this room: what decides knows of depths and looks alone.

/// Connections, and TLS.
pub mod connect;

/// Why the tables can't be read.
pub mod error;

/// What the tables look like, in whichever version.
pub mod shape;

/// How many messages could be fetched now.
pub mod depth;

/// The looks of all JobConfigs, gathered into few statements.
pub mod looks;

/// The messages that it remembers, for forecasts.
pub mod history;

/// pg-boss's notifications.
pub mod listen;

/// The connection that listens, for looks whose plan it keeps.
pub mod line;

/// How many messages there are in each state.
pub mod totals;

/// What a server, its role and the queues are like, for who asks whether all is well.
pub mod survey;

/// The way to Postgres: whether it is open, through a pooler or not, and whether notifications come along it.
pub mod way;

/// Whether it is encrypted, and until when the certificate is valid.
pub mod tls;
