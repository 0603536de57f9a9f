//! Objects of deployments: applied, judged in dry runs, looked at and deleted, in our namespace only.
//!
//! Every kind but Jobs is written by server-side apply, so that Kubernetes itself keeps which fields are ours. A Job
//! can't be changed, and our Role has no verb for it: another one takes its place (`apply_job.rs`). An object that no
//! deployment has made is not taken over unless that is asked for, and one of another deployment never.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use kube::Client;
use serde_json::Value;
use thiserror::Error;

use crate::{
    cluster::{
        apply_error::ApplyError,
        apply_path::{self, Built, Mode},
        requests::{Cluster, Unanswered},
        survey::{Action, Survey, SurveyError},
    },
    decide::{
        deployment::record::Change,
        live::{
            live_object::Live,
            owner::{Owner, Ownership},
            rights::{Right, Verb},
            written::Written,
        },
    },
    fence::Fence,
    modules::object::{Object, ObjectId, ObjectKind},
};

/// Objects that are judged at once: as many as the process may ask for.
const AT_ONCE: usize = 16;

/// An object that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What became of it.
    pub change: Change,
    /// The uid that it has now, the precondition of its delete.
    pub uid: String,
}

/// Why it is not known what we may.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RightsError {
    /// One is not allowed to ask.
    #[error("the API server does not tell what job-chief may: {0}")]
    NotTold(String),
    /// No answer.
    #[error("whether job-chief may {right} is not known: {why}")]
    Unanswered {
        /// What was asked for.
        right: Right,
        /// What is known of it.
        why: String,
    },
}

/// Deploys objects into one namespace. Clones share their places with the writer of Jobs.
#[derive(Clone)]
pub struct Applier {
    pub(super) cluster: Cluster,
    survey: Survey,
}

/// How an object stands to what is to be written.
pub(super) enum Standing {
    /// There is none.
    Absent,
    /// It is being deleted.
    Going(Live),
    /// It is there, and ours to write.
    Open(Live),
}

impl Applier {
    /// One that has asked for nothing yet.
    pub fn new(client: &Client, cluster: Cluster) -> Self {
        let survey = Survey::new(client.clone(), &cluster.namespace);
        Self { cluster, survey }
    }

    /// Brings an object to what is written. With `force` fields of others are taken over, and objects that no
    /// deployment has made. What others have changed since the very same was written is put back without it.
    ///
    /// A Job that is another than before waits until the last one is gone, which is bounded.
    ///
    /// # Errors
    /// See [`ApplyError`]; nothing was changed but for [`ApplyError::Transient`] and [`ApplyError::StillThere`], after
    /// which the same may be asked for again.
    pub async fn apply(
        &self,
        object: &Object,
        owner: &Owner,
        force: bool,
        fence: &Fence,
    ) -> Result<Applied, ApplyError> {
        let written = Written::of(object, owner);
        let mut standing = self.standing(&written, owner, force).await?;
        if let Standing::Going(live) = &standing {
            self.gone(live.id(), live.uid()).await?;
            standing = self.standing(&written, owner, force).await?;
        }
        let (change, live) = match written.id().kind {
            ObjectKind::Job => self.apply_job(&written, standing, fence).await?,
            _ => self.apply_fields(&written, standing, force, fence).await?,
        };
        Ok(Applied { change, uid: live.uid().to_owned() })
    }

    /// What applying these objects would do, each judged by the API server; the answers are in order. Nothing is
    /// changed, no lease is needed.
    ///
    /// # Errors
    /// Of each object by itself, see [`ApplyError`].
    pub async fn dry_run(&self, objects: &[Object], owner: &Owner, force: bool) -> Vec<Result<Change, ApplyError>> {
        let judge = |object| {
            let written = Written::of(object, owner);
            async move {
                match written.id().kind {
                    ObjectKind::Job => self.judge_job(&written, owner).await,
                    _ => self.judge_fields(&written, owner, force).await,
                }
            }
        };
        let each: Vec<_> = objects.iter().map(judge).collect();
        stream::iter(each).buffered(AT_ONCE).collect().await
    }

