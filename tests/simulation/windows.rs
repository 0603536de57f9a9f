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

    /// Outside of its windows nothing may live, or one Job; within them more than in any other history.
    pub(crate) fn open_rarely(&mut self, dice: &mut Dice) {
        self.policy.jobs_max = u32::from(dice.once_in(3));
        self.policy.windows = wide_windows(dice, self.now);
        self.now_in_force();
    }

    /// What is rarely open opens soon, and stays so for almost a day.
    pub(crate) fn open_soon(&mut self, dice: &mut Dice) {
        self.feed_waiting();
        let from = self.now + secs(60 * (1 + dice.roll(4)));
        self.policy.windows = Windows::of(&[window(from, from + secs(23 * 3600), OPEN_MAX)]);
        self.now_in_force();
    }

    fn now_in_force(&mut self) {
        self.allowed.in_force = self.policy.in_force(self.now);
        self.allowed.most = self.allowed.most.max(self.allowed.in_force.max);
    }
}

/// More than any history allows outside of its windows.
const OPEN_MAX: u32 = 6;

fn window(from: Duration, to: Duration, max: u32) -> Window {
    let clock = |time: Duration| {
        let second = i64::try_from(time.as_secs()).expect("a time");
        let shown = Timestamp::from_second(second).expect("a time").to_zoned(TimeZone::UTC);
        shown.strftime("%H:%M").to_string()
    };
    serde_json::from_value(json!({"from": clock(from), "to": clock(to), "maxConcurrentJobs": max})).expect("a window")
}

/// Two windows that open and close within minutes from now, and allow more than the top-level maximum.
fn wide_windows(dice: &mut Dice, now: Duration) -> Windows {
    let mut any = || {
        let from = now + secs(60 * dice.roll(5));
        window(from, from + secs(60 * (1 + dice.roll(4))), OPEN_MAX - u32::from(dice.once_in(2)))
    };
    Windows::of(&[any(), any()])
}

/// Up to three windows that open and close within minutes from now, some of them closed ones; after half an hour what
/// counts outside counts again.
fn random_windows(dice: &mut Dice, now: Duration) -> Windows {
    let mut any = || {
        let from = now + secs(60 * dice.roll(12));
        let to = from + secs(60 * (1 + dice.roll(15)));
        window(from, to, u32::try_from(dice.roll(4)).expect("small"))
    };
    let windows: Vec<Window> = (0..3).map(|_| any()).collect();
    Windows::of(&windows[..usize::try_from(1 + dice.roll(3)).expect("small")])
}
