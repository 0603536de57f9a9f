//! Whether a forecast of the configuration that was in force tells what really happened: the only reason to believe the
//! forecast of another one.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::decide::forecast::figures::Waits;

/// How far the p95 of today's configuration may be off, in hundredths of what really happened.
pub const OFF_MAX_PERCENT: f64 = 15.0;

/// Waits below this are all short: how far one of them is off is told by this.
const SHORT_WAIT: Duration = Duration::from_secs(1);

/// Fewer messages tell nothing of a p95.
const MESSAGES_MIN: usize = 20;

/// A forecast of today's configuration against what really happened, over the messages of which both are known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ForecastVerdict")]
pub struct Verdict {
    /// The p95 of the waits in the forecast.
    pub forecast_p95_seconds: f64,
    /// The same as it really was.
    pub really_p95_seconds: f64,
    /// How far the forecast is off, in hundredths of what really happened.
    pub off_percent: f64,
    /// It is so close that a forecast of another configuration can be relied on. Not so where too few messages are known.
    pub reliable: bool,
    /// The same in words.
    pub told: String,
}

impl Verdict {
    /// The verdict over the waits of the same messages.
    pub fn of(forecast: &Waits, really: &Waits) -> Self {
        let [forecast_p95, really_p95] = [forecast, really].map(|waits| waits.quantile(950));
        let off = forecast_p95.abs_diff(really_p95).as_secs_f64() * 100.0;
        let off_percent = off / really_p95.max(SHORT_WAIT).as_secs_f64();
        let enough = really.taken() >= MESSAGES_MIN;
        let lost = forecast.taken() * 100 < really.taken() * 95;
        let reliable = enough && !lost && off_percent <= OFF_MAX_PERCENT;
        let (forecast_p95_seconds, really_p95_seconds) = (forecast_p95.as_secs_f64(), really_p95.as_secs_f64());
        let said = format!("p95 {forecast_p95_seconds:.1} s, really {really_p95_seconds:.1} s: {off_percent:.0} % off");
        let told = if !enough {
            format!("only {} messages are known: too few to tell whether a forecast is right", really.taken())
        } else if lost {
            "in the forecast of today's configuration messages wait for ever that were really taken: it can't tell what \
             happened, so do not rely on it"
                .to_owned()
        } else if reliable {
            said
        } else {
            format!("{said}: it can't tell what really happened, so do not rely on it")
        };
        Self { forecast_p95_seconds, really_p95_seconds, off_percent, reliable, told }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(p95: u64, count: usize) -> Waits {
        Waits::of((0..count).map(|_| Some(Duration::from_millis(p95))))
    }

    #[test]
    fn it_says_how_far_it_is_off_and_whether_that_is_too_far() {
        let close = Verdict::of(&waits(12_100, 100), &waits(11_400, 100));
        assert!(close.reliable);
        assert_eq!(close.told, "p95 12.1 s, really 11.4 s: 6 % off");
        let far = Verdict::of(&waits(16_000, 100), &waits(11_400, 100));
        assert!(
            !far.reliable && far.told.ends_with("40 % off: it can't tell what really happened, so do not rely on it")
        );
    }

    #[test]
    fn short_waits_are_not_told_apart_and_few_tell_nothing() {
        assert!(Verdict::of(&waits(200, 100), &waits(100, 100)).reliable);
        let few = Verdict::of(&waits(100, 19), &waits(100, 19));
        assert!(!few.reliable && few.told.contains("only 19 messages"));
        assert!(!Verdict::of(&waits(100, 90), &waits(100, 100)).reliable, "some were never taken");
    }
}
