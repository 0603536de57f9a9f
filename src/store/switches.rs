//! The table of switches: all SQL over it, one function a statement.

use sqlx::{Row, postgres::PgRow};

use crate::{
    config::entry::Kind,
    decide::switches::{Asked, Said, ServiceSwitch, Switch, Switches, Verb},
    sql::Statement,
    store::{
        error::{StoreError, bounded},
        place::Place,
    },
};

/// Jobs that may be asked for by hand before the first of them is on record.
pub const RUNS_ASKED_MAX: i64 = 100;

/// The name that stands for all JobConfigs.
const ALL: &str = "";

/// The switches of one Instance.
#[derive(Clone, Debug)]
pub struct SwitchTable {
    place: Place,
}

/// An operator's word on pausing.
#[derive(Clone, Copy, Debug)]
pub struct Saying<'a> {
    /// Nothing is to be created.
    pub paused: bool,
    /// The value in jobs.json now.
    pub file_paused: bool,
    /// Who sets it.
    pub who: &'a str,
    /// Why.
    pub why: &'a str,
}

/// What somebody may say of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceVerb {
    /// To be up; waits are over.
    Start,
    /// To be down, until an operator starts it.
    Stop,
    /// Every replica ends and is started anew.
    Restart,
    /// To be down, and pods get no grace.
    Halt,
    /// As `enabled: true`.
    Enable,
    /// As `enabled: false`.
    Disable,
}

/// Each of them.
pub const SERVICE_VERBS: [ServiceVerb; 6] = [
    ServiceVerb::Start,
    ServiceVerb::Stop,
    ServiceVerb::Restart,
    ServiceVerb::Halt,
    ServiceVerb::Enable,
    ServiceVerb::Disable,
];

impl ServiceVerb {
    /// The word in the API and of the command.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Halt => "halt",
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }
}

impl SwitchTable {
    /// The switches at a place.
    pub fn new(place: Place) -> Self {
        Self { place }
    }

