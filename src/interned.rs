//! Values that are the same for many, each kept once. Nobody learns anything of others by it: a value does not change.
//!
//! What entries of one jobs.json have in common they share as it is read (`config/jobs_file/alike.rs`); these outlive it.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// So many are kept before it is seen whether somebody still has them; from then on whenever they have doubled.
const KEPT_MIN: usize = 64;

/// What many have. Whatever nobody has any more is forgotten, sooner or later.
#[derive(Debug)]
pub struct Interned<T>(Mutex<Known<T>>);

#[derive(Debug)]
struct Known<T> {
    values: HashSet<Arc<T>>,
    swept_at: usize,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self(Mutex::new(Known { values: HashSet::new(), swept_at: KEPT_MIN }))
    }
}

impl<T: Eq + Hash> Interned<T> {
    /// The value that equals this one, as others have it.
    pub fn of(&self, value: T) -> Arc<T> {
        // What a panic has left is whole: a value is found, or it is not.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.values.get(&value) {
            return same.clone();
        }
        if known.values.len() >= known.swept_at {
            known.values.retain(|value| Arc::strong_count(value) > 1);
            known.swept_at = KEPT_MIN.max(2 * known.values.len());
        }
        let value = Arc::new(value);
        known.values.insert(value.clone());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_those_that_nobody_has_are_forgotten() {
        let interned = Interned::default();
        let first = interned.of("a".to_owned());
        assert!(Arc::ptr_eq(&first, &interned.of("a".to_owned())));
        assert!(!Arc::ptr_eq(&first, &interned.of("b".to_owned())));
        (0..10_000).for_each(|number| drop(interned.of(number.to_string())));
        assert!(interned.0.lock().expect("no panic").values.len() <= KEPT_MIN);
        assert!(Arc::ptr_eq(&first, &interned.of("a".to_owned())), "somebody has it");
        let all: Vec<_> = (0..1_000).map(|number| interned.of(format!("kept {number}"))).collect();
        assert!(all.iter().enumerate().all(|(at, kept)| Arc::ptr_eq(kept, &interned.of(format!("kept {at}")))));
    }
}
