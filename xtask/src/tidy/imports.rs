//! Who names whom: the arrows between rooms, circles between files, and where a type's methods are.
//!
//! An arrow is read off the syntax tree: a `use`, or a path in code, that begins with `crate`, `super` or `self`. Test
//! modules are left out, for tests may name whatever they test with.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use syn::{spanned::Spanned, visit::Visit};

/// Each room, and those that it may name. A room that is not listed, and an arrow that nobody uses, are refused.
pub(super) const ROOMS: [(&str, &[&str]); 42] = [
    ("config", &[]),
    ("modules", &["config"]),
    ("harmless", &[]),
    ("import", &["config", "harmless"]),
    ("decide/outcome", &[]),
    ("decide/one_off", &["decide/outcome"]),
    ("decide/place", &[]),
    ("decide/decision", &["decide/one_off", "decide/outcome", "decide/place"]),
    ("decide/trace_context", &["decide/outcome"]),
    ("decide/backoff", &[]),
    ("decide/lease", &[]),
    ("decide/pod", &["config", "decide/decision", "decide/one_off", "decide/outcome", "decide/trace_context"]),
    ("decide/live", &["decide/outcome", "decide/pod", "modules"]),
    ("decide/share", &["config", "decide/place"]),
    (
        "decide/run",
        &[
            "config",
            "decide/backoff",
            "decide/decision",
            "decide/one_off",
            "decide/outcome",
            "decide/place",
            "decide/pod",
        ],
    ),
    (
        "decide/queue",
        &[
            "config",
            "decide/backoff",
            "decide/decision",
            "decide/outcome",
            "decide/place",
            "decide/pod",
            "decide/run",
            "decide/share",
        ],
    ),
    (
        "decide/service",
        &[
            "config",
            "decide/backoff",
            "decide/one_off",
            "decide/outcome",
            "decide/place",
            "decide/pod",
            "decide/run",
            "decide/share",
        ],
    ),
    (
        "decide/forecast",
        &["config", "decide/outcome", "decide/place", "decide/pod", "decide/queue", "decide/run", "decide/share"],
    ),
    ("decide/switches", &["config", "decide/service"]),
    ("decide/deployment", &["config", "decide/backoff", "decide/live", "decide/pod", "decide/run", "modules"]),
    ("decide/trace", &["decide/decision", "decide/outcome", "decide/run", "decide/trace_context"]),
    ("clock", &[]),
    ("interned", &[]),
    ("latest", &[]),
    ("fence", &["clock"]),
    ("sql", &[]),
    ("telemetry", &["config"]),
    ("health", &[]),
    ("metrics", &["decide"]),
    ("pgboss", &["clock", "config", "decide", "sql"]),
    ("store", &["config", "decide", "modules", "sql"]),
    ("cluster", &["clock", "config", "decide", "fence", "health", "latest", "metrics", "modules", "telemetry"]),
    ("traces", &["clock", "config", "decide", "metrics", "telemetry"]),
    (
        "actors",
        &[
            "clock",
            "cluster",
            "config",
            "decide",
            "fence",
            "health",
            "interned",
            "latest",
            "metrics",
            "modules",
            "pgboss",
            "store",
            "telemetry",
            "traces",
        ],
    ),
    (
        "http",
        &[
            "actors",
            "clock",
            "cluster",
            "config",
            "decide",
            "harmless",
            "health",
            "latest",
            "metrics",
            "modules",
            "pgboss",
            "store",
            "tables",
            "telemetry",
        ],
    ),
    ("tables", &["harmless"]),
    ("doctor", &["clock", "cluster", "config", "decide", "harmless", "pgboss", "sql", "store", "tables", "telemetry"]),
    ("shutdown", &[]),
    (
        "app",
        &[
            "actors", "clock", "cluster", "config", "decide", "health", "http", "interned", "metrics", "modules",
            "pgboss", "shutdown", "store", "traces",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "clock",
            "cluster",
            "config",
            "decide",
            "doctor",
            "harmless",
            "http",
            "import",
            "modules",
            "pgboss",
            "sql",
            "store",
            "tables",
            "telemetry",
        ],
    ),
    ("lib", &[]),
    ("main", &[]),
];

/// One file as far as imports are concerned.
#[derive(Debug, Default)]
struct Source {
    /// Paths that it names, from the root of the crate, each with its line.
    named: Vec<(Vec<String>, usize)>,
    /// Structs and enums that it defines.
    types: BTreeSet<String>,
    /// Types that it gives methods, with the line.
    methods: Vec<(String, usize)>,
    /// Names that it has brought in, and from where.
    imports: BTreeMap<String, Vec<String>>,
}

/// The files of one crate, by their path below its `src`.
pub(super) struct Sources {
    files: BTreeMap<PathBuf, Source>,
}

