//! One JobConfig in simulated time: its lifecycle, whose every effect is answered at once, and its Jobs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    config::job_config::JobConfig,
    decide::{
        forecast::{
            backlog::Backlog,
            figures::Counted,
            history::Span,
            samples::{GOLDEN, ROOT_THREE, ROOT_TWO, Sequence},
            simulated_job::SimulatedJob,
            worker::WorkerModel,
        },
        outcome::{JobName, Outcome},
        pod::{names::Naming, observation::Observed},
        queue::{
            event::{QueueEffect, QueueEvent},
            lifecycle::Lifecycle,
            policy::QueuePolicy,
        },
        run::{
            event::{CreateAnswer, DeleteAnswer, GetAnswer, LoadedRuns, RunEffect, RunEvent, WishAnswer},
            milestone::Milestone,
        },
        share::need::{Grant, Need},
    },
};

/// Makes names and jitter; any would do, as long as it is always the same.
const SEED: u64 = 0x5eed;

/// Answers to one another's answers: a lifecycle that goes on for longer at one time has a fault.
const ROUNDS_MAX: usize = 10_000;

/// The shortest time after which a lifecycle is asked again that has nothing to do: it may not keep the replay.
const ASKED_AGAIN_MIN: Duration = Duration::from_millis(1);

/// Looks at an empty queue that are made before a message comes; those before them are passed over.
const LOOKS_KEPT: u32 = 3;

/// A Job of a member: its number, which is never used again.
pub type JobNumber = u64;

/// What a Job does next, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobStep {
    /// Its first container runs.
    Runs,
    /// A worker of it takes messages, after it has done so that many times.
    Fetches(usize),
    /// A worker has ended; with the last one the Job has.
    WorkerEnds,
    /// It is Complete or Failed.
    Ends,
}

/// What is to happen to Jobs.
pub type Steps = Vec<(Duration, JobNumber, JobStep)>;

/// A JobConfig that is replayed.
#[derive(Clone, Debug)]
pub struct MemberInput {
    /// The JobConfig.
    pub config: Arc<JobConfig>,
    /// Which of the queues is its own.
    pub queue: usize,
    /// How its workers behave.
    pub model: Arc<WorkerModel>,
    /// The pools of which each of its Jobs takes a place, sorted.
    pub pools: Arc<[Arc<str>]>,
}

/// One JobConfig.
#[derive(Clone, Debug)]
pub struct Member {
    /// Which of the queues is its own.
    pub queue: usize,
    /// pg-boss notifies of messages in it.
    pub notifies: bool,
    /// What is counted, while it is: see [`Self::counted`].
    counted: Counted,
    counts_until: Duration,
    /// When it wants to be asked again.
    pub wake_at: Option<Duration>,
    lifecycle: Lifecycle,
    model: Arc<WorkerModel>,
    check_interval: Duration,
    start_timeout: Duration,
    parallelism: u32,
    jobs: BTreeMap<JobNumber, SimulatedJob>,
    jobs_made: JobNumber,
    starts: Sequence,
    stays: Sequence,
    failures: Sequence,
    /// Its Jobs are not as the last view has shown them.
    view_changed: bool,
    events: Vec<QueueEvent>,
}

impl Member {
    /// A JobConfig that begins with the span, without any Job; what happens after the span does not count.
    pub fn new(input: &MemberInput, notifies: bool, Span { from: now, to }: Span) -> Self {
        let MemberInput { config, queue, model, pools } = input;
        // Gauges are for people who look now.
        let policy = QueuePolicy { gauges_every: Duration::MAX, pools: pools.clone(), ..QueuePolicy::of(config) };
        Self {
            queue: *queue,
            notifies,
            counted: Counted::default(),
            counts_until: to,
            wake_at: Some(now),
            check_interval: policy.check_interval,
            start_timeout: policy.runs.start_timeout,
            lifecycle: Lifecycle::new(Naming::new("forecast", config.name.clone()), policy, SEED, now),
            model: model.clone(),
            parallelism: config.pod_config.parallelism,
            jobs: BTreeMap::new(),
            jobs_made: 0,
            starts: Sequence::new(GOLDEN),
            stays: Sequence::new(ROOT_TWO),
            failures: Sequence::new(ROOT_THREE),
            view_changed: true,
            events: vec![],
        }
    }

