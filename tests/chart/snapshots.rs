//! The chart under several files of values, as text.

use crate::release::{EVERYTHING, MINIMAL, ORIGINAL, notes, rendered};

#[test]
fn what_has_to_be_said_is_enough() {
    insta::assert_snapshot!("minimal", rendered(MINIMAL));
    insta::assert_snapshot!("minimal_notes", notes(MINIMAL));
}

#[test]
fn everything_on() {
    let text = rendered(EVERYTHING);
    // The dashboard is one line, and a file of its own.
    let lines =
        text.lines().map(|line| if line.starts_with("  job-chief.json: ") { "  job-chief.json: …" } else { line });
    insta::assert_snapshot!("everything", lines.collect::<Vec<_>>().join("\n"));
    insta::assert_snapshot!("everything_notes", notes(EVERYTHING));
}

/// The original's file works, and each of its keys that does not is named.
#[test]
fn the_originals_values() {
    insta::assert_snapshot!("original", rendered(ORIGINAL));
    insta::assert_snapshot!("original_notes", notes(ORIGINAL));
}

#[test]
fn a_chart_that_is_off_renders_nothing() {
    assert_eq!(rendered(&[EVERYTHING, &["--set", "enabled=false"]].concat()).trim(), "");
}
