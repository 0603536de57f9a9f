//! The trace of a run, as spans: the whole of it, and in it the look, the decision, each request, the start, the work.
//!
//! No span is kept open while the run lives. Each is told once what it is of is over, by whoever has seen it; as ids follow
//! from the name of the Job, the spans of two processes become one trace. Times of different clocks stand side by side here,
//! and Kubernetes' are whole seconds: what comes later never begins before what came first.

use std::{borrow::Cow, time::Duration};

use opentelemetry::{
    KeyValue,
    trace::{SpanId, SpanKind, Status, TraceId},
};

use crate::decide::{
    decision::{Decision, Wish},
    outcome::{End, JobName, Outcome, Reason},
    run::event::{Course, CreateAnswer, Ended},
    trace_context::{root_span_id, span_id, trace_id},
};

/// Characters of a message that a span shows.
const MESSAGE_MAX: usize = 256;

/// A span that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace of its run.
    pub trace: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// The span that it is part of; `None` for the whole run.
    pub parent: Option<SpanId>,
    /// What it is of.
    pub name: Cow<'static, str>,
    /// Whether it is a request.
    pub kind: SpanKind,
    /// When it began, since 1970.
    pub began_at: Duration,
    /// When it was over, since 1970.
    pub over_at: Duration,
    /// What else is known, by OpenTelemetry's names where there is one.
    pub attributes: Vec<KeyValue>,
    /// Whether it failed, and why.
    pub status: Status,
}

/// The run that spans are of.
#[derive(Clone, Copy, Debug)]
pub struct Traced<'a> {
    /// The name of its Job.
    pub job: &'a JobName,
    /// The name of its JobConfig.
    pub job_config: &'a str,
    /// The queue, where it is one's.
    pub queue: Option<&'a str>,
    /// The namespace of its Job.
    pub namespace: &'a str,
    /// This installation.
    pub instance: &'a str,
}

impl Traced<'_> {
    /// Its wish is on record: the look that it was decided by, and the decision.
    pub fn wished(&self, wish: &Wish, written_at: Duration) -> Vec<Span> {
        let (origin, decision) = (&wish.origin, &wish.decision);
        let look = origin.looked_at.map(|looked_at| {
            let found = [number("job_chief.ready", decision.ready), number("job_chief.new", decision.new)];
            self.span("look", (looked_at, origin.decided_at), found)
        });
        let decided = decision_attributes(decision).into_iter().chain([number("job_chief.slot", wish.slot.into())]);
        let decide = self.span("decide", (origin.decided_at, written_at), decided);
        look.into_iter().chain([decide]).collect()
    }

    /// A request for its Job was answered, or not.
    pub fn asked(&self, sent_at: Duration, answered_at: Duration, answer: &CreateAnswer) -> Span {
        let (uid, status) = match answer {
            CreateAnswer::Exists { uid } => (Some(KeyValue::new("k8s.job.uid", uid.to_string())), Status::Unset),
            CreateAnswer::Unanswered { .. } => {
                (None, Status::error("no answer; it is asked again under the same name"))
            }
            CreateAnswer::Refused { message } => (None, Status::error(cut(message))),
        };
        let error = match answer {
            CreateAnswer::Exists { .. } => None,
            CreateAnswer::Unanswered { .. } => Some(KeyValue::new("error.type", "unanswered")),
            CreateAnswer::Refused { .. } => Some(KeyValue::new("error.type", Reason::Refused.as_str())),
        };
        let span = self.span("create", (sent_at, answered_at), uid.into_iter().chain(error));
        Span { kind: SpanKind::Client, status, ..span }
    }

    /// Its end is on record: how it started and worked, and the whole of it.
    pub fn ended(&self, ended: &Ended) -> Vec<Span> {
        let Course { origin, created_at, started_at, ended_at } = ended.course;
        let created_at = created_at.map(|at| at.max(origin.decided_at));
        let started_at = started_at.map(|at| at.max(created_at.unwrap_or(origin.decided_at)));
        let over_at = ended_at.max(started_at.or(created_at).unwrap_or(origin.decided_at));
        let failure = failure(&ended.end);
        let failed = |failed: bool| if failed { failure.clone() } else { Status::Unset };
        let start = created_at.map(|created_at| Span {
            status: failed(started_at.is_none()),
            ..self.span("start", (created_at, started_at.unwrap_or(over_at)), [])
        });
        let work = started_at.map(|started_at| Span {
            status: failed(true),
            ..self.span("work", (started_at, over_at), exit_code(&ended.end))
        });
        let uid = ended.uid.as_ref().map(|uid| KeyValue::new("k8s.job.uid", uid.to_string()));
        let whole = Span {
            id: root_span_id(self.job),
            parent: None,
            name: format!("run {}", self.job_config).into(),
            status: failed(true),
            ..self.span("", (origin.begun_at, over_at), end_attributes(&ended.end).into_iter().chain(uid))
        };
        start.into_iter().chain(work).chain([whole]).collect()
    }

    fn span(
        &self,
        name: &'static str,
        (began_at, over_at): (Duration, Duration),
        more: impl IntoIterator<Item = KeyValue>,
    ) -> Span {
        Span {
            trace: trace_id(self.job),
            id: span_id(self.job, name, began_at),
            parent: Some(root_span_id(self.job)),
            name: name.into(),
            kind: SpanKind::Internal,
            began_at,
            over_at: over_at.max(began_at),
            attributes: self.attributes().into_iter().chain(more).collect(),
            status: Status::Unset,
        }
    }

    /// What every span says of its run.
    fn attributes(&self) -> Vec<KeyValue> {
        let mut all = vec![
            KeyValue::new("k8s.namespace.name", self.namespace.to_owned()),
            KeyValue::new("k8s.job.name", self.job.0.clone()),
            KeyValue::new("job_chief.instance", self.instance.to_owned()),
            KeyValue::new("job_chief.job_config", self.job_config.to_owned()),
        ];
        if let Some(queue) = self.queue {
            all.push(KeyValue::new("messaging.system", "pg-boss"));
            all.push(KeyValue::new("messaging.destination.name", queue.to_owned()));
        }
        all
    }
}

