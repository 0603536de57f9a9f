//! The dashboard in a real Chromium: it loads, follows what happens, changes what it is told to, survives a restart, and
//! stays usable with a thousand queues.

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    stage::{Stage, script, with},
};

/// What a worker says that wants to be more than text.
const HOSTILE: &str =
    "printf '<img src=x onerror=alert(1)>\\033[31m</td>\\342\\200\\256' > /dev/termination-log; exit 3";

fn jobs() -> Value {
    let redis = json!({"type": "service", "name": "redis", "podConfig": script("redis", "sleep 36000")["podConfig"]});
    let backs_off =
        json!({"backoff": {"after": 1}, "waitTimeAfterFailedRun": "10m", "podConfig": {"injectPgConfig": true}});
    json!([
        script("mail", "sleep 36000"),
        with(script("video", HOSTILE), backs_off),
        script("reports", "exit 0"),
        redis
    ])
}

fn url(stage: &Stage, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", stage.port)
}

async fn sign_in(browser: &Browser, who: &str, token: &str) {
    browser.click("#sign-in summary").await;
    browser.fill("[name=who]", who).await;
    browser.fill("[name=token]", token).await;
    browser.click("#sign-in button").await;
}

/// Nothing is wrong with the page in the light and in the dark, and nothing was complained of.
async fn is_sound(browser: &Browser, what: &str) {
    for scheme in ["dark", "light"] {
        browser.prefer(scheme).await;
        assert_eq!(browser.complaints().await, Vec::<Value>::new(), "axe, {what}, {scheme}");
    }
    assert_eq!(browser.console().await, Vec::<Value>::new(), "console, {what}");
}

#[tokio::test]
async fn people_see_what_happens_and_change_it() {
    let mut stage = Stage::set("dashboard").await.with_token();
    stage.run(jobs()).await;
    stage.leads().await;
    let browser = Browser::open(&stage.site).await;
    browser.goto(&url(&stage, "/")).await;
    browser.until("#link", "live").await;
    browser.until("#service-redis", "RUNNING").await;
    browser.until("#job-video", "empty").await;
    browser.returns("return document.querySelectorAll('#queues tr').length", &json!(3)).await;

    // What happens is seen without a request for the page.
    browser.ask("window.canary = true").await;
    stage.send("mail", 3).await;
    stage.send("video", 2).await;
    browser.until("#job-mail", "1 running").await;
    browser.until("#job-video", "backs off for ").await;
    browser.until("#decisions", "mail").await;
    assert_eq!(browser.ask("return window.canary").await, true, "the page is still the same");
    is_sound(&browser, "the overview").await;

    // What others wrote is text, and nothing else.
    browser.goto(&url(&stage, "/dashboard/jobs/video")).await;
    browser.until("#runs", "<img src=x onerror=alert(1)>").await;
    browser.until("#runs", "failed: exit code 3").await;
    browser.until("#why-lines", "failed: exit code 3").await;
    assert_eq!(browser.ask("return document.querySelectorAll('main img').length").await, 0);
    let text = browser.text("#runs").await;
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    is_sound(&browser, "the page of a queue").await;

    // Whoever signs in may change something.
    sign_in(&browser, "Ann Ünder", "canary-token").await;
    browser.until(".session", "signed in as Ann Ünder").await;
    browser.until("#rendered", "The Job as it would be created").await;
    browser.click("#rendered summary").await;
    browser.until("#rendered", "kind: Job").await;
    let rendered = browser.text("#rendered").await;
    assert!(rendered.contains("name: DB_PASSWORD\n"), "{rendered}");
    assert!(rendered.contains("value: (not shown)"), "{rendered}");
    assert!(!rendered.contains(&format!("value: {}", stage.site.text("postgresPassword"))));
    browser.fill("#why", "a look").await;
    browser.click("#verb-pause").await;
    browser.until("#facts", "paused by Ann Ünder").await;
    browser.until("#verbs", "Resume").await;
    let told = stage.json("/jobs/video").await.unwrap();
    assert_eq!((&told["said"]["who"], &told["said"]["why"]), (&json!("Ann Ünder"), &json!("a look")));
    is_sound(&browser, "the page of somebody who is signed in").await;
    browser.picture("dashboard-job.png").await;
    browser.goto(&url(&stage, "/")).await;
    is_sound(&browser, "the overview of somebody who is signed in").await;
    browser.picture("dashboard.png").await;
    browser.prefer("dark").await;
    browser.picture("dashboard-dark.png").await;
    browser.click("#start-service-redis").await;
    browser.until("#service-redis", "NOT_STARTED").await;

    survives_a_restart(&mut stage, &browser).await;
}

