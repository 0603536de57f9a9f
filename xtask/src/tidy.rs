//! The rules of the house, held by reading the sources: which floor may name which, what is pure, how long
//! things may be, and what must not be there at all.

mod imports;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use syn::{spanned::Spanned, visit::Visit};
use walkdir::WalkDir;

use crate::folders::root;

/// Lines of one function.
const FUNCTION_MAX: usize = 70;

/// Lines of code of one file, without blank lines, comments and its tests.
const FILE_MAX: usize = 400;

/// What a pure file does not mention.
const IMPURE: [&str; 10] =
    ["tokio", "sqlx", "axum", "kube::", "async fn", "Instant", "SystemTime", "rand::", "std::fs", "Mutex"];

/// Words that say nothing of what a file is about.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "common", "types", "models", "helpers"];

pub(crate) fn run() -> anyhow::Result<()> {
    let mut problems = vec![];
    for folder in ["src", "xtask/src", "tests", "fuzz/src"] {
        for entry in WalkDir::new(root().join(folder)).sort_by_file_name() {
            let path = entry?.into_path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path)?;
                let name = path.strip_prefix(root())?.to_path_buf();
                problems.extend(file_problems(&name, &text).with_context(|| name.display().to_string())?);
            }
        }
    }
    problems.extend(sources("src")?.problems(&imports::ROOMS));
    problems.extend(sources("xtask/src")?.circles());
    for entry in fs::read_dir(root().join("migrations"))? {
        let path = entry?.path();
        problems.extend(migration_problems(&path.display().to_string(), &fs::read_to_string(&path)?));
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{} problem(s):\n  {}", problems.len(), problems.join("\n  "))
}

/// What a migration does not do: while an installation is brought up to date, older processes of it still run.
const TAKES_AWAY: [&str; 6] = ["drop ", "rename ", "alter column", "truncate ", "delete from", "revoke "];

/// Everything in a migration that an older process would stumble over. What functions do happens later, and rights on them
/// are none that it has had.
fn migration_problems(name: &str, text: &str) -> Vec<String> {
    let mut in_function = false;
    let mut is_code = |line: &&str| {
        let outside = !in_function;
        // The quotes of a function's body, `$name$`: one of them turns it on or off.
        in_function ^= line.matches('$').count() == 2;
        outside && !line.trim_start().starts_with("--") && !line.starts_with("revoke all on function")
    };
    let code = text.lines().filter(|line| is_code(line)).collect::<Vec<_>>().join("\n").to_lowercase();
    let found = TAKES_AWAY.iter().filter(|word| code.contains(**word));
    found.map(|word| format!("{name}: `{}` takes something away that an older version may need", word.trim())).collect()
}

/// Everything that is untidy in one file.
fn file_problems(name: &Path, text: &str) -> anyhow::Result<Vec<String>> {
    let file = syn::parse_file(text)?;
    let mut reader = Reader { name, problems: vec![], tests: 0 };
    reader.visit_file(&file);
    let Reader { mut problems, tests, .. } = reader;
    let mut tell = |what: String| problems.push(format!("{}: {what}", name.display()));
    if !text.starts_with("//!") {
        tell("says nothing of itself: begin with //!".into());
    }
    let code = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
    if code.saturating_sub(tests) > FILE_MAX {
        tell(format!("{} lines of code, allowed are {FILE_MAX}", code - tests));
    }
    let stem = name.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if stem == "mod" || EMPTY_NAMES.contains(&stem) {
        tell("the name says nothing of what it is about".into());
    }
    if name.starts_with("src/decide") {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for word in lines.flat_map(|line| IMPURE.iter().filter(move |word| line.contains(**word))) {
            tell(format!("mentions `{word}`, and is pure"));
        }
    }
    Ok(problems)
}

/// The files of one crate, with what they name.
fn sources(folder: &str) -> anyhow::Result<imports::Sources> {
    let mut texts: Vec<(PathBuf, String)> = vec![];
    for entry in WalkDir::new(root().join(folder)).sort_by_file_name() {
        let path = entry?.into_path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root().join(folder))?.to_path_buf();
            texts.push((name, fs::read_to_string(&path)?));
        }
    }
    Ok(imports::Sources::read(texts.iter().map(|(path, text)| (path.as_path(), text.as_str())))?)
}

struct Reader<'a> {
    name: &'a Path,
    problems: Vec<String>,
    /// Lines of test modules.
    tests: usize,
}

impl Reader<'_> {
    fn tell(&mut self, line: usize, what: &str) {
        self.problems.push(format!("{}:{line}: {what}", self.name.display()));
    }

    fn function(&mut self, name: &syn::Ident, whole: impl Spanned) {
        let span = whole.span();
        let lines = span.end().line - span.start().line + 1;
        if lines > FUNCTION_MAX {
            self.tell(span.start().line, &format!("`{name}` has {lines} lines, allowed are {FUNCTION_MAX}"));
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if matches!(item.vis, syn::Visibility::Public(_)) {
            self.tell(item.span().start().line, "no re-exports: a thing has one place");
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let is_test = |attribute: &syn::Attribute| attribute.path().is_ident("cfg");
        if module.attrs.iter().any(is_test) && module.content.is_some() {
            let span = module.span();
            self.tests += span.end().line - span.start().line;
        }
        syn::visit::visit_item_mod(self, module);
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.sig.ident, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.sig.ident, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        for (word, why) in [("allow", "use #[expect(…, reason)]"), ("ignore", "a test that does not run tests nothing")]
        {
            if attribute.path().is_ident(word) {
                self.tell(attribute.span().start().line, &format!("#[{word}]: {why}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, text: &str) -> String {
        file_problems(Path::new(name), text).expect("parses").join("\n")
    }

    #[test]
    fn the_core_is_pure() {
        assert!(told("src/decide/a.rs", "//! a\nasync fn f() {}").contains("`async fn`"));
        assert!(told("src/decide/a.rs", "//! a\nuse std::time::Instant;").contains("`Instant`"));
        assert_eq!(told("src/decide/a.rs", "//! a\n// tokio is not used here\nfn f() {}"), "");
    }

    #[test]
    fn a_migration_only_adds() {
        assert_eq!(migration_problems("m", "-- drop nothing\nalter table a add column b text;"), [""; 0]);
        assert_eq!(migration_problems("m", "Alter table a\n DROP column b;").len(), 1);
    }

    #[test]
    fn lengths_and_docs_are_held() {
        let long = format!("//! a\nfn f() {{\n{}}}\n", "    g();\n".repeat(FUNCTION_MAX));
        assert!(told("src/pgboss/a.rs", &long).contains("allowed are 70"));
        let large = format!("//! a\n{}", "fn f() {}\n".repeat(FILE_MAX + 1));
        assert!(told("src/pgboss/a.rs", &large).contains("allowed are 400"));
        assert!(told("src/pgboss/a.rs", "fn f() {}").contains("begin with //!"));
        assert!(told("src/pgboss/util.rs", "//! a").contains("says nothing"));
        // Put together, so that whoever searches for it finds none in this repository.
        let ignored = concat!("#[", "ignore]");
        assert!(told("tests/a.rs", &format!("//! a\n#[test]\n{ignored}\nfn f() {{}}")).contains(ignored));
    }
}
