//! Two processes over the real core, and everything that may happen to them: the world that `search.rs` searches.
//!
//! `maxConcurrentJobs` is 1, one message waits that nobody takes, and there is trouble within a budget. A process that is
//! frozen does nothing, and finds its lease over when it goes on. What is not in the world is the one window that is
//! left: a request that is written after the lease was looked at, and arrives after another process has taken over.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use job_chief::{
    config::job_config::JobConfig,
    decide::{
        decision::Wish,
        lease::{Answer, Ask, Lease, Record},
        outcome::JobName,
        pod::observation::{Observed, Phase, SeenJob},
        queue::{
            event::{QueueEffect, QueueEvent},
            lifecycle::Lifecycle,
            policy::QueuePolicy,
            scale::Look,
        },
        run::event::{CreateAnswer, DeleteAnswer, GetAnswer, LoadedRun, LoadedRuns, RunEffect, RunEvent, WishAnswer},
    },
};

use crate::explore::Searched;

/// How much is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// Requests that are carried out and not answered.
    pub(crate) answers_lost: u8,
    pub(crate) freezes: u8,
    /// A process is killed and begins anew.
    pub(crate) crashes: u8,
    /// Jobs that end.
    pub(crate) ends: u8,
    /// Finished Jobs that somebody deletes.
    pub(crate) deletes: u8,
    /// Views that are delivered.
    pub(crate) views: u8,
}

/// One process.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Process {
    lease: Lease,
    /// While it leads: the term, the core, and what it has on its way.
    leading: Option<(u64, Lifecycle, Vec<QueueEffect>)>,
    frozen: bool,
    lives: u8,
}

/// A row of the table of runs.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Row {
    slot: u32,
    ended: bool,
}

/// A Job of the cluster.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    slot: u32,
    ended_at: Option<Duration>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    now: Duration,
    processes: [Process; 2],
    pub(crate) record: Record,
    rows: BTreeMap<JobName, Row>,
    pub(crate) jobs: BTreeMap<JobName, Job>,
    budget: Budget,
}

/// One thing that may happen next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Time goes on to what is due next; then each process asks about its lease if that is due, this one first, and the
    /// answer to that one may be lost.
    Wait(usize, bool),
    /// The request at this place is carried out, and answered or not.
    Perform(usize, usize, bool),
    View(usize),
    Freeze(usize),
    Thaw(usize),
    Crash(usize),
    JobEnds,
    /// A finished Job is deleted by hand: its name is free.
    JobDeleted,
    /// Time goes on to what is due next for the core of a process, and no lease has trouble meanwhile.
    Pass(usize),
}

const START: Duration = Duration::from_secs(1_000);

/// A frozen process is left alone for as long as it takes another to follow.
const FROZEN_FOR: Duration = Duration::from_secs(5);

/// Looks for the gauges alone create nothing, and would only make more histories: none are in the search.
fn policy() -> QueuePolicy {
    let hour = Duration::from_secs(3_600);
    QueuePolicy {
        jobs_max: 1,
        fetch_grace: hour,
        gauges_every: Duration::MAX,
        ..QueuePolicy::of(&JobConfig::left("q"))
    }
}

impl Process {
    fn begin(index: usize, lives: u8, now: Duration) -> Self {
        let me = format!("{index}-{lives}");
        Self { lease: Lease::new(me.into(), now), leading: None, frozen: false, lives }
    }

    /// The term it leads in, where its lease lasts.
    fn holds(&self, now: Duration) -> Option<u64> {
        self.lease.term().filter(|(_, until)| now < *until).map(|(term, _)| term)
    }

    fn step(&mut self, now: Duration, event: QueueEvent) {
        if let Some((_, life, in_flight)) = &mut self.leading {
            in_flight.extend(life.step(now, [event]));
        }
    }

    /// A request that changes nothing is answered at once, for whatever it finds may be old a moment later in any case.
    fn next_reading(&self) -> Option<usize> {
        let (_, _, in_flight) = self.leading.as_ref().filter(|_| !self.frozen)?;
        in_flight.iter().position(|effect| {
            let changes = [
                matches!(
                    effect,
                    QueueEffect::Run(RunEffect::WriteWishes(_)) | QueueEffect::Run(RunEffect::WriteEnd(_))
                ),
                matches!(
                    effect,
                    QueueEffect::Run(RunEffect::CreateJob(_)) | QueueEffect::Run(RunEffect::DeleteJob { .. })
                ),
            ];
            !changes.contains(&true)
        })
    }

