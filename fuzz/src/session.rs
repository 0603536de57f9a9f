//! Cookies of the dashboard and what browsers tell with them: the fields of a head, `name: value` a line. Only what a
//! token has sealed is a session.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use job_chief::http::session::{Session, is_same_origin};

const NOW: Duration = Duration::from_secs(1_800_000_000);

pub(crate) fn try_out(input: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&line[..at]), HeaderValue::from_bytes(line[at + 1..].trim_ascii()));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    is_same_origin(&headers);
    assert_eq!(
        Session::of(&headers, "session", "a token that nobody knows\nanother", NOW),
        None,
        "nobody has sealed it"
    );
    let who = String::from_utf8_lossy(input);
    let session = Session::begin(&who, NOW);
    let cookie = format!("theme=dark; session={}", session.seal("token"));
    headers.insert("cookie", cookie.parse().unwrap());
    assert_eq!(Session::of(&headers, "session", "other\n token ", NOW), Some(session));
    assert_eq!(Session::of(&headers, "session", "other", NOW), None, "its token was taken out of the file");
}
