//! Input that cannot be read and output that cannot be written are said to be so.
// A test fails by a panic, also in its helpers.
#![cfg(target_os = "linux")] // /dev/full
#![allow(clippy::unwrap_used)]

mod client_support;
mod support;

use client_support::{broker, member, program, text, wait};
use std::fs::File;
use std::process::{Command, Stdio};

/// Runs a program that cannot write its output. Returns what it complains of, and its
/// exit code.
fn into_full(mut command: Command) -> (String, i32) {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdin(Stdio::null()).stdout(full).output().unwrap();
    (text(&output).1, output.status.code().unwrap())
}

fn unwritten(program: &str) -> String {
    format!("{program}: cannot write to standard output: No space left on device (os error 28)\n")
}

/// Regression: it ended with 0, and without a word.
#[test]
fn what_came_and_cannot_be_written_is_1() {
    let server = broker();
    let port = server.addr.port();
    let expected = (unwritten("broker-client"), 1);
    assert_eq!(into_full(program(port, &["-c", "ping"])), expected);

    let (alice, _frames) = member(&server, "alice");
    wait(alice.create("news")).unwrap();
    wait(alice.subscribe("news")).unwrap();
    let args = ["--name", "bob", "--sub", "news", "--follow", "--reconnect"];
    // Its first output is that it has joined.
    assert_eq!(into_full(program(port, &args)), expected);
}

#[test]
fn what_was_asked_for_and_cannot_be_written_is_1() {
    for (name, path, args) in [
        ("broker", env!("CARGO_BIN_EXE_broker"), &["--show-config", "--help", "--man"][..]),
        ("broker-client", env!("CARGO_BIN_EXE_broker-client"), &["--help", "--man", "--version"]),
    ] {
        for arg in args {
            let mut command = Command::new(path);
            command.arg(arg);
            assert_eq!(into_full(command), (unwritten(name), 1), "{name} {arg}");
        }
    }
}

#[test]
fn input_that_cannot_be_read_is_1() {
    let server = broker();
    let mut client = program(server.addr.port(), &[]);
    let output = client.stdin(File::open("/").unwrap()).output().unwrap();
    let expected = "broker-client: cannot read standard input: Is a directory (os error 21)\n";
    assert_eq!((&*text(&output).1, output.status.code()), (expected, Some(1)));
}
