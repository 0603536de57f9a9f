//! What people send from the pages: who they are, and what is to change.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{LOCATION, SET_COOKIE},
    },
    response::{IntoResponse, Response},
};
use url::form_urlencoded;

use crate::{
    config::entry::Kind,
    http::{
        dashboard::Visit,
        problem::{Problem, ProblemType},
        services::{self, ServiceWords},
        session::{LASTS, Session, WHO_MAX},
        writes::{self, Words},
    },
    store::switches::SERVICE_VERBS,
};

/// How long a page is held back until what was just changed has arrived: the one who leads is told through Postgres.
const ARRIVAL: Duration = Duration::from_secs(1);

type Form = BTreeMap<String, String>;

fn fields(body: &str) -> Form {
    form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

fn field<'a>(form: &'a Form, name: &str) -> &'a str {
    form.get(name).map(|value| value.trim()).unwrap_or_default()
}

/// Signs somebody in who brings a token.
pub(super) async fn sign_in(visit: Visit, body: String) -> Result<Response, Problem> {
    let (state, form) = (&visit.call.state, fields(&body));
    let who = field(&form, "who");
    let is_name = !who.is_empty() && who.chars().count() <= WHO_MAX && !who.chars().any(char::is_control);
    let nameless = || {
        Problem::new(
            ProblemType::InvalidBody,
            format!("a name of at most {WHO_MAX} characters is needed: it is kept with what you change"),
        )
    };
    is_name.then_some(()).ok_or_else(nameless)?;
    let session = Session::begin(who, state.shared.clock.now());
    let sealed = state.gate.sign_in(field(&form, "token"), &session).await?;
    tracing::info!(who, "signed in to the dashboard");
    Ok(with_cookie(&visit, &sealed, LASTS, back_to(&form)))
}

/// Forgets who was signed in.
pub(super) async fn sign_out(visit: Visit, body: String) -> Result<Response, Problem> {
    Ok(with_cookie(&visit, "", Duration::ZERO, back_to(&fields(&body))))
}

/// Pauses or resumes a queue, or asks for a Job by hand.
pub(super) async fn change_job(visit: Visit, body: String) -> Result<Response, Problem> {
    let form = fields(&body);
    let words = Words { who: signed_in(&visit)?, why: field(&form, "why").to_owned() };
    let (call, arrived) = (visit.call.clone(), arrival(&visit, Kind::Queue)?);
    match field(&form, "verb") {
        "pause" => writes::pause(call, words, true).await.map(|_| ()),
        "resume" => writes::pause(call, words, false).await.map(|_| ()),
        "run" => writes::run(call, words).await.map(|_| ()),
        other => Err(unknown(other)),
    }?;
    arrived.await;
    Ok(see(back_to(&form)))
}

/// Says a verb of a service.
pub(super) async fn change_service(visit: Visit, body: String) -> Result<Response, Problem> {
    let form = fields(&body);
    let words = ServiceWords { who: signed_in(&visit)?, why: field(&form, "why").to_owned(), deps: None };
    let word = field(&form, "verb");
    let verb = SERVICE_VERBS.into_iter().find(|verb| verb.as_str() == word).ok_or_else(|| unknown(word))?;
    let arrived = arrival(&visit, Kind::Service)?;
    services::tell(visit.call.clone(), words, verb).await?;
    arrived.await;
    Ok(see(back_to(&form)))
}

fn signed_in(visit: &Visit) -> Result<String, Problem> {
    let nobody = || {
        Problem::new(
            ProblemType::TokenNeeded,
            "sign in first: the session is over, or its token is not listed any more",
        )
    };
    visit.session.as_ref().map(|session| session.who.clone()).ok_or_else(nobody)
}

fn unknown(verb: &str) -> Problem {
    Problem::new(ProblemType::InvalidBody, format!("there is no verb {verb:?}"))
}

/// Waits until the JobConfig has its next orders, from now on.
fn arrival(visit: &Visit, kind: Kind) -> Result<impl Future<Output = ()> + use<>, Problem> {
    let mut orders = visit.call.state.handle(kind, visit.call.name())?.orders.subscribe();
    Ok(async move { drop(tokio::time::timeout(ARRIVAL, orders.changed()).await) })
}

/// A page of the dashboard, and nowhere else.
fn back_to(form: &Form) -> &str {
    let back = field(form, "back");
    if back.starts_with("/dashboard/") && back.chars().all(|char| char.is_ascii_graphic()) { back } else { "/" }
}

fn see(path: &str) -> Response {
    let place = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response()
}

fn with_cookie(visit: &Visit, value: &str, lasts: Duration, path: &str) -> Response {
    let encrypted = visit.headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    let secure = if encrypted { "; Secure" } else { "" };
    let lasts = lasts.as_secs();
    let name = visit.call.state.gate.cookie();
    let cookie = format!("{name}={value}; Path=/; Max-Age={lasts}; HttpOnly; SameSite=Strict{secure}");
    let mut response = see(path);
    response.headers_mut().extend(HeaderValue::from_str(&cookie).ok().map(|cookie| (SET_COOKIE, cookie)));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_leads_back_to_the_dashboard_and_nowhere_else() {
        let back = |to: &str| back_to(&fields(&format!("back={to}"))).to_owned();
        assert_eq!(back("/dashboard/jobs/mail"), "/dashboard/jobs/mail");
        for elsewhere in
            ["", "//evil.example", "https://evil.example", "/%5Cevil", "/dashboard/a%0d%0ab", "javascript:1"]
        {
            assert_eq!(back(elsewhere), "/", "{elsewhere}");
        }
    }
}
