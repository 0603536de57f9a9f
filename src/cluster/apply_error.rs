//! Why an object was not deployed, as the API server says it. What stands in a Secret is never repeated.

use std::{fmt, time::Duration};

use kube::core::{Status, response::StatusCause};
use thiserror::Error;

use crate::{
    cluster::requests::{Unanswered, retry_after, says_later},
    decide::{
        live::{
            owner::Ownership,
            rights::{Right, Verb},
        },
        outcome::shorten,
    },
    modules::object::{ObjectId, ObjectKind},
};

/// The reason of Kubernetes for a field that somebody else has.
const FIELD_CONFLICT: &str = "FieldManagerConflict";

/// How server-side apply begins its answer for an object that is not of its kind. It comes with 500, which otherwise
/// means "later".
const NOT_OF_ITS_KIND: [&str; 2] = ["failed to create typed patch object", "failed to convert new object"];

/// A field that somebody else has set to another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldConflict {
    /// Such as `data.color`.
    pub field: String,
    /// Such as `kubectl-edit`.
    pub manager: String,
}

impl fmt::Display for FieldConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.field, self.manager)
    }
}

/// Why an object was not deployed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// Our rights do not reach so far.
    #[error(
        "{id}: job-chief may not {right} in this namespace: the chart's value rbac.apply gives the rights to deploy, and docs/install.md has them as a Role"
    )]
    Forbidden {
        /// Which object.
        id: ObjectId,
        /// The right that is missing.
        right: Right,
    },
    /// Others have set fields of it to other values.
    #[error("{id}: others have set {}; deploy with force to take them over", listed(fields))]
    Conflict {
        /// Which object.
        id: ObjectId,
        /// The fields, and who has them.
        fields: Vec<FieldConflict>,
    },
    /// There is one of this name that is not this deployment's.
    #[error("{id}: {}", taken(*forcible, holder))]
    NameTaken {
        /// Which object.
        id: ObjectId,
        /// Whose it is.
        holder: Ownership,
        /// It can be taken over with force.
        forcible: bool,
    },
    /// The API server does not take it.
    #[error("{id}: {message}")]
    Refused {
        /// Which object.
        id: ObjectId,
        /// In Kubernetes' words, with the fields that it names.
        message: String,
    },
    /// What had the name before is being deleted, and its pods take their time.
    #[error("{id}: what has this name is still being deleted")]
    StillThere {
        /// Which object.
        id: ObjectId,
    },
    /// No answer, or "later".
    #[error("{id}: {why}")]
    Transient {
        /// Which object.
        id: ObjectId,
        /// What is known of it.
        why: String,
        /// How long the API server asks to be left alone.
        retry_after: Option<Duration>,
    },
}

impl ApplyError {
    /// Which object.
    pub fn id(&self) -> &ObjectId {
        match self {
            Self::Forbidden { id, .. }
            | Self::Conflict { id, .. }
            | Self::NameTaken { id, .. }
            | Self::Refused { id, .. }
            | Self::StillThere { id }
            | Self::Transient { id, .. } => id,
        }
    }

    /// It may work when it is tried again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::StillThere { .. } | Self::Transient { .. })
    }

    /// What an answer means for a request with this verb.
    pub(super) fn of(id: &ObjectId, verb: Verb, answer: Unanswered) -> Self {
        let id = id.clone();
        let status = match answer {
            Unanswered::Told(status) => status,
            Unanswered::Silent => {
                let why = "the API server does not answer, or the lease has ended".to_owned();
                return Self::Transient { id, why, retry_after: None };
            }
        };
        let conflicts = conflicts(&status);
        if !conflicts.is_empty() {
            return Self::Conflict { id, fields: conflicts };
        }
        match status.code {
            403 if is_of_rights(&status) => {
                let right = Right { verb: verb_of(&status).unwrap_or(verb), kind: id.kind };
                Self::Forbidden { id, right }
            }
            // The object came, went or changed while we asked.
            409 => {
                let why = told(&id, &status);
                Self::Transient { id, why, retry_after: None }
            }
            _ if says_later(&status) && !is_of_schema(&status) => {
                let (why, retry_after) = (told(&id, &status), retry_after(&status));
                Self::Transient { id, why, retry_after }
            }
            _ => {
                let message = told(&id, &status);
                Self::Refused { id, message }
            }
        }
    }
}

