//! Who may ask and change: whoever brings one of the tokens of a file.

use std::path::{Path, PathBuf};

use axum::http::{HeaderMap, header::AUTHORIZATION};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::{fs::File, io::AsyncReadExt};

use crate::{
    config::settings::ServerSettings,
    http::problem::{Problem, ProblemType},
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
    protect_reads: bool,
    protect_metrics: bool,
}

impl Gate {
    /// As the settings say.
    pub fn of(settings: &ServerSettings) -> Self {
        let ServerSettings { token_file, protect_reads, protect_metrics, .. } = settings;
        Self { tokens: token_file.clone(), protect_reads: *protect_reads, protect_metrics: *protect_metrics }
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

    /// Whether these headers bring a token, where one is needed. The file is read each time, so that a token that was
    /// taken out of it is of no use from then on.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub async fn admit(&self, access: Access, headers: &HeaderMap) -> Result<(), Problem> {
        if !self.needs_token(access) {
            return Ok(());
        }
        let Some(path) = &self.tokens else {
            let text = "nobody has a token: set server.tokenFile (SERVER_TOKEN_FILE) to a file of tokens";
            return Err(Problem::new(ProblemType::NoTokens, text));
        };
        let needed = |text: &str| Problem::new(ProblemType::TokenNeeded, text);
        let given = bearer(headers).ok_or_else(|| needed("a token is needed: Authorization: Bearer TOKEN"))?;
        match is_listed(&read(path).await?, given) {
            true => Ok(()),
            false => Err(needed("this token is not listed in server.tokenFile")),
        }
    }
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

    async fn answer(gate: &Gate, access: Access, header: Option<&str>) -> Option<u16> {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(AUTHORIZATION, value.parse().expect("a value"));
        }
        gate.admit(access, &headers).await.err().map(|problem| problem.kind.code().as_u16())
    }

    async fn change(file: Option<&str>, header: Option<&str>) -> Option<u16> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        if let Some(text) = file {
            std::fs::write(&path, text).expect("written");
        }
        let settings = ServerSettings { token_file: Some(path), ..ServerSettings::default() };
        answer(&Gate::of(&settings), Access::Change, header).await
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
        assert_eq!(answer(&Gate::of(&ServerSettings::default()), Access::Change, None).await, Some(403));
    }

    #[tokio::test]
    async fn tokens_are_rotated_while_it_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        let settings = ServerSettings { token_file: Some(path.clone()), ..ServerSettings::default() };
        let gate = Gate::of(&settings);
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
            let gate = Gate::of(&ServerSettings { protect_reads, protect_metrics, ..ServerSettings::default() });
            assert_eq!(answer(&gate, Access::Read, None).await.is_some(), protect_reads);
            assert_eq!(answer(&gate, Access::Metrics, None).await.is_some(), protect_metrics);
            assert_eq!(answer(&gate, Access::Open, None).await, None);
        }
    }
}
