//! What operators have switched: that a queue is paused, and how many Jobs they asked for by hand; of a
//! service that it is to be up or down, restarted, halted, enabled or disabled.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{config::entry::Kind, decide::service::desired::DesiredState};

/// An operator's word on pausing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// Nothing is to be created.
    pub paused: bool,
    /// What `paused` was in jobs.json then.
    #[serde(skip)]
    pub file_paused: bool,
    /// Who set it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When, RFC 3339.
    pub at: String,
}

/// The switches of one JobConfig.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    /// Pausing; `None` where no operator has set it.
    pub said: Option<Said>,
    /// Jobs that were asked for by hand.
    pub asked: Asked,
    /// Of a service.
    pub service: ServiceSwitch,
}

/// The switches of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSwitch {
    /// Whether it is enabled, and what `enabled` was in jobs.json then; `None` where no operator has set it.
    pub enabled: Option<(bool, bool)>,
    /// It is to be down.
    pub stopped: bool,
    /// Without any grace.
    pub halted: bool,
    /// How often an operator has started or restarted it, ever.
    pub starts: u64,
    /// Replicas that were started before this many of them are to be started anew.
    pub restart_before: u64,
    /// The last verb.
    pub last: Option<Verb>,
    /// Its actions that were asked for by hand, by name.
    pub actions: BTreeMap<Box<str>, Asked>,
}

/// An operator's word on a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verb {
    /// `start`, `stop`, `restart`, `halt`, `enable` or `disable`.
    pub verb: String,
    /// Who set it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When, RFC 3339.
    pub at: String,
}

/// Jobs that people asked for by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// How many, ever.
    pub count: u64,
    /// Who asked last.
    pub who: String,
    /// Why.
    pub why: String,
    /// When, RFC 3339.
    pub at: String,
}

/// The switch for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// Of every JobConfig at once.
    pub all: Option<Said>,
    /// By name.
    pub by_config: BTreeMap<String, Switch>,
}

/// Whether a JobConfig is paused, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paused {
    /// Nothing is created.
    pub paused: bool,
    /// Who set it; `None` where it comes from jobs.json.
    pub said: Option<Box<Said>>,
}

impl Switches {
    /// Whether a JobConfig is paused whose `paused` in jobs.json is `file`. All paused is paused; else what a person
    /// set last counts, until the file's value is another than it was then.
    pub fn paused(&self, config: &str, file: bool) -> Paused {
        if let Some(all) = self.all.as_ref().filter(|all| all.paused) {
            return Paused { paused: true, said: Some(Box::new(all.clone())) };
        }
        let said = self.by_config.get(config).and_then(|switch| switch.said.as_ref());
        match said.filter(|said| said.file_paused == file) {
            Some(said) => Paused { paused: said.paused, said: Some(Box::new(said.clone())) },
            None => Paused { paused: file, said: None },
        }
    }

    /// The Jobs that were asked for by hand.
    pub fn asked(&self, config: &str) -> Asked {
        self.by_config.get(config).map(|switch| switch.asked.clone()).unwrap_or_default()
    }

    /// The actions of a service that were asked for by hand.
    pub fn actions(&self, service: &str) -> BTreeMap<Box<str>, Asked> {
        self.by_config.get(service).map(|switch| switch.service.actions.clone()).unwrap_or_default()
    }

    /// What a service is to do whose `enabled` in jobs.json is `file`, and who set what last.
    pub fn orders(&self, service: &str, file: bool) -> (DesiredState, Option<Verb>) {
        let switch = self.by_config.get(service).map(|switch| switch.service.clone()).unwrap_or_default();
        let enabled = switch.enabled.filter(|(_, then)| *then == file).map_or(file, |(enabled, _)| enabled);
        let ServiceSwitch { stopped, halted, starts, restart_before, .. } = switch;
        (DesiredState { enabled, stopped, halted, starts, restart_before }, switch.last)
    }

