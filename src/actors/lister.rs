//! Deploys the modules of the list while this process leads: those that are not deployed, or otherwise than the list says.
//!
//! Whatever leaves the list stays deployed until somebody undeploys it, as with the orchestrator that has such a list.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    actors::{deploying::Deploying, leader::Standing},
    clock::sleep,
    config::module_list::{Listed, ModuleList},
    decide::deployment::record::{Deployment, NewDeployment, NewObject},
    health::Health,
    metrics::Metrics,
    modules::library::Library,
    telemetry::with_causes,
};

/// While an entry can't be deployed the list is gone through again after so long.
const RETRY: Duration = Duration::from_secs(60);

/// What the list is made of and held against.
pub struct Listing {
    /// What the environment lists; it counts before jobs.json.
    pub environment: ModuleList,
    /// What jobs.json lists.
    pub file: watch::Receiver<Arc<Value>>,
    /// The only namespace that is deployed into.
    pub namespace: String,
    /// Where modules are.
    pub library: Library,
}

/// The task that goes through the list.
pub struct Lister {
    listing: Listing,
    deploying: Deploying,
    standing: watch::Receiver<Standing>,
    health: Health,
    metrics: Arc<Metrics>,
    /// The term in which the list was gone through last.
    term: Option<u64>,
    problems: Vec<String>,
}

impl Lister {
    /// One that has not looked at the list yet.
    pub fn new(
        listing: Listing,
        deploying: Deploying,
        standing: watch::Receiver<Standing>,
        (health, metrics): (Health, Arc<Metrics>),
    ) -> Self {
        Self { listing, deploying, standing, health, metrics, term: None, problems: vec![] }
    }

    /// Goes through the list at the begin of each term, when jobs.json has another, and while something is wrong.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let is_due = tokio::select! {
                () = shutdown.cancelled() => return,
                Ok(()) = self.standing.changed() => self.is_new_term(),
                Ok(()) = self.listing.file.changed() => self.term.is_some(),
                () = sleep(RETRY), if !self.problems.is_empty() => self.term.is_some(),
            };
            if is_due {
                let problems = self.deploy_all().await;
                self.tell(problems);
            }
        }
    }

    fn is_new_term(&mut self) -> bool {
        let term = self.standing.borrow_and_update().term.as_ref().map(|term| term.number);
        let is_new = term != self.term;
        self.term = term;
        if is_new && term.is_none() {
            self.tell(vec![]);
        }
        is_new && term.is_some()
    }

    /// Goes through the list until nothing more comes of it: an entry may need what another brings.
    async fn deploy_all(&mut self) -> Vec<String> {
        let file = self.listing.file.borrow_and_update().clone();
        let of_file = ModuleList::of("modules in jobs.json", &file, &self.listing.namespace);
        let ModuleList { mut entries, problems } = self.listing.environment.clone().and(of_file);
        loop {
            let (mut left, mut told) = (vec![], problems.clone());
            let before = entries.len();
            for listed in entries {
                if let Err(why) = self.deploy(&listed).await {
                    told.push(format!("deployment {}: {why}", listed.name));
                    left.push(listed);
                }
            }
            if left.is_empty() || left.len() == before {
                return told;
            }
            entries = left;
        }
    }

    async fn deploy(&self, listed: &Listed) -> Result<(), String> {
        let module = self.listing.library.open(&listed.module, listed.version.as_deref());
        let module = module.map_err(|error| with_causes(&error))?;
        let rendered = module.fill(&listed.config, &self.listing.namespace).map_err(|error| with_causes(&error))?;
        let known = self.deploying.table().one(&listed.name).await.map_err(|error| with_causes(&error))?;
        let of_known = |flag: fn(&Deployment) -> bool| known.as_ref().is_some_and(flag);
        let new = NewDeployment {
            name: listed.name.clone(),
            module: listed.module.clone(),
            version: module.version().to_owned(),
            config: listed.config.clone(),
            force: of_known(|known| known.force),
            reconcile: of_known(|known| known.reconcile),
            objects: NewObject::of(&rendered),
            who: "job-chief".to_owned(),
            why: "it is in the list of modules".to_owned(),
        };
        if known.is_some_and(|known| new.is_on_record(&known)) {
            return Ok(());
        }
        let revision = self.deploying.deploy(&new).await.map_err(|error| with_causes(&error))?;
        tracing::info!(deployment = listed.name, module = listed.module, revision, "deployed from the list of modules");
        Ok(())
    }

    fn tell(&mut self, problems: Vec<String>) {
        for problem in problems.iter().filter(|problem| !self.problems.contains(problem)) {
            tracing::error!(problem, "an entry of the list of modules can't be deployed; trying again");
        }
        self.metrics.deployments.note_list_errors(problems.len());
        self.health.set_list_problems(problems.clone());
        self.problems = problems;
    }
}
