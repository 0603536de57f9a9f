//! Many histories of one kind of world, on every core: a failing one is shrunk, printed, and belongs into its file.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// A number that the environment may set.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// One kind of world.
pub(crate) struct Histories<W> {
    /// The history of a seed, for so many steps, with these kinds of faults.
    pub(crate) run: fn(u64, u64, u32) -> W,
    /// All kinds of faults, one bit each.
    pub(crate) faults: u32,
    /// These kinds in words.
    pub(crate) in_words: fn(u32) -> String,
    /// Histories that failed once, and the file that they are in.
    pub(crate) kept: (&'static str, &'static str),
}

impl<W> Histories<W> {
    fn outcome(&self, seed: u64, steps: u64, faults: u32) -> Result<W, String> {
        catch_unwind(AssertUnwindSafe(|| (self.run)(seed, steps, faults))).map_err(|panic| {
            panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                .unwrap_or_default()
        })
    }

    /// The same failure with fewer kinds of faults and fewer steps.
    fn shrink(&self, seed: u64, mut steps: u64, mut faults: u32) -> (u64, u32) {
        for kind in 0..u32::BITS {
            let without = faults & !(1 << kind);
            if without != faults && self.outcome(seed, steps, without).is_err() {
                faults = without;
            }
        }
        let mut cut = steps / 2;
        while cut > 0 {
            while steps > cut && self.outcome(seed, steps - cut, faults).is_err() {
                steps -= cut;
            }
            cut /= 2;
        }
        (steps, faults)
    }

    fn fail(&self, seed: u64, steps: u64, faults: u32) -> ! {
        let (steps, faults) = self.shrink(seed, steps, faults);
        let why = self.outcome(seed, steps, faults).err().unwrap_or_default();
        let (file, kinds) = (self.kept.1, (self.in_words)(faults));
        panic!("history {seed} {steps} {faults} (add this line to tests/simulation/{file}), faults {kinds}:\n{why}");
    }

    /// Those that failed once hold now.
    pub(crate) fn hold_kept(&self) {
        for line in self.kept.0.lines().filter(|line| !line.starts_with('#')) {
            let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
            let [seed, steps, faults] = numbers[..] else { panic!("three numbers a line: {line}") };
            if let Err(why) = self.outcome(seed, steps, u32::try_from(faults).unwrap()) {
                panic!("kept history {line}: {why}");
            }
        }
    }

    /// So many hold, or the one of `SIMULATION_SEED`, with the kinds of `SIMULATION_FAULTS` only; each is told in its end. Returns how many they were.
    pub(crate) fn hold_all(&self, seeds: u64, steps: u64, note: impl FnMut(&W) + Send) -> u64 {
        let (seeds, steps) = (number("SIMULATION_SEEDS", seeds), number("SIMULATION_STEPS", steps));
        let first = number("SIMULATION_SEED", 0);
        let kinds = u32::try_from(number("SIMULATION_FAULTS", self.faults.into())).unwrap();
        let seeds = if first > 0 { 1 } else { seeds };
        let next = AtomicU64::new(first);
        let note = Mutex::new(note);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let failed: Mutex<Option<u64>> = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= first + seeds || failed.lock().unwrap().is_some() {
                            return;
                        }
                        match self.outcome(seed, steps, kinds) {
                            Ok(world) => (note.lock().unwrap())(&world),
                            Err(_) => *failed.lock().unwrap() = Some(seed),
                        }
                    }
                });
            }
        });
        let failed = *failed.lock().unwrap();
        std::panic::set_hook(hook);
        if let Some(seed) = failed {
            self.fail(seed, steps, kinds);
        }
        seeds
    }
}
