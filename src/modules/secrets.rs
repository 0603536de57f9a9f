//! Which placeholders stand in Secrets: their values are not shown where they stand elsewhere, either.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::modules::{
    fill::Slots,
    placeholder::Piece,
    template::Template,
    tree::{Form, Item, Line, Member, Tree},
};

/// What stands in place of a value of a Secret where it is only shown.
pub(super) const HIDDEN: &str = "(hidden)";

/// The keys of a Secret whose values are hidden.
const SECRET_KEYS: [&str; 2] = ["data", "stringData"];

/// Whether a value of a Secret stands below this key.
pub(super) fn is_secret(key: &str) -> bool {
    SECRET_KEYS.contains(&key)
}

/// A value without what it says.
pub(super) fn hidden(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(hidden).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), hidden(value))).collect(),
        _ => HIDDEN.into(),
    }
}

/// The placeholders whose values stand in a Secret.
pub(super) fn in_secret<'a>(template: &'a Template, secret: &Tree, slots: &Slots<'_>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for member in members(secret) {
        match member {
            Member::One(_, pieces, value) if is_secret(&slots.text(pieces)) => of_tree(value, &mut found),
            Member::One(..) => {}
            Member::Each(_, number) => found.extend([*number]),
        }
    }
    named(template, found)
}

/// The placeholders that an object is named by: everybody sees them, also where a Secret repeats them.
pub(super) fn in_name<'a>(template: &'a Template, object: &Tree, slots: &Slots<'_>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for name in below(object, "metadata", slots).flat_map(|metadata| below(metadata, "name", slots)) {
        of_tree(name, &mut found);
    }
    named(template, found)
}

fn members(tree: &Tree) -> &[Member] {
    match &tree.form {
        Form::Map(members) => members,
        _ => &[],
    }
}

fn below<'t>(tree: &'t Tree, key: &'t str, slots: &'t Slots<'_>) -> impl Iterator<Item = &'t Tree> {
    members(tree).iter().filter_map(move |member| match member {
        Member::One(_, pieces, value) => Some(value).filter(|_| slots.text(pieces) == key),
        Member::Each(..) => None,
    })
}

fn named(template: &Template, numbers: BTreeSet<usize>) -> BTreeSet<&str> {
    let name = |number: usize| Some(template.tokens.get(number)?.found.as_ref().ok()?.name.as_str());
    numbers.into_iter().filter_map(name).collect()
}

fn of_tree(tree: &Tree, found: &mut BTreeSet<usize>) {
    match &tree.form {
        Form::Fixed(_) => {}
        Form::Slot(number) => found.extend([*number]),
        Form::Text(pieces) => of_pieces(pieces, found),
        Form::Lines(lines) => lines.iter().for_each(|line| match line {
            Line::Text(pieces) => of_pieces(pieces, found),
            Line::Each(_, number) => found.extend([*number]),
        }),
        Form::List(items) => items.iter().for_each(|item| match item {
            Item::One(tree) => of_tree(tree, found),
            Item::Each(_, number) => found.extend([*number]),
        }),
        Form::Map(members) => members.iter().for_each(|member| match member {
            Member::One(_, _, tree) => of_tree(tree, found),
            Member::Each(_, number) => found.extend([*number]),
        }),
    }
}

fn of_pieces(pieces: &[Piece], found: &mut BTreeSet<usize>) {
    found.extend(pieces.iter().filter_map(|piece| match piece {
        Piece::Slot(number) => Some(*number),
        Piece::Text(_) => None,
    }));
}
