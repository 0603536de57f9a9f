//! Whether and where traces are sent, as OpenTelemetry's own variables say it; they are read from the environment only.
//!
//! Headers are not among what is kept here: the exporter reads them itself, and they may hold a token.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::config::problems::{Place, Problem, Problems};

/// The prefix of what is said of any kind of signal.
const ANY: &str = "OTEL_EXPORTER_OTLP_";

/// The prefix of what is said of traces, which wins.
const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_";

/// What may stand behind either prefix.
const EXPORTER: [&str; 6] = ["ENDPOINT", "PROTOCOL", "TIMEOUT", "HEADERS", "COMPRESSION", "CERTIFICATE"];

/// All others that are read.
const OTHERS: [&str; 6] = [
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
];

/// The one protocol that is spoken.
const PROTOCOL: &str = "http/protobuf";

/// The path of traces below the endpoint of all signals.
const PATH: &str = "/v1/traces";

/// How long a collector may take, as OpenTelemetry has it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where traces are sent, and how many.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// The whole URL.
    pub endpoint: String,
    /// How long a request may take, with all that is tried again.
    pub timeout: Duration,
    /// The share of runs that are traced, 0 to 1.
    pub ratio: f64,
    /// A file of authorities that are trusted beside the system's.
    pub certificate: Option<PathBuf>,
    /// What this program is called, if not job-chief.
    pub service_name: Option<String>,
}

/// Whether a variable is one of OpenTelemetry's that is read.
pub fn is_variable(name: &str) -> bool {
    let behind = |prefix| name.strip_prefix(prefix).is_some_and(|key| EXPORTER.contains(&key));
    OTHERS.contains(&name) || behind(ANY) || behind(TRACES)
}

/// What the environment says of traces; `None` where none are wanted.
///
/// # Errors
/// Everything that is wrong, each with its variable.
pub fn read(environment: &BTreeMap<String, String>) -> Result<Option<TraceSettings>, Problems> {
    let reader = Reader(environment);
    let Some(given) = reader.endpoint().filter(|_| !reader.is_off()) else { return Ok(None) };
    reader.settings(given).map(Some).map_err(Problems)
}

/// A variable with what it says.
type Said<'a> = (String, &'a str);

struct Reader<'a>(&'a BTreeMap<String, String>);

impl Reader<'_> {
    /// A variable that says anything: an empty one is as good as none.
    fn get(&self, name: String) -> Option<Said<'_>> {
        let value = self.0.get(&name)?.trim();
        (!value.is_empty()).then_some((name, value))
    }

    /// What is said of traces, else of all signals.
    fn exporter(&self, key: &str) -> Option<Said<'_>> {
        self.get(format!("{TRACES}{key}")).or_else(|| self.get(format!("{ANY}{key}")))
    }

    fn is_off(&self) -> bool {
        let is = |name: &str, word: &str| self.get(name.into()).is_some_and(|(_, it)| it.eq_ignore_ascii_case(word));
        is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none")
    }

    /// The URL that was given, and what it becomes.
    fn endpoint(&self) -> Option<(Said<'_>, String)> {
        let whole = self.get(format!("{TRACES}ENDPOINT")).map(|said| (said.clone(), said.1.to_owned()));
        let base = || self.get(format!("{ANY}ENDPOINT"));
        whole.or_else(|| base().map(|said| (said.clone(), format!("{}{PATH}", said.1.trim_end_matches('/')))))
    }

    fn settings(&self, ((variable, _), endpoint): (Said<'_>, String)) -> Result<TraceSettings, Vec<Problem>> {
        let mut problems: Vec<Problem> =
            [self.exporter_problem(), self.protocol_problem()].into_iter().flatten().collect();
        if !is_endpoint(&endpoint) {
            // Not shown: it may hold a password.
            problems.push(problem(&variable, "is no URL such as http://collector:4318 or https://HOST:PORT".into()));
        }
        let timeout = self.timeout().map_err(|found| problems.push(found));
        let ratio = self.ratio().map_err(|found| problems.push(found));
        match (timeout, ratio) {
            (Ok(timeout), Ok(ratio)) if problems.is_empty() => {
                let certificate = self.exporter("CERTIFICATE").map(|(_, path)| path.into());
                let service_name = self.get("OTEL_SERVICE_NAME".into()).map(|(_, name)| name.to_owned());
                Ok(TraceSettings { endpoint, timeout, ratio, certificate, service_name })
            }
            _ => Err(problems),
        }
    }

    fn exporter_problem(&self) -> Option<Problem> {
        let (name, value) = self.get("OTEL_TRACES_EXPORTER".into()).filter(|(_, value)| *value != "otlp")?;
        Some(problem(&name, format!("is \"{value}\": allowed are otlp and none")))
    }

    fn protocol_problem(&self) -> Option<Problem> {
        let (name, value) = self.exporter("PROTOCOL").filter(|(_, value)| *value != PROTOCOL)?;
        let text = format!("is \"{value}\": {PROTOCOL} is what is spoken, which collectors take at port 4318");
        Some(problem(&name, text))
    }

    fn timeout(&self) -> Result<Duration, Problem> {
        let Some((name, value)) = self.exporter("TIMEOUT") else { return Ok(TIMEOUT) };
        let millis = value.parse().ok().filter(|millis| *millis > 0);
        let wrong = || problem(&name, format!("is \"{value}\": allowed are milliseconds, 1 or more"));
        millis.map(Duration::from_millis).ok_or_else(wrong)
    }

    /// Runs have no parent, so what a sampler says of those with one does not matter.
    fn ratio(&self) -> Result<f64, Problem> {
        let Some((name, value)) = self.get("OTEL_TRACES_SAMPLER".into()) else { return Ok(1.0) };
        match value.strip_prefix("parentbased_").unwrap_or(value) {
            "always_on" => Ok(1.0),
            "always_off" => Ok(0.0),
            "traceidratio" => self.ratio_argument(),
            _ => {
                let allowed = "always_on, always_off, traceidratio, and each of them behind parentbased_";
                Err(problem(&name, format!("is \"{value}\": allowed are {allowed}")))
            }
        }
    }

    fn ratio_argument(&self) -> Result<f64, Problem> {
        let Some((name, value)) = self.get("OTEL_TRACES_SAMPLER_ARG".into()) else { return Ok(1.0) };
        let ratio = value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.ok_or_else(|| problem(&name, format!("is \"{value}\": allowed is a number from 0 to 1")))
    }
}

