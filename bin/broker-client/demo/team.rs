//! Several members, each a process of its own: one can be stopped or killed
//! from another terminal, and the others be seen to close ranks.

use super::Settings;
use super::status::say;
use async_signal::{Signal, Signals};
use futures::StreamExt;
use ranked_broker::client::hold::launch;
use ranked_broker::client::signals;
use rustix::process::{self, Pid, kill_process};
use std::ffi::OsString;
use std::io;
use std::process::{Child, Stdio};

/// The first members' names; later ones have numbers.
const NAMES: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

const TEAM: &str = "demo";

/// Starts so many members and waits until the last of them has ended, or a
/// signal ends them all; gives the exit code.
pub(super) async fn run(settings: &Settings, number: usize) -> u8 {
    // Before any member starts, so that none can end unnoticed.
    let mut signals = match hear_signals() {
        Ok(signals) => signals,
        Err(e) => return failed(&e),
    };
    let mut members = Vec::new();
    for at in 0..number {
        match Process::start(settings, at) {
            Ok(member) => members.push(member),
            // Those that have been started end with this process.
            Err(e) => return failed(&e),
        }
    }
    say(TEAM, "try: kill PID (takes its leave), kill -9 PID (is lost)");
    while !members.is_empty() {
        match signals.next().await {
            // One signal may stand for several members that have ended.
            Some(Ok(Signal::Child)) => members.retain_mut(|member| !member.has_ended()),
            _ => members.iter().for_each(Process::stop),
        }
    }
    0
}

/// Listens to the signals that end the team, and to the one for a member's end.
fn hear_signals() -> io::Result<Signals> {
    let mut signals = signals::listen([Signal::Term, Signal::Int, Signal::Hup])?;
    signals.add_signals([Signal::Child])?;
    Ok(signals)
}

fn failed(error: &io::Error) -> u8 {
    say(TEAM, &format!("cannot start: {error}"));
    1
}

struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts a member that is killed if this process is.
    fn start(settings: &Settings, at: usize) -> io::Result<Process> {
        let name = match (&settings.name, NAMES.get(at)) {
            (Some(name), _) => format!("{name}-{}", at + 1),
            (None, Some(name)) => (*name).to_owned(),
            (None, None) => format!("member-{}", at + 1),
        };
        let Settings { host, port, channel, every, .. } = settings;
        let (port, every) = (port.to_string(), every.to_string());
        let own = std::env::current_exe()?.into_os_string();
        let arguments =
            [host, &port, "demo", "--name", &name, "--channel", channel, "--every", &every];
        let line: Vec<OsString> =
            [own].into_iter().chain(arguments.into_iter().map(OsString::from)).collect();
        let child = launch::command(&line)?.stdin(Stdio::null()).spawn()?;
        say(TEAM, &format!("{name} is process {}", child.id()));
        Ok(Process { name, child })
    }

    /// Asks it to leave. It has not been waited for, so its pid is still its own.
    fn stop(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, process::Signal::TERM);
        }
    }

    fn has_ended(&mut self) -> bool {
        match self.child.try_wait() {
            Ok(None) => false,
            Ok(Some(status)) => {
                say(TEAM, &format!("{} has ended ({status})", self.name));
                true
            }
            Err(_) => true,
        }
    }
}
