//! What became of the mutants that were tried, and whether that is as it should be.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, ensure};

use super::explained::{Explained, key};

/// The mutants that were tried, by what became of them.
#[derive(Default)]
pub(super) struct Tried {
    caught: Vec<String>,
    /// Their tests did not come to an end, which is to be caught, too.
    endless: Vec<String>,
    /// They are no Rust.
    unviable: Vec<String>,
    survived: Vec<String>,
}

impl Tried {
    /// From the folder that cargo-mutants has written.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let names = |file: &str| -> anyhow::Result<Vec<String>> {
            let text = fs::read_to_string(folder.join(file)).with_context(|| file.to_owned())?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        Ok(Self {
            caught: names("caught.txt")?,
            endless: names("timeout.txt")?,
            unviable: names("unviable.txt")?,
            survived: names("missed.txt")?,
        })
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        [&self.caught, &self.endless, &self.unviable, &self.survived].into_iter().flatten()
    }

    /// Says what was tried of the chosen, and what was not.
    pub(super) fn tell(&self, chosen: &[String], ended: bool) {
        let Self { caught, endless, unviable, survived } = self;
        eprintln!(
            "{} of {} mutants tried: {} failed a test, {} did not come to an end, {} did not build, {} survived",
            self.all().count(),
            chosen.len(),
            caught.len(),
            endless.len(),
            unviable.len(),
            survived.len()
        );
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        for mutant in chosen.iter().filter(|mutant| !self.all().any(|tried| tried == *mutant)) {
            *left.entry(mutant.split(':').next().unwrap_or_default()).or_default() += 1;
        }
        if !left.is_empty() {
            eprintln!("not tried, {}:", if ended { "as they would take too long" } else { "as the time was over" });
            left.iter().for_each(|(file, count)| eprintln!("  {count:>4} in {file}"));
            eprintln!("`cargo xtask mutants --changed` or `cargo xtask mutants FILE` tries them all");
        }
    }

    /// Fails for what survives unexplained and, with `all`, for explanations of what does not survive.
    pub(super) fn judge(&self, explained: &Explained, all: bool) -> anyhow::Result<()> {
        let mut survived: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
        for mutant in &self.survived {
            survived.entry(key(mutant).context("a mutant has a name")?).or_default().push(mutant);
        }
        let may = |key| explained.counts.get(key).copied().unwrap_or_default();
        let bad = survived.iter().filter(|(key, mutants)| mutants.len() > may(key)).flat_map(|(_, mutants)| mutants);
        let bad: Vec<&str> = bad.copied().collect();
        ensure!(bad.is_empty(), "kill these by a test, or explain them in docs/mutants.md:\n  {}", bad.join("\n  "));
        let survivors = |key| survived.get(key).map_or(0, Vec::len);
        let stale = explained.counts.iter().filter(|(key, count)| all && survivors(key) < **count);
        let stale: Vec<String> = stale.map(|((file, change), _)| format!("{file}: {change}")).collect();
        ensure!(stale.is_empty(), "a test notices what docs/mutants.md explains:\n  {}", stale.join("\n  "));
        eprintln!("every mutant that survived is explained in docs/mutants.md");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(survived: &[&str]) -> Tried {
        Tried { survived: survived.iter().map(|it| (*it).to_owned()).collect(), ..Tried::default() }
    }

    #[test]
    fn what_survives_is_explained_and_what_is_explained_survives() {
        let explained = Explained { counts: [(("a.rs".to_owned(), "x".to_owned()), 1)].into() };
        assert!(tried(&["a.rs:1:2: x"]).judge(&explained, true).is_ok());
        assert!(tried(&[]).judge(&explained, false).is_ok());
        assert!(tried(&[]).judge(&explained, true).is_err(), "a test notices it by now");
        assert!(tried(&["a.rs:1:2: x", "a.rs:3:4: x"]).judge(&explained, false).is_err(), "one is explained, not two");
        assert!(tried(&["b.rs:1:2: x"]).judge(&explained, false).is_err());
    }
}
