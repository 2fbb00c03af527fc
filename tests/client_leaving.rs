//! How `broker-client` ends, and what it waits for.
// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client_support;
mod support;

use client_support::{Running, broker, feign, program, run};
use std::io::{BufRead, BufReader};
use support::{Child, eventually};

/// Signals, as the system numbers them.
const HUP: u32 = 1;
const TERM: u32 = 15;

/// Regression: a script that asked for a job and ended with that was told nothing.
#[test]
fn it_waits_for_the_results_of_its_jobs() {
    let broker = Child::start();
    let (out, err, code) = run(broker.addr().port(), &["-c", "fib 10", "-c", "fib 12"], "");
    assert!(out.contains("job 1 done 55\n") && out.contains("job 2 done 144\n"), "{out}{err}");
    assert_eq!(code, 0, "{err}");
    let (out, _, code) = run(broker.addr().port(), &[], "fib 5000000\ncancel 3\n");
    assert!(out.ends_with("job 3 cancelled\n") || out.contains("\njob 3 cancelled\n"), "{out}");
    assert_eq!(code, 0);
}

/// Regression: the broker answered in JSON from then on, and the client waited for ever
/// for lines that it could read.
#[test]
fn json_is_not_asked_for() {
    let server = broker();
    let port = server.addr.port();
    let (out, err, code) = run(port, &["-c", "hello --format json", "-c", "version"], "");
    assert!(out.starts_with("ok version"), "{out}");
    assert!(err.contains("this client speaks text"), "{err}");
    assert_eq!(code, 1);
    let (_, err, code) = run(port, &[], "hello --name a --format=json\nping\n");
    assert!(err.contains("hello --format json is not sent"), "{err}");
    assert_eq!(code, 1);
    assert_eq!(run(port, &["-c", "hello --format text"], "").2, 0);
}

/// Regression: nothing was said, and a line of the progress was left on the terminal.
#[test]
fn an_interrupted_sequence_says_how_to_go_on() {
    // A server that accepts connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let state = tempfile::tempdir().unwrap();
    for (signal, expected) in [("INT", 130), ("TERM", 143)] {
        let mut command = program(port, &["numbers", "10"]);
        command.env("XDG_STATE_HOME", state.path());
        let running = Running::start(command);
        let (_connection, _) = silent.accept().unwrap();
        eventually("it hears signals", || running.hears(TERM));
        running.signal(signal);
        let (out, err, code) = running.finish();
        let hint = format!("to go on, broker-client 127.0.0.1 {port} numbers --continue\n");
        assert!(err.ends_with(&hint), "{err}");
        assert_eq!((out.as_str(), code), ("", expected));
    }
}

/// Nothing was published, and the exit code said that it was.
#[test]
fn an_interrupt_that_leaves_a_request_unanswered_is_no_success() {
    for signal in ["INT", "TERM", "HUP"] {
        let (tx, heard) = std::sync::mpsc::channel();
        let port = feign(move |_, line| {
            let _ = tx.send(line.to_owned());
            Some(String::new())
        });
        let running = Running::start(program(port, &["-c", "pub n important"]));
        while heard.recv_timeout(client_support::DEADLINE).unwrap() != "pub n important" {}
        running.signal(signal);
        let (out, err, code) = running.finish();
        assert_eq!((out.as_str(), code), ("", 130), "{signal}: {err}");
    }
}

/// Regression: `nohup` was of no use, the client died with the terminal.
#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    // A server that accepts connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let state = tempfile::tempdir().unwrap();
    let all = [
        (&["numbers", "10"][..], 143),
        (&["--follow"], 0),
        (&["hold", "ops", "--", "true"], 143),
        (&["demo"], 0),
        (&["demo", "--members", "2"], 0),
    ];
    for (arguments, expected) in all {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
        command.arg(env!("CARGO_BIN_EXE_broker-client")).args(["127.0.0.1", &port]);
        command.args(arguments).env("XDG_STATE_HOME", state.path());
        let running = Running::start(command);
        let (_connection, _) = silent.accept().unwrap();
        eventually("it hears signals", || running.hears(TERM));
        assert!(!running.hears(HUP), "{arguments:?}");
        running.signal("HUP");
        running.signal("TERM");
        let (_, err, code) = running.finish();
        assert_eq!(code, expected, "{err}");
    }
}

/// Regression: the client connected again, never sent `quit`, and waited for ever.
#[test]
fn a_reply_that_is_lost_is_not_waited_for() {
    let port = feign(|number, line| match line.split(' ').next() {
        Some("pub") if number == 0 => None,
        Some("quit") => Some("bye quit\n".into()),
        Some("#") => Some(String::new()),
        verb => Some(format!("ok {}\n", verb.unwrap_or_default())),
    });
    let (_, err, code) = run(port, &["--reconnect", "-c", "pub n hi"], "");
    assert!(err.contains("1 requests have no reply"), "{err}");
    assert_eq!(code, 1, "{err}");
}

/// The input ends, and the broker does not come back.
#[test]
fn without_a_broker_nobody_waits_for_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut script = Running::start(program(port, &["--reconnect"]));
    script.send("pub n hi");
    let (connection, _) = listener.accept().unwrap();
    drop(listener);
    assert!(BufReader::new(connection).lines().any(|line| line.unwrap() == "pub n hi"));
    script.expect("1 requests have no reply");
    script.expect("connecting again in");
    assert_eq!(script.finish().2, 1);
}
