//! The files of `restartOn`: followed as jobs.json is, and read whole when they have changed.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{actors::reloader::Mark, decide::pod::names::short_hash};

/// How often they are asked whether they have changed, as jobs.json is.
const ASKED_EVERY: Duration = Duration::from_secs(2);

/// The largest file: a ConfigMap or a Secret holds no more.
const BYTES_MAX: u64 = 1 << 20;

/// Characters of a hash in a label.
const HASH_LEN: usize = 12;

/// Characters of the hash of one file: enough that two are never taken for one another.
const FILE_HASH_LEN: usize = 32;

/// What is known of the contents of the files of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Contents {
    /// It has none.
    #[default]
    NotAsked,
    /// They could not be read yet.
    Unread,
    /// Their hash, as they were when they could all be read.
    Read(Box<str>),
}

/// Follows the files of one service.
#[derive(Debug)]
pub struct WatchedFiles {
    paths: Vec<PathBuf>,
    /// What they were when they were read, or could not be.
    tried: Vec<Option<Mark>>,
    /// What they were at the last look.
    seen: Vec<Option<Mark>>,
    contents: Contents,
    problem: Option<String>,
    look_at: Duration,
}

impl WatchedFiles {
    /// Reads them at once.
    pub fn begin(paths: &[String], now: Duration) -> Self {
        let contents = if paths.is_empty() { Contents::NotAsked } else { Contents::Unread };
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        let mut files = Self { paths, tried: vec![], seen: vec![], contents, problem: None, look_at: now };
        files.seen = files.marks();
        files.look(now);
        files
    }

    /// What they hold, as it counts: what could be read last.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Why they can't be read.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// When the next look is due; `None` where there is nothing to look at.
    pub fn deadline(&self) -> Option<Duration> {
        (!self.paths.is_empty()).then_some(self.look_at)
    }

    /// Reads them if they have changed, and have stayed as they are since the look before: whoever writes them may need a
    /// moment. True if that changes anything.
    pub fn look(&mut self, now: Duration) -> bool {
        self.look_at = now.saturating_add(ASKED_EVERY);
        let marks = self.marks();
        let is_settled = std::mem::replace(&mut self.seen, marks) == self.seen;
        if !is_settled || self.seen == self.tried {
            return false;
        }
        let read = self.read();
        // Some were read as they were before, and some as they are now: that is nothing.
        if self.marks() != self.seen {
            return false;
        }
        self.tried = self.seen.clone();
        self.take(read)
    }

    fn take(&mut self, read: Result<Box<str>, String>) -> bool {
        let (contents, problem) = match read {
            Ok(hash) => (Contents::Read(hash), None),
            Err(problem) => (self.contents.clone(), Some(problem)),
        };
        let changed = contents != self.contents || problem != self.problem;
        if let Some(problem) = problem.as_ref().filter(|_| changed) {
            tracing::warn!(problem, "files of restartOn can't be read: nothing is restarted on them");
        }
        (self.contents, self.problem) = (contents, problem);
        changed
    }

    fn marks(&self) -> Vec<Option<Mark>> {
        self.paths.iter().map(|path| Mark::of(path)).collect()
    }

    /// The hash of all of them.
    fn read(&self) -> Result<Box<str>, String> {
        let read = |path: &PathBuf| hash(path).map_err(|error| format!("restartOn: {}: {error}", path.display()));
        let hashes: String = self.paths.iter().map(read).collect::<Result<_, _>>()?;
        Ok(short_hash(hashes.as_bytes(), HASH_LEN).into())
    }
}

/// The hash of one file.
fn hash(path: &Path) -> io::Result<String> {
    // What is no file may never end, or never begin.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = vec![];
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {BYTES_MAX} bytes")));
    }
    Ok(short_hash(&bytes, FILE_HASH_LEN))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct Folder {
        files: WatchedFiles,
        path: PathBuf,
        _folder: tempfile::TempDir,
    }

    fn folder(contents: Option<&str>) -> Folder {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.conf");
        if let Some(contents) = contents {
            fs::write(&path, contents).expect("written");
        }
        let files = WatchedFiles::begin(&[path.display().to_string()], SECOND);
        Folder { files, path, _folder: folder }
    }

    #[test]
    fn a_change_counts_once_it_has_stayed_for_a_look_and_the_same_contents_are_no_change() {
        let mut it = folder(Some("a"));
        let first = it.files.contents().clone();
        assert!(matches!(first, Contents::Read(_)) && !it.files.look(2 * SECOND));
        fs::write(&it.path, "b, and longer").expect("written");
        assert!(!it.files.look(3 * SECOND), "it may not be whole yet");
        assert!(it.files.look(5 * SECOND));
        assert_ne!(*it.files.contents(), first);
        assert!(!it.files.look(7 * SECOND));
        // Saved anew, as an editor or a ConfigMap does.
        let other = it.path.with_extension("new");
        fs::write(&other, "a").expect("written");
        fs::rename(&other, &it.path).expect("renamed");
        assert!(!it.files.look(9 * SECOND) && it.files.look(11 * SECOND));
        assert_eq!(*it.files.contents(), first);
        fs::write(&other, "a").expect("written");
        fs::rename(&other, &it.path).expect("renamed");
        assert!(!it.files.look(13 * SECOND) && !it.files.look(15 * SECOND), "the contents are the same");
        assert_eq!(it.files.deadline(), Some(17 * SECOND));
    }

    #[test]
    fn what_was_read_last_counts_while_a_file_is_missing() {
        let mut it = folder(Some("a"));
        let first = it.files.contents().clone();
        fs::remove_file(&it.path).expect("removed");
        assert!(!it.files.look(2 * SECOND) && it.files.look(4 * SECOND));
        assert_eq!(*it.files.contents(), first);
        assert!(
            it.files.problem().is_some_and(|problem| problem.contains("settings.conf")),
            "{:?}",
            it.files.problem()
        );
        fs::write(&it.path, "a").expect("written");
        assert!(!it.files.look(6 * SECOND) && it.files.look(8 * SECOND));
        assert_eq!((it.files.problem(), it.files.contents()), (None, &first));
    }

    #[test]
    fn what_can_not_be_read_is_told_and_is_no_contents() {
        assert_eq!(*folder(None).files.contents(), Contents::Unread);
        let large = folder(Some(&"x".repeat((1 << 20) + 1)));
        assert_eq!(*large.files.contents(), Contents::Unread);
        assert!(large.files.problem().is_some_and(|problem| problem.contains("more than 1048576 bytes")));
        let here = WatchedFiles::begin(&["/".into()], SECOND);
        assert_eq!(here.problem(), Some("restartOn: /: it is no file"));
        let none = WatchedFiles::begin(&[], SECOND);
        assert_eq!((none.contents(), none.problem(), none.deadline()), (&Contents::NotAsked, None, None));
    }
}
