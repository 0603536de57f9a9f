//! The actions of a service: which of them is due, by hand or by the time that has passed.

use std::{collections::BTreeMap, time::Duration};

use crate::decide::{
    one_off::OneOff,
    outcome::{End, Outcome},
    run::event::LoadedAction,
    service::policy::ServicePolicy,
};

/// All actions that are known of: those of jobs.json, and those that people have asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Actions {
    by_name: BTreeMap<Box<str>, Action>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Action {
    /// How often people have asked for it, ever.
    asked: u64,
    /// How many of these are wished, or on record.
    served: u64,
    /// When it began last.
    begun_at: Option<Duration>,
    /// How it ended last, as far as this process knows.
    last: Option<End>,
}

/// How an action of a service stands; times are in the core's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionStatus {
    /// Its name.
    pub name: String,
    /// How often it runs by itself.
    pub every: Option<Duration>,
    /// A Job of it lives.
    pub running: bool,
    /// How often it was asked for by hand and has not begun.
    pub waiting: u64,
    /// When it began last.
    pub begun_at: Option<Duration>,
    /// How it ended last; not known of what other processes have seen.
    pub last: Option<Outcome>,
}

impl Actions {
    /// What people have asked for, ever.
    pub fn note_asked(&mut self, asked: &BTreeMap<Box<str>, u64>) {
        for (name, count) in asked {
            let action = self.by_name.entry(name.clone()).or_default();
            action.asked = action.asked.max(*count);
        }
    }

    /// What is on record. What was wished and is not on record does not count.
    pub fn note_loaded(&mut self, loaded: &BTreeMap<Box<str>, LoadedAction>, now: Duration) {
        self.by_name.values_mut().for_each(|action| (action.served, action.begun_at) = (0, None));
        for (name, known) in loaded {
            let action = self.by_name.entry(name.clone()).or_default();
            action.served = known.served;
            action.begun_at = known.begun.map(|age| now.saturating_sub(age));
        }
    }

    /// One was wished that may have been on its way when the others were loaded.
    pub fn note_begun(&mut self, name: &str, number: Option<u64>, at: Duration) {
        let action = self.by_name.entry(name.into()).or_default();
        action.served = action.served.max(number.unwrap_or_default());
        action.begun_at = action.begun_at.max(Some(at));
    }

    /// One has ended.
    pub fn note_ended(&mut self, name: &str, end: &End) {
        if let Some(action) = self.by_name.get_mut(name) {
            action.last = Some(end.clone());
        }
    }

    /// When this one is due; `running` says whether its service is.
    fn due(&self, name: &str, every: Option<Duration>, running: bool) -> Option<Duration> {
        let action = self.by_name.get(name);
        if action.is_some_and(|action| action.asked > action.served) {
            return Some(Duration::ZERO);
        }
        let begun_at = action.and_then(|action| action.begun_at);
        let every = every.filter(|_| running)?;
        Some(begun_at.map_or(Duration::ZERO, |at| at.saturating_add(every)))
    }

    /// When the next is due of those that do not run.
    pub fn deadline(&self, policy: &ServicePolicy, running: bool, is_free: impl Fn(&str) -> bool) -> Option<Duration> {
        let free = policy.actions.iter().filter(|(name, _)| is_free(name));
        free.filter_map(|(name, every)| self.due(name, *every, running)).min()
    }

    /// One that is due now, of those that do not run; from here on it has begun.
    pub fn begin(
        &mut self,
        policy: &ServicePolicy,
        running: bool,
        is_free: impl Fn(&str) -> bool,
        now: Duration,
    ) -> Option<OneOff> {
        let is_due = |name: &str, every| self.due(name, every, running).is_some_and(|at| at <= now);
        let (name, _) = policy.actions.iter().find(|(name, every)| is_free(name) && is_due(name, **every))?;
        let action = self.by_name.entry(name.clone()).or_default();
        let by_hand = action.asked > action.served;
        action.served += u64::from(by_hand);
        action.begun_at = Some(now);
        Some(OneOff::Action { name: name.clone(), number: by_hand.then_some(action.served) })
    }

    /// How each of jobs.json stands.
    pub fn status(&self, policy: &ServicePolicy, runs: impl Fn(&str) -> bool) -> Vec<ActionStatus> {
        let status = |name: &str, every: Option<Duration>| {
            let action = self.by_name.get(name).cloned().unwrap_or_default();
            ActionStatus {
                name: name.to_string(),
                every,
                running: runs(name),
                waiting: action.asked.saturating_sub(action.served),
                begun_at: action.begun_at,
                last: action.last.map(|end| end.outcome),
            }
        };
        policy.actions.iter().map(|(name, every)| status(name, *every)).collect()
    }
}
