//! The Broker of a term as the Supervisor keeps it: there is one while anything is shared, and it is begun anew should it
//! panic.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    actors::{
        broker::{Broker, Configuration, Links, Member, NEEDS_MAX},
        membership::{Seat, Told},
        performer::Shared,
        record::Record,
    },
    clock::sleep,
    config::entry::Entry,
    decide::{
        deployment::fleet::Fleet,
        share::{
            need::{Grant, Need},
            policy::{MemberPolicy, Pools, pools},
        },
    },
};

/// Before a Broker that has panicked is begun anew.
const RESTART_WAIT: Duration = Duration::from_secs(10);

/// The Broker, or none.
pub struct Brokerage {
    shared: Arc<Shared>,
    configuration: Configuration,
    open: Option<Open>,
}

/// What reaches a Broker.
struct Open {
    needs: mpsc::Sender<Told>,
    configured: watch::Sender<Configuration>,
    /// By JobConfig; also those that share nothing any more: what they were given last, they have to see.
    grants: BTreeMap<Arc<str>, watch::Sender<Grant>>,
    /// Ends when the Broker has panicked, and cuts it off when it is dropped.
    task: JoinSet<()>,
}

impl Brokerage {
    /// Without a Broker.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, configuration: Configuration::default(), open: None }
    }

    /// What is shared from here on, and by whom. Begins or ends the Broker where that is another answer than before.
    pub fn configure(&mut self, fleet: &Fleet) {
        let of = |entry: &Entry| (entry.name().into(), MemberPolicy::of(entry, &fleet.sharing));
        let mut policies: BTreeMap<Arc<str>, MemberPolicy> = fleet.entries.iter().map(of).collect();
        policies.retain(|_, policy| !policy.pools.is_empty());
        let pools = pools(&fleet.sharing);
        if pools.is_empty() {
            self.end();
        } else {
            self.seat_all(pools, policies);
        }
    }

    /// Where a JobConfig reaches the Broker; `None` where there is none.
    pub fn seat(&self, name: &str) -> Option<Seat> {
        let open = self.open.as_ref()?;
        let grants = open.grants.get(name).map(watch::Sender::subscribe);
        Some(Seat { needs: open.needs.clone(), grants })
    }

    /// Nothing is left of a JobConfig.
    pub fn forget(&mut self, name: &str) {
        if let Some(open) = &mut self.open
            && !self.configuration.members.contains_key(name)
        {
            open.grants.remove(name);
        }
        // Its actor may have told that it ends to the Broker before this one, or to none.
        if let Some(open) = &self.open {
            let told = Told { name: name.into(), need: Need::default(), last: true };
            drop(open.needs.try_send(told));
        }
    }

    /// Waits until the Broker has panicked, and begins another, at which all need a seat. Nothing was lost with it: what it
    /// knew is told anew, and what it had given and nobody has taken in is not used. Cancel-safe.
    pub async fn begun_anew(&mut self) {
        match &mut self.open {
            Some(open) => drop(open.task.join_next().await),
            None => std::future::pending().await,
        }
        tracing::error!("the Broker has panicked and is begun anew");
        let Configuration { pools, members } = std::mem::take(&mut self.configuration);
        self.open = None;
        self.seat_all(pools, members.into_iter().map(|(name, member)| (name, member.policy)).collect());
    }

    /// The term is over, or nothing is shared any more.
    pub fn end(&mut self) {
        if self.open.take().is_some() {
            self.configuration = Configuration::default();
            self.shared.broker.close();
        }
    }

    fn seat_all(&mut self, pools: Pools, policies: BTreeMap<Arc<str>, MemberPolicy>) {
        let open = self.open.get_or_insert_with(|| Open::begin(&self.shared));
        let members = policies.into_iter().map(|(name, policy)| {
            let grants = open.grants_of(&name);
            (name, Member { policy, grants })
        });
        let configuration = Configuration { pools, members: members.collect() };
        open.configured.send_replace(configuration.clone());
        self.configuration = configuration;
    }
}

impl Open {
    fn begin(shared: &Arc<Shared>) -> Self {
        let (needs, told) = mpsc::channel(NEEDS_MAX);
        let configured = watch::Sender::default();
        let links = Links { told, configured: configured.subscribe(), questions: shared.broker.open() };
        let broker = Broker::new(links, shared.clock).run(Record::of(shared.clone()));
        let mut task = JoinSet::new();
        task.spawn(async move {
            // Why is logged where it panics.
            drop(AssertUnwindSafe(broker).catch_unwind().await);
            sleep(RESTART_WAIT).await;
        });
        Self { needs, configured, grants: BTreeMap::new(), task }
    }

    fn grants_of(&mut self, name: &Arc<str>) -> watch::Sender<Grant> {
        self.grants.entry(name.clone()).or_default().clone()
    }
}
