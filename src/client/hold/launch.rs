//! The last step before the program: a process that asks the system to be killed
//! with its parent, the guard, and then becomes the program. So not even
//! `kill -9` of client and guard together leaves it behind.

use rustix::process::getppid;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command};

const CODE_NOT_RUNNABLE: u8 = 126;
const CODE_NOT_FOUND: u8 = 127;

/// This same program, also when its file has been replaced since it started.
pub(super) fn this_program() -> io::Result<Command> {
    let own = Path::new("/proc/self/exe");
    let mut command =
        if own.exists() { Command::new(own) } else { Command::new(std::env::current_exe()?) };
    command.arg0("broker-client");
    Ok(command)
}

/// How the program is started.
pub(in crate::client) fn command(program: &[OsString]) -> io::Result<Command> {
    let mut command = this_program()?;
    command.args(["hold-exec", "--parent", &process::id().to_string(), "--"]).args(program);
    Ok(command)
}

/// Becomes the program; if that fails, says why and gives the exit code that a
/// shell would.
pub fn become_program(parent: u32, program: &[OsString]) -> u8 {
    let Some((name, args)) = program.split_first() else { return CODE_NOT_FOUND };
    die_with_parent();
    // It may have ended before this process could ask.
    let alive = getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
    if alive != Some(parent) {
        return CODE_NOT_RUNNABLE;
    }
    let error = Command::new(name).args(args).exec();
    super::status::note(&format!("cannot run {}: {error}", name.to_string_lossy()));
    if error.kind() == io::ErrorKind::NotFound { CODE_NOT_FOUND } else { CODE_NOT_RUNNABLE }
}

#[cfg(target_os = "linux")]
fn die_with_parent() {
    // What remains if it fails is the guard, which is enough but for kill -9.
    let kill = Some(rustix::process::Signal::KILL);
    if let Err(e) = rustix::process::set_parent_process_death_signal(kill) {
        log::warn!("the program would outlive a guard that is killed: {e}");
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent() {}
