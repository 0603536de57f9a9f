//! The newest state of all our Jobs and Pods, and what it means for each JobConfig.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    cluster::reflect::Change,
    config::entry::Kind,
    decide::{
        outcome::JobName,
        pod::{
            digest::{JobDigest, Millis, PodDigest},
            observation::{Observed, observe},
        },
    },
};

/// The state of the cluster, by what it is asked for.
#[derive(Debug, Default)]
pub struct Index {
    jobs: HashMap<JobName, JobDigest>,
    pods: HashMap<Box<str>, BTreeMap<Box<str>, PodDigest>>,
    by_config: HashMap<Box<str>, BTreeSet<JobName>>,
    /// The JobConfig of each Job's uid.
    owners: HashMap<Box<str>, Box<str>>,
    dirty: BTreeSet<Box<str>>,
    jobs_seen: bool,
    pods_seen: bool,
}

impl Index {
    /// Takes in a change of the Jobs.
    pub fn change_jobs(&mut self, change: Change<JobDigest>) {
        match change {
            Change::Replace { all, .. } => {
                self.dirty.extend(self.by_config.keys().cloned());
                self.jobs.clear();
                self.by_config.clear();
                self.owners.clear();
                all.into_iter().for_each(|job| self.put_job(job));
                self.jobs_seen = true;
            }
            Change::Apply(job) => self.put_job(job),
            Change::Remove(job) => self.remove_job(&job.name),
            Change::Alive | Change::Restarted(_) => {}
        }
    }

    fn put_job(&mut self, job: JobDigest) {
        if self.jobs.get(&job.name).is_some_and(|before| before.config != job.config) {
            // Somebody has annotated it anew.
            self.remove_job(&job.name);
        }
        let Some(config) = job.config.clone() else { return };
        self.by_config.entry(config.clone()).or_default().insert(job.name.clone());
        self.owners.insert(job.uid.clone(), config.clone());
        self.dirty.insert(config);
        self.jobs.insert(job.name.clone(), job);
    }

    fn remove_job(&mut self, name: &JobName) {
        let Some(JobDigest { uid, config: Some(config), .. }) = self.jobs.remove(name) else { return };
        self.owners.remove(&uid);
        if let Some(names) = self.by_config.get_mut(&config) {
            names.remove(name);
        }
        self.dirty.insert(config);
    }

    /// Takes in a change of the Pods.
    pub fn change_pods(&mut self, change: Change<PodDigest>) {
        match change {
            Change::Replace { all, .. } => {
                self.pods.clear();
                self.dirty.extend(self.by_config.keys().cloned());
                all.into_iter().for_each(|pod| self.put_pod(pod));
                self.pods_seen = true;
            }
            Change::Apply(pod) => {
                self.touch(&pod.job_uid);
                self.put_pod(pod);
            }
            Change::Remove(pod) => {
                self.touch(&pod.job_uid);
                if let Some(pods) = self.pods.get_mut(&pod.job_uid) {
                    pods.remove(&pod.uid);
                    if pods.is_empty() {
                        self.pods.remove(&pod.job_uid);
                    }
                }
            }
            Change::Alive | Change::Restarted(_) => {}
        }
    }

    fn put_pod(&mut self, pod: PodDigest) {
        self.pods.entry(pod.job_uid.clone()).or_default().insert(pod.uid.clone(), pod);
    }

    fn touch(&mut self, job_uid: &str) {
        self.dirty.extend(self.owners.get(job_uid).cloned());
    }

    /// Both kinds were listed in full.
    pub fn is_whole(&self) -> bool {
        self.jobs_seen && self.pods_seen
    }

    /// The JobConfigs of which something changed since the last call.
    pub fn take_dirty(&mut self) -> BTreeSet<Box<str>> {
        std::mem::take(&mut self.dirty)
    }

    /// Whether something has changed since [`Self::take_dirty`] was called last.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The type of a JobConfig of which any Job lives; of one that had both, a queue, whose Jobs are left to their end.
    pub fn live_kind(&self, config: &str) -> Option<Kind> {
        let terminal = |job: &JobDigest| job.verdict.as_ref().is_some_and(|verdict| verdict.terminal);
        let jobs = self.by_config.get(config).into_iter().flatten().filter_map(|name| self.jobs.get(name));
        jobs.filter(|job| !terminal(job)).map(|job| job.kind).min()
    }

    /// What there is of one JobConfig, as of `now`.
    pub fn observe(&self, config: &str, now: Millis) -> Observed {
        let names = self.by_config.get(config).into_iter().flatten();
        let seen = names.filter_map(|name| {
            let job = self.jobs.get(name)?;
            let pods: Vec<&PodDigest> = self.pods.get(&job.uid).into_iter().flat_map(BTreeMap::values).collect();
            Some((name.clone(), observe(job, &pods, now)))
        });
        Observed { jobs: seen.collect() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decide::pod::names::ANNOTATION_NAME;

    fn job(config: Option<&str>) -> JobDigest {
        let annotations = config.map(|config| json!({ANNOTATION_NAME: config}));
        let metadata = json!({"name": "a", "uid": "u", "annotations": annotations});
        JobDigest::of(&serde_json::from_value(json!({"metadata": metadata})).expect("a Job")).expect("one of ours")
    }

    #[test]
    fn a_job_that_is_annotated_anew_is_shown_where_it_belongs_alone() {
        let mut index = Index::default();
        let shown = |index: &Index| ["mail", "sms"].map(|config| index.observe(config, 0).jobs.len());
        for (config, places) in [(Some("mail"), [1, 0]), (Some("sms"), [0, 1]), (None, [0, 0]), (Some("mail"), [1, 0])]
        {
            index.change_jobs(Change::Apply(job(config)));
            assert_eq!(shown(&index), places, "{config:?}");
        }
        assert_eq!(index.take_dirty(), ["mail", "sms"].map(Box::from).into());
        index.change_jobs(Change::Remove(job(None)));
        assert_eq!(shown(&index), [0, 0], "whatever it says as it goes");
    }
}
