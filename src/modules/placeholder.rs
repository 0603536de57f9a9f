//! Placeholders in the text of a template: `$g{name:JSON}`, `$a{name:[…]}` and `$d{name:{…}}`.
//!
//! They are found before the text is read as YAML, for a default may hold what YAML would read otherwise. In their
//! places stand signs of the same length, so that an offset means the same in both texts.

use std::ops::Range;

use serde::Serialize;
use serde_json::{Value, json};

/// Placeholders of one file; as many signs are needed.
pub(super) const PLACEHOLDERS_MAX: usize = 1000;

/// The characters of signs: Unicode gives them no meaning, and a template may not have them.
const SIGNS: Range<u32> = 0xE000..0xF900;

/// The longest name of a placeholder.
const NAME_MAX: usize = 63;

/// What may be put in a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaceholderKind {
    /// `$g`: any value.
    Value,
    /// `$a`: a list, one line for each item.
    List,
    /// `$d`: a map, one line for each pair.
    Map,
}

impl PlaceholderKind {
    fn of(letter: u8) -> Option<Self> {
        match letter {
            b'g' => Some(Self::Value),
            b'a' => Some(Self::List),
            b'd' => Some(Self::Map),
            _ => None,
        }
    }

    /// How it begins in a template.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Value => "$g",
            Self::List => "$a",
            Self::Map => "$d",
        }
    }

    /// What stands there without a default.
    pub(super) fn empty(self) -> Value {
        match self {
            Self::Value => json!(""),
            Self::List => json!([]),
            Self::Map => json!({}),
        }
    }

    /// Whether a value is of this kind.
    pub(super) fn takes(self, value: &Value) -> bool {
        match self {
            Self::Value => true,
            Self::List => value.is_array(),
            Self::Map => value.is_object(),
        }
    }

    /// What it takes, as the end of a sentence.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Self::Value => "allowed is any JSON",
            Self::List => "allowed is a list, as [\"a\", \"b\"]",
            Self::Map => "allowed is an object, as {\"key\": \"value\"}",
        }
    }
}

/// A placeholder of a module, as those who deploy it see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Placeholder {
    /// Its name: a key of the values.
    pub name: String,
    /// What it takes.
    pub kind: PlaceholderKind,
    /// What stands there unless something else is said.
    pub default: Value,
    /// What the module's author says of it; empty if nothing.
    pub help: String,
    /// Where it stands first.
    pub file: String,
    /// The line there, from 1.
    pub line: usize,
    /// The column there, from 1.
    pub column: usize,
}

/// A placeholder at one place.
#[derive(Clone, Debug)]
pub(super) struct Use {
    pub(super) kind: PlaceholderKind,
    pub(super) name: String,
    pub(super) default: Option<Value>,
    /// A `$d` that has its line for itself: pairs stand there. A dash before it belongs to it.
    pub(super) is_line: bool,
}

/// Something that begins as a placeholder does.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) range: Range<usize>,
    /// What it is, or what is wrong with it.
    pub(super) found: Result<Use, String>,
}

/// All of them, in order.
///
/// # Errors
/// There are more than [`PLACEHOLDERS_MAX`]: where the next one stands.
pub(super) fn scan(text: &str) -> Result<Vec<Token>, usize> {
    let mut tokens = vec![];
    let mut from = 0;
    while let Some(at) = text[from..].find('$').map(|at| from + at) {
        from = at + 1;
        let rest = &text.as_bytes()[from..];
        let Some(kind) = rest.first().copied().and_then(PlaceholderKind::of).filter(|_| rest.get(1) == Some(&b'{'))
        else {
            continue;
        };
        if tokens.len() == PLACEHOLDERS_MAX {
            return Err(at);
        }
        let token = token(text, at, kind);
        from = token.range.end;
        tokens.push(token);
    }
    Ok(tokens)
}

/// `$g{` and what follows up to its end.
fn token(text: &str, at: usize, kind: PlaceholderKind) -> Token {
    let inside = at + "$g{".len();
    match read(&text[inside..], kind) {
        Ok((name, default, length)) => {
            let end = inside + length;
            let line = (kind == PlaceholderKind::Map).then(|| own_line(text, at, end)).flatten();
            let found = Use { kind, name, default, is_line: line.is_some() };
            Token { range: line.unwrap_or(at)..end, found: Ok(found) }
        }
        Err(what) => {
            let end = text[inside..].find(['\n', '\r']).map_or(text.len(), |at| inside + at);
            Token { range: at..end, found: Err(what) }
        }
    }
}

