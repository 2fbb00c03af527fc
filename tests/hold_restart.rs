//! `broker-client hold` on a broker that is killed and started again: with a data
//! directory, only the log tells.
// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client_support;
mod support;

use client_support::{Running, hold, program};
use std::path::Path;
use std::time::Duration;
use support::{Broker, Child, Port, Small, eventually};

/// A program of this holder, which writes its name and number down as long as it
/// runs.
fn diarist(port: u16, name: &str, diary: &Path) -> Running {
    diarist_with(port, name, &[], "true", diary)
}

fn diarist_with(port: u16, name: &str, options: &[&str], prelude: &str, diary: &Path) -> Running {
    let diary = diary.display();
    let script = format!("{prelude}; while :; do echo \"{name} $$\" >>{diary}; sleep 0.02; done");
    hold(port, name, options, &["sh", "-c", &script])
}

fn lines(diary: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(diary).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A broker at this port.
fn broker_at(port: &Port, settings: &[&str]) -> Child {
    let mut child = Child::run(&[&["127.0.0.1", &port.number().to_string()], settings].concat());
    assert!(child.listens(), "it listens where it was told to");
    child
}

#[test]
fn the_holder_holds_on_across_a_kill_of_the_broker_and_another_follows_it_after() {
    let data = tempfile::tempdir().unwrap();
    let diary = data.path().join("diary");
    let dir = data.path().join("broker");
    let settings = ["--data", dir.to_str().unwrap(), "--lease", "4s", "--guard", "300ms"];
    let port = Port::reserve();
    let first = broker_at(&port, &settings);
    let holder = diarist(port.number(), "alice", &diary);
    eventually("alice's program runs", || !lines(&diary).is_empty());
    let next = diarist(port.number(), "bob", &diary);
    let mut broker = Broker::from_child(first);
    let mut witness = broker.client("witness");
    eventually("bob is next", || {
        witness.send("ranks jobs");
        witness.until("ok ranks jobs *").iter().any(|row| row.starts_with("member jobs 1 bob "))
    });
    drop(witness);
    broker.child().kill();

    let broker = Broker::from_child(broker_at(&port, &settings));
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

/// Regression: a broker whose disk was full was taken for one that has none: the
/// channel was made, and was gone after the next restart.
#[test]
fn a_channel_is_not_made_without_the_disk_because_that_is_full() {
    let Some(disk) = Small::mount() else { return };
    let broker = Broker::keeping(&disk.path().join("data"), &["--data-free", "1G"]);
    let mut witness = broker.client("witness");
    witness.ask("create log --durable", "ok create log");
    // A tenth of 24 MiB is to stay free.
    std::fs::write(disk.path().join("ballast"), vec![1; 22 * 1024 * 1024]).unwrap();
    eventually("it notices", || {
        witness.send("pub log more");
        witness.line().unwrap().contains("err unavailable")
    });
    let mut holder = diarist(broker.addr.port(), "alice", &disk.path().join("diary"));
    holder.expect("too little room");
    witness.ask("info jobs", "err no-channel *");
    disk.make_room();
    holder.expect("running rank=0");
    witness.send("info jobs");
    let info = witness.until("ok info jobs").remove(0);
    assert!(info.contains(" durable=yes"), "{info}");
    holder.signal("TERM");
    assert_eq!(holder.end(), 143);
}

/// A holder is sent away and told to come back in five seconds: later than its
/// program could wait.
#[test]
fn a_program_runs_on_while_the_broker_is_drained_and_started_again() {
    let data = tempfile::tempdir().unwrap();
    let diary = data.path().join("diary");
    let dir = data.path().join("broker");
    let settings = ["--data", dir.to_str().unwrap(), "--lease", "4s"];
    let port = Port::reserve();
    let mut first = Broker::from_child(broker_at(&port, &settings));
    let options = ["--kill-after", "1s"];
    let mut holder = diarist_with(port.number(), "alice", &options, "true", &diary);
    holder.expect("running rank=0");
    first.child().signal("USR2");
    let web = first.web();
    eventually("the holder is told", || {
        web.get("/metrics").body.contains("broker_connections_closed_total{reason=\"drain\"} 1\n")
    });
    first.child().signal("TERM");
    first.child().ended();

    let _broker = broker_at(&port, &settings);
    holder.expect("resumed session=");
    // Longer than its lease.
    std::thread::sleep(Duration::from_secs(5));
    let so_far = lines(&diary).len();
    eventually("its program goes on", || lines(&diary).len() > so_far);
    let mut programs = lines(&diary);
    programs.dedup();
    assert_eq!(programs.len(), 1, "{programs:?}");
    holder.signal("TERM");
}

/// Half of the former lease is longer than the new one. Regression: the client asked
/// without a pause for a lease that was always over.
#[test]
fn a_lease_that_has_become_shorter_is_kept_all_the_same() {
    let data = tempfile::tempdir().unwrap();
    let dir = data.path().join("broker");
    let settings = ["--data", dir.to_str().unwrap(), "--guard", "300ms", "--lease"];
    let port = Port::reserve();
    let mut first = broker_at(&port, &[&settings[..], &["4s"]].concat());
    let hold = |name: &str, options: &[&str]| {
        let args = [&["--name", name, "hold", name], options, &["--", "sleep", "1000"]].concat();
        let mut holder = Running::start(program(port.number(), &args));
        holder.expect("running rank=0");
        holder
    };
    let mut alice = hold("alice", &["--stay"]);
    let mut bob = hold("bob", &["--kill-after", "2s"]);
    first.kill();
    let _broker = broker_at(&port, &[&settings[..], &["2s"]].concat());
    alice.expect("lost rank=0");
    alice.expect("running rank=0");
    bob.expect("--kill-after 2000 ms is not shorter than the broker's lease of 2000 ms");
    assert_eq!(bob.end(), 8);
    alice.signal("TERM");
    assert_eq!(alice.end(), 143);
}

/// The holder is stopped, and the broker killed and started again with other settings:
/// the holder's guard ends the program when the former lease is over.
fn follows_a_stopped_holder(first: &[&str], second: &[&str]) {
    let data = tempfile::tempdir().unwrap();
    let diary = data.path().join("diary");
    let dir = data.path().join("broker");
    let keeping = ["--data", dir.to_str().unwrap(), "--guard", "300ms"];
    let port = Port::reserve();
    let mut broker = broker_at(&port, &[&keeping[..], first].concat());
    let holder = diarist_with(port.number(), "alice", &[], "trap '' TERM", &diary);
    eventually("alice's program runs", || !lines(&diary).is_empty());
    let mut next = diarist(port.number(), "bob", &diary);
    next.expect("waiting rank=1");
    holder.signal("STOP");
    broker.kill();
    let _broker = broker_at(&port, &[&keeping[..], second].concat());
    eventually("bob's program runs", || lines(&diary).last().unwrap().starts_with("bob "));
    let so_far = lines(&diary).len();
    eventually("and goes on", || lines(&diary).len() > so_far + 150);
    let mut programs = lines(&diary);
    programs.dedup();
    assert_eq!(programs.len(), 2, "one after the other: {programs:?}");
    next.signal("TERM");
}

#[test]
fn a_lease_outlives_a_restart_whatever_the_grace_is() {
    let settings = ["--lease", "4s", "--restart-grace", "500ms"];
    follows_a_stopped_holder(&settings, &settings);
}

#[test]
fn a_lease_outlives_a_restart_with_a_shorter_one() {
    follows_a_stopped_holder(&["--lease", "6s"], &["--lease", "2s"]);
}
