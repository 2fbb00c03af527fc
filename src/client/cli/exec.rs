//! Running the programs that the operator has named, and no others.
//!
//! A program gets the arguments of the command as its arguments, never through
//! a shell. Commands of one channel run one after the other, in order.

use crate::client::event::Command;
use crate::client::hold::keeper::{self, Kept};
use crate::client::hold::leash::{Action, Leash};
use crate::moment::Moment;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// Programs that run at once: commands come from others, and must not be able
/// to bring this machine down.
const RUNNING_MAX: usize = 4;

/// Commands that wait for a program to end; one more is refused.
const QUEUED_MAX: usize = 64;

/// Bytes of a program's output that its acknowledgement carries.
const OUTPUT_BYTES_MAX: usize = 4096;

/// How often a running program is looked at, if it says nothing.
const LOOK: Duration = Duration::from_millis(50);

/// How long a program that is told to end may take for it.
pub const END_GRACE: Duration = Duration::from_secs(5);

/// What the programs are told.
const ORDER_NONE: u8 = 0;
const ORDER_END: u8 = 1;
const ORDER_KILL: u8 = 2;

/// The code of a command that was not run: there are too many (`EX_TEMPFAIL`).
pub const CODE_BUSY: i32 = 75;
const CODE_TIMED_OUT: i32 = 124;
const CODE_NOT_RUNNABLE: i32 = 126;
const CODE_NOT_FOUND: i32 = 127;
const CODE_INTERRUPTED: i32 = 130;

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    /// What it wrote, as much as is kept.
    pub text: String,
}

/// The programs that may run, and the commands that wait for them.
#[derive(Debug)]
pub struct Runner {
    programs: HashMap<String, PathBuf>,
    timeout: Duration,
    queue: VecDeque<Command>,
    busy: HashSet<String>,
    order: Arc<AtomicU8>,
}

/// A program ready to be run on a thread of its own.
#[derive(Debug)]
pub struct Run {
    /// The command it executes.
    pub command: Command,
    program: PathBuf,
    timeout: Duration,
    order: Arc<AtomicU8>,
}

impl Runner {
    /// Runs these programs, by the name of the command, each for at most
    /// `timeout`.
    pub fn new(programs: HashMap<String, PathBuf>, timeout: Duration) -> Self {
        let (queue, busy, order) = Default::default();
        Runner { programs, timeout, queue, busy, order }
    }

    /// Whether there is a program for commands of this name.
    pub fn knows(&self, name: &str) -> bool {
        self.programs.contains_key(name)
    }

    /// Takes a command. Gives it back if too many wait already.
    ///
    /// # Errors
    /// The command.
    pub fn submit(&mut self, command: Command) -> Result<(), Command> {
        if self.queue.len() >= QUEUED_MAX {
            return Err(command);
        }
        self.queue.push_back(command);
        Ok(())
    }

    /// The next program that may run now.
    pub fn start_next(&mut self) -> Option<Run> {
        if self.busy.len() >= RUNNING_MAX {
            return None;
        }
        let at = self.queue.iter().position(|command| !self.busy.contains(&command.channel))?;
        let command = self.queue.remove(at)?;
        let program = self.programs.get(&command.name)?.clone();
        self.busy.insert(command.channel.clone());
        Some(Run { command, program, timeout: self.timeout, order: self.order.clone() })
    }

    /// The program of a command on this channel has ended.
    pub fn ended(&mut self, channel: &str) {
        self.busy.remove(channel);
    }

    /// Whether nothing runs or waits.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.busy.is_empty()
    }

    /// Tells everything that runs to end, kills what has not after [`END_GRACE`], and
    /// forgets what waits.
    pub fn stop(&mut self) {
        self.queue.clear();
        self.order.fetch_max(ORDER_END, Ordering::Release);
    }

    /// Kills everything that runs, and forgets what waits.
    pub fn kill(&mut self) {
        self.queue.clear();
        self.order.fetch_max(ORDER_KILL, Ordering::Release);
    }
}

impl Run {
    /// Runs the program to its end. Blocks.
    pub fn run(&self) -> Ended {
        match self.start() {
            Ok((program, output)) => self.watch(program, output),
            Err(e) => {
                let missing = e.kind() == io::ErrorKind::NotFound;
                let code = if missing { CODE_NOT_FOUND } else { CODE_NOT_RUNNABLE };
                Ended { code, text: format!("cannot run {}: {e}", self.program.display()) }
            }
        }
    }

