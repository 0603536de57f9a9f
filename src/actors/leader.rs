//! Holds the lease, or waits for it, and knows what people have switched and deployed: the one task that
//! asks who leads.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{Clock, sleep, sleep_until},
    decide::{
        deployment::fleet::Deployed,
        lease::{Answer, Lease},
        switches::Switches,
    },
    fence::{Fence, Gate},
    health::{Component, Health},
    metrics::Metrics,
    store::{error::StoreError, leadership::Leadership, stored::Stored},
    telemetry::with_causes,
};

/// How often a process renews its row of members.
const MEMBER_EVERY: Duration = Duration::from_secs(15);

/// A term in which this process leads.
#[derive(Clone, Debug)]
pub struct Term {
    /// Raised by each take-over.
    pub number: u64,
    /// What requests are held against.
    pub fence: Fence,
}

/// What a process knows of itself, of the switches and of what is deployed.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// It leads, and what is below was read since it does.
    pub term: Option<Term>,
    /// The operators' switches; `None` before they were read.
    pub switches: Option<Arc<Switches>>,
    /// What is deployed; `None` before it was read.
    pub deployed: Option<Arc<Deployed>>,
}

/// The task that holds the lease.
pub struct Leader {
    me: Arc<str>,
    lease: Lease,
    gate: Option<(u64, Gate)>,
    stored: Stored,
    /// How often the switches had changed when they were read last.
    switches_read: Option<i64>,
    /// How often what is deployed had changed when it was read last.
    deployed_read: Option<i64>,
    standing: watch::Sender<Standing>,
    clock: Clock,
    health: Health,
    metrics: Arc<Metrics>,
}

impl Leader {
    /// A process that does not lead yet; `me` is its own name and nobody else's.
    pub fn new(me: Arc<str>, stored: Stored, clock: Clock, (health, metrics): (Health, Arc<Metrics>)) -> Self {
        Self {
            lease: Lease::new(me.clone(), clock.now()),
            me,
            gate: None,
            stored,
            switches_read: None,
            deployed_read: None,
            standing: watch::Sender::default(),
            clock,
            health,
            metrics,
        }
    }

    /// Follows what this process is.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Runs until the lease is given back, which begins with `resign`; `hint` arrives when something has changed.
    pub async fn run(mut self, hint: Arc<Notify>, resign: CancellationToken) {
        let mut resigned = false;
        while !self.lease.has_ended() {
            let due = self.lease.deadline();
            tokio::select! {
                () = resign.cancelled(), if !resigned => {
                    resigned = true;
                    self.lease.end(self.clock.now());
                }
                () = hint.notified() => self.lease.hint(self.clock.now()),
                () = sleep_until(self.clock, due.unwrap_or_default()), if due.is_some() => self.turn().await,
            }
        }
        self.note_term();
        self.publish();
    }

    /// One statement, and what follows from its answer.
    async fn turn(&mut self) {
        let Some(ask) = self.lease.ask(self.clock.now()) else { return };
        let result = self.stored.leadership.carry_out(&self.me, &ask).await;
        let now = self.clock.now();
        match result {
            Ok(renewed) => {
                self.health.set(Component::Schema, Ok(()));
                self.metrics.queues.gauges.note_heard(now);
                self.lease.answered(renewed.answer, now);
                self.note_term();
                if let Err(error) = self.read_news(renewed.switched, renewed.deployed).await {
                    self.health.set(Component::Schema, Err(with_causes(&error)));
                }
            }
            Err(error) => {
                self.health.set(Component::Schema, Err(with_causes(&error)));
                self.lease.answered(Answer::Unanswered, now);
            }
        }
        self.publish();
    }

    /// The gate of this term gets its end; another term gets a gate of its own, and the old one goes.
    fn note_term(&mut self) {
        let Some((number, until)) = self.lease.term() else {
            if let Some((number, _)) = self.gate.take() {
                tracing::info!(term = number, "this process no longer leads");
            }
            return;
        };
        match &self.gate {
            Some((known, gate)) if *known == number => gate.set(until),
            _ => {
                self.gate = Some((number, Gate::until(until, self.clock)));
                // What was said and deployed before this term must be known before anything is created, or ended, in it.
                (self.switches_read, self.deployed_read) = (None, None);
                tracing::info!(term = number, member = %self.me, "this process leads");
            }
        }
    }

    /// Reads what has changed since it was read last.
    async fn read_news(&mut self, switched: i64, deployed: i64) -> Result<(), StoreError> {
        if self.switches_read != Some(switched) {
            let switches = self.stored.switches.load().await?;
            self.switches_read = Some(switched);
            self.standing.send_modify(|standing| standing.switches = Some(Arc::new(switches)));
        }
        if self.deployed_read != Some(deployed) {
            let read = self.stored.deployments.in_force().await?;
            self.deployed_read = Some(deployed);
            self.standing.send_modify(|standing| standing.deployed = Some(Arc::new(read)));
        }
        Ok(())
    }

    /// What is to be known before anything is done in a term is known.
    fn is_informed(&self) -> bool {
        self.switches_read.is_some() && self.deployed_read.is_some()
    }

    fn publish(&self) {
        let number = self.gate.as_ref().map(|(number, _)| *number).filter(|_| self.is_informed());
        self.standing.send_if_modified(|standing| {
            let changed = standing.term.as_ref().map(|term| term.number) != number;
            let fence = self.gate.as_ref().map(|(_, gate)| gate.fence());
            standing.term = number.zip(fence).map(|(number, fence)| Term { number, fence });
            changed
        });
        self.metrics.process.leader.set(number.is_some().into());
    }
}

/// Writes now and then that this process runs, until it ends; a write that is lost is made up by the next.
pub async fn attend(leadership: Leadership, me: Arc<str>, shutdown: CancellationToken) {
    loop {
        if let Err(error) = leadership.note_member(&me, env!("CARGO_PKG_VERSION")).await {
            tracing::debug!(error = with_causes(&error), "could not say that this process is there");
        }
        tokio::select! {
            () = sleep(MEMBER_EVERY) => {}
            () = shutdown.cancelled() => break,
        }
    }
    if let Err(error) = leadership.forget_member(&me).await {
        tracing::debug!(error = with_causes(&error), "could not say that this process goes");
    }
}
