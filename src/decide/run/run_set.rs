//! The runs of one JobConfig, whatever they are for: loaded from the store, seen in the cluster, asked for, recorded.
//!
//! What a queue and a service have in common. Nothing is created before the unfinished runs are loaded and a first full
//! view was seen: ignorance is not zero. Each run is written before its Job is asked for, under a name that serves one
//! wish only; so whatever is lost may be repeated.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    config::entry::Kind,
    decide::{
        backoff::{RETRY_MIN, retry_wait},
        decision::Wish,
        one_off::is_one_off,
        outcome::{End, JobName, OVERFLOW_SLOT, Outcome, Reason, Slot},
        place::Places,
        pod::{
            names::{Naming, job_name},
            observation::{Observed, Phase, SeenJob},
        },
        run::{
            event::{DeleteAnswer, LoadedRuns, RunEffect, RunEvent, WishAnswer},
            policy::{FINISHED_KEPT_MIN, RECORDED_WITHIN, RunPolicy, WISHES_AT_ONCE},
            settled::SettledRuns,
            tracked_run::Run,
        },
    },
};

/// The runs of one JobConfig.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunSet {
    naming: Naming,
    seed: u64,
    names_given: u64,
    /// The type of the JobConfig.
    kind: Kind,
    loading: Loading,
    /// The unfinished runs were known before, so what is loaded now is not from the time before us.
    was_loaded: bool,
    view: ViewState,
    /// What was seen before the runs are loaded.
    waiting_views: Option<Box<WaitingViews>>,
    /// The JobConfig has left the file.
    pub(in crate::decide) draining: bool,
    /// The process ends.
    pub(in crate::decide) stopping: bool,
    pub(in crate::decide) by_name: BTreeMap<JobName, Run>,
    /// Runs with places that were refused so far.
    refused: u64,
    settled: SettledRuns,
}

