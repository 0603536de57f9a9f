//! Where things are: the repository, and what belongs to the cluster.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// The folder of everything that belongs to the cluster.
pub(crate) fn folder() -> PathBuf {
    root().join("target/cluster")
}

/// A folder in the cluster's, made if need be.
pub(crate) fn subfolder(name: &str) -> anyhow::Result<PathBuf> {
    let path = folder().join(name);
    fs::create_dir_all(&path).with_context(|| format!("can't make {}", path.display()))?;
    Ok(path)
}
