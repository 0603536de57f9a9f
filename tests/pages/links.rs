//! Every link between pages leads somewhere, and so does every path of a file that a page names.

use std::path::{Component, Path, PathBuf};

use crate::page;

/// The targets of the links of a page, without what is commented out.
fn targets(page: &str) -> Vec<String> {
    let (_, prose) = page::taken_apart(page);
    let mut shown = String::new();
    for (index, part) in prose.split("<!--").enumerate() {
        shown.push_str(if index == 0 { part } else { part.split_once("-->").expect("a comment ends").1 });
    }
    let links = shown.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let images = shown.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.chain(images).map(str::to_owned).collect()
}

/// The path of a link, seen from the root of the repository.
fn from_root(page: &str, path: &str) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in Path::new(page).parent().unwrap().join(path).components() {
        match part {
            Component::ParentDir => assert!(whole.pop(), "{page}: {path} leaves the repository"),
            Component::CurDir => {}
            other => whole.push(other),
        }
    }
    whole
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim();
    let kept = text.to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(page: &str) -> Vec<String> {
    page::taken_apart(page).1.lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut inner = 0;
    for page in page::all() {
        for target in targets(&page) {
            if target.starts_with("https://") {
                continue;
            }
            inner += 1;
            let (path, heading) = target.split_once('#').map_or((target.as_str(), None), |(path, at)| (path, Some(at)));
            let file = if path.is_empty() { PathBuf::from(&page) } else { from_root(&page, path) };
            assert!(root.join(&file).exists(), "{page}: there is no {target}");
            if let Some(heading) = heading {
                let known = anchors(file.to_str().unwrap());
                assert!(known.iter().any(|it| it == heading), "{page}: {target} has no such heading, only {known:?}");
            }
        }
    }
    assert!(inner >= 30, "pages lead to one another");
}

/// Folders that a path in a sentence begins with, where it is one of the repository.
const FOLDERS: [&str; 9] =
    ["benches/", "config/", "deploy/", "docs/", "examples/", "migrations/", "src/", "tests/", "xtask/"];

#[test]
fn every_file_that_a_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in page::all() {
        let (_, prose) = page::taken_apart(&page);
        let quoted =
            prose.split('`').skip(1).step_by(2).filter(|it| FOLDERS.iter().any(|folder| it.starts_with(folder)));
        for path in quoted.filter(|it| !it.contains(['{', '*', ' '])) {
            let here = [root.join(path), root.join("src").join(path)].iter().any(|it| it.exists());
            assert!(here, "{page}: there is no {path}");
        }
    }
}

/// Every page of docs/ can be reached from the README.
#[test]
fn every_page_is_linked() {
    let mut seen: Vec<String> = vec!["README.md".into()];
    let mut next = 0;
    while let Some(page) = seen.get(next).cloned() {
        for target in targets(&page).iter().filter(|target| !target.starts_with("https://")) {
            let path = target.split('#').next().unwrap();
            let file = from_root(&page, path).to_str().unwrap().to_owned();
            if !path.is_empty() && file.ends_with(".md") && !seen.contains(&file) {
                seen.push(file);
            }
        }
        next += 1;
    }
    for page in page::all() {
        assert!(seen.contains(&page), "nothing leads to {page}");
    }
}

#[test]
fn the_readme_is_short() {
    let size = page::read("README.md").len();
    assert!(size <= 8 << 10, "the README has {size} bytes, and should have 8 kB at the most");
    let lines = page::read("ARCHITECTURE.md").lines().count();
    assert!(lines <= 200, "ARCHITECTURE.md has {lines} lines, and should have 200 at the most");
}
