//! What a run and its process may be in while something goes wrong, and which pairs of the two were seen.
//!
//! The states are those of the made-up world, which knows the truth: what the core believes may be older.

use std::{fmt::Debug, time::Duration};

use job_chief::decide::{
    decision::Wish, outcome::JobName, queue::event::QueueEffect, run::event::RunEffect, service::event::ServiceEffect,
};

use crate::{
    cluster::{Cluster, SimJob},
    faults::Fault,
    service_disturb,
    service_world::ServiceWorld,
    store::Store,
    world::World,
};

/// What a run or the process of its JobConfig is in. A run is in one of the states of its Job, and in one more for the
/// request that is on its way for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub(crate) enum State {
    /// Its wish is on its way to the store.
    WishSent,
    /// Its create is on its way, or given up by its sender and may yet arrive.
    CreateSent,
    /// A live look is.
    LookSent,
    /// A delete is.
    DeleteSent,
    /// Its end is, to the store.
    EndSent,
    /// It is on record, and there never was a Job.
    Wished,
    Suspended,
    /// The controller has not looked at its Job yet.
    Queued,
    /// It has a pod, or is to have one.
    Starting,
    Running,
    /// The Job has a verdict and is not over: `SuccessCriteriaMet`, or `FailureTarget`.
    Succeeding,
    Failing,
    /// The Job is over, and that is not on record.
    Complete,
    Failed,
    Terminating,
    /// The same on a node that is gone.
    Stuck,
    /// The Job is gone, and no end is on record.
    Vanished,
    /// The end is on record, and the Job still there.
    Recorded,
    /// The end is on record, and the Job lives.
    RecordedAlive,
    /// The process has not seen a view yet.
    Blind,
    /// It has, and leads.
    Leading,
    /// Another one goes on beside it that has lost its lease and does not know it.
    BesideDeposed,
    /// It is stopping.
    Stopping,
    /// Its JobConfig has left the file.
    Draining,
    /// Its JobConfig is paused, or a service is not to be up.
    Paused,
    /// It does not reach the store.
    WithoutStore,
}

/// All of them.
pub(crate) const STATES: [State; 26] = [
    State::WishSent,
    State::CreateSent,
    State::LookSent,
    State::DeleteSent,
    State::EndSent,
    State::Wished,
    State::Suspended,
    State::Queued,
    State::Starting,
    State::Running,
    State::Succeeding,
    State::Failing,
    State::Complete,
    State::Failed,
    State::Terminating,
    State::Stuck,
    State::Vanished,
    State::Recorded,
    State::RecordedAlive,
    State::Blind,
    State::Leading,
    State::BesideDeposed,
    State::Stopping,
    State::Draining,
    State::Paused,
    State::WithoutStore,
];

/// Several states at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct States(u32);

impl From<State> for States {
    fn from(state: State) -> Self {
        Self(1 << state as u32)
    }
}

impl States {
    pub(crate) fn and(self, other: impl Into<Self>) -> Self {
        Self(self.0 | other.into().0)
    }

    pub(crate) fn and_if(self, holds: bool, other: State) -> Self {
        if holds { self.and(other) } else { self }
    }

    fn has(self, state: State) -> bool {
        self.0 & Self::from(state).0 != 0
    }

    /// Of each run, as its Job is.
    pub(crate) fn of_jobs(cluster: &Cluster, store: &Store, asked_for: &[&JobName]) -> Self {
        let open = store.rows.iter().filter(|(_, row)| row.end.is_none());
        let open = open.fold(Self::default(), |states, (name, _)| match cluster.jobs.get(name) {
            Some(job) => states.and(of_job(job)),
            None if cluster.born.contains(name) => states.and(State::Vanished),
            None => states.and_if(!asked_for.contains(&name), State::Wished),
        });
        let ended = cluster.jobs.iter().filter(|(name, _)| store.rows.get(*name).is_some_and(|row| row.end.is_some()));
        ended.fold(open, |states, (_, job)| {
            states.and(if job.is_live() { State::RecordedAlive } else { State::Recorded })
        })
    }

    /// Of the run of one Job.
    pub(crate) fn of_one(name: &JobName, cluster: &Cluster, store: &Store) -> Self {
        let Some(job) = cluster.jobs.get(name) else { return Self::default() };
        let recorded = store.rows.get(name).is_some_and(|row| row.end.is_some());
        match (recorded, job.is_live()) {
            (true, true) => State::RecordedAlive.into(),
            (true, false) => State::Recorded.into(),
            (false, _) => of_job(job).into(),
        }
    }

