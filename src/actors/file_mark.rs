//! Whether a file has changed.

use std::{fs::Metadata, os::unix::fs::MetadataExt, path::Path};

/// What distinguishes one state of the file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    size: u64,
}

impl Mark {
    /// That of a file, taken before it is read; `None` where there is none.
    pub fn of(path: &Path) -> Option<Self> {
        let of = |data: Metadata| Self {
            device: data.dev(),
            inode: data.ino(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
            size: data.len(),
        };
        std::fs::metadata(path).ok().map(of)
    }
}
