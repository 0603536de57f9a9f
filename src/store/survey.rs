//! What our schema is like, and what the role may do there: read for people, without touching it.

use sqlx::{PgPool, Row, postgres::PgRow};

use crate::{
    sql::{Statement, quoted},
    store::error::{StoreError, bounded},
};

/// The tables, each with whether it is written.
const TABLES: [(&str, bool); 10] = [
    ("_sqlx_migrations", false),
    ("runs", true),
    ("places", true),
    ("decisions", true),
    ("leadership", true),
    ("members", true),
    ("switches", true),
    ("actions", true),
    ("deployments", true),
    ("deployment_objects", true),
];

/// Our schema, and what the role may do there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnSchema {
    /// It is there.
    pub exists: bool,
    /// The role may make a schema.
    pub may_make: bool,
    /// The role owns it, and may change its tables.
    pub owns: bool,
    /// USAGE on it.
    pub usage: bool,
    /// What the role lacks, such as `INSERT` on `runs`: a table with the privileges on it.
    pub lacks: Vec<(String, Vec<String>)>,
    /// Its version; `None` where it can't be read.
    pub version: Option<i64>,
}

/// Reads it from the catalogue, which tells everybody, and the version where the role may.
///
/// # Errors
/// See [`StoreError`].
pub async fn own_schema(pool: &PgPool, schema: &str) -> Result<OwnSchema, StoreError> {
    let select = "select n.oid is not null as there, has_database_privilege(current_database(), 'create') as may_make,
            coalesce(pg_has_role(n.nspowner, 'usage'), false) as owns,
            coalesce(has_schema_privilege(n.oid, 'usage'), false) as usage
        from (select) as one left join pg_namespace n on n.nspname = $1";
    let row = bounded(Statement::new(select).bind(schema).fetch_one(pool)).await?;
    let mut found = OwnSchema {
        exists: row.get("there"),
        may_make: row.get("may_make"),
        owns: row.get("owns"),
        usage: row.get("usage"),
        ..OwnSchema::default()
    };
    let (readable, lacks) = tables(pool, schema).await?;
    found.lacks = lacks;
    if found.usage && readable {
        found.version = Some(version(pool, schema).await?);
    }
    Ok(found)
}

/// Whether the table of versions can be read, and what is lacking on all tables that there are.
async fn tables(pool: &PgPool, schema: &str) -> Result<(bool, Vec<(String, Vec<String>)>), StoreError> {
    let select = "select c.relname::text as name, p.privilege, has_table_privilege(c.oid, p.privilege) as may
        from pg_class c join pg_namespace n on n.oid = c.relnamespace,
            unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) with ordinality as p(privilege, place)
        where n.nspname = $1 and c.relkind = 'r' and c.relname = any($2::text[]) order by c.relname, p.place";
    let names: Vec<&str> = TABLES.iter().map(|(name, _)| *name).collect();
    let rows = bounded(Statement::new(select).bind(schema).bind(names).fetch_all(pool)).await?;
    let (mut readable, mut lacks) = (false, Vec::<(String, Vec<String>)>::new());
    for (name, privilege, may) in rows.iter().map(privilege) {
        let (table, is_written) = TABLES.iter().find(|(table, _)| *table == name).expect("it was asked for");
        let is_needed = privilege == "SELECT" || *is_written;
        readable |= *table == TABLES[0].0 && privilege == "SELECT" && may;
        if !is_needed || may {
            continue;
        }
        match lacks.last_mut().filter(|(table, _)| *table == name) {
            Some((_, privileges)) => privileges.push(privilege),
            None => lacks.push((name, vec![privilege])),
        }
    }
    Ok((readable, lacks))
}

fn privilege(row: &PgRow) -> (String, String, bool) {
    (row.get("name"), row.get("privilege"), row.get("may"))
}

async fn version(pool: &PgPool, schema: &str) -> Result<i64, StoreError> {
    let select = format!("select coalesce(max(version), 0) as version from {}._sqlx_migrations", quoted(schema));
    Ok(bounded(Statement::new(select).fetch_one(pool)).await?.get("version"))
}
