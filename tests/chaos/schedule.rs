//! Which fault comes when: drawn from the seed alone, so that one seed is one sequence.

use std::time::Duration;

use crate::dice::Dice;

/// Whom a fault on the way to a server meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    One(usize),
    Both,
}

impl Whom {
    /// Whether it meets this replica.
    pub(crate) fn meets(self, replica: usize) -> bool {
        self == Self::Both || self == Self::One(replica)
    }
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    LeaderKilled,
    FollowerKilled,
    LeaderStopped,
    LeaderFrozen,
    FollowerFrozen,
    ClockAhead,
    ApiCut,
    WatchesCut,
    ApiSlow,
    ApiBusy,
    ApiBroken,
    AnswersLost,
    AnswersLate,
    ApiServerKilled,
    PostgresCut,
    ConnectionsEnded,
    PostgresKilled,
    PostgresFailsOver,
    BossMigrated,
    KubeletKilled,
    DiskFull,
    PodKilled,
    PodEvicted,
    JobDeleted,
    JobDeletedInForeground,
    JobOrphaned,
    LimitsChanged,
    EntryRemoved,
    FileBroken,
    DeployedAnew,
}

/// A kind, its name in the table, how often it is drawn, and how many milliseconds it lasts, from and to.
type Row = (Kind, &'static str, u64, u64, u64);

/// All kinds. What takes a server down for everybody comes less often than what meets a replica alone.
pub(crate) const KINDS: [Row; 30] = [
    (Kind::LeaderKilled, "leader killed", 7, 0, 1_500),
    (Kind::FollowerKilled, "follower killed", 4, 0, 1_500),
    (Kind::LeaderStopped, "leader stopped", 4, 0, 1_000),
    (Kind::LeaderFrozen, "leader frozen", 7, 1_000, 8_000),
    (Kind::FollowerFrozen, "follower frozen", 2, 1_000, 5_000),
    (Kind::ClockAhead, "clock set ahead", 3, 1_000, 4_000),
    (Kind::ApiCut, "API server cut off", 7, 200, 5_000),
    (Kind::WatchesCut, "watches cut", 7, 0, 0),
    (Kind::ApiSlow, "API server slow", 5, 1_000, 4_000),
    (Kind::ApiBusy, "API server answers 429", 6, 500, 3_000),
    (Kind::ApiBroken, "API server answers 500", 6, 500, 3_000),
    (Kind::AnswersLost, "answers lost", 8, 1_000, 4_000),
    (Kind::AnswersLate, "answers held back", 5, 1_000, 4_000),
    (Kind::ApiServerKilled, "API server killed", 1, 0, 2_000),
    (Kind::PostgresCut, "Postgres cut off", 7, 200, 5_000),
    (Kind::ConnectionsEnded, "connections ended", 6, 0, 0),
    (Kind::PostgresKilled, "Postgres killed", 1, 0, 2_000),
    (Kind::PostgresFailsOver, "Postgres fails over", 2, 0, 2_000),
    (Kind::BossMigrated, "pg-boss migrated", 2, 0, 0),
    (Kind::KubeletKilled, "kubelet killed", 2, 1_000, 6_000),
    (Kind::DiskFull, "disk full", 1, 1_000, 15_000),
    (Kind::PodKilled, "pod killed", 7, 0, 0),
    (Kind::PodEvicted, "pod evicted", 5, 0, 0),
    (Kind::JobDeleted, "Job deleted", 4, 0, 0),
    (Kind::JobDeletedInForeground, "Job deleted, in the foreground", 3, 0, 0),
    (Kind::JobOrphaned, "Job deleted, its pods left", 2, 0, 0),
    (Kind::LimitsChanged, "limits changed", 6, 0, 0),
    (Kind::EntryRemoved, "entry removed", 3, 500, 5_000),
    (Kind::FileBroken, "jobs.json broken", 4, 500, 4_000),
    (Kind::DeployedAnew, "deployed anew", 4, 0, 0),
];

impl Kind {
    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        KINDS.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }
}

/// The schema of pg-boss 11, and that of the newest pg-boss.
pub(crate) const SCHEMAS: [i32; 2] = [26, 37];

/// The version of pg-boss' schema that comes after one: some further up, and from the newest back to the first.
pub(crate) fn next_schema(now: i32, pick: u64) -> i32 {
    let [first, newest] = SCHEMAS;
    let further = 1 + i32::try_from(pick % 4).expect("below 4");
    if now >= newest { first } else { (now + further).min(newest) }
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) whom: Whom,
    pub(crate) lasts: Duration,
    /// Which of what there is then: a pod, a Job, an entry, a number.
    pub(crate) pick: u64,
}

/// One fault, or two at once, and what comes after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) faults: Vec<Fault>,
    /// Until the next step, from the end of these.
    pub(crate) pause: Duration,
    /// The next step waits for a while until all is well again.
    pub(crate) settles: bool,
}

/// Steps without end.
pub(crate) struct Schedule(Dice);

impl Schedule {
    pub(crate) fn of(seed: u64) -> Self {
        Self(Dice(seed))
    }

    fn within(&mut self, from_ms: u64, to_ms: u64) -> Duration {
        Duration::from_millis(from_ms + self.0.roll(to_ms - from_ms + 1))
    }

    fn fault(&mut self) -> Fault {
        let (kind, _, _, from_ms, to_ms) = self.row();
        let whom = [Whom::One(0), Whom::One(1), Whom::Both][usize::try_from(self.0.roll(3)).expect("below 3")];
        Fault { kind, whom, lasts: self.within(from_ms, to_ms), pick: self.0.roll(u64::MAX) }
    }

    fn row(&mut self) -> Row {
        let mut drawn = self.0.roll(KINDS.iter().map(|row| row.2).sum());
        for row in KINDS {
            if drawn < row.2 {
                return row;
            }
            drawn -= row.2;
        }
        unreachable!("less than all weights together")
    }
}

impl Iterator for Schedule {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let mut faults = vec![self.fault()];
        if self.0.once_in(5) {
            let other = self.fault();
            // Two of one kind are one.
            faults.extend(Some(other).filter(|other| other.kind != faults[0].kind));
        }
        Some(Step { faults, pause: self.within(50, 700), settles: self.0.once_in(6) })
    }
}
