//! docs/mutants.md, as far as a program reads it: which mutants may survive.
//!
//! Below a heading ``### `src/decide/…` `` each line ``- `change`: why`` explains one mutant of that file, and
//! ``- 2 × `change`: why`` two that cargo-mutants gives the same name.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, ensure};

use crate::folders::root;

/// Where the explanations are.
const DOCUMENT: &str = "docs/mutants.md";

/// The mutants that may survive.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Explained {
    /// How many of each, by the file and what is changed.
    pub(super) counts: BTreeMap<(String, String), usize>,
}

impl Explained {
    pub(super) fn read() -> anyhow::Result<Self> {
        let explained = parse(&fs::read_to_string(root().join(DOCUMENT)).context(DOCUMENT)?)?;
        for (file, _) in explained.counts.keys() {
            ensure!(root().join(file).is_file(), "{DOCUMENT}: there is no {file}");
        }
        Ok(explained)
    }
}

fn parse(text: &str) -> anyhow::Result<Explained> {
    let mut explained = Explained::default();
    let mut file = None;
    for line in text.lines() {
        if line.starts_with('#') {
            file = line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`'));
        }
        let Some((file, item)) = file.zip(line.strip_prefix("- ")) else { continue };
        let (count, change) = entry(item).with_context(|| format!("{DOCUMENT}: not as a program reads it: {line}"))?;
        let before = explained.counts.insert((file.to_owned(), change.to_owned()), count);
        ensure!(before.is_none(), "{DOCUMENT}: explained twice: {file}: {change}");
    }
    Ok(explained)
}

/// ``2 × `change`: why``.
fn entry(item: &str) -> Option<(usize, &str)> {
    let (count, rest) = item.split_once('`')?;
    let (change, why) = rest.split_once("`: ")?;
    let count = if count.is_empty() { 1 } else { count.strip_suffix(" × ")?.parse().ok()? };
    (!why.trim().is_empty()).then_some((count, change))
}

/// The file of a mutant and what is changed, without its line and column, which every edit moves.
pub(super) fn key(mutant: &str) -> Option<(String, String)> {
    let mut parts = mutant.splitn(4, ':');
    let (file, _line, _column, change) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some((file.to_owned(), change.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_as_a_program_reads_it() {
        Explained::read().expect("it can be read");
    }

    #[test]
    fn a_line_explains_one_mutant_or_several() {
        let text = "# M\n- no file\n### `a.rs`\n- `replace < with <= in f`: why\n  goes on\n- 2 × `delete !`: why\n## Others\n- `x`";
        let of = |change: &str, count| (("a.rs".to_owned(), change.to_owned()), count);
        let counts = [of("replace < with <= in f", 1), of("delete !", 2)].into();
        assert_eq!(parse(text).expect("it can be read"), Explained { counts });
        for wrong in ["- `x`", "- `x`: ", "- x: why", "- two × `x`: why", "- `x`: why\n- `x`: why"] {
            assert!(parse(&format!("### `a.rs`\n{wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mutant_is_known_without_its_place() {
        let (file, change) = key("src/decide/a.rs:92:29: replace A::f -> B with C::d() in f").expect("a name");
        assert_eq!((&*file, &*change), ("src/decide/a.rs", "replace A::f -> B with C::d() in f"));
    }
}
