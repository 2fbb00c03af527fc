//! `broker-client hold` on a broker that is killed and started again: with a
//! data directory nobody notices but the log.
// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client_support;
mod support;

use client_support::{Running, program};
use std::path::Path;
use support::{Broker, Child, eventually};

/// A program of this holder, which writes its name and number down as long as it
/// runs.
fn hold(port: u16, name: &str, diary: &Path) -> Running {
    let script = format!("while :; do echo \"{name} $$\" >>{}; sleep 0.02; done", diary.display());
    Running::start(program(port, &["--name", name, "hold", "jobs", "--", "sh", "-c", &script]))
}

fn lines(diary: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(diary).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_holder_holds_on_across_a_kill_of_the_broker_and_another_follows_it_after() {
    let data = tempfile::tempdir().unwrap();
    let diary = data.path().join("diary");
    let dir = data.path().join("broker");
    let settings = ["--data", dir.to_str().unwrap(), "--lease", "4s", "--guard", "300ms"];
    let first = Child::with(&settings);
    let port = first.addr().port();
    let holder = hold(port, "alice", &diary);
    eventually("alice's program runs", || !lines(&diary).is_empty());
    let next = hold(port, "bob", &diary);
    let mut broker = Broker::of(first);
    let mut witness = broker.client("witness");
    eventually("bob is next", || {
        witness.send("ranks jobs");
        witness.until("ok ranks jobs *").iter().any(|row| row.starts_with("member jobs 1 bob "))
    });
    drop(witness);
    broker.child().kill();

    let second = Child::run(&[&["127.0.0.1", &port.to_string()], &settings[..]].concat());
    let broker = Broker::of(listening(second));
    let mut witness = broker.client("witness");
    eventually("both are back, in their seats", || {
        witness.send("ranks jobs");
        let rows = witness.until("ok ranks jobs *");
        let sits =
            |seat: &str| rows.iter().any(|row| row.starts_with(seat) && row.contains("away=no"));
        sits("member jobs 0 alice ") && sits("member jobs 1 bob ")
    });
    let so_far = lines(&diary).len();
    eventually("a program goes on", || lines(&diary).len() > so_far + 5);
    let mut programs = lines(&diary);
    programs.dedup();
    assert_eq!(programs.len(), 1, "one program, from beginning to end: {programs:?}");

    holder.signal("TERM");
    eventually("bob's program runs", || lines(&diary).last().unwrap().starts_with("bob "));
    let mut programs = lines(&diary);
    programs.dedup();
    assert_eq!(programs.len(), 2, "one after the other: {programs:?}");
    next.signal("TERM");
}

fn listening(mut child: Child) -> Child {
    assert!(child.listens(), "it listens where the one before did");
    child
}
