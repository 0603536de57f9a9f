//! The tables of deployments and their objects: all SQL over them, one function a statement.

use serde_json::{Map, Value};
use sqlx::{Row, postgres::PgRow};

use crate::{
    decide::deployment::{
        fleet::{Deployed, InForce},
        record::{
            Applied, Change, DeployedObject, Deployment, Known, NewDeployment, ObjectState, body_hash, json_text,
        },
    },
    modules::object::{KINDS, Object, ObjectId, ObjectKind},
    sql::Statement,
    store::{
        error::{StoreError, bounded},
        place::Place,
        rows::number,
    },
};

/// Postgres' code for a key that is taken.
const UNIQUE_VIOLATION: &str = "23505";

/// The deployments of one Instance.
#[derive(Clone, Debug)]
pub struct DeploymentTable {
    place: Place,
}

/// All deployments as of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Raised with each change of what is deployed; a write is judged by a snapshot, and refused once this is higher.
    pub deployed: i64,
    /// By name.
    pub deployments: Vec<Deployment>,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is on record, as this revision of the deployment.
    Revision(i64),
    /// Something has changed since the snapshot it was judged by: it is to be judged again.
    Stale,
    /// Another deployment owns one of the objects.
    Taken,
}

/// What was done about an object.
#[derive(Clone, Debug)]
pub struct NoteRow<'a> {
    /// The term in which it was done; nothing is written of another than the current one.
    pub term: u64,
    /// The deployment.
    pub deployment: &'a str,
    /// The object.
    pub id: &'a ObjectId,
    /// The revision for which it was done. What people have written since keeps its state.
    pub revision: i64,
    /// What is known of it.
    pub known: &'a Known,
    /// A JobConfig comes into force, or another one, or leaves it.
    pub fleet: bool,
}

impl DeploymentTable {
    /// The deployments at a place.
    pub fn new(place: Place) -> Self {
        Self { place }
    }

