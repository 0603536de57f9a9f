//! The kinds of faults, which of them are on, and how often each has struck.

use job_chief::decide::run::event::{CreateAnswer, DeleteAnswer, GetAnswer, RunEffect, RunEvent};

use crate::states::{Matrix, States};

/// What may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Fault {
    RequestLost,
    AnswerLost,
    RequestLate,
    ViewLags,
    ViewShrinks,
    ViewReturns,
    Restart,
    JobDeleted,
    PodDeleted,
    QuotaRefuses,
    NeverStarts,
    ClockJumps,
    MessageStolen,
    StoreAway,
    JobSuspended,
    NodeGone,
    Stop,
    Pause,
    ViewStale,
    LeavesTheFile,
    AskedByHand,
    Reconfigured,
    Frozen,
    WindowEdge,
}

/// Every kind.
pub(crate) const FAULTS: [Fault; 24] = [
    Fault::RequestLost,
    Fault::AnswerLost,
    Fault::RequestLate,
    Fault::ViewLags,
    Fault::ViewShrinks,
    Fault::ViewReturns,
    Fault::Restart,
    Fault::JobDeleted,
    Fault::PodDeleted,
    Fault::QuotaRefuses,
    Fault::NeverStarts,
    Fault::ClockJumps,
    Fault::MessageStolen,
    Fault::StoreAway,
    Fault::JobSuspended,
    Fault::NodeGone,
    Fault::Stop,
    Fault::Pause,
    Fault::ViewStale,
    Fault::LeavesTheFile,
    Fault::AskedByHand,
    Fault::Reconfigured,
    Fault::Frozen,
    Fault::WindowEdge,
];

/// All kinds of faults.
pub(crate) const ALL: u32 = (1 << FAULTS.len()) - 1;

/// These kinds of faults of a single world.
pub(crate) fn faults_in_words(faults: u32) -> String {
    let kinds: Vec<_> = FAULTS.iter().filter(|kind| faults & (1 << **kind as u32) != 0).collect();
    format!("{kinds:?}")
}

/// How often each kind struck, and how often while a create or delete was in flight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    pub struck: [u64; 24],
    pub in_flight: [u64; 24],
    /// What runs and their process were in meanwhile.
    pub(crate) states: Matrix<{ FAULTS.len() }>,
}

impl Counters {
    /// One strike.
    pub(crate) fn count(&mut self, fault: Fault, in_flight: bool, states: States) {
        self.states.note(fault as usize, states);
        self.struck[fault as usize] += 1;
        self.in_flight[fault as usize] += u64::from(in_flight);
    }

    /// Adds another history's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.states.add(&other.states);
        for at in 0..FAULTS.len() {
            self.struck[at] += other.struck[at];
            self.in_flight[at] += other.in_flight[at];
        }
    }
}

/// What a request of runs is answered with that was lost.
pub(crate) fn run_unanswered(effect: &RunEffect) -> Vec<RunEvent> {
    match effect {
        RunEffect::LoadRuns => vec![RunEvent::RunsLoaded(None)],
        RunEffect::WriteWishes(wishes) => {
            wishes.iter().map(|wish| RunEvent::WishWritten(wish.name.clone(), None)).collect()
        }
        RunEffect::CreateJob(wish) => {
            vec![RunEvent::CreateAnswered(wish.name.clone(), CreateAnswer::Unanswered { retry_after: None })]
        }
        RunEffect::GetJob(name) => vec![RunEvent::GetAnswered(name.clone(), GetAnswer::Unanswered)],
        RunEffect::DeleteJob { name, .. } => {
            vec![RunEvent::DeleteAnswered(name.clone(), DeleteAnswer::Unanswered)]
        }
        RunEffect::WriteEnd(ended) => vec![RunEvent::EndWritten(ended.name.clone(), false)],
    }
}
