//! The pages for people, as anybody may ask for them: what their browsers are told, who may send forms, and that nothing
//! that others wrote is more than text.

use crate::service::{Service, Told};

const ORIGIN: &str = "Origin: http://localhost\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Sends a form as a browser does.
fn send(service: &Service, path: &str, headers: &str, body: &str) -> Told {
    service.ask("POST", path, &format!("{FORM}{headers}"), body)
}

/// The cookie of somebody who signs in with this token.
fn sign_in(service: &Service, token: &str) -> Result<String, Told> {
    let told = send(service, "/dashboard/session", ORIGIN, &format!("who=ann&token={token}&back=/dashboard/jobs/mail"));
    let cookie = told.field("set-cookie").map(|cookie| cookie.split(';').next().unwrap().to_owned());
    match (told.code, cookie) {
        (303, Some(cookie)) => {
            assert_eq!(told.field("location"), Some("/dashboard/jobs/mail"));
            let whole = told.field("set-cookie").unwrap();
            assert!(whole.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{whole}");
            Ok(format!("Cookie: {cookie}\r\n"))
        }
        _ => Err(told),
    }
}

#[test]
fn every_page_lets_nothing_run_that_is_not_ours_and_shows_what_others_wrote_as_text() {
    let service = Service::start(&[]);
    for (path, code) in [
        ("/", 200),
        ("/?q=%3Cscript%3E&show=attention", 200),
        ("/dashboard/rows?name=hostile&name=redis&name=nobody", 200),
        ("/dashboard/jobs/hostile", 200),
        ("/dashboard/services/redis", 200),
        ("/dashboard/jobs/%3Cscript%3Ealert(1)", 404),
        ("/dashboard/jobs/redis", 404),
        ("/dashboard/jobs/%FF", 400),
        // They stand in Postgres, which is away.
        ("/dashboard/deployments/%3Cscript%3Ealert(1)", 503),
        ("/dashboard/deployments/%FF", 400),
    ] {
        let told = service.get(path, "");
        assert_eq!(told.code, code, "{path}");
        assert_eq!(told.field("content-type"), Some("text/html; charset=utf-8"), "{path}");
        let policy = told.field("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; ") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(told.field("cache-control"), Some("no-store"), "{path}");
        assert!(!told.body.contains("<script>") && !told.body.contains('\u{1b}'), "{path}\n{}", told.body);
        assert!(!told.body.contains("style=") && !told.body.contains("onclick"), "{path}");
        assert!(!told.body.contains("canary"), "{path}\n{}", told.body);
    }
    let whole = service.get("/", "").body;
    assert!(whole.contains("What is deployed can't be read now."), "{whole}");
    assert!(whole.contains("&#60;script&#62;alert(1)&#60;/script&#62;"), "{whole}");
    assert!(whole.len() < 50_000, "{}", whole.len());
    let address = whole.split_once("href=\"/dashboard/page.css").unwrap().1.split_once('"').unwrap().0;
    let style = service.get(&format!("/dashboard/page.css{address}"), "");
    assert_eq!(style.field("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(service.get("/dashboard/page.js", "").field("content-type"), Some("text/javascript; charset=utf-8"));
}

#[test]
fn only_our_own_pages_may_send_forms_and_only_whoever_is_signed_in_changes_anything() {
    let service = Service::start(&[]);
    let refused = sign_in(&service, "canary").unwrap_err();
    assert_eq!((refused.code, refused.field("set-cookie")), (401, None));
    let cookie = sign_in(&service, "canary-token-2").unwrap_or_else(|told| panic!("{}", told.head));
    assert!(!cookie.contains("canary"), "{cookie}");
    assert!(service.get("/", &cookie).body.contains("signed in as ann"));
    let pause = "verb=pause&why=a+look&back=/";
    for path in ["/dashboard/jobs/mail", "/dashboard/services/redis"] {
        assert_eq!(send(&service, path, ORIGIN, pause).code, 401, "nobody is signed in");
        for foreign in
            ["", "Origin: http://evil.example\r\n", "Sec-Fetch-Site: same-site\r\nOrigin: http://localhost\r\n"]
        {
            assert_eq!(send(&service, path, &format!("{cookie}{foreign}"), pause).code, 401, "{path} {foreign}");
        }
        let signed = format!("{cookie}{ORIGIN}");
        assert_eq!(send(&service, path, &signed, "verb=explode").code, 400);
        assert_eq!(send(&service, path, &signed, &"x".repeat(1 << 20)).code, 413);
        assert_eq!(service.ask("POST", path, &signed, "{}").code, 400, "nothing is said");
        let json = format!("{signed}Content-Type: application/json\r\n");
        assert_eq!(service.ask("POST", path, &json, "{}").code, 415);
    }
    let told = send(&service, "/dashboard/jobs/mail", &format!("{cookie}{ORIGIN}"), pause);
    assert_eq!(told.code, 503, "Postgres is away: {}", told.body);
    assert_eq!(
        service.ask("POST", "/jobs/mail/pause", &format!("{cookie}{ORIGIN}"), "{}").code,
        401,
        "the API wants a token"
    );
    let told = send(&service, "/dashboard/session/end", &format!("{cookie}{ORIGIN}"), "back=//evil.example");
    assert_eq!((told.code, told.field("location")), (303, Some("/")));
    assert!(told.field("set-cookie").unwrap().contains("=; Path=/; Max-Age=0"));
}

#[test]
fn where_reading_needs_a_token_so_do_the_pages_and_who_is_signed_in_may_read() {
    let service = Service::start(&[("SERVER_PROTECT_READS", "true")]);
    let told = service.get("/", "");
    assert_eq!(told.code, 401);
    assert!(told.body.contains("name=\"token\"") && !told.body.contains("mail"), "{}", told.body);
    let cookie = sign_in(&service, "canary-token-1").unwrap_or_else(|told| panic!("{}", told.head));
    for path in ["/", "/dashboard/jobs/mail", "/dashboard/rows?name=mail", "/jobs"] {
        assert_eq!((service.get(path, "").code, service.get(path, &cookie).code), (401, 200), "{path}");
    }
}