    /// The core lives for a term.
    fn follow_lease(&mut self, index: usize, now: Duration, view: Observed) {
        let term = self.lease.term().map(|(term, _)| term);
        if self.leading.as_ref().map(|(led, ..)| *led) == term {
            return;
        }
        self.leading = term.map(|term| {
            let seed = 1 + index as u64 * 1_000_003 + term * 7_919;
            (term, Lifecycle::new(crate::policy::naming(), policy(), seed, now), vec![])
        });
        self.step(now, QueueEvent::GaugesRead(true));
        self.step(now, QueueEvent::Run(RunEvent::Observed(Arc::new(view))));
    }
}

impl Searched for World {
    type Step = Step;

    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![];
        let may_lose = self.budget.answers_lost > 0;
        let asks = |process: &Process| !process.frozen && process.lease.deadline() <= self.due();
        let asking = (0..2).filter(|index| asks(&self.processes[*index]));
        for index in asking {
            steps.push(Step::Wait(index, true));
            steps.extend(may_lose.then_some(Step::Wait(index, false)));
        }
        if steps.is_empty() && self.due().is_some() {
            steps.push(Step::Wait(0, true));
        }
        for (index, process) in self.processes.iter().enumerate() {
            if process.frozen {
                steps.push(Step::Thaw(index));
                continue;
            }
            if let Some((_, _, in_flight)) = &process.leading {
                for at in 0..in_flight.len() {
                    steps.push(Step::Perform(index, at, true));
                    steps.extend(may_lose.then_some(Step::Perform(index, at, false)));
                }
                steps.extend((self.budget.views > 0).then_some(Step::View(index)));
                steps.extend((self.budget.freezes > 0).then_some(Step::Freeze(index)));
                steps.extend((self.budget.crashes > 0).then_some(Step::Crash(index)));
            }
        }
        let passing = |index: &usize| self.core_due(*index).is_some_and(|due| due > self.now);
        steps.extend((0..2).find(passing).map(Step::Pass));
        steps.extend((self.budget.ends > 0 && self.live() > 0).then_some(Step::JobEnds));
        let finished = self.jobs.len() > self.live();
        steps.extend((self.budget.deletes > 0 && finished).then_some(Step::JobDeleted));
        steps
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Wait(first, answered) => self.wait(first, answered),
            Step::Perform(index, at, answered) => self.perform(index, at, answered),
            Step::View(index) => {
                self.budget.views -= 1;
                let (now, view) = (self.now, self.view());
                self.processes[index].step(now, QueueEvent::Run(RunEvent::Observed(Arc::new(view))));
            }
            Step::Freeze(index) => {
                self.budget.freezes -= 1;
                self.processes[index].frozen = true;
            }
            Step::Thaw(index) => {
                self.now += FROZEN_FOR;
                self.processes[index].frozen = false;
            }
            Step::Crash(index) => {
                self.budget.crashes -= 1;
                let lives = self.processes[index].lives + 1;
                self.processes[index] = Process::begin(index, lives, self.now);
            }
            Step::JobEnds => {
                self.budget.ends -= 1;
                let now = self.now;
                let live = self.jobs.values_mut().find(|job| job.ended_at.is_none()).expect("one lives");
                live.ended_at = Some(now);
            }
            Step::JobDeleted => {
                self.budget.deletes -= 1;
                self.jobs.retain(|_, job| job.ended_at.is_none());
            }
            Step::Pass(index) => {
                let due = self.core_due(index).expect("it has something to do");
                while self.now < due && self.due().is_some_and(|next| next < due) {
                    self.wait(0, true);
                }
                self.now = self.now.max(due);
                let now = self.now;
                self.processes[index].step(now, QueueEvent::DeadlineReached);
            }
        }
        for index in 0..2 {
            for readings in 0.. {
                let Some(at) = self.processes[index].next_reading() else { break };
                assert!(readings < 20, "invariant: nothing_is_read_again_and_again");
                self.perform(index, at, true);
            }
        }
        self.check();
    }
}

