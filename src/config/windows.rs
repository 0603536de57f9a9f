//! `windows` of a queue: the times at which another `maxConcurrentJobs` counts.

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::{civil::Weekday, tz::TimeZone};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::config::time_zones;

/// The most live Jobs of one JobConfig: beyond it a namespace's quota and the Job controller are the limit.
pub const CONCURRENT_JOBS_MAX: u32 = 10_000;

/// Windows of one JobConfig: more than anybody keeps in mind, and few enough to go through at each edge.
pub const WINDOWS_MAX: usize = 50;

/// Minutes of a day.
pub const DAY: u16 = 24 * 60;

/// One of `windows`: while it is open, its `maxConcurrentJobs` is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// The days on which it opens, by the clock of its zone. Default: daily.
    #[serde(default)]
    pub days: Days,
    /// When it opens.
    pub from: TimeOfDay,
    /// When it closes: on the next day where it is not later than `from`. The same time as `from` makes 24 hours.
    pub to: TimeOfDay,
    /// A zone of the IANA database, such as `Europe/Zurich`. Default: UTC.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 100))]
    pub timezone: String,
    /// Live Jobs at once while it is open; at 0 nothing is created.
    #[schemars(range(min = 0, max = CONCURRENT_JOBS_MAX))]
    pub max_concurrent_jobs: u32,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl Window {
    /// When it is open, by the clock of its zone.
    pub fn hours(&self) -> Hours {
        Hours { days: self.days, from: self.from, to: self.to }
    }

    /// Its zone, if there is one of this name.
    pub fn zone(&self) -> Option<TimeZone> {
        time_zones::zone(&self.timezone)
    }
}

/// When a window is open, by the clock of its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hours {
    days: Days,
    from: TimeOfDay,
    to: TimeOfDay,
}

impl Hours {
    /// Whether it is open while the clock shows this day and this minute since midnight.
    pub fn include(self, day: Weekday, minute: u16) -> bool {
        let (from, to) = (self.from.0, self.to.0);
        if from < to {
            return self.days.has(day) && (from..to).contains(&minute);
        }
        let began_today = self.days.has(day) && minute >= from;
        began_today || (self.days.has(day.previous()) && minute < to)
    }

    /// The minutes since midnight at which it may open or close.
    pub fn edges(self) -> [u16; 2] {
        [self.from.0, self.to.0 % DAY]
    }
}

/// Days of the week; never none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Days(u8);

/// The days in the order of the week, as they are written.
const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const EVERY_DAY: &str = "daily";

impl Days {
    fn has(self, day: Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }
}

impl Default for Days {
    fn default() -> Self {
        Self(0b111_1111)
    }
}

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == EVERY_DAY {
            return Ok(Self::default());
        }
        let number = |name: &str| NAMES.iter().position(|known| *known == name);
        let days = text.split(',').map(str::trim).try_fold(0, |days, part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            // Sat-Mon goes over the end of the week.
            let length = (last + NAMES.len() - first) % NAMES.len();
            Some((0..=length).fold(days, |days, more| days | 1 << ((first + more) % NAMES.len())))
        });
        days.map(Self).ok_or_else(|| format!("found \"{text}\", allowed is {DAYS_ALLOWED}"))
    }
}

impl fmt::Display for Days {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return to.write_str(EVERY_DAY);
        }
        let has = |day: usize| day < NAMES.len() && self.0 & (1 << day) != 0;
        let (mut told, mut day) = (vec![], 0);
        while day < NAMES.len() {
            let length = (day..).take_while(|day| has(*day)).count();
            match length {
                0 => {}
                1 | 2 => told.extend(NAMES[day..day + length].iter().map(|name| (*name).to_owned())),
                _ => told.push(format!("{}-{}", NAMES[day], NAMES[day + length - 1])),
            }
            day += length.max(1);
        }
        to.write_str(&told.join(","))
    }
}

