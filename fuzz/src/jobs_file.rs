//! jobs.json: refused with places, or loaded so that its entries loaded again are the same, and Jobs can be made of them.

use job_chief::{
    config::{
        entry::Entry,
        jobs_file::{self, JobsFile},
        problems::Problems,
        what_if::{Base, Set},
    },
    decide::pod::{
        generation::{are_comparable, generation, is_same},
        inputs::{Instance, Parts},
    },
};

use crate::{places, settings};

pub(crate) fn try_out(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match jobs_file::load("jobs.json", text) {
        Err(problems) => places::are_within(text, &problems),
        Ok(file) => {
            if !file.warnings.is_empty() {
                places::are_within(text, &Problems(file.warnings.clone()));
            }
            let again = loaded_again(&file);
            let instance = Instance::of(&settings::plain());
            file.jobs.iter().zip(&again.jobs).for_each(|(one, other)| are_the_same(one, other, &instance));
        }
    }
}

/// What is loaded, written, and loaded again, is the same.
pub(crate) fn loaded_again(file: &JobsFile) -> JobsFile {
    let base = Base { entries: &file.jobs, sharing: &file.sharing };
    let again = base.with(&Set::new(), None).unwrap_or_else(|problems| panic!("not loaded again: {problems}"));
    assert_eq!((&again.jobs, &again.sharing), (&file.jobs, &file.sharing), "loaded again it is another");
    again
}

/// What is made of them is the same, too.
fn are_the_same(one: &Entry, other: &Entry, instance: &Instance) {
    let made = |entry| Parts::each(entry, |name, parts| (name, generation(&parts, instance)));
    for ((name, one), (_, other)) in made(one).into_iter().zip(made(other)) {
        assert!(are_comparable(&one, &other) && is_same(&one, &other), "{name}: {one} {other}");
    }
}