impl World {
    pub(crate) fn begin(budget: Budget) -> Self {
        Self {
            now: START,
            processes: [0, 1].map(|index| Process::begin(index, 0, START)),
            record: Record::default(),
            rows: BTreeMap::new(),
            jobs: BTreeMap::new(),
            budget,
        }
    }

    fn live(&self) -> usize {
        self.jobs.values().filter(|job| job.ended_at.is_none()).count()
    }

    /// When the core of a process that is awake has something to do.
    fn core_due(&self, index: usize) -> Option<Duration> {
        let process = Some(&self.processes[index]).filter(|process| !process.frozen);
        process?.leading.as_ref().and_then(|(_, life, _)| life.deadline())
    }

    /// When something is due next.
    fn due(&self) -> Option<Duration> {
        let awake = self.processes.iter().filter(|process| !process.frozen);
        let due = |process: &Process| {
            let life = process.leading.as_ref().and_then(|(_, life, _)| life.deadline());
            [life, process.lease.deadline()]
        };
        awake.flat_map(due).flatten().min().map(|at| at.max(self.now))
    }

    fn wait(&mut self, first: usize, answered: bool) {
        self.now = self.due().expect("something is due");
        let now = self.now;
        for process in self.processes.iter_mut().filter(|process| !process.frozen) {
            process.step(now, QueueEvent::DeadlineReached);
        }
        self.lease(first, answered);
        self.lease(1 - first, true);
    }

    fn lease(&mut self, index: usize, answered: bool) {
        let now = self.now;
        let process = &mut self.processes[index];
        if process.frozen {
            return;
        }
        let Some(ask) = process.lease.ask(now) else { return };
        let me: Arc<str> = format!("{index}-{}", process.lives).into();
        let ours = |term: u64, row: &Record| row.term == term && row.holder.as_ref() == Some(&me);
        let row = &mut self.record;
        let done = match &ask {
            Ask::Look => true,
            Ask::Take(seen) if *seen == *row => {
                *row = Record { holder: Some(me), term: seen.term + 1, renewals: 0 };
                true
            }
            Ask::Renew(term) if ours(*term, row) => {
                row.renewals += 1;
                true
            }
            Ask::Take(_) | Ask::Renew(_) | Ask::Release(_) => false,
        };
        let answer = match (answered, done) {
            (false, _) => Answer::Unanswered,
            (true, true) => Answer::Done(row.clone()),
            (true, false) => Answer::Refused(row.clone()),
        };
        self.budget.answers_lost -= u8::from(!answered);
        process.lease.answered(answer, now);
        // The views are warm.
        let view = self.view();
        self.processes[index].follow_lease(index, now, view);
    }

    fn perform(&mut self, index: usize, at: usize, answered: bool) {
        self.budget.answers_lost -= u8::from(!answered);
        let now = self.now;
        let holds = self.processes[index].holds(now);
        let Some((term, _, in_flight)) = &mut self.processes[index].leading else { return };
        let (term, effect) = (*term, in_flight.remove(at));
        // The last look before a request is written, and the term that a statement carries.
        let (sent, current) = (holds == Some(term), self.record.term == term);
        let events = match effect {
            QueueEffect::Run(RunEffect::LoadRuns) => {
                vec![QueueEvent::Run(RunEvent::RunsLoaded(answered.then(|| self.load())))]
            }
            QueueEffect::ReadGauges(_) => vec![QueueEvent::GaugesRead(answered)],
            QueueEffect::ReadDepth(_) => vec![QueueEvent::DepthRead(answered.then(|| self.look()))],
            QueueEffect::Run(RunEffect::WriteWishes(wishes)) => wishes
                .into_iter()
                .map(|wish| {
                    let answer = self.wish(&wish, current);
                    QueueEvent::Run(RunEvent::WishWritten(wish.name, answered.then_some(answer)))
                })
                .collect(),
            QueueEffect::Run(RunEffect::CreateJob(wish)) => {
                if sent {
                    self.create(&wish);
                }
                let exists = CreateAnswer::Exists { uid: wish.name.0.as_str().into() };
                let unanswered = CreateAnswer::Unanswered { retry_after: None };
                vec![QueueEvent::Run(RunEvent::CreateAnswered(
                    wish.name,
                    if sent && answered { exists } else { unanswered },
                ))]
            }
            QueueEffect::Run(RunEffect::GetJob(name)) => {
                let found =
                    self.view().jobs.remove(&name).map_or(GetAnswer::Absent, |job| GetAnswer::Found(Box::new(job)));
                vec![QueueEvent::Run(RunEvent::GetAnswered(name, if answered { found } else { GetAnswer::Unanswered }))]
            }
            QueueEffect::Run(RunEffect::DeleteJob { name, .. }) => {
                if sent {
                    let ended = self.jobs.get(&name).is_none_or(|job| job.ended_at.is_some());
                    assert!(ended, "invariant: a_running_job_is_never_deleted ({name})");
                    self.jobs.remove(&name);
                }
                let answer = if sent && answered { DeleteAnswer::Accepted } else { DeleteAnswer::Unanswered };
                vec![QueueEvent::Run(RunEvent::DeleteAnswered(name, answer))]
            }
            QueueEffect::Run(RunEffect::WriteEnd(ended)) => {
                if let Some(row) = self.rows.get_mut(&ended.name).filter(|_| current) {
                    row.ended = true;
                }
                vec![QueueEvent::Run(RunEvent::EndWritten(ended.name, answered && current))]
            }
            QueueEffect::WriteLog(_) => vec![QueueEvent::LogWritten(true)],
        };
        for event in events {
            self.processes[index].step(now, event);
        }
    }

