//! The gauges of pools. They are put together when they are asked for, out of what the Broker says at that moment, so none
//! can stand still.

use std::time::Duration;

use prometheus::{GaugeVec, IntGaugeVec, Opts, core::Collector, proto::MetricFamily};

use crate::decide::share::usage::{MemberWait, PoolUsage};

/// The families of pools and of those who wait, as of `now`.
///
/// # Errors
/// If a name were invalid.
pub fn families(pools: &[PoolUsage], waits: &[MemberWait], now: Duration) -> prometheus::Result<Vec<MetricFamily>> {
    let jobs = Opts::new("pool_jobs", "Places of the pool that are held.");
    let limit = Opts::new("pool_limit", "Places of the pool.");
    let wait = Opts::new("waiting_for_place_seconds", "Since it wants a place and has none.");
    let jobs = IntGaugeVec::new(jobs.namespace("job_chief"), &["pool"])?;
    let limit = IntGaugeVec::new(limit.namespace("job_chief"), &["pool"])?;
    let wait = GaugeVec::new(wait.namespace("job_chief"), &["job_config"])?;
    for pool in pools {
        jobs.with_label_values(&[&*pool.pool]).set(i64::try_from(pool.held).unwrap_or(i64::MAX));
        if let Some(places) = pool.limit {
            limit.with_label_values(&[&*pool.pool]).set(places.into());
        }
    }
    for waiting in waits {
        if let Some(since) = waiting.since {
            wait.with_label_values(&[&*waiting.job_config]).set(now.saturating_sub(since).as_secs_f64());
        }
    }
    let families = jobs.collect().into_iter().chain(limit.collect()).chain(wait.collect());
    Ok(families.filter(|family| !family.get_metric().is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn pools_have_their_limit_where_there_is_one_and_only_who_waits_has_a_series() {
        let pool = |pool: &str, limit, held| PoolUsage {
            pool: pool.into(),
            limit,
            creates_per_minute: None,
            held,
            holders: vec![],
            waiting: 0,
        };
        let wait = |name: &str, since| MemberWait { job_config: name.into(), since };
        let (pools, waits) = (
            [pool("gpu", Some(4), 3), pool("limits", None, 7)],
            [wait("mail", Some(Duration::from_secs(60))), wait("idle", None)],
        );
        let now = Duration::from_millis(100_500);
        let families = families(&pools, &waits, now).expect("valid names");
        let page = Metrics::new().expect("valid names").page_with(now, families).expect("a page");
        let lines: Vec<&str> = page.lines().filter(|line| line.contains("pool") || line.contains("waiting")).collect();
        let series: Vec<&&str> = lines.iter().filter(|line| !line.starts_with('#')).collect();
        let told = [
            "job_chief_pool_jobs{pool=\"gpu\"} 3",
            "job_chief_pool_jobs{pool=\"limits\"} 7",
            "job_chief_pool_limit{pool=\"gpu\"} 4",
            "job_chief_waiting_for_place_seconds{job_config=\"mail\"} 40.5",
        ];
        assert_eq!(series, told.iter().collect::<Vec<_>>());
        assert!(super::families(&[], &[], now).expect("valid names").is_empty());
    }
}
