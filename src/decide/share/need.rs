//! What a JobConfig tells the arbiter, and what it is told.

use std::time::Duration;

use crate::decide::place::Places;

/// What a JobConfig holds and wants, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Need {
    /// The places of each of its runs, and of grants that it has taken in and not used yet; one entry each. An empty one,
    /// or one that lacks a pool of its policy, counts as one Job in that pool all the same.
    pub held: Vec<Places>,
    /// Jobs that it would create at once if it had the places, without those for which it has a grant.
    pub wanted: u64,
    /// Since when it wants any; `None` where it wants none.
    pub since: Option<Duration>,
    /// Since when its oldest message that could be fetched has waited, by the last look; `None` where there is none.
    pub oldest_at: Option<Duration>,
    /// The number of the last [`Grant`] that it has taken in.
    pub seen: u64,
    /// Jobs of its grants so far, since its actor began, that it has not created: their places went back unused. Their turn
    /// and their tokens are given back for that.
    pub returned: u64,
    /// It shares nothing, by what it knows: those of its runs that have no places are left out of `held`.
    pub partial: bool,
    /// Runs with places that were refused so far, since its actor began: somebody has a place of theirs, or their slot.
    pub refused: u64,
}

/// Places for Jobs that are to be created now. Without any: what is on record is more than its JobConfig has told, so it is
/// to load its runs anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grant {
    /// From 1, going up: the places of one count as held until [`Need::seen`] has reached it.
    pub number: u64,
    /// One entry for each Job.
    pub places: Vec<Places>,
}
