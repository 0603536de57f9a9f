//! The growth of the waits of a JobConfig whose Jobs fail to start, or fail in a row.

use std::time::Duration;

/// The waits of one JobConfig.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BackoffPolicy {
    /// Growth per failure, in thousandths: 2000 doubles, 1000 keeps the wait constant.
    pub factor_milli: u32,
    /// The longest wait, before jitter.
    pub wait_max: Duration,
    /// Failed runs in a row, without a success, that begin a back-off.
    pub after: u32,
}

impl BackoffPolicy {
    /// The policy of a factor as jobs.json has it.
    pub fn of(factor: f64, wait_max: Duration, after: u32) -> Self {
        Self { factor_milli: factor_milli(factor), wait_max, after }
    }
}

/// What a JobConfig backs off from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Start errors, start timeouts and refused creates: a pod that starts ends it.
    Start,
    /// Failed runs in a row: only a success ends it.
    Runs,
}

/// The back-off of one JobConfig.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Backoff {
    active: Option<(Cause, Duration)>,
    steps: u32,
    failed_in_a_row: u32,
}

impl Backoff {
    /// After a restart: how many of the last runs failed without a success between them.
    pub fn after_restart(failed_in_a_row: u32) -> Self {
        Self { failed_in_a_row, ..Self::default() }
    }

    /// Whether one trial at a time is all that is allowed.
    pub fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// No Job is created before this time; `None` when there is no back-off.
    pub fn until(&self) -> Option<Duration> {
        self.active.map(|(_, until)| until)
    }

    /// Failed runs since the last success.
    pub fn failed_in_a_row(&self) -> u32 {
        self.failed_in_a_row
    }

    /// A start error, a start timeout or a refused create at `now`. `jitter` is in thousandths, 0 to 999.
    pub fn note_start_failure(&mut self, now: Duration, wait: Duration, policy: &BackoffPolicy, jitter: u32) {
        self.grow(Cause::Start, now, wait, policy, jitter);
    }

    /// A run failed after it had started.
    pub fn note_failed_run(&mut self, now: Duration, wait: Duration, policy: &BackoffPolicy, jitter: u32) {
        self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
        if self.failed_in_a_row >= policy.after.max(1) {
            self.grow(Cause::Runs, now, wait, policy, jitter);
        }
    }

    /// A run succeeded: nothing is left of any back-off.
    pub fn note_success(&mut self) {
        *self = Self::default();
    }

    /// A started pod clears start failures, but not the count of failed runs.
    pub fn note_started(&mut self) {
        if matches!(self.active, Some((Cause::Start, _))) {
            *self = Self::after_restart(self.failed_in_a_row);
        }
    }

    fn grow(&mut self, cause: Cause, now: Duration, wait: Duration, policy: &BackoffPolicy, jitter: u32) {
        let grown = grown_wait(wait, self.steps, policy);
        self.steps = self.steps.saturating_add(1);
        self.active = Some((cause, now.saturating_add(jittered(grown, jitter))));
    }
}

/// `wait · factor^steps`, never beyond the maximum (nor below `wait` where that is the larger).
pub(in crate::decide) fn grown_wait(wait: Duration, steps: u32, policy: &BackoffPolicy) -> Duration {
    let ceiling = policy.wait_max.max(wait);
    let mut grown = wait;
    for _ in 0..steps {
        grown = grown.saturating_mul(policy.factor_milli) / 1000;
        if grown >= ceiling || policy.factor_milli <= 1000 {
            break;
        }
    }
    grown.clamp(wait, ceiling)
}

/// Up to a tenth more, so that JobConfigs that failed together do not come back together.
pub(in crate::decide) fn jittered(wait: Duration, jitter: u32) -> Duration {
    wait.saturating_add(wait.saturating_mul(jitter.min(999)) / 10_000)
}

/// The schema bounds the factor to 1..100, so thousandths fit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1.0 to 100.0 by the schema")]
fn factor_milli(factor: f64) -> u32 {
    (factor * 1000.0).round() as u32
}

/// The first wait before a request that was not answered is repeated; doubled up to [`RETRY_MAX`].
pub const RETRY_MIN: Duration = Duration::from_millis(500);

/// The longest wait before a request is repeated.
pub const RETRY_MAX: Duration = Duration::from_secs(30);

/// The wait before a request is repeated that was tried `tries` times before.
pub fn retry_wait(tries: u32) -> Duration {
    doubled(RETRY_MIN, RETRY_MAX, tries)
}

/// `first`, doubled with each try that has failed, and never beyond `longest`.
pub fn doubled(first: Duration, longest: Duration, tries: u32) -> Duration {
    first.saturating_mul(1 << tries.min(16)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BackoffPolicy = BackoffPolicy { factor_milli: 2000, wait_max: Duration::from_secs(60), after: 3 };
    const WAIT: Duration = Duration::from_secs(15);

    #[test]
    fn failures_before_a_restart_count() {
        let mut backoff = Backoff::after_restart(2);
        assert_eq!((backoff.failed_in_a_row(), backoff.is_active()), (2, false));
        backoff.note_failed_run(Duration::ZERO, WAIT, &POLICY, 0);
        assert_eq!(backoff.until(), Some(WAIT), "the third in a row, and the first wait");
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn start_failures_grow_at_once_and_end_with_a_started_pod() {
        let mut it = Backoff::default();
        let mut waits = vec![];
        for _ in 0..4 {
            it.note_start_failure(secs(100), WAIT, &POLICY, 0);
            waits.push(it.until().map(|at| at - secs(100)));
        }
        assert_eq!(waits, [15, 30, 60, 60].map(|s| Some(secs(s))));
        it.note_started();
        assert!(!it.is_active());
    }

    #[test]
    fn failed_runs_back_off_from_the_third_and_end_only_with_a_success() {
        let mut it = Backoff::default();
        it.note_failed_run(secs(0), WAIT, &POLICY, 0);
        it.note_failed_run(secs(0), WAIT, &POLICY, 0);
        assert!(!it.is_active());
        it.note_failed_run(secs(0), WAIT, &POLICY, 0);
        assert_eq!(it.until(), Some(WAIT));
        it.note_started();
        assert!(it.is_active(), "a pod that starts says nothing about how it ends");
        it.note_success();
        assert_eq!(it, Backoff::default());
    }

    #[test]
    fn factor_one_is_a_constant_wait() {
        let policy = BackoffPolicy { factor_milli: 1000, ..POLICY };
        assert_eq!(grown_wait(WAIT, 50, &policy), WAIT);
    }

    #[test]
    fn jitter_adds_less_than_a_tenth() {
        assert_eq!(jittered(secs(100), 0), secs(100));
        assert!(jittered(secs(100), 999) < secs(110));
    }
}
