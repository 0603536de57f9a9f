//! A deployment and its objects, as they are on record.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    decide::pod::names::short_hash,
    modules::{
        object::{Object, ObjectId},
        rendered::{Rendered, RenderedFile},
    },
};

/// A deployment, as it is on record.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Its name, unique among all of this Instance.
    pub name: String,
    /// The module.
    pub module: String,
    /// The version of the module.
    pub version: String,
    /// The values of its placeholders.
    pub config: Map<String, Value>,
    /// The hash of what the module made of the config.
    pub rendered_hash: String,
    /// Fields that others own are taken over, and objects that others made.
    pub force: bool,
    /// What is changed by hand is put back at once.
    pub reconcile: bool,
    /// Raised with each write of people.
    pub revision: i64,
    /// It is to go, with all that it owns.
    pub gone: bool,
    /// The PersistentVolumeClaims that go, too.
    pub volumes: Vec<String>,
    /// Who wrote it last.
    pub who: String,
    /// Why.
    pub why: String,
    /// When, RFC 3339.
    pub written_at: String,
    /// Its objects in the order in which they are applied.
    pub objects: Vec<DeployedObject>,
}

/// An object of a deployment, as it is on record.
#[derive(Clone, Debug, PartialEq)]
pub struct DeployedObject {
    /// It is waited for before what comes after it is applied.
    pub dependency: bool,
    /// As it is wanted.
    pub object: Object,
    /// The hash of its body.
    pub hash: String,
    /// The deployment's revision that spoke of it last.
    pub revision: i64,
    /// That revision wants it; else it is to go.
    pub wanted: bool,
    /// What is known of it.
    pub known: Known,
    /// When what is known changed last, RFC 3339.
    pub changed_at: String,
}

impl DeployedObject {
    /// What is wrong with it, if it is in error.
    pub fn error(&self) -> Option<String> {
        let why = self.known.message.as_deref().unwrap_or("it is in error");
        (self.known.state == ObjectState::Error).then(|| format!("{}: {why}", self.object.id))
    }
}

/// What is known of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Known {
    /// How far it is.
    pub state: ObjectState,
    /// What the last apply did.
    pub result: Option<Change>,
    /// Why it is in error, or what it waits for.
    pub message: Option<String>,
    /// A request was sent whose answer is not on record.
    pub asked: bool,
    /// What is in the cluster, or in force.
    pub applied: Option<Applied>,
}

/// What is in the cluster, or in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Applied {
    /// The hash of the body that was applied.
    pub hash: String,
    /// The uid of the object; empty for a JobConfig.
    pub uid: String,
    /// A Job that has come to its end does not have to be there any more.
    pub completed: bool,
}

/// How far an object is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectState {
    /// Its turn has not come.
    #[default]
    Waiting,
    /// A request for it is under way.
    Applying,
    /// It is applied, and not ready yet.
    Applied,
    /// It is ready.
    Ready,
    /// Something is wrong with it; tried again.
    Error,
    /// It was changed by hand.
    Drifted,
    /// Somebody has deleted it.
    Missing,
    /// It is being deleted.
    Removing,
}

/// Each of them.
pub const OBJECT_STATES: [ObjectState; 8] = [
    ObjectState::Waiting,
    ObjectState::Applying,
    ObjectState::Applied,
    ObjectState::Ready,
    ObjectState::Error,
    ObjectState::Drifted,
    ObjectState::Missing,
    ObjectState::Removing,
];

impl ObjectState {
    /// The word in the API, in metrics and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::Ready => "ready",
            Self::Error => "error",
            Self::Drifted => "drifted",
            Self::Missing => "missing",
            Self::Removing => "removing",
        }
    }

    /// What a word stands for; one that is not known is waiting, and is looked at anew.
    pub fn of(word: &str) -> Self {
        OBJECT_STATES.into_iter().find(|state| state.as_str() == word).unwrap_or_default()
    }
}

/// What an apply did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It was not there.
    Created,
    /// It was there, and is another now.
    Configured,
    /// It was there and can't be changed: it went, and another came.
    Replaced,
    /// It was there as it is wanted.
    Unchanged,
}

