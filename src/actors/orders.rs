//! What an actor is to do, and its view of the cluster.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    actors::membership::{Membership, Seat},
    cluster::watcher::View,
    config::entry::Entry,
    decide::{
        queue::event::QueueEvent,
        run::event::RunEvent,
        service::{desired::DesiredState, event::ServiceEvent},
        share::need::Grant,
        switches::{Asked, Paused, Switches, Verb},
    },
};

/// What an actor is to do, as a whole: sent again whenever any part changes.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The entry of jobs.json or of a deployment.
    pub entry: Entry,
    /// The deployment that it is of.
    pub deployment: Option<Arc<str>>,
    /// It has left jobs.json: only seen to its end.
    pub left: bool,
    /// The pools of which each of its Jobs takes a place.
    pub pools: Arc<[Arc<str>]>,
    /// Where it reaches the Broker; `None` where nothing is shared.
    pub seat: Option<Seat>,
    /// An actor of it has panicked: what that told counts until this one tells.
    pub restarted: bool,
    /// The process ends.
    pub stopping: bool,
    /// Of a queue; `None` of a service, and where it creates and nobody has said anything.
    pub switched: Option<Box<Switched>>,
    /// Of a service; `None` of a queue.
    pub ordered: Option<Box<Ordered>>,
}

/// What people and jobs.json say of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switched {
    /// Whether it creates, and who decided that.
    pub paused: Paused,
    /// The Jobs that were asked for by hand.
    pub asked: Asked,
}

/// What people and jobs.json say of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ordered {
    /// What it is to do.
    pub orders: DesiredState,
    /// Who set what last.
    pub last: Option<Box<Verb>>,
    /// Its actions that were asked for by hand.
    pub actions: BTreeMap<Box<str>, Asked>,
}

impl Switched {
    /// What is said of an entry; nothing of a service.
    pub fn of(entry: &Entry, switches: &Switches) -> Option<Box<Self>> {
        let queue = entry.queue()?;
        let said = Self { paused: switches.paused(&queue.name, queue.paused), asked: switches.asked(&queue.name) };
        Some(said).filter(|said| *said != Self::default()).map(Box::new)
    }
}

impl Ordered {
    /// What is said of an entry; nothing of a queue.
    pub fn of(entry: &Entry, switches: &Switches) -> Option<Box<Self>> {
        let service = entry.service()?;
        let (orders, last) = switches.orders(&service.name, service.enabled);
        Some(Box::new(Self { orders, last: last.map(Box::new), actions: switches.actions(&service.name) }))
    }
}

impl Orders {
    /// Takes the seat that it has from here on; see [`Membership::take`].
    pub fn seat(&self, membership: &mut Membership) -> Option<Grant> {
        let owes = !self.pools.is_empty() || self.left || self.restarted;
        membership.take(self.seat.as_ref(), owes)
    }

    /// A queue does not create.
    pub fn is_paused(&self) -> bool {
        self.switched.as_ref().is_some_and(|switched| switched.paused.paused)
    }

    /// For the actor of a queue.
    pub fn switched(&self) -> QueueEvent {
        let switched = self.switched.as_deref();
        QueueEvent::Switched { paused: self.is_paused(), requested: switched.map_or(0, |said| said.asked.count) }
    }

    /// For the actor of a service.
    pub fn desired(&self) -> ServiceEvent {
        ServiceEvent::Desired(self.ordered.as_deref().map(|ordered| ordered.orders).unwrap_or_default())
    }

    /// What was asked for of the actions of a service.
    pub fn actions(&self) -> ServiceEvent {
        let actions = self.ordered.iter().flat_map(|ordered| &ordered.actions);
        let counts = actions.map(|(name, asked)| (name.clone(), asked.count));
        ServiceEvent::ActionsAsked(counts.collect())
    }
}

/// A view as an event.
pub fn view_event(view: &View) -> RunEvent {
    match &view.observed {
        Some(observed) if !view.stale => RunEvent::Observed(observed.clone()),
        _ => RunEvent::ViewStale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{entry::Kind, job_config::JobConfig},
        decide::switches::{Said, Switch},
    };

    #[test]
    fn of_a_queue_there_is_nothing_to_say_unless_it_is_paused_or_somebody_has_said_something() {
        let of = |paused: bool, switch: Switch| {
            let entry = Entry::Queue(Arc::new(JobConfig { paused, ..JobConfig::left("mail") }));
            let switches = Switches { all: None, by_config: BTreeMap::from([("mail".to_owned(), switch)]) };
            Switched::of(&entry, &switches).map(|said| (said.paused.paused, said.asked.count))
        };
        assert_eq!(of(false, Switch::default()), None);
        assert_eq!(of(true, Switch::default()), Some((true, 0)));
        let said = |paused| Said { paused, file_paused: true, who: "ann".into(), why: "why".into(), at: String::new() };
        assert_eq!(of(true, Switch { said: Some(said(false)), ..Switch::default() }), Some((false, 0)));
        let asked = Asked { count: 3, ..Asked::default() };
        assert_eq!(of(false, Switch { asked, ..Switch::default() }), Some((false, 3)));
        assert_eq!(Switched::of(&Entry::left(Kind::Service, "redis"), &Switches::default()), None);
    }
}