fn is_endpoint(endpoint: &str) -> bool {
    let url = endpoint.parse::<url::Url>();
    url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn problem(variable: &str, text: String) -> Problem {
    let source = format!("environment {variable}");
    Problem { place: Place::Source { source }, path: String::new(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    fn of(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, String> {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        read(&environment).map_err(|problems| problems.to_string())
    }

    fn endpoint(variables: &[(&str, &str)]) -> Option<String> {
        of(variables).expect("nothing is wrong").map(|settings| settings.endpoint)
    }

    #[test]
    fn traces_are_wanted_where_an_endpoint_says_so_and_nothing_turns_them_off() {
        assert_eq!(endpoint(&[ENDPOINT]).as_deref(), Some("http://collector:4318/v1/traces"));
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/x");
        assert_eq!(endpoint(&[ENDPOINT, own]).as_deref(), Some("https://t/x"), "that of traces is taken as it is");
        for off in [
            vec![],
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            vec![ENDPOINT, ("OTEL_SDK_DISABLED", "True")],
            vec![ENDPOINT, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            vec![("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
        ] {
            assert_eq!(of(&off), Ok(None), "{off:?}");
        }
    }

    #[test]
    fn the_standard_variables_are_read_and_what_is_said_of_traces_wins() {
        let given = of(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_SERVICE_NAME", "chief"),
        ]);
        let settings = TraceSettings {
            endpoint: "http://collector:4318/v1/traces".into(),
            timeout: Duration::from_millis(2500),
            ratio: 0.25,
            certificate: Some("/ca.pem".into()),
            service_name: Some("chief".into()),
        };
        assert_eq!(given, Ok(Some(settings)));
        for (sampler, ratio) in [("always_off", 0.0), ("parentbased_always_on", 1.0), ("traceidratio", 1.0)] {
            let settings = of(&[ENDPOINT, ("OTEL_TRACES_SAMPLER", sampler)]);
            assert_eq!(settings.map(|it| it.map(|it| it.ratio)), Ok(Some(ratio)), "{sampler}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_and_no_url_is_shown() {
        let told = of(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://canary@collector"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ]);
        insta::assert_snapshot!(told.expect_err("all of it is wrong"), @r#"
        5 problems:
          environment OTEL_TRACES_EXPORTER: is "console": allowed are otlp and none
          environment OTEL_EXPORTER_OTLP_PROTOCOL: is "grpc": http/protobuf is what is spoken, which collectors take at port 4318
          environment OTEL_EXPORTER_OTLP_ENDPOINT: is no URL such as http://collector:4318 or https://HOST:PORT
          environment OTEL_EXPORTER_OTLP_TIMEOUT: is "0": allowed are milliseconds, 1 or more
          environment OTEL_TRACES_SAMPLER_ARG: is "2": allowed is a number from 0 to 1
        "#);
        let sampler = of(&[ENDPOINT, ("OTEL_TRACES_SAMPLER", "jaeger_remote")]).expect_err("unknown");
        assert!(sampler.contains("OTEL_TRACES_SAMPLER: is \"jaeger_remote\": allowed are always_on"), "{sampler}");
    }

    #[test]
    fn a_variable_is_known_by_its_whole_name() {
        for known in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_SERVICE_NAME"] {
            assert!(is_variable(known), "{known}");
        }
        for other in ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_LOGS_EXPORTER", "ENDPOINT"] {
            assert!(!is_variable(other), "{other}");
        }
    }
}
