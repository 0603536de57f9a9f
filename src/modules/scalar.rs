//! Scalars of YAML: what a plain one means, and how a value is written so that it is read as itself by everybody.

use std::fmt::Write;

use serde_json::{Number, Value};

/// Words that YAML 1.1, which `kubectl` reads, takes for a boolean, and YAML 1.2 for a text.
const DOUBTFUL: [&str; 8] = ["y", "yes", "n", "no", "on", "off", ".inf", ".nan"];

/// What a plain scalar means: the same to readers of YAML 1.1 and 1.2.
///
/// # Errors
/// They differ about it: what to write instead.
pub(super) fn meaning(plain: &str) -> Result<Value, String> {
    match plain {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(true.into()),
        "false" | "False" | "FALSE" => return Ok(false.into()),
        _ => {}
    }
    let unsigned = plain.strip_prefix(['-', '+']).unwrap_or(plain);
    let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if DOUBTFUL.contains(&unsigned.to_lowercase().as_str()) {
        return Err(format!("readers of YAML differ about {plain}: write it in quotes, or true or false"));
    }
    if is_number { number(plain, unsigned) } else { Ok(plain.into()) }
}

fn number(plain: &str, unsigned: &str) -> Result<Value, String> {
    let doubtful =
        || Err(format!("readers of YAML differ about the number {plain}: write it in quotes, or in decimal digits"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(unsigned) {
        if unsigned.len() > 1 && unsigned.starts_with('0') {
            // As in `defaultMode: 0644`: Kubernetes' own tools read it so.
            let octal = i64::from_str_radix(unsigned, 8).ok().filter(|_| unsigned == plain);
            return octal.map_or_else(doubtful, |number| Ok(number.into()));
        }
        let decimal = plain.strip_prefix('+').unwrap_or(plain);
        let whole = decimal.parse::<i64>().map(Number::from).or_else(|_| decimal.parse::<u64>().map(Number::from));
        return whole.map_or_else(|_| doubtful(), |number| Ok(number.into()));
    }
    let radix = unsigned.starts_with("0x") || unsigned.starts_with("0o") || unsigned.starts_with("0b");
    if radix && unsigned[2..].bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'_') {
        return doubtful();
    }
    if unsigned.contains('_') && digits(&unsigned.replace(['_', '.'], "")) {
        return doubtful();
    }
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, ""));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_mantissa =
        (whole.is_empty() || digits(whole)) && (digits(fraction) || (fraction.is_empty() && digits(whole)));
    let power = exponent.strip_prefix(['-', '+']);
    let is_float = is_mantissa && (exponent.is_empty() || digits(power.unwrap_or(exponent)));
    if !is_float || (exponent.is_empty() && unsigned.contains(['e', 'E'])) {
        return Ok(plain.into());
    }
    let float = plain.parse::<f64>().ok().and_then(Number::from_f64);
    match float {
        Some(number) if exponent.is_empty() || power.is_some() => Ok(number.into()),
        _ => doubtful(),
    }
}

/// A text in double quotes, on one line, whatever is in it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(c),
            _ if c.is_alphanumeric() => quoted.push(c),
            _ => escape(&mut quoted, u32::from(c)),
        }
    }
    quoted.push('"');
    quoted
}

fn escape(quoted: &mut String, code: u32) {
    let written = if code > 0xFFFF { write!(quoted, "\\U{code:08X}") } else { write!(quoted, "\\u{code:04X}") };
    written.expect("writing to a String does not fail");
}

/// A value on one line, as YAML in which it stands for itself anywhere.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            format!("{{{}}}", members.iter().map(|(k, v)| pair(k, v)).collect::<Vec<_>>().join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// `key: value`; the key is plain where nobody can take it for anything but a text.
pub(super) fn pair(name: &str, value: &Value) -> String {
    format!("{}: {}", key(name), flow(value))
}

/// A key.
pub(super) fn key(name: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_word);
    if is_plain && meaning(name).is_ok_and(|value| value.is_string()) { name.to_owned() } else { quoted(name) }
}

/// A value as part of a longer text: texts as they are, everything else as JSON.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
