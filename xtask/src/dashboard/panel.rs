//! What a panel of the dashboard is.

/// One panel.
pub(super) struct Panel {
    pub(super) title: &'static str,
    /// What it shows, for whoever has never seen it.
    pub(super) text: &'static str,
    pub(super) kind: Kind,
    /// Grafana's word for the unit.
    pub(super) unit: &'static str,
    /// Each with its legend.
    pub(super) queries: &'static [(&'static str, &'static str)],
}

/// How a panel looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One number.
    Number,
    /// The names of the series.
    Names,
    /// A line for each series.
    Lines,
    /// The same, one upon the other.
    Stack,
    /// A bar for each series: yes or no.
    YesNo,
    /// The buckets of a histogram.
    Heat,
}

/// A panel.
pub(super) const fn panel(
    title: &'static str,
    (kind, unit): (Kind, &'static str),
    queries: &'static [(&'static str, &'static str)],
    text: &'static str,
) -> Panel {
    Panel { title, text, kind, unit, queries }
}

/// Lines of numbers.
pub(super) const COUNT: (Kind, &str) = (Kind::Lines, "short");
/// Lines of times.
pub(super) const SECONDS: (Kind, &str) = (Kind::Lines, "s");
/// How often something happens.
pub(super) const A_MINUTE: (Kind, &str) = (Kind::Stack, "opm");
