//! How `broker-client` ends: what it waits for, and what it takes along.
// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client_support;
mod support;

use client_support::{Running, broker, member, program, run, wait};
use std::path::Path;
use std::time::Duration;
use support::{Child, eventually};

/// Whether a process runs; one that has ended and is not taken yet does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !matches!(stat.rsplit(") ").next().unwrap_or("").chars().next(), None | Some('Z' | 'X'))
}

/// The process numbers that a program has written, once there are two.
fn pids(file: &Path) -> [u32; 2] {
    let mut found = Vec::new();
    eventually("the program runs", || {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let whole = text.ends_with('\n');
        found = text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        whole && found.len() == 2
    });
    [found[0], found[1]]
}

/// A program went on for ever when the client was killed, whatever
/// `--exec-timeout` said, and on SIGTERM and Ctrl-C its last moments were a race.
#[test]
fn no_program_outlives_the_client() {
    let server = broker();
    let (boss, _frames) = member(&server, "boss");
    wait(boss.create("ops")).unwrap();
    wait(boss.subscribe("ops")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; (trap '' TERM; while :; do sleep 0.05; done) & \
                  echo $$ $! >\"$0\"; wait";
    for signal in ["TERM", "INT", "HUP", "KILL"] {
        let file = folder.path().join(signal);
        let args = ["--name", signal, "--sub", "ops", "--follow", "--exec", "run=/bin/sh"];
        let mut worker = Running::start(program(server.addr.port(), &args));
        worker.expect("ok sub ops");
        wait(boss.command("ops", "run", &["-c", script, file.to_str().unwrap()])).unwrap();
        let [its_program, grandchild] = pids(&file);
        worker.signal(signal);
        worker.end();
        eventually("both are gone", || !runs(its_program) && !runs(grandchild));
    }
}

/// What the client starts sees nothing of what it takes to end it: it has its
/// standard input, its output and its exit code, and what it has left behind on
/// purpose goes on.
#[test]
fn a_program_that_ends_by_itself_leaves_what_it_likes() {
    let server = broker();
    let (boss, _frames) = member(&server, "boss");
    wait(boss.create("ops")).unwrap();
    wait(boss.subscribe("ops")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let args = ["--name", "bob", "--sub", "ops", "--follow", "--exec", "run=/bin/sh"];
    let args = [&args[..], &["--exec", "none=/nonexistent", "--exec", "not=/etc/passwd"]].concat();
    let mut worker = Running::start(program(server.addr.port(), &args));
    worker.expect("ok sub ops");
    let script = "sleep 5 >/dev/null 2>&1 & echo $$ $! >\"$0\"; cat; ps -o comm= -p $$; exit 7";
    let results = wait(async {
        let path = file.to_str().unwrap();
        let ran = boss.command("ops", "run", &["-c", script, path]).await.unwrap();
        let missing = boss.command("ops", "none", &[]).await.unwrap();
        let unfit = boss.command("ops", "not", &[]).await.unwrap();
        [ran.results().await, missing.results().await, unfit.results().await]
    });
    let told = results.map(|results| {
        let result = results.unwrap().swap_remove(0);
        format!("{:?} {}", result.outcome, result.text)
    });
    assert_eq!(told[0], "Code(7) sh");
    assert!(told[1].starts_with("Code(127) cannot run /nonexistent: No such file"), "{}", told[1]);
    assert!(told[2].starts_with("Code(126) cannot run /etc/passwd: Permission"), "{}", told[2]);
    let [_, left_behind] = pids(&file);
    assert!(runs(left_behind));
}

/// A script that asked for a job and ended with that was told nothing.
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

/// The broker answered in JSON from then on, and the client waited for ever for
/// lines that it could read.
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

/// Nothing was said, and a line of the progress was left on the terminal.
#[test]
fn an_interrupted_sequence_says_how_to_go_on() {
    // Somebody who takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let state = tempfile::tempdir().unwrap();
    for (signal, expected) in [("INT", 130), ("TERM", 143)] {
        let mut command = program(port, &["numbers", "10"]);
        command.env("XDG_STATE_HOME", state.path());
        let running = Running::start(command);
        // It has begun when it has connected.
        let (_connection, _) = silent.accept().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        running.signal(signal);
        let (out, err, code) = running.finish();
        let hint = format!("to go on, broker-client 127.0.0.1 {port} numbers --continue\n");
        assert!(err.ends_with(&hint), "{err}");
        assert_eq!((out.as_str(), code), ("", expected));
    }
}

/// `nohup` was of no use: the client died with the terminal.
#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    // Somebody who takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let state = tempfile::tempdir().unwrap();
    for (arguments, expected) in [(&["numbers", "10"][..], 143), (&["--follow"], 0)] {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
        command.arg(env!("CARGO_BIN_EXE_broker-client")).args(["127.0.0.1", &port]);
        command.args(arguments).env("XDG_STATE_HOME", state.path());
        let running = Running::start(command);
        // It has begun when it has connected.
        let (_connection, _) = silent.accept().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        running.signal("HUP");
        std::thread::sleep(Duration::from_millis(100));
        running.signal("TERM");
        let (_, err, code) = running.finish();
        assert_eq!(code, expected, "{err}");
    }
}
