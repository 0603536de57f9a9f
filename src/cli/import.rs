//! The command that imports what other tools were told.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;

use crate::{
    cli::server::print,
    config::sources,
    import::{
        Imported,
        file::{FILE_BYTES_MAX, File},
        import,
    },
};

/// Prints a jobs.json, and tells on standard error what has no counterpart, what to set, and what could not be done.
pub(super) fn run(files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let files = files.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<File>>>()?;
    let mut imported = import(&files);
    if !imported.settings.is_empty() {
        judge_settings(&mut imported);
    }
    for remark in &imported.remarks {
        eprintln!("remark: {remark}");
    }
    if !imported.settings.is_empty() {
        eprint!("the environment of job-chief:\n{}", imported.settings);
    }
    for failure in &imported.failures {
        eprintln!("job-chief: {failure}");
    }
    if !imported.jobs_json.is_empty() {
        print(imported.jobs_json.trim_end())?;
    }
    Ok(if imported.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// No more of a file than decides that it is too large.
fn read(path: &Path) -> anyhow::Result<File> {
    let name = path.display().to_string();
    let mut bytes = vec![];
    let file = fs::File::open(path).with_context(|| format!("can't read {name}"))?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(|| format!("can't read {name}"))?;
    Ok(File { name, bytes })
}

/// What job-chief would say of the variables at its start.
fn judge_settings(imported: &mut Imported) {
    match sources::load(None, &imported.settings.literals()) {
        Ok(loaded) => loaded.warnings.iter().for_each(|warning| eprintln!("remark: {warning}")),
        Err(problems) => imported.failures.extend(problems.0.iter().map(ToString::to_string)),
    }
}
