//! What counts as ready, against the truth: what the `fetch` of the same version takes, key by key.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout},
};

use job_chief::pgboss::{depth::DepthReader, line::Line};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, Row};

use crate::{
    line::Listening,
    queue::{all, look},
    server::{boss_command, database, pool},
};

/// How often each policy is checked.
const CHECKS: u64 = 6;

/// Orders between two checks.
const ORDERS: u64 = 12;

/// pg-boss's own client, which does as it is told.
pub(crate) struct Client {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    pub(crate) fn start(url: &str, version: &str) -> Self {
        let mut command = boss_command(url, version, &["play"]);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (orders, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, orders, answers: BufReader::new(answers) }
    }

    pub(crate) fn ask(&mut self, order: &Value) -> Value {
        writeln!(self.orders, "{order}").unwrap();
        let mut line = String::new();
        assert!(self.answers.read_line(&mut line).unwrap() > 0, "the client has ended at {order}");
        serde_json::from_str(&line).unwrap()
    }

    pub(crate) fn fetch(&mut self, queue: &str, count: u64) -> Vec<Value> {
        // Where the first candidate may not become active, some versions refuse with an error.
        self.ask(&json!({"fetch": queue, "count": count})).as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A coin with a seed: the same orders in every run.
struct Coin(u64);

impl Coin {
    fn toss(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// One order as producers and workers give them.
fn order(client: &mut Client, coin: &mut Coin, queue: &str, policy: &str, version: u32) {
    let mut options = json!({"priority": coin.toss(3), "retryLimit": coin.toss(3), "retryDelay": coin.toss(2) * 3600});
    if coin.toss(3) == 0 {
        options["startAfter"] = json!(3600);
    }
    if policy != "standard" && (coin.toss(4) > 0 || policy == "key_strict_fifo") {
        options["singletonKey"] = json!(["a", "b", "c", "d"][coin.toss(4) as usize]);
    }
    if version == 9 && coin.toss(2) == 0 {
        options["singletonKey"] = json!(format!("only-{}", coin.toss(9)));
    }
    match coin.toss(8) {
        0..5 => drop(client.ask(&json!({"send": queue, "options": options}))),
        5 if version >= 12 && policy == "standard" => {
            let second = json!({"ref": "b", "name": queue, "dependsOn": ["a"]});
            client.ask(&json!({"flow": [{"ref": "a", "name": queue}, second]}));
        }
        5 => drop(client.fetch(queue, 1)),
        what => {
            for id in client.fetch(queue, 1 + coin.toss(2)) {
                let done =
                    if what == 6 { json!({"complete": queue, "id": id}) } else { json!({"fail": queue, "id": id}) };
                client.ask(&done);
            }
        }
    }
}

/// How many messages `fetch` would hand out now, with the table as it was afterwards.
async fn truth(client: &mut Client, pool: &PgPool, queue: &str, start_after: &str, keyed: bool) -> u64 {
    let key = if start_after == "start_after" { "coalesce(singleton_key, '')" } else { "''" };
    let rows = sqlx::query(AssertSqlSafe(format!(
        "select id::text, {key} as key, state::text as state, {start_after}::text as at from pgboss.job where name = $1"
    )))
    .bind(queue)
    .fetch_all(pool)
    .await
    .unwrap();
    let mut keys: Vec<String> = rows.iter().map(|row| row.get("key")).collect();
    keys.sort();
    keys.dedup();
    if !keyed {
        keys = vec![String::new()];
    }
    let mut count = 0;
    for one in keys {
        if keyed {
            let hide = format!(
                "update pgboss.job set {start_after} = now() + interval '2 days' where name = $1 and {key} <> $2 and state < 'active'"
            );
            sqlx::query(AssertSqlSafe(hide)).bind(queue).bind(&one).execute(pool).await.unwrap();
        }
        loop {
            let fetched = client.fetch(queue, if keyed { 1 } else { 1000 });
            if fetched.is_empty() {
                break;
            }
            count += fetched.len() as u64;
        }
        for row in &rows {
            let back = format!(
                "update pgboss.job set state = $3::pgboss.job_state, {start_after} = $4::timestamptz where name = $1 and id::text = $2 and (state::text, {start_after}) is distinct from ($3, $4::timestamptz)"
            );
            let back = sqlx::query(AssertSqlSafe(back)).bind(queue).bind(row.get::<String, _>("id"));
            back.bind(row.get::<String, _>("state")).bind(row.get::<String, _>("at")).execute(pool).await.unwrap();
        }
    }
    count
}

async fn ready_is_what_fetch_takes(version: u32, policies: &[&str]) {
    let url = database(&format!("policies_{version}")).await;
    let pool = pool(&url).await;
    let mut client = Client::start(&url, &version.to_string());
    let mut coin = Coin(u64::from(version));
    let start_after = if version < 10 { "startafter" } else { "start_after" };
    let mut seen_ready = 0;
    let listening = Listening::begin(url.parse().unwrap(), &pool).await;
    for policy in policies {
        let queue = format!("q-{policy}");
        client.ask(&json!({"create": queue, "options": {"policy": policy}}));
        // In turn by the pool and by a connection that keeps its plans.
        let readers =
            [Line::default(), listening.line.clone()].map(|line| DepthReader::with_line(pool.clone(), line, "pgboss"));
        for (check, reader) in (0..CHECKS).zip(readers.iter().cycle()) {
            for _ in 0..ORDERS {
                order(&mut client, &mut coin, &queue, policy, version);
            }
            let counted = look(reader, &queue, &all()).await.unwrap();
            let keyed = ["singleton", "stately", "key_strict_fifo"].contains(policy);
            let fetched = truth(&mut client, &pool, &queue, start_after, keyed).await;
            assert_eq!(counted.old, fetched, "pg-boss {version}, policy {policy}, check {check}");
            assert_eq!(counted.oldest_age.is_some(), fetched > 0);
            seen_ready += fetched;
        }
    }
    assert!(seen_ready > 10, "only {seen_ready} messages were ever ready");
}

#[tokio::test]
async fn policies_of_pg_boss_7() {
    ready_is_what_fetch_takes(7, &["standard"]).await;
}

#[tokio::test]
async fn policies_of_pg_boss_8() {
    ready_is_what_fetch_takes(8, &["standard"]).await;
}

#[tokio::test]
async fn policies_of_pg_boss_9() {
    ready_is_what_fetch_takes(9, &["standard"]).await;
}

#[tokio::test]
async fn policies_of_pg_boss_10() {
    ready_is_what_fetch_takes(10, &["standard", "short", "singleton", "stately"]).await;
}

#[tokio::test]
async fn policies_of_pg_boss_11() {
    ready_is_what_fetch_takes(11, &["standard", "short", "singleton", "stately", "exclusive"]).await;
}

#[tokio::test]
async fn policies_of_pg_boss_12() {
    let policies = ["standard", "short", "singleton", "stately", "exclusive", "key_strict_fifo"];
    ready_is_what_fetch_takes(12, &policies).await;
}
