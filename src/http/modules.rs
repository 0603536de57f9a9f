//! The modules that can be deployed, for whoever is away from their files.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{
    http::{
        problem::{Problem, ProblemType},
        route::{Call, Page, Route},
        token::Access,
    },
    modules::{
        library::{Library, ListedModule},
        placeholder::{Placeholder, PlaceholderKind},
    },
};

/// Refusals of pages of modules.
const MODULE_PROBLEMS: &[ProblemType] =
    &[ProblemType::UnknownName, ProblemType::InvalidPath, ProblemType::BadModule, ProblemType::Internal];

/// A module that is there.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Module")]
struct ModuleView {
    name: String,
    versions: Vec<String>,
}

/// A version of a module, and what may be said when it is deployed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ModuleDetails")]
struct ModuleDetails {
    name: String,
    version: String,
    /// All that are there.
    versions: Vec<String>,
    placeholders: Vec<PlaceholderView>,
}

/// What may be said when a module is deployed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Placeholder")]
struct PlaceholderView {
    name: String,
    /// `value`, `list` or `map`.
    kind: &'static str,
    /// What stands there unless something else is said: any JSON.
    default: Value,
    /// What the module's author says of it; empty if nothing.
    help: String,
}

impl Page for ModuleView {}
impl Page for ModuleDetails {}

/// The routes that tell of modules.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(Access::Read, "/modules", "The modules that can be deployed", modules).or(MODULE_PROBLEMS),
        Route::get(Access::Read, "/modules/{name}", "One of them with its placeholders", module)
            .asking("version", "the version; `latest` where none is said")
            .or(MODULE_PROBLEMS),
    ]
}

async fn modules(call: Call) -> Result<Vec<ModuleView>, Problem> {
    let listed = call.state.desk.in_library(|library| library.list()).await?;
    Ok(listed.into_iter().map(|ListedModule { name, versions }| ModuleView { name, versions }).collect())
}

async fn module(call: Call) -> Result<ModuleDetails, Problem> {
    let (name, version) = (call.name().to_owned(), call.asked("version").next().map(|word| word.into_owned()));
    let read = move |library: &Library| {
        let module = library.open(&name, version.as_deref())?;
        let listed = library.list()?.into_iter().find(|listed| listed.name == name);
        Ok((module, listed.map(|listed| listed.versions).unwrap_or_default()))
    };
    let (module, versions) = call.state.desk.in_library(read).await?;
    let view = |it: &Placeholder| PlaceholderView {
        name: it.name.clone(),
        kind: word(it.kind),
        default: it.default.clone(),
        help: it.help.clone(),
    };
    let placeholders = module.placeholders().iter().map(view).collect();
    Ok(ModuleDetails { name: module.name().to_owned(), version: module.version().to_owned(), versions, placeholders })
}

fn word(kind: PlaceholderKind) -> &'static str {
    match kind {
        PlaceholderKind::Value => "value",
        PlaceholderKind::List => "list",
        PlaceholderKind::Map => "map",
    }
}
