//! What the broker logs: one event a line, in the form that was asked for, and
//! without ever waiting for whoever reads it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // clippy.toml allows it in tests, but not in their helpers

mod support;

use rustix::fs::fstat;
use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use support::DEADLINE;

/// A broker whose standard error is a pipe of the test's.
struct Logging {
    child: Child,
    addr: SocketAddr,
    log: PipeReader,
}

impl Logging {
    fn start(args: &[&str], in_journal: bool) -> Logging {
        let (log, end) = std::io::pipe().unwrap();
        let stat = fstat(&end).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
        command.args(["127.0.0.1", "0"]).args(args).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(end).env_remove("RUST_LOG");
        if in_journal {
            command.env("JOURNAL_STREAM", format!("{}:{}", stat.st_dev, stat.st_ino));
        } else {
            // As if it was handed on to a program whose standard error goes elsewhere.
            command.env("JOURNAL_STREAM", format!("{}:{}", stat.st_dev, stat.st_ino + 1));
        }
        let mut child = command.spawn().unwrap();
        let mut first = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut first).unwrap();
        let addr = first.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Logging { child, addr, log }
    }

    /// Says this, and reads until the broker ends the connection. Returns the address
    /// that the connection came from.
    fn say(&self, text: &str) -> SocketAddr {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream.read_to_string(&mut String::new()).unwrap();
        stream.local_addr().unwrap()
    }

    /// Stops the broker; gives all that it has logged.
    fn stop(mut self) -> Vec<String> {
        support::signal(self.child.id(), "TERM");
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        assert!(self.child.wait().unwrap().success());
        log.lines().map(str::to_owned).collect()
    }
}

fn with<'a>(lines: &'a [String], text: &str) -> &'a str {
    lines.iter().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{text} in {lines:#?}"))
}

#[test]
fn every_closed_connection_is_in_the_log_with_its_address_and_reason() {
    let broker = Logging::start(&["--log-format", "logfmt", "--max-line", "512"], false);
    let quit = broker.say("hello --name alice\nquit\n");
    let too_long = broker.say(&"x".repeat(600));
    broker.say("GET /livez HTTP/1.1\r\nhost: broker\r\nconnection: close\r\n\r\n");
    let (log, version) = (broker.stop(), env!("CARGO_PKG_VERSION"));
    assert!(!log.iter().any(|line| line.contains("dialect=http")), "one a request: {log:#?}");
    for line in &log {
        assert!(line.starts_with("time=20") && line.contains(" level=info event="), "{line}");
    }
    with(&log, &format!(" version={version}"));
    let closed = format!(" event=closed addr={quit} client=alice dialect=text reason=quit secs=0.");
    with(&log, &closed);
    let closed = with(&log, &format!(" event=closed addr={too_long} client=guest-"));
    assert!(closed.contains(" reason=too-long "), "{closed}");
    assert!(log.last().unwrap().ends_with(" event=stopped"), "{log:?}");
}

/// That a client does not come back is no anomaly.
#[test]
fn a_session_whose_grace_is_over_has_ended() {
    let settings = ["--log-format", "logfmt", "--session-grace", "50ms"];
    let broker = Logging::start(&settings, false);
    let mut alice = TcpStream::connect(broker.addr).unwrap();
    alice.write_all(b"hello --name alice\nsub c --create\n").unwrap();
    let mut replies = BufReader::new(&alice).lines();
    assert!(replies.next().unwrap().unwrap().starts_with("ok hello"));
    assert!(replies.next().unwrap().unwrap().starts_with("ok sub"));
    drop(alice);
    let mut log = BufReader::new(&broker.log).lines().map(Result::unwrap);
    let ended = log.find(|line| line.contains(" event=session-")).unwrap();
    assert!(ended.contains(" event=session-ended client=alice session="), "{ended}");
    assert!(ended.ends_with(" reason=\"its grace is over\""), "{ended}");
    drop(log);
    broker.stop();
}

#[test]
fn json_is_json_whatever_strangers_say() {
    let broker = Logging::start(&["--log-format", "json"], false);
    let mut alice = TcpStream::connect(broker.addr).unwrap();
    let mut replies = BufReader::new(alice.try_clone().unwrap()).lines();
    let mut ask = |stream: &mut TcpStream, line: &str| {
        stream.write_all(line.as_bytes()).unwrap();
        replies.next().unwrap().unwrap()
    };
    assert!(ask(&mut alice, "hello --name alice\n").starts_with("ok hello"));
    assert!(ask(&mut alice, "sub c --create\n").starts_with("ok sub"));
    let mut bob = TcpStream::connect(broker.addr).unwrap();
    bob.write_all(b"hello --name bob\nsub c\n").unwrap();
    assert_eq!(replies.next().unwrap().unwrap(), "join c 2 bob 1");
    alice.write_all("kick c bob \"a\u{1b}[2J\\\" event=forged\"\n".as_bytes()).unwrap();
    assert_eq!(replies.next().unwrap().unwrap(), "ok kick c bob");
    let log = broker.stop();
    let events: Vec<serde_json::Value> =
        log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kicked = events.iter().find(|event| event["event"] == "kicked").unwrap();
    assert_eq!((&kicked["member"], &kicked["by"]), (&"bob".into(), &"alice".into()));
    assert_eq!(kicked["reason"], "a\u{1b}[2J\" event=forged");
    assert!(events.iter().all(|event| event["event"] != "forged"));
    assert!(kicked["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn the_journal_notes_the_time_itself() {
    let broker = Logging::start(&["--log-format", "logfmt"], true);
    broker.say("quit\n");
    let log = broker.stop();
    assert!(log.iter().all(|line| line.starts_with("<6>level=info event=")), "{log:#?}");
}

#[test]
fn nobody_waits_for_whoever_does_not_read_the_log() {
    let broker = Logging::start(&[], false);
    // A pipe holds 64 KiB, and each of these makes a line of some 100 bytes.
    for _ in 0..1_500 {
        broker.say("quit\n");
    }
    let log = broker.stop();
    let closed = log.iter().filter(|line| line.contains("event=closed")).count();
    assert_eq!(closed, 1_500);
}