impl Change {
    /// The word of `kubectl apply`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Replaced => "replaced",
            Self::Unchanged => "unchanged",
        }
    }

    /// The word for what an apply would do.
    pub fn planned(self) -> &'static str {
        match self {
            Self::Created => "create",
            Self::Configured => "configure",
            Self::Replaced => "replace",
            Self::Unchanged => "unchanged",
        }
    }

    /// What a word stands for.
    pub fn of(word: &str) -> Option<Self> {
        let all = [Self::Created, Self::Configured, Self::Replaced, Self::Unchanged];
        all.into_iter().find(|change| change.as_str() == word)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeploymentState {
    /// Objects are being applied, or are not ready yet.
    Applying,
    /// Everything is as it is wanted.
    Settled,
    /// An object is in error; those after it wait.
    Failed,
    /// An object was changed or deleted by hand.
    Drifted,
    /// It is being removed.
    Removing,
}

/// Each of them.
pub const DEPLOYMENT_STATES: [DeploymentState; 5] = [
    DeploymentState::Applying,
    DeploymentState::Settled,
    DeploymentState::Failed,
    DeploymentState::Drifted,
    DeploymentState::Removing,
];

impl DeploymentState {
    /// That of one whose objects are wanted or not, and stand so.
    pub fn of(gone: bool, objects: impl Iterator<Item = (bool, ObjectState)> + Clone) -> Self {
        use ObjectState::{Applied, Applying, Drifted, Error, Missing, Removing, Waiting};
        let any = |states: &[ObjectState]| objects.clone().any(|(_, state)| states.contains(&state));
        if any(&[Error]) {
            Self::Failed
        } else if gone {
            Self::Removing
        } else if any(&[Waiting, Applying, Applied, Removing]) || objects.clone().any(|(wanted, _)| !wanted) {
            Self::Applying
        } else if any(&[Drifted, Missing]) {
            Self::Drifted
        } else {
            Self::Settled
        }
    }

    /// The word in the API and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applying => "applying",
            Self::Settled => "settled",
            Self::Failed => "failed",
            Self::Drifted => "drifted",
            Self::Removing => "removing",
        }
    }
}

impl Deployment {
    /// How it stands. Nobody needs to wait any longer when it is neither applying nor removing.
    pub fn state(&self) -> DeploymentState {
        DeploymentState::of(self.gone, self.objects.iter().map(|it| (it.wanted, it.known.state)))
    }

    /// An object of it.
    pub fn object(&self, id: &ObjectId) -> Option<&DeployedObject> {
        self.objects.iter().find(|it| it.object.id == *id)
    }
}

/// What is to be deployed.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDeployment {
    /// Its name.
    pub name: String,
    /// The module.
    pub module: String,
    /// The version of the module.
    pub version: String,
    /// The values of its placeholders.
    pub config: Map<String, Value>,
    /// Fields that others own are taken over, and objects that others made.
    pub force: bool,
    /// What is changed by hand is put back at once.
    pub reconcile: bool,
    /// What the module made of the config: dependencies first, each in its order.
    pub objects: Vec<NewObject>,
    /// Who deploys it.
    pub who: String,
    /// Why.
    pub why: String,
}

/// An object of what is to be deployed.
#[derive(Clone, Debug, PartialEq)]
pub struct NewObject {
    /// It is waited for before what comes after it is applied.
    pub dependency: bool,
    /// The object.
    pub object: Object,
}

impl NewObject {
    /// The objects of a module with its values, in the order in which they are applied.
    pub fn of(rendered: &Rendered) -> Vec<Self> {
        let of = |files: &[RenderedFile], dependency| {
            let objects = files.iter().flat_map(|file| &file.objects).cloned();
            objects.map(|object| Self { dependency, object }).collect::<Vec<_>>()
        };
        let mut all = of(&rendered.dependencies, true);
        all.extend(of(&rendered.modules, false));
        all
    }
}

/// Characters of a hash of a body: almost 100 bits.
const HASH_LEN: usize = 20;

/// A body as JSON, with its keys in order.
pub fn json_text(body: &Map<String, Value>) -> String {
    serde_json::to_string(body).expect("a tree of values is JSON")
}

/// The hash of a body.
pub fn body_hash(body: &Map<String, Value>) -> String {
    short_hash(json_text(body).as_bytes(), HASH_LEN)
}

impl NewDeployment {
    /// The hash of all its objects, in their order.
    pub fn rendered_hash(&self) -> String {
        let all: Vec<String> = self
            .objects
            .iter()
            .map(|it| format!("{} {} {}", it.object.id, it.dependency, body_hash(&it.object.body)))
            .collect();
        short_hash(all.join("\n").as_bytes(), HASH_LEN)
    }

    /// The record says already what this says.
    pub fn is_on_record(&self, record: &Deployment) -> bool {
        !record.gone
            && (&record.module, &record.version, &record.config) == (&self.module, &self.version, &self.config)
            && (record.force, record.reconcile) == (self.force, self.reconcile)
            && record.rendered_hash == self.rendered_hash()
    }
}
