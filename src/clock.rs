//! The one home of clocks and sleeps: everything else gets the time as an argument.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The time since 1970 by the machine's clock at the start, going on monotonically: a clock that jumps
/// later moves nothing.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    start_unix: Duration,
}

impl Clock {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    pub fn start() -> Self {
        let start_unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), start_unix }
    }

    /// Since 1970.
    pub fn now(self) -> Duration {
        self.start_unix.saturating_add(self.start.elapsed())
    }

    /// Milliseconds since 1970.
    pub fn unix_millis(self) -> i64 {
        i64::try_from(self.now().as_millis()).unwrap_or(i64::MAX)
    }
}

/// Waits until a time of this clock.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub async fn sleep_until(clock: Clock, time: Duration) {
    let instant = clock.start.checked_add(time.saturating_sub(clock.start_unix));
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub async fn sleep(wait: Duration) {
    tokio::time::sleep(wait).await;
}
