//! What is on record of places, as the Broker reads it: at its begin, and again where it is in doubt.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::BoxFuture;

use crate::{
    actors::performer::Shared,
    clock::sleep,
    decide::place::Places,
    health::{Component, Health},
    store::runs::Runs,
    telemetry::with_causes,
};

/// Between tries, and between readings: a doubt lasts as long as what raised it.
const RETRY: Duration = Duration::from_secs(2);

/// The places of all runs that have not ended, by JobConfig.
pub type Recorded = BTreeMap<Arc<str>, Vec<Places>>;

/// Reads what is on record, one reading at a time.
pub struct Record {
    begin: Box<dyn FnMut() -> BoxFuture<'static, Recorded> + Send>,
    reading: Option<BoxFuture<'static, Recorded>>,
}

impl Record {
    /// What Postgres has.
    pub fn of(shared: Arc<Shared>) -> Self {
        let mut is_again = false;
        Self::read_by(move || {
            let (shared, waits) = (shared.clone(), std::mem::replace(&mut is_again, true));
            Box::pin(async move {
                if waits {
                    sleep(RETRY).await;
                }
                read(&shared.stored.runs, &shared.health).await
            })
        })
    }

    /// Whatever this says.
    pub fn read_by(begin: impl FnMut() -> BoxFuture<'static, Recorded> + Send + 'static) -> Self {
        Self { begin: Box::new(begin), reading: None }
    }

    /// Begins a reading, unless one is on its way.
    pub fn begin(&mut self) -> bool {
        let begins = self.reading.is_none();
        if begins {
            self.reading = Some((self.begin)());
        }
        begins
    }

    /// Waits for the reading, or for ever if there is none. Cancel-safe.
    pub async fn read(&mut self) -> Recorded {
        let Some(reading) = &mut self.reading else { return std::future::pending().await };
        let recorded = reading.await;
        self.reading = None;
        recorded
    }
}

/// Until it succeeds. At the begin of a term nobody is given a place before, so people are told, once for each reason.
async fn read(runs: &Runs, health: &Health) -> Recorded {
    let mut said = None;
    loop {
        match runs.recorded_places().await {
            Ok(recorded) => {
                health.set(Component::Schema, Ok(()));
                return recorded;
            }
            Err(error) => {
                let error = with_causes(&error);
                health.set(Component::Schema, Err(error.clone()));
                if said.as_ref() != Some(&error) {
                    tracing::warn!(error, "can't read who holds which place");
                    said = Some(error);
                }
            }
        }
        sleep(RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

    use super::*;
    use crate::store::place::Place;

    #[tokio::test(start_paused = true)]
    async fn that_it_cannot_be_read_is_told_while_it_is_tried_again() {
        // Nobody listens there.
        let options = PgConnectOptions::new().host("127.0.0.1").port(1);
        let pool = PgPoolOptions::new().acquire_timeout(RETRY).connect_lazy_with(options);
        let (runs, health) = (Runs::new(Place::new(&pool, "s", "i")), Health::default());
        health.set(Component::Schema, Ok(()));
        assert!(tokio::time::timeout(10 * RETRY, read(&runs, &health)).await.is_err());
        assert!(health.components()[&Component::Schema].is_err());
    }
}