    /// Of the run that a request is about.
    pub(crate) fn of_request(effect: &RunEffect) -> Self {
        match effect {
            RunEffect::LoadRuns => Self::default(),
            RunEffect::WriteWishes(_) => State::WishSent.into(),
            RunEffect::CreateJob(_) => State::CreateSent.into(),
            RunEffect::GetJob(_) => State::LookSent.into(),
            RunEffect::DeleteJob { .. } => State::DeleteSent.into(),
            RunEffect::WriteEnd(_) => State::EndSent.into(),
        }
    }
}

fn of_job(job: &SimJob) -> State {
    let succeeds = || job.conditions().iter().any(|it| it.type_ == "SuccessCriteriaMet");
    match () {
        () if job.is_terminating() && job.stuck => State::Stuck,
        () if job.is_terminating() => State::Terminating,
        () if !job.is_live() && succeeds() => State::Complete,
        () if !job.is_live() => State::Failed,
        () if job.has_verdict() && succeeds() => State::Succeeding,
        () if job.has_verdict() => State::Failing,
        () if job.is_running() => State::Running,
        () if job.is_suspended() => State::Suspended,
        () if job.is_looked_at() => State::Starting,
        () => State::Queued,
    }
}

/// Of all runs of a world: as their Jobs are, and for each request that is on its way.
fn of_runs<'a>(
    (cluster, store): (&Cluster, &Store),
    requests: impl Iterator<Item = &'a RunEffect> + Clone,
    late: &[(Wish, Duration)],
) -> States {
    let sent = requests.clone().filter_map(|request| match request {
        RunEffect::CreateJob(wish) => Some(&wish.name),
        _ => None,
    });
    let asked_for: Vec<&JobName> = sent.chain(late.iter().map(|(wish, _)| &wish.name)).collect();
    let jobs = States::of_jobs(cluster, store, &asked_for);
    requests.map(States::of_request).fold(jobs, States::and).and_if(!late.is_empty(), State::CreateSent)
}

/// Of the run of one Job, and for each request that is on its way for it.
fn of_run<'a>(
    name: &JobName,
    (cluster, store): (&Cluster, &Store),
    requests: impl Iterator<Item = &'a RunEffect>,
) -> States {
    let about = |request: &&RunEffect| match request {
        RunEffect::LoadRuns => false,
        RunEffect::WriteWishes(wishes) => wishes.iter().any(|wish| wish.name == *name),
        RunEffect::CreateJob(wish) => wish.name == *name,
        RunEffect::GetJob(of) | RunEffect::DeleteJob { name: of, .. } => of == name,
        RunEffect::WriteEnd(ended) => ended.name == *name,
    };
    requests.filter(about).map(States::of_request).fold(States::of_one(name, cluster, store), States::and)
}

impl World {
    /// What the run is in that a fault hits, or any run if it hits none alone; and what the process is in.
    pub(crate) fn states(&self, fault: Fault) -> States {
        let aims = matches!(fault, Fault::JobDeleted | Fault::PodDeleted | Fault::NodeGone);
        match self.hit.as_ref().filter(|_| aims) {
            Some(name) => self.process().and(of_run(name, (&self.cluster, &self.store), self.requests())),
            None => self.standing(),
        }
    }

    /// What any run is in, and the process.
    pub(crate) fn standing(&self) -> States {
        self.process().and(of_runs((&self.cluster, &self.store), self.requests(), &self.late)).and(self.performed)
    }

    fn process(&self) -> States {
        States::from(if self.views.delivered { State::Leading } else { State::Blind })
            .and_if(self.frozen.is_some(), State::BesideDeposed)
            .and_if(self.stopped, State::Stopping)
            .and_if(self.left, State::Draining)
            .and_if(self.paused, State::Paused)
            .and_if(self.store_away, State::WithoutStore)
    }

    fn requests(&self) -> impl Iterator<Item = &RunEffect> + Clone {
        self.in_flight.iter().filter_map(|effect| match effect {
            QueueEffect::Run(effect) => Some(effect),
            _ => None,
        })
    }
}

impl ServiceWorld {
    /// The same of a service, whose replicas are runs.
    pub(crate) fn states(&self, fault: service_disturb::Fault) -> States {
        use service_disturb::Fault;
        let process = States::from(if self.views.delivered { State::Leading } else { State::Blind })
            .and_if(self.frozen.is_some(), State::BesideDeposed)
            .and_if(self.left, State::Draining)
            .and_if(!self.is_wanted(), State::Paused)
            .and_if(self.store_away, State::WithoutStore);
        let requests = self.requests();
        let world = (&self.cluster, &self.store);
        let aims = matches!(fault, Fault::JobDeleted | Fault::PodDeleted | Fault::NodeGone);
        process.and(match self.hit.as_ref().filter(|_| aims) {
            Some(name) => of_run(name, world, requests),
            None => of_runs(world, requests, &self.late).and(self.performed),
        })
    }

