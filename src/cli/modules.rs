//! The commands about modules that need their files alone.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::{
    cli::{
        globals::Globals,
        output::{Format, Output, print, width},
    },
    config::entry::Entry,
    modules::{
        library::{Library, LibraryError, Reference},
        module::Module,
        rendered::Rendered,
        values,
    },
    tables,
};

/// The largest file of values.
const VALUES_BYTES_MAX: u64 = 1 << 20;

/// Values for placeholders.
#[derive(Debug, Args)]
pub(super) struct Given {
    /// The value of a placeholder of a module: JSON, else a text.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A YAML or JSON file of values; --set wins over it.
    #[arg(long, value_name = "FILE")]
    values: Option<PathBuf>,
}

impl Given {
    fn is_empty(&self) -> bool {
        self.set.is_empty() && self.values.is_none()
    }

    /// All of them by name.
    pub(super) fn read(&self) -> anyhow::Result<Map<String, Value>> {
        let mut all = self.values.as_deref().map(of_file).transpose()?.unwrap_or_default();
        all.extend(pairs(&self.set)?);
        Ok(all)
    }
}

/// What --set says, by its keys.
pub(super) fn pairs(set: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut all = Map::new();
    for pair in set {
        let Some((key, value)) = pair.split_once('=') else {
            bail!("--set {pair}: allowed is KEY=VALUE");
        };
        all.insert(key.to_owned(), said(value));
    }
    Ok(all)
}

/// JSON, else a text. A number that would be written in another way is a text, too: 7.10 is a version.
fn said(text: &str) -> Value {
    let read = serde_json::from_str(text).ok();
    let is_said = |value: &Value| value.as_number().is_none_or(|number| number.to_string() == text);
    read.filter(is_said).unwrap_or_else(|| Value::from(text))
}

fn of_file(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let name = path.display().to_string();
    let mut text = String::new();
    let file = File::open(path).with_context(|| format!("can't read {name}"))?;
    let read = file.take(VALUES_BYTES_MAX + 1).read_to_string(&mut text);
    if read.with_context(|| format!("can't read {name}"))? as u64 > VALUES_BYTES_MAX {
        bail!("{name} has more than {VALUES_BYTES_MAX} bytes");
    }
    Ok(values::read(&name, &text)?)
}

fn library(globals: &Globals) -> anyhow::Result<Library> {
    Ok(Library::new(globals.settings()?.app.modules_path))
}

fn open(library: &Library, name: &str) -> anyhow::Result<Module> {
    let reference: Reference = name.parse()?;
    library.open(&reference.module, reference.version.as_deref()).map_err(|error| match error {
        LibraryError::Wrong(reference, problems) => {
            anyhow::Error::from(problems).context(format!("the module {reference} is wrong"))
        }
        other => other.into(),
    })
}

/// Prints which modules are there, or what may be said of one of them.
pub(super) fn list(globals: &Globals, name: Option<&str>, output: Output) -> anyhow::Result<()> {
    let library = library(globals)?;
    let Some(name) = name else {
        let all = json!(library.list()?);
        return output.print(&all, || tables::modules::overview(&all, width()));
    };
    let module = open(&library, name)?;
    let shown = json!({ "name": module.name(), "version": module.version(), "placeholders": module.placeholders() });
    output.print(&shown, || tables::modules::details(&shown, width()))
}

/// Whether a name is that of a module, and not of a JobConfig.
pub(super) fn is_module(globals: &Globals, name: &str, given: &Given) -> bool {
    if name.contains('@') || !given.is_empty() {
        return true;
    }
    let is_job_config = || globals.plan().is_ok_and(|plan| plan.jobs.iter().map(Entry::name).any(|job| job == name));
    let known = library(globals).ok().and_then(|library| library.list().ok()).unwrap_or_default();
    known.iter().any(|module| module.name == name) && !is_job_config()
}

/// Prints a module with its values.
pub(super) fn render(globals: &Globals, name: &str, given: &Given, format: Format) -> anyhow::Result<()> {
    let namespace = globals.settings()?.kubernetes.namespace;
    let module = open(&library(globals)?, name)?;
    let rendered = module
        .fill(&given.read()?, &namespace)
        .with_context(|| format!("the module {}@{} can't be filled", module.name(), module.version()))?;
    match format {
        Format::Yaml => print(&text(&module, &rendered)),
        Format::Json => {
            let items: Vec<_> = rendered.objects().map(|object| &object.body).collect();
            Format::Json.print(&json!({ "apiVersion": "v1", "kind": "List", "items": items }))
        }
    }
}

/// All files, as one of several documents.
fn text(module: &Module, rendered: &Rendered) -> String {
    let files = rendered.dependencies.iter().chain(&rendered.modules);
    let text = files.map(|file| {
        let place = format!("{}/{}/{}", module.name(), module.version(), file.file);
        let begin = if file.text.starts_with("---") { "" } else { "---\n" };
        format!("# {place}\n{begin}{}", file.text)
    });
    text.collect()
}
