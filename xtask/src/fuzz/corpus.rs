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

/// Bytes that are kept of one target, so that the tree stays small.
const BYTES_MAX: u64 = 12 << 10;

/// Where the inputs stand, in a folder for each target.
pub(super) fn folder() -> PathBuf {
    root().join("fuzz/corpus")
}

/// Adds what reaches something that nothing kept reaches, the smallest inputs first, as far as there is room.
pub(super) fn keep(program: &Path, targets: &[String], found: &Path) -> anyhow::Result<()> {
    for target in targets {
        let own = folder().join(target);
        let before = files(&own)?;
        let mut merge = program::command(program, target);
        merge.arg("-merge=1").arg(&own).arg(found.join(target));
        let output = dies_with_us(&merge).output().context("can't start the targets")?;
        ensure!(output.status.success(), "{target}: {}", String::from_utf8_lossy(&output.stderr));
        let mut room = BYTES_MAX.saturating_sub(before.iter().map(|(bytes, _)| bytes).sum());
        let (mut added, mut left) = (0, 0);
        for (bytes, path) in files(&own)?.difference(&before) {
            if *bytes <= room {
                (room, added) = (room - bytes, added + 1);
            } else {
                fs::remove_file(path)?;
                left += 1;
            }
        }
        eprintln!("{target}: {added} inputs added, {left} larger ones left out");
    }
    Ok(())
}

/// The files of a folder with their bytes, the smallest first.
fn files(folder: &Path) -> anyhow::Result<BTreeSet<(u64, PathBuf)>> {
    let size = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.metadata()?.len(), entry.path()))
    };
    fs::read_dir(folder)?.map(size).collect()
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
