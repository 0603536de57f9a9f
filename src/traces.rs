//! Traces on their way to a collector: a queue with a bound, a task that empties it, the exporter of OpenTelemetry.
//!
//! Nothing here is there unless traces are wanted, and nobody who starts Jobs ever waits for it: what does not fit is dropped,
//! and counted.

/// Whom spans are told, and who sends them.
pub mod tracer;

/// The way to the collector.
pub mod collector;
