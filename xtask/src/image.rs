//! Images without a registry: one layer, packed as `docker save` would, loaded into containerd.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    build::{go_program, image_root},
    folders::subfolder,
    programs::need,
};

/// The image of the example worker.
pub(crate) const WORKER: &str = "job-chief.test/worker:dev";

/// The image of job-chief.
pub(crate) const JOB_CHIEF: &str = "job-chief.test/job-chief:dev";

/// A shell for the tests.
pub(crate) const BUSYBOX: &str = "job-chief.test/busybox:dev";

/// What holds a pod's sandbox open.
pub(crate) const PAUSE: &str = "job-chief.test/pause:dev";

/// An image to be packed.
struct Image<'a> {
    name: &'a str,
    entrypoint: &'a str,
    command: &'a [&'a str],
    user: &'a str,
    workdir: &'a str,
}

/// What the small images have in common.
const PLAIN: Image<'_> = Image { name: WORKER, entrypoint: "/worker", command: &[], user: "65532:65532", workdir: "/" };

/// The archives of all images but job-chief's own.
pub(crate) fn small_ones() -> anyhow::Result<Vec<PathBuf>> {
    let pause = go_program("testenv/pause", "main.go", "pause")?;
    let busybox = need("busybox")?;
    Ok(vec![
        worker()?,
        Image { name: PAUSE, entrypoint: "/pause", ..PLAIN }.pack(&files("pause", &[(&pause, "pause")])?)?,
        Image { name: BUSYBOX, entrypoint: "/bin/busybox", user: "0:0", ..PLAIN }
            .pack(&files("busybox", &[(&busybox, "bin/busybox"), (&busybox, "bin/sh"), (&busybox, "bin/sleep")])?)?,
    ])
}

/// The archive of the example worker's image.
pub(crate) fn worker() -> anyhow::Result<PathBuf> {
    let program = go_program("examples/worker", ".", "worker")?;
    PLAIN.pack(&files("worker", &[(&program, "worker")])?)
}

/// The archive of job-chief's image.
pub(crate) fn job_chief() -> anyhow::Result<PathBuf> {
    let image = Image {
        name: JOB_CHIEF,
        entrypoint: "/usr/local/bin/job-chief",
        command: &["run"],
        user: "65532:65532",
        workdir: "/app",
    };
    image.pack(&image_root()?)
}

/// A folder with some files, as the root of an image.
fn files(name: &str, files: &[(&PathBuf, &str)]) -> anyhow::Result<PathBuf> {
    let folder = subfolder("image")?.join(name);
    for (from, to) in files {
        let to = folder.join(to);
        fs::create_dir_all(to.parent().context("has a parent")?)?;
        fs::copy(from, &to).with_context(|| format!("can't copy {}", from.display()))?;
    }
    fs::create_dir_all(folder.join("tmp"))?;
    Ok(folder)
}

impl Image<'_> {
    /// Packs a folder as the only layer. The same content gives the same archive.
    fn pack(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let mut layer = tar::Builder::new(Vec::new());
        layer.mode(tar::HeaderMode::Deterministic);
        // containerd reads no sparse files.
        layer.sparse(false);
        layer.append_dir_all(".", folder)?;
        let layer = layer.into_inner()?;
        let digest: String = Sha256::digest(&layer).iter().map(|byte| format!("{byte:02x}")).collect();
        let config = json!({
            "architecture": if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {"Entrypoint": [self.entrypoint], "Cmd": self.command, "User": self.user, "WorkingDir": self.workdir},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        });
        let manifest = json!([{"Config": "config.json", "RepoTags": [self.name], "Layers": ["layer.tar"]}]);
        let archive = folder.with_extension("tar");
        let mut outer = tar::Builder::new(File::create(&archive)?);
        for (name, bytes) in [
            ("config.json", config.to_string().into_bytes()),
            ("layer.tar", layer),
            ("manifest.json", manifest.to_string().into_bytes()),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            outer.append_data(&mut header, name, bytes.as_slice())?;
        }
        outer.finish()?;
        Ok(archive)
    }
}
