//! Objects of deployments: what a module wrote, a line, then what the API server shows now and later, a line each.

use job_chief::{
    decide::live::{
        live_object::Live,
        owner::{Owner, Ownership},
        written::Written,
    },
    modules::object::{KINDS, Object, ObjectId},
};
use serde_json::{Map, Value};

pub(crate) fn try_out(input: &[u8]) {
    let Some((kind, text)) = input.split_first() else { return };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let mut lines = text.split(|byte| *byte == b'\n').map(serde_json::from_slice::<Map<String, Value>>);
    let Some(Ok(body)) = lines.next() else { return };
    let id = ObjectId { kind, name: "redis".into() };
    let owner = Owner::new("instance", "redis");
    let written = Written::of(&Object { id: id.clone(), body, file: "redis.yaml".into(), line: 1 }, &owner);
    let applied = Live::new(id.clone(), written.body().clone());
    assert!(applied.is_of(&written) && applied.whose(&owner) == Ownership::Ours);
    let shown: Vec<Live> = lines.flatten().map(|body| Live::new(id.clone(), Value::Object(body))).collect();
    for live in &shown {
        live.readiness();
        live.whose(&owner);
        live.drift(&written);
        assert!(live.is_unchanged_since(live), "nothing has changed");
        live.is_unchanged_since(&applied);
    }
}