    /// Starts it in a group of its own, so it can be ended with all that it has
    /// started, and an interrupt from the terminal does not reach it; and so that
    /// it ends with this process.
    fn start(&self) -> io::Result<(Kept, PipeReader)> {
        let (output, input) = io::pipe()?;
        let (also_input, stdin) = (input.try_clone()?, File::open("/dev/null")?);
        let command = &self.command;
        let mut line: Vec<OsString> = vec![self.program.clone().into()];
        line.extend(command.args.iter().map(OsString::from));
        let program = keeper::start(&line, stdin.as_fd(), |program| {
            program
                .env("BROKER_CHANNEL", &command.channel)
                .env("BROKER_SEQ", command.seq.to_string())
                .env("BROKER_FROM", &command.from)
                .env("BROKER_FROM_RANK", command.from_rank.to_string())
                .env("BROKER_FROM_TERM", command.from_term.to_string())
                .stdout(input)
                .stderr(also_input);
        })?;
        Ok((program, output))
    }

    fn watch(&self, mut program: Kept, mut output: PipeReader) -> Ended {
        let mut leash = Leash::new(Moment::now().after(self.timeout + END_GRACE), END_GRACE);
        let mut told = None;
        let mut kept = Vec::new();
        let mut total = 0;
        let mut open = true;
        let status = loop {
            match program.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) => {}
                Err(_) => break None,
            }
            let order = self.order.load(Ordering::Acquire);
            let action = match order {
                ORDER_KILL => Action::Kill,
                ORDER_END if told.is_none() => leash.end(Moment::now()),
                _ => leash.act(Moment::now()),
            };
            if action != Action::Nothing {
                let is_late = order == ORDER_NONE;
                told.get_or_insert(if is_late { CODE_TIMED_OUT } else { CODE_INTERRUPTED });
                program.carry_out(action);
            }
            if action == Action::Kill {
                break None;
            }
            if open {
                open = read_some(&mut output, LOOK, &mut kept, &mut total);
            } else {
                // It has closed its output: it ends now, or it is a daemon.
                std::thread::sleep(LOOK / 10);
            }
        };
        if told.is_some() {
            // With what it has started.
            program.kill();
        } else {
            program.dismiss();
        }
        while open && total < 1024 * 1024 && is_ready(&output, Duration::ZERO) {
            open = read_some(&mut output, Duration::ZERO, &mut kept, &mut total);
        }
        let mut text = String::from_utf8_lossy(&kept).trim_end().to_owned();
        if total > kept.len() {
            text.push_str(" [the rest of the output is left out]");
        }
        match told {
            Some(code) => self.ended(code, &text),
            None => Ended { code: status.map_or(CODE_NOT_RUNNABLE, exit_code), text },
        }
    }

    /// The result of a program that was told to end, whatever its exit code.
    fn ended(&self, code: i32, text: &str) -> Ended {
        let why = if code == CODE_TIMED_OUT {
            format!("[ended after {} s]", self.timeout.as_secs_f64())
        } else {
            "[interrupted]".to_owned()
        };
        Ended { code, text: format!("{text} {why}").trim_start().to_owned() }
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn is_ready(output: &PipeReader, wait: Duration) -> bool {
    let mut fds = [PollFd::new(output, PollFlags::IN)];
    // More seconds than the system can count are as good as no end.
    let wait = Timespec::try_from(wait).ok();
    poll(&mut fds, wait.as_ref()).is_ok_and(|ready| ready > 0)
}

/// Reads what there is, and keeps as much as an acknowledgement carries. False
/// at the end.
fn read_some(
    output: &mut PipeReader,
    wait: Duration,
    kept: &mut Vec<u8>,
    total: &mut usize,
) -> bool {
    if !is_ready(output, wait) {
        return true;
    }
    let mut piece = [0; 4096];
    let Ok(count @ 1..) = output.read(&mut piece) else { return false };
    *total += count;
    let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
    kept.extend_from_slice(&piece[..count.min(room)]);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::event::Frame;

    fn command(channel: &str, line: &str) -> Command {
        match Frame::parse(&format!("cmd {channel} 7 alice 0 1 {line}")) {
            Frame::Command(command) => command,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_channel_runs_one_program_at_a_time_and_all_only_a_few() {
        let programs = [("go".to_owned(), "/bin/true".into())].into();
        let mut runner = Runner::new(programs, Duration::from_secs(60));
        for channel in ["a", "a", "b", "c", "d", "e"] {
            runner.submit(command(channel, "go")).unwrap();
        }
        let running: Vec<_> =
            std::iter::from_fn(|| runner.start_next()).map(|run| run.command.channel).collect();
        assert_eq!(running, ["a", "b", "c", "d"]);
        runner.ended("a");
        assert_eq!(runner.start_next().unwrap().command.channel, "a");
        assert!(runner.start_next().is_none());
        for _ in 0..QUEUED_MAX - 1 {
            runner.submit(command("f", "go")).unwrap();
        }
        assert!(runner.submit(command("f", "go")).is_err());
    }

    #[test]
    fn output_is_waited_for_to_the_end_of_the_time() {
        let (output, _input) = io::pipe().unwrap();
        let began = std::time::Instant::now();
        let wait = Duration::from_millis(1_020);
        assert!(!is_ready(&output, wait) && began.elapsed() >= wait);
    }
}
