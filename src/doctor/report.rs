//! What was found: a line for each check, with a verdict and what to do.

use std::error::Error;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::{harmless::steers, tables::wrap::wrapped, telemetry::with_causes};

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// The settings.
    Settings,
    /// jobs.json.
    JobsJson,
    /// Postgres is reached, and can be written to.
    Postgres,
    /// The way to Postgres is encrypted, and to whom.
    Tls,
    /// A pooler stands between, and in which mode.
    Pooler,
    /// This machine's clock against Postgres's.
    PostgresClock,
    /// What the role may do.
    Grants,
    /// pg-boss's tables are there, and of which version.
    PgBoss,
    /// Each queue of jobs.json exists.
    Queues,
    /// Notifications arrive, and which queues send them.
    Listen,
    /// Our own schema is there, and of which version.
    Schema,
    /// Which processes there are, and which of them leads.
    Leader,
    /// The API server is reached, and of which version.
    ApiServer,
    /// This machine's clock against the API server's.
    ApiClock,
    /// What we may do with Jobs and Pods.
    Verbs,
    /// The API server would take each Job.
    Jobs,
    /// The API server would take a pod of each Job.
    Pods,
    /// Secrets and ConfigMaps that Jobs name.
    References,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but probably not as it is meant to.
    Warning,
    /// Something does not work.
    Failed,
    /// It was not looked at, and why stands in its place.
    Skipped,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    #[serde(rename = "check")]
    pub name: Name,
    /// How it stands.
    pub verdict: Verdict,
    /// What was seen.
    pub found: String,
    /// What to do, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
}

/// All lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In their order.
    pub checks: Vec<Check>,
}

/// Columns of the verdict.
const VERDICT_WIDTH: usize = 9;

/// Columns of verdict and name, under which what follows is indented.
const INDENT: usize = VERDICT_WIDTH + 16;

/// Names that are told of many, before the rest is only counted.
const NAMES_MAX: usize = 8;

/// A password that is shorter is not looked for: it would be found in the middle of words.
const PASSWORD_MIN: usize = 4;

impl Name {
    /// All of them, in their order.
    pub const ALL: [Self; 18] = [
        Self::Settings,
        Self::JobsJson,
        Self::Postgres,
        Self::Tls,
        Self::Pooler,
        Self::PostgresClock,
        Self::Grants,
        Self::PgBoss,
        Self::Queues,
        Self::Listen,
        Self::Schema,
        Self::Leader,
        Self::ApiServer,
        Self::ApiClock,
        Self::Verbs,
        Self::Jobs,
        Self::Pods,
        Self::References,
    ];

    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::JobsJson => "jobs.json",
            Self::Postgres => "Postgres",
            Self::Tls => "TLS",
            Self::Pooler => "pooler",
            Self::PostgresClock => "Postgres clock",
            Self::Grants => "grants",
            Self::PgBoss => "pg-boss",
            Self::Queues => "queues",
            Self::Listen => "LISTEN",
            Self::Schema => "schema",
            Self::Leader => "leader",
            Self::ApiServer => "API server",
            Self::ApiClock => "API clock",
            Self::Verbs => "verbs",
            Self::Jobs => "Jobs",
            Self::Pods => "pods",
            Self::References => "references",
        }
    }

    /// As it should be.
    pub fn ok(self, found: impl Into<String>) -> Check {
        self.check(Verdict::Ok, &found.into(), &[])
    }

    /// It works, but.
    pub fn warning(self, found: impl Into<String>, advice: &[&str]) -> Check {
        self.check(Verdict::Warning, &found.into(), advice)
    }

    /// It does not work.
    pub fn failed(self, found: impl Into<String>, advice: &[&str]) -> Check {
        self.check(Verdict::Failed, &found.into(), advice)
    }

    /// The question was not answered.
    pub fn unanswered(self, error: &dyn Error) -> Check {
        self.failed(with_causes(error), &["Try again."])
    }

    /// It was not looked at.
    pub fn skipped(self, why: impl Into<String>) -> Check {
        self.check(Verdict::Skipped, &why.into(), &[])
    }

    fn check(self, verdict: Verdict, found: &str, advice: &[&str]) -> Check {
        let advice = advice.iter().map(|line| plain(line)).collect();
        Check { name: self, verdict, found: plain(found), advice }
    }
}

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Ok => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Failed => AnsiColor::Red.on_default(),
            Self::Skipped => Style::new(),
        }
    }
}

