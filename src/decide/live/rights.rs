//! What one has to be allowed to deploy objects: verbs on resources of the namespace.

use std::{collections::BTreeSet, fmt};

use crate::modules::object::ObjectKind;

/// What is done with objects of deployments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Make one; server-side apply needs it beside [`Verb::Patch`].
    Create,
    /// Delete one.
    Delete,
    /// Look at one.
    Get,
    /// Server-side apply.
    Patch,
}

/// A verb on a kind of objects. Shown as `patch configmaps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Right {
    /// What is done.
    pub verb: Verb,
    /// With what.
    pub kind: ObjectKind,
}

impl Verb {
    /// As Roles name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Get => "get",
            Self::Patch => "patch",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb.as_str(), self.kind.plural())
    }
}

/// The rights that deploying objects of these kinds takes. A Job is never patched: our Role has no such verb.
pub fn needed(kinds: impl IntoIterator<Item = ObjectKind>) -> BTreeSet<Right> {
    let of_kind = |kind: ObjectKind| {
        let verbs: &[Verb] = match kind {
            ObjectKind::JobConfig => &[],
            ObjectKind::Job => &[Verb::Create, Verb::Delete, Verb::Get],
            _ => &[Verb::Create, Verb::Delete, Verb::Get, Verb::Patch],
        };
        verbs.iter().map(move |verb| Right { verb: *verb, kind })
    };
    kinds.into_iter().flat_map(of_kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_named_as_in_a_role() {
        let told = |kinds: &[ObjectKind]| {
            needed(kinds.iter().copied()).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(told(&[ObjectKind::JobConfig]), "");
        assert_eq!(told(&[ObjectKind::Job, ObjectKind::Job]), "create jobs, delete jobs, get jobs");
        assert_eq!(told(&[ObjectKind::Secret]), "create secrets, delete secrets, get secrets, patch secrets");
    }
}