impl Sources {
    /// Reads the files, each given by its path below `src` and its text.
    pub(super) fn read<'a>(texts: impl IntoIterator<Item = (&'a Path, &'a str)>) -> syn::Result<Self> {
        let mut files = BTreeMap::new();
        for (path, text) in texts {
            let mut reader = Reader { module: module_of(path), source: Source::default() };
            reader.visit_file(&syn::parse_file(text)?);
            files.insert(path.to_path_buf(), reader.source);
        }
        Ok(Self { files })
    }

    /// Everything that is wrong with who names whom, against a table of rooms.
    pub(super) fn problems(&self, rooms: &[(&str, &[&str])]) -> Vec<String> {
        let mut problems = self.wrong_arrows(rooms);
        problems.extend(self.circles());
        problems.extend(self.scattered_methods());
        problems
    }

    /// The arrows of one file: the files that it names, each with the first line that does.
    fn arrows<'a>(&'a self, from: &'a Path) -> BTreeMap<&'a Path, usize> {
        let mut arrows = BTreeMap::new();
        for (path, line) in self.files.get(from).into_iter().flat_map(|source| &source.named) {
            if let Some(to) = self.file_of(path).filter(|to| *to != from) {
                arrows.entry(to).or_insert(*line);
            }
        }
        arrows
    }

    /// The file of the longest module that a path names.
    fn file_of(&self, path: &[String]) -> Option<&Path> {
        (1..=path.len()).rev().find_map(|length| {
            let file = path[..length].iter().collect::<PathBuf>().with_extension("rs");
            self.files.get_key_value(&file).map(|(file, _)| file.as_path())
        })
    }

    /// Arrows that the table does not have, and rows of it that no arrow needs.
    fn wrong_arrows(&self, rooms: &[(&str, &[&str])]) -> Vec<String> {
        let (mut problems, mut used) = (vec![], BTreeSet::new());
        for from in self.files.keys() {
            let room = room_of(from);
            let Some((_, allowed)) = rooms.iter().find(|(name, _)| *name == room) else {
                if !is_plain_floor(from) {
                    problems.push(format!("src/{}: the room `{room}` is not in the table", from.display()));
                }
                continue;
            };
            used.insert((room.clone(), String::new()));
            for (to, line) in self.arrows(from) {
                let target = room_of(to);
                let is_named = |name: &&&str| **name == target || target.starts_with(&format!("{name}/"));
                match allowed.iter().find(is_named) {
                    Some(name) => drop(used.insert((room.clone(), (*name).to_owned()))),
                    None if target == room || is_plain_floor(to) => {}
                    None => problems.push(format!(
                        "src/{}:{line}: `{room}` names `{target}`: that arrow is not in the table",
                        from.display()
                    )),
                }
            }
        }
        for (room, allowed) in rooms {
            for name in [""].iter().chain(*allowed) {
                if !used.contains(&((*room).to_owned(), (*name).to_owned())) {
                    let what = if name.is_empty() { String::new() } else { format!(" -> {name}") };
                    problems.push(format!("the table of rooms has `{room}{what}`, which nothing uses"));
                }
            }
        }
        problems
    }

    /// Circles of files that name one another, each told once and whole.
    pub(super) fn circles(&self) -> Vec<String> {
        let mut done = BTreeSet::new();
        let mut problems = vec![];
        for file in self.files.keys() {
            self.follow(file, &mut vec![], &mut done, &mut problems);
        }
        problems
    }

    fn follow<'a>(
        &'a self,
        file: &'a Path,
        way: &mut Vec<(&'a Path, usize)>,
        done: &mut BTreeSet<&'a Path>,
        problems: &mut Vec<String>,
    ) {
        if let Some(at) = way.iter().position(|(passed, _)| *passed == file) {
            let told = |(path, line): &(&Path, usize)| format!("src/{}:{line}", path.display());
            let circle: Vec<String> = way[at..].iter().map(told).collect();
            problems.push(format!("a circle of imports: {} -> src/{}", circle.join(" -> "), file.display()));
        } else if !done.contains(file) {
            for (to, line) in self.arrows(file) {
                way.push((file, line));
                self.follow(to, way, done, problems);
                way.pop();
            }
            done.insert(file);
        }
    }

    /// Methods of a type that stand in another folder than the type.
    fn scattered_methods(&self) -> Vec<String> {
        let mut problems = vec![];
        for (file, source) in &self.files {
            for (name, line) in source.methods.iter().filter(|(name, _)| !source.types.contains(name)) {
                let home = source.imports.get(name).and_then(|path| self.file_of(path));
                if let Some(home) = home.filter(|home| !is_in_folder_of(file, home)) {
                    problems.push(format!(
                        "src/{}:{line}: methods of `{name}` stand in another folder than the type (src/{})",
                        file.display(),
                        home.display()
                    ));
                }
            }
        }
        problems
    }
}

/// The same folder as the file of the type, or the folder of that file's own module.
fn is_in_folder_of(file: &Path, home: &Path) -> bool {
    let folder = file.parent();
    folder == home.parent() || folder == Some(&*home.with_extension(""))
}

/// The room of a file: its floor; in `decide`, the folder or file below that.
fn room_of(file: &Path) -> String {
    let module = module_of(file);
    let depth = if module.first().is_some_and(|first| first == "decide") { 2 } else { 1 };
    module[..depth.min(module.len())].join("/")
}

