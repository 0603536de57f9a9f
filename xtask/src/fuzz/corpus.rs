//! The inputs that are kept in the tree, and the words that are worth trying.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::program;
use crate::{folders::root, processes::dies_with_us};

/// Bytes that are kept of one target: the smallest inputs, so that the tree stays small.
const BYTES_MAX: u64 = 12 << 10;

/// Where the inputs stand, in a folder for each target.
pub(super) fn folder() -> PathBuf {
    root().join("fuzz/corpus")
}

/// Keeps as few and as small inputs as reach what all reach that are there or were found.
pub(super) fn keep(program: &Path, targets: &[String], found: &Path) -> anyhow::Result<()> {
    for target in targets {
        let (own, merged) = (folder().join(target), root().join("target/fuzz/merged").join(target));
        if merged.exists() {
            fs::remove_dir_all(&merged)?;
        }
        fs::create_dir_all(&merged)?;
        let mut merge = program::command(program, target);
        merge.arg("-merge=1").arg(&merged).arg(found.join(target)).arg(&own);
        let output = dies_with_us(&merge).output().context("can't start the targets")?;
        ensure!(output.status.success(), "{target}: {}", String::from_utf8_lossy(&output.stderr));
        let (kept, left) = replace(&merged, &own)?;
        eprintln!("{target}: {kept} inputs kept, {left} larger ones left out");
    }
    Ok(())
}

/// The smallest of what was merged takes the place of what was kept. Returns how many those are, and how many are left out.
fn replace(merged: &Path, kept: &Path) -> anyhow::Result<(usize, usize)> {
    let mut all = vec![];
    for entry in fs::read_dir(merged)? {
        let entry = entry?;
        all.push((entry.metadata()?.len(), entry.path()));
    }
    all.sort();
    fs::remove_dir_all(kept)?;
    fs::create_dir_all(kept)?;
    let mut room = BYTES_MAX;
    let fitting = all.iter().take_while(|(size, _)| {
        let fits = *size <= room;
        room = room.saturating_sub(*size);
        fits
    });
    let mut number = 0;
    for (_, path) in fitting {
        fs::copy(path, kept.join(path.file_name().context("a file has a name")?))?;
        number += 1;
    }
    Ok((number, all.len() - number))
}

/// Words for a target that has any, as libFuzzer reads them: its own, and the keys of jobs.json.
pub(super) fn words(target: &str) -> anyhow::Result<Option<PathBuf>> {
    let own = root().join("fuzz/words").join(format!("{target}.txt"));
    if !own.exists() {
        return Ok(None);
    }
    let schema: Value = serde_json::from_str(&fs::read_to_string(root().join("docs/jobs.schema.json"))?)?;
    let mut words: BTreeSet<String> = fs::read_to_string(own)?.lines().map(str::to_owned).collect();
    keys(&schema, &mut words);
    let quoted = |word: &String| format!("\"{}\"\n", word.replace('\\', "\\\\").replace('"', "\\\""));
    let folder = root().join("target/fuzz/words");
    fs::create_dir_all(&folder)?;
    let path = folder.join(target);
    fs::write(&path, words.iter().filter(|word| !word.is_empty()).map(quoted).collect::<String>())?;
    Ok(Some(path))
}

/// The keys that a schema knows, and the words that it allows.
fn keys(schema: &Value, words: &mut BTreeSet<String>) {
    match schema {
        Value::Array(all) => all.iter().for_each(|it| keys(it, words)),
        Value::Object(members) => {
            let properties = members.get("properties").and_then(Value::as_object);
            words.extend(properties.into_iter().flat_map(|it| it.keys()).map(|key| format!("\"{key}\"")));
            let allowed = members.get("enum").and_then(Value::as_array);
            words.extend(allowed.into_iter().flatten().filter(|it| it.is_string()).map(ToString::to_string));
            members.values().for_each(|it| keys(it, words));
        }
        _ => {}
    }
}
