//! An object that is read field by field: what nobody took in the end has no counterpart.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::import::remark::Notes;

/// The fields that are left of an object.
pub(super) struct Fields {
    path: String,
    left: Map<String, Value>,
}

impl Fields {
    /// The fields of a value; one that is no object has none, and it is told.
    pub(super) fn of(path: &str, value: Value, notes: &mut Notes) -> Self {
        let left = match value {
            Value::Object(left) => left,
            Value::Null => Map::new(),
            other => {
                notes.found(path, &other, "left out, as an object is expected");
                Map::new()
            }
        };
        Self { path: path.into(), left }
    }

    /// Takes a field; null is none.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.left.remove(key).filter(|value| !value.is_null())
    }

    /// Takes an object.
    pub(super) fn below(&mut self, key: &str, notes: &mut Notes) -> Self {
        let value = self.take(key).unwrap_or(Value::Null);
        Self::of(&self.path(key), value, notes)
    }

    /// The path of a field.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }

    /// Takes a scalar as a text.
    pub(super) fn text(&mut self, key: &str, notes: &mut Notes) -> Option<String> {
        let value = self.take(key)?;
        let text = scalar(&value);
        if text.is_none() {
            notes.found(&self.path(key), &value, "left out, as a text is expected");
        }
        text
    }

    /// Takes a whole number; one that is outside what is allowed becomes the nearest that is.
    pub(super) fn whole(&mut self, key: &str, allowed: RangeInclusive<u64>, notes: &mut Notes) -> Option<u64> {
        let value = self.take(key)?;
        let Some(number) = scalar(&value).and_then(|text| text.trim().parse::<f64>().ok()).filter(|n| n.is_finite())
        else {
            notes.found(&self.path(key), &value, "left out, as a whole number is expected");
            return None;
        };
        let (least, most) = (*allowed.start(), *allowed.end());
        // The bounds are far below 2^53, so that nothing is lost either way.
        let nearest = (number.ceil().max(least as f64) as u64).min(most);
        if nearest as f64 != number {
            let text = format!("{nearest} instead, as allowed is a whole number from {least} to {most}");
            notes.found(&self.path(key), &value, &text);
        }
        Some(nearest)
    }

    /// Takes a field that is left out; one that says what is so anyway needs no remark.
    pub(super) fn leave(&mut self, key: &str, same: &[Value], why: &str, notes: &mut Notes) {
        if let Some(value) = self.take(key).filter(|value| !same.contains(value)) {
            notes.found(&self.path(key), &value, why);
        }
    }

    /// Puts one back.
    pub(super) fn put(&mut self, key: &str, value: Value) {
        self.left.insert(key.into(), value);
    }

    /// What is left, without nulls.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.left.into_iter().filter(|(_, value)| !value.is_null()).collect()
    }

    /// Tells that nobody knows what is left.
    pub(super) fn refuse_rest(self, notes: &mut Notes) {
        let path = |key: &str| if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        for (key, value) in self.left.iter().filter(|(_, value)| !value.is_null()) {
            notes.found(&path(key), value, "left out, as it is not known here");
        }
    }
}

/// The text of a scalar.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}
