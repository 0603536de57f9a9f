//! The settings: lines of `NAME=VALUE`, then a line `---` and a file. A password is never told.

use std::collections::BTreeMap;

use job_chief::config::{module_list::ModuleList, settings::Settings, sources, traces};

const PASSWORD: &str = "canary-password";

/// Those of an installation that sets none but the password.
pub(crate) fn plain() -> Settings {
    let environment = BTreeMap::from([("DB_PASSWORD".to_owned(), PASSWORD.to_owned())]);
    sources::load(None, &environment).unwrap_or_else(|problems| panic!("{problems}")).settings
}

pub(crate) fn try_out(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (lines, file) = text.split_once("\n---\n").map_or((text, None), |(lines, file)| (lines, Some(file)));
    if text.contains("canary") {
        return;
    }
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    let mut environment: BTreeMap<String, String> =
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    environment.insert("DB_PASSWORD".into(), PASSWORD.into());
    // It is gone with the end of the input.
    let kept = file.map(|text| {
        let kept = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        std::fs::write(kept.path(), text).unwrap();
        kept
    });
    let loaded = sources::load(kept.as_ref().map(tempfile::NamedTempFile::path), &environment);
    let told = match &loaded {
        Ok(loaded) => format!("{loaded:?}"),
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a word");
            problems.to_string()
        }
    };
    assert!(!told.contains(PASSWORD), "{told}");
    if let Err(problems) = traces::read(&environment) {
        assert!(!problems.0.is_empty(), "refused without a word");
    }
    ModuleList::of_environment(&environment, "media");
}
