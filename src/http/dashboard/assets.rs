//! What the pages are shown with. Each goes by an address that has its hash, so that browsers keep it until it is another.

use std::sync::LazyLock;

use axum::{
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::http::session::hex;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const ICON: &str = include_str!("icon.svg");

/// What stands behind the question mark of their addresses.
static VERSION: LazyLock<String> = LazyLock::new(|| hex(&Sha256::digest([STYLE, SCRIPT, ICON].concat())[..6]));

/// One of them.
#[derive(Clone, Copy)]
pub(super) enum Asset {
    Style,
    Script,
    Icon,
}

impl Asset {
    /// Where it is.
    pub(super) fn address(self) -> String {
        let path = match self {
            Self::Style => "/dashboard/page.css",
            Self::Script => "/dashboard/page.js",
            Self::Icon => "/dashboard/icon.svg",
        };
        format!("{path}?{}", *VERSION)
    }
}

/// It; to be kept for a year where it was asked for by its address: in a rolling update another process may have another.
pub(super) fn answer(asset: Asset, query: Option<&str>) -> Response {
    let (media_type, text) = match asset {
        Asset::Style => ("text/css; charset=utf-8", STYLE),
        Asset::Script => ("text/javascript; charset=utf-8", SCRIPT),
        Asset::Icon => ("image/svg+xml", ICON),
    };
    let kept = if query == Some(&**VERSION) { "public, max-age=31536000, immutable" } else { "no-store" };
    ([(CONTENT_TYPE, media_type), (CACHE_CONTROL, kept)], text).into_response()
}
