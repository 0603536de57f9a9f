//! The jobs.json of the run, as it is now.

use serde_json::{Value, json};

use crate::{
    dice::Dice,
    seen::{Allowed, POOL},
};

/// Queues whose worker takes their messages, and what a Job of each is expected to take.
pub(crate) const QUEUES: [(&str, u32); 4] = [("steady", 1), ("burst", 4), ("quiet", 1), (PROBE, 1)];

/// The queue whose messages show that all is well again.
pub(crate) const PROBE: &str = "probe";

/// The queue of the module that is deployed.
pub(crate) const DEPLOYED: &str = "deployed";

/// The service, and its replicas.
pub(crate) const SERVICE: (&str, usize) = ("web", 2);

/// Members of the pool.
const MEMBERS: [&str; 2] = ["steady", "burst"];

/// What is changed in it.
#[derive(Clone, Debug)]
pub(crate) struct File {
    namespace: String,
    database_url: String,
    /// `maxConcurrentJobs` of each queue.
    most: [usize; QUEUES.len()],
    pool: usize,
    limit: usize,
    /// An entry that is not there.
    pub(crate) absent: Option<usize>,
    /// It is not to be read, in one way or another.
    pub(crate) broken: Option<u64>,
    /// How often the module was deployed.
    pub(crate) revision: u64,
}

impl File {
    pub(crate) fn new(namespace: &str, database_url: &str) -> Self {
        Self {
            namespace: namespace.into(),
            database_url: database_url.into(),
            most: [3, 2, 2, 4],
            pool: 4,
            limit: 9,
            absent: None,
            broken: None,
            revision: 1,
        }
    }

    /// Other limits; the probe has room always.
    pub(crate) fn change(&mut self, pick: u64) {
        let mut dice = Dice(pick);
        let mut draw = |least: u64, most: u64| usize::try_from(least + dice.roll(most - least + 1)).expect("is small");
        self.most = [draw(1, 4), draw(1, 3), draw(1, 3), draw(3, 5)];
        self.pool = draw(2, 5);
        self.limit = draw(6, 10);
    }

    /// What it allows; `None` while it is broken, for then the one before stays in force.
    pub(crate) fn allowed(&self) -> Option<Allowed> {
        let mut entries: Vec<_> =
            QUEUES.iter().zip(self.most).map(|((name, _), most)| ((*name).to_owned(), most)).collect();
        if let Some(absent) = self.absent {
            entries.remove(absent);
        }
        entries.extend([(SERVICE.0.to_owned(), SERVICE.1), (DEPLOYED.to_owned(), 1)]);
        let members = MEMBERS.map(str::to_owned).to_vec();
        let allowed = Allowed { entries: entries.into_iter().collect(), members, pool: self.pool, limit: self.limit };
        self.broken.is_none().then_some(allowed)
    }

    /// As it is written.
    pub(crate) fn text(&self) -> String {
        let mut jobs: Vec<Value> = QUEUES.iter().zip(self.most).map(|(queue, most)| self.entry(*queue, most)).collect();
        if let Some(absent) = self.absent {
            jobs.remove(absent);
        }
        jobs.push(json!({
            "type": "service", "name": SERVICE.0, "replicas": SERVICE.1, "startTimeout": "2m", "stopTimeout": "1s",
            "waitTimeAfterSuccessfulRun": "0s", "waitTimeAfterFailedRun": "0s", "waitTimeAfterTimeout": "0s",
            "waitTimeAfterError": "1s", "backoff": {"factor": 1},
            "podConfig": {"image": WORKER, "pullPolicy": "Never", "args": ["serve"]},
        }));
        let module = json!({"note": {"note": {"version": "latest", "config": {"revision": self.revision}}}});
        let mut file = json!({
            "limits": {"jobs": self.limit}, "pools": {POOL: {"jobs": self.pool}},
            "jobs": jobs, "modules": {&self.namespace: module},
        });
        match self.broken.map(|pick| pick % 3) {
            Some(0) => return file.to_string().split_off(100),
            Some(1) => file["jobs"][0]["maxConcurrentJobs"] = json!(-1),
            Some(_) => file["jobs"][0]["unheardOf"] = json!(true),
            None => {}
        }
        file.to_string()
    }

    fn entry(&self, (queue, messages): (&str, u32), most: usize) -> Value {
        let mut entry = json!({
            "queueName": queue, "queueCheckInterval": "1s", "maxConcurrentJobs": most, "messagesPerJob": messages,
            // A busy machine is no fault of what is tested.
            "jobStartTimeout": "1m",
            "ttlSecondsAfterFinished": 120,
            "waitTimeAfterSuccessfulRun": "0s", "waitTimeAfterFailedRun": "1s", "waitTimeAfterTimeout": "1s",
            "waitTimeAfterError": "1s", "backoff": {"factor": 1, "after": 1000},
            "podConfig": worker(&self.database_url),
        });
        if MEMBERS.contains(&queue) {
            entry["pools"] = json!([POOL]);
        }
        if queue == PROBE {
            entry["priority"] = json!(10);
        }
        entry
    }

    /// The module: a ConfigMap that says which revision it is, and a queue.
    pub(crate) fn module(&self) -> String {
        let mut spec = self.entry((DEPLOYED, 1), 1);
        spec["name"] = json!(DEPLOYED);
        let entry =
            json!({"apiVersion": "job-chief/v1", "kind": "JobConfig", "metadata": {"name": DEPLOYED}, "spec": spec});
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: note\ndata:\n  revision: \"$g{{revision:1}}\"\n---\n{entry}\n"
        )
    }
}

/// The image of the example worker.
const WORKER: &str = "job-chief.test/worker:dev";

/// The example worker, which tells Postgres of which Job it is.
fn worker(database_url: &str) -> Value {
    let job = json!({"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}});
    json!({
        "image": WORKER, "pullPolicy": "Never",
        "env": [
            {"name": "JOB", "valueFrom": job},
            {"name": "DATABASE_URL", "value": format!("{database_url}?application_name=$(JOB)")},
            {"name": "WORK_TIME", "value": "200ms"},
        ],
    })
}
