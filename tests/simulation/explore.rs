//! An exhaustive search over the histories of a world, breadth first, that keeps paths and hashes in place of worlds.
//!
//! What is kept of a world that is gone on from is the path to it, a byte for each step: the paths of one length are in
//! their order, so that a walk over them takes few steps twice. What is kept of a world that was seen is a hash of 128
//! bits: of 10⁸ worlds two share theirs with a probability of 10⁻²³, and then one would not be gone on from.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher},
};

/// A world that is searched.
pub(crate) trait Searched: Clone + Hash {
    /// One thing that may happen next.
    type Step: Copy;

    /// Everything that may happen next, always in the same order.
    fn steps(&self) -> Vec<Self::Step>;

    /// It happens, and what always holds is held against what comes of it.
    fn take(&mut self, step: Self::Step);
}

/// No history is longer.
const STEPS_MAX: usize = 20;

/// Which of the steps that might have happened did, one after the other; zeros follow.
type Path = [u8; STEPS_MAX];

/// How far a search came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Explored {
    /// Different worlds from which it went on.
    pub(crate) states: u64,
    /// Steps that were taken, and what always holds looked at after each.
    pub(crate) steps: u64,
}

/// Takes every step that may follow on fewer than so many others. Each world that this leads to is shown, those after
/// the last step as often as they are reached.
pub(crate) fn explore<W: Searched>(begin: &W, length: usize, mut see: impl FnMut(&W, usize)) -> Explored {
    assert!(length <= STEPS_MAX, "histories have {STEPS_MAX} steps at the most");
    let mut explored = Explored { states: 1, steps: 0 };
    let mut seen = HashSet::with_hasher(BuildHasherDefault::<Taken>::default());
    seen.insert(hash(begin));
    let mut layer: Vec<Path> = vec![Path::default()];
    for taken in 0..length {
        let (mut next, is_last) = (vec![], taken + 1 == length);
        let mut walk = Walk { worlds: vec![begin.clone()], path: Path::default() };
        for path in &layer {
            let world = walk.to(path, taken);
            for (at, step) in world.steps().into_iter().enumerate() {
                let mut after = world.clone();
                after.take(step);
                explored.steps += 1;
                see(&after, taken + 1);
                if !is_last && seen.insert(hash(&after)) {
                    let mut to = *path;
                    to[taken] = u8::try_from(at).expect("no more than 256 things may happen at once");
                    next.push(to);
                }
            }
        }
        explored.states += next.len() as u64;
        layer = next;
    }
    explored
}

/// The worlds on the way to one.
struct Walk<W> {
    worlds: Vec<W>,
    path: Path,
}

impl<W: Searched> Walk<W> {
    /// Goes to the world at the end of a path of so many steps: back to where the two part, and on from there.
    fn to(&mut self, path: &Path, length: usize) -> &W {
        let common = path.iter().zip(&self.path).take_while(|(one, other)| one == other).count();
        self.worlds.truncate(1 + common.min(length));
        for at in &path[self.worlds.len() - 1..length] {
            let mut world = self.worlds.last().expect("the first one stays").clone();
            let step = world.steps()[usize::from(*at)];
            world.take(step);
            self.worlds.push(world);
        }
        self.path = *path;
        &self.worlds[length]
    }
}

/// Of all that a world is made of.
pub(crate) fn hash(world: &impl Hash) -> u128 {
    let mut bytes = Bytes(Vec::with_capacity(2_048));
    world.hash(&mut bytes);
    let half = |which: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(which);
        hasher.write(&bytes.0);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// What a world says when it is hashed.
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("both halves are made of the bytes")
    }
}

/// What is a hash already is taken as it is.
#[derive(Default)]
pub(crate) struct Taken(u64);

impl Hasher for Taken {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are put in")
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A world of two counters that go up one by one, and one that goes round.
#[derive(Clone, Debug, Hash)]
struct Counters([u8; 3]);

impl Searched for Counters {
    type Step = usize;

    fn steps(&self) -> Vec<usize> {
        vec![0, 1, 2]
    }

    fn take(&mut self, step: usize) {
        self.0[step] += 1;
        self.0[2] %= 2;
    }
}

#[test]
fn every_world_is_gone_on_from_once_and_every_step_is_taken() {
    let mut last = HashSet::new();
    let explored = explore(&Counters([0; 3]), 4, |world, steps| {
        if steps == 4 {
            last.insert(world.0);
        }
    });
    // Of up to three steps: so many ups of both, with the third where it was or not.
    let within = |steps: u8| {
        let ups = (0..=steps).flat_map(|one| (0..=steps - one).map(move |other| one + other));
        ups.map(|ups| if ups < steps { 2 } else { 1 }).sum::<u64>()
    };
    assert_eq!(explored, Explored { states: within(3), steps: 3 * within(3) });
    assert!(last.contains(&[2, 2, 0]) && last.contains(&[0, 3, 1]) && !last.contains(&[2, 2, 1]), "{last:?}");
}

#[test]
fn a_hash_is_of_all_of_it() {
    assert_eq!(hash(&Counters([1, 2, 3])), hash(&Counters([1, 2, 3])));
    assert_ne!(hash(&Counters([1, 2, 3])), hash(&Counters([1, 2, 4])));
    let (one, other) = (hash(&Counters([1, 2, 3])), hash(&Counters([2, 1, 3])));
    assert!(one as u64 != other as u64 && one >> 64 != other >> 64);
}
