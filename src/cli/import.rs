//! The command that imports what other tools were told.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use serde_json::{Value, json};

use crate::{
    cli::output::{Output, complain, print},
    config::sources,
    import::{
        Imported,
        file::{FILE_BYTES_MAX, File},
        import,
    },
};

/// Prints a jobs.json, and tells on standard error what has no counterpart, what to set, and what could not be done.
pub(super) fn run(files: &[PathBuf], output: Output) -> anyhow::Result<ExitCode> {
    let files = files.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<File>>>()?;
    let mut imported = import(&files);
    let mut warnings = vec![];
    if !imported.settings.is_empty() {
        warnings = judge_settings(&mut imported);
    }
    match output.format() {
        Some(format) => format.print(&report(&imported, &warnings))?,
        None => tell(&imported, &warnings)?,
    }
    Ok(if imported.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(imported: &Imported, warnings: &[String]) -> anyhow::Result<()> {
    let remarks = imported.remarks.iter().map(ToString::to_string);
    for remark in remarks.chain(warnings.iter().cloned()) {
        eprintln!("remark: {remark}");
    }
    if !imported.settings.is_empty() {
        eprint!("the environment of job-chief:\n{}", imported.settings);
    }
    for failure in &imported.failures {
        complain(failure);
    }
    if imported.jobs_json.is_empty() { Ok(()) } else { print(imported.jobs_json.trim_end()) }
}

/// All of it as one value; the jobs.json as the text that it is, for its comments.
fn report(imported: &Imported, warnings: &[String]) -> Value {
    let remark = |place: &str, path: &str, text: &str| json!({ "place": place, "path": path, "text": text });
    let remarks = imported.remarks.iter().map(|it| remark(&it.place, &it.path, &it.text));
    let remarks: Vec<Value> = remarks.chain(warnings.iter().map(|text| remark("environment", "", text))).collect();
    let settings: Vec<String> = imported.settings.to_string().lines().map(|line| line.trim().to_owned()).collect();
    json!({
        "jobsJson": imported.jobs_json,
        "settings": settings,
        "remarks": remarks,
        "failures": imported.failures,
    })
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
fn judge_settings(imported: &mut Imported) -> Vec<String> {
    match sources::load(None, &imported.settings.literals()) {
        Ok(loaded) => loaded.warnings.iter().map(ToString::to_string).collect(),
        Err(problems) => {
            imported.failures.extend(problems.0.iter().map(ToString::to_string));
            vec![]
        }
    }
}
