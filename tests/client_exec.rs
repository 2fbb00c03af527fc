//! `broker-client --exec`: what the programs are given, what is reported of them, and
//! that they do not outlive the client.
// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client_support;
mod support;

use client_support::{Running, broker, member, program, runs, wait};
use ranked_broker::client::{Client, Frames};
use ranked_broker::server::Server;
use std::path::Path;
use std::time::{Duration, Instant};
use support::eventually;

/// A channel whose chief gives commands.
struct Scene {
    server: Server,
    boss: Client,
    _frames: Frames,
}

impl Scene {
    fn new() -> Scene {
        let server = broker();
        let (boss, frames) = member(&server, "boss");
        wait(boss.create("ops")).unwrap();
        wait(boss.subscribe("ops")).unwrap();
        Scene { server, boss, _frames: frames }
    }

    /// A client that runs programs for the boss.
    fn worker(&self, name: &str, more: &[&str]) -> Running {
        let args = ["--name", name, "--sub", "ops", "--follow", "--exec", "run=/bin/sh"];
        let port = self.server.addr.port();
        let mut worker = Running::start(program(port, &[&args[..], more].concat()));
        worker.expect("ok sub ops");
        worker
    }

    /// The outcome of a command: the exit code, and what is reported of the output.
    fn ran(&self, name: &str, args: &[&str]) -> (String, String) {
        let given = wait(self.boss.command("ops", name, args)).unwrap();
        let result = wait(given.results()).unwrap().swap_remove(0);
        (format!("{:?}", result.outcome), result.text)
    }
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

#[test]
fn arguments_are_arguments_and_no_shell_sees_them() {
    let scene = Scene::new();
    let _worker = scene.worker("bob", &["--exec", "say=/bin/echo"]);
    let (code, text) = scene.ran("say", &["$HOME; id", "*", "two words"]);
    assert_eq!((code.as_str(), text.as_str()), ("Code(0)", "$HOME; id * two words"));
}

#[test]
fn exit_code_and_both_outputs_are_told() {
    let scene = Scene::new();
    let _worker =
        scene.worker("bob", &["--exec", "none=/nonexistent", "--exec", "not=/etc/passwd"]);
    let script = "echo out; echo err >&2; echo $BROKER_CHANNEL $BROKER_FROM; cat; exit 3";
    let (code, text) = scene.ran("run", &["-c", script]);
    assert_eq!((code.as_str(), text.as_str()), ("Code(3)", "out\nerr\nops boss"));
    assert_eq!(scene.ran("run", &["-c", "kill -9 $$"]).0, "Code(137)");
    for (name, code, said) in [
        ("none", "Code(127)", "cannot run /nonexistent: No such file"),
        ("not", "Code(126)", "cannot run /etc/passwd: Permission"),
    ] {
        let told = scene.ran(name, &[]);
        assert!(told.0 == code && told.1.starts_with(said), "{told:?}");
    }
}

#[test]
fn long_output_is_cut_and_said_to_be() {
    let scene = Scene::new();
    let _worker = scene.worker("bob", &[]);
    let (code, text) = scene.ran("run", &["-c", "head -c 200000 /dev/zero | tr '\\0' x"]);
    assert_eq!(code, "Code(0)");
    assert!(text.ends_with("left out]") && text.len() < 4096 + 50, "{}", text.len());
}

#[test]
fn a_program_that_hangs_is_ended_with_its_children() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let _worker = scene.worker("bob", &["--exec-timeout", "0.5"]);
    let script = "sleep 600 & echo $$ $! >\"$0\"; echo begun; sleep 600";
    let (code, text) = scene.ran("run", &["-c", script, file.to_str().unwrap()]);
    assert_eq!((code.as_str(), text.as_str()), ("Code(124)", "begun [ended after 0.5 s]"));
    let [its_program, child] = pids(&file);
    eventually("both are gone", || !runs(its_program) && !runs(child));
}