    /// JobConfigs whose switch was set when jobs.json had another value than it has now, and what
    /// that is. Such a switch has lapsed, also if the file changes back.
    pub fn overtaken<'a>(
        &'a self,
        file: impl Fn(&str) -> Option<(Kind, bool)> + 'a,
    ) -> impl Iterator<Item = (&'a str, (Kind, bool))> {
        self.by_config.iter().filter_map(move |(name, switch)| {
            let (kind, now) = file(name)?;
            let then = match kind {
                Kind::Queue => switch.said.as_ref()?.file_paused,
                Kind::Service => switch.service.enabled?.1,
            };
            (then != now).then_some((name.as_str(), (kind, now)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(paused: bool, file_paused: bool) -> Option<Said> {
        Some(Said { paused, file_paused, who: "ann".into(), why: "deploy".into(), at: String::new() })
    }

    fn of_mail(said: Option<Said>) -> Switches {
        let by_config = BTreeMap::from([(
            "mail".to_owned(),
            Switch { said, asked: Asked { count: 3, ..Asked::default() }, ..Switch::default() },
        )]);
        Switches { all: None, by_config }
    }

    #[test]
    fn what_a_person_said_last_counts_until_the_file_changes_its_mind() {
        for (says, file_then, file_now, paused) in [
            (true, false, false, true),
            (false, true, true, false),
            (true, false, true, true),
            (false, true, false, false),
            (true, true, false, false),
            (false, false, true, true),
        ] {
            let told = of_mail(said(says, file_then)).paused("mail", file_now);
            assert_eq!(told.paused, paused, "{says} {file_then} {file_now}");
            assert_eq!(told.said.is_some(), file_then == file_now);
        }
        assert!(of_mail(None).paused("mail", true).paused);
        assert!(!of_mail(said(true, false)).paused("other", false).paused);
    }

    #[test]
    fn all_paused_is_paused_and_all_resumed_leaves_each_as_it_was() {
        let mut switches = of_mail(said(false, true));
        switches.all = said(true, false);
        assert!(switches.paused("mail", true).paused && switches.paused("other", false).paused);
        switches.all = said(false, false);
        assert!(!switches.paused("mail", true).paused && switches.paused("other", true).paused);
        assert_eq!((switches.asked("mail").count, switches.asked("other").count), (3, 0));
    }

    #[test]
    fn a_service_is_ordered_by_what_was_said_last_and_enabled_until_the_file_changes_its_mind() {
        let last = Verb { verb: "disable".into(), who: "ann".into(), why: "deploy".into(), at: String::new() };
        let (enabled, restart_before) = (Some((false, true)), 2);
        let service = ServiceSwitch {
            enabled,
            stopped: true,
            halted: true,
            starts: 3,
            restart_before,
            last: Some(last),
            ..ServiceSwitch::default()
        };
        let by_config = BTreeMap::from([("api".to_owned(), Switch { service, ..Switch::default() })]);
        let switches = Switches { all: None, by_config };
        let (desired, last) = switches.orders("api", true);
        assert_eq!(desired, DesiredState { enabled: false, stopped: true, halted: true, starts: 3, restart_before });
        assert_eq!(last.map(|verb| verb.who), Some("ann".into()));
        assert!(!switches.orders("api", false).0.enabled, "the file has it so itself");
        let of_file = DesiredState { enabled: false, ..DesiredState::default() };
        assert_eq!(switches.orders("other", false), (of_file, None));
        assert_eq!(switches.orders("other", true), (DesiredState::default(), None));
    }

    #[test]
    fn what_the_file_has_overtaken_is_named() {
        let switches = of_mail(said(true, false));
        let queue = |paused| move |_: &str| Some((Kind::Queue, paused));
        assert_eq!(switches.overtaken(queue(false)).count(), 0);
        assert_eq!(switches.overtaken(queue(true)).collect::<Vec<_>>(), [("mail", (Kind::Queue, true))]);
        assert_eq!(switches.overtaken(|_| None).count(), 0, "who has left the file may come back");
    }
}
