//! Gauges in Prometheus' text format, written one after another: as values of the `prometheus` crate those of ten thousand
//! queues would take some ten megabytes more while they are read.

/// A family of gauges: its name without the prefix of the service, and its help text.
pub(super) struct Family {
    name: &'static str,
    help: &'static str,
}

impl Family {
    /// A family of this name.
    pub(super) const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help }
    }
}

/// Writes a family of gauges, each with its labels and its value; nothing where there is none.
pub(super) fn write_gauges<'a, const N: usize>(
    page: &mut String,
    Family { name, help }: &Family,
    series: impl Iterator<Item = ([(&'static str, &'a str); N], f64)>,
) {
    let mut series = series.peekable();
    if series.peek().is_none() {
        return;
    }
    *page += &format!("# HELP job_chief_{name} {help}\n# TYPE job_chief_{name} gauge\n");
    for (labels, value) in series {
        *page += "job_chief_";
        *page += name;
        for (at, (label, text)) in labels.into_iter().enumerate() {
            page.push(if at == 0 { '{' } else { ',' });
            *page += label;
            *page += "=\"";
            push_escaped(page, text);
            page.push('"');
        }
        *page += &format!("}} {value}\n");
    }
}

fn push_escaped(page: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '\\' => *page += "\\\\",
            '"' => *page += "\\\"",
            '\n' => *page += "\\n",
            other => page.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{GaugeVec, Opts, TextEncoder, core::Collector};

    use super::*;

    const DEPTH: Family = Family::new("depth", "How deep.");

    #[test]
    fn it_reads_as_the_crate_writes_it() {
        for (queue, value) in [("mail", 3.0), ("a \"b\" \\ \n é", 0.25), ("", 1e20)] {
            let gauges =
                GaugeVec::new(Opts::new("depth", "How deep.").namespace("job_chief"), &["job_config", "queue"]);
            let gauges = gauges.expect("valid names");
            gauges.with_label_values(&["one", queue]).set(value);
            let written = TextEncoder::new().encode_to_string(&gauges.collect()).expect("text");
            let mut page = String::new();
            write_gauges(&mut page, &DEPTH, [([("job_config", "one"), ("queue", queue)], value)].into_iter());
            assert_eq!(page, written);
        }
    }

    #[test]
    fn a_family_without_series_is_not_mentioned() {
        let mut page = String::new();
        write_gauges::<1>(&mut page, &DEPTH, std::iter::empty());
        assert_eq!(page, "");
    }
}
