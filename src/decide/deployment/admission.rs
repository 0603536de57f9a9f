//! Whether a deployment may be written, or may go: judged by everything that is deployed and by jobs.json.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::{
        dependencies, dns_label::is_label, entry::Entry, in_file::InFile, judge::Finding, problems::nearest,
        sharing_rules,
    },
    decide::deployment::{
        fleet::ReadEntry,
        record::{Deployment, NewDeployment, json_text},
    },
    modules::{
        module::OBJECTS_MAX,
        object::{Object, ObjectKind},
    },
};

/// Deployments of one Instance.
pub const DEPLOYMENTS_MAX: usize = 200;

/// Bytes of all objects of one deployment, as JSON: as much as a ConfigMap holds.
pub const BYTES_MAX: usize = 1 << 20;

/// Bytes of all objects of all deployments: each write and each list reads them.
pub const BYTES_TOTAL_MAX: usize = 32 << 20;

/// Characters of a deployment's name, which stands in paths and in a label.
pub const NAME_MAX: usize = 40;

/// Why a write is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Something is wrong with what is asked for.
    Wrong(String),
    /// There is no deployment of this name.
    Unknown(String),
    /// It does not go with what is deployed already, or with jobs.json.
    Conflict(String),
}

impl Refusal {
    /// What people are told.
    pub fn text(&self) -> &str {
        match self {
            Self::Wrong(text) | Self::Unknown(text) | Self::Conflict(text) => text,
        }
    }
}

/// What a write is judged by.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// Everything that is deployed.
    pub deployments: &'a [Deployment],
    /// jobs.json.
    pub file: &'a InFile,
    /// How a JobConfig is read.
    pub read: ReadEntry,
}

impl Judge<'_> {
    /// Whether a deployment may be written.
    ///
    /// # Errors
    /// Why not.
    pub fn deploy(&self, new: &NewDeployment) -> Result<(), Refusal> {
        named(&new.name)?;
        size(new, self.deployments)?;
        if self.deployments.iter().any(|it| it.name == new.name && it.gone) {
            let text = format!("deployment {} is being removed: deploy it again when it is gone", new.name);
            return Err(Refusal::Conflict(text));
        }
        self.owned_by_nobody_else(new)?;
        let wanted = new.objects.iter().map(|it| &it.object);
        let entries = self.read_all(wanted).map_err(Refusal::Wrong)?;
        self.finds_its_pools(&new.name, &entries)?;
        self.depends_well(&new.name, entries)
    }

    /// Whether a deployment may go, with these PersistentVolumeClaims of it.
    ///
    /// # Errors
    /// Why not.
    pub fn undeploy(&self, name: &str, volumes: &[String]) -> Result<(), Refusal> {
        let Some(deployment) = self.deployments.iter().find(|it| it.name == name) else {
            let hint = nearest(name, self.deployments.iter().map(|it| it.name.as_str()));
            return Err(Refusal::Unknown(format!("there is no deployment {name:?}{hint}")));
        };
        let ids = deployment.objects.iter().map(|it| &it.object.id);
        let own: Vec<&str> =
            ids.filter(|id| id.kind == ObjectKind::PersistentVolumeClaim).map(|id| id.name.as_str()).collect();
        if let Some(unknown) = volumes.iter().find(|volume| !own.contains(&volume.as_str())) {
            let hint = nearest(unknown, own.iter().copied());
            let text = format!("deployment {name} has no PersistentVolumeClaim {unknown:?}{hint}");
            return Err(Refusal::Wrong(text));
        }
        self.depends_well(name, vec![])
    }

    /// No other deployment, nor jobs.json, has one of its objects.
    fn owned_by_nobody_else(&self, new: &NewDeployment) -> Result<(), Refusal> {
        let in_file: BTreeSet<&str> = self.file.entries.iter().map(Entry::name).collect();
        let others = self.deployments.iter().filter(|it| it.name != new.name);
        let owners: BTreeMap<_, &str> =
            others.flat_map(|it| it.objects.iter().map(|o| (&o.object.id, it.name.as_str()))).collect();
        let mut own = BTreeMap::new();
        for Object { id, file, line, .. } in new.objects.iter().map(|it| &it.object) {
            if let Some(owner) = owners.get(id) {
                return Err(Refusal::Conflict(format!("{file}:{line}: {id} is owned by deployment {owner}")));
            }
            if id.kind == ObjectKind::JobConfig && in_file.contains(id.name.as_str()) {
                return Err(Refusal::Conflict(format!("{file}:{line}: jobs.json has an entry \"{}\"", id.name)));
            }
            if let Some((file, line)) = own.insert(id, (file, line)) {
                return Err(Refusal::Wrong(format!("{id} stands in the module twice, first in {file}:{line}")));
            }
        }
        Ok(())
    }

    fn read_all<'o>(&self, objects: impl Iterator<Item = &'o Object>) -> Result<Vec<Entry>, String> {
        let configs = objects.filter(|object| object.id.kind == ObjectKind::JobConfig);
        configs.map(|object| (self.read)(object).map_err(|why| format!("{}: {why}", object.id))).collect()
    }

    /// jobs.json has the pools that these entries take places in.
    fn finds_its_pools(&self, name: &str, entries: &[Entry]) -> Result<(), Refusal> {
        for entry in entries {
            if let Some(finding) = sharing_rules::findings(entry, &self.file.sharing).into_iter().next() {
                return Err(Refusal::Conflict(would_not_work(entry, &format!("deployment {name}"), &finding)));
            }
        }
        Ok(())
    }

    /// With these entries instead of those it has, nothing is wrong between all entries that was not wrong before.
    fn depends_well(&self, name: &str, entries: Vec<Entry>) -> Result<(), Refusal> {
        let (mut others, mut before) = (self.labelled_file(), self.labelled_file());
        for deployment in self.deployments {
            let wanted = deployment.objects.iter().filter(|it| it.wanted || deployment.gone).map(|it| &it.object);
            let configs = wanted.filter(|object| object.id.kind == ObjectKind::JobConfig);
            // What this version can't read is left out: it is in force nowhere.
            let read = configs.filter_map(|object| (self.read)(object).ok());
            let read: Vec<_> = read.map(|entry| (format!("deployment {}", deployment.name), entry)).collect();
            before.extend(read.iter().cloned());
            // Nothing new may need what is about to go.
            others.extend(read.into_iter().filter(|_| deployment.name != name && !deployment.gone));
        }
        others.extend(entries.into_iter().map(|entry| (format!("deployment {name}"), entry)));
        let known = problems(&before);
        let mut new = problems(&others).into_iter().filter(|problem| !known.contains(problem));
        new.next().map_or(Ok(()), |problem| Err(Refusal::Conflict(problem)))
    }

    fn labelled_file(&self) -> Vec<(String, Entry)> {
        self.file.entries.iter().map(|entry| ("jobs.json".to_owned(), entry.clone())).collect()
    }
}