    /// Its lifecycle has something to take in.
    pub fn is_touched(&self) -> bool {
        self.view_changed || !self.events.is_empty()
    }

    /// What was counted until the end of the span: those of its Jobs that live then have run until then.
    pub fn counted(&self) -> Counted {
        let living = self.jobs.values().filter(|job| job.ended.is_none());
        living.fold(self.counted, |mut counted, job| {
            counted.note_end(self.pod_time(job, self.counts_until));
            counted
        })
    }

    /// How long the pods of a Job that ends now have run within the span.
    fn pod_time(&self, job: &SimulatedJob, now: Duration) -> Duration {
        now.min(self.counts_until).saturating_sub(job.runs_at) * self.parallelism
    }

    /// Its Jobs that live.
    pub fn live(&self) -> u64 {
        self.jobs.len() as u64
    }

    /// pg-boss notifies of a message.
    pub fn notify(&mut self) {
        self.events.push(QueueEvent::Notified);
    }

    /// It is given places.
    pub fn grant(&mut self, grant: Grant) {
        self.events.push(QueueEvent::Granted(grant));
    }

    /// What it holds and wants of what is shared; `None` where it shares nothing, or does not know.
    pub fn need(&self) -> Option<Need> {
        self.lifecycle.need().filter(|_| self.lifecycle.shares())
    }

    // --- its Jobs

    /// A Job does its next step; what follows of that. `take` takes a message, and says how long it takes.
    pub fn step_job(
        &mut self,
        now: Duration,
        (number, step): (JobNumber, JobStep),
        take: impl FnMut() -> Option<Duration>,
    ) -> Option<(Duration, JobNumber, JobStep)> {
        let job = self.jobs.get_mut(&number)?;
        match step {
            JobStep::Runs => {
                self.view_changed = true;
                None
            }
            JobStep::Fetches(before) => {
                let most =
                    if self.model.fetches_max.is_some_and(|most| before >= most) { 0 } else { self.model.at_once };
                let taken: Vec<Duration> = std::iter::from_fn(take).take(most).collect();
                if taken.is_empty() {
                    return Some((now, number, JobStep::WorkerEnds));
                }
                job.taken += taken.len() as u64;
                Some((now.saturating_add(taken.iter().sum()), number, JobStep::Fetches(before + 1)))
            }
            JobStep::WorkerEnds => {
                job.workers -= 1;
                if job.workers > 0 {
                    return None;
                }
                let stay = self.stays.pick(&self.model.stays).copied().unwrap_or_default();
                Some((now.saturating_add(stay), number, JobStep::Ends))
            }
            JobStep::Ends => {
                let failed = self.failures.place(1_000) < self.model.failed;
                let outcome = if failed { Outcome::Failed } else { Outcome::Succeeded };
                job.ended = Some((now, outcome));
                let pod_time = self.pod_time(&self.jobs[&number], now);
                self.counted.note_end(pod_time);
                self.view_changed = true;
                None
            }
        }
    }

    /// Makes a Job, which starts as others have.
    fn make(&mut self, name: JobName, slot: u32, now: Duration, steps: &mut Steps) {
        self.jobs_made += 1;
        let number = self.jobs_made;
        let (fetched, ran) =
            self.starts.pick(&self.model.starts).map_or_else(Default::default, |start| (start.fetched, start.ran));
        let runs_at = now.saturating_add(ran);
        let workers = self.parallelism;
        let job = SimulatedJob { name, slot, created_at: now, runs_at, workers, taken: 0, ended: None };
        self.jobs.insert(number, job);
        steps.push((runs_at, number, JobStep::Runs));
        let fetches = (now.saturating_add(fetched), number, JobStep::Fetches(0));
        steps.extend(std::iter::repeat_n(fetches, workers as usize));
        if now <= self.counts_until {
            self.counted.note_created(self.jobs.len() as u64);
        }
        // The start clock runs from the first view on; it matters where it may run out.
        self.view_changed |= ran > self.start_timeout;
    }

    // --- its lifecycle

