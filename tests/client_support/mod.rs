//! A broker in this process, and `broker-client` as a program beside it.
// Each test file uses its own part of this; a test fails by a panic.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used)]

mod feigned;
mod wire;

pub use crate::support::runs;
use crate::support::{signal, status};
pub use feigned::{feign, welcome};
use futures::StreamExt;
use ranked_broker::client::{Client, Frame, Frames};
use ranked_broker::config::Config;
use ranked_broker::runtime;
use ranked_broker::server::Server;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
pub use wire::Wire;

/// How long anything may take before a test fails: not an assertion, so long
/// enough for a machine that has much else to do.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub fn broker() -> Server {
    Server::start(Config { port: 0, ..Config::default() }).unwrap()
}

/// Gives what a future gives, within the deadline.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime::block_on(runtime::timeout(DEADLINE, future)).expect("it took too long")
}

pub fn member(server: &Server, name: &str) -> (Client, Frames) {
    wait(Client::connect("127.0.0.1", server.addr.port(), name)).unwrap()
}

/// The first value that `pick` returns for one of the next frames.
pub fn next<T>(frames: &mut Frames, mut pick: impl FnMut(Frame) -> Option<T>) -> T {
    wait(async {
        loop {
            let frame = frames.next().await.expect("the connection ended");
            if let Some(picked) = pick(frame) {
                return picked;
            }
        }
    })
}

pub fn program(port: u16, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker-client"));
    command.args(["127.0.0.1", &port.to_string()]).args(args);
    command
}

/// Runs this for as long as a client of this name holds a rank in `jobs`.
pub fn hold(port: u16, name: &str, options: &[&str], program_and_args: &[&str]) -> Running {
    let args = [&["--name", name, "hold", "jobs"], options, &["--"], program_and_args].concat();
    Running::start(program(port, &args))
}

/// Runs the program on this input to its end.
pub fn run(port: u16, args: &[&str], input: &str) -> (String, String, i32) {
    let mut running = Running::start(program(port, args));
    let mut stdin = running.stdin.take().unwrap();
    let input = input.to_owned();
    let feeder = std::thread::spawn(move || {
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = running.finish();
    feeder.join().unwrap();
    output
}

/// The program while it runs.
pub struct Running {
    child: Child,
    pub stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<(bool, String)>,
    seen: Vec<(bool, String)>,
    /// Where in `seen` to look on for lines of standard error, and of standard output:
    /// which of the two is read first is left to chance.
    passed: [usize; 2],
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (tx, lines) = mpsc::channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let out_tx = tx.clone();
        std::thread::spawn(move || read(out, true, &out_tx));
        std::thread::spawn(move || read(err, false, &tx));
        let stdin = child.stdin.take();
        Running { child, stdin, lines, seen: Vec::new(), passed: [0; 2] }
    }

    pub fn send(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for a line that contains this text, behind the last one found on the same
    /// output.
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut at = self.passed.into_iter().min().unwrap_or(0);
        loop {
            if let Some((out, line)) = self.seen.get(at) {
                at += 1;
                if at > self.passed[usize::from(*out)] && line.contains(text) {
                    self.passed[usize::from(*out)] = at;
                    return line.clone();
                }
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(e) => panic!("no {text:?} came ({e}) after {:#?}", self.seen),
            }
        }
    }

    /// Whether the program has a handler for the signal with this number.
    pub fn hears(&self, signal: u32) -> bool {
        let caught = status(self.child.id(), "SigCgt").unwrap();
        (u64::from_str_radix(&caught, 16).unwrap() >> (signal - 1)) & 1 == 1
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Sends a signal to all of its process group, of which it must be the leader.
    pub fn signal_group(&self, name: &str) {
        signal(format!("-{}", self.child.id()), name);
    }

    fn status(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                self.seen.extend(self.lines.try_iter());
                panic!("it did not end after {:#?}", self.seen);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end with its input still open; gives the exit code.
    pub fn end(&mut self) -> i32 {
        self.status().code().unwrap_or(-1)
    }

    /// Closes its input, waits for its end; gives output, notices, exit code.
    pub fn finish(mut self) -> (String, String, i32) {
        drop(self.stdin.take());
        // The pipes may fill while it runs, so they are read first.
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(_) => break,
            }
        }
        let status = self.status();
        let joined = |of: bool| -> String {
            let lines = self.seen.iter().filter(|(out, _)| *out == of);
            lines.fold(String::new(), |all, (_, line)| all + line + "\n")
        };
        (joined(true), joined(false), status.code().unwrap_or(-1))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(pipe: impl std::io::Read, out: bool, tx: &mpsc::Sender<(bool, String)>) {
    for line in BufReader::new(pipe).lines().map_while(Result::ok) {
        if tx.send((out, line)).is_err() {
            return;
        }
    }
}

/// What a finished command wrote.
pub fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
