//! The statement that reads a queue, in a table of three million rows, against a plain count.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use job_chief::{
    config::sources,
    decide::queue::event::{DepthRequest, LookPurpose},
    pgboss::{
        connect,
        depth::{DepthReader, question},
        shape::Shape,
    },
    sql::Statement,
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool, Row};

use crate::{
    bouncer::Bouncer,
    figures::{Figures, median},
    stage::{Stage, eventually},
};

/// Messages that a decision for ten Jobs asks for.
const LIMIT: u64 = 11;

/// Times that each is measured in a run, of which the median counts.
const TIMES: usize = 21;

/// What the TypeScript original asks.
const COUNT: &str = "select count(*) from pgboss.job where name = $1 and state < 'active'";

pub(crate) async fn measure(figures: &mut Figures, runs: u32) {
    let stage = Stage::set("bench-depth").await;
    let pool = stage.pool().await;
    stage.queues("'small-' || (n - 1)", 1_000).await;
    for name in ["'deep'", "'done'"] {
        stage.queues(name, 1).await;
    }
    for (name, first, count, state) in [
        ("deep", 0, 1_000_000, "created"),
        ("done", 0, 1_000_000, "completed"),
        ("small-' || (n % 998) || '", 0, 1_000_000, "completed"),
    ] {
        let rows = format!(
            "insert into pgboss.job (name, policy, state, start_after) select '{name}', 'standard', '{state}', now() - n * interval '1 millisecond'
            from generate_series({first} + 1, {first} + {count}) n"
        );
        stage.execute(&rows).await;
    }
    stage.execute("insert into pgboss.job (name, policy) select 'done', 'standard' from generate_series(1, 5)").await;
    stage.execute("vacuum analyze pgboss.job_common").await;
    let shape = Shape::detect(&pool, "pgboss").await.unwrap();
    let reader = DepthReader::new(pool.clone(), "pgboss");
    let bouncer = Bouncer::start(&stage.site.database_url(&stage.database()), "");
    let through = DepthReader::new(connected(&bouncer, &stage.database()).await, "pgboss");
    let names: Vec<String> = (0..1_000).map(|n| format!("small-{n}")).collect();
    let thousand: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..runs {
        let count = executed(&pool, COUNT, "deep").await;
        let deep = read(&pool, question(&shape, &asked(&["deep"]), false)).await;
        let done = read(&pool, question(&shape, &asked(&["done"]), false)).await;
        figures.add("the original's count, 1,000,000 waiting", "ms", None, count);
        figures.add("our statement, 1,000,000 waiting", "ms", None, deep);
        figures.add("how many times cheaper", "", Some("≥ 500"), count / deep);
        figures.add("our statement, 5 waiting and 1,000,000 completed", "ms", None, done);
        let wide = question(&shape, &asked(&thousand), false);
        figures.add("1,000 queues, compiled first (JIT)", "ms", None, read(&pool, wide.clone().with_jit()).await);
        figures.add("1,000 queues, as we ask", "ms", Some("≤ 20"), read(&pool, wide).await);
        figures.add("a look from here, 1,000,000 waiting", "ms", None, looked(&reader, &["deep"]).await);
        figures.add("a look from here at 1,000 queues", "ms", Some("≤ 20"), looked(&reader, &thousand).await);
        let figure = "a look from here at 1,000 queues, through PgBouncer";
        figures.add(figure, "ms", Some("≤ 20"), looked(&through, &thousand).await);
    }
    table_per_queue(figures, runs, &thousand).await;
}

/// The same of pg-boss 10, which makes a table for each of a thousand queues; looks come by a dozen, each beat its own.
async fn table_per_queue(figures: &mut Figures, runs: u32, thousand: &[&str]) {
    let stage = Stage::set("bench-tables").await;
    stage.execute("drop schema pgboss cascade").await;
    stage.boss_of("10", &["install"]).await;
    // A transaction has not enough locks for the tables of all.
    for hundred in 0..10 {
        stage.queues(&format!("'small-' || (n - 1 + {hundred} * 100)"), 100).await;
    }
    let reader = DepthReader::new(stage.pool().await, "pgboss");
    for _ in 0..runs {
        for (count, goal) in [(1, None), (12, Some("≤ 20")), (100, Some("≤ 20")), (1_000, None)] {
            let figure = format!("pg-boss 10 with 1,000 queues: a look from here at {count}");
            figures.add(&figure, "ms", goal, looked(&reader, &thousand[..count]).await);
        }
    }
}

/// Through the pooler, once it listens.
async fn connected(bouncer: &Bouncer, database: &str) -> PgPool {
    let url = format!("postgres://postgres:any@127.0.0.1:{}/{database}", bouncer.port);
    let settings = sources::load(None, &[("DATABASE_URL".to_owned(), url)].into()).unwrap().settings;
    let pool = connect::pool(&settings.db);
    eventually("PgBouncer to listen", || async { pool.acquire().await.ok() }).await;
    pool
}

fn asked(queues: &[&str]) -> Vec<(Arc<str>, DepthRequest)> {
    let purpose = LookPurpose::Routine;
    let request = DepthRequest { since_us: None, limit: LIMIT, younger_left: Duration::ZERO, purpose };
    queues.iter().map(|queue| ((*queue).into(), request)).collect()
}

/// The time that Postgres says the execution took.
fn execution(plan: &[sqlx::postgres::PgRow]) -> f64 {
    let line = plan.iter().map(|row| row.get::<String, _>(0)).find(|line| line.contains("Execution Time")).unwrap();
    line.split_whitespace().nth(2).unwrap().parse().unwrap()
}

async fn executed(pool: &PgPool, sql: &str, queue: &str) -> f64 {
    let mut samples = vec![];
    for _ in 0..TIMES {
        let sql = AssertSqlSafe(format!("explain (analyze, timing off) {sql}"));
        samples.push(execution(&sqlx::query(sql).bind(queue).fetch_all(pool).await.unwrap()));
    }
    median(&samples)
}

async fn read(pool: &PgPool, statement: Statement) -> f64 {
    let mut samples = vec![];
    for _ in 0..TIMES {
        let plan = statement.clone().explained().fetch_all(pool).await.unwrap();
        samples.push(plan[0].get::<Value, _>(0)[0]["Execution Time"].as_f64().unwrap());
    }
    median(&samples)
}

/// As an actor asks: over the network, planned anew.
async fn looked(reader: &DepthReader, queues: &[&str]) -> f64 {
    let asked = asked(queues);
    let mut samples = vec![];
    for _ in 0..TIMES {
        let begun = Instant::now();
        reader.look(&asked).await.unwrap();
        samples.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    median(&samples)
}
