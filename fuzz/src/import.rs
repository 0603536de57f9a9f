//! Files of other tools: what comes of them is a valid jobs.json, or it is told why not.

use job_chief::{
    config::{jobs_file, sources},
    harmless::steers,
    import::{file::File, import},
};

pub(crate) fn try_out(input: &[u8]) {
    let imported = import(&[File { name: "file".into(), bytes: input.to_vec() }]);
    if imported.failures.is_empty() && !imported.jobs_json.is_empty() {
        let loaded = jobs_file::load("jobs.json", &imported.jobs_json);
        assert!(loaded.is_ok(), "{loaded:?}\n{}", imported.jobs_json);
    }
    for remark in &imported.remarks {
        let line = remark.to_string();
        assert!(!line.is_empty() && !line.chars().any(steers), "{line:?}");
    }
    drop(sources::load(None, &imported.settings.literals()));
}
