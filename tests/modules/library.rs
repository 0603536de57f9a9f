//! Modules on disk.

use std::{fs, os::unix::fs::symlink, path::Path};

use job_chief::modules::library::{Library, Reference};
use tempfile::TempDir;

const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n";

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for version in ["latest", "1.0"] {
        put(folder.path(), &format!("redis/{version}/redis.yaml"), TEMPLATE);
    }
    put(folder.path(), "worker/2/worker.yml", TEMPLATE);
    folder
}

fn library(folder: &TempDir) -> Library {
    Library::new(Some(folder.path().to_owned()))
}

fn refused(folder: &TempDir, module: &str, version: Option<&str>) -> String {
    let error = library(folder).open(module, version).unwrap_err();
    let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}").replace(&folder.path().canonicalize().unwrap().display().to_string(), "FOLDER")
}

#[test]
fn what_is_there_is_listed_in_order_and_read() {
    let folder = folder();
    put(folder.path(), "Not_A_Name/latest/a.yaml", TEMPLATE);
    put(folder.path(), "notes.txt", "");
    put(folder.path(), "redis/latest/README.md", "$g{");
    put(folder.path(), "redis/latest/extras/cluster.yaml", "kind: $g{");
    put(folder.path(), "redis/latest/dependencies/z.yaml", &TEMPLATE.replace("name: a", "name: z"));
    put(folder.path(), "redis/latest/dependencies/b.yml", &TEMPLATE.replace("name: a", "name: b"));
    let listed: Vec<_> =
        library(&folder).list().unwrap().into_iter().map(|it| (it.name, it.versions.join(" "))).collect();
    assert_eq!(listed, [("redis".to_owned(), "1.0 latest".to_owned()), ("worker".to_owned(), "2".to_owned())]);
    let module = library(&folder).open("redis", None).unwrap();
    assert_eq!((module.name(), module.version()), ("redis", "latest"));
    let rendered = module.fill(&serde_json::Map::new(), "media").unwrap();
    let files: Vec<&str> = rendered.dependencies.iter().chain(&rendered.modules).map(|it| it.file.as_str()).collect();
    assert_eq!(files, ["dependencies/b.yml", "dependencies/z.yaml", "redis.yaml"]);
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let folder = folder();
    assert_eq!(
        refused(&folder, "reddis", None),
        "there is no module \"reddis\" (did you mean \"redis\"?): there is redis, worker"
    );
    assert_eq!(refused(&folder, "worker", None), "the module \"worker\" has no version \"latest\": there is 2");
    assert_eq!(
        refused(&folder, "redis", Some("1.00")),
        "the module \"redis\" has no version \"1.00\" (did you mean \"1.0\"?): there is 1.0, latest"
    );
    for name in ["..", ".", "a/b", "../x", "A", "", "-a", ".hidden", &"a".repeat(101)] {
        assert!(refused(&folder, name, None).contains("is no name"), "{name}");
        assert!(refused(&folder, "redis", Some(name)).contains("is no name"), "{name}");
    }
    let none = Library::new(None).list().unwrap_err();
    assert_eq!(none.to_string(), "there are no modules: app.modulesPath (MODULES_PATH) names no folder");
    assert!(Library::new(Some("/nowhere".into())).list().unwrap_err().to_string().contains("/nowhere can't be read"));
}

#[test]
fn names_with_versions_are_read() {
    let read = |text: &str| text.parse::<Reference>().map(|it| it.to_string()).map_err(|error| error.to_string());
    assert_eq!(read("redis").unwrap(), "redis@latest");
    assert_eq!(read("redis@7.2").unwrap(), "redis@7.2");
    for bad in ["redis@", "@1", "a@b@c", "../a@1"] {
        read(bad).unwrap_err();
    }
}

#[test]
fn links_inside_the_folder_work_and_others_do_not() {
    let folder = folder();
    // As a ConfigMap is mounted.
    put(folder.path(), "mounted/latest/..2026/a.yaml", TEMPLATE);
    let mounted = folder.path().join("mounted/latest");
    symlink("..2026", mounted.join("..data")).unwrap();
    symlink("..data/a.yaml", mounted.join("a.yaml")).unwrap();
    assert_eq!(library(&folder).open("mounted", None).unwrap().placeholders().len(), 0);

    let elsewhere = TempDir::new().unwrap();
    put(elsewhere.path(), "secret.yaml", TEMPLATE);
    symlink(elsewhere.path().join("secret.yaml"), folder.path().join("redis/latest/s.yaml")).unwrap();
    assert_eq!(
        refused(&folder, "redis", None),
        "FOLDER/redis/latest/s.yaml leads out of the folder of modules: put the file itself there"
    );
    symlink(elsewhere.path(), folder.path().join("worker/latest")).unwrap();
    assert!(refused(&folder, "worker", None).contains("leads out"));
    symlink(elsewhere.path().parent().unwrap(), folder.path().join("all")).unwrap();
    assert_eq!(
        refused(&folder, "all", None),
        "FOLDER/all leads out of the folder of modules: put the file itself there"
    );
    assert!(library(&folder).list().unwrap().iter().all(|it| it.name != "all"), "nobody is told what is elsewhere");
    symlink("nowhere", folder.path().join("redis/1.0/gone.yaml")).unwrap();
    assert!(refused(&folder, "redis", Some("1.0")).contains("gone.yaml can't be read"));
}

#[test]
fn what_does_not_belong_there_is_refused() {
    let folder = folder();
    put(folder.path(), "redis/latest/more/a.yaml", TEMPLATE);
    assert!(refused(&folder, "redis", None).contains("redis/latest/more: an unknown folder: allowed are dependencies"));
    fs::write(folder.path().join("worker/2/bytes.yaml"), [0xff, 0xfe]).unwrap();
    assert!(refused(&folder, "worker", Some("2")).contains("it is no text"));
    put(folder.path(), "big/latest/a.yaml", &" ".repeat((256 << 10) + 1));
    assert!(refused(&folder, "big", None).contains("more than 262144 bytes"));
    for number in 0..65 {
        put(folder.path(), &format!("many/latest/{number}.yaml"), TEMPLATE);
    }
    assert!(refused(&folder, "many", None).contains("more than 64 templates"));
    for number in 10..75 {
        put(folder.path(), &format!("deep/latest/dependencies/{number}.yaml"), TEMPLATE);
    }
    put(folder.path(), "deep/latest/dependencies/big.yaml", &" ".repeat((256 << 10) + 1));
    assert!(refused(&folder, "deep", None).contains("more than 64 templates"), "nor is more of them read");
    for number in 0..9 {
        put(folder.path(), &format!("long/latest/{number}.yaml"), &" ".repeat(256 << 10));
    }
    assert!(refused(&folder, "long", None).contains("more than 2097152 bytes"));
    put(folder.path(), "none/latest/README.md", "");
    assert!(refused(&folder, "none", None).contains("it has no files"));
    put(folder.path(), "bad/latest/a.yaml", "a: $g{");
    assert!(refused(&folder, "bad", None).starts_with("the module bad@latest is wrong: 1 problem:\n  a.yaml:1:4: "));
}
