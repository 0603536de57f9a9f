//! An object as the API server shows it.

use std::fmt;

use serde_json::Value;

use crate::{
    decide::live::{
        fields::{self, Drift},
        owner::{Owner, Ownership},
        readiness::{self, Readiness},
        written::{ANNOTATION_HASH, Written, is_same},
    },
    modules::object::ObjectId,
};

/// An object as it is now.
#[derive(Clone, PartialEq)]
pub struct Live {
    id: ObjectId,
    body: Value,
}

/// What may be a Secret is not printed.
impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Live({} {})", self.id, self.uid())
    }
}

impl Live {
    /// An answer of the API server.
    pub fn new(id: ObjectId, body: Value) -> Self {
        Self { id, body }
    }

    /// Which object.
    pub fn id(&self) -> &ObjectId {
        &self.id
    }

    /// Its `metadata.uid`, the precondition of a delete.
    pub fn uid(&self) -> &str {
        self.body["metadata"]["uid"].as_str().unwrap_or_default()
    }

    /// It is being deleted.
    pub fn is_going(&self) -> bool {
        self.body["metadata"]["deletionTimestamp"].is_string()
    }

    /// Whose it is.
    pub fn whose(&self, owner: &Owner) -> Ownership {
        owner.judge(&self.body)
    }

    /// How it does.
    pub fn readiness(&self) -> Readiness {
        readiness::judge(self.id.kind, &self.body)
    }

    /// It was made from what is written now.
    pub fn is_of(&self, written: &Written) -> bool {
        self.body["metadata"]["annotations"][ANNOTATION_HASH].as_str().is_some_and(|hash| is_same(hash, written))
    }

    /// What somebody else has changed of what we wrote. Meaningful where [`Live::is_of`] holds: else it was us.
    pub fn drift(&self, written: &Written) -> Vec<Drift> {
        fields::drift(written.body(), &self.body)
    }

    /// Applying what was written made this of `before`, and it is what it was: the same was written, and the fields
    /// that are ours are the same. Whoever changes a field of ours takes it from us.
    pub fn is_unchanged_since(&self, before: &Self) -> bool {
        let hash = |live: &Self| live.body["metadata"]["annotations"][ANNOTATION_HASH].clone();
        hash(self) == hash(before) && fields::ours(&self.body) == fields::ours(&before.body)
    }
}
