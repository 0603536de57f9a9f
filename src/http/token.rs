//! Who may ask and change: whoever brings one of the tokens of a file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::{
    HeaderMap,
    header::{AUTHORIZATION, COOKIE},
};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::{fs::File, io::AsyncReadExt};

use crate::{
    config::settings::ServerSettings,
    http::{
        problem::{Problem, ProblemType},
        session::{Session, cookie_name},
    },
};

/// Bytes of the file: some hundred tokens.
const FILE_MAX: u64 = 64 << 10;

/// Who gets an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody: the probes, which bring no token.
    Open,
    /// Everybody, unless `server.protectMetrics`.
    Metrics,
    /// Everybody, unless `server.protectReads`.
    Read,
    /// Whoever brings a token.
    Change,
}

/// Who is let in.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Where the tokens are, one a line; `None` turns all that needs one off.
    tokens: Option<PathBuf>,
    /// The name of the dashboard's cookie.
    cookie: String,
    protect_reads: bool,
    protect_metrics: bool,
}

impl Gate {
    /// As the settings say, for this Instance.
    pub fn of(settings: &ServerSettings, instance: &str) -> Self {
        let ServerSettings { token_file, protect_reads, protect_metrics, .. } = settings;
        let (tokens, cookie) = (token_file.clone(), cookie_name(instance));
        Self { tokens, cookie, protect_reads: *protect_reads, protect_metrics: *protect_metrics }
    }

    /// The name of the dashboard's cookie.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// A route of this kind needs a token.
    pub fn needs_token(&self, access: Access) -> bool {
        match access {
            Access::Open => false,
            Access::Metrics => self.protect_metrics,
            Access::Read => self.protect_reads,
            Access::Change => true,
        }
    }

    /// Anybody can have a token.
    pub fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Whether these headers bring a token, where one is needed, or, to read, a session of the dashboard.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub async fn admit(&self, access: Access, headers: &HeaderMap, now: Duration) -> Result<(), Problem> {
        if !self.needs_token(access) {
            return Ok(());
        }
        let tokens = self.tokens().await?;
        if access != Access::Change && Session::of(headers, &self.cookie, &tokens, now).is_some() {
            return Ok(());
        }
        let needed = || Problem::new(ProblemType::TokenNeeded, "a token is needed: Authorization: Bearer TOKEN");
        listed(&tokens, bearer(headers).ok_or_else(needed)?)
    }

    /// Whose session of the dashboard these headers bring.
    pub async fn session(&self, headers: &HeaderMap, now: Duration) -> Option<Session> {
        if !headers.contains_key(COOKIE) || !self.has_tokens() {
            return None;
        }
        Session::of(headers, &self.cookie, &self.tokens().await.ok()?, now)
    }

    /// Seals a session with a token.
    ///
    /// # Errors
    /// If the token is none.
    pub async fn sign_in(&self, token: &str, session: &Session) -> Result<String, Problem> {
        listed(&self.tokens().await?, token)?;
        Ok(session.seal(token))
    }

    /// The tokens, one a line. The file is read each time, so that a token that was taken out of it is of no use from
    /// then on.
    async fn tokens(&self) -> Result<String, Problem> {
        let none = || {
            let text = "nobody has a token: set server.tokenFile (SERVER_TOKEN_FILE) to a file of tokens";
            Problem::new(ProblemType::NoTokens, text)
        };
        read(self.tokens.as_deref().ok_or_else(none)?).await
    }
}

fn listed(tokens: &str, given: &str) -> Result<(), Problem> {
    let refused = || Problem::new(ProblemType::TokenNeeded, "this token is not listed in server.tokenFile");
    is_listed(tokens, given).then_some(()).ok_or_else(refused)
}

/// The token of a request; its scheme is written in any case, RFC 9110.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

/// Digests are compared, all of them and each to its end: the time it takes tells nothing of the tokens.
fn is_listed(tokens: &str, given: &str) -> bool {
    let given = Sha256::digest(given);
    let lines = tokens.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.fold(Choice::from(0), |found, line| found | Sha256::digest(line).as_slice().ct_eq(given.as_slice())).into()
}

