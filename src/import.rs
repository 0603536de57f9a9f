//! What other tools were told, as entries of jobs.json and as settings, with a remark for all that has no counterpart
//! or means something else here.
//!
//! Pure: files come in as bytes, and everything that is to be told goes out as a value. `documents` cuts files into
//! documents, `scaled_job`, `job` and `original` read one kind of document each, `draft` writes entries down.

mod connection;

mod documents;

mod draft;

mod fields;

pub mod file;

pub mod given;

mod job;

mod original;

mod pod;

mod query;

pub mod remark;

mod scaled_job;

pub mod settings;

mod trigger;

mod yaml;

use std::rc::Rc;

use serde_json::Value;

use self::{
    connection::Surroundings,
    documents::{Content, Document},
    draft::Draft,
    file::File,
    remark::{Notes, Origin, Remark},
    settings::Settings,
};
use crate::{
    config::jobs_file::{self, BYTES_MAX},
    harmless::harmless,
};

/// What became of all files.
#[derive(Debug, Default)]
pub struct Imported {
    /// A whole jobs.json with comments; empty where there is no entry.
    pub jobs_json: String,
    /// What job-chief's own environment needs.
    pub settings: Settings,
    /// What has no counterpart or means something else.
    pub remarks: Vec<Remark>,
    /// What could not be imported, and what has to be mended before `validate` passes: a line each.
    pub failures: Vec<String>,
}

/// Imports all files together: what one of them refers to may stand in another.
pub fn import(files: &[File]) -> Imported {
    let mut imported = Imported::default();
    let mut documents = vec![];
    for file in files {
        match documents::read(file) {
            Ok(found) => documents.extend(found),
            Err(why) => imported.failures.push(format!("{}: {why}", harmless(&file.name))),
        }
    }
    let around = Surroundings::of(&documents);
    let (judges, mut drafts) = (Rc::default(), vec![]);
    for document in documents {
        imported.convert(Notes::new(document.origin.clone(), Rc::clone(&judges)), document, &around, &mut drafts);
    }
    imported.finish(&drafts);
    imported
}

impl Imported {
    fn convert(&mut self, mut notes: Notes, document: Document, around: &Surroundings, drafts: &mut Vec<Draft>) {
        let made = match document.content {
            Content::Jobs(entries) => Ok(original::entries(entries, &mut notes)),
            Content::Environment(variables) => {
                original::environment(variables, &mut notes);
                Ok(vec![])
            }
            Content::Object(object) => self::object(&document.origin, object, around, &mut notes),
        };
        match made {
            Ok(made) => drafts.extend(made),
            Err(why) => self.failures.push(format!("{}: {why}", document.origin)),
        }
        self.remarks.append(&mut notes.remarks);
        self.settings.extend(notes.settings, &mut self.remarks);
    }

    /// Writes all entries down, and says what `validate` would say of them.
    fn finish(&mut self, drafts: &[Draft]) {
        if drafts.is_empty() {
            if self.settings.is_empty() && self.failures.is_empty() {
                self.failures.push(format!("there is nothing to import: {}", documents::KNOWN));
            }
            return;
        }
        self.jobs_json = draft::jobs_json(drafts);
        match jobs_file::load("jobs.json", &self.jobs_json) {
            Ok(file) => self.remarks.extend(file.warnings.iter().map(Remark::of_output)),
            Err(problems) => self.failures.extend(problems.0.iter().map(ToString::to_string)),
        }
        if self.jobs_json.len() as u64 > BYTES_MAX {
            self.failures.push(format!("jobs.json has {} bytes, allowed are {BYTES_MAX}", self.jobs_json.len()));
        }
    }
}

/// Reads one Kubernetes object by its kind.
fn object(origin: &Origin, object: Value, around: &Surroundings, notes: &mut Notes) -> Result<Vec<Draft>, String> {
    let group = object["apiVersion"].as_str().unwrap_or_default().split('/').next().unwrap_or_default();
    match (group, origin.kind.as_str()) {
        ("keda.sh", "ScaledJob") => scaled_job::draft(object, around, notes).map(|draft| vec![draft]),
        ("batch", "Job") => job::draft(object, notes).map(|draft| vec![draft]),
        ("apps", "Deployment") => {
            original::deployment(&object, notes);
            Ok(vec![])
        }
        ("v1", "ConfigMap") => original::config_map(&object, notes),
        // They are looked up by who refers to them.
        ("v1", "Secret") | ("keda.sh", "TriggerAuthentication" | "ClusterTriggerAuthentication") => Ok(vec![]),
        (group, kind) => {
            notes.say("", left_out(group, kind));
            Ok(vec![])
        }
    }
}

fn left_out(group: &str, kind: &str) -> String {
    match (group, kind) {
        ("keda.sh", "ScaledObject") => {
            "left out: a ScaledObject scales a Deployment up and down, and job-chief starts Jobs that end by themselves; \
             where the worker can end when its queue is empty, write an entry with its image"
                .into()
        }
        ("batch", "CronJob") => {
            "left out: a CronJob starts by the clock, and job-chief by messages; \
             pg-boss's own `schedule` can send a message by the same cron expression"
                .into()
        }
        _ => format!("left out: {}", documents::KNOWN),
    }
}
