//! JSON with comments, as a tree that knows where everything stands, read on past errors.
//!
//! The tokens come from `jsonc-parser`; its own parser stops at the first error, and an editor of a
//! file wants to see all of them.

use jsonc_parser::{Scanner, ScannerOptions, tokens::Token};
use serde_json::{Map, Number, Value};

/// Nesting beyond this is refused: no jobs.json needs it, and the stack is finite.
const DEPTH_MAX: usize = 64;

/// Syntax errors that are reported of one file; after so many the rest is noise.
pub const ERRORS_MAX: usize = 50;

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Byte offset of its first character.
    pub start: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A string, number, boolean or null.
    Scalar(Value),
    /// Elements in order.
    Array(Vec<Node>),
    /// Members in order: offset of the key, key, value.
    Object(Vec<(usize, String, Node)>),
}

/// A syntax error at a byte offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Byte offset.
    pub at: usize,
    /// What is wrong, and what to do.
    pub text: String,
}

impl Node {
    /// The same without places.
    pub fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Kind::Object(members) => Value::Object(
                members.iter().map(|(_, key, node)| (key.clone(), node.to_value())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// The member of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Object(members) => members.iter().rev().find(|(_, k, _)| k == key).map(|(_, _, node)| node),
            _ => None,
        }
    }

    /// Where the key of a member stands.
    pub fn key_start(&self, key: &str) -> Option<usize> {
        match &self.kind {
            Kind::Object(members) => members.iter().rev().find(|(_, k, _)| k == key).map(|(start, _, _)| *start),
            _ => None,
        }
    }

    /// The nearest node to a path that exists, and how many segments of the path it took.
    pub fn nearest<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> (&Self, usize) {
        let mut node = self;
        let mut taken = 0;
        for segment in path {
            let next = match &node.kind {
                Kind::Array(items) => segment.parse().ok().and_then(|at: usize| items.get(at)),
                _ => node.get(segment),
            };
            let Some(next) = next else { break };
            node = next;
            taken += 1;
        }
        (node, taken)
    }
}

/// Line and column of a byte offset, both from 1.
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Reads a text; where there are errors, every one of them.
///
/// # Errors
/// All syntax errors, at most [`ERRORS_MAX`].
pub fn parse(text: &str) -> Result<Node, Vec<SyntaxError>> {
    let mut parser = Parser { tokens: vec![], at: 0, end: text.len(), errors: vec![] };
    parser.scan(text);
    let root = parser.value(0);
    if parser.errors.is_empty() && parser.at < parser.tokens.len() {
        parser.error("the file goes on after its end: remove what follows");
    }
    parser.errors.sort_by_key(|error| error.at);
    parser.errors.dedup_by_key(|error| error.at);
    parser.errors.truncate(ERRORS_MAX);
    match root {
        Some(root) if parser.errors.is_empty() => Ok(root),
        _ => Err(parser.errors),
    }
}

struct Parser<'a> {
    tokens: Vec<(usize, Token<'a>)>,
    at: usize,
    end: usize,
    errors: Vec<SyntaxError>,
}

impl<'a> Parser<'a> {
    /// All tokens but comments. A scan error ends the tokens, since nothing after it can be trusted.
    fn scan(&mut self, text: &'a str) {
        let strict = ScannerOptions {
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        let mut scanner = Scanner::new(text, &strict);
        loop {
            match scanner.scan() {
                Ok(Some(Token::CommentLine(_) | Token::CommentBlock(_))) => {}
                Ok(Some(token)) => self.tokens.push((scanner.token_start(), token)),
                Ok(None) => return,
                Err(error) => {
                    self.errors.push(SyntaxError { at: error.range().start, text: error.kind().to_string() });
                    self.end = error.range().start;
                    return;
                }
            }
        }
    }

    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn start(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |(start, _)| *start)
    }

    /// Where the token before ends, roughly: a missing comma is reported where it should stand.
    fn error(&mut self, text: &str) {
        let at = self.start();
        if self.errors.last().is_none_or(|last| last.at != at) {
            self.errors.push(SyntaxError { at, text: text.to_owned() });
        }
    }

