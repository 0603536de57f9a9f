//! YAML as JSON values, with a limit on what aliases may grow to.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// What a file may hold once its aliases are followed, counted as bytes of its texts plus [`NODE_COST`] for each value:
/// without aliases a file of the size that is allowed stays below it.
const BUDGET: usize = 256 << 20;

/// A value counts at least so much: it takes as much memory, whatever it is.
const NODE_COST: usize = 32;

/// All documents of a text; those that are empty are null.
///
/// # Errors
/// What is wrong with the first that is no YAML, in the parser's words.
pub(super) fn documents(text: &str) -> Result<Vec<Value>, serde_yaml_ng::Error> {
    let left = Cell::new(BUDGET);
    serde_yaml_ng::Deserializer::from_str(text).map(|document| Budgeted { left: &left }.deserialize(document)).collect()
}

/// A value whose size is taken from what is left.
#[derive(Clone, Copy)]
struct Budgeted<'a> {
    left: &'a Cell<usize>,
}

impl Budgeted<'_> {
    fn spend<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.left.get().checked_sub(bytes + NODE_COST);
        self.left.set(left.ok_or_else(|| E::custom("its aliases make it too large"))?);
        Ok(())
    }

    fn scalar<E: Error>(self, value: impl Into<Value>) -> Result<Value, E> {
        self.spend(0)?;
        Ok(value.into())
    }
}

impl<'de> DeserializeSeed<'de> for Budgeted<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Budgeted<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag of its own")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    /// An empty text.
    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        self.scalar(flag)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        self.scalar(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        self.scalar(number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        self.scalar(Number::from_f64(number).ok_or_else(|| E::custom("a number that is not finite"))?)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.spend(text.len())?;
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut all = vec![];
        while let Some(item) = items.next_element_seed(self)? {
            all.push(item);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let (mut all, mut merged) = (Map::new(), vec![]);
        while let Some(key) = members.next_key::<String>()? {
            self.spend(key.len())?;
            let value = members.next_value_seed(self)?;
            match (key.as_str(), value) {
                ("<<", Value::Array(maps)) => merged.extend(maps),
                ("<<", map) => merged.push(map),
                _ if all.contains_key(&key) => return Err(A::Error::custom(format!("the key {key:?} is there twice"))),
                (_, value) => drop(all.insert(key, value)),
            }
        }
        merge(&mut all, merged);
        Ok(all.into())
    }
}

/// YAML's merge key: what a map has itself wins, then the earlier of those that it merges.
fn merge(own: &mut Map<String, Value>, merged: Vec<Value>) {
    for map in merged {
        let Value::Object(members) = map else { continue };
        for (key, value) in members {
            own.entry(key).or_insert(value);
        }
    }
}
