//! A program that a test talks to, line by line.

use super::{DEADLINE, Dialogue, matches};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;

pub struct Program {
    label: String,
    process: Child,
    out: Receiver<String>,
    complaint: Option<JoinHandle<String>>,
    dialogue: Dialogue,
}

impl Program {
    pub fn start(label: &str, command: &mut Command, dialogue: Dialogue) -> Program {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|e| panic!("{label} does not run: {e}"));
        let (tx, out) = channel();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tx.send(line)));
        let err = BufReader::new(process.stderr.take().unwrap());
        let complaint = std::thread::spawn(move || {
            err.lines().map_while(Result::ok).collect::<Vec<_>>().join("\n")
        });
        Program { label: label.into(), process, out, complaint: Some(complaint), dialogue }
    }

    /// Sends it a line.
    pub fn send(&mut self, line: &str) {
        self.dialogue.note(&self.label, ">", line);
        let input = self.process.stdin.as_mut().expect("its input is open");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("it reads");
    }

    /// Sends it nothing more.
    pub fn end_input(&mut self) {
        self.process.stdin = None;
    }

    /// Its next line; `None` if it has ended.
    pub fn line(&mut self) -> Option<String> {
        match self.out.recv_timeout(DEADLINE) {
            Ok(line) => {
                self.dialogue.note(&self.label, "<", &line);
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("{} says nothing", self.label),
        }
    }

    /// Its next line must be as the pattern says.
    #[track_caller]
    pub fn expect(&mut self, pattern: &str) -> String {
        match self.line() {
            Some(line) if matches(pattern, &line) => line,
            other => {
                let (label, complaint) = (self.label.clone(), self.end());
                panic!("{label} is to say\n  {pattern}\nand says\n  {other:?}\n{complaint}")
            }
        }
    }

    /// Its next lines must be these.
    #[track_caller]
    pub fn expect_all(&mut self, patterns: &[&str]) {
        for pattern in patterns {
            self.expect(pattern);
        }
    }

    /// Reads up to the end; gives all lines.
    pub fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).collect()
    }

    /// Ends it. Returns what it has written to standard error.
    fn end(&mut self) -> String {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.complaint.take().and_then(|complaint| complaint.join().ok()).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}