impl Check {
    /// With what can be done although it is as it should be.
    #[must_use]
    pub fn advising_if(mut self, condition: bool, advice: &str) -> Self {
        self.advice.extend(condition.then(|| plain(advice)));
        self
    }

    fn shown(&self, width: usize, advises: bool) -> String {
        let (verdict, style, name_width) = (self.verdict.as_str(), self.verdict.style(), INDENT - VERDICT_WIDTH);
        let name = self.name.as_str();
        let found = wrapped(&self.found, INDENT, width);
        let advice = self
            .advice
            .iter()
            .filter(|_| advises)
            .map(|line| format!("{:INDENT$}→ {}\n", "", wrapped(line, INDENT + 2, width)));
        let advice: String = advice.collect();
        format!("{style}{verdict:VERDICT_WIDTH$}{style:#}{name:name_width$}{found}\n{advice}")
    }
}

impl Report {
    /// Whether something does not work.
    pub fn has_failed(&self) -> bool {
        self.count(Verdict::Failed) > 0
    }

    /// The same without a password that the answer of a server may have repeated. One that is also one of the `words`
    /// that the lines are made of is none.
    #[must_use]
    pub fn without(mut self, password: &str, words: &[&str]) -> Self {
        if password.chars().count() >= PASSWORD_MIN && !words.contains(&password) {
            let texts = self.checks.iter_mut().flat_map(|check| check.advice.iter_mut().chain([&mut check.found]));
            texts.for_each(|text| *text = text.replace(password, "[the password]"));
        }
        self
    }

    /// A line for each check, what to do below it, and the sum, in so many columns; with colours.
    pub fn shown(&self, width: usize) -> String {
        // What is to be done about several lines of a check is said once, below them.
        let nexts = self.checks.iter().skip(1).map(Some).chain([None]);
        let line = |(check, next): (&Check, Option<&Check>)| {
            let goes_on = next.is_some_and(|next| (next.name, &next.advice) == (check.name, &check.advice));
            check.shown(width, !goes_on)
        };
        let checks: String = self.checks.iter().zip(nexts).map(line).collect();
        let all = [Verdict::Ok, Verdict::Warning, Verdict::Failed, Verdict::Skipped];
        let counts = all.map(|verdict| (self.count(verdict), verdict.as_str()));
        let told: Vec<_> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(n, word)| format!("{n} {word}")).collect();
        format!("{checks}\n{}", told.join(", "))
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }
}

