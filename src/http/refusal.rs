//! How the routes refuse.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// Why somebody gets no answer: the code, and what to do about it.
pub type Refused = (StatusCode, String);

/// An answer, or why there is none.
pub fn answered(result: Result<(StatusCode, Value), Refused>) -> Response {
    match result {
        Ok((code, told)) => (code, Json(told)).into_response(),
        Err((code, error)) => {
            let mut response = (code, Json(json!({ "error": error }))).into_response();
            if code == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}
