//! A template with values in it, as a tree: whatever a value is, it stays inside its place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    config::{
        json::{Kind, Node},
        problems::Problem,
    },
    modules::{
        placeholder::{Piece, Token},
        scalar::{key, text_of},
        source::PROBLEMS_MAX,
        template::Template,
        tree::{DEPTH_MAX, Form, Item, Line, Member, Tree},
    },
};

/// Bytes that the values of one deployment may take in all files of a module, each counted where it stands: the API
/// server takes no object of more than 1.5 MB.
pub(super) const VALUES_BYTES_MAX: usize = 4 << 20;

/// The longest key as it is written: a reader of YAML looks no further for the colon than 1024 characters.
const KEY_MAX: usize = 1000;

/// The values of a deployment, by the names of placeholders.
pub(super) type Values<'a> = BTreeMap<&'a str, &'a Value>;

/// The values of one template, by the numbers of its placeholders.
pub(super) struct Slots<'a>(Vec<&'a Value>);

impl<'a> Slots<'a> {
    pub(super) fn of(template: &Template, values: &Values<'a>) -> Self {
        let value = |token: &Token| {
            let found = token.found.as_ref().ok();
            found.and_then(|found| values.get(found.name.as_str())).copied().unwrap_or(&Value::Null)
        };
        Self(template.tokens.iter().map(value).collect())
    }

    pub(super) fn value(&self, number: usize) -> &'a Value {
        self.0.get(number).copied().unwrap_or(&Value::Null)
    }

    pub(super) fn text(&self, pieces: &[Piece]) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Slot(number) => text_of(self.value(*number)),
        };
        pieces.iter().map(text).collect()
    }

    pub(super) fn lines(&self, lines: &[Line]) -> String {
        let text = |line: &Line| match line {
            Line::Text(pieces) => self.text(pieces),
            Line::Each(before, number) => match self.value(*number) {
                Value::Array(items) if before.ends_with("- ") => {
                    items.iter().map(|item| format!("{before}{item}\n")).collect()
                }
                Value::Array(items) => items.iter().map(|item| format!("{before}{}\n", text_of(item))).collect(),
                Value::Object(pairs) => pairs.iter().map(|(key, value)| format!("{before}{key}: {value}\n")).collect(),
                _ => String::new(),
            },
        };
        lines.iter().map(text).collect()
    }
}

/// Puts values in a template.
pub(super) struct Filler<'a> {
    template: &'a Template,
    slots: &'a Slots<'a>,
    left: usize,
    /// What is wrong so far.
    pub(super) problems: Vec<Problem>,
}

impl<'a> Filler<'a> {
    /// `left` is what the values may still take.
    pub(super) fn new(template: &'a Template, slots: &'a Slots<'a>, left: usize) -> Self {
        Self { template, slots, left, problems: vec![] }
    }

    /// What the values may still take.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// A document with its values; their places are those of their placeholders.
    pub(super) fn node(&mut self, tree: &Tree) -> Node {
        self.at_depth(tree, 0)
    }

    fn tell(&mut self, at: usize, what: impl Into<String>) {
        if self.problems.len() == PROBLEMS_MAX {
            return;
        }
        let problem = self.template.source.problem(at, what);
        self.problems.push(problem);
    }

    fn at_depth(&mut self, tree: &Tree, depth: usize) -> Node {
        let start = tree.span.start;
        let kind = match &tree.form {
            Form::Fixed(value) => Kind::Scalar(value.clone()),
            Form::Slot(number) => return self.placed(*number, start, depth),
            Form::Text(pieces) => Kind::Scalar(self.text(pieces, start).into()),
            Form::Lines(lines) => Kind::Scalar(self.lines(lines, start).into()),
            Form::List(items) => {
                let mut all = vec![];
                for item in items {
                    match item {
                        Item::One(tree) => all.push(self.at_depth(tree, depth + 1)),
                        Item::Each(range, number) => {
                            if let Kind::Array(items) = self.placed(*number, range.start, depth).kind {
                                all.extend(items);
                            }
                        }
                    }
                }
                Kind::Array(all)
            }
            Form::Map(members) => Kind::Object(self.members(members, depth)),
        };
        Node { start, kind }
    }

