//! A limit on a file's size (`ulimit -f`) makes a write fail; it does not end a program
//! without a word.
#![cfg(unix)]

mod support;

use std::process::Command;
use support::{Broker, Child, eventually};

/// Regression: when the log had 4 KiB (8 blocks), the broker was gone.
#[test]
fn a_log_that_may_not_grow_ends_no_broker() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let line = format!("ulimit -f 8; exec \"$@\" 2>'{}'", log.display());
    let mut broker = Broker::from_child(Child::under(&["sh", "-c", &line, "sh"], &[]));
    let mut last = 0;
    eventually("the log does not grow any more", || {
        for at in 0..100 {
            broker.client(&format!("alice-{at}")).ask("quit", "bye quit");
        }
        let before = std::mem::replace(&mut last, log.metadata().unwrap().len());
        last >= 4096 && last == before
    });
    broker.client("bob").ask("ping", "ok ping *");
    broker.child().signal("TERM");
    assert!(broker.child().ended().success());
}

#[test]
fn a_client_says_that_its_output_may_not_grow() {
    let folder = tempfile::tempdir().unwrap();
    let line =
        format!("ulimit -f 0; exec \"$0\" --help >'{}'", folder.path().join("out").display());
    let mut command = Command::new("sh");
    let output = command.args(["-c", &line, env!("CARGO_BIN_EXE_broker-client")]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot write to standard output: File too large"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