    /// Lets the lifecycle take in what has happened, and answers whatever it asks. What follows for Jobs.
    pub fn step(&mut self, now: Duration, backlog: &Backlog) -> Steps {
        let mut steps = vec![];
        let mut events = std::mem::take(&mut self.events);
        if std::mem::take(&mut self.view_changed) {
            events.push(RunEvent::Observed(Arc::new(self.observed(now))).into());
            // What has ended is on record by the end of this step, and nobody needs its Job any more.
            self.jobs.retain(|_, job| job.ended.is_none());
        }
        for _ in 0..ROUNDS_MAX {
            let effects = self.lifecycle.step(now, std::mem::take(&mut events));
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.answer(now, effect, backlog, &mut events, &mut steps);
            }
        }
        for milestone in self.lifecycle.take_milestones() {
            let counts = now <= self.counts_until && milestone == Milestone::TookNothing;
            self.counted.took_nothing += u64::from(counts);
        }
        self.wake_at = self.next_wake(now, backlog);
        steps
    }

    fn observed(&self, now: Duration) -> Observed {
        Observed { jobs: self.jobs.values().map(|job| (job.name.clone(), job.seen(now))).collect() }
    }

    /// When the lifecycle is to be asked again. Looks at an empty queue find nothing, so most of them are passed over: as
    /// many as leave the last ones where they would be.
    fn next_wake(&self, now: Duration, backlog: &Backlog) -> Option<Duration> {
        if self.view_changed {
            return Some(now);
        }
        let due = self.lifecycle.deadline()?.max(now.saturating_add(ASKED_AGAIN_MIN));
        if !self.jobs.is_empty() || backlog.depth() > 0 || !self.events.is_empty() {
            return Some(due);
        }
        let next = backlog.next_at()?;
        // Jitter makes an interval up to a tenth shorter.
        let interval = self.check_interval * 19 / 20;
        let ahead = next.saturating_sub(due).saturating_sub(interval.saturating_mul(LOOKS_KEPT));
        let passed = ahead.as_nanos().checked_div(interval.as_nanos()).unwrap_or_default();
        Some(due.saturating_add(interval.saturating_mul(u32::try_from(passed).unwrap_or(u32::MAX))))
    }

    fn answer(
        &mut self,
        now: Duration,
        effect: QueueEffect,
        backlog: &Backlog,
        events: &mut Vec<QueueEvent>,
        steps: &mut Steps,
    ) {
        match effect {
            QueueEffect::ReadDepth(request) => events.push(QueueEvent::DepthRead(Some(backlog.look(now, &request)))),
            QueueEffect::ReadGauges(_) => events.push(QueueEvent::GaugesRead(true)),
            QueueEffect::WriteLog(_) => events.push(QueueEvent::LogWritten(true)),
            QueueEffect::Run(effect) => {
                events.extend(self.answer_run(now, effect, steps).into_iter().map(QueueEvent::Run));
            }
        }
    }

    fn answer_run(&mut self, now: Duration, effect: RunEffect, steps: &mut Steps) -> Vec<RunEvent> {
        match effect {
            RunEffect::LoadRuns => vec![RunEvent::RunsLoaded(Some(LoadedRuns::default()))],
            RunEffect::WriteWishes(wishes) => {
                wishes.into_iter().map(|wish| RunEvent::WishWritten(wish.name, Some(WishAnswer::Written))).collect()
            }
            RunEffect::CreateJob(wish) => {
                self.make(wish.name.clone(), wish.slot, now, steps);
                vec![RunEvent::CreateAnswered(wish.name, CreateAnswer::Exists { uid: "".into() })]
            }
            RunEffect::GetJob(name) => {
                let found = self.jobs.values().find(|job| job.name == name);
                let answer = found.map_or(GetAnswer::Absent, |job| GetAnswer::Found(Box::new(job.seen(now))));
                vec![RunEvent::GetAnswered(name, answer)]
            }
            RunEffect::DeleteJob { name, .. } => {
                self.jobs.retain(|_, job| job.name != name);
                self.view_changed = true;
                vec![RunEvent::DeleteAnswered(name, DeleteAnswer::Accepted)]
            }
            RunEffect::WriteEnd(ended) => vec![RunEvent::EndWritten(ended.name, true)],
        }
    }
}
