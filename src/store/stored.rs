//! All of our tables.

use sqlx::PgPool;

use crate::store::{decisions::Decisions, leadership::Leadership, runs::Runs, switches::SwitchTable};

/// The tables of one Instance. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Each Job from wish to end.
    pub runs: Runs,
    /// What was decided, and why.
    pub decisions: Decisions,
    /// Who leads, and who is there.
    pub leadership: Leadership,
    /// What people have said.
    pub switches: SwitchTable,
}

impl Stored {
    /// The tables of an Instance in a schema.
    pub fn new(pool: &PgPool, schema: &str, instance: &str) -> Self {
        Self {
            runs: Runs::new(pool.clone(), schema, instance),
            decisions: Decisions::new(pool.clone(), schema, instance),
            leadership: Leadership::new(pool.clone(), schema, instance),
            switches: SwitchTable::new(pool.clone(), schema, instance),
        }
    }
}
