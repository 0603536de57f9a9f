//! Jobs as the API server tells of them, watched beside job-chief.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api,
    runtime::watcher::{Config, Event, watcher},
};

use crate::stage::Stage;

/// What the API server has told of the Jobs of a namespace, in the order in which it happened.
#[derive(Clone, Default)]
pub(crate) struct Watched(Arc<Mutex<Seen>>);

#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Live Jobs by name.
    pub(crate) live: BTreeSet<String>,
    /// The most that lived at once.
    pub(crate) most: usize,
    /// By uid.
    known: BTreeSet<String>,
    /// Jobs that were created, by JobConfig.
    pub(crate) created: BTreeMap<String, u32>,
    /// What was created at each moment at which so many lived as there are places: then no grant was on its way.
    pub(crate) full: Vec<BTreeMap<String, u32>>,
    places: usize,
    /// The watch began anew, so it may not have seen all.
    pub(crate) restarts: u32,
}

impl Watched {
    /// Begins, with what is there seen.
    pub(crate) async fn begin(stage: &Stage, places: usize) -> Self {
        let watched = Self::default();
        watched.0.lock().unwrap().places = places;
        let (seen, api) = (watched.0.clone(), stage.api::<Job>());
        let (begun, listed) = tokio::sync::oneshot::channel();
        tokio::spawn(follow(api, seen, begun));
        listed.await.unwrap();
        watched
    }

    pub(crate) fn seen(&self) -> Seen {
        self.0.lock().unwrap().clone()
    }
}

async fn follow(api: Api<Job>, seen: Arc<Mutex<Seen>>, begun: tokio::sync::oneshot::Sender<()>) {
    let mut begun = Some(begun);
    let mut events = watcher(api, Config::default()).boxed();
    while let Ok(Some(event)) = events.try_next().await {
        let mut seen = seen.lock().unwrap();
        match event {
            Event::Apply(job) | Event::InitApply(job) => seen.note(&job),
            Event::Delete(job) => drop(seen.live.remove(job.metadata.name.as_deref().unwrap())),
            Event::Init => seen.live.clear(),
            Event::InitDone => match begun.take() {
                Some(begun) => begun.send(()).unwrap(),
                None => seen.restarts += 1,
            },
        }
    }
}

impl Seen {
    fn note(&mut self, job: &Job) {
        let name = job.metadata.name.clone().unwrap();
        let conditions = job.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
        if conditions.iter().any(|it| it.type_ == "Complete" || it.type_ == "Failed") {
            self.live.remove(&name);
            return;
        }
        self.live.insert(name);
        self.most = self.most.max(self.live.len());
        if self.known.insert(job.metadata.uid.clone().unwrap()) {
            let config = job.metadata.labels.as_ref().unwrap()["job-chief/name"].clone();
            *self.created.entry(config).or_default() += 1;
            if self.live.len() == self.places {
                self.full.push(self.created.clone());
            }
        }
    }
}
