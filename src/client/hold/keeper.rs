//! The keeper of a program: a small process in the program's own process group that
//! does nothing but hold one end of a line. When the other end is gone, because the
//! process that started the program was killed, it kills its group, itself included: so
//! not even `kill -9` leaves behind what the program has started.
//!
//! Being in that group, it needs no pid, which could be another process's by then. Its
//! command line differs from the others', so that `pkill -f broker-client` does not
//! match it.

use super::launch;
use super::leash::Action;
use super::link::{send_file, take_file};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Pid, Signal, kill_current_process_group, kill_process_group};
use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// Signals that the keeper ignores; sent to the whole group, they are meant for the
/// program.
const NOT_MEANT: [i32; 10] =
    [SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2];

/// A program with its keeper.
#[derive(Debug)]
pub(in crate::client) struct Kept {
    /// The program, whose pid is also its group's.
    pub(in crate::client) child: Child,
    keeper: Option<Keeper>,
}

#[derive(Debug)]
struct Keeper {
    process: Child,
    /// Open for as long as this process lives.
    line: UnixStream,
}

/// Starts a program in a process group of its own, with a keeper that is there
/// before it; `set` sets all but its standard input.
///
/// # Errors
/// When it cannot be run, or not be kept.
pub(in crate::client) fn start(
    program: &[OsString],
    stdin: BorrowedFd<'_>,
    set: impl FnOnce(&mut Command),
) -> io::Result<Kept> {
    let (line, its_end) = UnixStream::pair()?;
    let mut command = launch::kept(program)?;
    set(&mut command);
    let child = command.stdin(Stdio::from(OwnedFd::from(its_end))).process_group(0).spawn()?;
    // The command would hold the other end open, too.
    drop(command);
    let mut kept = Kept { child, keeper: None };
    match kept.go(line, stdin) {
        Ok(()) => Ok(kept),
        Err(e) => {
            kept.kill();
            Err(e)
        }
    }
}

impl Kept {
    fn go(&mut self, mut line: UnixStream, stdin: BorrowedFd<'_>) -> io::Result<()> {
        self.keeper = Some(Keeper::start(self.group())?);
        send_file(&line, stdin)?;
        let mut told = String::new();
        line.read_to_string(&mut told)?;
        match told.parse() {
            Ok(errno) => Err(io::Error::from_raw_os_error(errno)),
            // The line was closed by a successful exec.
            Err(_) => Ok(()),
        }
    }

    /// The program's process group, whose id is the program's pid.
    fn group(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Applies this to the program and what it has started.
    pub(in crate::client) fn carry_out(&self, action: Action) {
        if let Some(group) = self.group() {
            carry_out(action, group);
        }
    }

    /// Kills the program with everything it has started, and waits for it.
    pub(in crate::client) fn kill(&mut self) {
        // The number is still its own: the program is not reaped, or its keeper lives.
        self.carry_out(Action::Kill);
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.dismiss();
    }

    /// Ends the keeper, after the program has ended.
    pub(in crate::client) fn dismiss(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            // Before its line is closed, or it would kill what is left of the group.
            let _ = keeper.process.kill();
            let _ = keeper.process.wait();
        }
    }
}

/// Applies this to the program and what it has started.
pub(super) fn carry_out(action: Action, group: Pid) {
    match action {
        Action::Nothing => {}
        Action::Ask => {
            signal(group, Signal::TERM);
            // A program that is stopped would not hear it.
            signal(group, Signal::CONT);
        }
        Action::Kill => signal(group, Signal::KILL),
    }
}

/// Sends a signal to the program and what it has started. If it has ended there
/// is nobody to signal.
pub(super) fn signal(group: Pid, which: Signal) {
    let _ = kill_process_group(group, which);
}

impl Keeper {
    fn start(group: Option<Pid>) -> io::Result<Keeper> {
        let group = group.ok_or_else(|| io::Error::other("the program has no process id"))?;
        let (line, its_end) = UnixStream::pair()?;
        let process = launch::this_program()?
            .arg0("keeper")
            .arg("hold-keeper")
            .stdin(Stdio::from(OwnedFd::from(its_end)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(group.as_raw_nonzero().get())
            .spawn()?;
        let mut keeper = Keeper { process, line };
        // Waits until the keeper ignores the signals that are not meant for it.
        if let Err(e) = keeper.line.read_exact(&mut [0]) {
            let _ = keeper.process.kill();
            let _ = keeper.process.wait();
            return Err(e);
        }
        Ok(keeper)
    }
}

/// Waits, in the process that is to become the program, until there is a keeper;
/// returns the line to the process that started it, and the program's standard input.
///
/// # Errors
/// When there will be no keeper: the process that started this one is gone.
pub(super) fn wait() -> io::Result<(UnixStream, OwnedFd)> {
    let line = UnixStream::from(fcntl_dupfd_cloexec(io::stdin(), 3)?);
    let stdin = take_file(&line)?;
    Ok((line, stdin))
}

/// Runs the keeper: kills its group once the other end of its standard input is gone.
pub fn keep() -> u8 {
    launch::be_called("keeper");
    for signal in NOT_MEANT {
        // If this fails, such a signal ends the keeper.
        let _ = signal_hook::flag::register(signal, Arc::default());
    }
    let ready = rustix::io::dup(io::stdin()).map(UnixStream::from);
    if let Ok(mut line) = ready {
        let _ = line.write_all(b"\n");
        let _ = io::copy(&mut line, &mut io::sink());
    }
    let _ = kill_current_process_group(Signal::KILL);
    1
}
