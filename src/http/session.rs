//! Who is signed in to the dashboard: a cookie that one of the tokens has sealed. It holds no token, ends by itself, and
//! is of no use once its token is taken out of the file. No process keeps anything of it, so each knows those of the others.

use std::time::Duration;

use axum::http::{
    HeaderMap,
    header::{COOKIE, HOST, ORIGIN},
};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// How long it lasts: a day's work.
pub const LASTS: Duration = Duration::from_secs(12 * 60 * 60);

/// Characters of a name.
pub const WHO_MAX: usize = 100;

/// What a seal is made for, so that one for this is no seal for anything else.
const PURPOSE: &str = "job-chief dashboard session";

/// Somebody who has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The name that they gave.
    pub who: String,
    /// When it ends, since 1970.
    pub until: Duration,
}

impl Session {
    /// One that begins now.
    pub fn begin(who: &str, now: Duration) -> Self {
        Self { who: who.to_owned(), until: Duration::from_secs(now.saturating_add(LASTS).as_secs()) }
    }

    /// As the cookie's value, sealed with a token.
    pub fn seal(&self, token: &str) -> String {
        let said = self.said();
        format!("{said}.{}", seal(token, &said))
    }

    /// The session of a request, if one of these tokens, one a line, has sealed it and it has not ended.
    pub fn of(headers: &HeaderMap, cookie: &str, tokens: &str, now: Duration) -> Option<Self> {
        let (said, given) = value(headers, cookie)?.rsplit_once('.')?;
        let lines = tokens.lines().map(str::trim).filter(|line| !line.is_empty());
        // Every line is tried, whichever it is: the time it takes tells nothing of the tokens.
        let sealed =
            lines.fold(Choice::from(0), |found, token| found | seal(token, said).as_bytes().ct_eq(given.as_bytes()));
        let (until, who) = said.split_once('.')?;
        let until = Duration::from_secs(until.parse().ok()?);
        let who = percent_decode_str(who).decode_utf8().ok()?.into_owned();
        (bool::from(sealed) && now < until).then_some(Self { who, until })
    }

    fn said(&self) -> String {
        format!("{}.{}", self.until.as_secs(), utf8_percent_encode(&self.who, NON_ALPHANUMERIC))
    }
}

/// A request that our own page has sent, by what browsers tell of it: `Sec-Fetch-Site`, and where it is not told, as over
/// plain HTTP, whether `Origin` is the host that was asked. Go's `net/http.CrossOriginProtection` judges by the same.
pub fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text(ORIGIN.as_str()), text(HOST.as_str())) {
        (Some(site), ..) => site == "same-origin",
        (None, Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, rest)| rest == host),
        _ => false,
    }
}

/// The name of an Instance's cookie: cookies know no port, and several Instances may be looked at through one host.
pub fn cookie_name(instance: &str) -> String {
    format!("job_chief_{}", hex(&Sha256::digest(instance)[..4]))
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    cookies.filter_map(|cookie| cookie.trim().split_once('=')).find(|(found, _)| *found == name).map(|(_, it)| it)
}

/// In hexadecimal digits.
fn seal(token: &str, said: &str) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(token.as_bytes()).expect("keys of any length are taken");
    mac.update(PURPOSE.as_bytes());
    mac.update(&[0]);
    mac.update(said.as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// Two hexadecimal digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a value"));
        headers
    }

    fn cookie(value: &str) -> HeaderMap {
        with("cookie", &format!("theme=dark; session={value}; other=1"))
    }

    #[test]
    fn a_session_is_its_tokens_and_ends() {
        let session = Session::begin("Ann Ünder; x=.", NOW);
        let headers = cookie(&session.seal("second"));
        let of = |tokens, now| Session::of(&headers, "session", tokens, now);
        assert_eq!(of("first\n second \n", NOW), Some(session.clone()));
        assert_eq!(of("first\nthird", NOW), None, "its token was taken out of the file");
        assert_eq!(of("second", session.until - Duration::from_secs(1)), Some(session.clone()));
        assert_eq!(of("second", session.until), None);
        assert!(!headers[COOKIE].to_str().expect("text").contains("second"), "the token is not in it");
    }

    #[test]
    fn nothing_in_it_can_be_changed() {
        let sealed = Session::begin("ann", NOW).seal("token");
        let seal = sealed.rsplit('.').next().expect("a seal");
        for value in ["", ".", "..", "x.y.z", &format!("9{sealed}"), &sealed.replace("ann", "bob"), &sealed[1..]] {
            assert_eq!(Session::of(&cookie(value), "session", "token", NOW), None, "{value}");
        }
        for broken in [&seal[1..], &seal[2..], "é", ""] {
            let value = sealed.replace(seal, broken);
            assert_eq!(Session::of(&cookie(value.trim_end_matches('é')), "session", "token", NOW), None);
        }
        assert_eq!(Session::of(&HeaderMap::new(), "session", "token", NOW), None);
    }

    #[test]
    fn only_our_own_pages_may_send_forms() {
        let both = |site: Option<&str>, origin: Option<&str>| {
            let mut headers = with("host", "localhost:8080");
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if let Some(value) = value {
                    headers.insert(HeaderName::from_static(name), value.parse().expect("a value"));
                }
            }
            is_same_origin(&headers)
        };
        assert!(both(Some("same-origin"), Some("null")));
        assert!(both(None, Some("http://localhost:8080")));
        for site in ["cross-site", "same-site", "none", ""] {
            assert!(!both(Some(site), Some("http://localhost:8080")), "{site}");
        }
        for origin in
            ["http://localhost:8081", "http://evil.example", "null", "localhost:8080", "http://localhost:8080.evil"]
        {
            assert!(!both(None, Some(origin)), "{origin}");
        }
        assert!(!both(None, None), "no browser sends a form without either");
    }
}