/// Name, default, and the length of it all with its brace.
fn read(rest: &str, kind: PlaceholderKind) -> Result<(String, Option<Value>, usize), String> {
    let sign = kind.sign();
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    let name = &rest[..length];
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(format!(
            "a placeholder has a name of 1 to {NAME_MAX} letters, digits, `_`, `-` or `.`: {sign}{{name}}"
        ));
    }
    match rest[length..].chars().next() {
        Some('}') => Ok((name.to_owned(), None, length + 1)),
        Some(':') => {
            let (default, used) = default(&rest[length + 1..], kind, name)?;
            Ok((name.to_owned(), Some(default), length + 1 + used))
        }
        Some(other) if !other.is_whitespace() => Err(format!(
            "the placeholder {sign}{{{name} goes on with {other:?}: a name has letters, digits, `_`, `-` and `.` only"
        )),
        _ => Err(format!("the placeholder {sign}{{{name} is not closed: write {sign}{{{name}}}")),
    }
}

/// The default behind the colon, and the length up to the brace and with it.
fn default(rest: &str, kind: PlaceholderKind, name: &str) -> Result<(Value, usize), String> {
    let sign = kind.sign();
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    let value = match values.next() {
        Some(Ok(value)) => value,
        Some(Err(error)) if !error.is_eof() => {
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            return Err(format!("the default of {sign}{{{name}}} is no JSON ({what}): write texts in double quotes"));
        }
        _ => {
            return Err(format!(
                "the default of {sign}{{{name}}} does not end: is a quote, a bracket or a brace missing?"
            ));
        }
    };
    if !kind.takes(&value) {
        return Err(format!("the default of {sign}{{{name}}} is of another kind: {}", kind.allowed()));
    }
    let used = values.byte_offset();
    let behind = rest[used..].trim_start();
    if !behind.starts_with('}') {
        return Err(format!("the placeholder {sign}{{{name}:… is not closed: a `}}` is missing behind its default"));
    }
    Ok((value, rest.len() - behind.len() + 1))
}

/// Where the own line of a placeholder begins, with its dash, if it has one.
fn own_line(text: &str, start: usize, end: usize) -> Option<usize> {
    let line = text[..start].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let before = text[line..start].trim_start_matches(' ');
    let behind = text[end..].split(['\n', '\r']).next().unwrap_or_default();
    let is_comment = behind.starts_with([' ', '\t']) && behind.trim_start().starts_with('#');
    let is_alone = behind.trim().is_empty() || is_comment;
    let is_first = before.is_empty() || (before.starts_with("- ") && before[1..].trim_start_matches(' ').is_empty());
    (is_alone && is_first).then_some(start - before.len())
}

/// Where a text has a character of those that signs are made of, outside its placeholders.
pub(super) fn foreign_sign(text: &str, tokens: &[Token]) -> Option<usize> {
    let signs = text.char_indices().filter(|(_, c)| SIGNS.contains(&u32::from(*c)));
    signs.map(|(at, _)| at).find(|at| !tokens.iter().any(|token| token.range.contains(at)))
}

/// The text with a sign of the same length for each placeholder.
pub(super) fn masked(text: &str, tokens: &[Token]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut from = 0;
    for (number, token) in (0..).zip(tokens) {
        masked.push_str(&text[from..token.range.start]);
        // At most PLACEHOLDERS_MAX of them are asked for.
        masked.extend(char::from_u32(SIGNS.start + number));
        let is_line = token.found.as_ref().is_ok_and(|found| found.is_line);
        let filler = token.range.len() - SIGN_LENGTH - usize::from(is_line);
        masked.extend(std::iter::repeat_n('_', filler));
        if is_line {
            masked.push(':');
        }
        from = token.range.end;
    }
    masked.push_str(&text[from..]);
    masked
}

/// The bytes of the first character of a sign.
const SIGN_LENGTH: usize = 3;

/// Part of a scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// As it stands.
    Text(String),
    /// The placeholder with this number.
    Slot(usize),
}

/// A scalar of the masked text, taken apart.
pub(super) fn pieces(scalar: &str, tokens: &[Token]) -> Vec<Piece> {
    let mut pieces = vec![];
    let mut rest = scalar;
    while let Some(at) = rest.find(|c| SIGNS.contains(&u32::from(c))) {
        let number = rest[at..].chars().next().map_or(0, |c| (u32::from(c) - SIGNS.start) as usize);
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].to_owned()));
        }
        pieces.push(Piece::Slot(number));
        // The colon of a line of its own is no part of a key.
        let length = tokens.get(number).map_or(SIGN_LENGTH, |token| token.range.len());
        rest = rest.get(at + length..).unwrap_or_default();
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    pieces
}
