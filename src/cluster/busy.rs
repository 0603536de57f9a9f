//! What an API server that has too much to do says in its headers, put where whoever asked can read it.
//!
//! Priority and fairness refuses in plain text, with `Retry-After` and the level that was full as headers; proxies refuse in
//! words of their own. Kube hands a status to whoever asked, and never headers.

use axum::{
    body::{Bytes, HttpBody},
    http::{HeaderMap, Response, StatusCode, header},
};
use http_body_util::{Either, Full};
use serde_json::{Value, json};

/// The priority level that had no place, as a UID.
const PRIORITY_LEVEL: &str = "x-kubernetes-pf-prioritylevel-uid";

/// The rule that put the request into that level, as a UID.
const FLOW_SCHEMA: &str = "x-kubernetes-pf-flowschema-uid";

/// The same answer; one that says "later" in its headers alone becomes a status that says so.
pub(super) fn readable<B: HttpBody<Data = Bytes>>(response: Response<B>) -> Response<Either<B, Full<Bytes>>> {
    match later(response.status(), response.headers()) {
        None => response.map(Either::Left),
        Some(status) => response.map(|_| Either::Right(Full::from(status.to_string()))),
    }
}

fn later(code: StatusCode, headers: &HeaderMap) -> Option<Value> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let refused = matches!(code, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let seconds: u32 = text(header::RETRY_AFTER.as_str())?.parse().ok()?;
    if !refused {
        return None;
    }
    let level = match (text(PRIORITY_LEVEL), text(FLOW_SCHEMA)) {
        (Some(level), Some(schema)) => format!(" (priority level {level} of flow schema {schema} is full)"),
        _ => String::new(),
    };
    Some(json!({
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code.as_u16(),
        "reason": code.canonical_reason().unwrap_or_default().replace(' ', ""),
        "message": format!("the API server has too much to do{level}"),
        "details": {"retryAfterSeconds": seconds},
    }))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use kube::core::Status;

    use super::*;

    fn answer(code: u16, headers: &[(&str, &str)]) -> Response<Full<Bytes>> {
        let mut response = Response::builder().status(code);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Full::from("as it came")).expect("a response")
    }

    async fn text(response: Response<Full<Bytes>>) -> String {
        let bytes = readable(response).into_body().collect().await.expect("a body").to_bytes();
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn a_refusal_by_priority_and_fairness_says_how_long_and_by_which_level() {
        let headers =
            [("retry-after", "1"), (PRIORITY_LEVEL, "u-1"), (FLOW_SCHEMA, "u-2"), ("content-type", "text/plain")];
        let status: Status = serde_json::from_str(&text(answer(429, &headers)).await).expect("a status");
        assert_eq!((status.code, status.reason.as_str()), (429, "TooManyRequests"));
        assert_eq!(status.details.expect("details").retry_after_seconds, 1);
        assert!(status.message.contains("priority level u-1 of flow schema u-2"), "{}", status.message);
    }

    #[tokio::test]
    async fn what_says_nothing_stays_as_it_came() {
        for response in [
            answer(429, &[]),
            answer(503, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]),
            answer(404, &[("retry-after", "1")]),
        ] {
            assert_eq!(text(response).await, "as it came");
        }
    }
}
