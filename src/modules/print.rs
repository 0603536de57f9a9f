//! The text of a template with values in it: each placeholder is written anew in its place, the rest is left as it is.

use std::ops::Range;

use serde_json::Value;

use crate::modules::{
    fill::Slots,
    placeholder::Piece,
    scalar::{flow, key, pair, quoted},
    secrets::{HIDDEN, hidden, is_secret},
    template::Template,
    tree::{Form, Item, Member, Tree},
};

/// A place and what is to stand there.
type Edit = (Range<usize>, String);

/// Writes the values of a deployment in a template.
pub(super) struct Printer<'a> {
    template: &'a Template,
    slots: &'a Slots<'a>,
    edits: Vec<Edit>,
}

impl<'a> Printer<'a> {
    /// Nothing is written yet.
    pub(super) fn new(template: &'a Template, slots: &'a Slots<'a>) -> Self {
        Self { template, slots, edits: vec![] }
    }

    /// Writes a document.
    pub(super) fn document(&mut self, tree: &Tree) {
        self.tree(tree, false);
    }

    /// Writes a Secret without its values.
    pub(super) fn secret(&mut self, tree: &Tree) {
        let Form::Map(members) = &tree.form else { return self.tree(tree, true) };
        for member in members {
            match member {
                Member::One(span, pieces, value) => {
                    self.key(span, pieces);
                    self.tree(value, is_secret(&self.slots.text(pieces)));
                }
                Member::Each(..) => self.member(member, false, true),
            }
        }
    }

    /// The whole text.
    pub(super) fn text(mut self) -> String {
        self.edits.sort_by_key(|(range, _)| range.start);
        let source = &self.template.source.text;
        let mut text = String::with_capacity(source.len());
        let mut from = 0;
        for (range, instead) in &self.edits {
            text.push_str(&source[from..range.start]);
            text.push_str(instead);
            from = range.end;
        }
        text.push_str(&source[from..]);
        text
    }

    fn write(&mut self, range: &Range<usize>, instead: String) {
        self.edits.push((range.clone(), instead));
    }

    fn tree(&mut self, tree: &Tree, hide: bool) {
        let instead = match &tree.form {
            Form::List(items) => return self.list(items, hide),
            Form::Map(members) => return self.map(members, hide),
            Form::Slot(number) => flow(&shown(self.slots.value(*number), hide)),
            Form::Fixed(_) if !hide || tree.span.is_empty() => return,
            _ if hide => quoted(HIDDEN),
            Form::Text(pieces) => quoted(&self.slots.text(pieces)),
            Form::Lines(lines) => quoted(&self.slots.lines(lines)),
            Form::Fixed(_) => return,
        };
        self.write(&tree.span, instead);
    }

    fn list(&mut self, items: &[Item], hide: bool) {
        let count = |item: &Item| match item {
            Item::One(_) => 1,
            Item::Each(_, number) => self.slots.value(*number).as_array().map_or(0, Vec::len),
        };
        let mut is_empty = items.iter().map(count).sum::<usize>() == 0;
        for item in items {
            match item {
                Item::One(tree) => self.tree(tree, hide),
                Item::Each(range, number) => {
                    let items = self.slots.value(*number).as_array().into_iter().flatten();
                    let lines = items.map(|item| format!("- {}", flow(&shown(item, hide)))).collect();
                    // A bracket stands further in than the key of its list.
                    self.each(range, lines, std::mem::take(&mut is_empty).then_some(" []"));
                }
            }
        }
    }

    fn map(&mut self, members: &[Member], hide: bool) {
        let count = |member: &Member| match member {
            Member::One(..) => 1,
            Member::Each(_, number) => self.slots.value(*number).as_object().map_or(0, serde_json::Map::len),
        };
        let mut is_empty = members.iter().map(count).sum::<usize>() == 0;
        for member in members {
            self.member(member, std::mem::take(&mut is_empty), hide);
        }
    }

    fn member(&mut self, member: &Member, is_empty: bool, hide: bool) {
        match member {
            Member::One(span, pieces, value) => {
                self.key(span, pieces);
                self.tree(value, hide);
            }
            Member::Each(range, number) => {
                let pairs = self.slots.value(*number).as_object().into_iter().flatten();
                let lines = pairs.map(|(key, value)| pair(key, &shown(value, hide))).collect();
                self.each(range, lines, is_empty.then_some("{}"));
            }
        }
    }

    /// A line for each, all as far in as the first.
    fn each(&mut self, range: &Range<usize>, lines: Vec<String>, instead_of_none: Option<&str>) {
        let line = self.template.source.text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let between = format!("\n{}", " ".repeat(range.start - line));
        let text = match instead_of_none {
            Some(none) => none.to_owned(),
            None => lines.join(&between),
        };
        self.write(range, text);
    }

    fn key(&mut self, span: &Range<usize>, pieces: &[Piece]) {
        if pieces.iter().any(|piece| matches!(piece, Piece::Slot(_))) {
            self.write(span, key(&self.slots.text(pieces)));
        }
    }
}

/// A value, or what is shown of it.
fn shown(value: &Value, hide: bool) -> Value {
    if hide { hidden(value) } else { value.clone() }
}
