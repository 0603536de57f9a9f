//! How things are with Postgres, asked in order. Everything is read only, and has a time limit.

use std::{sync::Arc, time::Duration};

use sqlx::{PgPool, postgres::PgConnectOptions};

use crate::{
    clock::{Clock, sleep},
    config::{entry::Entry, job_config::JobConfig, settings::DbSettings, settings::Settings},
    decide::lease::{Answer, Ask, RENEW_EVERY, Record, TAKE_AFTER},
    doctor::{
        own::{self, Leading},
        postgres, queues,
        report::{Check, Name, skipped},
    },
    pgboss::{
        connect,
        error::QueueError,
        shape::Shape,
        survey::{self, BossAccess, Queues, Server},
        tls,
        way::{self, Sessions},
    },
    sql::short_name,
    store::{
        error::StoreError,
        leadership::Leadership,
        migrate::newest,
        place::Place,
        survey::{OwnSchema, own_schema},
    },
    telemetry::with_causes,
};

/// What needs Postgres.
const ALL: [Name; 9] = [
    Name::Tls,
    Name::Pooler,
    Name::PostgresClock,
    Name::Grants,
    Name::PgBoss,
    Name::Queues,
    Name::Listen,
    Name::Schema,
    Name::Leader,
];

/// How often the lease is looked at: so often that a holder that lives has renewed it in between.
const LEASE_LOOKED_AT_EVERY: Duration = Duration::from_millis(RENEW_EVERY.as_millis() as u64 / 2);

/// What the questions are asked with.
struct Questions<'a> {
    db: &'a DbSettings,
    instance: &'a str,
    options: PgConnectOptions,
    pool: PgPool,
    clock: Clock,
    /// The queues of jobs.json, where it could be read.
    configs: Option<Vec<Arc<JobConfig>>>,
}

/// All lines of Postgres.
pub(super) async fn checks(settings: &Settings, entries: Option<&[Entry]>, clock: Clock) -> Vec<Check> {
    let db = &settings.db;
    let options = connect::options(db);
    if let Err(why) = way::reach(&options).await {
        let mut checks = vec![postgres::unreached(db, &why)];
        checks.extend(skipped(&ALL, "Postgres was not reached"));
        return checks;
    }
    let configs = entries.map(|entries| entries.iter().filter_map(|entry| entry.queue().cloned()).collect());
    let instance = settings.app.instance_uid.as_str();
    let questions = Questions { db, instance, options, pool: connect::pool(db), clock, configs };
    let checks = questions.checks().await;
    questions.pool.close().await;
    checks
}