    /// The object as it is now; `None` if there is none.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn look(&self, id: &ObjectId) -> Result<Option<Live>, ApplyError> {
        check(id)?;
        match self.send(Verb::Get, apply_path::get(&self.cluster.namespace, id), None).await {
            Ok(body) => Ok(Some(Live::new(id.clone(), body))),
            Err(Unanswered::Told(status)) if status.code == 404 => Ok(None),
            Err(answer) => Err(ApplyError::of(id, Verb::Get, answer)),
        }
    }

    /// Asks for the end of the object with this uid, and of what belongs to it. It goes when its pods have ended, which
    /// [`Applier::look`] tells. One that is gone, or whose name another has by now, is success.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn delete(&self, id: &ObjectId, uid: &str, fence: &Fence) -> Result<(), ApplyError> {
        check(id)?;
        let request = apply_path::delete(&self.cluster.namespace, id, uid);
        match self.send(Verb::Delete, request, Some(fence)).await {
            Ok(_) => Ok(()),
            Err(Unanswered::Told(status)) if status.code == 404 => Ok(()),
            Err(Unanswered::Told(status)) if status.code == 409 => match self.look(id).await? {
                Some(live) if live.uid() == uid => Err(ApplyError::of(id, Verb::Delete, Unanswered::Told(status))),
                _ => Ok(()),
            },
            Err(answer) => Err(ApplyError::of(id, Verb::Delete, answer)),
        }
    }

    /// Those of the rights that we do not have.
    ///
    /// # Errors
    /// [`RightsError`], if it is not known of each.
    pub async fn missing_rights(&self, needed: &BTreeSet<Right>) -> Result<Vec<Right>, RightsError> {
        let ask = |right: Right| async move {
            let action = Action::of(right.kind.group(), right.kind.plural(), right.verb.as_str());
            (right, self.survey.may(&action).await)
        };
        let each: Vec<_> = needed.iter().copied().map(ask).collect();
        let answers: Vec<_> = stream::iter(each).buffered(AT_ONCE).collect().await;
        let mut missing = vec![];
        for (right, answer) in answers {
            match answer {
                Ok(true) => {}
                Ok(false) => missing.push(right),
                Err(SurveyError::Refused { message, .. }) => return Err(RightsError::NotTold(message)),
                Err(error) => return Err(RightsError::Unanswered { right, why: error.to_string() }),
            }
        }
        Ok(missing)
    }

    /// What there is under the name, if it is ours to write.
    pub(super) async fn standing(&self, written: &Written, owner: &Owner, force: bool) -> Result<Standing, ApplyError> {
        let Some(live) = self.look(written.id()).await? else { return Ok(Standing::Absent) };
        if live.is_going() {
            return Ok(Standing::Going(live));
        }
        writable(&live, owner, force)?;
        Ok(Standing::Open(live))
    }

    /// Writes the fields of an object.
    async fn apply_fields(
        &self,
        written: &Written,
        standing: Standing,
        force: bool,
        fence: &Fence,
    ) -> Result<(Change, Live), ApplyError> {
        let before = match standing {
            Standing::Absent => None,
            Standing::Going(live) => return Err(ApplyError::StillThere { id: live.id().clone() }),
            Standing::Open(live) => Some(live),
        };
        let force = force || puts_back(before.as_ref(), written);
        let request = apply_path::patch(&self.cluster.namespace, written.id(), written.body(), force, Mode::Done);
        let answer = self.send(Verb::Patch, request, Some(fence)).await;
        let after = answer.map_err(|answer| ApplyError::of(written.id(), Verb::Patch, answer))?;
        let after = Live::new(written.id().clone(), after);
        Ok((change(before.as_ref(), &after), after))
    }

    /// Has fields judged; the look and the judgement go at once.
    async fn judge_fields(&self, written: &Written, owner: &Owner, force: bool) -> Result<Change, ApplyError> {
        let patch = async |force| {
            let request = apply_path::patch(&self.cluster.namespace, written.id(), written.body(), force, Mode::DryRun);
            let answer = self.send(Verb::Patch, request, None).await;
            let after = answer.map_err(|answer| ApplyError::of(written.id(), Verb::Patch, answer))?;
            Ok(Live::new(written.id().clone(), after))
        };
        let (before, mut after) = tokio::join!(self.look(written.id()), patch(force));
        let before = before?;
        if let Some(live) = before.as_ref().filter(|live| !live.is_going()) {
            writable(live, owner, force)?;
        }
        if matches!(after, Err(ApplyError::Conflict { .. })) && puts_back(before.as_ref(), written) {
            after = patch(true).await;
        }
        Ok(change(before.as_ref(), &after?))
    }

    /// A request to the API server; one that changes something is held to a fence.
    pub(super) async fn send(&self, verb: Verb, request: Built, fence: Option<&Fence>) -> Result<Value, Unanswered> {
        let Ok(mut request) = request else { return Err(Unanswered::Silent) };
        if let Some(fence) = fence {
            self.cluster.opened(fence, verb.as_str()).await?;
            request.extensions_mut().insert(fence.clone());
        }
        // The text is read here: the client would log one that it can't read, and it may be a Secret.
        let text = self.cluster.bounded(verb.as_str(), self.cluster.client.request_text(request)).await?;
        serde_json::from_str(&text).map_err(|_| Unanswered::Silent)
    }
}

