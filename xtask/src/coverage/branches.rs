//! Branches, and which programs reach each: the regions of rustc's coverage, one for each way that the code may go.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use anyhow::Context;
use serde_json::Value;

/// A region of code: its file, and the lines and columns from which to which.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Branch {
    file: String,
    from: (u64, u64),
    to: (u64, u64),
}

/// All of `src/decide`. The first program to be added says which there are: in the library's own tests there are those
/// of the tests, too.
#[derive(Default)]
pub(super) struct Branches {
    programs: Vec<&'static str>,
    /// Which programs reach each, by their places.
    reached: BTreeMap<Branch, BTreeSet<usize>>,
}

/// How many branches of a file or of all there are, and are reached.
#[derive(Default)]
struct Sums {
    all: usize,
    by_first: usize,
    by_others_alone: usize,
}

impl Branches {
    /// Takes in what `llvm-cov export` tells of a program. A function that is generic is there once for each of its types.
    pub(super) fn add(&mut self, program: &'static str, counts: &Value) -> anyhow::Result<()> {
        let at = self.programs.len();
        self.programs.push(program);
        let functions = counts["data"][0]["functions"].as_array().context("llvm-cov tells of no functions")?;
        for function in functions {
            let files = function["filenames"].as_array().context("a function has a file")?;
            for region in function["regions"].as_array().into_iter().flatten() {
                let numbers: Vec<u64> = region.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
                let [line, column, last_line, last_column, count, file, _, kind] = numbers[..] else { continue };
                let file = files.get(usize::try_from(file)?).and_then(Value::as_str).unwrap_or_default();
                // Kind 0 is code; the others are gaps, and what macros expand to.
                let Some((_, file)) = file.split_once("/src/decide/").filter(|_| kind == 0) else { continue };
                let branch = Branch { file: file.to_owned(), from: (line, column), to: (last_line, last_column) };
                let reached =
                    if at == 0 { Some(self.reached.entry(branch).or_default()) } else { self.reached.get_mut(&branch) };
                if let (Some(reached), true) = (reached, count > 0) {
                    reached.insert(at);
                }
            }
        }
        Ok(())
    }

    /// Each file with its branches.
    pub(super) fn table(&self) -> String {
        let mut files: BTreeMap<&str, Sums> = BTreeMap::new();
        let mut whole = Sums::default();
        for (branch, reached) in &self.reached {
            for sums in [files.entry(&branch.file).or_default(), &mut whole] {
                sums.all += 1;
                sums.by_first += usize::from(reached.contains(&0));
                sums.by_others_alone += usize::from(!reached.contains(&0) && !reached.is_empty());
            }
        }
        let first = self.programs.first().copied().unwrap_or_default();
        let mut table =
            format!("| src/decide/ | branches | {first} | | others alone | nobody |\n|---|--:|--:|--:|--:|--:|\n");
        for (file, sums) in files.iter().map(|(file, sums)| (*file, sums)).chain([("all", &whole)]) {
            let Sums { all, by_first, by_others_alone } = sums;
            let (percent, nobody) = (100.0 * *by_first as f64 / *all as f64, all - by_first - by_others_alone);
            let _always =
                writeln!(table, "| {file} | {all} | {by_first} | {percent:.1} % | {by_others_alone} | {nobody} |");
        }
        table
    }

    /// Each branch that the first program does not reach, with those that do.
    pub(super) fn unreached(&self) -> String {
        let left = self.reached.iter().filter(|(_, reached)| !reached.contains(&0));
        let line = |(branch, reached): (&Branch, &BTreeSet<usize>)| {
            let Branch { file, from, to } = branch;
            let by: Vec<&str> = reached.iter().map(|at| self.programs[*at]).collect();
            let by = if by.is_empty() { "nobody".to_owned() } else { by.join(", ") };
            format!("src/decide/{file}:{}:{}-{}:{}: {by}\n", from.0, from.1, to.0, to.1)
        };
        left.map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counts(regions: &Value) -> Value {
        json!({"data": [{"functions": [
            {"filenames": ["/x/src/decide/run/a.rs", "/x/src/config/b.rs"], "regions": regions},
        ]}]})
    }

    #[test]
    fn a_branch_is_reached_where_one_of_its_copies_is_and_told_with_who_reaches_it() {
        let mut branches = Branches::default();
        let (reached, not) = ([1, 1, 2, 9, 7, 0, 0, 0], [3, 1, 3, 2, 0, 0, 0, 0]);
        let elsewhere = [[1, 1, 1, 1, 0, 1, 0, 0], [5, 1, 5, 1, 0, 0, 0, 3]];
        let copy = [1, 1, 2, 9, 0, 0, 0, 0];
        branches
            .add("one", &counts(&json!([reached, not, elsewhere[0], elsewhere[1], copy])))
            .expect("as LLVM tells it");
        assert_eq!(branches.unreached(), "src/decide/run/a.rs:3:1-3:2: nobody\n");
        let of_a_test = [9, 1, 9, 2, 5, 0, 0, 0];
        branches.add("two", &counts(&json!([[3, 1, 3, 2, 1, 0, 0, 0], of_a_test]))).expect("as LLVM tells it");
        assert_eq!(branches.unreached(), "src/decide/run/a.rs:3:1-3:2: two\n");
        assert!(branches.table().ends_with("| all | 2 | 1 | 50.0 % | 1 | 0 |\n"), "{}", branches.table());
    }
}
