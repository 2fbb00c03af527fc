//! Workers that are killed, stopped and starved, and a broker that dies: what it
//! costs, and what it does not.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::process::Command;
use support::{Broker, Child, Client, Site, eventually, number, parent, runs, signal};

/// The processes that this one has started.
fn children(of: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| parent(*pid) == Some(of) && runs(*pid)).collect()
}

/// A broker with one worker, whose job does not end by itself.
fn at_work(web: &Site, settings: &[&str]) -> (Broker, Client, u32) {
    let always = ["--allow-url", "127.0.0.1", "--workers", "1"];
    let mut broker = Broker::from_child(Child::with(&[&always[..], settings].concat()));
    let mut alice = broker.client("alice");
    alice.ask(&format!("url {}", web.url("/")), "ok job 1");
    alice.expect_all(&["job 1 queued 0 before it", "job 1 running"]);
    let id = broker.child().id();
    let [worker] = children(id)[..] else { panic!("one worker, not {:?}", children(id)) };
    (broker, alice, worker)
}

#[track_caller]
fn works(client: &mut Client) {
    let job = number(&client.ask("fib 10", "ok job *"), 2);
    client.expect(&format!("job {job} queued *"));
    client.expect(&format!("job {job} running"));
    client.expect(&format!("job {job} done 55"));
}

#[test]
fn one_that_is_killed_loses_only_its_own_job() {
    let web = Site::silent();
    let (_broker, mut alice, worker) = at_work(&web, &[]);
    signal(worker, "KILL");
    alice.expect("job 1 failed its worker was ended by signal 9");
    works(&mut alice);
}

#[test]
fn one_that_is_stopped_at_work_is_killed_when_its_time_is_over() {
    let web = Site::silent();
    let (_broker, mut alice, worker) = at_work(&web, &["--job-timeout", "1s"]);
    signal(worker, "STOP");
    alice.expect("job 1 failed it ran for longer than 1s (see broker --job-timeout)");
    eventually("the worker is gone", || !runs(worker));
    works(&mut alice);
}

/// Its job had not begun, and is done by another one.
#[test]
fn one_that_is_stopped_or_killed_without_a_job_costs_nothing() {
    for how in ["KILL", "STOP"] {
        let mut broker = Broker::from_child(Child::with(&["--workers", "1"]));
        let mut alice = broker.client("alice");
        works(&mut alice);
        let [worker] = children(broker.child().id())[..] else { panic!("one worker") };
        signal(worker, how);
        works(&mut alice);
        assert!(!children(broker.child().id()).contains(&worker), "{how}: there is another one");
    }
}

#[test]
fn one_that_takes_too_much_memory_loses_only_its_own_job() {
    let mut broker = Broker::from_child(Child::with(&["--workers", "1", "--job-memory", "200MiB"]));
    let mut alice = broker.client("alice");
    works(&mut alice);
    let [worker] = children(broker.child().id())[..] else { panic!("one worker") };
    let limits = fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
    let memory = limits.lines().find(|line| line.starts_with("Max address space")).unwrap();
    let words: Vec<&str> = memory.split_whitespace().collect();
    assert_eq!(words[3..5], ["209715200", "209715200"], "{memory}");
    // From here on the worker gets no memory: as if it had taken all.
    let status = Command::new("prlimit").args(["--pid", &worker.to_string(), "--as=4096"]).status();
    assert!(status.expect("prlimit is there").success());
    alice.ask("fib 1000000", "ok job 2");
    alice.expect_all(&["job 2 queued *", "job 2 running"]);
    alice.expect("job 2 failed its worker was ended by signal 6: memory allocation of * failed");
    works(&mut alice);
}

#[test]
fn none_outlives_a_broker_that_is_killed() {
    for stopped in [false, true] {
        let web = Site::silent();
        let (mut broker, _alice, worker) = at_work(&web, &[]);
        if stopped {
            signal(worker, "STOP");
        }
        broker.child().kill();
        eventually("the worker is gone", || !runs(worker));
    }
}

#[test]
fn none_outlives_one_that_stops_in_order_and_jobs_are_told() {
    let web = Site::silent();
    let (mut broker, mut alice, worker) = at_work(&web, &[]);
    broker.child().signal("TERM");
    alice.expect_all(&["job 1 failed the broker is stopping", "bye shutdown"]);
    alice.expect_end();
    broker.child().ended();
    eventually("the worker is gone", || !runs(worker));
}

/// A worker that is started by hand, or by a wrong parent, does not run.
#[test]
fn a_worker_without_its_broker_ends_at_once() {
    for (arguments, code) in [
        (&["--worker"][..], 2),
        (&["--worker", "1", "x"], 2),
        (&["--worker", "1", "1000000000"], 1),
    ] {
        let program = env!("CARGO_BIN_EXE_broker");
        let output = Command::new(program).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty());
    }
}
