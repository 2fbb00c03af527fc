//! Disks that fail: a small one that fills up, and one whose calls fail.

use super::{Broker, Child, skip};
use std::path::Path;
use std::process::Command;

/// What `mount` says when the machine does not let its user.
const NOT_ALLOWED: [&str; 4] =
    ["must be superuser", "only root can", "permission denied", "not permitted"];

/// A small file system of its own.
pub struct Small(tempfile::TempDir);

impl Small {
    /// Mounts one; `None` if that cannot be.
    #[track_caller]
    pub fn mount() -> Option<Small> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(dir.path());
        let refusal = match mount.env("LC_ALL", "C").output() {
            Ok(done) if done.status.success() => return Some(Small(dir)),
            Ok(done) => String::from_utf8_lossy(&done.stderr).trim().to_owned(),
            Err(e) => format!("mount: {e}"),
        };
        if NOT_ALLOWED.iter().any(|words| refusal.contains(words)) {
            // Nothing that could be installed would change that.
            eprintln!("SKIPPED: this user may not mount a small file system: {refusal}");
        } else {
            skip(&refusal);
        }
        None
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves no room at all.
    pub fn fill(&self) {
        let mut ballast = std::fs::File::create(self.0.path().join("ballast")).unwrap();
        let piece = vec![1; 64 * 1024];
        while std::io::Write::write_all(&mut ballast, &piece).is_ok() {}
    }

    /// Takes back what [`Small::fill`] did.
    pub fn make_room(&self) {
        std::fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// A broker in a process beneath which failures can be injected, and the path by which
/// [`inject`] does; `None` if `fiu-run` is not installed.
#[track_caller]
pub fn with_failures(dir: &Path, settings: &[&str]) -> Option<(Broker, String)> {
    if Command::new("fiu-run").arg("-h").output().is_err() {
        skip("fiu-run is not installed (Debian: fiu-utils)");
        return None;
    }
    let control = dir.join("control").to_str().unwrap().to_owned();
    let program = ["fiu-run", "-x", "-f", &control];
    let data = dir.join("data");
    let child = Child::under(&program, &[&["--data", data.to_str().unwrap()], settings].concat());
    Some((Broker::from_child(child), control))
}

/// Tells `fiu` what is to fail from now on.
pub fn inject(control: &str, command: &str, pid: u32) {
    let mut fiu = Command::new("fiu-ctrl");
    let done = fiu.args(["-f", control, "-c", command]).arg(pid.to_string()).status().unwrap();
    assert!(done.success());
}
