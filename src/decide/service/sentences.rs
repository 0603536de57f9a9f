//! Ends in words.

use crate::decide::outcome::{End, Outcome};

/// How a replica ended: `failed: exit code 7 (its message)`.
pub fn sentence(end: &End) -> String {
    let how = match end.outcome {
        Outcome::Succeeded => "ended with exit code 0".to_owned(),
        outcome => format!("{}: {}", outcome.as_str(), end.reason.as_str()).replace('_', " "),
    };
    let code = end.exit_code.filter(|code| *code != 0).map(|code| format!(" {code}")).unwrap_or_default();
    let message = end.message.as_deref().and_then(|message| message.lines().next());
    format!("{how}{code}{}", message.map(|message| format!(" ({message})")).unwrap_or_default())
}
