//! A policy for each history: small limits, so that they are reached.

use std::time::Duration;

use job_chief::decide::{
    backoff::BackoffPolicy,
    pod::names::Naming,
    queue::{policy::QueuePolicy, windows::Windows},
    run::policy::RunPolicy,
};

use crate::dice::Dice;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Whose Jobs they are, where that is all the same.
pub(crate) fn naming() -> Naming {
    Naming::new("sim", "resize")
}

pub(crate) fn random_policy(dice: &mut Dice) -> QueuePolicy {
    QueuePolicy {
        runs: RunPolicy {
            start_timeout: secs(20 + dice.roll(60)),
            start_error_grace: secs(10),
            succeeded_kept: 1,
            failed_kept: 1,
        },
        jobs_max: 1 + u32::try_from(dice.roll(4)).expect("small"),
        windows: Windows::default(),
        messages_per_job: 1 + dice.roll(2),
        check_interval: secs(10),
        gauges_every: secs(10),
        fetch_grace: secs(30),
        handover: Duration::ZERO,
        wait_after_success: secs(dice.roll(3)),
        wait_after_failure: secs(5),
        wait_after_timeout: secs(5),
        wait_after_error: secs(5),
        backoff: BackoffPolicy { factor_milli: 2000, wait_max: secs(60), after: 3 },
        paused: false,
        pools: [].into(),
    }
}
