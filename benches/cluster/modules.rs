//! Deployments: how long a dry run takes, and what fifty that are settled cost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    figures::Figures,
    idle::requests,
    stage::{Stage, eventually, script},
};

/// Objects of the module that is judged.
const OBJECTS: u32 = 20;

/// Deployments that are settled.
const SETTLED: u32 = 50;

/// How long they are watched: objects are compared one a minute.
const MEASURED: Duration = Duration::from_secs(180);

/// How often a dry run is asked for in each run.
const ASKED: u32 = 20;

const TOKEN: &str = "Authorization: Bearer bench\r\nContent-Type: application/json\r\n";

pub(crate) async fn measure(figures: &mut Figures, runs: u32) {
    let mut stage = Stage::set("bench-modules").await.with("LOG_LEVEL", "info");
    let modules = stage.folder.path().join("modules");
    for (name, objects) in [("many", OBJECTS), ("one", 1)] {
        let folder = modules.join(name).join("latest");
        std::fs::create_dir_all(&folder).unwrap();
        let of = |n: u32| {
            let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: $g{name:\"many\"}";
            format!("{text}-{n}\ndata:\n  color: $g{{color:\"green\"}}\n")
        };
        let documents: Vec<String> = (1..=objects).map(of).collect();
        std::fs::write(folder.join("all.yaml"), documents.join("---\n")).unwrap();
    }
    let token = stage.folder.path().join("token");
    std::fs::write(&token, "bench\n").unwrap();
    stage = stage.with("MODULES_PATH", modules.to_str().unwrap()).with("SERVER_TOKEN_FILE", token.to_str().unwrap());
    stage.run(json!([script("other", "true")])).await;
    stage.leads().await;
    for _ in 0..runs {
        let goal = Some("≤ 150");
        figures.add("dry run of a module of 20 new objects", "ms", goal, dry_run(&stage, "{}").await);
    }
    deploy(&stage, &json!({"module": "many", "waitSeconds": 20})).await;
    for _ in 0..runs {
        let goal = Some("≤ 150");
        figures.add("the same, where they are there", "ms", goal, dry_run(&stage, r#"{"color": "red"}"#).await);
    }
    for n in 1..=SETTLED {
        let name = format!("one-{n}");
        deploy(&stage, &json!({"module": "one", "name": name, "config": {"name": name}, "waitSeconds": 20})).await;
    }
    for _ in 0..runs {
        settled(figures, &stage).await;
    }
    stage.kill().await;
}

/// The median, in milliseconds.
async fn dry_run(stage: &Stage, config: &str) -> f64 {
    let body = format!(r#"{{"module": "many", "config": {config}}}"#);
    let mut times = vec![];
    for _ in 0..ASKED {
        let begun = Instant::now();
        let (code, told) = stage.post("/deployment/dry_run", TOKEN, &body).await;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        assert_eq!((code, told["plan"].as_array().map(Vec::len)), (200, Some(20)), "{told}");
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

async fn deploy(stage: &Stage, body: &Value) {
    let (code, told) = stage.post("/deployment", TOKEN, &body.to_string()).await;
    assert!([200, 202].contains(&code), "{told}");
    let name = told["deployment"]["name"].as_str().unwrap();
    eventually("it to be settled", || async {
        (stage.json(&format!("/deployment/{name}")).await?["state"] == "settled").then_some(())
    })
    .await;
}

async fn settled(figures: &mut Figures, stage: &Stage) {
    let written = "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint from pg_stat_user_tables
        where relname in ('deployments', 'deployment_objects')";
    let (before, begun) = ((requests(stage).await, stage.count(written).await), Instant::now());
    tokio::time::sleep(MEASURED).await;
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let mut add = |what: &str, goal, count: f64| {
        figures.add(&format!("50 deployments that are settled: {what}"), "a minute", Some(goal), count / minutes);
    };
    add("requests to the API server beside the watches", "≤ 1", requests(stage).await - before.0);
    #[expect(clippy::cast_precision_loss, reason = "a benchmark")]
    add("rows written", "0", (stage.count(written).await - before.1) as f64);
}
