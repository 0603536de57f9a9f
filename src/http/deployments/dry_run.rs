//! `POST /deployment/dry_run`: what deploying would do, by any process; nothing is changed.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{
    cluster::apply::RightsError,
    decide::deployment::record::{Deployment, NewDeployment, body_hash},
    http::{
        deployments::{desk::Prepared, hiding::Hidden, words::DeploymentWords},
        problem::Problem,
        route::{Call, Page},
        state::AppState,
        writes::checked,
    },
    modules::{
        module::Module,
        object::{ObjectId, ObjectKind},
        rendered::{Rendered, RenderedFile},
    },
    telemetry::with_causes,
};

/// What deploying would do.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DryRun")]
pub(super) struct DryRun {
    /// By name.
    placeholders: BTreeMap<String, Current>,
    /// The texts of the files that are applied first, by name; null where there are none. Values of Secrets are hidden.
    dependencies: Option<BTreeMap<String, String>>,
    /// The texts of the module's own files, by name.
    modules: BTreeMap<String, String>,
    /// What would become of each object, in order.
    plan: Vec<Planned>,
    rbac: Rbac,
    /// Why it would be refused; empty if it would not.
    errors: Vec<String>,
}

/// A placeholder: what it has by default, and what it would have.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CurrentValue")]
struct Current {
    default: Value,
    current: Value,
}

/// What would become of an object.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "PlannedObject")]
struct Planned {
    /// Such as `Job/backfill`.
    object: String,
    /// `create`, `configure`, `replace` or `unchanged`; `delete`, or `keep` for a volume, if it is not in the module any
    /// more; `unknown` where an error stands against it.
    action: &'static str,
}

/// What we may.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MissingRights")]
struct Rbac {
    /// Such as `create secrets`.
    missing: Vec<String>,
}

impl Page for DryRun {}

pub(super) async fn dry_run(call: Call, words: DeploymentWords) -> Result<DryRun, Problem> {
    checked(&words.who, &words.why)?;
    let state = &call.state;
    let Prepared { module, rendered, new } = state.desk.prepare(words, &state.shared.instance.namespace).await?;
    let snapshot = state.desk.snapshot().await?;
    let record = snapshot.deployments.iter().find(|it| it.name == new.name);
    let mut errors: Vec<String> =
        state.desk.against(&new, &snapshot.deployments).err().map(|problem| problem.detail).into_iter().collect();
    let missing = missing(state, &new, &mut errors).await;
    let hidden = Hidden::of(rendered.objects());
    Ok(DryRun {
        placeholders: placeholders(&module, &new, &hidden),
        dependencies: Some(texts(&rendered.dependencies)).filter(|texts| !texts.is_empty()),
        modules: texts(&rendered.modules),
        plan: plan(state, (&rendered, &new), record, &mut errors).await,
        rbac: Rbac { missing },
        errors,
    })
}

async fn missing(state: &AppState, new: &NewDeployment, errors: &mut Vec<String>) -> Vec<String> {
    match state.desk.missing_rights(new).await {
        Ok(missing) => missing.iter().map(ToString::to_string).collect(),
        Err(error @ (RightsError::NotTold(_) | RightsError::Unanswered { .. })) => {
            errors.push(with_causes(&error));
            vec![]
        }
    }
}

fn placeholders(module: &Module, new: &NewDeployment, hidden: &Hidden) -> BTreeMap<String, Current> {
    let values = module.values(&new.config);
    let current = |name: &str| values.get(name).cloned().unwrap_or_default();
    let of = |it: &crate::modules::placeholder::Placeholder| {
        let (default, current) = (hidden.shown(&it.default), hidden.shown(&current(&it.name)));
        (it.name.clone(), Current { default, current })
    };
    module.placeholders().iter().map(of).collect()
}

fn texts(files: &[RenderedFile]) -> BTreeMap<String, String> {
    files.iter().map(|file| (file.name().to_owned(), file.shown.clone())).collect()
}

/// What would become of each object: those of the module in their order, then those that are to go.
async fn plan(
    state: &AppState,
    (rendered, new): (&Rendered, &NewDeployment),
    record: Option<&Deployment>,
    errors: &mut Vec<String>,
) -> Vec<Planned> {
    let judged: BTreeMap<ObjectId, _> = state.desk.judge(new, &state.shared.instance.uid).await.into_iter().collect();
    let mut plan = vec![];
    for object in rendered.objects() {
        let action = match judged.get(&object.id) {
            None => joined(record, &object.id, &body_hash(&object.body)),
            Some(Ok(change)) => change.planned(),
            Some(Err(error)) => {
                errors.push(with_causes(error));
                "unknown"
            }
        };
        plan.push(Planned { object: object.id.to_string(), action });
    }
    let wanted: BTreeSet<&ObjectId> = rendered.objects().map(|object| &object.id).collect();
    let dropped = record.into_iter().flat_map(|it| it.objects.iter().rev()).map(|it| &it.object.id);
    plan.extend(dropped.filter(|id| !wanted.contains(id)).map(|id| {
        let action = if id.kind == ObjectKind::PersistentVolumeClaim { "keep" } else { "delete" };
        Planned { object: id.to_string(), action }
    }));
    plan
}

/// What would become of a JobConfig, by what is in force.
fn joined(record: Option<&Deployment>, id: &ObjectId, hash: &str) -> &'static str {
    let in_force = record.and_then(|it| it.object(id)).and_then(|it| it.known.applied.as_ref());
    match in_force {
        None => "create",
        Some(applied) if applied.hash == hash => "unchanged",
        Some(_) => "configure",
    }
}
