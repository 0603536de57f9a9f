//! Deployments and their objects, and what deploying would do.

use serde_json::Value;

use crate::{
    harmless::harmless,
    tables::{
        grid::{Cell, Column, grid},
        mood::Mood,
        text,
        wrap::wrapped,
    },
};

/// All deployments, one a line.
pub fn overview(deployments: &Value, width: usize) -> String {
    let rows: Vec<Vec<Cell>> = deployments.as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        return "nothing is deployed\n".into();
    }
    let header = [
        ("DEPLOYMENT", Column::Name),
        ("MODULE", Column::Name),
        ("VERSION", Column::Short),
        ("STATE", Column::Short),
        ("READY", Column::Short),
        ("PROBLEM", Column::Text),
    ];
    grid(&header, &rows, width)
}

fn row(deployment: &Value) -> Vec<Cell> {
    vec![
        text(&deployment["name"]).into(),
        text(&deployment["module"]).into(),
        text(&deployment["version"]).into(),
        Cell::styled(&text(&deployment["state"]), Mood::of_deployment(deployment).style()),
        ready(deployment).into(),
        text(&deployment["problem"]).into(),
    ]
}

/// `2/3`: objects that are ready, and all that are wanted.
pub fn ready(deployment: &Value) -> String {
    let wanted = || deployment["objects"].as_array().into_iter().flatten().filter(|it| it["wanted"] == true);
    format!("{}/{}", wanted().filter(|it| it["state"] == "ready").count(), wanted().count())
}

/// One deployment with its objects.
pub fn details(deployment: &Value, width: usize) -> String {
    let mut told = overview(&Value::Array(vec![deployment.clone()]), width);
    told.push_str(&format!("\n{}\n", wrapped(&said(deployment), 2, width)));
    let rows: Vec<Vec<Cell>> = deployment["objects"].as_array().into_iter().flatten().map(object).collect();
    if !rows.is_empty() {
        let header =
            [("OBJECT", Column::Name), ("STATE", Column::Short), ("RESULT", Column::Short), ("SINCE", Column::Short)];
        told.push_str(&format!("\n{}", grid(&header, &rows, width)));
    }
    for object in deployment["objects"].as_array().into_iter().flatten() {
        if let Some(message) = message(object) {
            let line = harmless(&format!("{}: {message}", text(&object["object"])));
            told.push_str(&format!("\n{}\n", wrapped(&line, 2, width)));
        }
    }
    told
}

/// Who has written it last, when and why.
pub fn said(deployment: &Value) -> String {
    let who = Some(text(&deployment["who"])).filter(|who| !who.is_empty()).unwrap_or_else(|| "somebody".into());
    let why = Some(text(&deployment["why"])).filter(|why| !why.is_empty()).map(|why| format!(": {why}"));
    let (revision, at) = (text(&deployment["revision"]), text(&deployment["writtenAt"]));
    format!("revision {revision} by {who} at {at}{}", why.unwrap_or_default())
}

fn object(object: &Value) -> Vec<Cell> {
    vec![
        text(&object["object"]).into(),
        Cell::styled(&text(&object["state"]), Mood::of_object(object).style()),
        text(&object["result"]).into(),
        text(&object["since"]).into(),
    ]
}

/// Why an object is in error, or what it waits for: whole, for a table would cut it.
fn message(object: &Value) -> Option<String> {
    let waits = object["kind"] == "JobConfig" && object["state"] == "applied";
    let waits = waits.then(|| format!("it is not RUNNING yet; `why {}` tells why", text(&object["name"])));
    object["message"].as_str().map(str::to_owned).or(waits)
}

/// What deploying would do to each object, and what stands against it.
pub fn plan(told: &Value, width: usize) -> String {
    let row = |it: &Value| -> Vec<Cell> { vec![text(&it["object"]).into(), text(&it["action"]).into()] };
    let rows: Vec<Vec<Cell>> = told["plan"].as_array().into_iter().flatten().map(row).collect();
    let mut plan = grid(&[("OBJECT", Column::Name), ("WOULD", Column::Text)], &rows, width);
    let missing: Vec<String> = told["rbac"]["missing"].as_array().into_iter().flatten().map(text).collect();
    if !missing.is_empty() {
        plan.push_str(&format!(
            "\n{}\n",
            wrapped(&format!("rights that are missing: {}", missing.join(", ")), 2, width)
        ));
    }
    for error in told["errors"].as_array().into_iter().flatten() {
        plan.push_str(&format!("\n{}\n", wrapped(&format!("error: {}", text(error)), 2, width)));
    }
    plan
}

/// An object by its name, and how far it is, in a line.
pub fn progress(object: &Value) -> (String, String) {
    let (id, state) = (harmless(&text(&object["object"])), text(&object["state"]));
    let result = object["result"].as_str().map(|result| format!(" ({result})")).unwrap_or_default();
    let message = object["message"].as_str().map(|message| format!(": {message}")).unwrap_or_default();
    let line = harmless(&format!("{id} {state}{result}{message}"));
    (id, line)
}

/// An object that is not as it is wanted, and where it is told why.
pub fn unfinished(object: &Value) -> String {
    let (_, line) = progress(object);
    let name = harmless(&text(&object["name"]));
    let remedy = if object["kind"] == "JobConfig" { format!("; `why {name}` tells why") } else { String::new() };
    format!("{line}{remedy}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_is_told_with_what_is_wrong_and_how_far_it_is() {
        let one = json!({
            "name": "cache", "module": "redis", "version": "latest", "state": "failed", "problem": "Secret/a is in error, no",
            "revision": 3, "who": "ann", "why": "a try", "writtenAt": "2026-01-02T03:04:05Z",
            "objects": [
                {"object": "Secret/a", "wanted": true, "state": "error", "result": null, "message": "no", "since": "t"},
                {"object": "JobConfig/b", "wanted": true, "state": "ready", "result": "created", "message": null, "since": "t"},
                {"object": "Job/c", "wanted": false, "state": "ready", "result": null, "message": null, "since": "t"},
                {"object": "JobConfig/d", "kind": "JobConfig", "name": "d", "wanted": true, "state": "applied", "message": null},
                {"object": "Job/e", "wanted": true, "state": "error", "message": "a long reason ".repeat(9) + "of which the end counts"},
            ],
        });
        let told = anstream::adapter::strip_str(&details(&one, 100)).to_string();
        for part in [
            "cache",
            "redis",
            "failed",
            "1/4",
            "Secret/a is in error, no",
            "revision 3 by ann",
            ": a try",
            "JobConfig/b",
            "JobConfig/d: it is not RUNNING yet; `why d` tells why",
            "counts",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert_eq!(progress(&one["objects"][0]).1, "Secret/a error: no");
        assert_eq!(progress(&one["objects"][1]).1, "JobConfig/b ready (created)");
        assert_eq!(overview(&json!([]), 80), "nothing is deployed\n");
    }

    #[test]
    fn a_plan_tells_what_stands_against_it() {
        let told = plan(
            &json!({"plan": [{"object": "Job/a", "action": "create"}], "rbac": {"missing": ["create secrets"]}, "errors": ["no"]}),
            80,
        );
        for part in ["Job/a", "create", "rights that are missing: create secrets", "error: no"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
