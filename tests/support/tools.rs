//! Tools of other languages, installed into `target/` when a test needs them first.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The versions that there were when this was written.
const REDIS_PY: &str = "redis>=5.2,<9";

/// Says aloud that a test is skipped because something is missing, and fails if
/// `REQUIRE_TEST_TOOLS` is set.
#[track_caller]
pub fn skip(why: &str) {
    assert!(std::env::var_os("REQUIRE_TEST_TOOLS").is_none(), "{why}");
    eprintln!("SKIPPED: {why}");
}

/// Runs what installs something.
pub fn install(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let done = command.stdin(Stdio::null()).output().map_err(|e| format!("{shown}: {e}"))?;
    let complaint = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(format!("{shown}: {complaint}")) }
}

/// A folder in `target/` that is filled once, however many tests want it.
pub fn installed(
    name: &str,
    fill: impl Fn(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients").join(name);
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let lock = std::fs::File::create(folder.join("lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    let done = folder.join("done");
    if !done.exists() {
        fill(&folder)?;
        std::fs::write(done, "").map_err(|e| e.to_string())?;
    }
    Ok(folder)
}

/// A Python that has redis-py.
pub fn redis_py() -> Result<PathBuf, String> {
    let folder = installed("redis-py", |folder| {
        install(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let pip = folder.join("bin/pip");
        install(Command::new(pip).args(["install", "--quiet", "--no-input", REDIS_PY]))
    })?;
    Ok(folder.join("bin/python"))
}
