//! Many histories of one kind of world, on every core: a failing one is shrunk, printed, and belongs into its file.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
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

    /// So many hold from that of `SIMULATION_FIRST` on, or the one of `SIMULATION_SEED`, with the kinds of `SIMULATION_FAULTS` only; each is told in its end. Returns how many they were.
    pub(crate) fn hold_all(&self, seeds: u64, steps: u64, note: impl FnMut(&W) + Send) -> u64 {
        let steps = number("SIMULATION_STEPS", steps);
        let kinds = u32::try_from(number("SIMULATION_FAULTS", self.faults.into())).unwrap();
        let (told, failed) = on_every_core(seeds, |seed| self.outcome(seed, steps, kinds), note);
        if let Some(seed) = failed {
            self.fail(seed, steps, kinds);
        }
        told
    }
}

/// The same for a kind of which nothing is shrunk and no file is kept.
pub(crate) fn each_holds<W>(
    what: &str,
    seeds: u64,
    history: impl Fn(u64) -> W + Sync,
    note: impl FnMut(&W) + Send,
) -> u64 {
    let caught = |seed| catch_unwind(AssertUnwindSafe(|| history(seed))).map_err(drop);
    let (told, failed) = on_every_core(seeds, caught, note);
    if let Some(seed) = failed {
        eprintln!("history {seed} of {what}: SIMULATION_SEED={seed} repeats it");
        drop(history(seed));
        panic!("history {seed} of {what} failed once and not again");
    }
    told
}

/// Histories on every core, until one fails. Tells how many there were in which time, and returns how many were to be
/// tried, and the one.
fn on_every_core<W, E>(
    seeds: u64,
    outcome: impl Fn(u64) -> Result<W, E> + Sync,
    note: impl FnMut(&W) + Send,
) -> (u64, Option<u64>) {
    let (one, first) = (number("SIMULATION_SEED", 0), number("SIMULATION_FIRST", 0));
    let (first, seeds) = if one > 0 { (one, 1) } else { (first, number("SIMULATION_SEEDS", seeds)) };
    let (begun, next, note, failed) = (Instant::now(), AtomicU64::new(first), Mutex::new(note), Mutex::new(None));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds || failed.lock().unwrap().is_some() {
                return;
            }
            match outcome(seed) {
                Ok(world) => (note.lock().unwrap())(&world),
                Err(_) => *failed.lock().unwrap() = Some(seed),
            }
        }
    };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    std::panic::set_hook(hook);
    let (seconds, failed) = (begun.elapsed().as_secs_f64(), *failed.lock().unwrap());
    let tried = failed.map_or(seeds, |seed| seed - first);
    let rate = tried as f64 / seconds;
    eprintln!("{tried} histories in {seconds:.1} s, {rate:.0} a second; {} in memory at most", peak());
    (seeds, failed)
}

/// What the process had in memory at most, as Linux tells it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "?".to_owned(), |line| line.trim().to_owned())
}
