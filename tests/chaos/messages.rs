//! Messages: each is taken, by Jobs of its own queue alone, and completed by whoever it was handed to.

use std::{collections::BTreeMap, time::Duration};

use crate::judge::Violation;

/// A message as far as it is known.
#[derive(Clone, Debug)]
struct Message {
    queue: String,
    sent: Duration,
    /// Who has it now.
    holder: Option<String>,
    /// Who had it, in order.
    takers: Vec<String>,
    completed: bool,
}

/// All messages.
#[derive(Default)]
pub(crate) struct Messages(BTreeMap<String, Message>);

impl Messages {
    /// Takes note of another state.
    pub(crate) fn note(
        &mut self,
        at: Duration,
        id: String,
        queue: String,
        state: &str,
        by: String,
    ) -> Option<Violation> {
        let first = Message { queue, sent: at, holder: None, takers: vec![], completed: false };
        let message = self.0.entry(id.clone()).or_insert(first);
        let wrong = match state {
            "active" => {
                message.takers.push(by.clone());
                let before = message.holder.replace(by.clone());
                before.map(|before| format!("message {id} was handed to {by} while {before} had it"))
            }
            "completed" => {
                message.completed = true;
                let holder = message.holder.take();
                let same = holder.as_deref() == Some(&by);
                (!same).then(|| format!("message {id} was completed by {by}, and {holder:?} had it"))
            }
            _ => {
                message.holder = None;
                None
            }
        };
        wrong.map(|what| Violation { at, what })
    }

    /// What is lost, and what was taken by a Job that was made for another queue.
    pub(crate) fn close(&self, now: Duration, configs: &BTreeMap<&str, &str>) -> Vec<Violation> {
        let mut found = vec![];
        for (id, message) in &self.0 {
            let mut tell = |what: String| found.push(Violation { at: now, what });
            if !message.completed {
                tell(format!("message {id} of {}, sent at {:?}, was lost", message.queue, message.sent));
            }
            for taker in &message.takers {
                match configs.get(taker.as_str()) {
                    Some(config) if **config == message.queue => {}
                    Some(config) => tell(format!("message {id} of {} was taken by {taker} of {config}", message.queue)),
                    None => tell(format!("message {id} was taken by {taker}, of which no run is on record")),
                }
            }
        }
        found
    }

    /// Who has taken a message, last of all.
    pub(crate) fn taken_by(&self, id: &str) -> Option<&str> {
        self.0.get(id)?.takers.last().map(String::as_str)
    }

    /// Messages that were sent.
    pub(crate) fn sent(&self) -> usize {
        self.0.len()
    }

    /// Messages that nobody has completed.
    pub(crate) fn open(&self) -> usize {
        self.0.values().filter(|message| !message.completed).count()
    }
}