/// A restart is nothing: the page goes on, and whoever was signed in still is.
async fn survives_a_restart(stage: &mut Stage, browser: &Browser) {
    stage.kill().await;
    browser.until("#link", "not connected").await;
    stage.run(jobs()).await;
    stage.leads().await;
    browser.until("#link", "live").await;
    browser.until("#job-video", "paused").await;
    let tokens = stage.folder.path().join("tokens");
    stage.command(&["resume", "video", "--token-file", tokens.to_str().unwrap()]).await;
    browser.until("#job-video", "Pause").await;
    follows_jobs_json(stage, browser).await;
    browser.click("#run-job-reports").await;
    stage.ended("reports", 1).await;
    browser.goto(&url(stage, "/dashboard/jobs/reports")).await;
    browser.until(".session", "signed in as Ann Ünder").await;

    // A token that is taken out of the file is of no use from then on.
    std::fs::write(stage.folder.path().join("tokens"), "another\n").unwrap();
    browser.click("#verb-pause").await;
    browser.until("main", "sign in first").await;
    assert_eq!(browser.complaints().await, Vec::<Value>::new(), "axe, a refusal");
}

/// What comes into the file comes where it belongs, and what leaves it goes.
async fn follows_jobs_json(stage: &Stage, browser: &Browser) {
    let names = "return [...document.querySelectorAll('#queues tr')].map((it) => it.dataset.name)";
    let mut more = jobs();
    more.as_array_mut().unwrap().push(script("news", "exit 0"));
    stage.write_jobs(&more.to_string());
    browser.until("#job-news", "empty").await;
    browser.returns(names, &json!(["mail", "news", "reports", "video"])).await;
    stage.write_jobs(&jobs().to_string());
    browser.returns(names, &json!(["mail", "reports", "video"])).await;
}

#[tokio::test]
async fn a_thousand_queues_stay_usable() {
    let mut stage = Stage::set("dashboard-many").await.with_token();
    let many = (0..1000)
        .map(|number| with(script(&format!("queue-{number:04}"), "exit 0"), json!({"queueCheckInterval": "10s"})));
    stage.run(many.collect()).await;
    stage.leads().await;
    let browser = Browser::open(&stage.site).await;
    browser.goto(&url(&stage, "/")).await;
    browser.until("#link", "live").await;
    let shown = "return [...document.querySelectorAll('#queues tr')].filter((row) => !row.hidden).length";
    browser.returns(shown, &json!(1000)).await;
    browser.fill("[name=q]", "0042").await;
    // Typing filters.
    browser.returns(shown, &json!(1)).await;
    let header = "Authorization: Bearer canary-token\r\n";
    assert_eq!(stage.post("/pause", header, "{\"who\": \"ann\"}").await.0, 200);
    browser.until("#job-queue-0042", "paused by ann").await;
    let paused = "return [...document.querySelectorAll('#queues tr')].filter((row) => row.textContent.includes('paused')).length";
    browser.returns(paused, &json!(1000)).await;
    assert_eq!(browser.ask(shown).await, 1, "what was filtered stays so");
    browser.click("#search button").await;
    browser.until("#queues-count", "1 of 1000").await;
    assert_eq!(browser.console().await, Vec::<Value>::new());
}
