//! Why a service, and each of its replicas, is as it is: a line each.

use serde_json::Value;

use super::{array, clock, end, moment, pools::place, span, text, words};

/// What ended, in the order in which it happened, and what is so now.
pub fn why(service: &Value) -> Vec<String> {
    let ended = array(&service["runs"]).filter(|run| run["endedAt"].is_string());
    let mut past: Vec<(String, String)> = ended.map(|run| (text(&run["endedAt"]), end(run))).collect();
    past.sort();
    let newest = past.last().map(|(at, _)| at.clone()).unwrap_or_default();
    let mut lines: Vec<String> = past.iter().map(|(at, what)| format!("{} {what}", clock(at, &newest))).collect();
    let now = spoken(service).into_iter().chain(rollout(service)).chain(unread(service));
    let now =
        now.chain(array(&service["perReplica"]).filter_map(replica)).chain(place(service)).chain([summary(service)]);
    lines.extend(now.map(|what| format!("now      {what}")));
    if service["runsError"].is_string() {
        lines.push(format!("what is on record can't be read: {}", text(&service["runsError"])));
    }
    lines
}

/// Who wants it to be otherwise than up, and why.
fn spoken(service: &Value) -> Option<String> {
    if service["left"] == true {
        return Some("it has left jobs.json, and is stopped".to_owned());
    }
    let disabled = service["enabled"] == false;
    if !disabled && service["desired"] != "stopped" {
        return None;
    }
    let said = &service["said"];
    let what = if disabled { "disabled" } else { "stopped" };
    // Whoever says start of a disabled service has not disabled it.
    let by = said["verb"].as_str().filter(|verb| (*verb == "disable") == disabled);
    let Some(_) = by.filter(|_| said["at"].is_string()) else {
        return Some(if disabled { "disabled: jobs.json has \"enabled\": false".to_owned() } else { what.to_owned() });
    };
    let (who, why) = words(said);
    Some(format!("{what} by {who} since {}{why}", moment(&said["at"])))
}

fn rollout(service: &Value) -> Option<String> {
    let rollout = Some(&service["rollout"]).filter(|it| it.is_object())?;
    let (replaced, outdated) = (text(&rollout["replaced"]), text(&rollout["outdated"]));
    let generation = text(&service["generation"]);
    let far = format!("{replaced} of {} replaced, {outdated} yet to be", text(&service["replicas"]));
    Some(match rollout["stopped"].as_str() {
        None => format!("generation {generation} is rolled out: {far}"),
        Some(_) => format!(
            "the rollout of generation {generation} has stopped ({far}): {}; change the entry, or try on by \
             `job-chief service start {}`",
            text(&rollout["stopped"]),
            text(&service["name"])
        ),
    })
}

fn unread(service: &Value) -> Option<String> {
    service["unread"].is_string().then(|| format!("{}: nothing is restarted on it", text(&service["unread"])))
}

/// What holds a replica; nothing of one that is up, or is not to be.
fn replica(replica: &Value) -> Option<String> {
    let name = format!("replica {}", text(&replica["replica"]));
    let problem = Some(text(&replica["problem"])).filter(|problem| !problem.is_empty());
    let problem = problem.map(|problem| format!(": {problem}")).unwrap_or_default();
    let ends = ends(replica).map(|ends| format!(": {ends}")).unwrap_or_default();
    let outdated = if replica["outdated"] == true { ", of another generation" } else { "" };
    Some(match replica["state"].as_str()? {
        "waits" => format!("{name} waits {}{ends}", span(replica["waitSeconds"].as_f64()?.ceil())),
        "held" => format!("{name} is not started{problem}"),
        "starting" if problem.is_empty() => format!("{name} starts{outdated}{ends}"),
        "starting" => format!("{name} starts{outdated}{problem}"),
        "unwell" => format!("{name} is up{outdated}, and its check fails{problem}"),
        "ending" => format!("{name} ends{outdated}"),
        "done" => format!("{name} has had its start, and keepAlive is false{ends}"),
        "up" if !outdated.is_empty() => {
            format!("{name} is up for {}{outdated}", span(replica["upSeconds"].as_f64()?))
        }
        _ => return None,
    })
}

/// `failed: exit code 7, 3 times in a row`
fn ends(replica: &Value) -> Option<String> {
    let end = Some(text(&replica["lastEnd"])).filter(|end| !end.is_empty())?;
    let times = replica["endsInARow"].as_u64().filter(|times| *times > 1);
    Some(format!("{end}{}", times.map(|times| format!(", {times} times in a row")).unwrap_or_default()))
}

