//! docs/modules.md: every command of its consoles is typed as it stands there, and the lines that are shown come of it.

use std::fs;

use serde_json::json;
use tokio::process::Command;

use crate::{
    deployments::{other, serves},
    first_job::{Part, normal, parts},
    stage::Stage,
};

/// The root of the repository.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The shipped redis with a stand-in for Redis: the test cluster has no registry.
fn redis() -> String {
    let template = fs::read_to_string(format!("{ROOT}/config/modules/redis/latest/redis.yaml")).unwrap();
    let script = serves("mkdir -p /tmp/www", "/tmp/www", 6379);
    let command = format!("command: $a{{command:{}}}", json!(["/bin/sh", "-c", script]));
    let others = [
        ("\"redis:8\"", "\"job-chief.test/busybox:dev\""),
        ("\"IfNotPresent\"", "\"Never\""),
        ("command: $a{command:[]}", &command),
    ];
    others.iter().fold(template, |template, (own, other)| {
        assert!(template.contains(own), "the template has {own}");
        template.replace(own, other)
    })
}

/// What comes of a command, typed by somebody who has said where job-chief is.
async fn types(stage: &Stage, command: &str) -> String {
    let folder = stage.folder.path();
    let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-c", command]).current_dir(folder).env_clear().env("PATH", path).env("HOME", folder);
    shell.env("JOB_CHIEF_URL", format!("http://127.0.0.1:{}", stage.port));
    shell.env("JOB_CHIEF_TOKEN", "canary-token").env("USER", "ann");
    let output = shell.output().await.unwrap();
    let came = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{command}\n{came}\n{}", stage.log());
    came
}

#[tokio::test]
async fn what_the_page_of_modules_shows_comes() {
    let page = fs::read_to_string(format!("{ROOT}/docs/modules.md")).unwrap();
    let stage = Stage::set("modules-page").await.with_token();
    let modules = stage.folder.path().join("modules");
    fs::create_dir_all(modules.join("redis/latest")).unwrap();
    fs::write(modules.join("redis/latest/redis.yaml"), redis()).unwrap();
    let mut stage = stage.with("MODULES_PATH", modules.to_str().unwrap());
    fs::create_dir(stage.folder.path().join("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_job-chief"), stage.folder.path().join("bin/job-chief")).unwrap();
    stage.run(other()).await;
    let mut all = vec![];
    for part in parts(&page) {
        let Part::Command { typed, shown } = part else { continue };
        let command = typed.trim_start_matches("$ ").trim_end();
        let came = types(&stage, command).await;
        // Other lines may come between: how often it is looked meanwhile is of one run.
        let of_no_run = normal(&came);
        let mut lines = of_no_run.lines();
        for line in normal(&shown).lines() {
            assert!(lines.any(|came| came == line), "{command} does not print {line:?}, but\n{came}");
        }
        all.push(command.split(' ').nth(1).unwrap().to_owned());
    }
    assert_eq!(all, ["deploy", "deploy", "deployments", "undeploy"], "the page is read");
}
