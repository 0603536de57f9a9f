//! No value changes the structure of a document, as another reader of YAML sees it.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{documents, filled};

/// Every kind of place, and what is there, with `X`, `L` and `M` for the three values.
const TEMPLATE: &str = "\
# $g{x} in a comment
apiVersion: v1
kind: ConfigMap
metadata: { name: a, annotations: { x: $g{x}, w: '$g{x}', z: \"$g{x}\" } }
plain: $g{x}
part: before $g{x} after
single: 'it''s $g{x}'
double: \"\\t$g{x}\\x20\"
literal: |
  one
    $g{x}
  $a{l}
  $d{m}
folded: >-
  one
  $g{x}
list:
  - first
  - $a{l}
  - $g{x}
only:
- $a{l}
whole: $a{l}
map:
  \"0\": first
  $d{m} # comment
sole:
  - $d{m}
inline: { a: $d{m}, b: [$g{x}] }
key: { k$g{k}: 1 }
last: end
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: b
";

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn expected(x: &Value, l: &[Value], m: &serde_json::Map<String, Value>, k: &str) -> Value {
    let text = text_of(x);
    let lines: String = l.iter().map(|it| format!("{}\n", text_of(it))).collect();
    let pairs: String = m.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
    let list = [&[json!("first")], l, std::slice::from_ref(x)].concat();
    let mut map = m.clone();
    map.insert("0".into(), "first".into());
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "annotations": {"x": x, "w": text, "z": text}},
        "plain": x,
        "part": format!("before {text} after"),
        "single": format!("it's {text}"),
        "double": format!("\t{text} "),
        "literal": format!("one\n  {text}\n{lines}{pairs}"),
        "folded": format!("one {text}"),
        "list": list,
        "only": l,
        "whole": l,
        "map": map,
        "sole": m,
        "inline": {"a": m, "b": [x]},
        "key": {format!("k{k}"): 1},
        "last": "end",
    })
}

/// Texts that YAML would read as something else, and any others.
fn texts() -> impl Strategy<Value = String> {
    let pieces = [
        "\n", ": ", "---", "...", " #", "- ", "\"", "'", "$g{x}", "${A}", "|", ">", "{", "}", "[", "]", ",", "&a",
        "*a", "!t", "%", "@", "`", "\\", "\t", " ", "  ", "\r\n", "\u{85}", "\u{2028}", "\u{feff}", "\u{e000}",
        "\u{0}", "\u{7f}", "~", "null", "true", "yes", "0644", "1e3", "?", "<<", "=", "",
    ];
    let odd = proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..6).prop_map(|all| all.concat());
    prop_oneof![odd, any::<String>()]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1000_i32..1000).prop_map(|number| Value::from(f64::from(number) / 8.0)),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            maps(inner).prop_map(Value::Object),
        ]
    })
}

/// The key `0` stands in the template already.
fn maps(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = serde_json::Map<String, Value>> {
    let keys = texts().prop_filter("the template has it", |key| key != "0" && key.len() < 100);
    proptest::collection::btree_map(keys, inner, 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_value_changes_the_structure(
        x in values(),
        l in proptest::collection::vec(values(), 0..4),
        m in maps(values()),
        k in texts().prop_filter("short", |key| key.len() < 100),
    ) {
        let rendered = filled(TEMPLATE, json!({"x": x, "l": l, "m": m, "k": k})).unwrap();
        let file = &rendered.modules[0];
        let bodies: Vec<Value> = file.objects.iter().map(|it| Value::Object(it.body.clone())).collect();
        prop_assert_eq!(&bodies[0], &expected(&x, &l, &m, &k));
        prop_assert_eq!(&documents(&file.text), &bodies, "{}", file.text);
        let first = file.text.lines().next();
        prop_assert_eq!(first, TEMPLATE.lines().next());
    }

    /// Whatever stands in a file, it is read or refused, and each problem has a place in it.
    #[test]
    fn any_file_is_read_or_refused(text in "([$][gad]\\{[a-z:\"\\[\\]{},]{0,8}|[-:#|>\"' \n&*!a-z{}]|kind: |- ){0,60}") {
        if let Err(told) = filled(&text, json!({})) {
            prop_assert!(told.contains("a.yaml:") || told.contains("module redis@latest"), "{told}");
        }
    }
}