/// An object that can be asked for.
fn check(id: &ObjectId) -> Result<(), ApplyError> {
    let refused = |message: &str| Err(ApplyError::Refused { id: id.clone(), message: message.to_owned() });
    match id.kind {
        ObjectKind::JobConfig => refused("a JobConfig is job-chief's own, and not sent to Kubernetes"),
        _ if apply_path::is_safe(&id.name) => Ok(()),
        _ => refused("metadata.name is no name of Kubernetes: lower case letters, digits, - and ., a letter first"),
    }
}

/// Whether an object that is there is ours to write.
fn writable(live: &Live, owner: &Owner, force: bool) -> Result<(), ApplyError> {
    // A Job would have to be deleted to be taken over.
    let forcible = live.id().kind != ObjectKind::Job;
    let taken = |holder, forcible| Err(ApplyError::NameTaken { id: live.id().clone(), holder, forcible });
    match live.whose(owner) {
        Ownership::Ours => Ok(()),
        Ownership::Foreign if force && forcible => Ok(()),
        Ownership::Foreign => taken(Ownership::Foreign, forcible),
        holder @ Ownership::OfDeployment { .. } => taken(holder, false),
    }
}

/// All these fields were ours: what others have made of them since is put back.
fn puts_back(before: Option<&Live>, written: &Written) -> bool {
    before.is_some_and(|live| live.is_of(written))
}

