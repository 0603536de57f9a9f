//! Windows: eight bytes of time, then those of an entry. What is in force stays so until the time that is told.

use std::time::Duration;

use job_chief::{
    config::windows::{TimeOfDay, Window},
    decide::queue::windows::Windows,
};

/// What counts outside of all of them.
const OTHERWISE: u32 = 1_000_000;

/// Seconds from 1970 to the year 2200: beyond it nobody waits.
const LATEST: u64 = 7_258_118_400;

pub(crate) fn try_out(input: &[u8]) {
    let Some((time, text)) = input.split_first_chunk() else { return };
    let Ok(windows) = serde_json::from_slice::<Vec<Window>>(text) else { return };
    // The rules of jobs.json refuse it: it is 00:00 of the next day.
    if windows.iter().any(|window| window.from == TimeOfDay::END_OF_DAY) {
        return;
    }
    let windows = Windows::of(&windows);
    let mut now = Duration::from_secs(u64::from_le_bytes(*time) % LATEST);
    for _ in 0..10 {
        let told = windows.in_force(OTHERWISE, now);
        assert_eq!(told.max, windows.max_at(OTHERWISE, now), "{now:?}: {told:?}");
        assert!(told.since.is_none_or(|since| since <= now), "{now:?}: {told:?}");
        let Some(until) = told.until else { break };
        assert!(until > now, "{now:?}: {told:?}");
        let between = now + (until - now) / 2;
        for at in [between, until - Duration::from_nanos(1)] {
            assert_eq!(windows.max_at(OTHERWISE, at), told.max, "{now:?} to {at:?}: {told:?}");
        }
        now = until;
    }
}
