//! Bad input: what is refused, where, and with which remedy.

use serde_json::{Value, json};

use crate::{filled, map, read};

const META: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n";

#[test]
fn broken_templates() {
    let cases = [
        ("a name is missing", "a: $g{}"),
        ("an odd name", "a: $g{a b}"),
        ("not closed", "a: $g{name"),
        ("a default is not closed", "a: $g{name:\"x}\nb: c"),
        ("no brace behind the default", "a: $g{name:1 2}"),
        ("no JSON", "a: $g{name:text}"),
        ("no default", "a: $g{name:}"),
        ("a list of another kind", "a: $a{name:{}}"),
        ("a map of another kind", "a: $d{name:\"x\"}"),
        ("a list in a text", "a: x $a{name}"),
        ("a list in quotes", "a: \"$a{name}\""),
        ("a list in brackets", "a: [b, $a{name}]"),
        ("a list as a key", "$a{name}: b"),
        ("a map in a folded text", "a: >-\n  $d{name}"),
        ("a map with something below", "$d{name}\n  a: b"),
        ("several at once", "a: $g{\nb: $g{x:y}\nc: !tag d\n"),
        ("an anchor", "a: &x b"),
        ("an alias", "a: &x b\nc: *x"),
        ("a tag", "a: !!str 1"),
        ("a merge key", "<<: {}"),
        ("a number as a key", "1: b"),
        ("a list as a key", "? [a]\n: b"),
        ("a doubtful word", "a: yes"),
        ("a doubtful number", "a: 1e3\nb: 089\nc: 0x1f\nd: 1_000\ne: .inf"),
        ("a question mark in brackets", "a: { ?b, c: [?d] }\ne: ?f"),
        ("a directive", "%YAML 1.1\n---\na: b"),
        ("no YAML", "a: b: c"),
        ("a tab", "a:\n\tb: c"),
        ("too deep", &"[".repeat(60)),
        ("a private character", "a: \u{e001}"),
        ("a control character", &format!("{META}# a \u{18} in a comment")),
        ("a control character of a placeholder in a comment", &format!("{META}# $g{{x:\"\u{18}\"}}")),
        ("a control character in quotes", "a: \"\u{7f}\""),
        ("a control character in a default", "a: $g{x:\"\u{9f}\"}"),
        ("no character", "a: \u{ffff}"),
        ("a break of another line", &format!("{META}# a comment\u{85}b: c")),
        ("a break of a line of Unicode's", &format!("{META}# a comment\u{2028}b: c")),
        ("a break of a paragraph", &format!("{META}a: b\u{2029}c: d")),
        ("a break of a line of its own kind", &format!("{META}a:\r- $a{{x}}")),
        ("help for nothing", &format!("# @nmae help\n{META}data: $d{{name}}")),
        ("two defaults", &format!("{META}a: $g{{x:1}}\nb: $g{{x}}\nc: $g{{x:2}}")),
        ("two kinds", &format!("{META}a: $g{{x}}\nb: $a{{x}}")),
        ("a comment of two lines", &format!("{META}# $g{{x:[\n]}}")),
        ("a comment that a carriage return ends", &format!("{META}# $g{{x:\r1}}")),
        ("an end too early", "a: {\"b\": \"c"),
        ("nothing", ""),
        ("nothing but comments", "# nothing\n---\n"),
    ];
    let told: Vec<(&str, String)> =
        cases.into_iter().map(|(what, text)| (what, read(&[("a.yaml", text)]).map(|_| ()).expect_err(what))).collect();
    let told: Vec<String> = told.into_iter().map(|(what, told)| format!("{what}: {told}")).collect();
    insta::assert_snapshot!(told.join(""));
}

#[test]
fn a_control_character_in_a_file_of_values() {
    let told = job_chief::modules::values::read("v.yaml", "a: 1\n# \u{1b}[2J\n").unwrap_err().to_string();
    assert!(told.contains("v.yaml:2:3: readers of YAML refuse or misread the character U+001B"), "{told}");
}

#[test]
fn bad_values() {
    let template = format!("{META}data:\n  $d{{labels}}\n  fixed: a\nlist: $a{{args}}\nname: $g{{name}}\n");
    let cases = [
        json!({"nmae": 1, "args": {}, "labels": []}),
        json!({"labels": {"fixed": "b"}}),
        json!({"labels": {"x".repeat(1001): "b"}}),
    ];
    let told: Vec<String> = cases.into_iter().map(|values| filled(&template, values).unwrap_err()).collect();
    insta::assert_snapshot!(told.join(""));
    let mut deep = json!(1);
    for _ in 0..50 {
        deep = json!([deep]);
    }
    assert!(filled(&template, json!({"name": deep})).unwrap_err().contains("nested more than 40 deep"));
    let long = filled(&template, json!({"name": "x".repeat(5 << 20)})).unwrap_err();
    assert!(long.contains("a.yaml:8:7: the values take more than 4194304 bytes"), "{long}");
}