/// A time of the day on a clock, to the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// `24:00`: it may end a window, and begin none.
    pub const END_OF_DAY: Self = Self(DAY);
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let two = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
        let parts = text.split_once(':').and_then(|(hour, minute)| Some((two(hour)?, two(minute)?)));
        match parts {
            Some((hour @ 0..=23, minute @ 0..=59)) => Ok(Self(hour * 60 + minute)),
            Some((24, 0)) => Ok(Self::END_OF_DAY),
            _ => Err(format!("found \"{text}\", allowed is {TIME_ALLOWED}")),
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// What [`TimeOfDay`] reads.
pub const TIME_PATTERN: &str = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$";

/// The message for a value that is no time.
pub const TIME_ALLOWED: &str = "a time of the day from \"00:00\" to \"24:00\", such as \"06:30\"";

/// What [`Days`] reads.
pub const DAYS_PATTERN: &str = "^(daily|(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(-(Mon|Tue|Wed|Thu|Fri|Sat|Sun))?(, ?(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(-(Mon|Tue|Wed|Thu|Fri|Sat|Sun))?)*)$";

/// The message for a value that is no days.
pub const DAYS_ALLOWED: &str = "days, such as \"Mon-Fri\", \"Sat,Sun\", \"Mon\" or \"daily\"";

/// Both are written and read as text.
macro_rules! as_text {
    ($kind:ty, $name:literal, $pattern:ident, $allowed:ident) => {
        impl TryFrom<String> for $kind {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$kind> for String {
            fn from(it: $kind) -> Self {
                it.to_string()
            }
        }

        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern, "description": $allowed})
            }
        }
    };
}

as_text!(Days, "Days", DAYS_PATTERN, DAYS_ALLOWED);
as_text!(TimeOfDay, "TimeOfDay", TIME_PATTERN, TIME_ALLOWED);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_told() {
        for (written, told) in [
            ("daily", "daily"),
            ("Mon-Sun", "daily"),
            ("Sat-Fri", "daily"),
            ("Mon-Fri", "Mon-Fri"),
            ("Sat,Sun", "Sat,Sun"),
            ("Sat-Mon", "Mon,Sat,Sun"),
            ("Tue, Thu-Sat, Mon", "Mon,Tue,Thu-Sat"),
            ("Wed-Wed", "Wed"),
        ] {
            assert_eq!(written.parse::<Days>().map(|days| days.to_string()).as_deref(), Ok(told), "{written}");
        }
        for wrong in ["", "Mo", "mon", "Mon-", "Mon,", "Mon-Fri-Sun", "Monday", "weekdays", "daily,Mon"] {
            assert!(wrong.parse::<Days>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_read_and_told() {
        for right in ["00:00", "06:30", "23:59", "24:00"] {
            assert_eq!(right.parse::<TimeOfDay>().map(|time| time.to_string()).as_deref(), Ok(right));
        }
        for wrong in ["", "6:30", "06:60", "24:01", "25:00", "+6:30", "06:+1", "06.30", "06:30:00", "noon", "-1:00"] {
            assert!(wrong.parse::<TimeOfDay>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_window_that_wraps_belongs_to_the_day_on_which_it_begins() {
        let hours = |days: &str, from: &str, to: &str| Hours {
            days: days.parse().expect("days"),
            from: from.parse().expect("a time"),
            to: to.parse().expect("a time"),
        };
        let night = hours("Fri", "22:00", "06:00");
        assert!(night.include(Weekday::Friday, 22 * 60) && night.include(Weekday::Saturday, 6 * 60 - 1));
        assert!(!night.include(Weekday::Friday, 0) && !night.include(Weekday::Saturday, 6 * 60));
        assert!(!night.include(Weekday::Saturday, 22 * 60));
        let whole = hours("Mon", "08:00", "08:00");
        assert!(whole.include(Weekday::Monday, 8 * 60) && whole.include(Weekday::Tuesday, 8 * 60 - 1));
        assert!(!whole.include(Weekday::Monday, 8 * 60 - 1) && !whole.include(Weekday::Tuesday, 8 * 60));
        let (day, same) = (hours("Sun", "00:00", "24:00"), hours("Sun", "00:00", "00:00"));
        for minute in [0, DAY - 1] {
            for it in [day, same] {
                assert!(it.include(Weekday::Sunday, minute));
                assert!(!it.include(Weekday::Monday, minute) && !it.include(Weekday::Saturday, minute));
            }
        }
    }
}