    fn requests(&self) -> impl Iterator<Item = &RunEffect> + Clone {
        self.in_flight.iter().filter_map(|effect| match effect {
            ServiceEffect::Run(effect) => Some(effect),
            _ => None,
        })
    }
}

/// How often each kind of fault struck in each state.
#[derive(Clone, Debug)]
pub(crate) struct Matrix<const FAULTS: usize>([[u64; STATES.len()]; FAULTS]);

impl<const FAULTS: usize> Default for Matrix<FAULTS> {
    fn default() -> Self {
        Self([[0; STATES.len()]; FAULTS])
    }
}

impl<const FAULTS: usize> Matrix<FAULTS> {
    /// One strike.
    pub(crate) fn note(&mut self, fault: usize, states: States) {
        for state in STATES.into_iter().filter(|state| states.has(*state)) {
            self.0[fault][state as usize] += 1;
        }
    }

    /// Adds another history's.
    pub(crate) fn add(&mut self, other: &Self) {
        let cells = self.0.as_flattened_mut().iter_mut().zip(other.0.as_flattened());
        cells.for_each(|(all, one)| *all += one);
    }

    /// A row for each state, and a column for each kind of fault.
    pub(crate) fn tell(&self, faults: &[impl Debug; FAULTS]) {
        let names = faults.iter().map(|fault| format!("{fault:?}"));
        for (at, name) in names.enumerate() {
            let seen = STATES.iter().map(|state| format!("{state:?} {}", self.0[at][*state as usize]));
            eprintln!("  {name}: {}", seen.collect::<Vec<_>>().join(", "));
        }
    }

    /// Each pair was seen, but for those that can't be, and those that are too seldom.
    pub(crate) fn invariant_each_pair_was_seen<F: Copy + Debug + PartialEq + 'static>(
        &self,
        faults: &[F; FAULTS],
        impossible: &[Pairs<F>],
        seldom: &[Pairs<F>],
    ) {
        let mut wrong = vec![];
        for (at, fault) in faults.iter().enumerate() {
            for state in STATES {
                if seldom.iter().any(|it| it.is_of(*fault, state)) {
                    continue;
                }
                let why = impossible.iter().find(|it| it.is_of(*fault, state)).map(|it| it.1.why);
                match (self.0[at][state as usize], why) {
                    (0, None) => wrong.push(format!("{fault:?} never struck in {state:?}")),
                    (seen @ 1.., Some(why)) => {
                        wrong.push(format!("{fault:?} struck in {state:?} {seen} times, although {why}"));
                    }
                    _ => {}
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// Pairs that are not seen: each of these kinds, or all if none is named, in each of those states.
pub(crate) struct Pairs<F: 'static>(pub(crate) &'static [F], pub(crate) &'static Unseen);

/// States in which some kinds are not seen, and why.
pub(crate) struct Unseen {
    pub(crate) states: &'static [State],
    pub(crate) why: &'static str,
}

/// Of what answers come, and of what the views show.
pub(crate) const BEFORE_A_VIEW: Unseen = Unseen {
    states: &[State::Blind],
    why: "nothing is asked for before the first view, and none returns that has not come",
};

/// Of what changes an entry.
pub(crate) const NO_ENTRY: Unseen = Unseen { states: &[State::Draining], why: "what has left the file is not in it" };

/// Of what hits a Job, or its pods.
pub(crate) const NO_JOB: Unseen = Unseen { states: &[State::Wished, State::Vanished], why: "there is no Job to hit" };

/// Of what hits a pod.
pub(crate) const NO_POD: Unseen = Unseen {
    states: &[
        State::Suspended,
        State::Queued,
        State::Complete,
        State::Failed,
        State::Recorded,
        State::Terminating,
        State::Stuck,
    ],
    why: "only a pod is hit whose Job lives and is not deleted",
};

/// Of what hits a pod; this may be, and is too seldom for the test run.
pub(crate) const UNKNOWN_JOB: Unseen = Unseen {
    states: &[State::WishSent],
    why: "a Job that lives and whose wish is on its way was found by a process that did not know it",
};

impl<F: PartialEq + 'static> Pairs<F> {
    fn is_of(&self, fault: F, state: State) -> bool {
        (self.0.is_empty() || self.0.contains(&fault)) && self.1.states.contains(&state)
    }
}
