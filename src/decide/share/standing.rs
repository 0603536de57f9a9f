//! Who goes before whom.

use std::{cmp::Ordering, sync::Arc, time::Duration};

use crate::decide::share::member::{Group, Member};

/// Where a member that waits stands at one moment: the least goes first.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// The age of the oldest message and the `targetAge`, in nanoseconds, where that is missed.
    pub(super) late: Option<(u64, u64)>,
    /// With the priority.
    pub(super) group: Group,
    /// Its virtual time.
    pub(super) pass: u64,
    /// Since when its oldest message waits; the end of time where none is known.
    pub(super) oldest_at: Duration,
    pub(super) name: Arc<str>,
}

/// What decides between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// A missed target goes before one that is met, the later by ratio before the less late.
    Target,
    Priority,
    Weight,
    Oldest,
    Name,
}

/// The age of the oldest message and the target, where the one is greater.
pub(super) fn lateness(member: &Member, now: Duration) -> Option<(u64, u64)> {
    late_by(member.need.as_ref()?.oldest_at?, member.policy.target_age?, now)
}

/// The same, of a message that has waited since then.
pub(super) fn late_by(oldest_at: Duration, target: Duration, now: Duration) -> Option<(u64, u64)> {
    // 584 years.
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let age = now.saturating_sub(oldest_at);
    (age > target).then_some((nanoseconds(age), nanoseconds(target)))
}

impl Standing {
    /// How two compare, and by which rule.
    pub(super) fn compare(&self, other: &Self) -> (Ordering, Rule) {
        let late = match (self.late, other.late) {
            // The ratios, multiplied out: no fraction is rounded.
            (Some((age, target)), Some((other_age, other_target))) => {
                let product = |one: u64, two: u64| u128::from(one) * u128::from(two);
                product(other_age, target).cmp(&product(age, other_target))
            }
            (one, two) => two.is_some().cmp(&one.is_some()),
        };
        let rules = [
            (late, Rule::Target),
            (self.group.priority.cmp(&other.group.priority), Rule::Priority),
            (self.pass.cmp(&other.pass), Rule::Weight),
            (self.oldest_at.cmp(&other.oldest_at), Rule::Oldest),
            (self.name.cmp(&other.name), Rule::Name),
        ];
        rules.into_iter().find(|(order, _)| order.is_ne()).unwrap_or((Ordering::Equal, Rule::Name))
    }
}

impl Ord for Standing {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other).0
    }
}

impl PartialOrd for Standing {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Standing {}