    /// `{raised}` is the one row of who leads, if nobody has changed what is deployed since `$3`; `{lead}` is that of
    /// the term `$2`, which no other process can take before this statement is over.
    fn sql(&self, text: &str) -> Statement {
        let raised = "raised as (
                insert into {}.leadership as it (instance, term, deployed) values ($1, 0, 1)
                on conflict (instance) do update set deployed = it.deployed + 1 where it.deployed = $3 returning 1
            )";
        let lead = "lead as (
                update {}.leadership set deployed = deployed + $3 where instance = $1 and term = $2 returning 1
            )";
        self.place.sql(&text.replace("{raised}", raised).replace("{lead}", lead))
    }

    /// All of them, with their objects.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn read(&self) -> Result<Snapshot, StoreError> {
        self.read_where("true", None).await
    }

    /// One of them, with its objects.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn one(&self, name: &str) -> Result<Option<Deployment>, StoreError> {
        Ok(self.read_where("d.name = $2", Some(name)).await?.deployments.pop())
    }

    async fn read_where(&self, which: &str, name: Option<&str>) -> Result<Snapshot, StoreError> {
        let time = "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'";
        let select = format!(
            "select counted.deployed, d.name as deployment, d.module, d.version, d.config::text as config, d.rendered_hash,
                d.force, d.reconcile, d.revision, d.gone, d.volumes, d.who, d.why,
                to_char(d.written_at at time zone 'utc', {time}) as written_at,
                o.kind, o.name, o.dependency, o.body::text as body, o.hash, o.file, o.line,
                o.revision as object_revision, o.wanted, o.state, o.result, o.message,
                o.asked_at is not null as asked, o.applied_hash, o.uid, o.completed,
                to_char(o.changed_at at time zone 'utc', {time}) as changed_at
            from (select coalesce(max(deployed), 0) as deployed from {{}}.leadership where instance = $1) as counted
            left join {{}}.deployments as d on d.instance = $1 and {which}
            left join {{}}.deployment_objects as o on o.instance = d.instance and o.deployment = d.name
            order by d.name collate \"C\", o.wanted desc, o.position, o.kind, o.name"
        );
        let query = self.place.sql(&select);
        let query = name.map_or(query.clone(), |name| query.bind(name));
        let rows = bounded(query.fetch_all(&self.place.pool)).await?;
        let mut snapshot = Snapshot::default();
        for row in &rows {
            snapshot.deployed = row.get("deployed");
            let Some(name) = row.get::<Option<String>, _>("deployment") else { continue };
            if snapshot.deployments.last().is_none_or(|last| last.name != name) {
                snapshot.deployments.push(deployment(name, row));
            }
            if let Some(last) = snapshot.deployments.last_mut() {
                last.objects.extend(object(row));
            }
        }
        Ok(snapshot)
    }

    /// What every process has to know of them: which there are, and the JobConfigs that are in force.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn in_force(&self) -> Result<Deployed, StoreError> {
        let select = "select d.name as deployment, d.revision, o.name, o.applied_body::text as body, o.file, o.line
            from {}.deployments as d left join {}.deployment_objects as o on o.instance = d.instance
                and o.deployment = d.name and o.kind = 'JobConfig' and o.applied_body is not null
            where d.instance = $1 order by d.name collate \"C\", o.position, o.name";
        let mut deployed = Deployed::default();
        for row in &bounded(self.place.sql(select).fetch_all(&self.place.pool)).await? {
            let deployment: String = row.get("deployment");
            deployed.revisions.insert(deployment.clone(), row.get("revision"));
            if let Some(name) = row.get("name") {
                let id = ObjectId { kind: ObjectKind::JobConfig, name };
                deployed.in_force.push(InForce { deployment, object: body(id, row) });
            }
        }
        Ok(deployed)
    }

    /// Writes what is to be deployed, all or nothing: an object that is not in it any more is to go.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn deploy(&self, new: &NewDeployment, seen: i64) -> Result<Written, StoreError> {
        let write = "with {raised}, deployed as (
                insert into {}.deployments as it
                    (instance, name, module, version, config, rendered_hash, force, reconcile, revision, who, why)
                select $1, $2, $4, $5, $6::jsonb, $7, $8, $9, 1, $10, $11 from raised
                on conflict (instance, name) do update set module = $4, version = $5, config = $6::jsonb,
                    rendered_hash = $7, force = $8, reconcile = $9, revision = it.revision + 1, who = $10, why = $11,
                    written_at = now()
                where not it.gone returning revision
            ), wanted as (
                select * from unnest($12::text[], $13::text[], $14::bool[], $15::text[], $16::text[], $17::text[], $18::bigint[])
                    with ordinality as w (kind, name, dependency, body, hash, file, line, position)
            ), objects as (
                insert into {}.deployment_objects
                    (instance, deployment, kind, name, position, dependency, body, hash, file, line, revision)
                select $1, $2, kind, name, position, dependency, body::jsonb, hash, file, line, revision
                from wanted, deployed
                on conflict (instance, deployment, kind, name) do update set position = excluded.position,
                    dependency = excluded.dependency, body = excluded.body, hash = excluded.hash, file = excluded.file,
                    line = excluded.line, revision = excluded.revision, wanted = true, state = 'waiting', result = null,
                    message = null, changed_at = now()
            ), dropped as (
                update {}.deployment_objects as it set wanted = false, state = 'waiting', revision = deployed.revision,
                    result = null, message = null, changed_at = now()
                from deployed where it.instance = $1 and it.deployment = $2
                    and not exists (select from wanted where wanted.kind = it.kind and wanted.name = it.name)
            )
            select revision, pg_notify($19, '') from deployed";
        let objects = || new.objects.iter().map(|it| &it.object);
        let query = self
            .sql(write)
            .bind(&new.name)
            .bind(seen)
            .bind(&new.module)
            .bind(&new.version)
            .bind(json_text(&new.config))
            .bind(new.rendered_hash())
            .bind(new.force)
            .bind(new.reconcile)
            .bind(&new.who)
            .bind(&new.why)
            .bind(objects().map(|it| it.id.kind.as_str()).collect::<Vec<_>>())
            .bind(objects().map(|it| it.id.name.as_str()).collect::<Vec<_>>())
            .bind(new.objects.iter().map(|it| it.dependency).collect::<Vec<_>>())
            .bind(objects().map(|it| json_text(&it.body)).collect::<Vec<_>>())
            .bind(objects().map(|it| body_hash(&it.body)).collect::<Vec<_>>())
            .bind(objects().map(|it| it.file.as_str()).collect::<Vec<_>>())
            .bind(objects().map(|it| i64::try_from(it.line).unwrap_or(i64::MAX)).collect::<Vec<_>>())
            .bind(&self.place.channel);
        self.written(query).await
    }

    /// A deployment is to go, and so are these PersistentVolumeClaims of it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn undeploy(
        &self,
        name: &str,
        volumes: &[String],
        (who, why): (&str, &str),
        seen: i64,
    ) -> Result<Written, StoreError> {
        let write = "with {raised}, deployed as (
                update {}.deployments as it set gone = true, volumes = $4::text[], revision = it.revision + 1, who = $5,
                    why = $6, written_at = now()
                from raised where it.instance = $1 and it.name = $2 returning it.revision
            ), dropped as (
                update {}.deployment_objects as it set wanted = false, state = 'waiting', revision = deployed.revision,
                    result = null, message = null, changed_at = now()
                from deployed where it.instance = $1 and it.deployment = $2
            )
            select revision, pg_notify($7, '') from deployed";
        let query = self.sql(write).bind(name).bind(seen).bind(volumes).bind(who).bind(why).bind(&self.place.channel);
        self.written(query).await
    }

    async fn written(&self, query: Statement) -> Result<Written, StoreError> {
        match bounded(query.fetch_optional(&self.place.pool)).await {
            Ok(Some(row)) => Ok(Written::Revision(row.get("revision"))),
            Ok(None) => Ok(Written::Stale),
            Err(StoreError::Statement(sqlx::Error::Database(error)))
                if error.code().as_deref() == Some(UNIQUE_VIOLATION) =>
            {
                Ok(Written::Taken)
            }
            Err(error) => Err(error),
        }
    }

    /// Records what was done about an object.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing is written of a term that is over.
    pub async fn note(&self, row: &NoteRow<'_>) -> Result<(), StoreError> {
        let write = "with {lead}, written as (
                update {}.deployment_objects as it set
                    state = case when it.revision = $7 then $8 else it.state end,
                    result = case when it.revision = $7 then $9 else it.result end,
                    message = case when it.revision = $7 then $10 else it.message end,
                    changed_at = now(), asked_at = case when $11 then now() end,
                    applied_hash = case when it.kind = 'JobConfig' and it.hash <> $12 then it.applied_hash else $12 end,
                    applied_body = case when it.kind <> 'JobConfig' or $12 is null then null
                        when it.hash = $12 then it.body else it.applied_body end,
                    uid = $13, completed = $14
                from lead where it.instance = $1 and it.deployment = $4 and it.kind = $5 and it.name = $6
            )
            select case when $3 > 0 then pg_notify($15, '')::text end from lead";
        let Known { state, result, message, asked, applied } = row.known;
        let query = self
            .sql(write)
            .bind(number(row.term))
            .bind(i64::from(row.fleet))
            .bind(row.deployment)
            .bind(row.id.kind.as_str())
            .bind(&row.id.name)
            .bind(row.revision)
            .bind(state.as_str())
            .bind(result.map(Change::as_str))
            .bind(message.as_ref())
            .bind(*asked)
            .bind(applied.as_ref().map(|it| it.hash.as_str()))
            .bind(applied.as_ref().map(|it| it.uid.as_str()))
            .bind(applied.as_ref().is_some_and(|it| it.completed))
            .bind(&self.place.channel);
        self.in_term(query).await
    }

    /// An object that is not wanted is gone, or is not ours any more.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing is written of a term that is over.
    pub async fn object_gone(
        &self,
        term: u64,
        deployment: &str,
        id: &ObjectId,
        revision: i64,
    ) -> Result<(), StoreError> {
        let write = "with {lead}, written as (
                delete from {}.deployment_objects as it using lead
                where it.instance = $1 and it.deployment = $4 and it.kind = $5 and it.name = $6 and it.revision = $7
                    and not it.wanted
            )
            select from lead";
        let query = self.sql(write).bind(number(term)).bind(0_i64).bind(deployment);
        self.in_term(query.bind(id.kind.as_str()).bind(&id.name).bind(revision)).await
    }

    /// Nothing is left of a deployment that was to go.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing is written of a term that is over.
    pub async fn gone(&self, term: u64, deployment: &str, revision: i64) -> Result<(), StoreError> {
        let write = "with {lead}, written as (
                delete from {}.deployments as it using lead
                where it.instance = $1 and it.name = $4 and it.revision = $5 and it.gone and not exists (
                    select from {}.deployment_objects where instance = $1 and deployment = $4
                )
            )
            select pg_notify($6, '') from lead";
        let query = self.sql(write).bind(number(term)).bind(1_i64).bind(deployment);
        self.in_term(query.bind(revision).bind(&self.place.channel)).await
    }

    async fn in_term(&self, query: Statement) -> Result<(), StoreError> {
        match bounded(query.fetch_optional(&self.place.pool)).await? {
            Some(_) => Ok(()),
            None => Err(StoreError::TermOver),
        }
    }
}

