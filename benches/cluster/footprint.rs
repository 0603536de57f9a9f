//! How large it is: the program, the image, the memory with the example; and how fast it is ready.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{figures::Figures, stage::Stage};

/// The program as it is shipped.
const PROGRAM: &str = env!("CARGO_BIN_EXE_job-chief");

/// Starts in a run; one takes a tenth of a second.
const STARTS: u32 = 5;

/// From ready until the memory is looked at: several looks at the queues, and the service is up.
const SETTLED: Duration = Duration::from_secs(10);

const MEGABYTE: f64 = 1_000_000.0;

pub(crate) async fn measure(figures: &mut Figures, runs: u32) {
    let size = std::fs::metadata(PROGRAM).unwrap().len() as f64;
    figures.add("the stripped program", "MB", Some("≤ 20"), size / MEGABYTE);
    let folder = tempfile::tempdir().unwrap();
    let image = image(folder.path());
    figures.add("the image, unpacked", "MB", Some("≤ 25"), unpacked(&image) / MEGABYTE);
    figures.add("the image, as a registry keeps it", "MB", None, compressed(&image) / MEGABYTE);

    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs.example.json");
    let stage = Stage::set("bench-footprint").await.with("LOG_LEVEL", "info");
    let mut stage = stage.with("APP_JOBS_CONFIG_PATH", example.to_str().unwrap());
    for _ in 0..runs {
        for start in 1..=STARTS {
            let begun = Instant::now();
            stage.start(&json!([]));
            while stage.get("/readiness").await.is_none_or(|(code, _)| code != 200) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            figures.add("from start to ready", "s", Some("≤ 1"), begun.elapsed().as_secs_f64());
            if start == STARTS {
                tokio::time::sleep(SETTLED).await;
                let resident = stage.resident_kb().await * 1024.0 / MEGABYTE;
                figures.add("resident memory with jobs.example.json", "MB", Some("≤ 20"), resident);
            }
            stage.terminate().await;
        }
    }
}

/// The image's root, of the program that is measured.
fn image(folder: &Path) -> PathBuf {
    let root = folder.join("image");
    let mut script = Command::new("sh");
    script.arg("deploy/image-root.sh").arg(&root).arg(PROGRAM).current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(script.status().unwrap().success());
    root
}

/// The bytes of all files.
fn unpacked(root: &Path) -> f64 {
    let size = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        if path.is_dir() { unpacked(&path) } else { path.metadata().unwrap().len() as f64 }
    };
    std::fs::read_dir(root).unwrap().map(size).sum()
}

/// One layer, packed by gzip as builders do.
fn compressed(root: &Path) -> f64 {
    let mut pack = Command::new("sh");
    let packed = pack.args(["-c", "tar --create --directory \"$0\" . | gzip | wc -c"]).arg(root).output().unwrap();
    String::from_utf8(packed.stdout).unwrap().trim().parse().unwrap()
}
