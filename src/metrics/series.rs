//! Series of the metrics page that come and go.

/// A series that was never there is as good as one that was removed.
pub(super) fn absent(_: prometheus::Result<()>) {}
