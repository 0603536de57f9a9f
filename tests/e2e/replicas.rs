//! Two processes of one Instance: one leads, the other follows; whatever happens to the one, nothing is doubled.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{Stage, eventually, script, with};

/// Long Jobs, and short ones one after another.
fn jobs() -> Value {
    let busy = with(script("busy", "sleep 1"), json!({"maxConcurrentJobs": 3, "waitTimeAfterSuccessfulRun": "0s"}));
    json!([with(script("long", "sleep 36000"), json!({"maxConcurrentJobs": 2, "fetchGrace": "1h"})), busy])
}

/// One that leads and one that follows, both ready, with work under way. A leader that was starved for three seconds
/// meanwhile is the one that follows.
pub(crate) async fn both(name: &str) -> (Stage, Stage) {
    let mut first = Stage::set(name).await;
    first.run(jobs()).await;
    first.leads().await;
    let mut second = first.beside().await;
    second.run(jobs()).await;
    first.send("long", 1).await;
    first.send("busy", 200).await;
    first.ended("busy", 3).await;
    let first_leads = eventually("one of the two to lead", || async {
        let first_leads = first.is_leading().await;
        (first_leads != second.is_leading().await).then_some(first_leads)
    })
    .await;
    if first_leads { (first, second) } else { (second, first) }
}

/// Work goes on where it was, and nothing was doubled or lost.
pub(crate) async fn goes_on(stage: &Stage) {
    stage.leads().await;
    let since = stage.count("select count(*) from chief.runs where outcome = 'succeeded'").await;
    eventually("work to go on", || async {
        let now = stage.count("select count(*) from chief.runs where outcome = 'succeeded'").await;
        (now >= since + 3).then_some(())
    })
    .await;
    let long = stage.count("select count(*) from chief.runs where job_config = 'long'").await;
    assert_eq!(long, 1, "a running Job was found and left alone");
    let other = stage.count("select count(*) from chief.runs where outcome <> 'succeeded'").await;
    assert_eq!(other, 0, "each run ended as it should");
    let live = stage
        .jobs()
        .await
        .iter()
        .filter(|job| job.status.as_ref().is_none_or(|it| it.completion_time.is_none()))
        .count();
    assert!(live <= 4, "{live} live Jobs");
}

/// How often the lease was taken.
const TERM: &str = "select term from chief.leadership";

/// Its page has gauges of queues; it always says whether it leads.
async fn shows_queues(stage: &Stage) -> bool {
    let page = stage.get("/metrics").await.unwrap().1;
    let shows =
        page.contains("job_chief_queue_messages{") || page.contains("job_chief_queue_oldest_ready_age_seconds{");
    assert!(page.contains(if shows { "job_chief_leader 1" } else { "job_chief_leader " }), "{page}");
    shows
}

#[tokio::test]
async fn a_leader_that_is_killed_is_followed() {
    let (mut first, second) = both("replicas-kill").await;
    eventually("the follower to know both", || async {
        let follower = second.json("/members").await?;
        (follower["leads"] == false && follower["members"].as_array()?.len() == 2).then_some(())
    })
    .await;
    eventually("who follows to be ready", || async { (second.get("/readiness").await?.0 == 200).then_some(()) }).await;
    eventually("the follower to show no gauges", || async { (!shows_queues(&second).await).then_some(()) }).await;
    eventually("the leader to show them", || async { shows_queues(&first).await.then_some(()) }).await;
    eventually("the follower to show what runs", || async {
        (second.json("/jobs/long").await?["phase"]["running"] == 1).then_some(())
    })
    .await;
    first.kill().await;
    goes_on(&second).await;
    second.prints(&["status"], &["led by"]).await;
}

#[tokio::test]
async fn a_leader_that_stops_hands_over_and_may_come_back() {
    let (mut first, mut second) = both("replicas-stop").await;
    let before = first.count(TERM).await;
    assert_eq!(first.terminate().await, Some(0));
    goes_on(&second).await;
    let between = first.count(TERM).await;
    first.run(jobs()).await;
    eventually("one of the two to lead", || async {
        (first.is_leading().await != second.is_leading().await).then_some(())
    })
    .await;
    assert_eq!(second.terminate().await, Some(0));
    goes_on(&first).await;
    let after = first.count(TERM).await;
    assert!(before < between && between < after, "each take-over is a term: {before}, {between}, {after}");
}

#[tokio::test]
async fn a_leader_that_was_frozen_for_a_minute_comes_back_and_changes_nothing() {
    let (first, second) = both("replicas-freeze").await;
    let before = second.count(TERM).await;
    first.signal("-STOP").await;
    second.leads().await;
    goes_on(&second).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    first.signal("-CONT").await;
    eventually("it to learn that it is over", || async {
        (first.json("/members").await?["leads"] == false).then_some(())
    })
    .await;
    eventually("its gauges to go", || async { (!shows_queues(&first).await).then_some(()) }).await;
    eventually("the other to show them", || async { shows_queues(&second).await.then_some(()) }).await;
    goes_on(&second).await;
    first.logs("no longer leads").await;
    eventually("it to be ready", || async { (first.get("/readiness").await?.0 == 200).then_some(()) }).await;
    assert!(second.count(TERM).await > before, "the other took the lease");
}
