//! One history: the real lifecycle among a made-up cluster, queue and store, with faults.

use std::{collections::BTreeSet, time::Duration};

use job_chief::decide::{
    decision::Wish,
    outcome::{JobName, OVERFLOW_SLOT},
    place::Place,
    queue::{
        event::{DepthRequest, QueueEffect, QueueEvent},
        lifecycle::Lifecycle,
        policy::QueuePolicy,
        scale::Look,
    },
    run::{
        event::{CreateAnswer, RunEffect, RunEvent},
        policy::REQUEST_TIMEOUT,
    },
};

use crate::{
    cluster::{Cluster, Fate},
    dice::Dice,
    faults::{Counters, Fault, run_unanswered},
    policy::random_policy,
    scout::Scout,
    states::States,
    store::Store,
    views::Views,
    windows::Allowed,
};

/// The world of one history.
pub(crate) struct World {
    pub dice: Dice,
    /// Faults that came later cast their own, so that kept histories stay as they are.
    pub(crate) later_dice: Dice,
    pub now: Duration,
    pub life: Lifecycle,
    pub cluster: Cluster,
    pub store: Store,
    /// Places that unfinished runs of other JobConfigs hold.
    pub(crate) elsewhere: BTreeSet<Place>,
    /// When each waiting message can be fetched.
    pub messages: Vec<Duration>,
    pub in_flight: Vec<QueueEffect>,
    pub(crate) answers: Vec<QueueEvent>,
    /// Events that are taken in with the next one.
    pub(crate) waiting: Vec<QueueEvent>,
    pub(crate) late: Vec<(Wish, Duration)>,
    pub(crate) views: Views,
    pub(crate) store_away: bool,
    pub(crate) paused: bool,
    /// How many Jobs people have asked for by hand.
    pub(crate) asked: u64,
    /// A process that has lost its lease and does not know it, with what it has on its way.
    pub(crate) frozen: Option<(Lifecycle, Vec<QueueEffect>)>,
    pub(crate) stopped: bool,
    /// The JobConfig is not in the file any more.
    pub(crate) left: bool,
    /// What the last look that was delivered found.
    pub(crate) last_look: Option<Look>,
    pub policy: QueuePolicy,
    pub(crate) allowed: Allowed,
    /// Much happens while one request is under way, and much of it to requests.
    pub(crate) hasty: bool,
    pub(crate) faults: u32,
    pub counters: Counters,
    /// Who looks while the lifecycle rests; `None`: nobody but itself.
    pub(crate) scout: Option<Scout>,
    /// The Job that a fault hits.
    pub(crate) hit: Option<JobName>,
    /// What the run is in whose request is carried out.
    pub(crate) performed: States,
    pub created: u64,
    trace: bool,
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl World {
    pub(crate) fn new(seed: u64, faults: u32) -> Self {
        let mut dice = Dice(seed);
        let mut policy = random_policy(&mut dice);
        let now = secs(1_700_000_000);
        let windows_are_on = faults & (1 << Fault::WindowEdge as u32) != 0;
        let allowed = Allowed::begin(seed, windows_are_on, &mut policy, now);
        let life = Lifecycle::new(crate::policy::naming(), policy.clone(), seed, now);
        Self {
            dice,
            later_dice: Dice(!seed),
            now,
            life,
            cluster: Cluster::of_lingering_pods(),
            store: Store::default(),
            elsewhere: BTreeSet::new(),
            messages: vec![],
            in_flight: vec![],
            answers: vec![],
            waiting: vec![],
            late: vec![],
            views: Views::default(),
            store_away: false,
            paused: false,
            asked: 0,
            frozen: None,
            stopped: false,
            left: false,
            last_look: None,
            policy,
            allowed,
            hasty: matches!(seed % 5, 1 | 4),
            faults,
            counters: Counters::default(),
            scout: None,
            hit: None,
            performed: States::default(),
            created: 0,
            trace: std::env::var_os("SIMULATION_TRACE").is_some(),
        }
    }

    /// Whether a fault strikes now; counted if so.
    pub(crate) fn strikes(&mut self, fault: Fault, once_in: u64) -> bool {
        // The dice are cast in any case, so that a history stays the same when a kind is turned off.
        let struck = self.dice.once_in(once_in) && self.is_on(fault);
        self.count(fault, struck);
        struck
    }

    /// The same by the dice of faults that came later.
    pub(crate) fn strikes_later(&mut self, fault: Fault, once_in: u64) -> bool {
        let struck = self.later_dice.once_in(once_in) && self.is_on(fault);
        self.count(fault, struck);
        struck
    }

    pub(crate) fn is_on(&self, fault: Fault) -> bool {
        self.faults & (1 << fault as u32) != 0
    }

    pub(crate) fn count(&mut self, fault: Fault, struck: bool) {
        if struck {
            let asks = |effect: &QueueEffect| {
                matches!(effect, QueueEffect::Run(RunEffect::CreateJob(_) | RunEffect::DeleteJob { .. }))
            };
            self.counters.count(fault, self.in_flight.iter().any(asks), self.states(fault));
        }
    }

    /// One thing happens.
    pub(crate) fn step(&mut self) {
        self.now += Duration::from_millis(self.dice.roll(if self.hasty { 250 } else { 2000 }));
        if self.strikes(Fault::ClockJumps, 150) {
            self.now += secs(self.dice.roll(400));
        }
        match self.dice.roll(16) {
            0 | 1 => self.take_view(),
            2..=4 => self.deliver_view(),
            5..=7 => self.perform_any(),
            8 => self.deliver_answer(),
            9 | 10 => self.jobs_advance(),
            11 => self.messages_arrive(),
            12 | 13 => self.deadline(),
            14 => self.disturb(),
            _ => self.late_arrives(),
        }
        self.thaw();
    }

    pub(crate) fn feed(&mut self, event: QueueEvent) {
        if let QueueEvent::DepthRead(Some(look)) = &event {
            self.last_look = Some(*look);
        }
        // Several events may come at once. What was decided just before a command stands.
        if matches!(
            event,
            QueueEvent::Switched { .. } | QueueEvent::Run(RunEvent::Drain) | QueueEvent::Run(RunEvent::Stop)
        ) {
            self.feed_waiting();
        }
        self.waiting.push(event);
        if self.later_dice.once_in(4) && self.waiting.len() < 4 {
            return;
        }
        self.feed_waiting();
    }

    /// What has come is taken in.
    pub(crate) fn feed_waiting(&mut self) {
        self.follow_windows();
        if self.waiting.is_empty() && self.rests() {
            return;
        }
        let events = std::mem::take(&mut self.waiting);
        let told = self.trace.then(|| format!("{events:?}"));
        let is_stale = self.views.note_all(&events);
        let effects = self.life.step(self.now, events);
        if let Some(told) = told {
            eprintln!("{:.3} {told} -> {effects:?}", self.now.as_secs_f64());
        }
        for effect in &effects {
            if let QueueEffect::Run(RunEffect::WriteWishes(wishes)) = effect {
                self.check_wishes(wishes, is_stale);
            }
        }
        self.in_flight.extend(effects);
        self.note_rest();
    }

    fn check_wishes(&self, wishes: &[Wish], is_stale: bool) {
        assert!(self.views.delivered, "invariant: nothing_is_created_before_the_first_view");
        let by_hand = wishes.iter().filter_map(|wish| wish.serves);
        assert!(by_hand.into_iter().all(|serves| serves <= self.asked), "invariant: nobody_is_served_who_did_not_ask");
        let fresh = wishes.iter().filter(|wish| wish.adopted.is_none() && wish.serves.is_none()).count() as u64;
        let ready = self.last_look.map_or(0, |look| look.old + look.new);
        assert!(fresh == 0 || ready > 0, "invariant: an_empty_queue_creates_nothing");
        assert!(fresh <= ready.max(1), "invariant: no_more_jobs_than_messages");
        let status = self.life.status(self.now);
        assert!(
            fresh == 0 || !(status.paused || status.draining),
            "invariant: whoever_is_paused_or_drains_creates_nothing"
        );
        let new = wishes.iter().any(|wish| wish.adopted.is_none());
        assert!(!new || !is_stale, "invariant: nothing_is_wished_by_a_view_that_is_too_old");
        // A view that lags may bring a Job back that was over as the wish was decided.
        let live = status.live.iter().filter(|job| job.slot < OVERFLOW_SLOT).count();
        assert!(!new || live <= self.allowed.max() as usize, "invariant: no_job_is_wished_beyond_what_is_in_force");
    }

    // --- requests

    pub(crate) fn perform_any(&mut self) {
        let Some(effect) = self.dice.draw(&mut self.in_flight) else { return };
        if let QueueEffect::Run(effect) = &effect {
            self.performed = States::of_request(effect);
        }
        self.perform_this(effect);
        self.performed = States::default();
    }

    fn perform_this(&mut self, effect: QueueEffect) {
        let lost = self.strikes(Fault::RequestLost, 25);
        let answer_lost = !lost && self.strikes(Fault::AnswerLost, 25);
        let late = !lost
            && !answer_lost
            && matches!(effect, QueueEffect::Run(RunEffect::CreateJob(_)))
            && self.strikes(Fault::RequestLate, if self.hasty { 2 } else { 8 });
        let is_store = !matches!(
            effect,
            QueueEffect::Run(RunEffect::CreateJob(_))
                | QueueEffect::Run(RunEffect::GetJob(_))
                | QueueEffect::Run(RunEffect::DeleteJob { .. })
        );
        if lost || (is_store && self.store_away) {
            return self.answer(Self::unanswered(&effect));
        }
        if let (true, QueueEffect::Run(RunEffect::CreateJob(wish))) = (late, &effect) {
            self.late.push((wish.clone(), self.now + REQUEST_TIMEOUT));
            return self.answer(Self::unanswered(&effect));
        }
        let answers = self.perform(&effect);
        self.answer(if answer_lost { Self::unanswered(&effect) } else { answers });
    }

    /// Some answers come at once, others later and in another order.
    fn answer(&mut self, events: Vec<QueueEvent>) {
        for event in events {
            if self.dice.once_in(3) {
                self.answers.push(event);
            } else {
                self.feed(event);
            }
        }
    }

    pub(crate) fn deliver_answer(&mut self) {
        if let Some(event) = self.dice.draw(&mut self.answers) {
            self.feed(event);
        }
    }

    /// A create that was given up by its sender arrives after all.
    pub(crate) fn late_arrives(&mut self) {
        let now = self.now;
        self.late.retain(|(_, until)| *until > now);
        if let Some((wish, _)) = self.late.pop() {
            self.create(&wish, true);
        }
    }

    pub(crate) fn unanswered(effect: &QueueEffect) -> Vec<QueueEvent> {
        match effect {
            QueueEffect::Run(effect) => run_unanswered(effect).into_iter().map(QueueEvent::Run).collect(),
            QueueEffect::ReadDepth(_) => vec![QueueEvent::DepthRead(None)],
            QueueEffect::ReadGauges(_) => vec![QueueEvent::GaugesRead(false)],
            QueueEffect::WriteLog(_) => vec![QueueEvent::LogWritten(false)],
        }
    }

    pub(crate) fn perform(&mut self, effect: &QueueEffect) -> Vec<QueueEvent> {
        let now = self.now;
        match effect {
            QueueEffect::Run(RunEffect::LoadRuns) => {
                vec![QueueEvent::Run(RunEvent::RunsLoaded(Some(self.store.load(now))))]
            }
            QueueEffect::ReadDepth(request) => vec![QueueEvent::DepthRead(Some(self.look(request)))],
            QueueEffect::ReadGauges(_) => vec![QueueEvent::GaugesRead(true)],
            QueueEffect::Run(RunEffect::WriteWishes(wishes)) => {
                wishes.iter().map(|wish| QueueEvent::Run(self.wish(wish))).collect()
            }
            QueueEffect::Run(RunEffect::CreateJob(wish)) => {
                let answer = self.create(wish, false);
                vec![QueueEvent::Run(RunEvent::CreateAnswered(wish.name.clone(), answer))]
            }
            QueueEffect::Run(RunEffect::GetJob(name)) => {
                vec![QueueEvent::Run(RunEvent::GetAnswered(name.clone(), self.cluster.check(name, now)))]
            }
            QueueEffect::Run(RunEffect::DeleteJob { name, uid, resource_version }) => {
                self.check_delete(name, uid, resource_version.as_deref());
                let answer = self.cluster.delete(name, uid, resource_version.as_deref(), now);
                vec![QueueEvent::Run(RunEvent::DeleteAnswered(name.clone(), answer))]
            }
            QueueEffect::WriteLog(notes) => {
                self.store.note(notes);
                vec![QueueEvent::LogWritten(true)]
            }
            QueueEffect::Run(RunEffect::WriteEnd(ended)) => {
                self.store.end(ended, now);
                vec![QueueEvent::Run(RunEvent::EndWritten(ended.name.clone(), true))]
            }
        }
    }

    fn wish(&mut self, wish: &Wish) -> RunEvent {
        let answer = self.store.wish_beside(wish, self.now, |place| self.elsewhere.contains(place));
        RunEvent::WishWritten(wish.name.clone(), Some(answer))
    }

    /// A late request may find its Job deleted and its run ended: what it makes keeps the slot until it is mended.
    fn create(&mut self, wish: &Wish, late: bool) -> CreateAnswer {
        let row = self.store.rows.get(&wish.name);
        let row = row.expect("invariant: each_run_is_written_before_its_job_is_asked_for");
        let exists = self.cluster.jobs.contains_key(&wish.name);
        assert!(
            late || exists || row.end.is_none(),
            "invariant: no_job_is_created_for_a_run_that_has_ended ({})",
            wish.name
        );
        if !exists && self.strikes(Fault::QuotaRefuses, 25) {
            return CreateAnswer::Refused { message: "exceeded quota".into() };
        }
        let fate = self.fate();
        self.created += u64::from(!exists);
        self.cluster.create(wish, "resize", fate, self.now)
    }

    fn fate(&mut self) -> Fate {
        let leaves = self.cluster.jobs.values().any(|it| it.is_terminating() && !it.stuck);
        if self.strikes(Fault::JobSuspended, if leaves { 3 } else { 30 }) {
            return Fate::Suspended;
        }
        if !self.strikes(Fault::NeverStarts, 6) {
            return if self.dice.once_in(5) { Fate::Fails("Error", 1) } else { Fate::Works };
        }
        match self.dice.roll(9) {
            0 => Fate::Waits("ImagePullBackOff"),
            1 => Fate::Waits("InvalidImageName"),
            2 => Fate::Waits("CreateContainerConfigError"),
            3 => Fate::Waits("ContainerCreating"),
            4 => Fate::Unschedulable,
            5 => Fate::BadCommand,
            6 => Fate::InitFails,
            7 => Fate::Deadline,
            _ => Fate::NoPod,
        }
    }

    fn check_delete(&self, name: &JobName, uid: &str, version: Option<&str>) {
        let Some(it) = self.cluster.jobs.get(name) else { return };
        let meta = &it.job.metadata;
        let strikes = meta.uid.as_deref() == Some(uid)
            && version.is_none_or(|version| meta.resource_version.as_deref() == Some(version));
        let ended = self.store.rows.get(name).is_some_and(|row| row.end.is_some());
        assert!(!(strikes && it.is_running() && !ended), "invariant: a_running_job_is_never_deleted ({name})");
        let ending = it.finished_at.is_none() && it.has_verdict();
        assert!(!(strikes && ending), "invariant: a_job_that_is_about_to_end_is_left_alone ({name})");
        if let (true, Some(finished)) = (strikes, it.finished_at) {
            assert!(ended, "invariant: a_finished_job_is_cleaned_up_only_after_its_outcome_is_stored ({name})");
            assert!(
                self.now >= finished + REQUEST_TIMEOUT,
                "invariant: a_finished_name_is_not_free_for_late_requests ({name})"
            );
        }
    }

    pub(crate) fn look(&self, request: &DepthRequest) -> Look {
        let at_us = i64::try_from(self.now.as_micros()).expect("years");
        let since = request.since_us.map_or(self.now, |us| Duration::from_micros(us.unsigned_abs()));
        let ready = self.messages.iter().filter(|at| **at + request.younger_left <= self.now);
        let (old, new): (Vec<Duration>, Vec<Duration>) = ready.copied().partition(|at| *at <= since);
        let count = |messages: &[Duration]| (messages.len() as u64).min(request.limit);
        let horizon = self.now.saturating_sub(request.younger_left);
        let oldest = |messages: &[Duration]| messages.iter().min().map(|at| self.now.saturating_sub(*at));
        Look {
            old: count(&old),
            new: count(&new),
            limit: request.limit,
            at_us,
            next_in: self.messages.iter().filter(|at| **at > horizon).min().map(|at| *at - horizon),
            oldest_age: oldest(&old).or_else(|| oldest(&new)),
            oldest_new_age: oldest(&new),
            unknown: false,
        }
    }

    // --- the rest of the world

    pub(crate) fn jobs_advance(&mut self) {
        let names: Vec<JobName> = self.cluster.jobs.keys().cloned().collect();
        for name in names {
            if self.dice.once_in(2) || self.faults == 0 {
                let wanted = self.cluster.advance(&name, &mut self.dice, self.now);
                self.take_messages(wanted);
            }
        }
        self.cluster.expire(self.now);
    }

    pub(crate) fn take_messages(&mut self, mut wanted: u64) {
        let now = self.now;
        self.messages.retain(|at| {
            let taken = wanted > 0 && *at <= now;
            wanted -= u64::from(taken);
            !taken
        });
    }

    fn messages_arrive(&mut self) {
        for _ in 0..self.dice.roll(4) {
            let later = if self.dice.once_in(4) { secs(self.dice.roll(60)) } else { Duration::ZERO };
            self.messages.push(self.now + later);
        }
        if self.later_dice.once_in(3) {
            // It may be true or not, and is nothing to rely on.
            self.feed(QueueEvent::Notified);
        }
    }
}
