//! How many messages waited in the last hour, a point a minute: what the dashboard draws as a line.

use std::{collections::VecDeque, time::Duration};

/// Points of the line.
pub const MINUTES: u64 = 60;

/// The most messages that could be fetched, by minute. A minute without any takes no room.
#[derive(Debug, Default)]
pub struct LastHour {
    /// The first minute that something is known of.
    since: Option<u64>,
    /// Minute and most, the oldest first.
    busy: VecDeque<(u64, u32)>,
}

impl LastHour {
    /// So many messages could be fetched.
    pub fn note(&mut self, ready: u64, now: Duration) {
        let (minute, ready) = (minute(now), u32::try_from(ready).unwrap_or(u32::MAX));
        self.since.get_or_insert(minute);
        while self.busy.front().is_some_and(|(first, _)| first + MINUTES <= minute) {
            self.busy.pop_front();
        }
        match self.busy.back_mut() {
            _ if ready == 0 => {}
            Some((last, most)) if *last == minute => *most = ready.max(*most),
            _ => self.busy.push_back((minute, ready)),
        }
    }

    /// The most in each minute up to this one, the oldest first: fewer than [`MINUTES`] where less is known.
    pub fn points(&self, now: Duration) -> Vec<u32> {
        let last = minute(now);
        let Some(since) = self.since else { return vec![] };
        let first = since.max((last + 1).saturating_sub(MINUTES));
        let mut points = vec![0; usize::try_from((last + 1).saturating_sub(first)).unwrap_or_default()];
        for (minute, most) in &self.busy {
            let index = minute.checked_sub(first).and_then(|index| usize::try_from(index).ok());
            if let Some(point) = index.and_then(|index| points.get_mut(index)) {
                *point = *most;
            }
        }
        points
    }
}

fn minute(now: Duration) -> u64 {
    now.as_secs() / 60
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> Duration {
        Duration::from_secs(minute * 60 + 7)
    }

    #[test]
    fn each_minute_shows_its_most_and_an_hour_is_all_there_is() {
        let mut hour = LastHour::default();
        assert!(hour.points(at(1000)).is_empty(), "nothing is known yet");
        for (minute, ready) in [(1000, 0), (1001, 3), (1001, 7), (1001, 2), (1003, 1)] {
            hour.note(ready, at(minute));
        }
        assert_eq!(hour.points(at(1004)), [0, 7, 0, 1, 0]);
        assert_eq!(hour.points(at(1061)).len(), 60);
        assert_eq!(hour.points(at(1061))[..3], [0, 1, 0], "minute 1001 is an hour ago");
        hour.note(5, at(1062));
        assert_eq!(hour.busy.len(), 2, "what is too old is forgotten");
        assert_eq!(hour.points(at(1062)).last(), Some(&5));
    }
}