#[test]
fn objects_that_can_not_be_deployed() {
    let cases = [
        "a list\n",
        "[]",
        "apiVersion: v1\nkind: ConfigMap",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {}",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { generateName: a- }",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: A_b }",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: 3 }",
        "apiVersion: v1\nkind: Service\nmetadata: { name: 1a }",
        "apiVersion: v1\nkind: Service\nmetadata: { name: a.b }",
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: { name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa }",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a, namespace: other, uid: x, resourceVersion: \"1\" }\nstatus: {}",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a, labels: { job-chief/deployment: x } }",
        "apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: { name: a }",
        "apiVersion: apps/v1\nkind: Deploymnet\nmetadata: { name: a }",
        "apiVersion: v1\nkind: List\nitems: []",
        "apiVersion: v1\nkind: Namespace\nmetadata: { name: a }",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: { name: a }",
        "kind: ClusterRole\nmetadata: { name: a }",
        "apiVersion: job-chief/v1\nkind: JobConfig\nmetadata: { name: a }",
        "apiVersion: job-chief/v1\nkind: JobConfig\nmetadata: { name: a, labels: {} }\nspce: {}\nspec: []",
        "apiVersion: job-chief/v1\nkind: JobConfig\nmetadata: { name: a }\nspec: { name: b, queueName: a, podConfig: { image: a } }",
        "apiVersion: job-chief/v1\nkind: JobConfig\nmetadata: { name: a }\nspec:\n  queueName: $g{q:1}\n  podConfig:\n    image: a\n    parallelism: 99\n  maxConcurentJobs: 1\n",
        "apiVersion: job-chief/v1\nkind: JobConfig\nmetadata: { name: a }\nspec:\n  type: service\n  podConfig: { image: a }\n  ports: [80]\n  check: { tcp: 81 }\n",
    ];
    let told: Vec<String> =
        cases.into_iter().map(|text| format!("{text:?}\n{}", filled(text, json!({})).expect_err(text))).collect();
    insta::assert_snapshot!(told.join(""));
}

#[test]
fn the_same_object_twice_in_a_module() {
    let module = read(&[("a.yaml", META), ("dependencies/b.yaml", META)]).unwrap();
    let told = module.fill(&map(json!({})), "media").unwrap_err().to_string();
    assert_eq!(told, "1 problem:\n  a.yaml:1:1: ConfigMap/a is also at dependencies/b.yaml:1: keep one\n");
    let other = META.replace("ConfigMap", "Secret");
    read(&[("a.yaml", META), ("b.yaml", &other)]).unwrap().fill(&map(json!({})), "media").unwrap();
}

#[test]
fn too_much_of_it() {
    let many = |name: &str, count: usize| {
        (0..count)
            .map(|at| format!("---\n{}", META.replace("name: a", &format!("name: {name}{at}"))))
            .collect::<String>()
    };
    assert!(read(&[("a.yaml", &many("a", 150)), ("b.yaml", &many("b", 50))]).is_ok());
    let told = read(&[("a.yaml", &many("a", 150)), ("b.yaml", &many("b", 51))]).unwrap_err();
    assert!(told.contains("it has 201 objects, allowed are 200"), "{told}");
    let told = read(&[("a.yaml", &format!("{META}data: [{}]", "$g{x}, ".repeat(1001)))]).unwrap_err();
    assert!(told.contains("more than 1000 placeholders"), "{told}");
}

#[test]
fn a_job_that_goes_before_its_end_was_seen() {
    let job = |ttl: u32| {
        let text = format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{ name: a }}\nspec: {{ ttlSecondsAfterFinished: {ttl} }}"
        );
        filled(&text, json!({})).map(|_| ())
    };
    let told = job(74).unwrap_err();
    assert!(told.contains("a.yaml:4:34: spec.ttlSecondsAfterFinished: allowed is 75 or more"), "{told}");
    assert_eq!(job(75), Ok(()));
}

/// What a JobConfig is by itself is the same as what it is in the module.
#[test]
fn a_job_config_is_an_entry() {
    let text = "apiVersion: job-chief/v1\nkind: JobConfig\nmetadata: { name: mail }\nspec: { queueName: Mail_Queue, podConfig: { image: $g{image:\"a\"} } }";
    let rendered = filled(text, json!({"image": "b"})).unwrap();
    let object = rendered.objects().next().unwrap();
    let entry = job_chief::modules::job_config::entry(object).unwrap();
    assert_eq!((entry.name(), entry.pod_configs()[0].image.as_str()), ("mail", "b"));
    assert_eq!(&*entry.queue().unwrap().queue_name, "Mail_Queue");
    let mut broken = object.clone();
    broken.body["spec"]["maxConcurrentJobs"] = Value::from(0);
    let told = job_chief::modules::job_config::entry(&broken).unwrap_err().to_string();
    assert!(told.contains("a.yaml:1:1: spec.maxConcurrentJobs: "), "{told}");
}
