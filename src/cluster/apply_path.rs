//! Where the API server has the objects of deployments, and the requests that go there.

use axum::http;
use kube::{
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy, ValidationDirective},
    core::{
        Request,
        request::Error::{self, BuildRequest},
    },
};
use serde_json::Value;

use crate::{
    decide::live::fields::FIELD_MANAGER,
    modules::object::{ObjectId, ObjectKind},
};

/// A request that was built, or why it could not be.
pub(super) type Built = Result<http::Request<Vec<u8>>, Error>;

/// Whether something is to be done, or only judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It is done.
    Done,
    /// It is judged and forgotten.
    DryRun,
}

/// A name can stand in a path, and means nothing else there. All names of Kubernetes are such.
pub(super) fn is_safe(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.starts_with(plain) && name.chars().all(|c| plain(c) || matches!(c, '-' | '.'))
}

/// A live look.
pub(super) fn get(namespace: &str, id: &ObjectId) -> Built {
    to(namespace, id.kind).get(&id.name, &Default::default())
}

/// A new object. Fields that its kind does not have are refused, where the API server would pass over them.
pub(super) fn create(namespace: &str, kind: ObjectKind, body: &Value, mode: Mode) -> Built {
    let params = PostParams { dry_run: mode == Mode::DryRun, field_manager: Some(FIELD_MANAGER.into()) };
    let request = to(namespace, kind).create(&params, body.to_string().into_bytes())?;
    let (mut parts, body) = request.into_parts();
    let uri = format!("{}&fieldValidation={}", parts.uri, ValidationDirective::Strict.as_str());
    parts.uri = uri.parse().map_err(|error: http::uri::InvalidUri| BuildRequest(error.into()))?;
    Ok(http::Request::from_parts(parts, body))
}

/// Server-side apply.
pub(super) fn patch(namespace: &str, id: &ObjectId, body: &Value, force: bool, mode: Mode) -> Built {
    let params = PatchParams {
        dry_run: mode == Mode::DryRun,
        force,
        field_manager: Some(FIELD_MANAGER.into()),
        field_validation: Some(ValidationDirective::Strict),
    };
    to(namespace, id.kind).patch(&id.name, &params, &Patch::Apply(body))
}

/// A delete of the very object with this uid; it is gone when all that belongs to it is.
pub(super) fn delete(namespace: &str, id: &ObjectId, uid: &str) -> Built {
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::default()
    };
    to(namespace, id.kind).delete(&id.name, &params)
}

fn to(namespace: &str, kind: ObjectKind) -> Request {
    let root = if kind.group().is_empty() { "api" } else { "apis" };
    Request::new(format!("/{root}/{}/namespaces/{namespace}/{}", kind.api_version(), kind.plural()))
}
