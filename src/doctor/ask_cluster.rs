//! How things are with Kubernetes, asked in order. Nothing is written there: Jobs are asked for in dry runs.

use std::collections::BTreeMap;

use futures::{StreamExt, future::join_all, stream};
use k8s_openapi::api::batch::v1::Job;

use crate::{
    clock::Clock,
    cluster::{
        connect::{Access, ConnectError},
        survey::{Action, Survey, SurveyError},
    },
    config::{entry::Entry, settings::Settings},
    decide::{
        decision::Wish,
        pod::{
            inputs::{Instance, Parts},
            manifest::Template,
            names::job_name,
            references::{Reference, Referred, references},
        },
    },
    doctor::{
        cluster::{self, Rights},
        postgres,
        references::{self, Known, Named},
        report::{Check, Name, skipped},
        trials::{self, Trial},
    },
    telemetry::with_causes,
};

/// What needs the API server.
const ALL: [Name; 5] = [Name::ApiClock, Name::Verbs, Name::Jobs, Name::Pods, Name::References];

/// Dry runs in flight: half of what the service itself takes.
const TRIALS_AT_ONCE: usize = 8;

/// What the questions are asked with.
struct Questions {
    survey: Survey,
    namespace: String,
    /// What each JobConfig makes, where jobs.json could be read.
    jobs: Option<Vec<(String, Job)>>,
}

/// All lines of Kubernetes.
pub(super) async fn checks(
    settings: &Settings,
    entries: Option<&[Entry]>,
    access: Result<Access, ConnectError>,
    clock: Clock,
) -> Vec<Check> {
    let client = match access {
        Ok(access) => access.client().await,
        Err(error) => Err(error),
    };
    let survey = match client {
        Ok(client) => Survey::new(client, &settings.kubernetes.namespace),
        Err(error) => return unreached(Name::ApiServer.failed(with_causes(&error), advice(&error))),
    };
    match survey.server(clock).await {
        Ok(server) => {
            let jobs = entries.map(|entries| jobs(settings, entries, clock));
            let questions = Questions { survey, namespace: settings.kubernetes.namespace.clone(), jobs };
            let mut checks = vec![cluster::server(Ok(&server))];
            checks.push(match server.ahead {
                Some(ahead) => postgres::clock(Name::ApiClock, ahead),
                None => Name::ApiClock.skipped("the API server does not tell the time"),
            });
            checks.extend(questions.checks().await);
            checks
        }
        Err(error) => unreached(cluster::server(Err(&error))),
    }
}

fn unreached(why: Check) -> Vec<Check> {
    let mut checks = vec![why];
    checks.extend(skipped(&ALL, "the API server was not reached"));
    checks
}

fn advice(error: &ConnectError) -> &'static [&'static str] {
    match error {
        ConnectError::Kubeconfig { .. } => &["`kubectl config get-contexts` tells which there are."],
        _ => &[],
    }
}

/// What each JobConfig makes, under names that no Job has.
fn jobs(settings: &Settings, entries: &[Entry], clock: Clock) -> Vec<(String, Job)> {
    let instance = Instance::of(settings);
    let seed = u64::try_from(clock.unix_millis()).unwrap_or_default();
    let job = |name: String, parts: Parts<'_>| {
        let wish = Wish::example(job_name(&instance.uid, &name, seed, 0));
        (name, Template::of(parts, &instance).job(&wish))
    };
    entries.iter().flat_map(|entry| Parts::each(entry, job)).collect()
}

fn create_jobs() -> Action {
    Action::of("batch", "jobs", "create")
}

/// Not of our Role, and of use here: who may make pods can try them.
fn create_pods() -> Action {
    Action::of("", "pods", "create")
}

/// Not of our Role, and of use here: who may read them can see whether they are there.
fn read(kind: Referred) -> Action {
    let resource = match kind {
        Referred::Secret => "secrets",
        Referred::ConfigMap => "configmaps",
    };
    Action::of("", resource, "get")
}

impl Questions {
    async fn checks(&self) -> Vec<Check> {
        let rights = self.rights().await;
        let mut checks = cluster::verbs(&rights);
        let Some(jobs) = &self.jobs else {
            checks.extend(skipped(&[Name::Jobs, Name::Pods, Name::References], "jobs.json is wrong"));
            return checks;
        };
        if rights.may(&create_jobs()) {
            let said = self.trials(jobs, async |job| self.survey.try_job(job).await).await;
            checks.extend(trials::judge(Name::Jobs, &said));
        } else {
            checks.push(Name::Jobs.skipped("without the verb create they can't be tried"));
        }
        if rights.may(&create_pods()) {
            let said = self.trials(jobs, async |job| self.survey.try_pod(job).await).await;
            checks.extend(trials::judge(Name::Pods, &said));
        } else {
            checks.push(Name::Pods.skipped(
                "these credentials may not make pods, and job-chief need not: a quota or LimitRange that refuses them shows only as no_pod. Who may, sees it with `job-chief doctor --context NAME`",
            ));
        }
        checks.extend(self.references(jobs, &rights).await);
        checks
    }

    async fn rights(&self) -> Rights {
        let beside = [cluster::halt(), create_pods(), read(Referred::Secret), read(Referred::ConfigMap)];
        let actions = cluster::needed().into_iter().chain(beside);
        let answers = join_all(actions.map(async |action| {
            let answer = self.survey.may(&action).await;
            (action, answer)
        }));
        let (who, answers) = tokio::join!(self.survey.whoami(), answers);
        Rights { who: who.unwrap_or_default(), namespace: self.namespace.clone(), answers }
    }

    async fn trials(
        &self,
        jobs: &[(String, Job)],
        attempt: impl AsyncFn(&Job) -> Result<(), SurveyError>,
    ) -> Vec<Trial> {
        let attempt = &attempt;
        let all = jobs.iter().map(|(name, job)| async move { (name.clone(), attempt(job).await) });
        stream::iter(all).buffered(TRIALS_AT_ONCE).collect().await
    }

    async fn references(&self, jobs: &[(String, Job)], rights: &Rights) -> Vec<Check> {
        let mut named = Named::new();
        for (name, job) in jobs {
            for reference in references(job) {
                named.entry(reference).or_default().insert(name.clone());
            }
        }
        let known = named.keys().map(|reference| async {
            let known = if rights.may(&read(reference.kind)) { self.look_for(reference).await } else { Known::NotOurs };
            (reference.clone(), known)
        });
        let known: BTreeMap<_, _> = stream::iter(known).buffered(TRIALS_AT_ONCE).collect().await;
        references::judge(&named, &known)
    }

    async fn look_for(&self, reference: &Reference) -> Known {
        match self.survey.exists(reference).await {
            Ok(there) => Known::There(there),
            Err(error) => Known::Unanswered(error),
        }
    }
}
