//! Files of values for placeholders.

use serde_json::{Map, Value};

use crate::{
    config::problems::Problems,
    modules::{
        fill::{Filler, Slots, Values},
        source::Source,
        template::Template,
    },
};

/// Reads a YAML (or JSON) file of one map; `file` is its name in messages. An empty one has no values.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(file: &str, text: &str) -> Result<Map<String, Value>, Problems> {
    let template = Template::plain(Source::new(file.to_owned(), text)).map_err(Problems)?;
    let slots = Slots::of(&template, &Values::new());
    let mut filler = Filler::new(&template, &slots, usize::MAX);
    let value = match &template.documents[..] {
        [] => return Ok(Map::new()),
        [tree] => filler.node(tree).to_value(),
        [_, second, ..] => {
            return Err(Problems(vec![template.source.problem(second.span.start, "allowed is one document")]));
        }
    };
    match value {
        _ if !filler.problems.is_empty() => Err(Problems(filler.problems)),
        Value::Object(values) => Ok(values),
        _ => Err(Problems(vec![template.source.problem(0, "allowed is a map: a value for each placeholder")])),
    }
}
