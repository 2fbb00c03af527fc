//! The last step before the program: a process that asks the system to be killed
//! with its parent, waits until there is a [`keeper`] if it is to have one, and
//! then becomes the program.

use super::keeper;
use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::getppid;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

const CODE_NOT_RUNNABLE: u8 = 126;
const CODE_NOT_FOUND: u8 = 127;

/// Where programs are looked for if `PATH` is not set.
const PATH: &str = "/bin:/usr/bin";

/// Returns a command for this same program, even if its file was replaced meanwhile.
pub(super) fn this_program() -> io::Result<Command> {
    let own = Path::new("/proc/self/exe");
    let mut command =
        if own.exists() { Command::new(own) } else { Command::new(std::env::current_exe()?) };
    command.arg0("broker-client");
    Ok(command)
}

/// Sets the name that `ps` shows for this process, which is otherwise `exe`.
pub(super) fn be_called(name: &str) {
    // Where there is no such file the name stays.
    let _ = std::fs::write("/proc/self/comm", name);
}

/// Returns the command that starts a program, which is killed if this process is.
///
/// # Errors
/// If it cannot be told which program this process runs.
pub fn command(program: &[OsString]) -> io::Result<Command> {
    launched(&[], program)
}

/// Returns the command that starts a program that is to have a keeper.
pub(super) fn kept(program: &[OsString]) -> io::Result<Command> {
    launched(&["--kept"], program)
}

fn launched(options: &[&str], program: &[OsString]) -> io::Result<Command> {
    let mut command = this_program()?;
    command.args(["hold-exec", "--parent", &process::id().to_string()]).args(options);
    command.arg("--").args(program);
    Ok(command)
}

/// Becomes the program; if that fails, says why and gives the exit code that a
/// shell would.
pub fn become_program(parent: u32, is_kept: bool, program: &[OsString]) -> u8 {
    let Some((name, args)) = program.split_first() else { return CODE_NOT_FOUND };
    die_with_parent();
    // The parent may have ended before this process could ask.
    let alive = getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
    if alive != Some(parent) {
        return CODE_NOT_RUNNABLE;
    }
    let mut command = Command::new(name);
    command.args(args);
    if !is_kept {
        let error = command.exec();
        cannot_run(name, &error);
        return exit_code(&error);
    }
    let Ok((mut line, stdin)) = keeper::wait() else { return CODE_NOT_RUNNABLE };
    let error = command.stdin(Stdio::from(stdin)).exec();
    // The process that started this one reports it. Success closes the line silently.
    let _ = write!(line, "{}", error.raw_os_error().unwrap_or_default());
    exit_code(&error)
}

/// Whether a program can be run, before its time has come: only a forecast, since
/// another file may have this name by then.
///
/// # Errors
/// When it cannot.
pub(super) fn check(name: &OsStr) -> io::Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
    let places: Vec<PathBuf> = if name.is_empty() {
        Vec::new()
    } else if name.as_encoded_bytes().contains(&b'/') {
        vec![name.into()]
    } else {
        std::env::split_paths(&path).map(|folder| folder.join(name)).collect()
    };
    let mut found = Err(Errno::NOENT.into());
    for place in places.iter().filter(|place| place.exists()) {
        if place.is_file() && access(place, Access::EXEC_OK).is_ok() {
            return Ok(());
        }
        found = Err(Errno::ACCESS.into());
    }
    found
}

/// Says that a program cannot be run, and why.
pub(super) fn cannot_run(name: &OsStr, error: &io::Error) {
    super::status::note(&format!("cannot run {}: {error}", name.to_string_lossy()));
}

/// The exit code that a shell gives for this error.
pub(super) fn exit_code(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound { CODE_NOT_FOUND } else { CODE_NOT_RUNNABLE }
}

#[cfg(target_os = "linux")]
fn die_with_parent() {
    // If that fails, its guard or its keeper remains.
    let kill = Some(rustix::process::Signal::KILL);
    if let Err(e) = rustix::process::set_parent_process_death_signal(kill) {
        log::warn!("the program may outlive what started it: {e}");
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_run_is_known_before_it_is_to_be() {
        let kind = |name: &str| check(OsStr::new(name)).map_err(|e| e.kind());
        // The error text is the system's, as when the program is run.
        let said = check(OsStr::new("/nonexistent/program")).unwrap_err();
        let run = Command::new("/nonexistent/program").spawn().unwrap_err();
        assert_eq!(said.to_string(), run.to_string());
        assert_eq!(kind("sh"), Ok(()));
        assert_eq!(kind("/bin/sh"), Ok(()));
        for name in ["/nonexistent/program", "no-such-program", ""] {
            assert_eq!(kind(name), Err(io::ErrorKind::NotFound), "{name}");
        }
        for name in ["/etc/passwd", "/etc"] {
            assert_eq!(kind(name), Err(io::ErrorKind::PermissionDenied), "{name}");
        }
    }
}
