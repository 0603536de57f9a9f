//! Windows of a history: they open and close within minutes, and a reload may bring others.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use job_chief::{
    config::windows::Window,
    decide::queue::{
        policy::QueuePolicy,
        windows::{InForce, Windows},
    },
};
use serde_json::json;

use crate::{
    dice::Dice,
    faults::Fault,
    world::{World, secs},
};

/// What counts by the windows of a history.
pub(crate) struct Allowed {
    /// They came later than other faults, too.
    dice: Dice,
    in_force: InForce,
    /// The most that ever counted.
    pub(crate) most: u32,
}

impl Allowed {
    /// Every other history has windows.
    pub(crate) fn begin(seed: u64, are_on: bool, policy: &mut QueuePolicy, now: Duration) -> Self {
        let mut dice = Dice(seed.rotate_left(32) ^ 0x57);
        if are_on && dice.once_in(2) {
            policy.windows = random_windows(&mut dice, now);
        }
        let in_force = policy.in_force(now);
        Self { dice, in_force, most: in_force.max }
    }

    /// How many Jobs may live now.
    pub(crate) fn max(&self) -> u64 {
        self.in_force.max.into()
    }
}

impl World {
    /// A window has opened, or closed.
    pub(crate) fn follow_windows(&mut self) {
        if self.allowed.in_force.until.is_some_and(|until| until <= self.now) {
            self.count(Fault::WindowEdge, true);
            self.now_in_force();
        }
    }

    /// A reload may bring other windows.
    pub(crate) fn change_windows(&mut self) {
        if self.is_on(Fault::WindowEdge) && self.allowed.dice.once_in(3) {
            // What was decided just before stands.
            self.feed_waiting();
            self.policy.windows = random_windows(&mut self.allowed.dice, self.now);
            self.now_in_force();
        }
    }

    fn now_in_force(&mut self) {
        self.allowed.in_force = self.policy.in_force(self.now);
        self.allowed.most = self.allowed.most.max(self.allowed.in_force.max);
    }
}

/// Up to three windows that open and close within minutes from now, some of them closed ones; after half an hour what
/// counts outside counts again.
fn random_windows(dice: &mut Dice, now: Duration) -> Windows {
    let clock = |time: Duration| {
        let second = i64::try_from(time.as_secs()).expect("a time");
        let shown = Timestamp::from_second(second).expect("a time").to_zoned(TimeZone::UTC);
        shown.strftime("%H:%M").to_string()
    };
    let mut window = || -> Window {
        let from = now + secs(60 * dice.roll(12));
        let to = from + secs(60 * (1 + dice.roll(15)));
        let max = dice.roll(4);
        serde_json::from_value(json!({"from": clock(from), "to": clock(to), "maxConcurrentJobs": max}))
            .expect("a window")
    };
    let windows: Vec<Window> = (0..3).map(|_| window()).collect();
    Windows::of(&windows[..usize::try_from(1 + dice.roll(3)).expect("small")])
}
