//! The tables of who leads and who is there: all SQL over them, one function a statement.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{Row, postgres::PgRow};

use crate::{
    decide::lease::{Answer, Ask, Record},
    store::{
        error::{StoreError, bounded},
        place::Place,
        rows::number,
    },
};

/// How long a statement on the lease may take: a lease lasts three times as long.
const LEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// A member that was not seen for so long is gone.
const MEMBER_GONE_AFTER: &str = "1 minute";

/// The row of one Instance.
#[derive(Clone, Debug)]
pub struct Leadership {
    place: Place,
}

/// An answer, and how often the switches and deployments have changed.
#[derive(Clone, Debug)]
pub struct LeaseAnswer {
    /// What the lease gets.
    pub answer: Answer,
    /// Raised with each change of a switch.
    pub switched: i64,
    /// Raised with each change of what is deployed.
    pub deployed: i64,
}

/// A process of this Instance.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its name, its own for as long as it runs.
    pub member: String,
    /// Its job-chief's version.
    pub version: String,
    /// RFC 3339.
    pub started_at: String,
    /// It leads.
    pub leads: bool,
}

impl Leadership {
    /// The leadership at a place.
    pub fn new(place: Place) -> Self {
        Self { place }
    }

    /// Carries out what a lease asks for.
    ///
    /// # Errors
    /// See [`StoreError`]; no answer within a second is one.
    pub async fn carry_out(&self, me: &str, ask: &Ask) -> Result<LeaseAnswer, StoreError> {
        let change = match ask {
            Ask::Look => "select holder, term, renewals, switched, deployed from {}.leadership where instance = $1",
            Ask::Take(_) => {
                "insert into {}.leadership as it (instance, holder, term) values ($1, $2, 1)
                on conflict (instance) do update set holder = $2, term = it.term + 1, renewals = 0
                    where it.term = $3 and it.renewals = $4 and it.holder is not distinct from $5
                returning holder, term, renewals, switched, deployed"
            }
            Ask::Renew(_) => {
                "update {}.leadership set renewals = renewals + 1 where instance = $1 and holder = $2 and term = $3
                returning holder, term, renewals, switched, deployed"
            }
            Ask::Release(_) => {
                "update {}.leadership set holder = null where instance = $1 and holder = $2 and term = $3
                returning holder, term, renewals, switched, deployed, pg_notify($4, '')"
            }
        };
        let statement = format!(
            "with done as ({change})
            select true as done, holder, term, renewals, switched, deployed from done
            union all select false, holder, term, renewals, switched, deployed from {{}}.leadership
                where instance = $1 and not exists (select from done)"
        );
        let query = self.place.sql(&statement).bind(me);
        let query = match ask {
            Ask::Look => query,
            Ask::Renew(term) => query.bind(number(*term)),
            Ask::Release(term) => query.bind(number(*term)).bind(&self.place.channel),
            Ask::Take(seen) => query.bind(number(seen.term)).bind(number(seen.renewals)).bind(seen.holder.as_deref()),
        };
        let row = tokio::time::timeout(LEASE_TIMEOUT, query.fetch_optional(&self.place.pool));
        let row = row.await.map_err(|_| StoreError::Timeout)?.map_err(StoreError::Statement)?;
        let without_row = || {
            let answer = match ask {
                Ask::Look => Answer::Done(Record::default()),
                // Another process has made the row since the statement began, or somebody has deleted it.
                Ask::Take(_) | Ask::Renew(_) | Ask::Release(_) => Answer::Refused(Record::default()),
            };
            LeaseAnswer { answer, switched: 0, deployed: 0 }
        };
        Ok(row.as_ref().map_or_else(without_row, answer_of))
    }

    /// Says that this process is there, and forgets those that are not.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_member(&self, me: &str, version: &str) -> Result<(), StoreError> {
        let write = format!(
            "with gone as (
                delete from {{}}.members where instance = $1 and seen_at < now() - interval '{MEMBER_GONE_AFTER}'
            )
            insert into {{}}.members (instance, member, version) values ($1, $2, $3)
            on conflict (instance, member) do update set seen_at = now()"
        );
        let query = self.place.sql(&write).bind(me).bind(version);
        bounded(query.execute(&self.place.pool)).await.map(|_| ())
    }

    /// Says that this process goes.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn forget_member(&self, me: &str) -> Result<(), StoreError> {
        let delete = "delete from {}.members where instance = $1 and member = $2";
        let query = self.place.sql(delete).bind(me);
        bounded(query.execute(&self.place.pool)).await.map(|_| ())
    }

    /// The processes that were there in the last minute, the leader first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn members(&self) -> Result<Vec<Member>, StoreError> {
        let select = format!(
            "select member, version, to_char(started_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as started_at,
                coalesce(holder = member, false) as leads
            from {{}}.members left join {{}}.leadership using (instance)
            where instance = $1 and seen_at >= now() - interval '{MEMBER_GONE_AFTER}' order by leads desc, member"
        );
        let query = self.place.sql(&select);
        let rows = bounded(query.fetch_all(&self.place.pool)).await?;
        let member = |row: &PgRow| Member {
            member: row.get("member"),
            version: row.get("version"),
            started_at: row.get("started_at"),
            leads: row.get("leads"),
        };
        Ok(rows.iter().map(member).collect())
    }
}

fn answer_of(row: &PgRow) -> LeaseAnswer {
    let number = |column| u64::try_from(row.get::<i64, _>(column)).unwrap_or_default();
    let record = Record {
        holder: row.get::<Option<String>, _>("holder").map(Arc::from),
        term: number("term"),
        renewals: number("renewals"),
    };
    let answer = if row.get("done") { Answer::Done(record) } else { Answer::Refused(record) };
    LeaseAnswer { answer, switched: row.get("switched"), deployed: row.get("deployed") }
}