/// Views that wait for the runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct WaitingViews {
    newest: Arc<Observed>,
    /// Jobs that lived in one of the others, and that those since then lack.
    lacking: BTreeMap<JobName, SeenJob>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Loading {
    Due { at: Duration, tries: u32 },
    InFlight { tries: u32 },
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ViewState {
    NeverSeen,
    Stale,
    Fresh,
}

impl ViewState {
    /// It has become too old to create anything by it.
    fn aged(self) -> Self {
        if self == Self::NeverSeen { self } else { Self::Stale }
    }
}

/// What the owner of the runs has to know.
#[derive(Clone, Debug)]
pub(in crate::decide) enum News {
    /// The unfinished runs are known from here on; what else the store had.
    Loaded {
        /// As it was loaded.
        loaded: LoadedRuns,
        /// Nothing was known before.
        first: bool,
    },
    /// The first container of this run's Job began to run.
    Started(JobName),
    /// The end of this run is on record.
    Ended(Box<Run>),
}

impl RunSet {
    /// Nothing is known yet of the runs of a JobConfig of this type. `seed` makes its names and its jitter its own.
    pub(in crate::decide) fn begin(kind: Kind, naming: Naming, seed: u64, now: Duration) -> Self {
        Self {
            kind,
            naming,
            seed,
            names_given: 0,
            loading: Loading::Due { at: now, tries: 0 },
            was_loaded: false,
            view: ViewState::NeverSeen,
            waiting_views: None,
            draining: false,
            stopping: false,
            by_name: BTreeMap::new(),
            refused: 0,
            settled: SettledRuns::default(),
        }
    }

    /// Whether anything may be created.
    pub(in crate::decide) fn may_create(&self) -> bool {
        !self.draining && !self.stopping && self.loading == Loading::Done && self.view == ViewState::Fresh
    }

    /// The runs are loaded, and a full view was seen.
    pub(in crate::decide) fn knows(&self) -> bool {
        self.loading == Loading::Done && self.view != ViewState::NeverSeen
    }

    /// Runs with places that were refused so far: somebody else has a place of theirs, or their slot.
    pub(in crate::decide) fn refused(&self) -> u64 {
        self.refused
    }

    /// The places of those that hold any, an entry for each. A run that was found has none, and in a pool it counts as long
    /// as its Job lives.
    pub(in crate::decide) fn held(&self, shares: bool) -> impl Iterator<Item = Places> {
        let runs = self.by_name.values().filter(|run| !is_one_off(run.slot));
        let counts = move |run: &&Run| !run.places.is_empty() || (shares && !run.is_finished());
        runs.filter(counts).map(|run| run.places.clone())
    }

    /// The store may have more than is known.
    pub(in crate::decide) fn load_again(&mut self, now: Duration) {
        if self.loading == Loading::Done {
            self.loading = Loading::Due { at: now, tries: 0 };
        }
    }

    /// Nothing is in flight.
    pub(in crate::decide) fn is_quiet(&self) -> bool {
        let quiet = self.by_name.values().all(Run::is_quiet) && self.settled.is_quiet();
        quiet && !matches!(self.loading, Loading::InFlight { .. })
    }

    /// When something is due that no event brings.
    pub(in crate::decide) fn deadline(&self, policy: &RunPolicy) -> Option<Duration> {
        let load = match self.loading {
            Loading::Due { at, .. } if !self.stopping => Some(at),
            _ => None,
        };
        let seeing = self.view != ViewState::NeverSeen;
        let due = self.by_name.values().filter(|run| seeing && run.goes_on(self.stopping));
        let runs = due.filter_map(|run| run.deadline(policy)).min();
        [load, runs, self.settled.deadline(policy)].into_iter().flatten().min()
    }

    // --- what is there

    /// Takes in what is a matter of runs alone.
    pub(in crate::decide) fn note<E: From<RunEffect>>(
        &mut self,
        now: Duration,
        event: RunEvent,
        policy: &RunPolicy,
        effects: &mut Vec<E>,
    ) -> Vec<News> {
        let mut news = vec![];
        match event {
            RunEvent::RunsLoaded(loaded) => self.on_loaded(now, loaded, &mut news),
            RunEvent::Observed(view) => {
                self.view = ViewState::Fresh;
                if self.loading == Loading::Done {
                    self.take_in(now, &view, &mut news);
                } else {
                    self.keep_waiting(view);
                }
            }
            RunEvent::ViewStale => self.view = self.view.aged(),
            RunEvent::WishWritten(name, answer) => self.on_wish(now, &name, answer),
            RunEvent::CreateAnswered(name, answer) => self.with_run(&name, |run| run.note_create(answer, now)),
            RunEvent::GetAnswered(name, answer) => {
                self.with_run(&name, |run| run.note_get(answer, now, policy));
                effects.extend(
                    self.by_name.get_mut(&name).and_then(|run| run.take_allowed_delete(now, policy)).map(E::from),
                );
            }
            RunEvent::DeleteAnswered(name, answer) => self.on_deleted(now, &name, answer),
            RunEvent::EndWritten(name, written) => {
                if let Some(run) = self.by_name.get_mut(&name) {
                    run.note_end_written(written, now);
                    news.extend(written.then(|| News::Ended(Box::new(run.clone()))));
                }
            }
            RunEvent::Drain => self.draining = true,
            RunEvent::Stop => self.stopping = true,
        }
        news
    }

    fn with_run(&mut self, name: &JobName, act: impl FnOnce(&mut Run)) {
        if let Some(run) = self.by_name.get_mut(name) {
            act(run);
        }
    }

    fn on_loaded(&mut self, now: Duration, loaded: Option<LoadedRuns>, news: &mut Vec<News>) {
        let Loading::InFlight { tries } = self.loading else { return };
        let Some(loaded) = loaded else {
            self.loading = Loading::Due { at: now.saturating_add(retry_wait(tries)), tries: tries.saturating_add(1) };
            return;
        };
        self.loading = Loading::Done;
        let first = !std::mem::replace(&mut self.was_loaded, true);
        for run in &loaded.unfinished {
            if !self.settled.contains(&run.name) {
                // What is too old may have come and gone; what has left the file, or was of the other type, can't be
                // rendered.
                let of_service = run.starts.is_some() || run.one_off.is_some();
                let is_ours = !self.draining && of_service == (self.kind == Kind::Service);
                let exists = run.uid.is_some() || run.age >= FINISHED_KEPT_MIN || !is_ours;
                let name = run.name.clone();
                self.by_name.entry(name.clone()).or_insert_with(|| Run::loaded(name, run, exists, now));
            }
        }
        news.push(News::Loaded { loaded, first });
        let Some(WaitingViews { newest, lacking }) = self.waiting_views.take().map(|waiting| *waiting) else { return };
        if !lacking.is_empty() {
            // That the newest lacks them is no proof that they are gone: once they are known, they are asked for by name.
            let all = newest.jobs.clone().into_iter().chain(lacking).collect();
            self.take_in(now, &Observed { jobs: all }, news);
        }
        self.take_in(now, &newest, news);
    }

    /// The runs are not loaded yet.
    fn keep_waiting(&mut self, newest: Arc<Observed>) {
        let mut lacking = BTreeMap::new();
        if let Some(before) = self.waiting_views.take() {
            let lacks = |name: &JobName| !newest.jobs.contains_key(name);
            lacking = before.lacking;
            lacking.retain(|name, _| lacks(name));
            let lived = before.newest.jobs.iter().filter(|(name, job)| job.is_live() && lacks(name));
            lacking.extend(lived.map(|(name, job)| (name.clone(), job.clone())));
        }
        self.waiting_views = Some(Box::new(WaitingViews { newest, lacking }));
    }

    /// What a view shows, however old it is by now.
    fn take_in(&mut self, now: Duration, view: &Observed, news: &mut Vec<News>) {
        for (name, job) in &view.jobs {
            self.adopt_unknown(now, name, job);
        }
        for (name, run) in &mut self.by_name {
            if run.note_view(view.jobs.get(name), now) {
                news.push(News::Started(name.clone()));
            }
        }
        self.settled.note_view(view, now);
    }

    /// Adopts a Job that has no run; if its run had ended before, the Job is deleted.
    fn adopt_unknown(&mut self, now: Duration, name: &JobName, job: &SeenJob) {
        let live = job.is_live();
        let settled = self.settled.contains(name) && !live;
        if self.by_name.contains_key(name) || settled || self.settled.is_deleting(name) {
            return;
        }
        if matches!(job.phase, Phase::Ended { terminal: true, age, .. } if age >= RECORDED_WITHIN) {
            // It is on record, or was until the store forgot it.
            self.settled.settle(name.clone(), now);
            return;
        }
        let slot = job.slot.filter(|slot| live && !self.is_taken(*slot)).unwrap_or_else(|| self.overflow_slot());
        let run = if self.settled.revive(name) {
            Run::resurrected(name.clone(), self.overflow_slot(), now)
        } else {
            Run::adopted(name.clone(), slot, now)
        };
        self.by_name.insert(name.clone(), run);
    }

    /// A run has this slot.
    pub(in crate::decide) fn is_taken(&self, slot: Slot) -> bool {
        self.by_name.values().any(|run| run.slot == slot)
    }

    fn overflow_slot(&self) -> Slot {
        let taken: BTreeSet<Slot> = self.by_name.values().map(|run| run.slot).collect();
        (OVERFLOW_SLOT..).find(|slot| !taken.contains(slot)).expect("runs are far fewer than slots")
    }

    fn on_wish(&mut self, now: Duration, name: &JobName, answer: Option<WishAnswer>) {
        let Some(run) = self.by_name.get_mut(name) else { return };
        let taken_over = run.is_created() && answer != Some(WishAnswer::SlotTaken);
        if taken_over || matches!(answer, Some(WishAnswer::Written | WishAnswer::Ended)) {
            run.note_wish(answer, now);
            return;
        }
        // Unanswered, or another process has begun a run in this slot. What the store holds is what counts, and
        // a decision that could not be written is made anew, by what is so then.
        let refused = self.by_name.remove(name).filter(|_| answer == Some(WishAnswer::SlotTaken));
        self.refused += u64::from(refused.is_some_and(|run| !run.places.is_empty()));
        if self.loading == Loading::Done {
            self.loading = Loading::Due { at: now.saturating_add(RETRY_MIN), tries: 1 };
        }
    }

    fn on_deleted(&mut self, now: Duration, name: &JobName, answer: DeleteAnswer) {
        if !self.settled.note_delete(name, answer, now) {
            self.with_run(name, |run| run.note_delete(answer, now));
        }
    }

    // --- what follows

    /// Moves runs that are over to those that are settled, and returns them.
    pub(in crate::decide) fn settle(&mut self, now: Duration) -> Vec<Run> {
        let over: Vec<Run> = self.by_name.extract_if(.., |_, run| run.is_over()).map(|(_, run)| run).collect();
        for run in &over {
            self.settled.settle(run.name.clone(), now);
        }
        over
    }

    /// The slot of this run is not used again for so long after its end.
    pub(in crate::decide) fn cool(&mut self, name: &JobName, wait: Duration) {
        self.with_run(name, |run| run.cooldown = wait);
    }

    /// A service had this name before: its Jobs would never end by themselves.
    pub(in crate::decide) fn end_services(&mut self, now: Duration) {
        let may = !self.stopping;
        for run in self.by_name.values_mut().filter(|run| may && run.last_seen.kind == Some(Kind::Service)) {
            run.end_as(End::new(Outcome::Stopped, Reason::Replaced), now);
        }
    }

    /// Whatever is due: wishes that were added since, and for each run its one request.
    pub(in crate::decide) fn advance<E: From<RunEffect>>(
        &mut self,
        now: Duration,
        policy: &RunPolicy,
        effects: &mut Vec<E>,
    ) {
        if let Loading::Due { at, tries } = self.loading
            && at <= now
            && !self.stopping
        {
            self.loading = Loading::InFlight { tries };
            effects.push(RunEffect::LoadRuns.into());
        }
        let stopping = self.stopping;
        let runs = self.by_name.values_mut().filter(|run| run.goes_on(stopping));
        let wishes: Vec<Wish> = runs.filter_map(|run| run.next_wish(now, policy)).collect();
        // The first Jobs of a burst are asked for while the wishes of the others are written.
        effects.extend(wishes.chunks(WISHES_AT_ONCE).map(|wishes| RunEffect::WriteWishes(wishes.to_vec()).into()));
        if self.view != ViewState::NeverSeen {
            let runs = self.by_name.values_mut().filter(|run| run.goes_on(stopping));
            effects.extend(runs.filter_map(|run| run.next_request(now, policy)).map(E::from));
        }
        effects.extend(self.settled.cleanups(now, policy).into_iter().map(E::from));
    }

    /// A name that no wish has had.
    pub(in crate::decide) fn next_name(&mut self) -> JobName {
        self.names_given += 1;
        job_name(&self.naming.instance, &self.naming.config, self.seed, self.names_given)
    }

    /// Thousandths, 0 to 999, different at every call.
    pub(in crate::decide) fn jitter(&mut self) -> u32 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.seed >> 33) % 1000).unwrap_or_default()
    }
}
