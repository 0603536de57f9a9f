//! What people and Prometheus look at: how large it is, how long it takes, and what it costs while ten browsers watch.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    figures::Figures,
    process::cpu_seconds,
    stage::Stage,
    witness::{podless, send, take_all},
};

/// Queues of an ordinary installation, and of a large one.
const SIZES: [u32; 2] = [10, 1000];

/// Browsers that watch.
const BROWSERS: usize = 10;

/// Before it is measured: every queue has been looked at, so that there is something to show of each.
const SETTLES: Duration = Duration::from_secs(12);

/// How long it is measured, with a message a second.
const MEASURED: u64 = 30;

/// How often a page is asked for.
const ASKED: u32 = 20;

pub(crate) async fn measure(figures: &mut Figures, runs: u32) {
    for size in SIZES {
        let mut stage = Stage::set(&format!("bench-pages-{size}")).await.with("LOG_LEVEL", "info");
        stage.queues("'queue-' || n", size).await;
        let config =
            |n: u32| podless(&format!("queue-{n}"), json!({"queueCheckInterval": "5s", "maxConcurrentJobs": 500}));
        stage.run((1..=size).map(config).collect::<Value>()).await;
        stage.leads().await;
        tokio::time::sleep(SETTLES).await;
        if size == SIZES[0] {
            figures.add("first paint: page, style and script", "kB", Some("≤ 50"), first_paint(&stage).await / 1000.0);
            watched(figures, &stage, runs).await;
        }
        for _ in 0..runs {
            for (path, what, goal) in [("/", "the overview", Some("≤ 100")), ("/metrics", "/metrics", Some("≤ 50"))]
            {
                let goal = goal.filter(|_| size == SIZES[1]);
                figures.add(&format!("{size} queues: {what}"), "ms", goal, time(&stage, path).await);
            }
        }
        stage.kill().await;
        stage.clear().await;
    }
}

/// The bytes that a browser asks for before it shows anything; none of them is packed.
async fn first_paint(stage: &Stage) -> f64 {
    let mut bytes = 0;
    for path in ["/", "/dashboard/page.css", "/dashboard/page.js", "/dashboard/icon.svg"] {
        bytes += stage.get(path).await.unwrap().1.len();
    }
    bytes as f64
}

/// The median, in milliseconds.
async fn time(stage: &Stage, path: &str) -> f64 {
    let mut times = vec![];
    for _ in 0..ASKED {
        let begun = Instant::now();
        assert_eq!(stage.get(path).await.unwrap().0, 200);
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

async fn watched(figures: &mut Figures, stage: &Stage, runs: u32) {
    let alone = |figures: &mut Figures, share| {
        figures.add("a message a second: our CPU, nobody watches", "% of a core", None, share)
    };
    let mut shares = vec![];
    for _ in 0..runs {
        shares.push(share(stage).await);
        alone(figures, shares[shares.len() - 1]);
    }
    let mut browsers = vec![];
    for _ in 0..BROWSERS {
        let browser = Browser::open(&stage.site).await;
        browser.page.goto(&format!("http://127.0.0.1:{}/", stage.port)).await.unwrap();
        browser.until("#link", "live").await;
        browsers.push(browser);
    }
    for before in shares {
        let share = share(stage).await;
        figures.add("the same while ten browsers watch", "% of a core", None, share);
        figures.add("what ten browsers add", "% of a core", Some("≤ 1"), share - before);
    }
}

/// Our share of a core while a message comes each second.
async fn share(stage: &Stage) -> f64 {
    let mut connection = stage.connection().await;
    let (before, begun) = (cpu_seconds(stage.pid()), Instant::now());
    for second in 1..=MEASURED {
        send(&mut connection, "queue-1", 1, true).await;
        tokio::time::sleep_until((begun + Duration::from_secs(second)).into()).await;
        take_all(&mut connection).await;
    }
    100.0 * (cpu_seconds(stage.pid()) - before) / begun.elapsed().as_secs_f64()
}
