//! A broker in a process of its own, for tests about the process.

use super::{DEADLINE, eventually, process};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Instant;

pub struct Child {
    process: std::process::Child,
    // `&mut` suffices to read it, so nobody ever waits for the lock.
    out: Mutex<Receiver<String>>,
    complaint: Option<JoinHandle<String>>,
    addr: Option<SocketAddr>,
}

impl Child {
    /// Starts a broker on a port that the system chooses.
    pub fn start() -> Child {
        let mut child = Child::run(&["127.0.0.1", "0"]);
        child.listen();
        child
    }

    /// The most bytes of memory that it has had so far.
    pub fn peak_memory(&self) -> u64 {
        self.memory("VmHWM")
    }

    /// The bytes of memory that it has now.
    pub fn resident_memory(&self) -> u64 {
        self.memory("VmRSS")
    }

    fn memory(&self, which: &str) -> u64 {
        let found = process::status(self.id(), which).expect("it runs");
        found.trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Starts one with these settings, on a port that the system chooses.
    pub fn with(settings: &[&str]) -> Child {
        let mut child = Child::run(&[&["127.0.0.1", "0"], settings].concat());
        child.listen();
        child
    }

    /// Starts one with these settings, and this in its environment.
    pub fn with_environment(settings: &[&str], environment: &[(&str, &str)]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
        command.args(["127.0.0.1", "0"]).args(settings).envs(environment.iter().copied());
        let mut child = Child::spawn(command);
        child.listen();
        child
    }

    /// Starts one under a program such as `fiu-run`, with these settings.
    pub fn under(program: &[&str], settings: &[&str]) -> Child {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]);
        command.arg(env!("CARGO_BIN_EXE_broker")).args(["127.0.0.1", "0"]).args(settings);
        let mut child = Child::spawn(command);
        child.listen();
        child
    }

    /// Starts one with this limit on its open files, and these options.
    pub fn with_files(max: usize, options: &[&str]) -> Child {
        let script = format!("ulimit -n {max} && exec \"$0\" 127.0.0.1 0 \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_broker")]).args(options);
        let mut child = Child::spawn(command);
        child.listen();
        child
    }

    /// Starts one with these arguments, and does not wait until it listens.
    pub fn run(args: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
        command.args(args);
        Child::spawn(command)
    }

    fn spawn(mut command: Command) -> Child {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the broker's binary runs");
        let (tx, out) = channel();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tx.send(line)));
        let mut err = process.stderr.take().unwrap();
        let complaint = std::thread::spawn(move || {
            let mut text = Vec::new();
            // What it said before its end is worth having.
            let _ = err.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Child { process, out: Mutex::new(out), complaint: Some(complaint), addr: None }
    }

    /// Waits until it says where it listens.
    fn listen(&mut self) {
        assert!(self.listens(), "it says where it listens");
    }

    /// Waits until it says where it listens. Returns `false` if it ends instead.
    pub fn listens(&mut self) -> bool {
        loop {
            let line = match self.out.get_mut().unwrap().recv_timeout(DEADLINE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("it neither listens nor ends"),
            };
            let addr = line.split_once(" listening on ");
            if let Some(addr) = addr.and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()) {
                self.addr = Some(addr);
                return true;
            }
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr.expect("it listens")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as a failing machine does, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal("KILL");
        self.ended();
    }

    /// Sends it a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        process::signal(self.id(), name);
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the broker has ended", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// What it has said on standard error, once it has ended.
    pub fn complaint(&mut self) -> String {
        self.ended();
        self.complaint.take().unwrap().join().unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
