//! docs/first-job.md: every command of the page is typed as it stands there, and what comes is held against what it
//! shows. `UPDATE_DOCS=1` writes the page.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::stage::{Stage, eventually};

/// The root of the repository.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The page.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/first-job.md");

/// The images of the page, and what the test cluster calls them: it has no registry.
const IMAGES: [(&str, &str); 2] = [
    ("job-chief.test/job-chief:dev", concat!("registry.example.com/job-chief:", env!("CARGO_PKG_VERSION"))),
    ("job-chief.test/worker:dev", "registry.example.com/worker:1"),
];

/// The commands of the page that look at what happens by itself, in their order, and what whoever types them waits for:
/// nothing more happens then.
const LOOKS: [(&str, &[&str]); 6] = [
    (
        "kubectl job-chief --context prod status",
        &["mail mail 0 1 0 empty", "thumbnails thumbnails 0 1 0 empty", "one of 2"],
    ),
    ("kubectl get jobs", &["Complete 1/1"]),
    ("kubectl job-chief --context prod status thumbnails", &["0 of 1 live empty", "succeeded"]),
    ("kubectl job-chief --context prod why thumbnails", &["succeeded", "now no Job lives: empty"]),
    ("kubectl job-chief --context prod why mail", &["smtp", "now 1 starting"]),
    ("kubectl job-chief --context prod why mail", &["succeeded", "now no Job lives: empty"]),
];

/// Whoever reads the page: a folder with their files and programs, and what they see under other names than the page.
struct Reader {
    stage: Stage,
    names: Vec<(String, &'static str)>,
    looked: usize,
}

impl Reader {
    /// With the files of the page, on a stage of their own.
    async fn of(page: &str) -> Self {
        let stage = Stage::set("first-job").await;
        let reader = Self { names: names(&stage), stage, looked: 0 };
        for (name, text) in files(page) {
            fs::write(reader.path(&name), text).unwrap();
        }
        symlink(format!("{ROOT}/deploy"), reader.path("deploy")).unwrap();
        reader.programs();
        reader.kubeconfig();
        for (name, of_the_page) in IMAGES {
            reader.tag(name, of_the_page).await;
        }
        reader
    }

    fn path(&self, name: &str) -> PathBuf {
        self.stage.folder.path().join(name)
    }