/// `RESTART for 12s: 1 of 2 up`; only who leads knows since when.
fn summary(service: &Value) -> String {
    let since = service["sinceSeconds"].as_f64().map(|seconds| format!(" for {}", span(seconds))).unwrap_or_default();
    let [state, ready, replicas, error] = ["state", "ready", "replicas", "error"].map(|key| text(&service[key]));
    let error = if error.is_empty() { error } else { format!(": {error}") };
    format!("{state}{since}, {ready} of {replicas} up{error}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(service: Value) -> String {
        why(&service).join("\n")
    }

    #[test]
    fn each_replica_is_told_by_what_holds_it() {
        insta::assert_snapshot!(told(json!({
            "name": "api", "state": "RESTART", "ready": 2, "replicas": 6, "sinceSeconds": 75.2, "enabled": true, "desired": "started",
            "generation": "v1-new", "error": "failed: oom killed 137",
            "runs": [
                {"job": "job-chief-a-api-2", "endedAt": "2026-01-02T03:05:05.678Z", "outcome": "failed", "reason": "oom_killed", "exitCode": 137, "message": null},
                {"job": "job-chief-a-api-1", "endedAt": "2026-01-02T03:04:05.678Z", "outcome": "stopped", "reason": "replaced", "exitCode": null, "message": null},
                {"job": "job-chief-a-api-4", "endedAt": "2026-01-02T03:05:04.678Z", "outcome": "failed", "reason": "exit_code", "exitCode": 3, "message": null, "purpose": "action", "action": "backup"},
                {"job": "job-chief-a-api-3", "endedAt": null},
            ],
            "rollout": {"replaced": 1, "outdated": 2, "stopped": null},
            "perReplica": [
                {"replica": 0, "state": "up", "outdated": false, "upSeconds": 61.0, "endsInARow": 0},
                {"replica": 1, "state": "up", "outdated": true, "upSeconds": 7512.3, "endsInARow": 0},
                {"replica": 2, "state": "waits", "outdated": false, "waitSeconds": 39.2, "lastEnd": "failed: oom killed 137", "endsInARow": 3},
                {"replica": 3, "state": "held", "outdated": false, "problem": "waits for redis", "endsInARow": 0},
                {"replica": 4, "state": "unwell", "outdated": true, "upSeconds": 1.0, "problem": "port 8080: refused", "endsInARow": 0},
                {"replica": 5, "state": "starting", "outdated": false, "problem": "image_pull: ErrImagePull", "endsInARow": 0},
            ],
        })));
    }

    #[test]
    fn who_stopped_or_disabled_it_is_told_with_the_reason() {
        let service = |more: Value| {
            let mut service = json!({"name": "api", "state": "NOT_STARTED", "ready": 0, "replicas": 1, "enabled": true, "desired": "started"});
            service.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
            told(service)
        };
        let said =
            |verb: &str| json!({"verb": verb, "who": "ann", "why": "the migration", "at": "2026-01-02T03:04:05Z"});
        let last = "now      NOT_STARTED, 0 of 1 up";
        for (more, first) in [
            (
                json!({"desired": "stopped", "said": said("stop")}),
                "stopped by ann since 01-02 03:04:05 (the migration)",
            ),
            (
                json!({"desired": "stopped", "said": said("halt")}),
                "stopped by ann since 01-02 03:04:05 (the migration)",
            ),
            (
                json!({"enabled": false, "said": said("disable")}),
                "disabled by ann since 01-02 03:04:05 (the migration)",
            ),
            (json!({"enabled": false, "said": said("start")}), "disabled: jobs.json has \"enabled\": false"),
            (json!({"left": true}), "it has left jobs.json, and is stopped"),
        ] {
            assert_eq!(service(more), format!("now      {first}\n{last}"));
        }
        assert_eq!(service(json!({})), last);
    }

    #[test]
    fn a_rollout_that_has_stopped_says_why_and_what_to_do() {
        let lines = told(json!({
            "name": "api", "state": "FAILED", "ready": 2, "replicas": 3, "enabled": true, "desired": "started", "generation": "v1-b",
            "rollout": {"replaced": 0, "outdated": 2, "stopped": "replica 0 of the new generation did not stay up: failed: exit code 7"},
            "unread": "restartOn: /etc/api.conf: No such file",
        }));
        assert!(lines.contains("the rollout of generation v1-b has stopped (0 of 3 replaced, 2 yet to be): replica 0 of the new generation did not stay up: failed: exit code 7; change the entry"), "{lines}");
        assert!(
            lines.contains("now      restartOn: /etc/api.conf: No such file: nothing is restarted on it"),
            "{lines}"
        );
    }

    #[test]
    fn nothing_of_it_steers_a_terminal() {
        let line = told(
            json!({"state": "FAILED", "perReplica": [{"replica": 0, "state": "held", "problem": "a\u{1b}[31m\nb", "endsInARow": 0}], "error": "x\u{1b}"}),
        );
        assert!(!line.chars().any(|char| char.is_control() && char != '\n') && !line.contains("\nb"), "{line:?}");
    }
}
