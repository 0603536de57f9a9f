//! How many messages waited in the last hour, a point a minute: what the dashboard draws as a line.

use std::{collections::VecDeque, time::Duration};

/// Points of the line.
pub const MINUTES: u64 = 60;

/// The most messages that could be fetched, by minute. Minutes that are like the one before take no room.
#[derive(Debug, Default)]
pub struct LastHour {
    /// From which minute on it was how many; `None` where nothing is known. The oldest first.
    steps: VecDeque<(u64, Option<u32>)>,
    /// The last minute that something is known of.
    noted: u64,
}

impl LastHour {
    /// So many messages could be fetched.
    pub fn note(&mut self, ready: u64, now: Duration) {
        let (minute, ready) = (minute(now), u32::try_from(ready).unwrap_or(u32::MAX));
        match self.steps.back_mut() {
            Some((last, most)) if *last == minute => *most = (*most).max(Some(ready)),
            Some((_, most)) if self.noted == minute => {
                let most = (*most).max(Some(ready));
                self.step(minute, most);
            }
            _ => {
                if self.noted + 1 < minute {
                    self.step(self.noted + 1, None);
                }
                self.step(minute, Some(ready));
            }
        }
        self.noted = minute;
        // Of what is too old one step stays: the one that the hour begins with.
        while self.steps.get(1).is_some_and(|(second, _)| second + MINUTES <= minute + 1) {
            self.steps.pop_front();
        }
    }

    fn step(&mut self, minute: u64, most: Option<u32>) {
        if self.steps.back().map_or(most.is_some(), |(_, last)| *last != most) {
            if self.steps.is_empty() {
                // For most queues it is the only one.
                self.steps.reserve_exact(1);
            }
            self.steps.push_back((minute, most));
        }
    }

    /// The most in each minute up to this one, the oldest first; `None` where nothing is known. Empty where nothing ever
    /// was.
    pub fn points(&self, now: Duration) -> Vec<Option<u32>> {
        let last = minute(now);
        let Some((begun, _)) = self.steps.front() else { return vec![] };
        let value = |minute: u64| {
            let step = self.steps.iter().rev().find(|(from, _)| *from <= minute);
            // The minute that has begun is like the one before it until it is looked at.
            step.and_then(|(_, most)| *most).filter(|_| minute <= self.noted + 1)
        };
        ((*begun).max((last + 1).saturating_sub(MINUTES))..=last).map(value).collect()
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
        for (minute, ready) in [(1000, 0), (1001, 3), (1001, 7), (1001, 2), (1002, 0), (1003, 1), (1004, 1), (1004, 4)]
        {
            hour.note(ready, at(minute));
        }
        assert_eq!(hour.points(at(1004)), [0, 7, 0, 1, 4].map(Some));
        (1005..=1070).for_each(|minute| hour.note(4, at(minute)));
        assert_eq!(hour.points(at(1070)), [Some(4); 60]);
        assert_eq!(hour.steps.len(), 1, "what is the same, and what is too old, takes no room");
    }

    #[test]
    fn what_is_not_known_is_no_zero() {
        let mut hour = LastHour::default();
        hour.note(3, at(1000));
        assert_eq!(hour.points(at(1001)), [Some(3); 2], "nobody has looked yet");
        assert_eq!(hour.points(at(1003)), [Some(3), Some(3), None, None]);
        hour.note(3, at(1004));
        assert_eq!(hour.points(at(1004)), [Some(3), None, None, None, Some(3)]);
    }
}
