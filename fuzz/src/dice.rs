//! The dice of the simulation, loaded: each roll is what the next bytes of the input say. Behind its end they are
//! seeded as they are in the simulation itself.

use std::cell::RefCell;

thread_local! {
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(vec![]) };
}

/// The next rolls are those of this input.
pub(crate) fn load(input: &[u8]) {
    INPUT.with_borrow_mut(|left| *left = input.iter().rev().copied().collect());
}

/// Nothing of the input is left.
pub(crate) fn are_at_the_end() -> bool {
    INPUT.with_borrow(Vec::is_empty)
}

/// As many bytes as such a roll takes, if there are so many.
fn next(sides: u64) -> Option<u64> {
    let bytes = if sides <= 1 << 8 { 1 } else { 3 };
    INPUT.with_borrow_mut(|left| {
        let at = left.len().checked_sub(bytes)?;
        Some(left.split_off(at).into_iter().fold(0, |number, byte| number << 8 | u64::from(byte)))
    })
}

#[derive(Clone, Debug)]
pub(crate) struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        next(sides).unwrap_or_else(|| self.seeded()) % sides
    }

    /// As in the simulation.
    fn seeded(&mut self) -> u64 {
        let mut seeded = crate::seeded_dice::Dice(self.0);
        let rolled = seeded.roll(u64::MAX);
        self.0 = seeded.0;
        rolled
    }

    /// Any of these is taken out; none of none.
    pub(crate) fn draw<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        let at = usize::try_from(self.roll(from.len() as u64)).expect("in range");
        Some(from.swap_remove(at))
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }
}