/// Text in one line and without control characters, whoever wrote it.
fn plain(text: &str) -> String {
    let visible: String = text.chars().map(|c| if steers(c) { ' ' } else { c }).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Lines for what was not looked at.
pub fn skipped(names: &[Name], why: &str) -> Vec<Check> {
    names.iter().map(|name| name.skipped(why)).collect()
}

/// The first of many names, and how many more there are.
pub fn some_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let told = names.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_text(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_line_fits_the_terminal_and_what_follows_is_indented() {
        let long = format!("{} {}", "word ".repeat(40), "x".repeat(200));
        let report = Report {
            checks: vec![
                Name::Postgres.ok("16.2 at db:5432"),
                Name::Schema.failed(long, &["run job-chief migrate", &"more ".repeat(30)]),
                Name::Leader.skipped("Postgres was not reached"),
            ],
        };
        for width in [60, 80, 100] {
            let told = plain_text(&report.shown(width));
            assert!(told.lines().all(|line| line.chars().count() <= width), "{told}");
        }
        let told = plain_text(&report.shown(80));
        assert!(
            told.starts_with("ok       Postgres        16.2 at db:5432\nfailed   schema          word word"),
            "{told}"
        );
        assert!(told.contains("\n                         → run job-chief migrate\n"), "{told}");
        assert!(
            told.ends_with("\nskipped  leader          Postgres was not reached\n\n1 ok, 1 failed, 1 skipped"),
            "{told}"
        );
        assert!(report.has_failed());
    }

    #[test]
    fn the_same_advice_to_lines_of_one_check_is_given_once() {
        let checks = ["a", "b"].map(|found| Name::JobsJson.failed(found, &["mend it"]));
        let told = plain_text(&Report { checks: checks.to_vec() }.shown(80));
        let wanted = "failed   jobs.json       a\nfailed   jobs.json       b\n                         → mend it\n";
        assert!(told.starts_with(wanted), "{told}");
    }

    #[test]
    fn verdicts_have_colours() {
        let told =
            Report { checks: vec![Name::Tls.failed("in the clear", &[]), Name::Leader.skipped("why")] }.shown(80);
        assert!(told.contains("\u{1b}[31mfailed   \u{1b}[0mTLS ") && told.contains("\nskipped  leader"), "{told:?}");
    }

    #[test]
    fn warnings_and_what_was_skipped_are_no_failure() {
        let checks = vec![Name::Tls.warning("in the clear", &["use TLS"]), Name::Leader.skipped("why")];
        assert!(!Report { checks }.has_failed());
    }

    #[test]
    fn what_others_wrote_stays_in_its_line() {
        assert_eq!(Name::Jobs.failed("a\u{1b}[31m\nb\r\n c", &["d\te"]).found, "a [31m b c");
        assert_eq!(Name::Jobs.failed("x", &["d\te"]).advice, ["d e"]);
    }

    #[test]
    fn a_password_is_told_by_nobody() {
        let report = || Report { checks: vec![Name::Jobs.failed("env hunter22 is wrong", &["not hunter22"])] };
        let told = serde_json::to_string(&report().without("hunter22", &["postgres"])).expect("JSON");
        assert!(!told.contains("hunter22") && told.contains("[the password]"), "{told}");
        assert_eq!(report().without("env", &[]), report(), "too short to be told from a word");
        assert_eq!(report().without("wrong", &["wrong"]), report(), "a word that is no secret");
    }

    #[test]
    fn of_many_names_the_rest_is_counted() {
        assert_eq!(some_of(["a", "b"]), "a, b");
        assert_eq!(some_of(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]), "a, b, c, d, e, f, g, h and 2 more");
    }

    #[test]
    fn for_programs_it_has_the_same_words() {
        let report = Report { checks: vec![Name::PgBoss.warning("x", &["y"]), Name::ApiServer.ok("z")] };
        let told = serde_json::to_value(&report).expect("JSON");
        assert_eq!(
            told,
            serde_json::json!({"checks": [
                {"check": "pg-boss", "verdict": "warning", "found": "x", "advice": ["y"]},
                {"check": "API server", "verdict": "ok", "found": "z"},
            ]})
        );
    }

    #[test]
    fn the_page_says_of_each_check_what_to_do_and_shows_them_as_they_are_printed() {
        let page = include_str!("../../docs/doctor.md");
        let (before, rest) = page.split_once("\n```text\n").expect("a sample");
        let (sample, after) = rest.split_once("\n```\n").expect("its end");
        assert!(before.contains("job-chief doctor"));
        let headings: Vec<&str> = after.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        assert_eq!(headings, Name::ALL.map(Name::as_str));
        let (lines, _) = sample.split_once("\n\n").expect("the sum stands apart");
        let starts = lines.lines().filter(|line| !line.starts_with(' '));
        let mut shown: Vec<&str> = starts.map(|line| line[VERDICT_WIDTH..INDENT].trim()).collect();
        shown.dedup();
        assert_eq!(shown, Name::ALL.map(Name::as_str));
        assert!(sample.lines().all(|line| line.chars().count() <= 100));
    }
}
