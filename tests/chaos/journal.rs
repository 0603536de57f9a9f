//! What the harness itself saw and did: told to the judge, and written down line by line beside the logs of the replicas.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use hyper::Method;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    judge::{JUDGED_AFTER, Judge, Violation},
    seen::Seen,
};

/// What of the logs is kept: so long before a violation, and after it.
const KEPT: [SignedDuration; 2] = [SignedDuration::from_secs(90), SignedDuration::from_secs(30)];

/// The judge, with the file.
pub(crate) struct Journal {
    begun: Timestamp,
    pub(crate) path: PathBuf,
    file: Mutex<File>,
    judge: Mutex<Judge>,
    violations: watch::Sender<Vec<Violation>>,
}

impl Journal {
    pub(crate) fn begin(folder: &Path) -> Self {
        let path = folder.join("witness.jsonl");
        let file = Mutex::new(File::create(&path).unwrap());
        let (judge, violations) = (Mutex::new(Judge::default()), watch::Sender::new(vec![]));
        Self { begun: Timestamp::now(), path, file, judge, violations }
    }

    /// Since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.since(Timestamp::now())
    }

    /// A time of a clock of this machine, since the beginning.
    pub(crate) fn since(&self, time: Timestamp) -> Duration {
        Duration::try_from(time.duration_since(self.begun)).unwrap_or_default()
    }

    /// Writes a line.
    pub(crate) fn write(&self, what: &str, told: &Value) {
        let line = json!({"timestamp": format!("{:.6}", Timestamp::now()), "seen": what, "told": told});
        writeln!(self.file.lock().unwrap(), "{line}").unwrap();
    }

    /// Tells the judge, and writes it down.
    pub(crate) fn note(&self, seen: Seen) {
        self.write("seen", &json!(format!("{seen:?}")));
        let mut judge = self.judge.lock().unwrap();
        self.found(judge.note(self.now(), seen));
    }

    /// A replica's request that changes something, before it is passed on.
    pub(crate) fn asked(&self, method: &Method, path: &str) {
        // Said before, as the Job may be gone before the answer is there.
        deletes(method, path).into_iter().for_each(|job| self.note(Seen::DeleteAsked(job)));
    }

    /// The same request with its answer; 0 is none.
    pub(crate) fn answered(&self, method: &Method, path: &str, code: u16, told: &Value) {
        self.write("request", told);
        if code >= 400 {
            deletes(method, path).into_iter().for_each(|job| self.note(Seen::DeleteRefused(job)));
        }
    }

    /// Judges what has been over for a while.
    pub(crate) fn settle(&self) {
        let found = self.judge.lock().unwrap().settle(self.now(), JUDGED_AFTER);
        self.found(found);
    }

    /// Judges all that is left.
    pub(crate) fn close(&self) {
        let found = self.judge.lock().unwrap().close(self.now());
        self.found(found);
    }

    /// What does not hold, told by the harness itself.
    pub(crate) fn violated(&self, what: String) {
        self.found(vec![Violation { at: self.now(), what }]);
    }

    fn found(&self, found: Vec<Violation>) {
        if found.is_empty() {
            return;
        }
        for violation in &found {
            self.write("violation", &json!(violation.what));
            eprintln!("  violation at {:.1} s: {}", violation.at.as_secs_f64(), violation.what);
        }
        self.violations.send_modify(|all| all.extend(found));
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.violations.borrow().clone()
    }

    /// Asks the judge something.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Judge) -> T) -> T {
        question(&self.judge.lock().unwrap())
    }

    /// Joins the logs with what was written here, of the time around a moment, into a file.
    pub(crate) fn join(&self, logs: &[(String, PathBuf)], at: Duration) -> PathBuf {
        let at = self.begun + SignedDuration::try_from(at).unwrap();
        let (from, to) = (format!("{:.6}", at - KEPT[0]), format!("{:.6}", at + KEPT[1]));
        let own = ("witness".to_owned(), self.path.clone());
        let all = logs.iter().chain([&own]).flat_map(|(name, path)| {
            let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
            text.lines().map(|line| (time_of(line), format!("{name} {line}"))).collect::<Vec<_>>()
        });
        let mut kept: Vec<(String, String)> = all.filter(|(time, _)| *time >= from && *time <= to).collect();
        kept.sort_by(|one, other| one.0.cmp(&other.0));
        let path = self.path.with_file_name("joined.log");
        let lines: Vec<String> = kept.into_iter().map(|(_, line)| line).collect();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        path
    }
}

/// The Job that a request deletes, if it does.
fn deletes(method: &Method, path: &str) -> Option<String> {
    let (rest, name) = path.rsplit_once('/')?;
    (method == Method::DELETE && rest.ends_with("/jobs")).then(|| name.to_owned())
}

/// The time that a line of a log begins with.
fn time_of(line: &str) -> String {
    let told: Value = serde_json::from_str(line).unwrap_or_default();
    told["timestamp"].as_str().unwrap_or_default().to_owned()
}
