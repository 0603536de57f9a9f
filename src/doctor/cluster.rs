//! The API server, and what we may do there, judged.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::Role;

use crate::{
    cluster::survey::{Action, ApiServer, SurveyError},
    doctor::report::{Check, Name},
};

/// The Role that `job-chief rbac` prints.
const ROLE: &str = include_str!("../../deploy/role.yaml");

/// The oldest Kubernetes that the tests' reading of Jobs holds for.
const MINOR_MIN: u32 = 27;

/// What we may, of what the Role grants and of what can be granted beside it.
#[derive(Clone, Debug)]
pub struct Rights {
    /// Whom the API server takes us for; empty where it does not say.
    pub who: String,
    /// The namespace.
    pub namespace: String,
    /// Each action with whether it is granted, or why that is not known.
    pub answers: Vec<(Action, Result<bool, SurveyError>)>,
}

impl Rights {
    /// Whether an action is granted.
    pub fn may(&self, action: &Action) -> bool {
        self.answers.iter().any(|(asked, answer)| asked == action && *answer == Ok(true))
    }
}

/// The actions without which it does not work: those of the Role.
pub fn needed() -> BTreeSet<Action> {
    let role: Role = serde_yaml_ng::from_str(ROLE).expect("a test reads it");
    let of_rule = |rule: &k8s_openapi::api::rbac::v1::PolicyRule| -> Vec<Action> {
        let groups = rule.api_groups.iter().flatten();
        let pairs = groups.flat_map(|group| rule.resources.iter().flatten().map(move |resource| (group, resource)));
        pairs
            .flat_map(|(group, resource)| rule.verbs.iter().map(move |verb| Action::of(group, resource, verb)))
            .collect()
    };
    role.rules.iter().flatten().flat_map(of_rule).collect()
}

/// Services whose pods do not end can be halted with it.
pub fn halt() -> Action {
    Action::of("", "pods", "delete")
}

/// The API server was reached, or why not.
pub fn server(server: Result<&ApiServer, &SurveyError>) -> Check {
    match server {
        Ok(server) if (server.major, server.minor) < (1, MINOR_MIN) => Name::ApiServer.failed(
            format!("Kubernetes {} is older than 1.{MINOR_MIN}", server.version),
            &["Jobs are told to be over in another way there: update the cluster."],
        ),
        Ok(server) => Name::ApiServer.ok(format!("Kubernetes {}", server.version)),
        Err(error) => {
            let advice = match error {
                SurveyError::Refused { code: 401, .. } => {
                    "The credentials are not valid (any more): log in again, or see whether the pod's token is mounted."
                }
                SurveyError::Refused { .. } => "What answers there may be no API server: check the context's address.",
                _ => "Check the context's address, its certificates and the network: kubectl --context NAME version.",
            };
            Name::ApiServer.failed(format!("not reached: {error}"), &[advice])
        }
    }
}

/// What we may.
pub fn verbs(rights: &Rights) -> Vec<Check> {
    let Rights { who, namespace, answers } = rights;
    let needed = needed();
    let who = if who.is_empty() { "these credentials" } else { who.as_str() };
    let mut checks = vec![];
    let granted = |action: &Action| answers.iter().find(|(asked, _)| asked == action).map(|(_, answer)| answer);
    let lacking = needed.iter().filter(|action| matches!(granted(action), Some(Ok(false))));
    let lacking: Vec<&Action> = lacking.collect();
    let unknown = needed.iter().find_map(|action| granted(action)?.as_ref().err());
    let halting = if rights.may(&halt()) {
        "; delete pods, too, so that services can be halted"
    } else {
        "; not delete pods, without which no service can be halted (optional)"
    };
    if let Some(error) = unknown {
        checks.push(Name::Verbs.failed(format!("what {who} may do is not known: {error}"), &["Try again."]));
    }
    if !lacking.is_empty() {
        checks.push(Name::Verbs.failed(
            format!("{who} may not {} in namespace {namespace}", told(lacking)),
            &["Apply the Role that `job-chief rbac` prints, and a RoleBinding of it to job-chief's ServiceAccount."],
        ));
    }
    if checks.is_empty() {
        let all = told(&needed);
        checks.push(Name::Verbs.ok(format!("{who} may {all} in namespace {namespace}{halting}")));
    }
    checks
}

/// Such as `create jobs and list, watch pods`.
fn told<'a>(actions: impl IntoIterator<Item = &'a Action>) -> String {
    let mut by_resource: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for action in actions {
        by_resource.entry(&action.resource).or_default().push(&action.verb);
    }
    let told = by_resource.iter().map(|(resource, verbs)| format!("{} {resource}", verbs.join(", ")));
    told.collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    #[test]
    fn what_is_needed_is_what_the_role_grants() {
        let names: Vec<String> = needed().iter().map(|it| format!("{} {}", it.verb, it.resource)).collect();
        let jobs = ["create jobs", "delete jobs", "get jobs", "list jobs", "watch jobs"];
        assert_eq!(names, [&["list pods", "watch pods"], &jobs[..]].concat());
    }

    #[test]
    fn a_server_that_is_too_old_or_does_not_answer_is_a_failure() {
        let of = |major, minor| ApiServer { version: format!("v{major}.{minor}.1"), major, minor, ahead: None };
        assert_eq!(server(Ok(&of(1, 26))).verdict, Verdict::Failed);
        assert_eq!(server(Ok(&of(1, 27))).verdict, Verdict::Ok);
        assert_eq!(server(Ok(&of(2, 0))).verdict, Verdict::Ok);
        let refused = |code| SurveyError::Refused { code, message: "no".into() };
        for (error, advice) in [
            (refused(401), "credentials"),
            (refused(404), "no API server"),
            (SurveyError::Timeout, "network"),
            (SurveyError::Unreached("x".into()), "network"),
        ] {
            let told = server(Err(&error));
            assert_eq!((told.verdict, told.advice[0].contains(advice)), (Verdict::Failed, true), "{told:?}");
        }
    }

    fn rights(lacking: &[Action]) -> Rights {
        let all = needed().into_iter().chain([halt()]);
        let answers = all.map(|action| (action.clone(), Ok(!lacking.contains(&action)))).collect();
        Rights { who: "ann".into(), namespace: "team".into(), answers }
    }

    #[test]
    fn each_missing_verb_is_named_and_an_optional_one_is_no_fault() {
        let told = verbs(&rights(&[]));
        assert_eq!((told.len(), told[0].verdict), (1, Verdict::Ok));
        assert!(
            told[0].found.starts_with("ann may create, delete, get, list, watch jobs and list, watch pods in"),
            "{told:?}"
        );
        assert!(told[0].found.contains("can be halted"), "{told:?}");
        let told = verbs(&rights(&[halt()]));
        assert_eq!((told[0].verdict, told[0].found.contains("not delete pods")), (Verdict::Ok, true), "{told:?}");
        let told = verbs(&rights(&[Action::of("batch", "jobs", "delete"), Action::of("", "pods", "watch")]));
        assert_eq!(told[0].found, "ann may not delete jobs and watch pods in namespace team");
        assert_eq!((told.len(), told[0].verdict), (1, Verdict::Failed));
    }

    #[test]
    fn what_is_not_known_is_no_success() {
        let mut unknown = rights(&[]);
        unknown.answers[0].1 = Err(SurveyError::Timeout);
        unknown.who = String::new();
        let told = verbs(&unknown);
        assert_eq!((told[0].verdict, told[0].found.contains("these credentials")), (Verdict::Failed, true), "{told:?}");
    }
}
