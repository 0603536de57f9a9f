//! Words that people write or others tell: durations, quantities, days, times, zones, references, addresses, names.

use std::time::Duration;

use job_chief::{
    config::{
        job_config::HumanDuration,
        problems::nearest,
        target_config::url_problem,
        time_zones::zone,
        windows::{Days, TimeOfDay},
    },
    decide::{
        outcome::{MESSAGE_MAX, shorten},
        pod::names::{job_name, label_value},
    },
    harmless::{harmless, harmless_lines, steers},
    modules::library::Reference,
    sql,
    tables::wrap::wrapped,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Wait(#[serde(with = "HumanDuration")] Duration);

/// Characters of a label's value in Kubernetes, and of a Job's name where its pods are to have it as theirs.
const LABEL_MAX: usize = 63;

pub(crate) fn try_out(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(Wait(wait)) = serde_json::from_value(text.into()) {
        let told = serde_json::to_value(Wait(wait)).unwrap();
        let again: Wait = serde_json::from_value(told.clone()).unwrap_or_else(|error| panic!("{told}: {error}"));
        assert_eq!(again.0, wait, "{told}");
    }
    if let Ok(days) = text.parse::<Days>() {
        assert_eq!(days.to_string().parse(), Ok(days));
    }
    if let Ok(time) = text.parse::<TimeOfDay>() {
        assert_eq!(time.to_string(), text);
    }
    if let Some(zone) = zone(text) {
        assert!(zone.iana_name().is_some_and(|name| name.eq_ignore_ascii_case(text)));
    }
    drop((text.parse::<Reference>(), url_problem(text), nearest(text, ["maxConcurrentJobs", "", "ä"])));
    are_names(text);
    are_shown(text);
}

fn are_names(text: &str) {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let label = label_value(text);
    let ends_well = |text: &str| text.chars().next().is_none_or(|c| c.is_ascii_alphanumeric());
    assert!(label.len() <= LABEL_MAX && label.chars().all(is_inner), "{label:?}");
    assert!(ends_well(&label) && label.chars().next_back().is_none_or(|c| c.is_ascii_alphanumeric()), "{label:?}");
    let name = job_name("instance", text, 7, 7).0;
    let is_dns = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    assert!(name.len() <= LABEL_MAX && name.chars().all(is_dns) && !name.starts_with('-'), "{name:?}");
    let channel = sql::short_name("pgboss_", text);
    assert!(channel.len() <= LABEL_MAX && channel.is_ascii(), "{channel:?}");
    let quoted = sql::quoted(text);
    let inner = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or_else(|| panic!("{quoted:?}"));
    assert!(!inner.replace("\"\"", "").contains('"'), "{quoted:?}");
}

fn are_shown(text: &str) {
    assert!(shorten(text).chars().count() <= MESSAGE_MAX);
    assert!(!harmless(text).chars().any(steers), "{:?}", harmless(text));
    assert!(!harmless_lines(text).chars().any(|c| c != '\n' && steers(c)), "{:?}", harmless_lines(text));
    for width in [0, 1, 20, 200] {
        wrapped(text, 4, width);
    }
}
