//! Files, cut into documents: YAML or JSON objects of Kubernetes, the original's jobs.json, an environment file.

use serde_json::Value;

use crate::{
    config::json,
    import::{
        file::{FILE_BYTES_MAX, File},
        remark::Origin,
        yaml,
    },
};

/// What is read, for whoever brought something else.
pub(super) const KNOWN: &str = "known are KEDA's ScaledJob with its TriggerAuthentication and Secret, batch/v1 Job, Deployment, ConfigMap, \
     the original's jobs.json and its environment file";

/// One document of a file.
pub(super) struct Document {
    pub(super) origin: Origin,
    pub(super) content: Content,
}

/// What a document is.
pub(super) enum Content {
    /// An object of Kubernetes.
    Object(Value),
    /// The entries of the original's jobs.json.
    Jobs(Vec<Value>),
    /// `KEY=VALUE`, a line each.
    Environment(Vec<(String, String)>),
}

/// All documents of a file.
///
/// # Errors
/// Why it is none that can be read, as one sentence.
pub(super) fn read(file: &File) -> Result<Vec<Document>, String> {
    if file.bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes, which is allowed"));
    }
    let text = std::str::from_utf8(&file.bytes).ok().filter(|text| !text.contains('\0'));
    let text = text.ok_or("is no text in UTF-8")?.trim_start_matches('\u{feff}');
    let whole = |content| vec![Document { origin: origin(file, None, &Value::Null), content }];
    if let Some(variables) = environment(text) {
        return Ok(whole(Content::Environment(variables)));
    }
    if ["[", "//", "/*"].iter().any(|begin| text.trim_start().starts_with(begin)) {
        return Ok(whole(Content::Jobs(jobs(text)?)));
    }
    let mut documents = vec![];
    for (at, value) in yaml::documents(text).map_err(|error| format!("is no YAML: {error}"))?.into_iter().enumerate() {
        flatten(file, at + 1, value, &mut documents)?;
    }
    if documents.is_empty() { Err(format!("is empty: {KNOWN}")) } else { Ok(documents) }
}

fn origin(file: &File, document: Option<usize>, object: &Value) -> Origin {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, metadata) = (text(&object["kind"]), &object["metadata"]);
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    Origin { file: file.name.clone(), document, kind, namespace, name }
}

/// A document, or each item of it where it is a List; empty ones, which templates leave behind, are none.
fn flatten(file: &File, at: usize, value: Value, documents: &mut Vec<Document>) -> Result<(), String> {
    let mut lists = vec![value];
    while let Some(mut value) = lists.pop() {
        let kind = value["kind"].as_str().unwrap_or_default();
        if value.is_null() {
            continue;
        }
        if kind.ends_with("List") && value["items"].is_array() {
            let Value::Array(items) = value["items"].take() else { continue };
            lists.extend(items.into_iter().rev());
            continue;
        }
        if kind.is_empty() {
            return Err(format!("document {at}: {}", no_object(&value)));
        }
        documents.push(Document { origin: origin(file, Some(at), &value), content: Content::Object(value) });
    }
    Ok(())
}

fn no_object(value: &Value) -> String {
    if value["jobs"].is_array() {
        return "is a jobs.json of job-chief already, with \"jobs\": there is nothing to import".into();
    }
    format!("is no object of Kubernetes, it has no \"kind\": {KNOWN}")
}

/// The entries of a jobs.json.
fn jobs(text: &str) -> Result<Vec<Value>, String> {
    let node = json::parse(text).map_err(|errors| {
        let first = errors.first().map(|error| (json::line_column(text, error.at), error.text.as_str()));
        let ((line, column), what) = first.unwrap_or(((1, 1), "nothing can be read"));
        format!("{line}:{column}: is no JSON: {what}")
    })?;
    match node.to_value() {
        Value::Array(entries) if !entries.is_empty() => Ok(entries),
        Value::Array(_) => Err("has no entry".into()),
        value => Err(no_object(&value)),
    }
}

/// The variables, if every line is one, a comment, or empty.
fn environment(text: &str) -> Option<Vec<(String, String)>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let variables: Vec<(String, String)> = lines.map(variable).collect::<Option<_>>()?;
    Some(variables).filter(|variables| !variables.is_empty())
}

fn variable(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let name = name.trim_end();
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    is_name.then(|| (name.to_owned(), unquoted(value.trim()).to_owned()))
}

fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        read(&File { name: "f".into(), bytes: bytes.to_vec() }).err().unwrap_or_default()
    }

    #[test]
    fn each_file_that_is_none_is_told_by_one_sentence() {
        let bomb = (1..30).fold("a0: &a0 [x, x, x]\n".to_owned(), |text, at| {
            let before = format!("*a{}", at - 1);
            text + &format!("a{at}: &a{at} [{before}, {before}, {before}, {before}, {before}]\n")
        });
        let large = format!("a: &a {}\nb: [{}]", "x".repeat(1 << 20), "*a, ".repeat(400));
        for (bytes, wanted) in [
            (&b"\x7fELF\0\0"[..], "is no text in UTF-8"),
            (b"\xff\xfe", "is no text in UTF-8"),
            (b"a: [", "is no YAML"),
            (b"a: 1\na: 2", "is there twice"),
            (b"a: !mine 1", "without a tag"),
            (b"", "is empty"),
            (b"hello", "is no object of Kubernetes"),
            (b"{\"jobs\": [{}]}", "already"),
            (b"[{]", "is no JSON"),
            (b"[]", "has no entry"),
            (bomb.as_bytes(), "repetition limit"),
            (large.as_bytes(), "its aliases make it too large"),
            (&vec![b'#'; 1 + (10 << 20)], "is larger than"),
        ] {
            let told = refusal(bytes);
            assert!(told.contains(wanted) && !told.contains('\n'), "{wanted}: {told}");
        }
    }

    #[test]
    fn an_environment_file_is_told_from_yaml() {
        let found = environment("# ours\nexport DB_HOST='pg'\n\nDB_PORT = 5432\n").unwrap_or_default();
        assert_eq!(found, [("DB_HOST".into(), "pg".into()), ("DB_PORT".into(), "5432".into())]);
        assert_eq!(environment("kind: Job\nname: A=B"), None);
    }
}
