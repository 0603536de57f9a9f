//! The JobConfigs that are in force: those of jobs.json and those of deployments, and what they share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    config::{entry::Entry, in_file::InFile, sharing::Sharing, sharing_rules},
    modules::object::Object,
};

/// What every process has to know of the deployments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deployed {
    /// The revision of each.
    pub revisions: BTreeMap<String, i64>,
    /// The JobConfigs that are in force, by deployment and in their order there.
    pub in_force: Vec<InForce>,
}

/// A JobConfig of a deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct InForce {
    /// The deployment.
    pub deployment: String,
    /// The JobConfig.
    pub object: Object,
}

/// Every JobConfig that is in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fleet {
    /// Those of jobs.json in its order, then those of deployments.
    pub entries: Vec<Entry>,
    /// The deployment of each that is not in jobs.json.
    pub deployments: BTreeMap<String, Arc<str>>,
    /// JobConfigs that are not in force, each with the deployment and why not.
    pub left_out: Vec<(String, String, String)>,
    /// What they share, by jobs.json.
    pub sharing: Arc<Sharing>,
}

/// How an object that is a JobConfig is read; the error says what is wrong with it.
pub type ReadEntry = fn(&Object) -> Result<Entry, String>;

impl Fleet {
    /// Joins both. A name that jobs.json has counts there, and nobody takes a place in a pool that it lacks.
    pub fn join(file: &InFile, deployed: &Deployed, read: ReadEntry) -> Self {
        let in_file: BTreeSet<&str> = file.entries.iter().map(Entry::name).collect();
        let mut fleet = Self { entries: file.entries.to_vec(), sharing: file.sharing.clone(), ..Self::default() };
        let mut own = BTreeMap::new();
        for InForce { deployment, object } in &deployed.in_force {
            let name = object.id.name.clone();
            let why = match read(object) {
                _ if in_file.contains(name.as_str()) => "jobs.json has an entry of this name".to_owned(),
                Ok(entry) if entry.name() != name => format!("its entry is named {:?}", entry.name()),
                Ok(entry) => match sharing_rules::findings(&entry, &file.sharing).into_iter().next() {
                    Some(finding) => finding.text,
                    None => {
                        own.insert(name, (deployment, entry));
                        continue;
                    }
                },
                Err(why) => why,
            };
            fleet.left_out.push((name, deployment.clone(), why));
        }
        for (name, (deployment, entry)) in own {
            fleet.entries.push(entry);
            fleet.deployments.insert(name, deployment.as_str().into());
        }
        fleet
    }

    /// It is to be in force, and this version can't read it, or it names a pool that is not there: what lives of it goes on.
    pub fn leaves_alone(&self, name: &str) -> bool {
        self.left_out.iter().any(|(left_out, ..)| left_out == name) && self.entries.iter().all(|it| it.name() != name)
    }
}
