//! Messages: steady ones and bursts, and what pg-boss' own upkeep does for those whose worker has gone.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    RETRY,
    dice::Dice,
    file::{DEPLOYED, PROBE, QUEUES},
    journal::Journal,
};

/// A queue, how many messages come at once, and how many seconds are between them.
const LOAD: [(&str, u64, u64); 4] = [("steady", 1, 3), ("burst", 10, 30), ("quiet", 1, 9), (DEPLOYED, 1, 8)];

/// A message is given back when its worker has had it for so long: far longer than it works.
const EXPIRES: &str = "60 s";

/// Where messages go.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) database_url: String,
}

impl Sender {
    async fn try_execute(&self, statements: &str) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(&self.database_url).await?;
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.map(|_| ())
    }

    /// Runs a statement; where Postgres is away it is tried again, so it does the same twice.
    pub(crate) async fn execute(&self, statements: &str) {
        while let Err(error) = self.try_execute(statements).await {
            // A statement that is wrong is wrong the next time, too.
            let code = error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
            assert!(!code.is_some_and(|code| code.starts_with("42")), "{error}: {statements}");
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Makes all queues.
    pub(crate) async fn queues(&self) {
        for queue in QUEUES.map(|(queue, _)| queue).into_iter().chain([DEPLOYED]) {
            self.execute(&format!("select pgboss.create_queue('{queue}', '{{\"policy\": \"standard\"}}')")).await;
        }
    }

    /// Sends messages, each with an id of its own; returns the ids.
    pub(crate) async fn send(&self, queue: &str, count: u64, dice: &mut Dice) -> Vec<String> {
        let mut id = || {
            let (high, low) = (dice.roll(u64::MAX), dice.roll(u64::MAX));
            format!(
                "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
                high >> 32,
                high >> 16 & 0xffff,
                high & 0xfff,
                low >> 52,
                low & 0xffff_ffff_ffff
            )
        };
        let ids: Vec<String> = (0..count).map(|_| id()).collect();
        let values = ids.iter().map(|id| format!("('{id}', '{queue}', '{{}}', 'standard')")).collect::<Vec<_>>();
        let sql = format!(
            "insert into pgboss.job (id, name, data, policy) values {} on conflict do nothing",
            values.join(", ")
        );
        self.execute(&sql).await;
        ids
    }

    /// A probe.
    pub(crate) async fn probe(&self, dice: &mut Dice) -> String {
        self.send(PROBE, 1, dice).await.remove(0)
    }
}

/// Sends for as long as it is not aborted.
pub(crate) async fn steadily(sender: Sender, seed: u64) {
    let mut dice = Dice(seed);
    for second in 0_u64.. {
        for (queue, count, every) in LOAD {
            if second % every == 0 {
                sender.send(queue, count, &mut dice).await;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Gives back what workers that have gone had, for as long as it is not aborted.
pub(crate) async fn upkeep(sender: Sender, journal: Arc<Journal>) {
    let sql = format!(
        "update pgboss.job set state = 'retry', start_after = now(), retry_count = retry_count + 1
            where state = 'active' and started_on < now() - interval '{EXPIRES}'"
    );
    loop {
        sender.execute(&sql).await;
        journal.settle();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
