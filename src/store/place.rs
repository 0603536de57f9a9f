//! Where our own tables are, and whose rows in them are ours.

use sqlx::PgPool;

use crate::sql::{Statement, quoted, short_name};

/// The rows of one Instance in a schema. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) pool: PgPool,
    schema: String,
    instance: String,
    /// The channel on which an Instance is notified that a lease was given back or a switch has changed.
    pub channel: String,
}

impl Place {
    /// The rows of an Instance in a schema.
    pub fn new(pool: &PgPool, schema: &str, instance: &str) -> Self {
        let channel = short_name("job_chief_", &format!("{schema}\0{instance}"));
        Self { pool: pool.clone(), schema: quoted(schema), instance: instance.to_owned(), channel }
    }

    /// A statement in which `{}` stands for the schema and `$1` for the Instance.
    pub(super) fn sql(&self, text: &str) -> Statement {
        Statement::new(text.replace("{}", &self.schema)).bind(&self.instance)
    }
}
