//! Who may change something: whoever brings one of the tokens of a file.

use std::path::{Path, PathBuf};

use axum::http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use sha2::{Digest, Sha256};

use crate::http::refusal::Refused;

/// Bytes of the file: some hundred tokens.
const FILE_MAX: u64 = 64 << 10;

/// Where the tokens are, one a line; `None` turns every change off.
#[derive(Clone, Debug)]
pub struct Tokens(pub Option<PathBuf>);

impl Tokens {
    /// Whether these headers bring a token. The file is read each time, so that a token that was taken out of it is of
    /// no use from then on.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub async fn admit(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let Some(path) = &self.0 else {
            let text = "nothing can be changed here: set server.tokenFile (SERVER_TOKEN_FILE) to a file of tokens";
            return Err((StatusCode::FORBIDDEN, text.into()));
        };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = given.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim) else {
            return Err((StatusCode::UNAUTHORIZED, "a token is needed: Authorization: Bearer TOKEN".into()));
        };
        let known = read(path).await?;
        // Digests are compared, so that the time it takes tells nothing of the token.
        let digest = Sha256::digest(token);
        match known.lines().map(str::trim).any(|line| !line.is_empty() && Sha256::digest(line) == digest) {
            true => Ok(()),
            false => Err((StatusCode::UNAUTHORIZED, "this token is not listed in server.tokenFile".into())),
        }
    }
}

async fn read(path: &Path) -> Result<String, Refused> {
    let broken = |why: String| {
        tracing::warn!(path = %path.display(), why, "the file of tokens can't be used");
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the file of tokens (server.tokenFile) can't be used; the log says why".to_owned(),
        )
    };
    let size = tokio::fs::metadata(path).await.map_err(|error| broken(error.to_string()))?.len();
    if size > FILE_MAX {
        return Err(broken(format!("it has {size} bytes, allowed are {FILE_MAX}")));
    }
    let text = tokio::fs::read_to_string(path).await.map_err(|error| broken(error.to_string()))?;
    if text.trim().is_empty() {
        return Err(broken("it holds no token".into()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(file: Option<&str>, header: Option<&str>) -> Option<u16> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        if let Some(text) = file {
            std::fs::write(&path, text).expect("written");
        }
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(AUTHORIZATION, value.parse().expect("a value"));
        }
        Tokens(Some(path)).admit(&headers).await.err().map(|(code, _)| code.as_u16())
    }

    #[tokio::test]
    async fn one_of_the_lines_is_needed_and_nothing_less() {
        let file = Some("first\n\n  second \n");
        assert_eq!(answer(file, Some("Bearer second")).await, None);
        for header in [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Bearer third"), Some("Basic first")] {
            assert_eq!(answer(file, header).await, Some(401), "{header:?}");
        }
        for file in [None, Some(""), Some(" \n \n")] {
            assert_eq!(answer(file, Some("Bearer ")).await, Some(503), "{file:?}");
        }
        let refused = Tokens(None).admit(&HeaderMap::new()).await;
        assert_eq!(refused.err().map(|it| it.0.as_u16()), Some(403));
    }
}
