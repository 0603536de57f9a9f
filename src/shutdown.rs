//! The end in two stages: drain within a bound, then go.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long requests in flight may take after SIGTERM: more than one request's timeout, less than the 30 s
/// after which Kubernetes kills.
pub const DRAIN_MAX: Duration = Duration::from_secs(20);

/// How long the last traces may take: with what goes before it still less than those 30 s.
pub const FLUSH_MAX: Duration = Duration::from_secs(3);

/// Cancels the token at the first SIGTERM or SIGINT.
///
/// # Errors
/// If signals can't be listened for.
pub async fn on_signal(token: CancellationToken) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal = name, "no new Jobs from here on; running Jobs go on without us");
    token.cancel();
    Ok(())
}
