//! Keys that are set for a forecast: `{"name": …, "set": {KEY: VALUE}}`.

use std::sync::LazyLock;

use job_chief::config::{
    jobs_file::{self, JobsFile},
    what_if::{Base, Set},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Words {
    name: Option<String>,
    #[serde(default)]
    set: Set,
}

static FILE: LazyLock<JobsFile> = LazyLock::new(|| {
    let text = include_str!("../../jobs.example.json");
    jobs_file::load("jobs.example.json", text).unwrap_or_else(|problems| panic!("{problems}"))
});

pub(crate) fn try_out(input: &[u8]) {
    let Ok(Words { name, set }) = serde_json::from_slice(input) else { return };
    let base = Base { entries: &FILE.jobs, sharing: &FILE.sharing };
    match base.with(&set, name.as_deref()) {
        Err(problems) => assert!(!problems.0.is_empty(), "refused without a word"),
        Ok(file) => drop(crate::jobs_file::loaded_again(&file)),
    }
}
