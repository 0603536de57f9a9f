//! What the API server says to each Job and its pods in a dry run, judged.

use crate::{
    cluster::survey::SurveyError,
    doctor::report::{Check, Name, some_of},
};

/// What was said to what one JobConfig makes.
pub type Trial = (String, Result<(), SurveyError>);

/// What the API server says when it will not take something: a word in its message, what that means, and what to do.
const REFUSALS: [(&str, &str, &str); 10] = [
    (
        "exceeded quota",
        "a ResourceQuota",
        "Ask for less in podConfig.resources, lower maxConcurrentJobs, or have the quota raised.",
    ),
    (
        "failed quota",
        "a ResourceQuota that wants requests or limits to be named",
        "Name them in podConfig.resources (or defaults), or have a LimitRange set them.",
    ),
    ("status unknown for quota", "a ResourceQuota that the cluster has not counted yet", "Try again in some seconds."),
    ("per Container", "a LimitRange", "Keep podConfig.resources within it: kubectl describe limitrange."),
    ("per Pod", "a LimitRange", "Keep podConfig.resources within it: kubectl describe limitrange."),
    (
        "violates PodSecurity",
        "the namespace's Pod Security level",
        "Set the securityContext that it names through jobTemplate.",
    ),
    (
        "admission webhook",
        "an admission webhook",
        "What it asks for can be set through jobTemplate; or ask who runs it.",
    ),
    (
        "ValidatingAdmissionPolicy",
        "an admission policy",
        "What it asks for can be set through jobTemplate; or ask who made it.",
    ),
    (
        "error looking up service account",
        "a ServiceAccount that is not there",
        "Make it, or name another in jobTemplate.",
    ),
    ("namespaces \"", "a namespace that is not there", "Check kubernetes.namespace (K8S_NAMESPACE)."),
];

/// All trials of one kind: what is taken in one line, and a line for each refusal.
pub fn judge(name: Name, trials: &[Trial]) -> Vec<Check> {
    let what = if name == Name::Pods { "pods" } else { "Jobs" };
    let taken: Vec<&str> = trials.iter().filter(|(_, said)| said.is_ok()).map(|(config, _)| config.as_str()).collect();
    let mut checks = vec![];
    if !taken.is_empty() {
        let (count, all) = (taken.len(), trials.len());
        checks.push(name.ok(format!("the API server takes the {what} of {count} of {all}: {}", some_of(taken))));
    }
    let refused = trials.iter().filter_map(|(config, said)| Some((config, said.as_ref().err()?)));
    checks.extend(refused.map(|(config, error)| refusal(name, config, error)));
    checks
}

fn refusal(name: Name, config: &str, error: &SurveyError) -> Check {
    let SurveyError::Refused { code, message } = error else {
        return name.failed(format!("{config}: {error}"), &["Try again."]);
    };
    let known = REFUSALS.iter().find(|(word, ..)| message.contains(word));
    let (what, advice) = match (known, code) {
        (Some((_, what, advice)), _) => (*what, *advice),
        (None, 403) => ("a right that is lacking", "See the line `verbs`."),
        (None, 400 | 422) => (
            "something that is not valid",
            "Mend what it names, in jobs.json or its jobTemplate: job-chief render NAME.",
        ),
        (None, 429 | 500..) => ("trouble of its own", "Try again."),
        (None, _) => ("a reason of its own", "Its words say what it wants."),
    };
    name.failed(format!("{config}: refused for {what}: {message}"), &[advice])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    #[test]
    fn every_refusal_is_told_in_words() {
        let refused = |code, message: &str| SurveyError::Refused { code, message: message.to_owned() };
        let cases = [
            (
                refused(
                    403,
                    "jobs.batch \"x\" is forbidden: exceeded quota: q, requested: count/jobs.batch=1, used: 5, limited: 5",
                ),
                "a ResourceQuota:",
            ),
            (
                refused(403, "pods \"x\" is forbidden: failed quota: q: must specify limits.cpu for: worker"),
                "wants requests or limits",
            ),
            (
                refused(403, "pods \"x\" is forbidden: maximum cpu usage per Container is 1, but limit is 2"),
                "a LimitRange",
            ),
            (
                refused(403, "pods \"x\" is forbidden: maximum memory usage per Pod is 1Gi, but limit is 2Gi"),
                "a LimitRange",
            ),
            (
                refused(
                    403,
                    "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
                ),
                "Pod Security",
            ),
            (refused(400, "admission webhook \"policy.example.com\" denied the request: no"), "an admission webhook"),
            (
                refused(
                    422,
                    "jobs.batch \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request",
                ),
                "an admission policy",
            ),
            (
                refused(
                    403,
                    "pods \"x\" is forbidden: error looking up service account ns/robot: serviceaccount \"robot\" not found",
                ),
                "a ServiceAccount",
            ),
            (refused(404, "namespaces \"nowhere\" not found"), "a namespace that is not there"),
            (
                refused(403, "jobs.batch is forbidden: User \"ann\" cannot create resource \"jobs\""),
                "a right that is lacking",
            ),
            (refused(422, "Job.batch \"x\" is invalid: spec.template.spec.restartPolicy: Required value"), "not valid"),
            (refused(503, "etcd is away"), "trouble of its own"),
            (refused(409, "exists"), "a reason of its own"),
            (SurveyError::Timeout, "no answer"),
        ];
        for (error, found) in cases {
            let told = judge(Name::Pods, &[("mail".to_owned(), Err(error.clone()))]);
            assert_eq!((told.len(), told[0].verdict, told[0].advice.len()), (1, Verdict::Failed, 1), "{told:?}");
            assert!(told[0].found.starts_with("mail: ") && told[0].found.contains(found), "{told:?}");
        }
    }

    #[test]
    fn what_is_taken_is_one_line() {
        let taken = |name: &str| (name.to_owned(), Ok(()));
        let told = judge(Name::Jobs, &[taken("a"), ("b".to_owned(), Err(SurveyError::Timeout)), taken("c")]);
        assert_eq!(told[0], Name::Jobs.ok("the API server takes the Jobs of 2 of 3: a, c"));
        assert_eq!(told.len(), 2);
    }
}