fn listed(fields: &[FieldConflict]) -> String {
    fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn taken(forcible: bool, holder: &Ownership) -> String {
    let whose = match holder {
        Ownership::OfDeployment { instance, deployment } => {
            return format!(
                "the name is taken by the deployment {deployment} of Instance {instance}: give the object another name"
            );
        }
        Ownership::Ours => "this deployment",
        Ownership::Foreign => "somebody else",
    };
    let remedy = if forcible { "give it another name, or deploy with force" } else { "give it another name" };
    format!("there is one already that {whose} has made: {remedy}")
}

/// The fields that somebody else has, of a server-side apply.
fn conflicts(status: &Status) -> Vec<FieldConflict> {
    let manager = |message: &str| {
        let quoted = message.split_once('"').and_then(|(_, rest)| rest.split_once('"'));
        quoted.map_or_else(|| message.to_owned(), |(manager, _)| manager.to_owned())
    };
    let conflict = |cause: &StatusCause| FieldConflict {
        field: cause.field.trim_start_matches('.').to_owned(),
        manager: manager(&cause.message),
    };
    causes(status).iter().filter(|cause| cause.reason == FIELD_CONFLICT).map(conflict).collect()
}

fn causes(status: &Status) -> &[StatusCause] {
    status.details.as_ref().map_or(&[], |details| &details.causes)
}

/// A 403 is also the answer of quotas and admission plugins, which no Role mends.
fn is_of_rights(status: &Status) -> bool {
    status.message.contains(" cannot ") && status.message.contains(" resource \"")
}

/// The verb that is missing is not always that of the request: an apply that makes an object needs `create`.
fn verb_of(status: &Status) -> Option<Verb> {
    let (_, rest) = status.message.split_once(" cannot ")?;
    let named = rest.split(' ').next()?;
    [Verb::Create, Verb::Delete, Verb::Get, Verb::Patch].into_iter().find(|verb| verb.as_str() == named)
}

/// The object is not of its kind.
fn is_of_schema(status: &Status) -> bool {
    NOT_OF_ITS_KIND.iter().any(|beginning| status.message.starts_with(beginning))
}

/// The field that such an answer names.
fn field_of_schema(status: &Status) -> Option<&str> {
    let (_, rest) = status.message.split_once("): .").filter(|_| is_of_schema(status))?;
    rest.split(':').next()
}

/// The answer in Kubernetes' words. Of a Secret only which fields are wrong: the words may quote what stands there.
fn told(id: &ObjectId, status: &Status) -> String {
    if id.kind != ObjectKind::Secret {
        return shorten(&status.message);
    }
    let of_causes = causes(status).iter().map(|cause| cause.field.as_str());
    let fields: Vec<&str> = of_causes.chain(field_of_schema(status)).filter(|field| !field.is_empty()).collect();
    let fields = if fields.is_empty() { String::new() } else { format!(": see {}", fields.join(", ")) };
    let reason = if status.reason.is_empty() { String::new() } else { format!(", {}", status.reason) };
    format!(
        "Kubernetes does not take it ({}{reason}){fields}; its words are left out, for they may quote the Secret",
        status.code
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(kind: ObjectKind, verb: Verb, status: Value) -> ApplyError {
        let id = ObjectId { kind, name: "x".into() };
        let status: Status = serde_json::from_value(status).expect("a status");
        ApplyError::of(&id, verb, Unanswered::Told(status.boxed()))
    }

    #[test]
    fn a_conflict_names_fields_and_managers() {
        let cause = |field: &str, manager: &str| json!({"reason": "FieldManagerConflict", "field": field, "message": format!("conflict with \"{manager}\" using v1")});
        let causes = [cause(".data.a", "kubectl-edit"), cause(".spec.containers[name=\"x\"].image", "helm")];
        let status =
            json!({"code": 409, "reason": "Conflict", "message": "Apply failed", "details": {"causes": causes}});
        let told = of(ObjectKind::ConfigMap, Verb::Patch, status);
        assert_eq!(
            told.to_string(),
            "ConfigMap/x: others have set data.a (kubectl-edit), spec.containers[name=\"x\"].image (helm); deploy with force to take them over"
        );
        assert!(!told.is_transient());
    }

    #[test]
    fn a_right_that_is_missing_is_told_from_what_no_role_mends() {
        let forbidden = |message: &str| {
            of(ObjectKind::ConfigMap, Verb::Patch, json!({"code": 403, "reason": "Forbidden", "message": message}))
        };
        let rbac = r#"configmaps "x" is forbidden: User "u" cannot create resource "configmaps" in API group "" in the namespace "n""#;
        let right = Right { verb: Verb::Create, kind: ObjectKind::ConfigMap };
        assert!(matches!(forbidden(rbac), ApplyError::Forbidden { right: told, .. } if told == right));
        let quota = r#"configmaps "x" is forbidden: exceeded quota: few"#;
        assert!(matches!(forbidden(quota), ApplyError::Refused { message, .. } if message == quota));
    }

    #[test]
    fn what_may_work_later_is_told_from_what_does_not() {
        let of =
            |code: u16, message: &str| of(ObjectKind::Service, Verb::Patch, json!({"code": code, "message": message}));
        for (code, message) in [(429, "later"), (500, "etcd"), (409, "the object has been modified"), (401, "token")] {
            assert!(of(code, message).is_transient(), "{code}");
        }
        for (code, message) in [
            (422, "invalid"),
            (400, "bad"),
            (404, "no namespace"),
            (500, "failed to create typed patch object (a/x; v1, Kind=Service): .spec.a: field not declared in schema"),
        ] {
            assert!(matches!(of(code, message), ApplyError::Refused { .. }), "{code}");
        }
        let silent =
            ApplyError::of(&ObjectId { kind: ObjectKind::Job, name: "x".into() }, Verb::Get, Unanswered::Silent);
        assert!(silent.is_transient());
    }

    #[test]
    fn the_words_about_a_secret_are_left_out() {
        let message =
            "failed to create typed patch object (/x; /v1, Kind=Secret): .data.a: expected string, got hunter2";
        let told = of(ObjectKind::Secret, Verb::Patch, json!({"code": 500, "message": message}));
        assert!(matches!(&told, ApplyError::Refused { message, .. } if message.contains("see data.a;")), "{told}");
        assert!(!told.to_string().contains("hunter2"));
        let causes = json!([{"reason": "FieldValueInvalid", "field": "data[a]", "message": "hunter2"}]);
        let status = json!({"code": 422, "reason": "Invalid", "message": "Secret x: \"hunter2\" is wrong", "details": {"causes": causes}});
        let told = of(ObjectKind::Secret, Verb::Patch, status.clone());
        assert!(told.to_string().contains("(422, Invalid): see data[a]"), "{told}");
        assert!(!format!("{told} {told:?}").contains("hunter2"));
        assert!(
            of(ObjectKind::ConfigMap, Verb::Patch, status).to_string().contains("hunter2"),
            "others are told whole"
        );
    }

    #[test]
    fn a_name_that_is_taken_says_by_whom() {
        let id = ObjectId { kind: ObjectKind::Service, name: "x".into() };
        let taken = |holder, forcible| ApplyError::NameTaken { id: id.clone(), holder, forcible }.to_string();
        assert_eq!(
            taken(Ownership::Foreign, true),
            "Service/x: there is one already that somebody else has made: give it another name, or deploy with force"
        );
        let other = Ownership::OfDeployment { instance: "a".into(), deployment: "mail".into() };
        assert!(taken(other, false).contains("by the deployment mail of Instance a"));
    }
}