    fn load(&self) -> LoadedRuns {
        let run = |(name, row): (&JobName, &Row)| LoadedRun {
            name: name.clone(),
            slot: row.slot,
            uid: None,
            age: Duration::from_secs(1),
            begun_at: None,
            starts: None,
            one_off: None,
            places: [].into(),
        };
        let unfinished = self.rows.iter().filter(|(_, row)| !row.ended).map(run).collect();
        LoadedRuns { unfinished, ..LoadedRuns::default() }
    }

    /// One message waits, whatever has been created for it: as if no worker took anything.
    fn look(&self) -> Look {
        let at_us = i64::try_from(self.now.as_micros()).expect("small");
        Look { old: 1, limit: 100, at_us, ..Look::default() }
    }

    fn wish(&mut self, wish: &Wish, current: bool) -> WishAnswer {
        if let Some(row) = self.rows.get(&wish.name) {
            return if row.ended { WishAnswer::Ended } else { WishAnswer::Written };
        }
        if !current || self.rows.values().any(|row| !row.ended && row.slot == wish.slot) {
            return WishAnswer::SlotTaken;
        }
        self.rows.insert(wish.name.clone(), Row { slot: wish.slot, ended: false });
        WishAnswer::Written
    }

    fn create(&mut self, wish: &Wish) {
        if self.jobs.contains_key(&wish.name) {
            return;
        }
        let row = self.rows.get(&wish.name).expect("invariant: each_run_is_written_before_its_job_is_asked_for");
        assert!(!row.ended, "invariant: no_job_is_created_for_a_run_that_has_ended ({})", wish.name);
        self.jobs.insert(wish.name.clone(), Job { slot: wish.slot, ended_at: None });
    }

    fn view(&self) -> Observed {
        let seen = |(name, job): (&JobName, &Job)| {
            let phase = match job.ended_at {
                Some(at) => Phase::Ended {
                    end: job_chief::decide::outcome::End::new(
                        job_chief::decide::outcome::Outcome::Succeeded,
                        job_chief::decide::outcome::Reason::Completed,
                    ),
                    terminal: true,
                    explained: true,
                    age: self.now - at,
                },
                None => Phase::Running { age: Duration::ZERO },
            };
            let job = SeenJob {
                uid: name.0.as_str().into(),
                resource_version: "1".into(),
                slot: Some(job.slot),
                age: Duration::ZERO,
                phase,
                ..SeenJob::default()
            };
            (name.clone(), job)
        };
        Observed { jobs: self.jobs.iter().map(seen).collect() }
    }

    fn check(&self) {
        let leaders = self.processes.iter().filter(|process| process.holds(self.now).is_some()).count();
        assert!(leaders <= 1, "invariant: no_two_leases_last_at_once");
        assert!(self.live() <= 1, "invariant: never_more_live_jobs_than_max");
        let slots: Vec<u32> = self.rows.values().filter(|row| !row.ended).map(|row| row.slot).collect();
        assert!(slots.len() <= 1, "invariant: a_slot_has_one_unfinished_run");
    }
}