    /// `{told}` stands for what tells all processes of a change made in `changed`.
    fn sql(&self, text: &str) -> Statement {
        let told = "raised as (
                insert into {}.leadership as it (instance, term, switched) select $1, 0, 1 where exists (select from changed)
                on conflict (instance) do update set switched = it.switched + 1
            )";
        self.place.sql(&text.replace("{told}", told))
    }

    /// All of them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn load(&self) -> Result<Switches, StoreError> {
        let select =
            "select job_config, paused, file_paused, coalesce(who, '') as who, coalesce(why, '') as why, run_asked,
                coalesce(run_who, '') as run_who, coalesce(run_why, '') as run_why,
                coalesce(to_char(run_asked_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), '') as run_asked_at,
                enabled, file_enabled, stopped, halted, starts, restart_before, verb, coalesce(verb_who, '') as verb_who,
                coalesce(verb_why, '') as verb_why,
                coalesce(to_char(verb_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), '') as verb_at,
                coalesce(to_char(said_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), '') as at
            from {}.switches where instance = $1";
        let query = self.sql(select);
        let mut switches = Switches::default();
        for row in &bounded(query.fetch_all(&self.place.pool)).await? {
            let name: String = row.get("job_config");
            let switch = switch(row);
            if name == ALL {
                switches.all = switch.said;
            } else {
                switches.by_config.insert(name, switch);
            }
        }
        Box::pin(self.load_actions(&mut switches)).await?;
        Ok(switches)
    }

    /// What was asked for by hand of the actions of services.
    async fn load_actions(&self, switches: &mut Switches) -> Result<(), StoreError> {
        let select = "select job_config, action, asked, coalesce(who, '') as who, coalesce(why, '') as why,
                coalesce(to_char(asked_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), '') as at
            from {}.actions where instance = $1 and asked > 0";
        for row in &bounded(self.sql(select).fetch_all(&self.place.pool)).await? {
            let asked = Asked {
                count: u64::try_from(row.get::<i64, _>("asked")).unwrap_or_default(),
                who: row.get("who"),
                why: row.get("why"),
                at: row.get("at"),
            };
            let switch = switches.by_config.entry(row.get("job_config")).or_default();
            switch.service.actions.insert(row.get::<String, _>("action").into(), asked);
        }
        Ok(())
    }

    /// Writes an operator's switch of one JobConfig, or of all.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn say(&self, config: Option<&str>, saying: Saying<'_>) -> Result<(), StoreError> {
        let write = "with changed as (
                insert into {}.switches (instance, job_config, paused, file_paused, who, why, said_at)
                values ($1, $2, $3, $4, $5, $6, now())
                on conflict (instance, job_config) do update
                    set paused = $3, file_paused = $4, who = $5, why = $6, said_at = now()
                returning 1
            ), {told}
            select pg_notify($7, '') from changed";
        let query = self
            .sql(write)
            .bind(config.unwrap_or(ALL))
            .bind(saying.paused)
            .bind(saying.file_paused)
            .bind(saying.who)
            .bind(saying.why)
            .bind(&self.place.channel);
        bounded(query.execute(&self.place.pool)).await.map(|_| ())
    }

    /// The switch of a JobConfig has lapsed: jobs.json has another value than it had then.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn unsay(&self, kind: Kind, config: &str, file: bool) -> Result<(), StoreError> {
        let (over, said) = match kind {
            Kind::Queue => {
                ("paused = null, who = null, why = null, said_at = null", "paused is not null and file_paused <> $3")
            }
            Kind::Service => ("enabled = null", "enabled is not null and file_enabled <> $3"),
        };
        let write = format!(
            "with changed as (
                update {{}}.switches set {over} where instance = $1 and job_config = $2 and {said} returning 1
            ), {{told}}
            select pg_notify($4, '') from changed"
        );
        let query = self.sql(&write).bind(config).bind(file).bind(&self.place.channel);
        bounded(query.execute(&self.place.pool)).await.map(|_| ())
    }

    /// Writes down a verb for each of these services.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn tell_services(
        &self,
        services: &[(String, bool)],
        verb: ServiceVerb,
        (who, why): (&str, &str),
    ) -> Result<(), StoreError> {
        let write = "with changed as (
                insert into {}.switches as it (instance, job_config, enabled, file_enabled, stopped, halted, starts,
                    restart_before, verb, verb_who, verb_why, verb_at)
                select $1, name, case $4 when 'enable' then true when 'disable' then false end, file_enabled,
                    $4 in ('stop', 'halt'), $4 = 'halt', ($4 in ('start', 'restart'))::int, ($4 = 'restart')::int,
                    $4, $5, $6, now()
                from unnest($2::text[], $3::bool[]) as told (name, file_enabled)
                on conflict (instance, job_config) do update set
                    enabled = coalesce(excluded.enabled, it.enabled),
                    file_enabled = case when excluded.enabled is null then it.file_enabled else excluded.file_enabled end,
                    stopped = case when excluded.enabled is null then excluded.stopped else it.stopped end,
                    halted = case when excluded.enabled is null then excluded.halted else it.halted end,
                    starts = it.starts + excluded.starts,
                    restart_before = case $4 when 'restart' then it.starts + 1 else it.restart_before end,
                    verb = $4, verb_who = $5, verb_why = $6, verb_at = now()
                returning 1
            ), {told}
            select pg_notify($7, '') from (select from changed limit 1) as once";
        let (names, files): (Vec<String>, Vec<bool>) = services.iter().cloned().unzip();
        let query = self.sql(write).bind(names).bind(files).bind(verb.as_str()).bind(who).bind(why);
        bounded(query.bind(&self.place.channel).execute(&self.place.pool)).await.map(|_| ())
    }

    /// Asks for one Job by hand of each of these. Returns for how many; not for those of which too many wait already.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn ask_runs(&self, configs: &[String], (who, why): (&str, &str)) -> Result<u64, StoreError> {
        let write = "with changed as (
                insert into {}.switches as it (instance, job_config, run_asked, run_who, run_why, run_asked_at)
                select $1, name, 1, $5, $6, now() from unnest($2::text[]) as name
                on conflict (instance, job_config) do update
                    set run_asked = it.run_asked + 1, run_who = $5, run_why = $6, run_asked_at = now()
                    where it.run_asked - it.run_served < $3
                returning 1
            ), {told}
            select count(*) as asked, pg_notify($4, '') from changed";
        let query = self.sql(write).bind(configs).bind(RUNS_ASKED_MAX).bind(&self.place.channel).bind(who).bind(why);
        let asked: i64 = bounded(query.fetch_one(&self.place.pool)).await?.get("asked");
        Ok(u64::try_from(asked).unwrap_or_default())
    }

    /// Asks for an action of a service by hand. False where too many wait already.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn ask_action(&self, service: &str, action: &str, (who, why): (&str, &str)) -> Result<bool, StoreError> {
        let write = "with changed as (
                insert into {}.actions as it (instance, job_config, action, asked, who, why, asked_at)
                values ($1, $2, $3, 1, $6, $7, now())
                on conflict (instance, job_config, action) do update
                    set asked = it.asked + 1, who = $6, why = $7, asked_at = now()
                    where it.asked - it.served < $4
                returning 1
            ), {told}
            select count(*) as asked, pg_notify($5, '') from changed";
        let query = self.sql(write).bind(service).bind(action).bind(RUNS_ASKED_MAX).bind(&self.place.channel);
        let asked: i64 = bounded(query.bind(who).bind(why).fetch_one(&self.place.pool)).await?.get("asked");
        Ok(asked > 0)
    }
}

fn switch(row: &PgRow) -> Switch {
    let said = row.get::<Option<bool>, _>("paused").map(|paused| Said {
        paused,
        file_paused: row.get("file_paused"),
        who: row.get("who"),
        why: row.get("why"),
        at: row.get("at"),
    });
    let asked = Asked {
        count: u64::try_from(row.get::<i64, _>("run_asked")).unwrap_or_default(),
        who: row.get("run_who"),
        why: row.get("run_why"),
        at: row.get("run_asked_at"),
    };
    let count = |column| u64::try_from(row.get::<i64, _>(column)).unwrap_or_default();
    let last = row.get::<Option<String>, _>("verb").map(|verb| Verb {
        verb,
        who: row.get("verb_who"),
        why: row.get("verb_why"),
        at: row.get("verb_at"),
    });
    let service = ServiceSwitch {
        enabled: row.get::<Option<bool>, _>("enabled").map(|enabled| (enabled, row.get("file_enabled"))),
        stopped: row.get("stopped"),
        halted: row.get("halted"),
        starts: count("starts"),
        restart_before: count("restart_before"),
        last,
        ..ServiceSwitch::default()
    };
    Switch { said, asked, service }
}