/// `decide.rs` itself names nobody: it lists its rooms.
fn is_plain_floor(file: &Path) -> bool {
    file == Path::new("decide.rs")
}

fn module_of(file: &Path) -> Vec<String> {
    file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect()
}

struct Reader {
    module: Vec<String>,
    source: Source,
}

impl Reader {
    /// A path from the root of the crate; `None` for one that leads out of it.
    fn resolve(&self, path: &[String]) -> Option<Vec<String>> {
        let mut base = match path.first()?.as_str() {
            "crate" => vec![],
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            "self" => self.module.clone(),
            _ => return None,
        };
        let mut rest = &path[1..];
        while rest.first().is_some_and(|word| word == "super") {
            base.pop()?;
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    fn name(&mut self, path: &[String], line: usize) {
        if let Some(path) = self.resolve(path) {
            self.source.named.push((path, line));
        }
    }

    fn use_tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let line = tree.span().start().line;
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(tree, before)),
            syn::UseTree::Name(name) => self.bring_in(&name.ident, &with(&name.ident), line),
            syn::UseTree::Rename(rename) => self.bring_in(&rename.rename, &with(&rename.ident), line),
            syn::UseTree::Glob(_) => self.name(before, line),
        }
    }

    fn bring_in(&mut self, name: &syn::Ident, path: &[String], line: usize) {
        if let Some(from_root) = self.resolve(path) {
            self.source.imports.insert(name.to_string(), from_root);
        }
        self.name(path, line);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if words.len() > 1 {
            self.name(&words, path.span().start().line);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !module.attrs.iter().any(|attribute| attribute.path().is_ident("cfg")) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.source.types.insert(item.ident.to_string());
        syn::visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.source.types.insert(item.ident.to_string());
        syn::visit::visit_item_enum(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let (None, syn::Type::Path(path)) = (&item.trait_, &*item.self_ty)
            && let Some(name) = path.path.get_ident()
        {
            self.source.methods.push((name.to_string(), item.span().start().line));
        }
        syn::visit::visit_item_impl(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [(&str, &[&str]); 3] = [("a", &[]), ("b", &["a"]), ("decide/c", &["a"])];

    fn told(texts: &[(&str, &str)], rooms: &[(&str, &[&str])]) -> String {
        let texts = texts.iter().map(|(path, text)| (Path::new(*path), *text));
        Sources::read(texts).expect("parses").problems(rooms).join("\n")
    }

    #[test]
    fn an_arrow_must_be_in_the_table() {
        let below = [("a.rs", ""), ("b/x.rs", "use crate::a::Y;"), ("decide/c/z.rs", "fn f() { crate::a::g() }")];
        assert_eq!(told(&below, &TABLE), "");
        let up = [("a.rs", "use crate::{b::x, decide::c};"), below[1], below[2], ("decide/c.rs", "")];
        let problems = told(&up, &TABLE);
        assert!(
            problems.contains("src/a.rs:1: `a` names `b`") && problems.contains("`a` names `decide/c`"),
            "{problems}"
        );
        assert!(told(&[("d.rs", "")], &[]).contains("the room `d` is not in the table"));
    }

    #[test]
    fn tests_may_name_what_they_test_with() {
        let text = "#[cfg(test)] mod tests { use crate::b::x; }";
        assert_eq!(told(&[("a.rs", text), ("b/x.rs", "use crate::a;")], &[TABLE[0], TABLE[1]]), "");
    }

    #[test]
    fn a_row_that_nothing_needs_is_told() {
        let problems = told(&[("a.rs", ""), ("b.rs", "")], &TABLE);
        assert!(problems.contains("`b -> a`, which nothing uses") && problems.contains("`decide/c`"), "{problems}");
    }

    #[test]
    fn a_circle_of_files_is_told_with_its_lines() {
        let files =
            [("b/x.rs", "\nuse crate::b::y::Y;"), ("b/y.rs", "use super::z;"), ("b/z.rs", "fn f() { super::x::g() }")];
        let problems = told(&files, &[("b", &[])]);
        assert_eq!(problems, "a circle of imports: src/b/x.rs:2 -> src/b/y.rs:1 -> src/b/z.rs:1 -> src/b/x.rs");
        assert_eq!(told(&files[..2], &[("b", &[])]), "");
    }

    #[test]
    fn methods_stand_where_their_type_does() {
        let here = ("a/t.rs", "struct T; impl T {}");
        let child = ("a/t/more.rs", "use super::T; impl T {}");
        let beside = ("a/u.rs", "use crate::a::t::T; impl T {} impl From<T> for u8 { fn from(_: T) -> u8 { 0 } }");
        assert_eq!(told(&[here, child, beside], &[("a", &[])]), "");
        let away = ("b/u.rs", "use crate::a::t::T;\nimpl T {}");
        assert!(told(&[here, away], &TABLE[..2]).contains("src/b/u.rs:2: methods of `T` stand in another folder"));
    }
}
