//! Defaults of keys that have more than one, each under the name of what it is.

use std::time::Duration;

macro_rules! duration {
    ($name:ident, $seconds:expr) => {
        pub(super) fn $name() -> Duration {
            Duration::from_secs($seconds)
        }
    };
}

duration!(five_seconds, 5);
duration!(ten_seconds, 10);
duration!(fifteen_seconds, 15);
duration!(thirty_seconds, 30);
duration!(one_minute, 60);
duration!(four_minutes, 240);
duration!(five_minutes, 300);
duration!(ten_minutes, 600);

pub(super) fn yes() -> bool {
    true
}

pub(super) fn one() -> u32 {
    1
}

pub(super) fn three() -> u32 {
    3
}

pub(super) fn factor() -> f64 {
    2.0
}
