//! Secrets and ConfigMaps that Jobs name, judged.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    cluster::survey::SurveyError,
    decide::pod::references::Reference,
    doctor::report::{Check, Name, some_of},
};

/// Whether there is what Jobs name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is there, or not.
    There(bool),
    /// We have no right to look, and need none.
    NotOurs,
    /// Nobody answered.
    Unanswered(SurveyError),
}

/// What Jobs name, each with the JobConfigs that do.
pub type Named = BTreeMap<Reference, BTreeSet<String>>;

/// Everything that is named: what is there in one line, what can't be known in one, and a line for each that is missing.
pub fn judge(named: &Named, known: &BTreeMap<Reference, Known>) -> Vec<Check> {
    if named.is_empty() {
        return vec![Name::References.ok("no Secret and no ConfigMap is named")];
    }
    let (mut there, mut unseen, mut checks) = (vec![], vec![], vec![]);
    for (reference, configs) in named {
        match known.get(reference).unwrap_or(&Known::NotOurs) {
            Known::There(true) => there.push(reference.to_string()),
            Known::There(false) => checks.push(missing(reference, configs)),
            Known::NotOurs => unseen.push(reference.to_string()),
            Known::Unanswered(error) => {
                checks.push(Name::References.failed(format!("{reference}: {error}"), &["Try again."]));
            }
        }
    }
    let told = |names: &[String]| some_of(names.iter().map(String::as_str));
    if !unseen.is_empty() {
        let found = format!("{}: named, and can't be looked for with these rights", told(&unseen));
        checks.insert(0, Name::References.skipped(found));
    }
    if !there.is_empty() {
        checks.insert(0, Name::References.ok(format!("there are {}", told(&there))));
    }
    checks
}

fn missing(reference: &Reference, configs: &BTreeSet<String>) -> Check {
    let configs = some_of(configs.iter().map(String::as_str));
    let found = format!("there is no {reference}, which Jobs of {configs} name");
    Name::References
        .failed(found, &["Make it in kubernetes.namespace, or name another: their pods do not start without it."])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decide::pod::references::Referred, doctor::report::Verdict};

    #[test]
    fn what_is_missing_is_a_failure_and_what_can_not_be_looked_for_is_named() {
        let secret = |name: &str| Reference { kind: Referred::Secret, name: name.to_owned() };
        let of = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let named = Named::from([
            (secret("a"), of(&["mail"])),
            (secret("b"), of(&["mail", "reports"])),
            (secret("c"), of(&["mail"])),
            (secret("d"), of(&["mail"])),
        ]);
        let known = BTreeMap::from([
            (secret("a"), Known::There(true)),
            (secret("b"), Known::There(false)),
            (secret("d"), Known::Unanswered(SurveyError::Timeout)),
        ]);
        let told = judge(&named, &known);
        let verdicts: Vec<_> = told.iter().map(|check| check.verdict).collect();
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Skipped, Verdict::Failed, Verdict::Failed]);
        assert_eq!(told[0].found, "there are Secret a");
        assert!(told[1].found.starts_with("Secret c: "), "{told:?}");
        assert_eq!(told[2].found, "there is no Secret b, which Jobs of mail, reports name");
        assert_eq!(judge(&Named::new(), &known)[0].verdict, Verdict::Ok);
    }
}