    fn members(&mut self, members: &[Member], depth: usize) -> Vec<(usize, String, Node)> {
        let mut all: Vec<(usize, String, Node)> = vec![];
        for member in members {
            match member {
                Member::One(span, pieces, value) => {
                    let key = self.text(pieces, span.start);
                    all.push((span.start, key, self.at_depth(value, depth + 1)));
                }
                Member::Each(range, number) => {
                    if let Kind::Object(pairs) = self.placed(*number, range.start, depth).kind {
                        all.extend(pairs);
                    }
                }
            }
        }
        let mut known = BTreeSet::new();
        for (start, key, _) in &all {
            if !known.insert(key.as_str()) {
                self.tell(*start, format!("\"{key}\" stands here twice: keep one"));
            }
            self.check_key(*start, key);
        }
        all
    }

    fn check_key(&mut self, start: usize, name: &str) {
        let length = key(name).len();
        if length > KEY_MAX {
            self.tell(start, format!("a key takes {length} characters, allowed are {KEY_MAX}"));
        }
    }

    /// Takes the size of a value from what is left.
    fn spend(&mut self, start: usize, bytes: usize) -> bool {
        let was = self.left;
        self.left = was.saturating_sub(bytes);
        if was > 0 && self.left == 0 {
            self.tell(
                start,
                format!("the values take more than {VALUES_BYTES_MAX} bytes in the files of the module: shorten them"),
            );
        }
        self.left > 0
    }

    fn placed(&mut self, number: usize, start: usize, depth: usize) -> Node {
        let value = self.slots.value(number);
        if !self.spend(start, size(value)) {
            return Node { start, kind: Kind::Scalar(Value::Null) };
        }
        if depth + nesting(value) > DEPTH_MAX {
            self.tell(start, format!("nested more than {DEPTH_MAX} deep with its value"));
            return Node { start, kind: Kind::Scalar(Value::Null) };
        }
        self.of_value(value, start)
    }

    fn of_value(&mut self, value: &Value, start: usize) -> Node {
        let kind = match value {
            Value::Array(items) => Kind::Array(items.iter().map(|item| self.of_value(item, start)).collect()),
            Value::Object(members) => Kind::Object(
                members
                    .iter()
                    .map(|(key, value)| {
                        self.check_key(start, key);
                        (start, key.clone(), self.of_value(value, start))
                    })
                    .collect(),
            ),
            scalar => Kind::Scalar(scalar.clone()),
        };
        Node { start, kind }
    }

    fn text(&mut self, pieces: &[Piece], start: usize) -> String {
        if self.spend(start, self.bytes(pieces)) { self.slots.text(pieces) } else { String::new() }
    }

    /// What values take in a text.
    fn bytes(&self, pieces: &[Piece]) -> usize {
        let bytes = |piece: &Piece| match piece {
            Piece::Text(_) => 0,
            Piece::Slot(number) => size(self.slots.value(*number)),
        };
        pieces.iter().map(bytes).sum()
    }

    fn lines(&mut self, lines: &[Line], start: usize) -> String {
        let bytes = lines.iter().map(|line| match line {
            Line::Text(pieces) => self.bytes(pieces),
            Line::Each(before, number) => {
                let value = self.slots.value(*number);
                size(value) + before.len() * length(value)
            }
        });
        let bytes = bytes.sum();
        if self.spend(start, bytes) { self.slots.lines(lines) } else { String::new() }
    }
}

/// Items or pairs.
fn length(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => 1,
    }
}

/// About what a value takes.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| size(item) + 2).sum(),
        Value::Object(members) => members.iter().map(|(key, value)| key.len() + size(value) + 4).sum(),
        _ => 8,
    }
}

fn nesting(value: &Value) -> usize {
    let below = match value {
        Value::Array(items) => items.iter().map(nesting).max(),
        Value::Object(members) => members.values().map(nesting).max(),
        _ => return 0,
    };
    below.unwrap_or_default() + 1
}