    fn take_if(&mut self, token: &Token<'_>) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Option<Node> {
        let start = self.start();
        if depth > DEPTH_MAX {
            self.error("nested too deeply");
            self.at = self.tokens.len();
            return None;
        }
        let scalar = match self.peek() {
            Some(Token::OpenBrace) => return Some(self.object(depth)),
            Some(Token::OpenBracket) => return Some(self.array(depth)),
            Some(Token::String(text)) => Value::String(text.to_string()),
            Some(Token::Boolean(flag)) => Value::Bool(*flag),
            Some(Token::Null) => Value::Null,
            Some(Token::Number(digits)) => match digits.parse::<Number>() {
                Ok(number) => Value::Number(number),
                Err(_) => return self.not_a_value("not a number"),
            },
            Some(Token::Word(word)) => {
                let text = format!("`{word}` is not JSON: write strings in double quotes");
                return self.not_a_value(&text);
            }
            _ => {
                self.error("a value is missing here");
                return None;
            }
        };
        self.at += 1;
        Some(Node { start, kind: Kind::Scalar(scalar) })
    }

    fn not_a_value(&mut self, text: &str) -> Option<Node> {
        self.error(text);
        self.at += 1;
        None
    }

    fn array(&mut self, depth: usize) -> Node {
        let start = self.start();
        self.at += 1;
        let mut items = vec![];
        while !self.closes(&Token::CloseBracket, "]") {
            let before = self.at;
            items.extend(self.value(depth + 1));
            self.comma(&Token::CloseBracket);
            self.skip_if_stuck(before);
        }
        Node { start, kind: Kind::Array(items) }
    }

    fn object(&mut self, depth: usize) -> Node {
        let start = self.start();
        self.at += 1;
        let mut members: Vec<(usize, String, Node)> = vec![];
        while !self.closes(&Token::CloseBrace, "}") {
            let before = self.at;
            if let Some((key_start, key)) = self.key() {
                if members.iter().any(|(_, known, _)| *known == key) {
                    self.errors
                        .push(SyntaxError { at: key_start, text: format!("\"{key}\" stands here twice: keep one") });
                }
                if !self.take_if(&Token::Colon) {
                    self.error("a colon is missing before this");
                }
                members.extend(self.value(depth + 1).map(|node| (key_start, key, node)));
            }
            self.comma(&Token::CloseBrace);
            self.skip_if_stuck(before);
        }
        Node { start, kind: Kind::Object(members) }
    }

    fn key(&mut self) -> Option<(usize, String)> {
        let start = self.start();
        let key = match self.peek() {
            Some(Token::String(text)) => text.to_string(),
            Some(Token::Word(word)) => {
                let (key, text) = (word.to_string(), format!("write the key in double quotes: \"{word}\""));
                self.error(&text);
                key
            }
            _ => {
                self.error("a key in double quotes is missing here");
                return None;
            }
        };
        self.at += 1;
        Some((start, key))
    }

    /// Takes the closing token, or reports the end of the file.
    fn closes(&mut self, close: &Token<'_>, sign: &str) -> bool {
        if self.at >= self.tokens.len() {
            self.error(&format!("the file ends before its `{sign}`"));
            return true;
        }
        self.take_if(close)
    }

    fn comma(&mut self, close: &Token<'_>) {
        let comma = self.start();
        match (self.take_if(&Token::Comma), self.peek() == Some(close)) {
            (true, true) => {
                self.errors
                    .push(SyntaxError { at: comma, text: "no comma may stand before the end: remove it".into() });
            }
            (false, false) if self.at < self.tokens.len() => self.error("a comma is missing before this"),
            _ => {}
        }
    }

    /// An error that took no token would be reported for ever.
    fn skip_if_stuck(&mut self, before: usize) {
        self.at += usize::from(self.at == before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_allowed_and_places_are_kept() {
        let text = "// a\n{ \"a\": [1, /* b */ 2.5], \"b\": null }";
        let node = parse(text).expect("valid");
        assert_eq!(node.to_value(), serde_json::json!({"a": [1, 2.5], "b": null}));
        let (second, taken) = node.nearest(["a", "1", "x"]);
        assert_eq!((line_column(text, second.start), taken), ((2, 20), 2));
    }

    #[test]
    fn every_defect_is_told_once() {
        let text = "{\n \"a\" [1],\n \"b\": {\"c\": 1 \"d\" 2,},\n e: 'x',\n \"a\": 1\n}";
        let errors = parse(text).expect_err("broken");
        let found: Vec<_> = errors.iter().map(|e| (line_column(text, e.at), e.text.as_str())).collect();
        insta::assert_debug_snapshot!(found);
    }

    #[test]
    fn an_unfinished_file_ends() {
        for text in ["", "[", "{\"a\"", "{\"a\":", "[1,", "}", "[}", "{]", "[[[[{", "\"x"] {
            parse(text).expect_err(text);
        }
        parse(&"[".repeat(100_000)).expect_err("nested too deeply");
    }
}
