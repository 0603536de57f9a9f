//! The pages that people read, taken apart: blocks of code, tables, headings, links.

use std::{fs, path::Path};

/// Every page that is held by these tests.
pub(crate) fn all() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<String> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .into_iter()
        .chain(["deploy/helm/job-chief/README.md"])
        .map(str::to_owned)
        .collect();
    let names = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    pages.extend(names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")));
    pages.sort();
    pages
}

/// The text of a file of the repository.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A block of code.
#[derive(Debug)]
pub(crate) struct Block {
    /// Where it begins, as `PAGE:LINE`.
    pub(crate) place: String,
    /// What stands behind the fence.
    pub(crate) language: String,
    pub(crate) text: String,
}

/// The blocks of code of a page, and the page without them.
pub(crate) fn taken_apart(page: &str) -> (Vec<Block>, String) {
    let (mut blocks, mut prose) = (Vec::<Block>::new(), String::new());
    let mut open = false;
    for (number, line) in read(page).lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(language), false) => {
                open = true;
                let place = format!("{page}:{}", number + 1);
                blocks.push(Block { place, language: language.trim().to_owned(), text: String::new() });
            }
            (Some(_), true) => open = false,
            (None, true) => {
                let text = &mut blocks.last_mut().unwrap().text;
                text.push_str(line);
                text.push('\n');
            }
            (None, false) => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }
    assert!(!open, "{page}: a block of code has no end");
    (blocks, prose)
}

/// The blocks of code of all pages in one language.
pub(crate) fn blocks(language: &str) -> Vec<Block> {
    let all = all().into_iter().flat_map(|page| taken_apart(&page).0);
    all.filter(|block| block.language == language).collect()
}

/// The cells of the first table below a heading, without its head.
pub(crate) fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let (_, below) =
        text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{page} has no heading \"{heading}\""));
    let lines = below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    lines.skip(2).map(cells).collect()
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split(" | ").map(|cell| cell.trim().to_owned()).collect()
}

/// Holds the first table below a heading to what it is made from; with `UPDATE_DOCS=1` it is written instead.
pub(crate) fn hold_table(page: &str, heading: &str, table: &str) {
    let text = read(page);
    let (above, below) =
        text.split_once(&format!("{heading}\n")).unwrap_or_else(|| panic!("{page} has no heading \"{heading}\""));
    let begin = below.find("\n|").map_or(below.len(), |at| at + 1);
    let rows = below[begin..].split_inclusive('\n').take_while(|line| line.starts_with('|'));
    let end = begin + rows.map(str::len).sum::<usize>();
    hold(page, &format!("{above}{heading}\n{}{table}{}", &below[..begin], &below[end..]));
}

/// Holds a file to the text that is made for it; with `UPDATE_DOCS=1` it is written instead.
pub(crate) fn hold(path: &str, made: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), made).unwrap();
    }
    let line = read(path)
        .lines()
        .zip(made.lines())
        .find_map(|(is, should)| (is != should).then(|| format!("is:     {is}\nshould: {should}")));
    assert!(
        read(path) == made,
        "{path} is not what the types say; UPDATE_DOCS=1 cargo test --test pages writes it\n{}",
        line.unwrap_or_default()
    );
}
