//! What the windows of a queue make of it, in words.

use std::time::Duration;

use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::decide::queue::windows::{InForce, Windows};

/// Within so many seconds a day of the week says which is meant.
const WEEK_SECONDS: u64 = 6 * 24 * 3600;

impl InForce {
    /// Nothing may be created until a window opens, or one closes.
    pub fn is_closed(&self) -> bool {
        self.max == 0
    }

    /// `closed since 06:00 Europe/Zurich, opens Mon 22:00`, or `at most 20 at once since 22:00 Europe/Zurich, 4 from
    /// Mon 06:00`, by the clock of the window that opens or closes next; `otherwise` is what counts where none is open.
    pub fn told(&self, windows: &Windows, otherwise: u32, now: Duration) -> String {
        let utc = TimeZone::UTC;
        let next = self.opens.or(self.until).and_then(|next| windows.window_at(next));
        let zone = windows.zone(next.or(self.window).unwrap_or_default()).unwrap_or(&utc);
        let when = |at: Duration| when(at, now, zone);
        let name = zone.iana_name().unwrap_or("UTC");
        let since = self.since.map(|since| format!(" since {} {name}", when(since))).unwrap_or_default();
        let then = match (self.is_closed(), self.opens, self.until) {
            (true, Some(opens), _) => format!(", opens {}", when(opens)),
            (false, _, Some(until)) => format!(", {} from {}", windows.max_at(otherwise, until), when(until)),
            _ => String::new(),
        };
        let now = if self.is_closed() { "closed".to_owned() } else { format!("at most {} at once", self.max) };
        format!("{now}{since}{then}")
    }
}

/// A time on a clock, with its day where that is not today's.
fn when(at: Duration, now: Duration, zone: &TimeZone) -> String {
    let shown = |time: Duration| {
        let second = i64::try_from(time.as_secs()).ok().and_then(|second| Timestamp::from_second(second).ok());
        second.unwrap_or(Timestamp::MAX).to_zoned(zone.clone())
    };
    let (at_shown, now_shown): (Zoned, Zoned) = (shown(at), shown(now));
    let format = if at_shown.date() == now_shown.date() {
        "%H:%M"
    } else if at.abs_diff(now).as_secs() < WEEK_SECONDS {
        "%a %H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    at_shown.strftime(format).to_string()
}
