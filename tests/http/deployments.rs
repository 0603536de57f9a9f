//! What is refused of deployments before anything is written, and what modules tell of themselves.

use serde_json::{Value, json};

use crate::{
    contract::Contract,
    problem,
    service::{Service, TOKEN, Told},
};

fn deploy(service: &Service, words: &Value) -> Told {
    service.ask("POST", "/deployment", TOKEN, &words.to_string())
}

#[test]
fn modules_tell_what_may_be_said_of_them() {
    let service = Service::start(&[]);
    let contract = Contract { document: service.get("/openapi.json", "").json() };
    let told = service.get("/modules", "").json();
    assert_eq!(told, json!([{"name": "redis", "versions": ["latest"]}, {"name": "wrong", "versions": ["latest"]}]));
    let told = service.get("/modules/redis?version=latest", "").json();
    contract.check_part("ModuleDetails", &told);
    let name = &told["placeholders"].as_array().unwrap().iter().find(|it| it["name"] == "name").unwrap();
    assert_eq!((&name["default"], &name["help"]), (&json!("cache"), &json!("The name of the service.")));
    let told = service.get("/modules/redsi", "");
    assert_eq!(problem(&told), ("unknown-name".into(), 404, "/modules/redsi".into()));
    assert!(told.body.contains("did you mean \\\"redis\\\"?"), "{}", told.body);
    let told = service.get("/modules/redis?version=lates", "");
    assert_eq!(problem(&told).1, 404);
    assert!(told.body.contains("did you mean \\\"latest\\\"?"), "{}", told.body);
}

#[test]
fn what_can_not_be_deployed_is_refused_with_every_place_and_a_remedy() {
    let service = Service::start(&[]);
    for (words, kind, code, parts) in [
        (json!({"module": "wrong"}), "bad-module", 400, &["wrong.yaml:6:", "queueNam", "imag"][..]),
        (json!({"module": "redis", "config": {"nam": "x"}}), "bad-module", 400, &["nam", "did you mean"]),
        (json!({"module": "redis", "name": "No_name"}), "invalid-body", 400, &["No_name", "small letters"]),
        (json!({"name": "cache"}), "invalid-body", 400, &["module", "/modules"]),
        (json!({"module": "redis", "version": "8"}), "unknown-name", 404, &["no version", "latest"]),
        (json!({"module": "radis"}), "unknown-name", 404, &["did you mean"]),
        (json!({"module": "redis", "why": "a\u{7}"}), "invalid-body", 400, &["printable"]),
    ] {
        for path in ["/deployment", "/deployment/dry_run"] {
            let told = service.ask("POST", path, TOKEN, &words.to_string());
            assert_eq!(problem(&told), (kind.into(), code, path.into()), "{words}: {}", told.body);
            let detail = told.json()["detail"].as_str().unwrap().to_owned();
            assert!(parts.iter().all(|part| detail.contains(part)), "{words}: {detail}");
        }
    }
}

#[test]
fn without_postgres_nothing_is_deployed_and_that_is_told() {
    let service = Service::start(&[]);
    let told = deploy(&service, &json!({"module": "redis"}));
    assert_eq!(problem(&told), ("unavailable".into(), 503, "/deployment".into()));
    let told = service.ask("DELETE", "/deployment/cache?volumes=a,b", TOKEN, "");
    assert_eq!(problem(&told), ("unavailable".into(), 503, "/deployment/cache".into()));
    assert_eq!(service.ask("DELETE", "/deployment/cache", "", "").code, 401);
    assert_eq!(service.ask("PUT", "/deployment", TOKEN, "").field("allow"), Some("GET,HEAD,POST"));
}

#[test]
fn without_a_folder_of_modules_there_is_none() {
    let service = Service::start(&[("MODULES_PATH", "")]);
    assert_eq!(service.get("/modules", "").code, 404);
    let told = deploy(&service, &json!({"module": "redis"}));
    assert!(told.body.contains("MODULES_PATH"), "{}", told.body);
}