    /// kubectl with its plugin, Helm, and pg-boss for Node.
    fn programs(&self) {
        let site = &self.stage.site.folder;
        fs::create_dir(self.path("bin")).unwrap();
        fs::create_dir(self.path("node_modules")).unwrap();
        let kubectl = format!("#!/bin/sh\nexec {} kubectl \"$@\"\n", site.join("bin/testenv").display());
        fs::write(self.path("bin/kubectl"), kubectl).unwrap();
        fs::set_permissions(self.path("bin/kubectl"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink(env!("CARGO_BIN_EXE_job-chief"), self.path("bin/kubectl-job_chief")).unwrap();
        let helm = std::env::var("JOB_CHIEF_TEST_HELM").expect("xtask says where Helm is");
        symlink(helm, self.path("bin/helm")).unwrap();
        symlink(site.join("npm/node_modules/pg-boss-12"), self.path("node_modules/pg-boss")).unwrap();
    }

    /// The context of the page, and its namespace.
    fn kubeconfig(&self) {
        let text = fs::read_to_string(self.stage.site.text("kubeconfig")).unwrap();
        let mut config: Value = serde_yaml_ng::from_str(&text).unwrap();
        config["contexts"][0]["name"] = json!("prod");
        config["contexts"][0]["context"]["namespace"] = json!(self.stage.name);
        config["current-context"] = json!("prod");
        fs::write(self.path("kubeconfig"), config.to_string()).unwrap();
    }

    /// Gives an image of the node another name, under which it need not be pulled.
    async fn tag(&self, image: &str, name: &str) {
        let mut ctr = Command::new("ctr");
        ctr.args(["--address", &format!("{}/containerd.sock", self.stage.site.text("sockets"))]);
        ctr.args(["--namespace", "k8s.io", "images", "tag", "--force", image, name]);
        let output = ctr.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Types a command, and returns what comes, under the names of the page.
    async fn types(&self, command: &str) -> String {
        let (done, came) = self.tries(command).await;
        assert!(done, "{command}\n{came}");
        came
    }

    /// The same, and whether it went well.
    async fn tries(&self, command: &str) -> (bool, String) {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("bash");
        shell.args(["-c", command]).current_dir(self.stage.folder.path()).env_clear().env("PATH", path);
        shell.env("HOME", self.stage.folder.path()).env("KUBECONFIG", self.path("kubeconfig")).env("USER", "ann");
        shell.env("DATABASE_URL", self.stage.site.database_url(&self.stage.database()));
        let output = shell.output().await.unwrap();
        let came = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let came = self.names.iter().fold(came, |text, (name, of_the_page)| text.replace(name, of_the_page));
        let lines = came.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>();
        (output.status.success(), lines.trim_matches('\n').to_owned())
    }

    /// The same, again and again where it looks at what happens by itself.
    async fn sees(&mut self, command: &str) -> String {
        let Some((_, wanted)) = LOOKS.get(self.looked).filter(|(look, _)| *look == command) else {
            return self.types(command).await;
        };
        self.looked += 1;
        eventually(&format!("{wanted:?} of {command}"), || async {
            let (done, came) = self.tries(command).await;
            let words = came.split_whitespace().collect::<Vec<_>>().join(" ");
            (done && wanted.iter().all(|wanted| words.contains(wanted))).then_some(came)
        })
        .await
    }
}

/// What the test cluster has under other names than the page.
fn names(stage: &Stage) -> Vec<(String, &'static str)> {
    let site = &stage.site;
    vec![
        (stage.database(), "work"),
        (stage.name.clone(), "media"),
        (site.text("postgresHost").to_owned(), "postgres.example.com"),
        (site.state["postgresPort"].to_string(), "5432"),
    ]
}

/// The files of the page: blocks whose first line is a comment with a name.
fn files(page: &str) -> Vec<(String, String)> {
    let blocks = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    let named = blocks.filter_map(|(_, text)| {
        let name = text.lines().next()?.trim_start_matches(['#', '/']).trim();
        name.contains('.').then(|| (name.to_owned(), format!("{text}\n")))
    });
    named.filter(|(name, _)| !name.contains(' ')).collect()
}

/// A command of a page with what is shown to come of it, or lines that are none.
pub(crate) enum Part {
    Text(String),
    Command { typed: String, shown: String },
}

/// A page in its parts: a command goes on in the next line after a backslash.
pub(crate) fn parts(page: &str) -> Vec<Part> {
    let mut parts = vec![Part::Text(String::new())];
    let mut is_console = false;
    for line in page.split_inclusive('\n') {
        match (parts.last_mut().unwrap(), is_console) {
            (_, true) if line.starts_with("$ ") => {
                parts.push(Part::Command { typed: line.to_owned(), shown: String::new() });
            }
            (Part::Command { typed, shown }, true) if !line.starts_with("```") => {
                let goes_on = shown.is_empty() && typed.ends_with("\\\n");
                if goes_on { typed } else { shown }.push_str(line);
            }
            (Part::Text(text), _) => {
                is_console = line == "```console\n";
                text.push_str(line);
            }
            _ => {
                is_console = false;
                parts.push(Part::Text(line.to_owned()));
            }
        }
    }
    parts
}

/// A text without what is of one run alone: times, ages, drawn names, and the widths of columns that follow from them.
pub(crate) fn normal(text: &str) -> String {
    let line = |line: &str| match line.split_once("LAST DEPLOYED:") {
        Some((before, _)) => before.to_owned() + "LAST DEPLOYED:",
        None => line.split_whitespace().map(normal_word).collect::<Vec<_>>().join(" "),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn normal_word(word: &str) -> String {
    let ends = |letter: char| !(letter.is_ascii_alphanumeric() || "-.:".contains(letter));
    let piece = |piece: &str| {
        let core = piece.trim_end_matches(ends);
        normal_core(core) + &piece[core.len()..]
    };
    word.split_inclusive(ends).map(piece).collect()
}

fn normal_core(core: &str) -> String {
    let all = |letters: &str| core.chars().all(|letter| letter.is_ascii_digit() || letters.contains(letter));
    let begins_with_digit = core.starts_with(|letter: char| letter.is_ascii_digit());
    if core.matches(':').count() == 2 && begins_with_digit || core.contains('-') && all("-") {
        return "TIME".into();
    }
    if begins_with_digit && all(".smhd") && !all(".") {
        return "AGE".into();
    }
    if core.len() == 36 && core.matches('-').count() == 4 {
        return "UUID".into();
    }
    core.split('-').map(|part| if is_drawn(part) { "DRAWN" } else { part }).collect::<Vec<_>>().join("-")
}

/// Names are drawn without vowels, so that they are no words, or in hexadecimal digits.
fn is_drawn(part: &str) -> bool {
    let all = |is: fn(char) -> bool| part.chars().all(is);
    part.len() >= 5
        && all(|letter| letter.is_ascii_digit() || letter.is_ascii_lowercase())
        && (all(|letter| !"aeiou".contains(letter)) || all(|letter| letter.is_ascii_hexdigit()))
}

#[tokio::test]
async fn what_the_page_shows_is_what_comes() {
    let page = fs::read_to_string(PAGE).unwrap();
    let mut reader = Reader::of(&page).await;
    let (mut made, updates) = (String::new(), std::env::var_os("UPDATE_DOCS").is_some());
    for part in parts(&page) {
        match part {
            Part::Text(text) => made.push_str(&text),
            Part::Command { typed, shown } => {
                let came = reader.sees(typed.trim_start_matches("$ ").trim_end()).await + "\n";
                // Of a page that is written anew, all is of one run.
                let stays = !updates && normal(&shown) == normal(&came);
                made.extend([&*typed, if stays { &shown } else { &came }]);
            }
        }
    }
    assert_eq!(reader.looked, LOOKS.len(), "the page looks at all that happens");
    if updates {
        return fs::write(PAGE, &made).unwrap();
    }
    let differs = page.lines().zip(made.lines()).find(|(is, should)| is != should);
    assert!(page == made, "docs/first-job.md is not what comes; UPDATE_DOCS=1 writes it: {differs:?}");
}

#[test]
fn only_what_is_of_one_run_is_made_equal() {
    for (one, other) in [
        ("job-chief-5c6f7-x2x7k 1/1 12s", "job-chief-9d8c7-b4b5b   1/1   2m3s"),
        ("17:04:05 job-chief-aaaaaa-mail-0123456789 succeeded", "09:00:01 job-chief-aaaaaa-mail-bcdfghjklm succeeded"),
        ("\"id\":\"0b9a8c7d-aaaa-bbbb-cccc-0123456789ab\"", "\"id\":\"1b9a8c7d-aaaa-4bbb-cccc-0123456789ab\""),
    ] {
        assert_eq!(normal(one), normal(other));
    }
    for (one, other) in [("ready 1", "ready 2"), ("1/1", "0/1"), ("mail-0bcdf failed", "mail-0bcdf succeeded")] {
        assert_ne!(normal(one), normal(other));
    }
}