fn parsed(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

fn deployment(name: String, row: &PgRow) -> Deployment {
    Deployment {
        name,
        module: row.get("module"),
        version: row.get("version"),
        config: parsed(row.get("config")),
        rendered_hash: row.get("rendered_hash"),
        force: row.get("force"),
        reconcile: row.get("reconcile"),
        revision: row.get("revision"),
        gone: row.get("gone"),
        volumes: row.get("volumes"),
        who: row.get("who"),
        why: row.get("why"),
        written_at: row.get("written_at"),
        objects: vec![],
    }
}

/// The object of a row. One of a kind that this version does not know is left to the version that does.
fn object(row: &PgRow) -> Option<DeployedObject> {
    let kind: String = row.get::<Option<_>, _>("kind")?;
    let kind = KINDS.into_iter().find(|known| known.as_str() == kind)?;
    let applied = row.get::<Option<String>, _>("applied_hash").map(|hash| Applied {
        hash,
        uid: row.get::<Option<_>, _>("uid").unwrap_or_default(),
        completed: row.get("completed"),
    });
    let known = Known {
        state: ObjectState::of(row.get("state")),
        result: row.get::<Option<&str>, _>("result").and_then(Change::of),
        message: row.get("message"),
        asked: row.get("asked"),
        applied,
    };
    Some(DeployedObject {
        dependency: row.get("dependency"),
        object: body(ObjectId { kind, name: row.get("name") }, row),
        hash: row.get("hash"),
        revision: row.get("object_revision"),
        wanted: row.get("wanted"),
        known,
        changed_at: row.get("changed_at"),
    })
}

fn body(id: ObjectId, row: &PgRow) -> Object {
    let line = usize::try_from(row.get::<i32, _>("line")).unwrap_or_default();
    Object { id, body: parsed(row.get("body")), file: row.get("file"), line }
}
