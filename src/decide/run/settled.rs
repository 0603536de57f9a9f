//! Runs that are over: remembered so that no old view revives them, and their Jobs cleaned up.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::decide::{
    backoff::RETRY_MAX,
    one_off::is_one_off,
    outcome::{JobName, Outcome, Slot},
    pod::observation::{Observed, Phase, SeenJob},
    run::{
        event::{DeleteAnswer, RunEffect},
        policy::{FINISHED_KEPT_MIN, RunPolicy, SETTLED_KEPT},
    },
};

/// The names that are done with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SettledRuns {
    by_name: BTreeMap<JobName, Settled>,
    /// Those whose Job the newest view shows, or a delete of which waits for its answer: few among the many that are
    /// only remembered, so that a step costs the same however many have ended lately.
    attended: BTreeSet<JobName>,
    /// Each name with when it was settled: the oldest are forgotten first.
    by_age: VecDeque<(Duration, JobName)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Settled {
    at: Duration,
    /// Its Job, while a view shows it finished.
    job: Option<FinishedJob>,
    deleting: bool,
    retry_at: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FinishedJob {
    uid: Box<str>,
    /// Its purpose, where it ran once beside the replicas of a service: each has a history of its own.
    purpose: Option<Slot>,
    succeeded: bool,
    finished_at: Duration,
}

impl Settled {
    /// It has been remembered for long enough.
    fn is_forgotten_at(&self, now: Duration) -> bool {
        now >= self.at.saturating_add(SETTLED_KEPT)
    }
}

impl SettledRuns {
    /// A run is over.
    pub fn settle(&mut self, name: JobName, now: Duration) {
        self.by_age.push_back((now, name.clone()));
        self.by_name.insert(name, Settled { at: now, job: None, deleting: false, retry_at: now });
    }

    /// Whether a name is done with.
    pub fn contains(&self, name: &JobName) -> bool {
        self.by_name.contains_key(name)
    }

    /// A settled name lives again: from here on its run has the only say. False for a name that was not settled.
    pub fn revive(&mut self, name: &JobName) -> bool {
        self.attended.remove(name);
        self.by_name.remove(name).is_some()
    }

    /// Whether a delete of ours for this name waits for its answer.
    pub fn is_deleting(&self, name: &JobName) -> bool {
        self.by_name.get(name).is_some_and(|settled| settled.deleting)
    }

    /// Takes a view into account, and forgets names that no view shows any more.
    pub fn note_view(&mut self, view: &Observed, now: Duration) {
        for (name, job) in &view.jobs {
            if let Some(settled) = self.by_name.get_mut(name) {
                settled.job = Some(job).filter(|job| job.terminating.is_none()).and_then(|job| finished(job, now));
                self.attended.insert(name.clone());
            }
        }
        for name in std::mem::take(&mut self.attended) {
            let Some(settled) = self.by_name.get_mut(&name) else { continue };
            let is_shown = view.jobs.contains_key(&name);
            settled.job = settled.job.take().filter(|_| is_shown);
            if is_shown || settled.deleting {
                self.attended.insert(name);
            } else if settled.is_forgotten_at(now) {
                self.by_name.remove(&name);
            }
        }
        self.forget(now);
    }

    /// Forgets the names that have been remembered for long enough, but for those that are attended to.
    fn forget(&mut self, now: Duration) {
        while let Some((at, name)) = self.by_age.pop_front_if(|(at, _)| now >= at.saturating_add(SETTLED_KEPT)) {
            // A name that was revived may have been settled again since.
            if !self.attended.contains(&name) && self.by_name.get(&name).is_some_and(|settled| settled.at == at) {
                self.by_name.remove(&name);
            }
        }
    }

    /// A delete was answered; true if it was one of ours.
    pub fn note_delete(&mut self, name: &JobName, answer: DeleteAnswer, now: Duration) -> bool {
        let Some(settled) = self.by_name.get_mut(name).filter(|settled| settled.deleting) else { return false };
        settled.deleting = false;
        match answer {
            DeleteAnswer::Accepted | DeleteAnswer::Absent => settled.job = None,
            DeleteAnswer::Changed | DeleteAnswer::Unanswered => settled.retry_at = now.saturating_add(RETRY_MAX),
        }
        true
    }

    /// Deletes of finished Jobs beyond the limits, oldest first to go.
    pub fn cleanups(&mut self, now: Duration, policy: &RunPolicy) -> Vec<RunEffect> {
        let due = self.surplus(policy).into_iter().filter(|(_, due)| *due <= now);
        let names: Vec<JobName> = due.map(|(name, _)| name.clone()).collect();
        let mut effects = vec![];
        for name in names {
            let Some(settled) = self.by_name.get_mut(&name) else { continue };
            let Some(job) = &settled.job else { continue };
            effects.push(RunEffect::DeleteJob { name, uid: job.uid.clone(), resource_version: None });
            settled.deleting = true;
        }
        effects
    }

    /// When the next cleanup is due.
    pub fn deadline(&self, policy: &RunPolicy) -> Option<Duration> {
        self.surplus(policy).into_iter().map(|(_, due)| due).min()
    }

    /// No delete of ours waits for its answer.
    pub fn is_quiet(&self) -> bool {
        self.attended().all(|(_, settled)| !settled.deleting)
    }

    fn attended(&self) -> impl Iterator<Item = (&JobName, &Settled)> {
        self.attended.iter().filter_map(|name| self.by_name.get_key_value(name))
    }

    /// The finished Jobs beyond the limits, and when each may go.
    fn surplus(&self, policy: &RunPolicy) -> Vec<(&JobName, Duration)> {
        let mut found = vec![];
        for (succeeded, kept) in [(true, policy.succeeded_kept), (false, policy.failed_kept)] {
            let finished = self.attended().filter_map(|(name, settled)| {
                let job = settled.job.as_ref().filter(|job| job.succeeded == succeeded && !settled.deleting)?;
                let due = job.finished_at.saturating_add(FINISHED_KEPT_MIN).max(settled.retry_at);
                Some((job.purpose, job.finished_at, name, due))
            });
            let mut all: Vec<_> = finished.collect();
            all.sort_unstable_by(|one, other| other.cmp(one));
            let of_one_purpose = all.chunk_by(|one, other| one.0 == other.0);
            let surplus = of_one_purpose.flat_map(|all| all.iter().skip(kept));
            found.extend(surplus.map(|(_, _, name, due)| (*name, *due)));
        }
        found
    }
}

fn finished(job: &SeenJob, now: Duration) -> Option<FinishedJob> {
    let Phase::Ended { end, terminal: true, age, .. } = &job.phase else { return None };
    Some(FinishedJob {
        uid: job.uid.clone(),
        purpose: job.slot.filter(|slot| is_one_off(*slot)),
        succeeded: end.outcome == Outcome::Succeeded,
        finished_at: now.saturating_sub(*age),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        config::job_config::JobConfig,
        decide::{
            outcome::{End, Reason},
            queue::policy::QueuePolicy,
        },
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> RunPolicy {
        QueuePolicy::of(&JobConfig::left("q")).runs
    }

    fn name(number: usize) -> JobName {
        JobName(number.to_string())
    }

    /// Finished so long ago.
    fn view(ages: &[Duration]) -> Observed {
        let job = |age: &Duration| SeenJob {
            uid: "u".into(),
            resource_version: "1".into(),
            slot: Some(0),
            age: *age,
            phase: Phase::Ended {
                end: End::new(Outcome::Succeeded, Reason::Completed),
                terminal: true,
                explained: true,
                age: *age,
            },
            ..SeenJob::default()
        };
        let jobs: BTreeMap<JobName, SeenJob> = ages.iter().enumerate().map(|(at, age)| (name(at), job(age))).collect();
        Observed { jobs }
    }

    fn settled(count: usize, now: Duration) -> SettledRuns {
        let mut runs = SettledRuns::default();
        (0..count).for_each(|at| runs.settle(name(at), now));
        runs
    }

    #[test]
    fn a_name_is_remembered_for_a_while_and_as_long_as_a_view_shows_it() {
        let now = 10_000 * SECOND;
        let mut runs = settled(1, now);
        runs.note_view(&view(&[]), now + SETTLED_KEPT - SECOND);
        assert!(runs.contains(&name(0)));
        runs.note_view(&view(&[SECOND]), now + SETTLED_KEPT);
        assert!(runs.contains(&name(0)), "it is shown");
        runs.note_view(&view(&[]), now + SETTLED_KEPT);
        assert!(!runs.contains(&name(0)));
    }

    #[test]
    fn the_oldest_beyond_the_limit_goes_in_its_time_and_its_delete_is_waited_for() {
        let (now, policy) = (10_000 * SECOND, policy());
        let mut runs = settled(2, now);
        runs.note_view(&view(&[SECOND, Duration::ZERO]), now);
        assert_eq!(runs.deadline(&policy), Some(now - SECOND + FINISHED_KEPT_MIN));
        assert_eq!(runs.cleanups(now, &policy), []);
        let due = now - SECOND + FINISHED_KEPT_MIN;
        let effects = runs.cleanups(due, &policy);
        assert!(
            matches!(&effects[..], [RunEffect::DeleteJob { name: deleted, .. }] if *deleted == name(0)),
            "{effects:?}"
        );
        assert!(!runs.is_quiet() && runs.is_deleting(&name(0)));
        runs.note_view(&view(&[]), due + SETTLED_KEPT);
        assert!(runs.contains(&name(0)) && !runs.contains(&name(1)), "its answer is still to come");
        assert!(runs.note_delete(&name(0), DeleteAnswer::Unanswered, due));
        assert!(runs.is_quiet());
        assert!(!runs.note_delete(&name(0), DeleteAnswer::Accepted, due), "there was one delete");
    }

    #[test]
    fn a_name_that_was_shown_for_long_is_forgotten_once_it_is_gone_and_one_that_lives_again_is_not_forgotten_for_it() {
        let now = 10_000 * SECOND;
        let mut runs = settled(2, now);
        runs.note_view(&view(&[SECOND]), now + SETTLED_KEPT);
        assert!(runs.contains(&name(0)) && !runs.contains(&name(1)));
        assert!(runs.revive(&name(0)) && !runs.contains(&name(0)));
        runs.settle(name(0), now + SETTLED_KEPT);
        runs.note_view(&view(&[]), now + SETTLED_KEPT + SECOND);
        assert!(runs.contains(&name(0)), "it has ended anew");
        runs.note_view(&view(&[SECOND]), now + 2 * SETTLED_KEPT);
        assert!(runs.contains(&name(0)));
        runs.note_view(&view(&[]), now + 2 * SETTLED_KEPT);
        assert!(!runs.contains(&name(0)));
    }

    #[test]
    fn as_many_as_the_limit_are_kept() {
        let (now, policy) = (10_000 * SECOND, policy());
        let mut runs = settled(1, now);
        runs.note_view(&view(&[9_000 * SECOND]), now);
        assert_eq!(runs.deadline(&policy), None);
    }
}
