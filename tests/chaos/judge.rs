//! Whether the guarantees hold over what was seen: pure, so that a list of observations is enough to try it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    messages::Messages,
    seen::{Allowed, POOL, Seen, Shown, Verdict},
};

/// How long a jobs.json may be on its way: a process looks every ten seconds, and may be frozen, killed or starved.
pub(crate) const RELOADED_WITHIN: Duration = Duration::from_secs(30);

/// How long a pod has to have worked for it to count: one that has only just started may not have been seen yet.
const WORKS_FROM: Duration = Duration::from_secs(3);

/// How long after it is over a Job is judged while faults go on: its end has to be on record by then.
pub(crate) const JUDGED_AFTER: Duration = Duration::from_secs(180);

/// A guarantee that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) at: Duration,
    pub(crate) what: String,
}

/// A Job as far as it is known.
#[derive(Clone, Debug)]
struct Known {
    shown: Shown,
    born: Duration,
    /// It was born or went while nobody saw.
    unseen: bool,
    gone: Option<Duration>,
    over: Option<Duration>,
    by_hand: bool,
    /// A replica asked for its end, and it had worked for so long then.
    asked: Option<Duration>,
    works_since: Option<Duration>,
    birth: Option<Birth>,
}

/// How many there were as it was born, with itself.
#[derive(Clone, Debug)]
struct Birth {
    of_config: usize,
    of_pool: Option<usize>,
    of_all: usize,
}

/// A run on record.
#[derive(Clone, Debug)]
struct Run {
    config: String,
    wished: Duration,
    ends: Vec<String>,
}

/// Holds the guarantees.
#[derive(Default)]
pub(crate) struct Judge {
    allowed: Vec<(Duration, Allowed)>,
    jobs: BTreeMap<String, Known>,
    runs: BTreeMap<String, Run>,
    /// Names of Jobs that were judged.
    judged: BTreeSet<String>,
    messages: Messages,
    found: Vec<Violation>,
    births: u64,
    relists: u32,
}

impl Judge {
    /// Takes note of something; what does not hold is told once.
    pub(crate) fn note(&mut self, at: Duration, seen: Seen) -> Vec<Violation> {
        match seen {
            Seen::Allowed(allowed) => self.allowed.push((at, allowed)),
            Seen::Job(shown) => self.job(at, shown, false),
            Seen::Gone(uid) => self.gone(at, &uid, false),
            Seen::Listed(all) => self.listed(at, all),
            Seen::Works(job, works) => self.works(at, &job, works),
            Seen::DeletedByHand(uid) => self.jobs.get_mut(&uid).into_iter().for_each(|job| job.by_hand = true),
            Seen::DeleteAsked(name) => self.delete_asked(at, &name),
            Seen::DeleteRefused(name) => {
                let these = self.jobs.values_mut().filter(|job| job.shown.name == name && job.over.is_none());
                these.for_each(|job| job.asked = None);
            }
            Seen::Wished { job, config, at: wished } => {
                self.runs.entry(job).or_insert(Run { config, wished, ends: vec![] });
            }
            Seen::Ended { job, outcome } => self.ended(at, job, outcome),
            Seen::Message { id, queue, state, by } => self.found.extend(self.messages.note(at, id, queue, &state, by)),
            Seen::Forgotten(row) => {
                self.tell(at, format!("what was committed is lost: row {row} of what happened"));
            }
            Seen::Exited { replica, code } => {
                self.tell(at, format!("replica {replica} ended by itself with {code}"));
            }
        }
        std::mem::take(&mut self.found)
    }

    /// Judges what has been over for a while, and forgets it.
    pub(crate) fn settle(&mut self, now: Duration, age: Duration) -> Vec<Violation> {
        let is_due = |job: &Known| job.over.is_some_and(|over| over + age <= now);
        let due: Vec<String> = self.jobs.iter().filter(|(_, job)| is_due(job)).map(|(uid, _)| uid.clone()).collect();
        for uid in due {
            // What it was remains to be known for as long as the object is there.
            let job = self.jobs[&uid].clone();
            if job.gone.is_some() {
                self.jobs.remove(&uid);
            }
            if !self.judged.insert(job.shown.name.clone()) {
                continue;
            }
            // Told with the time at which it was over, for there is to be looked.
            let at = job.over.unwrap_or(now);
            match self.runs.get(&job.shown.name).cloned() {
                Some(run) => self.judge(at, &job, &run),
                None => self.tell(at, format!("Job {} was made, and no run is on record", job.shown.name)),
            }
        }
        std::mem::take(&mut self.found)
    }