/// Regression: a program went on for ever when the client was killed, whatever
/// `--exec-timeout` said, and on SIGTERM and Ctrl-C its last moments were a race.
#[test]
fn no_program_outlives_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; (trap '' TERM; while :; do sleep 0.05; done) & \
                  echo $$ $! >\"$0\"; wait";
    let started = ["TERM", "INT", "HUP", "KILL"].map(|signal| {
        let (scene, file) = (Scene::new(), folder.path().join(signal));
        let worker = scene.worker(signal, &[]);
        let args = ["-c", script, file.to_str().unwrap()];
        wait(scene.boss.command("ops", "run", &args)).unwrap();
        let pids = pids(&file);
        worker.signal(signal);
        (scene, worker, pids)
    });
    for (_scene, mut worker, [its_program, grandchild]) in started {
        worker.end();
        eventually("both are gone", || !runs(its_program) && !runs(grandchild));
    }
}

/// A program writes down that it has begun, and that it was told to end. Regression: it
/// was killed without a word.
#[test]
fn a_program_is_told_to_end_before_it_is_killed() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let script = "exec 2>/dev/null; trap 'echo told; echo told >>\"$0\"; exit 3' TERM; \
                  echo begun >>\"$0\"; while :; do sleep 0.05; done";
    let wrote = |file: &Path, text: &str| {
        eventually("the program has written", || {
            std::fs::read_to_string(file).is_ok_and(|written| written == text)
        });
    };
    let late = folder.path().join("late");
    let mut worker = scene.worker("bob", &["--exec-timeout", "1"]);
    let (code, text) = scene.ran("run", &["-c", script, late.to_str().unwrap()]);
    assert_eq!((code.as_str(), text.as_str()), ("Code(124)", "told [ended after 1 s]"));
    wrote(&late, "begun\ntold\n");
    worker.signal("TERM");
    worker.end();
    for signal in ["TERM", "INT"] {
        let file = folder.path().join(signal);
        let mut worker = scene.worker(signal, &[]);
        wait(scene.boss.command("ops", "run", &["-c", script, file.to_str().unwrap()])).unwrap();
        wrote(&file, "begun\n");
        worker.signal(signal);
        worker.end();
        wrote(&file, "begun\ntold\n");
    }
}

/// A user who asks twice does not want to wait.
#[test]
fn a_program_that_does_not_end_is_killed_at_once_when_its_client_is_told_twice() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let mut worker = scene.worker("bob", &[]);
    let script = "trap '' TERM; sleep 600 & echo $$ $! >\"$0\"; wait; sleep 600";
    wait(scene.boss.command("ops", "run", &["-c", script, file.to_str().unwrap()])).unwrap();
    let [its_program, child] = pids(&file);
    let begun = Instant::now();
    worker.signal("TERM");
    // Two equal signals in quick succession count as one.
    std::thread::sleep(Duration::from_millis(500));
    worker.signal("TERM");
    worker.end();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    eventually("both are gone", || !runs(its_program) && !runs(child));
}

/// A program sees nothing of the means by which the client could end it, and what it
/// has left behind on purpose goes on.
#[test]
fn a_program_that_ends_by_itself_leaves_what_it_likes() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let _worker = scene.worker("bob", &[]);
    let script = "sleep 5 >/dev/null 2>&1 & echo $$ $! >\"$0\"; ps -o comm= -p $$; exit 7";
    let (code, text) = scene.ran("run", &["-c", script, file.to_str().unwrap()]);
    assert_eq!((code.as_str(), text.as_str()), ("Code(7)", "sh"));
    let [_, left_behind] = pids(&file);
    assert!(runs(left_behind));
}

/// Regression: it waited for the `ok` of the result, which does not come with `--quiet`.
#[test]
fn the_result_of_a_program_that_outlives_the_input_is_told_and_not_waited_for() {
    let scene = Scene::new();
    let args = ["--name", "bob", "--sub", "ops", "--quiet", "--exec", "run=/bin/sh"];
    let mut worker = Running::start(program(scene.server.addr.port(), &args));
    worker.expect("ok sub ops");
    let given = wait(scene.boss.command("ops", "run", &["-c", "sleep 0.5; echo done"])).unwrap();
    worker.expect("cmd ops");
    assert_eq!(worker.finish().2, 0);
    assert_eq!(wait(given.results()).unwrap()[0].text, "done");
}
