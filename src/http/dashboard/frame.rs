//! What all pages have in common.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::{dashboard::assets::Asset, session::Session, state::AppState};

/// What all pages have in common.
pub(super) struct Frame {
    pub(super) instance: String,
    pub(super) me: String,
    pub(super) leads: bool,
    pub(super) version: &'static str,
    /// Who is signed in.
    pub(super) session: Option<String>,
    pub(super) can_sign_in: bool,
    /// Where whoever signs in comes back to.
    pub(super) back: String,
    /// Parts that do not work, and why.
    pub(super) broken: Vec<(&'static str, String)>,
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

impl Frame {
    /// The frame of a page at this path.
    pub(super) fn of(state: &AppState, session: Option<&Session>, back: String) -> Self {
        let components = state.shared.health.components().into_iter();
        Self {
            instance: state.shared.instance.uid.to_string(),
            me: state.me.to_string(),
            leads: state.leads(),
            version: env!("CARGO_PKG_VERSION"),
            session: session.map(|session| session.who.clone()),
            can_sign_in: state.gate.has_tokens(),
            back,
            broken: components.filter_map(|(part, works)| Some((part.as_str(), works.err()?))).collect(),
            style: Asset::Style.address(),
            script: Asset::Script.address(),
            icon: Asset::Icon.address(),
        }
    }
}

/// A name as a part of a path.
pub(super) fn in_path(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string().replace("%2D", "-").replace("%5F", "_").replace("%2E", ".")
}
