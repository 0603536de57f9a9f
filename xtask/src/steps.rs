//! Steps: each is told with its time as it ends, some go side by side, and a table says at the end where the time went.

use std::{
    sync::{Mutex, PoisonError},
    thread::{ScopedJoinHandle, scope, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};

/// What ended, with its seconds, for the table.
static ENDED: Mutex<Vec<(String, f64)>> = Mutex::new(Vec::new());

/// Steps that took less are not worth a line.
const TOLD_FROM: Duration = Duration::from_secs(1);

/// While nothing ends, what is still under way is told so often.
const STILL_EVERY: Duration = Duration::from_secs(30);

/// How often steps that go side by side are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Says what is being done, and how long it took.
pub(crate) fn told<T>(what: &str, act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let begun = Instant::now();
    eprintln!("  {what} …");
    let done = act().with_context(|| format!("{what}: failed after {:.0} s", begun.elapsed().as_secs_f64()))?;
    let took = begun.elapsed();
    if took > TOLD_FROM {
        eprintln!("  {what}: {:.1} s", took.as_secs_f64());
        ENDED.lock().unwrap_or_else(PoisonError::into_inner).push((what.to_owned(), took.as_secs_f64()));
    }
    Ok(done)
}

/// A step that goes beside others.
pub(crate) struct Step<'a> {
    what: &'static str,
    act: Box<dyn FnOnce() -> anyhow::Result<()> + Send + 'a>,
}

/// A step by its name and what it does.
pub(crate) fn step<'a>(what: &'static str, act: impl FnOnce() -> anyhow::Result<()> + Send + 'a) -> Step<'a> {
    Step { what, act: Box::new(act) }
}

/// All at once. One that fails is told at once; the others go on to their ends, as they can't be left half done.
pub(crate) fn together(steps: Vec<Step<'_>>) -> anyhow::Result<()> {
    let begun = Instant::now();
    scope(|scope| {
        let run = |Step { what, act }| (what, scope.spawn(move || told(what, act).inspect_err(tell)));
        let running: Vec<_> = steps.into_iter().map(run).collect();
        watch(&running, begun);
        let ended = running.into_iter().map(|(what, thread)| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("{what}: panicked"))).err().map(|_| what)
        });
        let failed: Vec<&str> = ended.flatten().collect();
        if failed.is_empty() { Ok(()) } else { Err(anyhow!("failed: {}", failed.join(", "))) }
    })
}

fn tell(error: &anyhow::Error) {
    eprintln!("  {error:#}");
}

/// Returns when all have ended, and says from time to time what has not.
fn watch(running: &[(&str, ScopedJoinHandle<'_, anyhow::Result<()>>)], begun: Instant) {
    let mut next = STILL_EVERY;
    loop {
        let under_way: Vec<&str> =
            running.iter().filter(|(_, thread)| !thread.is_finished()).map(|(what, _)| *what).collect();
        if under_way.is_empty() {
            return;
        }
        if begun.elapsed() >= next {
            eprintln!("    {:.0} s, still: {}", begun.elapsed().as_secs_f64(), under_way.join(", "));
            next += STILL_EVERY;
        }
        sleep(LOOK_EVERY);
    }
}

/// Where the time went, longest first. Steps beside each other share processors and overlap, so the sum is more.
pub(crate) fn show_times(whole: Duration) {
    let mut ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ended.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    eprintln!("\nwhere the time went");
    for (what, seconds) in ended {
        eprintln!("  {seconds:>7.1} s  {what}");
    }
    eprintln!("  {:>7.1} s  in all; steps that go side by side count twice above", whole.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn steps_go_side_by_side() {
        let both = Barrier::new(2);
        let meet = || {
            both.wait();
            Ok(())
        };
        together(vec![step("one", meet), step("two", meet)]).expect("neither waits for the other's end");
    }

    #[test]
    fn a_step_that_fails_is_named_and_the_others_end() {
        let mut ended = false;
        let steps = vec![
            step("bad", || Err(anyhow!("why"))),
            step("good", || {
                ended = true;
                Ok(())
            }),
        ];
        let told = together(steps).expect_err("one fails").to_string();
        assert_eq!((told.as_str(), ended), ("failed: bad", true));
    }
}
