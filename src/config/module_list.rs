//! The list of modules to deploy: `modules` in jobs.json, and the variables that the orchestrator has for it.
//!
//! One entry that is wrong stops no other, so each is read by itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The variables that may hold the list; the first that is set counts.
pub const VARIABLES: [&str; 2] = ["MODULES", "MODULE"];

/// Entries of a list.
const ENTRIES_MAX: usize = 200;

/// The keys of an entry.
const KEYS: [&str; 3] = ["module", "version", "config"];

/// A module that is to be deployed.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The name of its deployment.
    pub name: String,
    /// The module.
    pub module: String,
    /// The version, if one is said.
    pub version: Option<String>,
    /// The values of its placeholders.
    pub config: Map<String, Value>,
}

/// A list as it was read: what is to be deployed, and what is wrong with the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModuleList {
    /// By namespace, module and name.
    pub entries: Vec<Listed>,
    /// Each names its place.
    pub problems: Vec<String>,
}

impl ModuleList {
    /// The list of a variable, if one is set.
    pub fn of_environment(environment: &BTreeMap<String, String>, namespace: &str) -> Self {
        let set = VARIABLES.iter().find_map(|name| environment.get(*name).map(|text| (*name, text)));
        match set {
            None => Self::default(),
            Some((_, text)) if text.trim().is_empty() => Self::default(),
            Some((name, text)) => match serde_json::from_str(text) {
                Ok(value) => Self::of(name, &value, namespace),
                Err(error) => Self { problems: vec![format!("{name} is no JSON: {error}")], ..Self::default() },
            },
        }
    }

    /// A list of the form `{namespace: {module: {name: {module, version, config}}}}`; `place` is where it stands, and
    /// `namespace` the only one that we deploy into.
    pub fn of(place: &str, value: &Value, namespace: &str) -> Self {
        let mut list = Self::default();
        for (at, space, modules) in list.members(place, value) {
            if space != namespace {
                list.problems
                    .push(format!("{at}: job-chief deploys into its own namespace only, which is {namespace}"));
                continue;
            }
            for (at, module, entries) in list.members(&at, modules) {
                for (at, name, entry) in list.members(&at, entries) {
                    list.add(&at, module, name, entry);
                }
            }
        }
        list
    }

    /// The members of an object, each with its place.
    fn members<'v>(&mut self, place: &str, value: &'v Value) -> Vec<(String, &'v str, &'v Value)> {
        match value {
            Value::Null => vec![],
            Value::Object(members) => {
                members.iter().map(|(key, value)| (format!("{place}.{key}"), key.as_str(), value)).collect()
            }
            _ => {
                let form = "{namespace: {module: {name: {module, version, config}}}}";
                self.problems.push(format!("{place}: allowed is an object; the whole is {form}"));
                vec![]
            }
        }
    }

    fn add(&mut self, at: &str, module: &str, name: &str, entry: &Value) {
        match read(module, name, entry) {
            Ok(_) if self.entries.len() >= ENTRIES_MAX => {
                self.problems.push(format!("{at}: the list has more than {ENTRIES_MAX} entries"));
            }
            Ok(listed) if self.entries.iter().any(|other| other.name == listed.name) => {
                self.problems.push(format!("{at}: another entry has the name {name}: a deployment is named once"));
            }
            Ok(listed) => self.entries.push(listed),
            Err(why) => self.problems.push(format!("{at}: {why}")),
        }
    }

    /// Both lists; of a name that both have the first counts.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.problems.extend(other.problems);
        for listed in other.entries {
            if self.entries.iter().all(|own| own.name != listed.name) {
                self.entries.push(listed);
            }
        }
        self
    }
}

fn read(module: &str, name: &str, entry: &Value) -> Result<Listed, String> {
    let Value::Object(members) = entry else { return Err(format!("allowed is an object with {}", KEYS.join(", "))) };
    if let Some(unknown) = members.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("unknown key {unknown:?}: allowed are {}", KEYS.join(", ")));
    }
    let text = |key: &str| match members.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("\"{key}\" is no string")),
    };
    let config = match members.get("config") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(config)) => config.clone(),
        Some(_) => return Err("\"config\" is no object".to_owned()),
    };
    let module = text("module")?.unwrap_or_else(|| module.to_owned());
    Ok(Listed { name: name.to_owned(), module, version: text("version")?, config })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_wrong_entry_stops_no_other_and_is_named_with_its_place() {
        let value = json!({
            "ours": {
                "redis": {"cache": {"config": {"image": "i"}}, "wrong": {"confg": {}}, "plain": 3},
                "mail": {"letters": {"module": "postfix", "version": "2"}, "cache": {}},
            },
            "other": {"redis": {"far": {}}},
        });
        let list = ModuleList::of("modules", &value, "ours");
        let entries: Vec<_> = list.entries.iter().map(|it| (it.name.as_str(), it.module.as_str())).collect();
        assert_eq!(entries, [("cache", "mail"), ("letters", "postfix")]);
        let places: Vec<_> = list.problems.iter().map(|it| it.split(':').next().unwrap_or_default()).collect();
        assert_eq!(
            places,
            ["modules.ours.redis.cache", "modules.ours.redis.plain", "modules.ours.redis.wrong", "modules.other"]
        );
    }

    #[test]
    fn the_first_variable_that_is_set_counts_and_what_is_no_json_is_told() {
        let of = |pairs: &[(&str, &str)]| {
            let all = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            ModuleList::of_environment(&all, "n")
        };
        let one = r#"{"n": {"redis": {"cache": {"version": "latest"}}}}"#;
        assert_eq!(of(&[("MODULE", one)]).entries[0].version.as_deref(), Some("latest"));
        assert!(of(&[("MODULE", one), ("MODULES", "{}")]).entries.is_empty());
        assert!(of(&[("MODULES", "{")]).problems[0].starts_with("MODULES is no JSON"));
        assert_eq!(of(&[("MODULES", " ")]), ModuleList::default());
        let both = of(&[("MODULE", one)]).and(of(&[("MODULES", one)]));
        assert_eq!(both.entries.len(), 1);
    }
}
