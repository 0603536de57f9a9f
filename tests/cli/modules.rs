//! Modules on the command line: from their files alone.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Told, command, run};

const TEMPLATE: &str = "\
# @name The name of the service.
# @args What it is told.
apiVersion: job-chief/v1
kind: JobConfig
metadata:
  name: $g{name:\"redis\"}
  namespace: $g{namespace:\"media\"}
spec:
  type: service
  podConfig:
    image: redis:8
    args:
      - $a{args:[\"--save\"]}
  ports: [6379]
";

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in [
        ("modules/redis/latest/redis.yaml", TEMPLATE),
        ("modules/redis/1.0/redis.yaml", TEMPLATE),
        ("modules/mail/latest/mail.yaml", "a: $g{"),
        ("values.yaml", "name: cache\nargs: [a, \"1\"]\n"),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn told(words: &[&str]) -> Told {
    let folder = folder();
    let mut command = command(&folder, words);
    command.env("MODULES_PATH", "modules").env("K8S_NAMESPACE", "media");
    run(command)
}

#[test]
fn modules_are_shown_and_rendered() {
    insta::assert_snapshot!(told(&["modules"]).out);
    insta::assert_snapshot!(told(&["modules", "redis@1.0"]).out);
    let rendered =
        told(&["render", "redis", "--values", "values.yaml", "--set", "name=x: y", "--set", "args=[\"1\", \"b\"]"]);
    insta::assert_snapshot!(rendered.out);
    assert_eq!((rendered.code, rendered.err.as_str()), (0, ""));
}

#[test]
fn a_value_of_the_command_line_is_what_was_typed() {
    let args = |value: &str| {
        let told = told(&["render", "redis", "--set", &format!("name={value}"), "-o", "json"]);
        serde_json::from_str::<Value>(&told.out).map(|list| list["items"][0]["metadata"]["name"].clone())
    };
    for typed in ["7.10", "1e3", "12345678901234567890123", "08"] {
        assert_eq!(args(typed).unwrap(), json!(typed), "a version, not a number");
    }
    assert!(args("7").is_err(), "a number stays one, and no name is a number");
}

#[test]
fn for_programs_it_is_data() {
    let all: Value = serde_json::from_str(&told(&["modules", "-o", "json"]).out).unwrap();
    assert_eq!(all[1], json!({"name": "redis", "versions": ["1.0", "latest"]}));
    let one: Value = serde_json::from_str(&told(&["modules", "redis", "-o", "json"]).out).unwrap();
    assert_eq!((&one["version"], &one["placeholders"][0]["default"]), (&json!("latest"), &json!(["--save"])));
    assert_eq!(serde_yaml_ng::from_str::<Value>(&told(&["modules", "redis", "-o", "yaml"]).out).unwrap(), one);
    let list: Value =
        serde_json::from_str(&told(&["render", "redis", "--values", "values.yaml", "-o", "json"]).out).unwrap();
    assert_eq!((&list["kind"], &list["items"][0]["metadata"]["name"]), (&json!("List"), &json!("cache")));
    assert_eq!(list["items"][0]["spec"]["podConfig"]["args"], json!(["a", "1"]));
}

#[test]
fn a_job_config_of_the_name_comes_first() {
    assert!(told(&["render", "mail"]).out.starts_with("apiVersion: batch/v1\n"));
    let module = told(&["render", "mail@latest"]);
    assert_eq!(module.code, 2);
    assert!(
        module.err.contains("the module mail@latest is wrong") && module.err.contains("mail.yaml:1:4"),
        "{}",
        module.err
    );
}

#[test]
fn what_is_wrong_is_told() {
    let cases: [(&[&str], i32, &str); 7] = [
        (&["modules", "reddis"], 1, "there is no module \"reddis\" (did you mean \"redis\"?): there is mail, redis"),
        (&["modules", "redis@2"], 1, "has no version \"2\""),
        (&["modules", "../redis"], 1, "is no name of a module"),
        (&["render", "redis", "--set", "nmae=x"], 2, "unknown key \"nmae\" (did you mean \"name\"?)"),
        (&["render", "redis", "--set", "args=x"], 2, "redis.yaml:13:9: config.args: a value of another kind"),
        (&["render", "redis", "--set", "args"], 1, "--set args: allowed is KEY=VALUE"),
        (&["render", "redis", "--values", "nowhere.yaml"], 1, "can't read nowhere.yaml"),
    ];
    for (words, code, what) in cases {
        let told = told(words);
        assert_eq!(told.code, code, "{words:?}: {}", told.err);
        assert!(told.err.contains(what), "{words:?}: {}", told.err);
    }
    let none = crate::job_chief(&["modules"]);
    assert!(none.err.contains("app.modulesPath (MODULES_PATH) names no folder"), "{}", none.err);
}