/// Attributes have no unsigned numbers; none of ours comes near the bound.
fn number(name: &'static str, value: u64) -> KeyValue {
    KeyValue::new(name, i64::try_from(value).unwrap_or(i64::MAX))
}

fn decision_attributes(decision: &Decision) -> [KeyValue; 6] {
    [
        KeyValue::new("job_chief.decision", decision.why.as_str()),
        number("job_chief.jobs", decision.jobs),
        number("job_chief.ready", decision.ready),
        number("job_chief.claimed", decision.claimed),
        number("job_chief.live", decision.live),
        number("job_chief.max", decision.max),
    ]
}

fn end_attributes(end: &End) -> Vec<KeyValue> {
    let error = (failure(end) != Status::Unset).then(|| KeyValue::new("error.type", end.reason.as_str()));
    let words = [
        KeyValue::new("job_chief.outcome", end.outcome.as_str()),
        KeyValue::new("job_chief.reason", end.reason.as_str()),
    ];
    words.into_iter().chain(exit_code(end)).chain(error).collect()
}

fn exit_code(end: &End) -> Option<KeyValue> {
    end.exit_code.map(|code| KeyValue::new("process.exit.code", i64::from(code)))
}

/// What was stopped because somebody wanted it has not failed.
fn failure(end: &End) -> Status {
    let unwell = matches!(end.reason, Reason::Unhealthy | Reason::NotReady);
    match end.outcome {
        Outcome::Succeeded => Status::Unset,
        Outcome::Stopped if !unwell => Status::Unset,
        Outcome::Stopped | Outcome::Failed | Outcome::StartTimedOut | Outcome::StartError | Outcome::Vanished => {
            let message = end.message.as_deref().map(|message| format!(": {}", cut(message))).unwrap_or_default();
            Status::error(format!("{} {}{message}", end.outcome.as_str(), end.reason.as_str()))
        }
    }
}