fn change(before: Option<&Live>, after: &Live) -> Change {
    match before {
        None => Change::Created,
        // A dry run of one that goes: by then it is gone.
        Some(before) if before.is_going() => Change::Created,
        Some(before) if after.is_unchanged_since(before) => Change::Unchanged,
        Some(_) => Change::Configured,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        convert::Infallible,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use axum::http::{self, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::{clock::Clock, fence::Gate, metrics::Metrics};

    /// An API server that gives these answers in turn, and writes down what it is asked.
    struct Scripted {
        applier: Applier,
        asked: Arc<Mutex<Vec<String>>>,
        gate: Gate,
    }

    impl Scripted {
        fn answering(answers: Vec<(u16, Value)>) -> Self {
            let asked: Arc<Mutex<Vec<String>>> = Arc::default();
            let (log, answers) = (asked.clone(), Arc::new(Mutex::new(VecDeque::from(answers))));
            let service = tower::service_fn(move |request: http::Request<Body>| {
                let path = request.uri().path().trim_start_matches("/api/v1/").trim_start_matches("/apis/batch/v1/");
                let query = request.uri().query().unwrap_or_default().trim_start_matches('&');
                log.lock().expect("alone").push(format!("{} {path} {query}", request.method()).trim().to_owned());
                let (code, body) = answers.lock().expect("alone").pop_front().expect("an answer for each request");
                let response = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
                std::future::ready(Ok::<_, Infallible>(response.expect("a response")))
            });
            let (client, clock) = (Client::new(service, "n"), Clock::start());
            let metrics = Arc::new(Metrics::new().expect("metrics"));
            let cluster = Cluster::new(&client, "n", clock, metrics);
            let gate = Gate::until(clock.now() + Duration::from_secs(60), clock);
            Self { applier: Applier::new(&client, cluster), asked, gate }
        }

        async fn apply(&self, object: &Object, force: bool) -> Result<Change, ApplyError> {
            let applied = self.applier.apply(object, &owner(), force, &self.gate.fence()).await;
            applied.map(|applied| applied.change)
        }

        fn asked(&self) -> Vec<String> {
            self.asked.lock().expect("alone").clone()
        }
    }

    fn owner() -> Owner {
        Owner::new("a", "cache")
    }

    fn object(kind: ObjectKind, data: Value) -> Object {
        let body =
            json!({"apiVersion": kind.api_version(), "kind": kind.as_str(), "metadata": {"name": "x"}, "data": data});
        let id = ObjectId { kind, name: "x".into() };
        Object { id, body: body.as_object().expect("a mapping").clone(), file: "x.yaml".into(), line: 1 }
    }

    /// The object as the API server shows it when this was applied.
    fn live(object: &Object, uid: &str) -> Value {
        let mut body = Written::of(object, &owner()).body().clone();
        body["metadata"]["uid"] = json!(uid);
        let fields = json!({"f:data": {"f:a": {}}});
        body["metadata"]["managedFields"] = json!([{"manager": "job-chief", "operation": "Apply", "fieldsV1": fields}]);
        body
    }

    fn absent() -> (u16, Value) {
        (404, json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "not found"}))
    }

    fn conflict() -> (u16, Value) {
        let cause =
            json!({"reason": "FieldManagerConflict", "field": ".data.a", "message": "conflict with \"kubectl\""});
        let status = json!({
            "kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict", "message": "m",
            "details": {"causes": [cause]},
        });
        (409, status)
    }

    const GET: &str = "GET namespaces/n/configmaps/x";
    const PATCH: &str = "PATCH namespaces/n/configmaps/x fieldManager=job-chief&fieldValidation=Strict";
    const DRY: &str = "PATCH namespaces/n/configmaps/x dryRun=All&fieldManager=job-chief&fieldValidation=Strict";
    const FORCED: &str = "PATCH namespaces/n/configmaps/x force=true&fieldManager=job-chief&fieldValidation=Strict";

    #[tokio::test(start_paused = true)]
    async fn an_object_is_made_changed_and_left_as_it_is() {
        let (old, new) =
            (object(ObjectKind::ConfigMap, json!({"a": "1"})), object(ObjectKind::ConfigMap, json!({"a": "2"})));
        let made = Scripted::answering(vec![absent(), (201, live(&new, "u"))]);
        assert_eq!(made.apply(&new, false).await, Ok(Change::Created));
        assert_eq!(made.asked(), [GET, PATCH]);
        let changed = Scripted::answering(vec![(200, live(&old, "u")), (200, live(&new, "u"))]);
        assert_eq!(changed.apply(&new, false).await, Ok(Change::Configured));
        assert_eq!(changed.asked(), [GET, PATCH]);
        let same = Scripted::answering(vec![(200, live(&new, "u")), (200, live(&new, "u"))]);
        assert_eq!(same.apply(&new, false).await, Ok(Change::Unchanged));
        assert_eq!(same.asked(), [GET, FORCED], "what others have made of it is put back");
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_has_changed_is_put_back_and_is_a_change() {
        let object = object(ObjectKind::ConfigMap, json!({"a": "1"}));
        let mut edited = live(&object, "u");
        edited["metadata"]["managedFields"][0]["fieldsV1"] = json!({"f:data": {}});
        let server = Scripted::answering(vec![(200, edited), (200, live(&object, "u"))]);
        assert_eq!(server.apply(&object, false).await, Ok(Change::Configured));
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_of_others_is_taken_over_only_by_force_and_one_of_another_deployment_never() {
        let object = object(ObjectKind::ConfigMap, json!({"a": "1"}));
        let mut foreign = live(&object, "u");
        foreign["metadata"]["labels"] = json!({});
        let server = Scripted::answering(vec![(200, foreign.clone())]);
        assert!(matches!(server.apply(&object, false).await, Err(ApplyError::NameTaken { forcible: true, .. })));
        assert_eq!(server.asked(), [GET]);
        let server = Scripted::answering(vec![(200, foreign), (200, live(&object, "u"))]);
        assert!(server.apply(&object, true).await.is_ok());
        let mut other = live(&object, "u");
        other["metadata"]["labels"]["job-chief/deployment"] = json!("mail");
        let server = Scripted::answering(vec![(200, other)]);
        assert!(matches!(server.apply(&object, true).await, Err(ApplyError::NameTaken { forcible: false, .. })));
    }

    fn job(image: &str) -> Object {
        object(ObjectKind::Job, json!({"image": image}))
    }

    const GET_JOB: &str = "GET namespaces/n/jobs/x";
    const POST_JOB: &str = "POST namespaces/n/jobs fieldManager=job-chief&fieldValidation=Strict";
    const TRY_JOB: &str = "POST namespaces/n/jobs dryRun=All&fieldManager=job-chief&fieldValidation=Strict";

    #[tokio::test(start_paused = true)]
    async fn a_job_is_made_once_and_another_one_takes_its_place_when_it_is_gone() {
        let (old, new) = (job("a:1"), job("a:2"));
        let made = Scripted::answering(vec![absent(), (201, live(&new, "u"))]);
        assert_eq!(made.apply(&new, false).await, Ok(Change::Created));
        assert_eq!(made.asked(), [GET_JOB, POST_JOB]);
        let same = Scripted::answering(vec![(200, live(&new, "u"))]);
        assert_eq!(same.apply(&new, true).await, Ok(Change::Unchanged));
        let replaced = Scripted::answering(vec![
            (200, live(&old, "u")),
            (201, live(&new, "none")),
            (200, live(&old, "u")),
            (200, live(&old, "u")),
            absent(),
            (201, live(&new, "v")),
        ]);
        assert_eq!(replaced.apply(&new, false).await, Ok(Change::Replaced));
        let delete = "DELETE namespaces/n/jobs/x";
        assert_eq!(replaced.asked(), [GET_JOB, TRY_JOB, delete, GET_JOB, GET_JOB, POST_JOB]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_would_be_refused_does_not_cost_the_one_that_is_there() {
        let refused = json!({"kind": "Status", "status": "Failure", "code": 422, "message": "spec.template: Required"});
        let server = Scripted::answering(vec![(200, live(&job("a:1"), "u")), (422, refused)]);
        assert!(matches!(server.apply(&job("a:2"), true).await, Err(ApplyError::Refused { .. })));
        assert_eq!(server.asked(), [GET_JOB, TRY_JOB]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dry_run_changes_nothing_and_says_what_would_be() {
        let (old, new) =
            (object(ObjectKind::ConfigMap, json!({"a": "1"})), object(ObjectKind::ConfigMap, json!({"a": "2"})));
        let server = Scripted::answering(vec![(200, live(&old, "u")), (200, live(&new, "u"))]);
        let planned = server.applier.dry_run(std::slice::from_ref(&new), &owner(), false).await;
        assert_eq!(planned, [Ok(Change::Configured)]);
        assert_eq!(server.asked(), [GET, DRY]);
        let server = Scripted::answering(vec![(200, live(&old, "u")), conflict()]);
        let planned = server.applier.dry_run(std::slice::from_ref(&new), &owner(), false).await;
        assert!(matches!(&planned[..], [Err(ApplyError::Conflict { .. })]), "{planned:?}");
        let server = Scripted::answering(vec![(200, live(&job("a:1"), "u")), (201, json!({}))]);
        assert_eq!(server.applier.dry_run(&[job("a:2")], &owner(), false).await, [Ok(Change::Replaced)]);
        assert_eq!(server.asked(), [GET_JOB, TRY_JOB]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delete_is_of_one_object_and_its_absence_is_success() {
        let id = job("a").id;
        let conflict =
            || (409, json!({"kind": "Status", "status": "Failure", "code": 409, "message": "Precondition failed"}));
        for answers in [vec![absent()], vec![conflict(), (200, live(&job("a"), "v"))], vec![conflict(), absent()]] {
            let server = Scripted::answering(answers);
            assert_eq!(server.applier.delete(&id, "u", &server.gate.fence()).await, Ok(()));
        }
        let server = Scripted::answering(vec![conflict(), (200, live(&job("a"), "u"))]);
        let told = server.applier.delete(&id, "u", &server.gate.fence()).await;
        assert!(told.is_err_and(|error| error.is_transient()));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_sent_without_a_lease_nor_for_what_is_no_object_of_kubernetes() {
        let server = Scripted::answering(vec![absent()]);
        let fence = server.gate.fence();
        server.gate.set(Duration::ZERO);
        let told = server.applier.apply(&job("a"), &owner(), false, &fence).await;
        assert!(told.is_err_and(|error| error.is_transient()));
        assert_eq!(server.asked(), [GET_JOB]);
        let mut other = object(ObjectKind::JobConfig, json!({}));
        assert!(matches!(server.apply(&other, false).await, Err(ApplyError::Refused { .. })));
        other.id = ObjectId { kind: ObjectKind::Secret, name: "x/../y".into() };
        assert!(matches!(server.apply(&other, false).await, Err(ApplyError::Refused { .. })));
        assert_eq!(server.asked(), [GET_JOB]);
    }

    #[tokio::test(start_paused = true)]
    async fn rights_that_are_missing_are_named_and_not_knowing_is_no_success() {
        let answer = |allowed: bool| {
            (
                201,
                json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {}, "status": {"allowed": allowed}}),
            )
        };
        let needed = crate::decide::live::rights::needed([ObjectKind::Job]);
        let server = Scripted::answering(vec![answer(true), answer(false), answer(true)]);
        let missing = server.applier.missing_rights(&needed).await.expect("answers");
        assert_eq!(missing.iter().map(ToString::to_string).collect::<Vec<_>>(), ["delete jobs"]);
        let refused = (403, json!({"kind": "Status", "status": "Failure", "code": 403, "message": "no reviews"}));
        let server = Scripted::answering(vec![answer(true), refused, answer(true)]);
        let told = server.applier.missing_rights(&needed).await;
        assert_eq!(told, Err(RightsError::NotTold("no reviews".into())));
    }
}
