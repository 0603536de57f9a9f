//! Variables of job-chief's own environment that the files speak of.

use std::{collections::BTreeMap, fmt};

use crate::{
    harmless::harmless,
    import::{
        given::{Given, Setting},
        remark::Remark,
    },
};

/// Variables that are never shown.
const SECRET: [&str; 4] =
    ["DB_PASSWORD", "DATABASE_URL", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];

/// All variables; one value each.
#[derive(Debug, Default)]
pub struct Settings(BTreeMap<String, (Given, String)>);

impl Settings {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those whose values are known, as the loader of the settings takes them.
    pub fn literals(&self) -> BTreeMap<String, String> {
        let literal = |(name, (given, _)): (&String, &(Given, String))| match given {
            Given::Literal(value) => Some((name.clone(), value.clone())),
            _ => None,
        };
        self.0.iter().filter_map(literal).collect()
    }

    /// Takes more; where two documents differ the first one stands.
    pub(super) fn extend(&mut self, more: Vec<Setting>, remarks: &mut Vec<Remark>) {
        for Setting { name, given, origin } in more {
            let (first, by) = self.0.entry(name.clone()).or_insert_with(|| (given.clone(), origin.clone()));
            if *first != given {
                let text = format!(
                    "differs from what {by} says, which stands: one job-chief reads one database in one namespace, \
                     so run another with another APP_INSTANCE_UID for this one"
                );
                remarks.push(Remark { place: origin, path: name, text });
            }
        }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, (given, _)) in &self.0 {
            match given {
                Given::Literal(_) if SECRET.contains(&name.as_str()) => writeln!(f, "  {name}=(not shown)")?,
                Given::Literal(value) => writeln!(f, "  {name}={}", harmless(value))?,
                Given::Secret { name: secret, key } => {
                    writeln!(f, "  {name} from the Secret {}, key {}", harmless(secret), harmless(key))?;
                }
                Given::ConfigMap { name: map, key } => {
                    writeln!(f, "  {name} from the ConfigMap {}, key {}", harmless(map), harmless(key))?;
                }
            }
            if let ("DB_PASSWORD", Given::Secret { name, key }) = (name.as_str(), given) {
                let (name, key) = (harmless(name), harmless(key));
                writeln!(f, "  db.passwordSecret={{\"name\": {name:?}, \"key\": {key:?}}}, so that no Job holds it")?;
            }
        }
        Ok(())
    }
}
