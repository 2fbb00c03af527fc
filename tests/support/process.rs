//! Processes: signals for them, and what the system says of them.

use std::fmt::Display;
use std::process::Command;

/// Sends a process a signal, such as `TERM`; all of a group if its number is negative.
#[track_caller]
pub fn signal(pid: impl Display, name: &str) {
    let pid = pid.to_string();
    let status = Command::new("kill").args(["-s", name, "--", &pid]).status().unwrap();
    assert!(status.success(), "kill -s {name} -- {pid}");
}

/// What the system says of a process under this name, such as `VmRSS`; `None` once it
/// is gone.
pub fn status(pid: u32, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(known, _)| *known == name).map(|(_, value)| value.trim().to_owned())
}

/// Whether a process runs; one that has ended but is not reaped yet does not.
pub fn runs(pid: u32) -> bool {
    status(pid, "State").is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// The process that this one was started by.
pub fn parent(pid: u32) -> Option<u32> {
    status(pid, "PPid")?.parse().ok()
}
