//! The doors of job-chief, each as a function over any bytes: it may refuse them in words, and has to keep its promises.
//!
//! `cargo xtask fuzz` searches for bytes that break one; `JOB_CHIEF_FUZZ` names the target. Without it every input that
//! is kept is tried once, which is what plain `cargo test` does.
#![no_main]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "test code"
)]

#[expect(dead_code, unused_imports, reason = "for the tests")]
#[path = "../../tests/simulation/arbiter.rs"]
mod arbiter;
#[path = "../../tests/simulation/arbiter_world.rs"]
mod arbiter_world;
#[expect(dead_code, reason = "for the tests")]
#[path = "../../tests/simulation/cluster.rs"]
mod cluster;
#[path = "../../tests/simulation/deployment_world.rs"]
mod deployment_world;
#[expect(unused_imports, reason = "for the tests")]
#[path = "../../tests/simulation/deployments.rs"]
mod deployments;
mod dice;
#[path = "../../tests/simulation/disturb.rs"]
mod disturb;
#[expect(dead_code, reason = "for the tests")]
#[path = "../../tests/simulation/faults.rs"]
mod faults;
#[expect(dead_code, reason = "for the tests")]
#[path = "../../tests/simulation/histories.rs"]
mod histories;
mod import;
mod jobs_file;
mod kept;
mod live;
mod module;
mod module_list;
mod objects;
mod places;
#[path = "../../tests/simulation/policy.rs"]
mod policy;
#[expect(dead_code, unused_imports, reason = "for the tests")]
#[path = "../../tests/simulation/pools.rs"]
mod pools;
#[path = "../../tests/simulation/pools_broker.rs"]
mod pools_broker;
#[path = "../../tests/simulation/pools_disturb.rs"]
mod pools_disturb;
#[path = "../../tests/simulation/pools_world.rs"]
mod pools_world;
#[expect(dead_code, unused_imports, reason = "for the tests")]
#[path = "../../tests/simulation/queues.rs"]
mod queues;
#[expect(unused_imports, reason = "for the tests")]
#[path = "../../tests/simulation/rollouts.rs"]
mod rollouts;
mod routes;
#[path = "../../tests/simulation/scout.rs"]
mod scout;
#[expect(dead_code, reason = "for the tests")]
#[path = "../../tests/simulation/dice.rs"]
mod seeded_dice;
#[path = "../../tests/simulation/service_disturb.rs"]
mod service_disturb;
#[path = "../../tests/simulation/service_one_offs.rs"]
mod service_one_offs;
#[path = "../../tests/simulation/service_world.rs"]
mod service_world;
#[expect(dead_code, unused_imports, reason = "for the tests")]
#[path = "../../tests/simulation/services.rs"]
mod services;
mod session;
mod settings;
mod simulated;
#[expect(dead_code, reason = "for the tests")]
#[path = "../../tests/simulation/states.rs"]
mod states;
#[path = "../../tests/simulation/store.rs"]
mod store;
mod texts;
#[path = "../../tests/simulation/views.rs"]
mod views;
mod what_if;
mod window_list;
#[path = "../../tests/simulation/windows.rs"]
mod windows;
#[path = "../../tests/simulation/world.rs"]
mod world;

use std::sync::OnceLock;

/// Tries one input.
type Try = fn(&[u8]);

/// The targets, by the name of their folder in `fuzz/corpus`.
const TARGETS: [(&str, Try); 18] = [
    ("arbiter", simulated::arbiter),
    ("deployment", simulated::deployment),
    ("import", import::try_out),
    ("jobs_file", jobs_file::try_out),
    ("live", live::try_out),
    ("module", module::try_out),
    ("module_list", module_list::try_out),
    ("objects", objects::try_out),
    ("queue", simulated::queue),
    ("rollout", simulated::rollout),
    ("routes", routes::try_out),
    ("service", simulated::service),
    ("session", session::try_out),
    ("settings", settings::try_out),
    ("sharing", simulated::sharing),
    ("texts", texts::try_out),
    ("what_if", what_if::try_out),
    ("windows", window_list::try_out),
];

static CHOSEN: OnceLock<Try> = OnceLock::new();

fn begin() {
    let Ok(name) = std::env::var("JOB_CHIEF_FUZZ") else {
        kept::try_all();
        std::process::exit(0);
    };
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, try_out) = target.unwrap_or_else(|| panic!("there is no target {name}"));
    CHOSEN.get_or_init(|| *try_out);
}

libfuzzer_sys::fuzz_target!(init: begin(), |input: &[u8]| CHOSEN.get().expect("chosen at the begin")(input));
