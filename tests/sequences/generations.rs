//! The generation of a service: what its user wrote, as far as it reaches the pod, and nothing else.

use job_chief::{
    config::schema::jobs_json_schema,
    decide::{
        pod::{digest::JobDigest, inputs::Instance, manifest::Template},
        service::{event::ServiceEvent, keep_alive::KeepAlive},
        trace_context::Sampler,
    },
};
use serde_json::{Value, json};

use crate::{
    keys::{paths, settings},
    script::SECOND,
    service::{Service, config, policy},
    service_keys::{is_left_out, rendered, values, with},
};

fn generation_under(keys: &Value, settings_keys: &Value) -> String {
    Template::of(&config(keys), &Instance::of(&settings(settings_keys))).config_hash
}

fn generation(keys: &Value) -> String {
    generation_under(keys, &json!({}))
}

#[test]
fn what_reaches_the_pod_is_another_generation_and_nothing_else_is() {
    let schema = jobs_json_schema();
    let reaches = ["podConfig.", "jobTemplate", "stopTimeout", "readiness", "prepare.", "configure.", "ports"];
    // Another name is another service.
    let tried = |path: &&String| !is_left_out(path) && path.as_str() != "name";
    for path in paths(&schema, &schema["$defs"]["ServiceConfig"], "").iter().filter(tried) {
        let (before, after) = with(path);
        let differs = generation(&before) != generation(&after);
        assert_eq!(differs, reaches.iter().any(|part| path.starts_with(part)), "{path}");
    }
    let pod = json!({"injectPgConfig": false, "env": [], "liveness": {"enabled": false}});
    let unsaid = json!({"podConfig": pod, "stopTimeout": "30s"});
    assert_eq!(generation(&unsaid), generation(&json!({})), "as it is without being said");
}

#[test]
fn settings_that_reach_the_pod_are_another_generation() {
    let (plain, injected) = (json!({}), json!({"podConfig": {"injectPgConfig": true}}));
    for with in [json!({"app": {"environment": "dev"}}), json!({"kubernetes": {"pullSecret": "p"}})] {
        assert_ne!(generation_under(&plain, &with), generation(&plain), "{with}");
    }
    let secret = json!({"passwordSecret": {"name": "n", "key": "k"}});
    for db in [json!({"host": "h"}), json!({"password": "p"}), secret, json!({"schema": "s"})] {
        let with = json!({ "db": db });
        assert_ne!(generation_under(&injected, &with), generation(&injected), "{with}");
        assert_eq!(generation_under(&plain, &with), generation(&plain), "{with} is not given to this pod");
    }
    assert_eq!(generation_under(&plain, &json!({"kubernetes": {"jobMaxAgeForDeletion": "9m"}})), generation(&plain));
}

#[test]
fn whether_traces_are_wanted_is_no_other_generation() {
    let plain = Instance::of(&settings(&json!({})));
    for ratio in [0.0, 1.0] {
        let traced = Template::of(&config(&json!({})), &plain.clone().traced(Sampler::of_ratio(ratio)));
        assert_eq!(traced.config_hash, generation(&json!({})), "{ratio}");
    }
}

/// A generation is written into Jobs that outlive the job-chief that wrote it: the same entry has the same one in every
/// version. Whoever changes how it is made raises its scheme.
#[test]
fn a_generation_is_the_same_in_every_version() {
    let all = values();
    let mut keys = json!({"ports": [80], "stopTimeout": "3s"});
    for key in ["podConfig", "jobTemplate", "readiness", "prepare", "configure"] {
        keys[key] = all[key].clone();
    }
    assert_eq!([generation(&json!({})), generation(&keys)], ["v1-bjv0xrch1h8f", "v1-wtf9d4q1bg4p"]);
}

#[test]
fn a_job_chief_that_renders_differently_replaces_nothing() {
    let mut it = Service::begin(&json!({}));
    it.all_run();
    let before: Vec<String> = it.live().iter().map(|name| (*name).to_owned()).collect();
    // The Job as another version may have written it: one label more, no annotations, another variable.
    let mut other = rendered(&json!({}));
    other.metadata.uid = Some("u".into());
    other.metadata.labels.get_or_insert_default().insert("job-chief/new".into(), "label".into());
    other.metadata.annotations = None;
    let seen = JobDigest::of(&other).unwrap();
    let mut after = Service::of(
        KeepAlive::new(crate::script::naming(), policy(&json!({}), &generation(&json!({}))), 2, it.now),
        it.now,
    );
    after.jobs = it.jobs.clone();
    after.jobs.values_mut().for_each(|job| job.config_hash = seen.config_hash.clone());
    after.feed(ServiceEvent::DeadlineReached);
    after.view();
    after.pass(30 * SECOND);
    assert_eq!(after.live(), before, "{}", after.transcript.join("\n"));
}

/// A hash that was made otherwise says nothing: such a Job counts as what was wanted when it was found.
#[test]
fn a_job_of_another_scheme_is_kept_until_its_entry_changes() {
    let now = 1_000_000 * SECOND;
    let mut it = Service::of(KeepAlive::new(crate::script::naming(), policy(&json!({}), "v1-a"), 1, now), now);
    it.generation = "anotherscheme".into();
    it.feed(ServiceEvent::DeadlineReached);
    it.view();
    it.all_run();
    it.pass(30 * SECOND);
    assert!(it.jobs.values().all(|job| job.is_live() && job.terminating.is_none()), "{:?}", it.jobs);
    it.feed(ServiceEvent::Configured(Box::new(policy(&json!({}), "v1-b"))));
    assert!(it.jobs.values().all(|job| job.terminating.is_some()), "{:?}", it.jobs);
}