fn cut(message: &str) -> String {
    message.chars().take(MESSAGE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decision::Origin;

    const SECOND: Duration = Duration::from_secs(1);

    fn job() -> JobName {
        JobName("job-chief-aaaaaa-mail-0".into())
    }

    fn traced(job: &JobName) -> Traced<'_> {
        Traced { job, job_config: "mail", queue: Some("Mail/1"), namespace: "media", instance: "aaaaaa" }
    }

    /// A message that came at 10.5 s, seen by a look at 11 s.
    fn origin() -> Origin {
        Origin::messages(SECOND * 11, Duration::from_millis(10_900), Duration::from_millis(500))
    }

    fn ended(end: End, (created, started, over): (Option<u64>, Option<u64>, u64)) -> Ended {
        let at = |second: u64| Duration::from_secs(second);
        let course =
            Course { origin: origin(), created_at: created.map(at), started_at: started.map(at), ended_at: at(over) };
        let uid = created.map(|_| "uid".into());
        Ended { name: job(), uid, end, age: Duration::ZERO, started_age: None, course }
    }

    /// A span in one line.
    fn told(span: &Span) -> String {
        let status = match &span.status {
            Status::Error { description } => format!("!! {description}"),
            _ => String::new(),
        };
        let parent = if span.parent.is_some() { "  " } else { "" };
        let attributes = span.attributes.iter().skip(6);
        let attributes: String = attributes.map(|it| format!("{}={} ", it.key, it.value)).collect();
        let (began_at, over_at) = (span.began_at.as_millis(), span.over_at.as_millis());
        format!("{parent}{} {began_at}-{over_at} {attributes}{status}", span.name).trim_end().to_owned()
    }

    fn all_told(spans: &[Span]) -> String {
        spans.iter().map(told).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_run_is_told_from_its_message_to_its_end() {
        let job = job();
        let decision = Decision { ready: 3, new: 1, live: 2, max: 5, jobs: 1, ..Decision::default() };
        let wish = Wish { slot: 4, decision, origin: origin(), ..Wish::example(job.clone()) };
        let mut spans = traced(&job).wished(&wish, Duration::from_millis(11_005));
        let (sent_at, answered_at) = (Duration::from_millis(11_006), Duration::from_millis(11_020));
        spans.push(traced(&job).asked(sent_at, answered_at, &CreateAnswer::Exists { uid: "uid".into() }));
        let end = End { exit_code: Some(0), ..End::new(Outcome::Succeeded, Reason::Completed) };
        spans.extend(traced(&job).ended(&ended(end, (Some(12), Some(14), 20))));
        insta::assert_snapshot!(all_told(&spans), @r"
          look 10900-11000 job_chief.ready=3 job_chief.new=1
          decide 11000-11005 job_chief.decision=empty job_chief.jobs=1 job_chief.ready=3 job_chief.claimed=0 job_chief.live=2 job_chief.max=5 job_chief.slot=4
          create 11006-11020 k8s.job.uid=uid
          start 12000-14000
          work 14000-20000 process.exit.code=0
        run mail 10500-20000 job_chief.outcome=succeeded job_chief.reason=completed process.exit.code=0 k8s.job.uid=uid
        ");
        let whole = spans.last().expect("the run").id;
        assert_eq!(whole, root_span_id(&job));
        assert!(spans.iter().all(|span| span.trace == trace_id(&job)));
        assert!(spans.iter().rev().skip(1).all(|span| span.parent == Some(whole)));
        let first: Vec<String> = spans[0].attributes.iter().map(|it| format!("{}={}", it.key, it.value)).collect();
        insta::assert_snapshot!(first.join("\n"), @r"
        k8s.namespace.name=media
        k8s.job.name=job-chief-aaaaaa-mail-0
        job_chief.instance=aaaaaa
        job_chief.job_config=mail
        messaging.system=pg-boss
        messaging.destination.name=Mail/1
        job_chief.ready=3
        job_chief.new=1
        ");
    }

    #[test]
    fn what_failed_says_so_where_it_failed() {
        let job = job();
        let failed = End {
            exit_code: Some(7),
            message: Some("no such mailbox".into()),
            ..End::new(Outcome::Failed, Reason::ExitCode)
        };
        let pull = End { message: Some("no such tag".into()), ..End::new(Outcome::StartError, Reason::ImagePull) };
        let refused = End { message: Some("quota".into()), ..End::new(Outcome::StartError, Reason::Refused) };
        let unhealthy = End::new(Outcome::Stopped, Reason::Unhealthy);
        let all = [
            traced(&job).ended(&ended(failed, (Some(12), Some(14), 20))),
            traced(&job).ended(&ended(pull, (Some(12), None, 20))),
            traced(&job).ended(&ended(refused, (None, None, 12))),
            traced(&job).ended(&ended(unhealthy, (Some(12), Some(13), 14))),
            traced(&job).ended(&ended(End::new(Outcome::Stopped, Reason::Unwanted), (Some(12), Some(13), 14))),
            vec![traced(&job).asked(SECOND, SECOND, &CreateAnswer::Unanswered { retry_after: None })],
            vec![traced(&job).asked(SECOND, SECOND, &CreateAnswer::Refused { message: "quota".into() })],
        ];
        insta::assert_snapshot!(all.map(|spans| all_told(&spans)).join("\n\n"), @r"
          start 12000-14000
          work 14000-20000 process.exit.code=7 !! failed exit_code: no such mailbox
        run mail 10500-20000 job_chief.outcome=failed job_chief.reason=exit_code process.exit.code=7 error.type=exit_code k8s.job.uid=uid !! failed exit_code: no such mailbox

          start 12000-20000 !! start_error image_pull: no such tag
        run mail 10500-20000 job_chief.outcome=start_error job_chief.reason=image_pull error.type=image_pull k8s.job.uid=uid !! start_error image_pull: no such tag

        run mail 10500-12000 job_chief.outcome=start_error job_chief.reason=refused error.type=refused !! start_error refused: quota

          start 12000-13000
          work 13000-14000 !! stopped unhealthy
        run mail 10500-14000 job_chief.outcome=stopped job_chief.reason=unhealthy error.type=unhealthy k8s.job.uid=uid !! stopped unhealthy

          start 12000-13000
          work 13000-14000
        run mail 10500-14000 job_chief.outcome=stopped job_chief.reason=unwanted k8s.job.uid=uid

          create 1000-1000 error.type=unanswered !! no answer; it is asked again under the same name

          create 1000-1000 error.type=refused !! quota
        ");
        let long = End { message: Some("x".repeat(500)), ..End::new(Outcome::Failed, Reason::ExitCode) };
        let whole = traced(&job).ended(&ended(long, (None, None, 12))).remove(0);
        assert_eq!(whole.status, Status::error(format!("failed exit_code: {}", "x".repeat(256))));
    }

    #[test]
    fn clocks_that_differ_do_not_turn_the_order_around() {
        // Kubernetes says that the Job was made, started and ended before it was asked for.
        let job = job();
        let spans = traced(&job).ended(&ended(End::new(Outcome::Succeeded, Reason::Completed), (Some(9), Some(8), 7)));
        insta::assert_snapshot!(all_told(&spans), @r"
          start 11000-11000
          work 11000-11000
        run mail 10500-11000 job_chief.outcome=succeeded job_chief.reason=completed k8s.job.uid=uid
        ");
        let skewed = Wish { origin: origin(), ..Wish::example(job.clone()) };
        let spans = traced(&job).wished(&skewed, SECOND);
        assert!(spans.iter().all(|span| span.began_at <= span.over_at), "{spans:?}");
    }

    #[test]
    fn a_run_of_a_service_names_no_queue() {
        let job = job();
        let service = Traced { queue: None, job_config: "redis", ..traced(&job) };
        let wish = Wish { origin: Origin::decided(SECOND), ..Wish::example(job.clone()) };
        let spans = service.wished(&wish, SECOND);
        assert_eq!(spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["decide"], "nobody has looked");
        assert!(spans[0].attributes.iter().all(|it| !it.key.as_str().starts_with("messaging.")));
    }
}