/// What is wrong between entries, each told with where its entry comes from.
fn problems(all: &[(String, Entry)]) -> Vec<String> {
    let entries: Vec<&Entry> = all.iter().map(|(_, entry)| entry).collect();
    let told = |(at, finding): (usize, Finding)| would_not_work(&all[at].1, &all[at].0, &finding);
    dependencies::findings(&entries, &[]).into_iter().map(told).collect()
}

fn would_not_work(entry: &Entry, from: &str, finding: &Finding) -> String {
    format!("\"{}\" of {from} would not work: {}", entry.name(), finding.text)
}

/// A deployment may be named so.
pub fn is_name(name: &str) -> bool {
    name.len() <= NAME_MAX && is_label(name)
}

/// The list of modules may name a deployment anyhow.
fn named(name: &str) -> Result<(), Refusal> {
    if is_name(name) {
        return Ok(());
    }
    let allowed = "small letters, digits and `-`, a letter or digit first and last";
    Err(Refusal::Wrong(format!("{name:?} is no name of a deployment: allowed are {allowed}, at most {NAME_MAX}")))
}

fn size(new: &NewDeployment, deployments: &[Deployment]) -> Result<(), Refusal> {
    let is_new = deployments.iter().all(|it| it.name != new.name);
    if is_new && deployments.len() >= DEPLOYMENTS_MAX {
        return Err(Refusal::Conflict(format!(
            "there are {DEPLOYMENTS_MAX} deployments already, and no more are allowed"
        )));
    }
    if new.objects.len() > OBJECTS_MAX {
        let text = format!("the module has {} objects, allowed are {OBJECTS_MAX}", new.objects.len());
        return Err(Refusal::Wrong(text));
    }
    let bytes = bytes(new.objects.iter().map(|it| &it.object));
    if bytes > BYTES_MAX {
        return Err(Refusal::Wrong(format!("the module's objects have {bytes} bytes, allowed are {BYTES_MAX}")));
    }
    let others = deployments.iter().filter(|it| it.name != new.name).flat_map(|it| &it.objects);
    let total = bytes.saturating_add(self::bytes(others.map(|it| &it.object)));
    if total > BYTES_TOTAL_MAX {
        let text = format!("all deployments would have {total} bytes, allowed are {BYTES_TOTAL_MAX}: undeploy one");
        return Err(Refusal::Conflict(text));
    }
    Ok(())
}

fn bytes<'o>(objects: impl Iterator<Item = &'o Object>) -> usize {
    objects.map(|object| json_text(&object.body).len()).sum()
}
