//! What the routes answer from.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    actors::{leader::Standing, monitor::Totals, spawner::Shared, supervisor::Roster},
    http::token::Tokens,
};

/// What the routes answer from.
#[derive(Clone)]
pub struct Desk {
    /// This process among those of its Instance.
    pub me: Arc<str>,
    /// Whether it leads.
    pub standing: watch::Receiver<Standing>,
    /// The JobConfigs.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// The totals of the queues.
    pub totals: watch::Receiver<Totals>,
    /// Who may switch.
    pub tokens: Tokens,
    /// What the actors share: the time, what is counted, what works, and who is told of a switch.
    pub shared: Arc<Shared>,
}
