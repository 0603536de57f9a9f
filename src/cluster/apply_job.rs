//! Jobs of deployments. What a Job runs can't be changed, and it runs once: one that was made from the same stays, also
//! when it has ended, and for another one it is deleted first.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    clock::sleep,
    cluster::{
        apply::{Applier, Standing},
        apply_error::ApplyError,
        apply_path::{self, Mode},
    },
    decide::{
        deployment::record::Change,
        live::{live_object::Live, owner::Owner, rights::Verb, written::Written},
    },
    fence::Fence,
    modules::object::ObjectId,
};

/// How long what has the name may take to go: twice the grace that pods mostly have, and some for a busy cluster.
const GONE_WITHIN: Duration = Duration::from_secs(90);

/// The wait between two looks for that.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Applier {
    /// Makes a Job, or puts it in the place of another.
    pub(super) async fn apply_job(
        &self,
        written: &Written,
        standing: Standing,
        fence: &Fence,
    ) -> Result<(Change, Live), ApplyError> {
        match standing {
            Standing::Absent => Ok((Change::Created, self.create_job(written, fence).await?)),
            Standing::Going(live) => Err(ApplyError::StillThere { id: live.id().clone() }),
            Standing::Open(live) if live.is_of(written) => Ok((Change::Unchanged, live)),
            Standing::Open(live) => {
                // One that is refused must not cost the one that is there.
                self.try_in_place(written).await?;
                self.delete(live.id(), live.uid(), fence).await?;
                self.gone(live.id(), live.uid()).await?;
                Ok((Change::Replaced, self.create_job(written, fence).await?))
            }
        }
    }

    /// Has a Job judged; the look and the judgement go at once.
    pub(super) async fn judge_job(&self, written: &Written, owner: &Owner) -> Result<Change, ApplyError> {
        let (standing, tried) = tokio::join!(self.standing(written, owner, false), self.try_in_place(written));
        let change = match standing? {
            Standing::Absent | Standing::Going(_) => Change::Created,
            Standing::Open(live) if live.is_of(written) => return Ok(Change::Unchanged),
            Standing::Open(_) => Change::Replaced,
        };
        tried.map(|()| change)
    }

    /// Waits until the object with this uid is gone.
    pub(super) async fn gone(&self, id: &ObjectId, uid: &str) -> Result<(), ApplyError> {
        let looking = async {
            while self.look(id).await?.is_some_and(|live| live.uid() == uid) {
                sleep(LOOK_AGAIN).await;
            }
            Ok(())
        };
        match tokio::time::timeout(GONE_WITHIN, looking).await {
            Ok(looked) => looked,
            Err(_) => Err(ApplyError::StillThere { id: id.clone() }),
        }
    }

    /// A 409 means that one has come since we looked, perhaps by a request of ours whose answer was lost: the next look
    /// tells.
    async fn create_job(&self, written: &Written, fence: &Fence) -> Result<Live, ApplyError> {
        let id = written.id();
        let request = apply_path::create(&self.cluster.namespace, id.kind, written.body(), Mode::Done);
        let answer = self.send(Verb::Create, request, Some(fence)).await;
        answer.map(|body| Live::new(id.clone(), body)).map_err(|answer| ApplyError::of(id, Verb::Create, answer))
    }

    /// Whether the API server would take a Job, were its name free: it is tried under one that is drawn there.
    async fn try_in_place(&self, written: &Written) -> Result<(), ApplyError> {
        let id = written.id();
        let body = nameless(written);
        let request = apply_path::create(&self.cluster.namespace, id.kind, &body, Mode::DryRun);
        let answer = self.send(Verb::Create, request, None).await;
        answer.map(drop).map_err(|answer| ApplyError::of(id, Verb::Create, answer))
    }
}

/// The Job with its name as the beginning of one.
fn nameless(written: &Written) -> Value {
    let mut body = written.body().clone();
    if let Some(meta) = body["metadata"].as_object_mut() {
        meta.remove("name");
        meta.insert("generateName".into(), json!(format!("{}-", written.id().name)));
    }
    body
}
