//! The Broker: hears what the JobConfigs of a term need, asks the arbiter, and tells each what it is given.
//!
//! Everything that reaches it is whole: a need, the configuration. So it may begin at any time, and anew: it gives nothing
//! before it knows what is on record, and nothing in a pool before all that share it have told.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};

use crate::{
    actors::{
        inbox::reached,
        inquiry::{Question, Usage},
        membership::Told,
    },
    clock::{Clock, sleep},
    decide::{
        place::Places,
        share::{
            arbiter::Arbiter,
            need::Grant,
            policy::{MemberPolicy, Pools},
        },
    },
    store::runs::Runs,
    telemetry::with_causes,
};

/// Between tries to learn what is on record.
const RETRY: Duration = Duration::from_secs(2);

/// Needs that are taken in before places are given: what becomes free together is shared out together.
const NEEDS_AT_ONCE: usize = 256;

/// Those who wait for a pool that people are shown.
const NEXT_SHOWN: usize = 20;

/// What is shared, and by whom.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The pools.
    pub pools: Pools,
    /// The JobConfigs that take places in any.
    pub members: BTreeMap<Arc<str>, Member>,
}

/// A JobConfig that takes places.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its share.
    pub policy: MemberPolicy,
    /// Where it is told what it is given.
    pub grants: watch::Sender<Grant>,
}

/// What reaches it.
pub struct Links {
    /// What the actors need.
    pub told: mpsc::Receiver<Told>,
    /// What is shared, and by whom.
    pub configured: watch::Receiver<Configuration>,
    /// What people want to know.
    pub questions: mpsc::Receiver<Question>,
}

/// The task.
pub struct Broker {
    links: Links,
    /// As the arbiter knows them.
    members: BTreeMap<Arc<str>, Member>,
    clock: Clock,
}

impl Broker {
    /// One that has not begun.
    pub fn new(links: Links, clock: Clock) -> Self {
        Self { links, members: BTreeMap::new(), clock }
    }

    /// Runs until it is cut off.
    pub async fn run(mut self, runs: Runs) {
        let mut early = BTreeMap::new();
        let recorded = {
            let mut loading = pin!(recorded(&runs));
            loop {
                tokio::select! {
                    recorded = &mut loading => break recorded,
                    Some(told) = self.links.told.recv() => drop(early.insert(told.name.clone(), told)),
                }
            }
        };
        self.work(Arbiter::new(recorded, self.clock.now()), early.into_values().collect()).await;
    }

    /// Gives, and waits for what is new. Every arm is cancel-safe.
    async fn work(mut self, mut arbiter: Arbiter, mut told: Vec<Told>) {
        loop {
            // By now it is as new as what was told.
            if self.links.configured.has_changed().unwrap_or_default() {
                self.configure(&mut arbiter);
            }
            told.drain(..).for_each(|told| self.note(&mut arbiter, told));
            self.give(&mut arbiter);
            let deadline = arbiter.deadline();
            tokio::select! {
                biased;
                Ok(()) = self.links.configured.changed() => self.links.configured.mark_changed(),
                1.. = self.links.told.recv_many(&mut told, NEEDS_AT_ONCE) => {}
                Some(question) = self.links.questions.recv() => answer(&arbiter, question, self.clock.now()),
                () = reached(self.clock, deadline) => {}
            }
        }
    }

    fn configure(&mut self, arbiter: &mut Arbiter) {
        let Configuration { pools, members } = self.links.configured.borrow_and_update().clone();
        let policies = members.iter().map(|(name, member)| (name.clone(), member.policy.clone()));
        arbiter.configure(pools, policies.collect(), self.clock.now());
        self.members = members;
    }

    fn note(&self, arbiter: &mut Arbiter, Told { name, need, last }: Told) {
        let now = self.clock.now();
        arbiter.note_need(&name, need, now);
        if last {
            arbiter.leave(&name, now);
        }
    }

    fn give(&self, arbiter: &mut Arbiter) {
        for (name, grant) in arbiter.grants(self.clock.now()) {
            if let Some(member) = self.members.get(&name) {
                member.grants.send_replace(grant);
            }
        }
    }
}

/// Whoever asks may have given up.
fn answer(arbiter: &Arbiter, question: Question, now: Duration) {
    match question {
        Question::Usage(answer) => {
            let pools = arbiter.usage();
            let next = pools.iter().map(|it| arbiter.next_in(&it.pool, now, NEXT_SHOWN)).collect();
            drop(answer.send(Usage { pools, next, waits: arbiter.waits(now) }));
        }
        Question::Account(name, answer) => drop(answer.send(arbiter.account(&name, now))),
    }
}

/// The places of all runs that have not ended.
async fn recorded(runs: &Runs) -> BTreeMap<Arc<str>, Vec<Places>> {
    loop {
        match runs.recorded_places().await {
            Ok(recorded) => return recorded,
            Err(error) => tracing::debug!(error = with_causes(&error), "can't read who holds which place"),
        }
        sleep(RETRY).await;
    }
}
