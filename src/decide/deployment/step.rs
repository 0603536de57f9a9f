//! What is done about a deployment, one step after another, and what comes of each.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    decide::{
        deployment::record::{Change, Known},
        live::{owner::Ownership, readiness::Readiness},
    },
    modules::object::ObjectId,
};

/// What is known of the JobConfigs of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Those that jobs.json has, too: there it counts.
    pub in_file: BTreeSet<String>,
    /// Services that are RUNNING as they are in force.
    pub running: BTreeSet<String>,
    /// Those that have an actor, be it that it only sees the last Jobs to their end.
    pub present: BTreeSet<String>,
}

/// What is to be done, and answered by one [`Answer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look at the object in the cluster.
    Look(ObjectId),
    /// Apply it as it is wanted.
    Apply(ObjectId),
    /// Delete the one with this uid.
    Delete(ObjectId, String),
    /// Record what is known of it.
    Note {
        /// The object.
        id: ObjectId,
        /// The revision for which it was done.
        revision: i64,
        /// What is known.
        known: Known,
        /// A JobConfig comes into force, or another one, or leaves it.
        fleet: bool,
    },
    /// Record that nothing is left of it, or that it is left alone from now on.
    ObjectGone(ObjectId),
    /// Record that nothing is left of the deployment.
    Gone,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What is in the cluster.
    Looked(Looked),
    /// It is applied, and has this uid.
    Applied(Change, String),
    /// It is being deleted, or was gone already.
    Deleted,
    /// It is on record.
    Noted,
    /// The API server does not want it, and says why.
    Refused(String),
    /// Nothing is known.
    Unanswered,
}

/// What is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Nothing of this name.
    Absent,
    /// This.
    Found(Live),
}

/// An object as it is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its uid.
    pub uid: String,
    /// Whose it is, as its labels say.
    pub whose: Ownership,
    /// It is being deleted.
    pub terminating: bool,
    /// Whether it does what it is for.
    pub ready: Readiness,
    /// What of it is not as it is wanted, and who changed that; `None` where it is as it was written.
    pub changed: Option<String>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A step; nothing else before it is answered.
    Do(Step),
    /// Nothing before this time, unless something is told.
    Wait(Option<Duration>),
    /// Nothing is left of it.
    Over,
}
