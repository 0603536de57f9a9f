//! The trigger of a ScaledJob: which one counts, its query, its target and its connection.

use serde_json::{Map, Value};

use crate::{
    harmless::harmless,
    import::{
        connection::{self, Surroundings},
        fields::Fields,
        given::Given,
        query::{self, Counted},
        remark::{Notes, shown},
    },
};

/// The most messages that a Job may be expected to hold, as jobs.json has it.
const MESSAGES_MAX: u64 = 100_000;

/// The first trigger for Postgres; the others are told.
pub(super) fn choose(triggers: Option<Value>, notes: &mut Notes) -> Result<Fields, String> {
    let triggers = if let Some(Value::Array(triggers)) = triggers { triggers } else { vec![] };
    let kinds: Vec<String> = triggers.iter().map(|trigger| shown(&trigger["type"])).collect();
    let mut chosen = None;
    for (at, trigger) in triggers.into_iter().enumerate() {
        let path = format!("spec.triggers[{at}]");
        if chosen.is_none() && trigger["type"] == "postgresql" {
            chosen = Some(Fields::of(&path, trigger, notes));
        } else {
            let what =
                format!("the trigger {} is left out: an entry has one queue in Postgres", shown(&trigger["type"]));
            notes.say(&path, what);
        }
    }
    chosen.ok_or_else(|| {
        let found = if kinds.is_empty() { "none".into() } else { kinds.join(", ") };
        format!(
            "has no trigger of the type postgresql (found {found}), and job-chief reads pg-boss queues in Postgres only"
        )
    })
}

/// Reads the trigger; gives the queue, if its query names one plainly.
pub(super) fn read(
    mut trigger: Fields,
    variables: &[Value],
    around: &Surroundings,
    entry: &mut Map<String, Value>,
    notes: &mut Notes,
) -> Option<String> {
    for key in ["type", "name"] {
        trigger.take(key);
    }
    trigger.leave("useCachedMetrics", &[false.into()], "left out: all queues are read by one statement", notes);
    trigger.leave("metricType", &[], "left out: messages are counted", notes);
    let mut metadata = trigger.below("metadata", notes);
    let authentication = trigger.take("authenticationRef");
    let (path, query) = (metadata.path("query"), metadata.take("query"));
    let queue = query_of(&path, query.as_ref(), notes);
    if let Some(messages) = metadata.whole("targetQueryValue", 1..=MESSAGES_MAX, notes) {
        entry.insert("messagesPerJob".into(), messages.into());
    }
    let zero = [0.into(), "0".into()];
    metadata.leave("activationTargetQueryValue", &zero, "left out: the first message starts a Job", notes);
    metadata.leave("metricName", &[], "left out: KEDA itself has no such key any more", notes);
    connection::read(&mut metadata, &trigger.path("authenticationRef"), authentication, variables, around, notes);
    metadata.refuse_rest(notes);
    trigger.refuse_rest(notes);
    queue
}

/// The queue that a query counts, and what is told of how it counts.
fn query_of(path: &str, query: Option<&Value>, notes: &mut Notes) -> Option<String> {
    let text = query.and_then(Value::as_str).unwrap_or_default();
    match query::counted(text) {
        Ok(counted) => {
            say_what_differs(path, &counted, notes);
            Some(counted.queue)
        }
        Err(why) => {
            let text = harmless(text.split_whitespace().collect::<Vec<_>>().join(" ").as_str());
            notes.say(path, format!("{why}, so set queueName to the pg-boss queue: {text}"));
            None
        }
    }
}

fn say_what_differs(path: &str, counted: &Counted, notes: &mut Notes) {
    if let Some(schema) = &counted.schema {
        notes.set("DB_SCHEMA", Given::Literal(schema.clone()));
    }
    if !counted.plain_count {
        notes
            .say(path, "more is done to the count than counting: check messagesPerJob, job-chief takes it as messages");
    }
    if counted.active {
        notes.say(path, "active messages are counted, too: job-chief counts those that a worker can fetch now, and starts Jobs for these beside those that run");
    }
    for condition in &counted.others {
        let text = "is not looked at: job-chief counts what pg-boss itself would hand out now";
        notes.say(path, format!("the condition `{}` {text}", harmless(condition)));
    }
}