impl Questions<'_> {
    async fn checks(&self) -> Vec<Check> {
        let server = match survey::server(&self.pool, self.clock).await {
            Ok(server) => server,
            Err(error) => {
                let mut checks = vec![Name::Postgres.unanswered(&error)];
                checks.extend(skipped(&ALL, "Postgres did not answer"));
                return checks;
            }
        };
        let sessions = way::sessions(&self.options).await;
        let mut checks = vec![postgres::reached(self.db, &server), self.tls().await];
        checks.push(match &sessions {
            Ok(sessions) => postgres::pooler(*sessions),
            Err(error) => Name::Pooler.skipped(format!("it can't be told: {}", with_causes(error))),
        });
        checks.push(postgres::clock(Name::PostgresClock, server.ahead));
        let boss = survey::access(&self.pool, &self.db.schema).await;
        let own = own_schema(&self.pool, &self.db.manager_schema).await;
        checks.push(self.grants(&server, &boss, &own));
        checks.extend(self.boss(&server, boss, sessions.unwrap_or(Sessions::Kept)).await);
        checks.extend(self.own(&server, own).await);
        checks
    }

    /// A connection of ours is encrypted wherever the other side can do it.
    async fn tls(&self) -> Check {
        match tls::spoken(&self.db.host, self.db.port).await {
            Ok(spoken) => postgres::tls(self.db, spoken, self.clock.now()),
            Err(error) => Name::Tls.skipped(format!("it can't be told: {error}")),
        }
    }

    fn place<'a>(&'a self, server: &'a Server) -> own::Place<'a> {
        let DbSettings { schema, manager_schema, .. } = self.db;
        own::Place { boss: schema, own: manager_schema, role: &server.role, newest: newest() }
    }

    fn grants(
        &self,
        server: &Server,
        boss: &Result<BossAccess, QueueError>,
        own: &Result<OwnSchema, StoreError>,
    ) -> Check {
        match (boss, own) {
            (Ok(boss), Ok(own)) => own::grants(&self.place(server), boss, own),
            (Err(error), _) => Name::Grants.unanswered(error),
            (_, Err(error)) => Name::Grants.unanswered(error),
        }
    }

    /// pg-boss's tables and queues, and whether they tell of messages.
    async fn boss(&self, server: &Server, access: Result<BossAccess, QueueError>, sessions: Sessions) -> Vec<Check> {
        let schema = &self.db.schema;
        let unreadable =
            access.as_ref().is_ok_and(|it| it.exists && (!it.usage || it.select.iter().any(|(_, may)| !may)));
        let mut checks = vec![];
        let known = if unreadable {
            let why = format!("the role {} may not read schema {schema}", server.role);
            checks.extend(skipped(&[Name::PgBoss, Name::Queues], &why));
            None
        } else {
            let shape = Shape::detect(&self.pool, schema).await;
            checks.push(queues::tables(schema, shape.as_ref()));
            let (known, lines) = self.queues(shape.as_ref().ok()).await;
            checks.extend(lines);
            known
        };
        checks.push(self.listen(server, known.as_ref(), sessions).await);
        checks
    }

    async fn queues(&self, shape: Option<&Shape>) -> (Option<Queues>, Vec<Check>) {
        let Some(shape) = shape else {
            return (None, skipped(&[Name::Queues], "pg-boss's tables were not found"));
        };
        match (survey::queues(&self.pool, shape).await, &self.configs) {
            (Ok(known), Some(configs)) => {
                let lines = queues::queues(configs, &known);
                (Some(known), lines)
            }
            (Ok(known), None) => (Some(known), skipped(&[Name::Queues], "jobs.json is wrong")),
            (Err(error), _) => (None, vec![Name::Queues.unanswered(&error)]),
        }
    }

    /// A notification on a channel of nobody else's is sent and waited for, where that can work.
    async fn listen(&self, server: &Server, known: Option<&Queues>, sessions: Sessions) -> Check {
        let configs = self.configs.as_deref().unwrap_or_default();
        if server.standby {
            return Name::Listen.skipped("a standby tells nobody anything");
        }
        if sessions == Sessions::Shared {
            return queues::listen(configs, known, sessions, None);
        }
        let channel = short_name("job_chief_doctor_", &format!("{:?}", self.clock.now()));
        match way::hears(&self.options, &self.pool, &channel).await {
            Ok(heard) => queues::listen(configs, known, sessions, Some(heard)),
            Err(error) => Name::Listen.failed(with_causes(&error), &["Nothing is lost by it: queues are polled."]),
        }
    }

    /// Our own schema, and who leads.
    async fn own(&self, server: &Server, own: Result<OwnSchema, StoreError>) -> Vec<Check> {
        let own = match own {
            Ok(own) => own,
            Err(error) => {
                let failed = Name::Schema.unanswered(&error);
                return vec![failed, Name::Leader.skipped("our schema can't be read")];
            }
        };
        let lacks_select = |table: &str| {
            own.lacks.iter().any(|(of, privileges)| of == table && privileges.iter().any(|it| it == "SELECT"))
        };
        let leader = match own.version {
            None => Name::Leader.skipped("our schema can't be read, or is not there"),
            Some(found) if found < newest() => Name::Leader.skipped("our schema is older than this job-chief"),
            _ if lacks_select("leadership") || lacks_select("members") => {
                Name::Leader.skipped("the role may not read the tables")
            }
            Some(_) => self.leader().await,
        };
        vec![own::schema(&self.place(server), &own), leader]
    }

    async fn leader(&self) -> Check {
        let place = Place::new(&self.pool, &self.db.manager_schema, self.instance);
        match leading(&Leadership::new(place)).await {
            Ok(leading) => own::leader(self.instance, &leading),
            Err(error) => Name::Leader.unanswered(&error),
        }
    }
}

/// Who is there, and whether whoever leads renews the lease while it is looked at, as long as a follower would.
async fn leading(table: &Leadership) -> Result<Leading, StoreError> {
    let members = table.members().await?;
    let first = look(table).await?;
    let mut record = first.clone();
    if first.holder.is_some() && !members.is_empty() {
        for _ in 0..TAKE_AFTER.as_millis().div_ceil(LEASE_LOOKED_AT_EVERY.as_millis()) {
            sleep(LEASE_LOOKED_AT_EVERY).await;
            record = look(table).await?;
            if record != first {
                break;
            }
        }
    }
    Ok(Leading { members, renews: record != first && record.holder.is_some(), holder: record.holder })
}

async fn look(table: &Leadership) -> Result<Record, StoreError> {
    match table.carry_out("", &Ask::Look).await?.answer {
        Answer::Done(record) | Answer::Refused(record) => Ok(record),
        Answer::Unanswered => Ok(Record::default()),
    }
}