async fn read(path: &Path) -> Result<String, Problem> {
    let broken = |why: String| {
        tracing::warn!(path = %path.display(), why, "the file of tokens can't be used");
        Problem::new(ProblemType::Unavailable, "the file of tokens (server.tokenFile) can't be used; the log says why")
    };
    let file = File::open(path).await.map_err(|error| broken(error.to_string()))?;
    let mut text = String::new();
    let size = file.take(FILE_MAX + 1).read_to_string(&mut text).await.map_err(|error| broken(error.to_string()))?;
    if size as u64 > FILE_MAX {
        return Err(broken(format!("it has more than {FILE_MAX} bytes")));
    }
    if text.trim().is_empty() {
        return Err(broken("it holds no token".into()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::session::LASTS;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    async fn answer(gate: &Gate, access: Access, header: Option<&str>) -> Option<u16> {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(AUTHORIZATION, value.parse().expect("a value"));
        }
        gate.admit(access, &headers, NOW).await.err().map(|problem| problem.kind.code().as_u16())
    }

    async fn change(file: Option<&str>, header: Option<&str>) -> Option<u16> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        if let Some(text) = file {
            std::fs::write(&path, text).expect("written");
        }
        let settings = ServerSettings { token_file: Some(path), ..ServerSettings::default() };
        answer(&Gate::of(&settings, "a"), Access::Change, header).await
    }

    #[tokio::test]
    async fn one_of_the_lines_is_needed_and_nothing_less() {
        let file = Some("first\n\n  second \n");
        for header in ["Bearer second", "bearer first", "BEARER  first"] {
            assert_eq!(change(file, Some(header)).await, None, "{header}");
        }
        for header in [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Bearer third"), Some("Basic first")] {
            assert_eq!(change(file, header).await, Some(401), "{header:?}");
        }
        let huge = "token\n".repeat(20_000);
        for file in [None, Some(""), Some(" \n \n"), Some(huge.as_str())] {
            assert_eq!(change(file, Some("Bearer token")).await, Some(503), "{:?}", file.map(str::len));
        }
        assert_eq!(answer(&Gate::of(&ServerSettings::default(), "a"), Access::Change, None).await, Some(403));
    }

    #[tokio::test]
    async fn tokens_are_rotated_while_it_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        let settings = ServerSettings { token_file: Some(path.clone()), ..ServerSettings::default() };
        let gate = Gate::of(&settings, "a");
        for (file, codes) in [("old\n", [None, Some(401)]), ("old\nnew", [None, None]), ("new", [Some(401), None])] {
            std::fs::write(&path, file).expect("written");
            let told = [Some("Bearer old"), Some("Bearer new")].map(|header| answer(&gate, Access::Change, header));
            let [old, new] = told;
            assert_eq!([old.await, new.await], codes, "{file}");
        }
    }

    #[tokio::test]
    async fn reads_need_a_token_where_the_settings_say_so_and_probes_never_do() {
        for (protect_reads, protect_metrics) in [(false, false), (true, false), (false, true), (true, true)] {
            let gate = Gate::of(&ServerSettings { protect_reads, protect_metrics, ..ServerSettings::default() }, "a");
            assert_eq!(answer(&gate, Access::Read, None).await.is_some(), protect_reads);
            assert_eq!(answer(&gate, Access::Metrics, None).await.is_some(), protect_metrics);
            assert_eq!(answer(&gate, Access::Open, None).await, None);
        }
    }

    #[tokio::test]
    async fn who_is_signed_in_may_read_and_changes_nothing_but_through_the_dashboard() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        std::fs::write(&path, "first\nsecond\n").expect("written");
        let settings = ServerSettings { token_file: Some(path), protect_reads: true, ..ServerSettings::default() };
        let (gate, session) = (Gate::of(&settings, "a"), Session::begin("ann", NOW));
        assert!(gate.sign_in("third", &session).await.is_err());
        let sealed = gate.sign_in("second", &session).await.expect("listed");
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("{}={sealed}", gate.cookie()).parse().expect("a value"));
        assert_eq!(gate.session(&headers, NOW).await, Some(session));
        assert!(gate.admit(Access::Read, &headers, NOW).await.is_ok());
        assert!(gate.admit(Access::Change, &headers, NOW).await.is_err());
        assert!(gate.admit(Access::Read, &headers, NOW + LASTS).await.is_err());
    }
}