    /// Judges all that is left at the end, when nothing is to live any more but the services.
    pub(crate) fn close(&mut self, now: Duration) -> Vec<Violation> {
        let mut found = self.settle(now, Duration::ZERO);
        let live: Vec<Known> = self.jobs.values().filter(|job| job.over.is_none()).cloned().collect();
        for job in live {
            match self.runs.get(&job.shown.name).cloned() {
                _ if !job.shown.is_service => self.tell(now, format!("Job {} does not end", job.shown.name)),
                Some(run) if !run.ends.is_empty() => {
                    self.tell(now, format!("Job {} lives, and its run has ended: {:?}", job.shown.name, run.ends));
                }
                Some(run) => self.born_within(&job, run.wished),
                None => self.tell(now, format!("Job {} lives, and no run is on record", job.shown.name)),
            }
        }
        let open = self.runs.iter().filter(|(name, run)| {
            run.ends.is_empty() && !self.jobs.values().any(|job| job.over.is_none() && job.shown.name == **name)
        });
        let open: Vec<String> = open.map(|(name, _)| name.clone()).collect();
        open.iter().for_each(|name| self.tell(now, format!("the run of {name} never ended")));
        found.extend(std::mem::take(&mut self.found));
        let configs = self.runs.iter().map(|(name, run)| (name.as_str(), run.config.as_str())).collect();
        found.extend(self.messages.close(now, &configs));
        found
    }

    /// Jobs seen, relists of the watch, and messages that were sent.
    pub(crate) fn counts(&self) -> (u64, u32, usize) {
        (self.births, self.relists, self.messages.sent())
    }

    /// Messages that nobody has completed.
    pub(crate) fn open_messages(&self) -> usize {
        self.messages.open()
    }

    /// Jobs of queues, and of services, that live.
    pub(crate) fn live(&self) -> (usize, usize) {
        let live = |is_service| {
            self.jobs.values().filter(move |job| job.over.is_none() && job.shown.is_service == is_service).count()
        };
        (live(false), live(true))
    }

    /// When the Job was born that has taken a message, if any has.
    pub(crate) fn taken(&self, message: &str) -> Option<Duration> {
        let job = self.messages.taken_by(message)?;
        self.jobs.values().find(|known| known.shown.name == job).map(|known| known.born)
    }

    fn tell(&mut self, at: Duration, what: String) {
        self.found.push(Violation { at, what });
    }

    fn job(&mut self, at: Duration, shown: Shown, unseen: bool) {
        let over = shown.verdict.is_some().then_some(at);
        if let Some(known) = self.jobs.get_mut(&shown.uid) {
            known.over = known.over.or(over);
            let sign = shown.sign.or(known.shown.sign);
            let verdict = shown.verdict.or(known.shown.verdict);
            known.shown = Shown { sign, verdict, ..shown };
            return;
        }
        self.births += 1;
        // One whose answer was lost, and which somebody deleted before it was seen, is asked for once more.
        self.jobs.retain(|_, job| job.shown.name != shown.name || !job.by_hand);
        if self.jobs.values().any(|job| job.shown.name == shown.name) || self.judged.contains(&shown.name) {
            self.tell(at, format!("Job {} was made twice", shown.name));
        }
        if shown.is_service {
            self.replica_is_alone(at, &shown);
        }
        let (uid, is_service) = (shown.uid.clone(), shown.is_service);
        let known = Known {
            shown,
            born: at,
            unseen,
            gone: None,
            over,
            by_hand: false,
            asked: None,
            works_since: None,
            birth: None,
        };
        self.jobs.insert(uid.clone(), known);
        if over.is_none() {
            let birth = self.count(at, &uid);
            if let (Some(known), false) = (self.jobs.get_mut(&uid), is_service) {
                known.birth = Some(birth);
            }
        }
    }

    fn replica_is_alone(&mut self, at: Duration, shown: &Shown) {
        let same = |job: &&Known| {
            job.over.is_none() && job.shown.config == shown.config && job.shown.slot == shown.slot && !job.unseen
        };
        if let Some(other) = self.jobs.values().find(same) {
            let what = format!("{} and {} are one replica of {}", other.shown.name, shown.name, shown.config);
            self.tell(at, what);
        }
    }

    /// Who lives now, from the sight of a Job that has just been born.
    fn count(&self, now: Duration, uid: &str) -> Birth {
        let config = &self.jobs[uid].shown.config;
        let live = || self.jobs.values().filter(|job| job.over.is_none() && !job.shown.is_service);
        // The one gap that docs/sharing.md names: given up, hanging in Terminating, and its entry has left the file.
        let counts = |job: &&Known| !(job.shown.terminating && self.was_away(now, &job.shown.config));
        let members = self.allowed.last().map(|(_, allowed)| allowed.members.clone()).unwrap_or_default();
        let in_pool = |job: &&Known| members.contains(&job.shown.config);
        Birth {
            of_config: live().filter(|job| job.shown.config == *config).count(),
            of_pool: members.contains(config).then(|| live().filter(in_pool).filter(counts).count()),
            of_all: live().filter(counts).count(),
        }
    }

    /// An entry was not in the file at some time of the last minutes.
    fn was_away(&self, now: Duration, config: &str) -> bool {
        self.in_force(now.saturating_sub(JUDGED_AFTER), now).any(|allowed| !allowed.entries.contains_key(config))
    }

