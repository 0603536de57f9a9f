//! What of a jobs.json is in force: its entries, and what they share. Both change together or not at all.

use std::sync::Arc;

use crate::config::{entry::Entry, sharing::Sharing};

/// A jobs.json as it was last found good. Clones are cheap.
#[derive(Clone, Debug, PartialEq)]
pub struct InFile {
    /// Its entries in the order of the file.
    pub entries: Arc<[Entry]>,
    /// What they share.
    pub sharing: Arc<Sharing>,
}

impl InFile {
    /// These entries, which share this.
    pub fn new(entries: Vec<Entry>, sharing: Sharing) -> Self {
        Self { entries: entries.into(), sharing: sharing.into() }
    }
}
