//! The modules that are shipped: they fill, and their pages tell each placeholder.

use std::{fs, path::PathBuf};

use job_chief::modules::{job_config::entry, library::Library, module::Module, object::ObjectKind};
use serde_json::{Map, json};

use crate::{filled, map};

const SHIPPED: [&str; 3] = ["postgres", "redis", "worker"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/modules")
}

fn module(name: &str) -> Module {
    Library::new(Some(folder())).open(name, None).unwrap()
}

#[test]
fn they_fill_with_their_defaults() {
    let listed = Library::new(Some(folder())).list().unwrap();
    assert_eq!(listed.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), SHIPPED);
    let mut told = String::new();
    for name in SHIPPED {
        let rendered = module(name).fill(&Map::new(), "media").unwrap();
        for object in rendered.objects() {
            told.push_str(&format!("{name}: {}\n", object.id));
            if object.id.kind == ObjectKind::JobConfig {
                told.push_str(&serde_yaml_ng::to_string(&object.body["spec"]).unwrap());
                assert_eq!(entry(object).unwrap().name(), name);
            }
        }
    }
    insta::assert_snapshot!(told);
}

#[test]
fn image_and_command_can_be_said() {
    for name in SHIPPED {
        let given =
            json!({"name": "x", "image": "busybox", "pullPolicy": "Never", "command": ["sleep"], "args": ["9"]});
        let rendered = module(name).fill(&map(given), "media").unwrap();
        let object = rendered.objects().find(|it| it.id.kind == ObjectKind::JobConfig).unwrap();
        let pod = &object.body["spec"]["podConfig"];
        assert_eq!((&pod["image"], &pod["pullPolicy"]), (&json!("busybox"), &json!("Never")));
        assert_eq!((&pod["command"], &pod["args"]), (&json!(["sleep"]), &json!(["9"])));
        assert_eq!(object.id.to_string(), "JobConfig/x");
    }
}

/// `UPDATE_DOCS=1` writes the tables anew.
#[test]
fn their_pages_tell_each_placeholder() {
    for name in SHIPPED {
        let rows = module(name)
            .placeholders()
            .iter()
            .map(|it| {
                assert!(!it.help.is_empty(), "{name}: nothing is said of {}", it.name);
                format!("| `{}` | {} | `{}` | {} |\n", it.name, json!(it.kind).as_str().unwrap(), it.default, it.help)
            })
            .collect::<String>();
        let table = format!("| placeholder | kind | default | |\n|---|---|---|---|\n{rows}");
        let path = folder().join(name).join("latest/README.md");
        let page = fs::read_to_string(&path).unwrap();
        let (before, _) = page.split_once("\n| placeholder").unwrap();
        let wanted = format!("{before}\n{table}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, wanted).unwrap();
        } else {
            assert!(page == wanted, "{} is not what the templates say: UPDATE_DOCS=1", path.display());
        }
    }
}

/// The template that docs/modules.md begins with is one.
#[test]
fn the_example_of_the_page_fills() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/modules.md")).unwrap();
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("text\n"));
    let templates: Vec<&str> = blocks.filter(|block| block.starts_with("# @")).collect();
    let rendered = filled(templates[0], json!({"args": ["--save", ""], "annotations": {"a": "b"}})).unwrap();
    let object = rendered.objects().next().unwrap();
    let pod = entry(object).unwrap().pod_config().clone();
    assert_eq!((pod.image.as_str(), pod.args.unwrap().len(), pod.annotations.len()), ("redis:8", 3, 2));
    let limits =
        ["256 KiB, 1000 placeholders", "64 files, 200 objects", "| nesting | 40 |", "4 MiB", "1000 characters"];
    for limit in limits {
        assert!(page.contains(limit), "{limit}");
    }
}