    /// What was in force at any moment between two.
    fn in_force(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Allowed> {
        let first = self.allowed.iter().rposition(|(at, _)| *at <= from).unwrap_or_default();
        self.allowed[first..].iter().take_while(move |(at, _)| *at <= to).map(|(_, allowed)| allowed)
    }

    fn gone(&mut self, at: Duration, uid: &str, unseen: bool) {
        let Some(job) = self.jobs.get_mut(uid) else { return };
        job.gone = job.gone.or(Some(at));
        job.over = job.over.or(Some(at));
        job.unseen |= unseen;
    }

    fn listed(&mut self, at: Duration, all: Vec<Shown>) {
        self.relists += 1;
        let missing = |uid: &&String| !all.iter().any(|shown| shown.uid == **uid);
        let gone: Vec<String> = self.jobs.keys().filter(missing).cloned().collect();
        gone.iter().for_each(|uid| self.gone(at, uid, true));
        // Those that are known first: what has ended meanwhile makes room for what has begun.
        let (known, new): (Vec<_>, Vec<_>) = all.into_iter().partition(|shown| self.jobs.contains_key(&shown.uid));
        known.into_iter().for_each(|shown| self.job(at, shown, false));
        new.into_iter().for_each(|shown| self.job(at, shown, true));
    }

    fn works(&mut self, at: Duration, name: &str, works: bool) {
        for job in self.jobs.values_mut().filter(|job| job.shown.name == name) {
            job.works_since = works.then(|| job.works_since.unwrap_or(at));
        }
    }

    fn delete_asked(&mut self, at: Duration, name: &str) {
        for job in self.jobs.values_mut().filter(|job| job.shown.name == name && job.over.is_none()) {
            let worked = job.works_since.map(|since| at.saturating_sub(since)).unwrap_or_default();
            job.asked = job.asked.or(Some(worked));
        }
    }

    fn ended(&mut self, at: Duration, job: String, outcome: String) {
        let Some(run) = self.runs.get_mut(&job) else {
            return self.tell(at, format!("an end of {job}, of which no run is on record"));
        };
        run.ends.push(outcome);
        if run.ends.len() > 1 {
            let what = format!("the run of {job} was recorded {} times: {:?}", run.ends.len(), run.ends);
            self.tell(at, what);
        }
    }

    fn judge(&mut self, at: Duration, job: &Known, run: &Run) {
        let name = &job.shown.name;
        self.born_within(job, run.wished);
        let [outcome] = &run.ends[..] else {
            if run.ends.is_empty() {
                self.tell(at, format!("{name} is over since {:?}, and its run has not ended", job.over));
            }
            return;
        };
        if !job.unseen && !agrees(job, outcome) {
            let what = format!(
                "the run of {name} ended as {outcome}, and the Job as {:?} (sign {:?}, by hand: {}, asked for by us: {})",
                job.shown.verdict,
                job.shown.sign,
                job.by_hand,
                job.asked.is_some()
            );
            self.tell(at, what);
        }
        let worked = job.asked.filter(|worked| *worked >= WORKS_FROM && !job.by_hand && !job.shown.is_service);
        if let Some(worked) = worked {
            self.tell(at, format!("{name} had worked for {worked:?} when a replica deleted it ({outcome})"));
        }
    }

    /// No more than was allowed at any time from its wish to its birth.
    fn born_within(&mut self, job: &Known, wished: Duration) {
        let Some(birth) = &job.birth else { return };
        let window = || self.in_force(wished.saturating_sub(RELOADED_WITHIN), job.born);
        let config = &job.shown.config;
        let most = window().filter_map(|allowed| allowed.entries.get(config)).max().copied().unwrap_or_default();
        let pool = window().map(|allowed| allowed.pool).max().unwrap_or_default();
        let all = window().map(|allowed| allowed.limit).max().unwrap_or_default();
        let counted = [
            (format!("of {config}"), birth.of_config, most),
            (format!("in the pool {POOL}"), birth.of_pool.unwrap_or_default(), pool),
            ("in limits".to_owned(), birth.of_all, all),
        ];
        for (what, found, allowed) in counted.into_iter().filter(|(_, found, allowed)| found > allowed) {
            self.tell(job.born, format!("{found} Jobs {what} live, allowed are {allowed}: {}", job.shown.name));
        }
    }
}

/// Whether an outcome is one that a Job which ended so may have.
fn agrees(job: &Known, outcome: &str) -> bool {
    let is_told_by = |verdict| match verdict {
        Some(Verdict::Complete) => outcome == "succeeded",
        Some(Verdict::Failed) => matches!(outcome, "failed" | "start_error" | "start_timed_out"),
        None => false,
    };
    let given_up = job.asked.is_some() && matches!(outcome, "start_timed_out" | "start_error");
    let stopped = job.shown.is_service && outcome == "stopped";
    // Whoever deletes a Job takes its verdict away before it may have been read.
    let vanished = job.by_hand && outcome == "vanished";
    is_told_by(job.shown.verdict) || is_told_by(job.shown.sign) || given_up || stopped || vanished
}
