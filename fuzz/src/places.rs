//! What every list of problems promises.

use job_chief::config::problems::{Place, Problems};

/// There is at least one, each is told, and none stands beyond the end of its text.
pub(crate) fn are_within(text: &str, problems: &Problems) {
    assert!(!problems.0.is_empty(), "refused without a word");
    for problem in &problems.0 {
        assert!(!problem.text.is_empty(), "{problem:?}");
        let Place::Text { line, column, .. } = &problem.place else { continue };
        let found = text.split('\n').nth(line - 1).unwrap_or_else(|| panic!("the text has no such line: {problem:?}"));
        assert!((1..=found.chars().count() + 1).contains(column), "the line has no such column: {problem:?}");
    }
}
