//! What a template becomes.

use serde_json::{Value, json};

use crate::{documents, filled, map, read, text};

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n";

/// A text that is broken as YAML wherever it stands by itself.
const NASTY: &str =
    "x: y\n---\nkind: Secret # \"'{[\n- ${a} $g{name} &a *b !c %d @e `f\t\u{85}\u{2028}\u{0}\u{1f600}\\n";

#[test]
fn every_kind_of_placeholder_where_it_stands() {
    let template = "\
# @name The name.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $g{name:\"cache\"}-server # and $g{this} is a comment
  labels:
    app: \"$g{name}\"
    - $d{labels:{\"tier\": \"back\"}} # more of them
  annotations: $d{annotations}
spec:
  replicas: $g{replicas:2}
  template:
    spec:
      containers:
        - name: main
          args:
            - serve
            - $a{args:[\"--port\", 6379]}
          command: $a{command}
          env:
            - $a{env:[{\"name\": \"A\", \"value\": \"}\"}]}
          script: |
            set -e
            $a{steps:[\"echo one\", \"echo two\"]}
            exec $g{name}
          folded: >-
            it is $g{name}
            for all
      volumes:
      - $a{volumes}
      nodeSelector:
        $d{nodeSelector:{}}
";
    let rendered = filled(template, json!({"labels": {"tier": "front", "n": 1, "yes": true}})).unwrap();
    insta::assert_snapshot!(rendered.modules[0].text);
    let body = Value::Object(rendered.modules[0].objects[0].body.clone());
    assert_eq!(vec![body], documents(&rendered.modules[0].text));
}

#[test]
fn a_value_keeps_its_type_and_a_longer_text_is_a_text() {
    let template =
        format!("{CONFIG_MAP}a: $g{{x:3}}\nb: '$g{{x}}'\nc: 1$g{{x}}\nd: $g{{y:null}}\ne: $g{{z:\"3\"}}\nf: $g{{n}}\n");
    let body = filled(&template, json!({})).unwrap().modules[0].objects[0].body.clone();
    let found: Vec<&Value> = ["a", "b", "c", "d", "e", "f"].iter().map(|key| &body[*key]).collect();
    assert_eq!(json!(found), json!([3, "3", "13", null, "3", ""]));
}

#[test]
fn a_block_that_ends_with_the_file_is_the_same_to_all_readers() {
    for (block, text) in
        [("|\n    o", "o\n"), ("|+\n    o\n    ", "o\n\n"), (">\n    o\n    p", "o p\n"), ("|-\n    o", "o")]
    {
        let rendered = filled(&format!("{CONFIG_MAP}data:\n  a: {block}"), json!({})).unwrap();
        let file = &rendered.modules[0];
        assert_eq!(file.objects[0].body["data"]["a"], text, "{block:?}");
        assert_eq!(documents(&file.text), [Value::Object(file.objects[0].body.clone())], "{block:?}");
    }
}

#[test]
fn nothing_gets_out_of_its_place() {
    let places = [
        "data: { a: $g{x} }\n",
        "data:\n  a: $g{x}\n  b: c\n",
        "data:\n  a: pre $g{x} post\n",
        "data:\n  a: '$g{x}''s'\n",
        "data:\n  a: \"$g{x}\\t\"\n",
        "data:\n  a: |\n    one\n      $g{x}\n    two\n  b: c\n",
        "data:\n  a: >2-\n     one $g{x}\n\n  b: c\n",
        "data:\n  a: |+\n    $g{x}\n\n# the end\n",
        "data:\n  $g{x}: b\n",
        "data:\n  - $g{x}\n  - b\n",
    ];
    for place in places {
        let template = format!("{CONFIG_MAP}{place}---\n{CONFIG_MAP}").replacen("name: a", "name: b", 1);
        let rendered = filled(&template, json!({"x": NASTY})).unwrap();
        let bodies: Vec<Value> = rendered.objects().map(|it| Value::Object(it.body.clone())).collect();
        assert_eq!(documents(&rendered.modules[0].text), bodies, "{}", rendered.modules[0].text);
        assert_eq!(bodies.len(), 2);
        let data = bodies[0]["data"].to_string();
        let inner = serde_json::to_string(NASTY).unwrap();
        assert!(data.contains(inner.trim_matches('"')), "{data}");
    }
}

#[test]
fn lists_and_maps_may_be_empty_alone_or_among_others() {
    let lists = [
        ("args:\n- $a{x}\n", json!([])),
        ("args:\n  - $a{x}\n  - b\n", json!(["b"])),
        ("args:\n  - b\n  - $a{x} # c\n", json!(["b"])),
        ("args:\n  - $a{x}\n  - $a{x}\n", json!([])),
        ("args: $a{x}\n", json!([])),
        ("args: [b, c]\n", json!(["b", "c"])),
        ("args:\n  $d{y}\n", json!({})),
        ("args:\n  - $d{y}\n", json!({})),
        ("args:\n  $d{y}\n  a: b\n", json!({"a": "b"})),
        ("args: $d{y}\n", json!({})),
    ];
    for (place, expected) in lists {
        let rendered = filled(&format!("{CONFIG_MAP}{place}"), json!({})).unwrap();
        assert_eq!(rendered.modules[0].objects[0].body["args"], expected, "{place}");
        assert_eq!(documents(&rendered.modules[0].text)[0]["args"], expected, "{}", rendered.modules[0].text);
    }
}

#[test]
fn values_of_secrets_are_not_shown() {
    let template = "apiVersion: v1\nkind: Secret\nmetadata: { name: a }\nstringData:\n  fixed: hunter1\n  b: $g{b}\n  c: |\n    hunter3 $g{b}\n  $d{more}\ndata: $d{coded}\n";
    let values = json!({"b": "hunter2", "more": {"d": "hunter4"}, "coded": {"e": "aHVudGVyNQ=="}});
    let file = filled(template, values).unwrap().modules.remove(0);
    assert!(!file.shown.contains("hunter") && !file.shown.contains("aHVud"), "{}", file.shown);
    insta::assert_snapshot!(file.shown);
    assert_eq!(documents(&file.text)[0]["stringData"]["c"], "hunter3 hunter2\n");
}

#[test]
fn what_stands_in_a_secret_is_not_shown_elsewhere() {
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: { name: a }\nstringData:\n  u: $g{name}:$g{password}\n  $d{more}\n";
    let other = format!(
        "{}data:\n  u: redis://$g{{password}}@$g{{host:\"cache\"}}\n  more: $d{{more}}\n  b: |\n    $d{{more}}\n",
        CONFIG_MAP.replace("name: a", "name: $g{name:\"app\"}")
    );
    // The file of the Secret comes after that which shows the same value.
    let files = [("a.yaml", other.as_str()), ("b.yaml", secret)];
    let values = map(json!({"password": "hunter1", "more": {"k": "hunter2"}}));
    let files = read(&files).unwrap().fill(&values, "media").unwrap().modules;
    let shown = &files[0].shown;
    assert!(!shown.contains("hunter") && shown.contains("redis://(hidden)@cache"), "{shown}");
    assert!(shown.contains("name: \"app\""), "what names an object is no secret: {shown}");
    assert!(files[0].text.contains("redis://hunter1@cache"), "what is applied has it: {}", files[0].text);
    assert_eq!(documents(shown).len(), 1, "it is still YAML: {shown}");
}

#[test]
fn placeholders_are_told_with_their_help() {
    let module = read(&[
        ("b.yaml", "# @size How much.\n# @size In GiB.\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: b, labels: { a: $g{size} } }\n"),
        ("dependencies/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a, labels: { a: $g{size:\"8\"} } }\ndata:\n  $d{data}\n"),
    ])
    .unwrap();
    let told: Vec<String> = module
        .placeholders()
        .iter()
        .map(|it| {
            format!("{} {:?} {} {:?} {}:{}:{}", it.name, it.kind, it.default, it.help, it.file, it.line, it.column)
        })
        .collect();
    assert_eq!(
        told,
        ["data Map {} \"\" dependencies/a.yaml:5:3", "size Value \"8\" \"How much. In GiB.\" dependencies/a.yaml:3:35",]
    );
    assert_eq!(Value::Object(module.values(&map(json!({"size": 1})))), json!({"data": {}, "size": 1}));
    let rendered = module.fill(&map(json!({})), "media").unwrap();
    let order: Vec<String> = rendered.objects().map(|it| format!("{} {}:{}", it.id, it.file, it.line)).collect();
    assert_eq!(order, ["ConfigMap/a dependencies/a.yaml:1", "ConfigMap/b b.yaml:3"]);
    assert_eq!((rendered.dependencies[0].name(), rendered.modules[0].name()), ("a.yaml", "b.yaml"));
}

/// The shapes of the orchestrator whose grammar this is.
#[test]
fn templates_of_the_orchestrator_parse_and_fill() {
    let template = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: $g{name:\"jac-redis\"}-config
  namespace: $g{namespace:\"default\"}
data:
  redis.conf: |
    maxmemory $g{maxmemory:\"100mb\"}
    $a{lines:[\"appendonly yes\"]}
---
apiVersion: v1
kind: Service
metadata:
  name: $g{name:\"jac-redis\"}-service
  namespace: $g{namespace:\"default\"}
spec:
  selector:
    app: $g{name:\"jac-redis\"}
  ports:
    - protocol: TCP
      port: $g{port:6379}
      targetPort: $g{port:6379}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $g{name:\"jac-redis\"}
  namespace: $g{namespace:\"default\"}
spec:
  replicas: $g{replicas:1}
  template:
    metadata:
      labels:
        app: $g{name:\"jac-redis\"}
        $d{labels:{\"owner\": \"jac\"}}
    spec:
      containers:
        - name: redis
          image: redis:$g{version:\"7\"}
          command:
            - redis-server
            - $a{args:[\"/conf/redis.conf\"]}
          env:
            - $a{env:[{\"name\": \"REDIS_PORT\", \"value\": \"6379\"}]}
";
    let rendered = filled(template, json!({"namespace": "media", "name": "cache"})).unwrap();
    let ids: Vec<String> = rendered.objects().map(|it| it.id.to_string()).collect();
    assert_eq!(ids, ["ConfigMap/cache-config", "Service/cache-service", "Deployment/cache"]);
    assert_eq!(documents(&rendered.modules[0].text).len(), 3);
    assert!(text(template, json!({"namespace": "media"})).contains("image: \"redis:7\""));
    let elsewhere = filled(template, json!({})).unwrap_err();
    assert!(elsewhere.contains("found \"default\", but job-chief works in \"media\" only"), "{elsewhere}");
}
