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

/// How far another machine's clock is ahead of ours, and how exactly that is known: half of what the question took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Negative where it is behind.
    pub millis: i64,
    /// It may be so much more or less.
    pub within_millis: i64,
}

impl Ahead {
    /// What an answer tells that holds their time, in milliseconds since 1970.
    pub fn of(sent: Duration, came: Duration, their_unix_millis: i64) -> Self {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let within_millis = millis(came.saturating_sub(sent)) / 2;
        Self { millis: their_unix_millis.saturating_sub(millis(sent)).saturating_sub(within_millis), within_millis }
    }
}

/// Waits until a time of this clock. The future holds that time alone.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub fn sleep_until(clock: Clock, time: Duration) -> impl Future<Output = ()> {
    let instant = clock.start.checked_add(time.saturating_sub(clock.start_unix));
    async move {
        match instant {
            Some(instant) => tokio::time::sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub async fn sleep(wait: Duration) {
    tokio::time::sleep(wait).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_clock_is_held_against_the_middle_of_the_question() {
        let ms = Duration::from_millis;
        assert_eq!(Ahead::of(ms(1000), ms(1200), 1100), Ahead { millis: 0, within_millis: 100 });
        assert_eq!(Ahead::of(ms(1000), ms(1200), 4100), Ahead { millis: 3000, within_millis: 100 });
        assert_eq!(Ahead::of(ms(5000), ms(5000), 1000), Ahead { millis: -4000, within_millis: 0 });
    }
}
