//! The pools: who has their places, and who waits for some. Only the process that leads knows.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    decide::share::{account::Account, sentence::sentence, usage::PoolUsage},
    http::{
        problem::Problem,
        route::{Call, Page, Route},
        state::AppState,
        token::Access,
    },
};

/// All pools.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Pools")]
pub(super) struct PoolsPage {
    /// Whoever answers leads; one that does not knows of no places.
    leads: bool,
    /// Those of jobs.json, and every other of which places are held.
    pools: Vec<PoolView>,
    /// Why they are not known; absent where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pools_error: Option<String>,
}

/// One pool.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Pool")]
struct PoolView {
    #[serde(flatten)]
    usage: PoolUsage,
    /// The first of those who wait, in the order in which it is their turn.
    next: Vec<WaitingView>,
}

/// Who waits for a place.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WaitsForPlace")]
struct WaitingView {
    job_config: Arc<str>,
    waits_seconds: Option<f64>,
}

/// What keeps a JobConfig from the places that it wants.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Places")]
pub(super) struct PlacesView {
    #[serde(flatten)]
    account: Account,
    /// The same in a sentence; absent where it wants none.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_words: Option<String>,
}

impl Page for PoolsPage {}

/// The route that tells of pools.
pub(super) fn routes() -> Vec<Route> {
    vec![Route::get(Access::Read, "/pools", "All pools: who has their places, who waits for some", pools)]
}

async fn pools(Call { state, .. }: Call) -> Result<PoolsPage, Problem> {
    Ok(all(&state).await)
}

/// All of them.
pub(super) async fn all(state: &AppState) -> PoolsPage {
    let leads = state.leads();
    let usage = match state.shared.broker.usage().await {
        Ok(usage) => usage.unwrap_or_default(),
        Err(error) => return PoolsPage { leads, pools: vec![], pools_error: Some(error.to_string()) },
    };
    let now = state.shared.clock.now();
    let since: BTreeMap<&Arc<str>, Duration> =
        usage.waits.iter().filter_map(|wait| Some((&wait.job_config, wait.since?))).collect();
    let waiting = |name: &Arc<str>| WaitingView {
        job_config: name.clone(),
        waits_seconds: since.get(name).map(|since| now.saturating_sub(*since).as_secs_f64()),
    };
    let pools = usage.pools.iter().zip(&usage.next);
    let pools = pools.map(|(usage, next)| PoolView { usage: usage.clone(), next: next.iter().map(waiting).collect() });
    PoolsPage { leads, pools: pools.collect(), pools_error: None }
}

/// What keeps a JobConfig from the places that it wants; `None` where it shares nothing, or that is not known here.
pub(super) async fn places(state: &AppState, name: &str) -> Option<PlacesView> {
    let account = state.shared.broker.account(name).await.ok().flatten()?;
    Some(PlacesView { in_words: sentence(&account), account })
}
