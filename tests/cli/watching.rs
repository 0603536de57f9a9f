//! `--watch` into a pipe: what has changed, and a service that goes and comes again.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    answers::{chief, mail},
    chief::{Chief, PATIENCE},
    command, job_chief,
};

/// What a watch says, line by line, and which stream it says it on.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn begin(words: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = command(&folder, words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let errors = sender.clone();
        std::thread::spawn(move || BufReader::new(out).lines().try_for_each(|line| sender.send(line.unwrap())));
        std::thread::spawn(move || BufReader::new(err).lines().try_for_each(|line| errors.send(line.unwrap())));
        Self { child, lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("it says something")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn only_what_changes_is_told_and_a_restart_is_outlived() {
    let mut first = chief();
    let watch = Watch::begin(&["status", "--watch", "--interval", "1s", "--url", &first.url()]);
    assert!(watch.next().starts_with("JOBCONFIG"));
    assert!(watch.next().starts_with("mail "));
    assert_eq!([watch.next(), watch.next()], ["", "led by a, alone"].map(str::to_owned));

    first.answer("GET /jobs", json!([mail(true)]));
    assert!(watch.next().ends_with("paused"));

    let (address, answers) = (first.address, first.answers.clone());
    first.end();
    let told = watch.next();
    assert!(told.contains("does not answer") && told.ends_with("asking again"), "{told}");
    let second = Chief::at(address, answers);
    second.answer("GET /jobs", json!([mail(false)]));
    // They come by two streams, of which either may be read first.
    let mut both = [watch.next(), watch.next()];
    both.sort_by_key(|line| line.ends_with("full"));
    assert!(both[0] == "warning: job-chief answers again" && both[1].ends_with("full"), "{both:?}");
}

#[test]
fn programs_get_a_whole_value_for_each_change() {
    let chief = chief();
    let words = ["service", "status", "-w", "--interval", "1s", "--output", "json", "--url", &chief.url()];
    let watch = Watch::begin(&words);
    let value = || -> Value {
        let mut text = String::new();
        loop {
            text.push_str(&watch.next());
            if let Ok(value) = serde_json::from_str(&text) {
                return value;
            }
        }
    };
    assert_eq!(value()[0]["state"], "FAILED");
    chief.answer("GET /services", json!([{"name": "redis", "state": "RUNNING"}]));
    assert_eq!(value()[0]["state"], "RUNNING");
}

#[test]
fn a_first_look_in_vain_and_a_wrong_interval_end_it() {
    let told = job_chief(&["status", "--watch", "--url", "http://127.0.0.1:1"]);
    assert_eq!((told.code, told.err.contains("does not answer")), (1, true), "{}", told.err);
    let told = job_chief(&["status", "--watch", "--interval", "100ms"]);
    assert_eq!((told.code, told.err.contains("at least 1s")), (2, true), "{}", told.err);
    let told = job_chief(&["status", "--interval", "5s"]);
    assert_eq!((told.code, told.err.contains("--watch")), (2, true), "{}", told.err);
}
