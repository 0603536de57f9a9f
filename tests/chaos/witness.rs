//! The witness: its own watches and its own connections; it never asks job-chief.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{Pod, PodStatus},
    },
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    runtime::watcher::{Config, Event, watcher},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::{
    RETRY,
    journal::Journal,
    seen::{Seen, Shown, Verdict},
};

/// How often the tables are read.
const READ_EVERY: Duration = Duration::from_millis(250);

/// Rows that are read again, as a number may be drawn before another and committed after it.
const OVERLAP: i64 = 500;

/// Triggers of the harness' own that write down what happens to messages and runs, by whom, in order.
pub(crate) const RECORD: &str = "create schema witness;
    create table witness.seen (
        number bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(),
        kind text not null, subject text not null, about text not null, word text not null, who text not null);
    create function witness.message() returns trigger language plpgsql as $$ begin
        insert into witness.seen (kind, subject, about, word, who)
            values ('message', new.id::text, new.name, new.state::text, current_setting('application_name'));
        return null; end $$;
    create trigger witness_sent after insert on pgboss.job for each row execute function witness.message();
    create trigger witness_changed after update of state on pgboss.job for each row
        when (old.state is distinct from new.state) execute function witness.message();
    create function witness.run() returns trigger language plpgsql as $$ begin
        insert into witness.seen (kind, subject, about, word, who, at)
            values (case when new.ended_at is null then 'wished' else 'ended' end, new.job, new.job_config,
                coalesce(new.outcome, ''), '', case when new.ended_at is null then new.wished_at else clock_timestamp() end);
        return null; end $$;
    create trigger witness_wished after insert on chief.runs for each row execute function witness.run();
    create trigger witness_ended after update on chief.runs for each row
        when (new.ended_at is not null and (old.ended_at, old.outcome) is distinct from (new.ended_at, new.outcome))
        execute function witness.run();";

/// Watches and reads for as long as the run lasts.
pub(crate) fn begin(journal: &Arc<Journal>, client: &Client, namespace: &str, database_url: String) {
    tokio::spawn(jobs(journal.clone(), Api::namespaced(client.clone(), namespace)));
    tokio::spawn(pods(journal.clone(), Api::namespaced(client.clone(), namespace)));
    tokio::spawn(tables(journal.clone(), database_url));
}

async fn jobs(journal: Arc<Journal>, api: Api<Job>) {
    let mut listed: Option<Vec<Shown>> = None;
    let mut events = watcher(api, Config::default()).boxed();
    loop {
        match events.try_next().await {
            Ok(Some(Event::Init)) => listed = Some(vec![]),
            Ok(Some(Event::InitApply(job))) => listed.get_or_insert_default().push(shown(&job)),
            Ok(Some(Event::InitDone)) => journal.note(Seen::Listed(listed.take().unwrap_or_default())),
            Ok(Some(Event::Apply(job))) => journal.note(Seen::Job(shown(&job))),
            Ok(Some(Event::Delete(job))) => {
                // What it was at last may not have been shown before.
                journal.note(Seen::Job(shown(&job)));
                journal.note(Seen::Gone(job.metadata.uid.unwrap_or_default()));
            }
            Ok(None) => return,
            Err(error) => {
                journal.write("watch", &json!(error.to_string()));
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// A Job as the judge wants it.
pub(crate) fn shown(job: &Job) -> Shown {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let has = |kind: &str| conditions.iter().any(|it| it.type_ == kind && it.status == "True");
    let either = |complete, failed| match (has(complete), has(failed)) {
        (true, _) => Some(Verdict::Complete),
        (_, true) => Some(Verdict::Failed),
        _ => None,
    };
    let annotation = |key: &str| job.metadata.annotations.as_ref().and_then(|all| all.get(key).cloned());
    let label = |key: &str| job.metadata.labels.as_ref().and_then(|all| all.get(key).cloned());
    Shown {
        uid: job.metadata.uid.clone().unwrap_or_default(),
        name: job.metadata.name.clone().unwrap_or_default(),
        config: annotation("job-chief/name").unwrap_or_default(),
        is_service: label("job-chief/type").as_deref() == Some("service"),
        slot: annotation("job-chief/slot").unwrap_or_default(),
        verdict: either("Complete", "Failed"),
        sign: either("SuccessCriteriaMet", "FailureTarget"),
        terminating: job.metadata.deletion_timestamp.is_some(),
    }
}

async fn pods(journal: Arc<Journal>, api: Api<Pod>) {
    let mut events = watcher(api, Config::default()).boxed();
    loop {
        match events.try_next().await {
            Ok(Some(Event::InitApply(pod) | Event::Apply(pod))) => works(&journal, &pod, runs(pod.status.as_ref())),
            Ok(Some(Event::Delete(pod))) => works(&journal, &pod, false),
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

fn runs(status: Option<&PodStatus>) -> bool {
    let containers = status.and_then(|status| status.container_statuses.clone()).unwrap_or_default();
    containers.iter().any(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()))
}

fn works(journal: &Journal, pod: &Pod, works: bool) {
    let job = pod.metadata.labels.as_ref().and_then(|all| all.get("batch.kubernetes.io/job-name"));
    job.into_iter().for_each(|job| journal.note(Seen::Works(job.clone(), works)));
}

/// Reads what the triggers wrote, again and again; Postgres away is waited for.
async fn tables(journal: Arc<Journal>, database_url: String) {
    let (mut newest, mut known) = (0, BTreeSet::new());
    loop {
        if let Err(error) = read(&journal, &database_url, &mut newest, &mut known).await {
            journal.write("Postgres", &json!(error.to_string()));
            tokio::time::sleep(RETRY).await;
        }
    }
}

async fn read(
    journal: &Journal,
    database_url: &str,
    newest: &mut i64,
    known: &mut BTreeSet<i64>,
) -> Result<(), sqlx::Error> {
    const SQL: &str = "select number, kind, subject, about, word, who, (extract(epoch from at) * 1000000)::bigint as at
        from witness.seen where number > $1 order by number";
    let mut connection = PgConnection::connect(database_url).await?;
    loop {
        *known = known.split_off(&(*newest - OVERLAP + 1));
        let mut forgotten = known.clone();
        let rows = sqlx::query(AssertSqlSafe(SQL)).bind(*newest - OVERLAP).fetch_all(&mut connection).await?;
        for row in rows {
            let number: i64 = row.try_get("number")?;
            forgotten.remove(&number);
            if known.insert(number) {
                *newest = (*newest).max(number);
                let text = |name: &str| row.try_get::<String, _>(name);
                let at = Timestamp::from_microsecond(row.try_get("at")?).unwrap_or_default();
                let (subject, about, word) = (text("subject")?, text("about")?, text("word")?);
                journal.note(match text("kind")?.as_str() {
                    "wished" => Seen::Wished { job: subject, config: about, at: journal.since(at) },
                    "ended" => Seen::Ended { job: subject, outcome: word },
                    _ => Seen::Message { id: subject, queue: about, state: word, by: text("who")? },
                });
            }
        }
        for row in &forgotten {
            journal.note(Seen::Forgotten(*row));
            known.remove(row);
        }
        tokio::time::sleep(READ_EVERY).await;
    }
}
