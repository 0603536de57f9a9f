//! Names and labels: valid for any queue name, free of collisions, the same in every version.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::decide::outcome::JobName;

/// The exact name of the JobConfig, on Jobs and pods.
pub const ANNOTATION_NAME: &str = "job-chief/name";

/// The slot a Job was created for.
pub const ANNOTATION_SLOT: &str = "job-chief/slot";

/// The exact name of the queue.
pub const ANNOTATION_QUEUE: &str = "job-chief/queue-name";

/// Why the Job was created: `ready=12 live=1 max=4`.
pub const ANNOTATION_DECISION: &str = "job-chief/decision";

/// The trace of the run, where it is traced.
pub const ANNOTATION_TRACE: &str = "job-chief/trace-id";

/// The JobConfig, made a valid label value.
pub const LABEL_NAME: &str = "job-chief/name";

/// `queue` or `service`: the type of the JobConfig.
pub const LABEL_TYPE: &str = "job-chief/type";

/// What a Job is for that runs once beside the replicas of a service: `check`, `repair` or `action`.
pub const LABEL_PURPOSE: &str = "job-chief/purpose";

/// The name of the action.
pub const LABEL_ACTION: &str = "job-chief/action";

/// The generation of the Job: see [`crate::decide::pod::generation`].
pub const LABEL_CONFIG_HASH: &str = "job-chief/config-hash";

/// The original's label of the Instance; what the watches select by, together with [`LABEL_MANAGED_BY`].
pub const LABEL_OWNER: &str = "owner-id";

/// Kubernetes' recommended label.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The value of [`LABEL_MANAGED_BY`].
pub const MANAGED_BY: &str = "job-chief";

/// The longest label value.
const LABEL_MAX: usize = 63;

/// The longest Job name: pods are named after it with `-` and five characters, and they too are host names
/// of at most 63 characters.
const JOB_NAME_MAX: usize = 57;

/// Characters of a hash that stands for what was cut off or replaced: almost 40 bits.
const HASH_LEN: usize = 8;

/// Characters of the suffix that makes a Job's name its own: almost 50 bits.
const SUFFIX_LEN: usize = 10;

/// The alphabet of hashes and suffixes: no vowels, so no words.
const ALPHABET: &[u8; 31] = b"0123456789bcdfghjklmnpqrstvwxyz";

/// A valid label value: the name itself where it is one, else what is valid of it with a hash of the whole.
pub fn label_value(name: &str) -> String {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if name.len() <= LABEL_MAX
        && name.chars().all(valid)
        && ends_well(name.chars().next())
        && ends_well(name.chars().last())
    {
        return name.to_owned();
    }
    let kept: String = name.chars().map(|c| if valid(c) { c } else { '-' }).collect();
    with_hash(&kept, name, LABEL_MAX, "")
}

/// The name of a Job without its suffix: `job-chief-<instance>-<name>`.
fn job_name_prefix(instance: &str, config: &str) -> String {
    let whole = format!("job-chief-{instance}-{config}");
    let room = JOB_NAME_MAX - SUFFIX_LEN - 1;
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if whole.len() <= room && whole.chars().all(valid) && !whole.ends_with('-') {
        return whole;
    }
    let kept: String = whole.to_lowercase().chars().map(|c| if valid(c) { c } else { '-' }).collect();
    with_hash(&kept, &whole, room, "x")
}

/// `kept` cut so that a hash of `whole` fits behind it. `mark` keeps the hashed apart from the unhashed.
fn with_hash(kept: &str, whole: &str, room: usize, mark: &str) -> String {
    let hash = short_hash(whole.as_bytes(), HASH_LEN);
    let cut: String = kept.chars().take(room - HASH_LEN - 1 - mark.len()).collect();
    let cut = cut.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if cut.is_empty() { format!("{mark}{hash}") } else { format!("{cut}-{mark}{hash}") }
}

/// Whose Jobs are named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Naming {
    /// This installation.
    pub instance: Arc<str>,
    /// The JobConfig.
    pub config: Arc<str>,
}

impl Naming {
    /// The Jobs of a JobConfig in an Instance.
    pub fn new(instance: impl Into<Arc<str>>, config: impl Into<Arc<str>>) -> Self {
        Self { instance: instance.into(), config: config.into() }
    }
}

/// The name of the `count`th Job of a JobConfig since `seed` was drawn.
pub fn job_name(instance: &str, config: &str, seed: u64, count: u64) -> JobName {
    let mut input = seed.to_le_bytes().to_vec();
    input.extend(count.to_le_bytes());
    JobName(format!("{}-{}", job_name_prefix(instance, config), short_hash(&input, SUFFIX_LEN)))
}

/// The first `len` characters of a SHA-256.
pub fn short_hash(input: &[u8], len: usize) -> String {
    let digest = Sha256::digest(input);
    digest.iter().take(len).map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_that_is_valid_stands_as_it_is_and_any_other_gets_a_hash() {
        assert_eq!(job_name_prefix("a1", "mail-2"), "job-chief-a1-mail-2");
        for other in ["Mail-2", "mail_2", "mail-", &"m".repeat(60)] {
            let prefix = job_name_prefix("a1", other);
            assert!(prefix != format!("job-chief-a1-{other}"), "{prefix}");
            assert!(prefix.len() < JOB_NAME_MAX - SUFFIX_LEN, "{prefix}");
        }
    }

    fn is_host_name(name: &str) -> bool {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        name.len() <= JOB_NAME_MAX
            && edge(name.chars().next())
            && edge(name.chars().last())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    }

    fn is_label(value: &str) -> bool {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        value.len() <= LABEL_MAX && edge(value.chars().next()) && edge(value.chars().last())
    }

    #[test]
    fn a_plain_name_stays_readable() {
        let name = job_name("aaaaaa", "thumbnails", 7, 1);
        assert!(name.0.starts_with("job-chief-aaaaaa-thumbnails-"), "{name}");
        assert_eq!(label_value("thumbnails"), "thumbnails");
    }

    #[test]
    fn names_that_look_alike_stay_apart() {
        let names = ["a_b", "a-b", "A-B", "a.b", "a b", "ä-b", &"q".repeat(200), &"q".repeat(201)];
        let prefixes: BTreeSet<_> = names.iter().map(|name| job_name_prefix("i", name)).collect();
        let labels: BTreeSet<_> = names.iter().map(|name| label_value(name)).collect();
        assert_eq!((prefixes.len(), labels.len()), (names.len(), names.len()));
    }

    proptest! {
        #[test]
        fn every_queue_name_gives_valid_names(name in "\\PC{1,220}", seed: u64, count in 0u64..1000) {
            prop_assert!(is_host_name(&job_name("aaaaaa", &name, seed, count).0));
            prop_assert!(is_label(&label_value(&name)), "{}", label_value(&name));
        }

        #[test]
        fn suffixes_differ(seed: u64, count in 0u64..1000) {
            prop_assert_ne!(job_name("i", "q", seed, count), job_name("i", "q", seed, count + 1));
        }
    }
}
