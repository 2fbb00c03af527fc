//! `broker-client hold`: a program runs on one machine at a time, and for as long
//! as the rank is held. "At no moment do two programs run", whatever happens to
//! whom: the programs here write down when they run, and each test prints how
//! long nobody did.
// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client_support;
mod support;

use client_support::{Running, Wire, hold, member, program, runs, wait};
use ranked_broker::client::{Client, Frames};
use ranked_broker::config::Config;
use ranked_broker::server::Server;
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;
use support::{eventually, parent, signal};
use tempfile::TempDir;

/// Short, so that the tests are; long enough for a machine that has much else
/// to do, and lets a client wait for its turn.
const LEASE: Duration = Duration::from_secs(2);

fn broker() -> Server {
    broker_at(0)
}

fn broker_at(port: u16) -> Server {
    broker_with(port, LEASE)
}

fn broker_with(port: u16, lease: Duration) -> Server {
    let guard = Duration::from_millis(300);
    Server::start(Config { port, lease, guard, ..Config::default() }).unwrap()
}

fn shell(port: u16, name: &str, script: &str) -> Running {
    hold(port, name, &[], &["sh", "-c", script])
}

/// Where programs write down that they run.
struct Diary {
    _folder: TempDir,
    file: PathBuf,
}

impl Diary {
    fn new() -> Diary {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("diary");
        Diary { _folder: folder, file }
    }

    /// A program that writes a line every few milliseconds, after `prelude`.
    fn beat(&self, prelude: &str) -> String {
        let file = self.file.display();
        format!(
            "{prelude}; while :; do read now _ </proc/uptime; \
             echo \"$BROKER_TERM $$ $now\" >>{file}; sleep 0.01; done"
        )
    }

    /// Of each program, by term: its process, its first and its last sign of
    /// life, in hundredths of a second.
    fn lives(&self) -> BTreeMap<u64, (u32, u64, u64)> {
        let mut lives = BTreeMap::new();
        for line in std::fs::read_to_string(&self.file).unwrap_or_default().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [term, pid, now] = words[..] else { panic!("{line}") };
            let now: u64 = now.replace('.', "").parse().unwrap();
            let pid: u32 = pid.parse().unwrap();
            let (_, _, last) = lives.entry(term.parse().unwrap()).or_insert((pid, now, now));
            *last = now;
        }
        lives
    }

    fn wait_for(&self, what: &str, is_true: impl Fn(&BTreeMap<u64, (u32, u64, u64)>) -> bool) {
        eventually(what, || is_true(&self.lives()));
    }

    /// Between one program's last sign of life and the next one's first there
    /// must be time.
    fn nobody_overlapped(&self, story: &str) {
        let lives: Vec<_> = self.lives().into_values().collect();
        let mut begins = lives.clone();
        begins.sort_by_key(|(_, first, _)| *first);
        assert_eq!(lives, begins, "terms grow");
        for pair in lives.windows(2) {
            let ((_, _, last), (_, first, _)) = (pair[0], pair[1]);
            assert!(first >= last, "{story}: two ran at once: {lives:?}");
            println!("{story}: vacancy {} ms, overlap 0", (first - last) * 10);
        }
    }
}

/// The number behind `pid=` in a status line.
fn pid(line: &str) -> u32 {
    line.rsplit("pid=").next().unwrap().trim().parse().unwrap()
}

/// The process that watches over a program.
fn guard_of(program: u32) -> u32 {
    parent(program).expect("it runs")
}

#[test]
fn the_program_knows_its_rank_and_its_exit_code_is_the_exit_code() {
    let server = broker();
    let port = server.addr.port();
    let script =
        "echo $BROKER_CHANNEL $BROKER_RANK $BROKER_TERM $BROKER_VIEW $BROKER_URL; cat; exit 7";
    let mut alice = shell(port, "alice", script);
    alice.expect(&format!("jobs 0 1 1 tcp://127.0.0.1:{port}"));
    let mut bob = shell(port, "bob", "echo bob; exit 0");
    bob.expect("waiting rank=1 term=2 channel=jobs for=0");
    // Its standard input is the client's own.
    alice.send("so it can read");
    alice.expect("so it can read");
    drop(alice.stdin.take());
    alice.expect("ended rank=0 term=1 code=7");
    assert_eq!(alice.end(), 7);
    // Alice left on purpose, so no lease has to run out, and bob does not say that he
    // waits.
    let line = bob.expect("rank=0 term=3");
    assert!(line.contains("running rank=0"), "{line}");
    assert_eq!(bob.end(), 0);
}

#[test]
fn a_program_that_cannot_be_run_gives_the_rank_up() {
    let server = broker();
    let port = server.addr.port();
    for (name, code) in [("/nonexistent/program", 127), ("/etc/passwd", 126)] {
        // Not even a seat is taken for it.
        let (_, err, ended) = hold(port, "alice", &[], &[name]).finish();
        assert!(err.starts_with(&format!("broker-client: cannot run {name}: ")), "{err}");
        assert!(err.lines().count() == 1 && ended == code, "{ended}: {err}");
    }
    // A file that is there, and cannot be run all the same.
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    std::fs::write(&script, "#!/nonexistent/shell\n").unwrap();
    std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let (_, err, ended) = hold(port, "alice", &[], &[script.to_str().unwrap()]).finish();
    assert!(err.contains("cannot run ") && !err.contains("running"), "{err}");
    assert_eq!(ended, 127);
    let mut killed = shell(port, "alice", "kill -9 $$");
    assert_eq!(killed.end(), 137);
}

#[test]
fn what_cannot_work_is_said_to_be_wrong() {
    let server = broker();
    let port = server.addr.port();
    let mut alice = hold(port, "alice", &["--kill-after", "2s"], &["true"]);
    alice.expect("--kill-after 2000 ms is not shorter than the broker's lease of 2000 ms");
    assert_eq!(alice.end(), 2);
    let mut alice = hold(port, "alice", &["--rank", "first"], &["true"]);
    assert_eq!(alice.end(), 2);
    let mut alice = hold(port, "alice", &["--ranks", "0-2", "--rank", "0"], &["true"]);
    assert_eq!(alice.end(), 2);
    let mut alice =
        Running::start(program(port, &["--sub", "x", "--plain", "hold", "jobs", "--", "true"]));
    assert_eq!(alice.end(), 2);
}

#[test]
fn signals_are_handed_on() {
    let server = broker();
    let script = "trap 'echo usr1' USR1; trap 'echo hup' HUP; trap 'echo term; exit 5' TERM; \
                  echo ready; while :; do sleep 0.01; done";
    let mut alice = shell(server.addr.port(), "alice", script);
    alice.expect("ready");
    for (signal, echo) in [("USR1", "usr1"), ("HUP", "hup"), ("TERM", "term")] {
        alice.signal(signal);
        alice.expect(echo);
    }
    assert_eq!(alice.end(), 5);
    let mut alice = shell(server.addr.port(), "alice", "echo ready; sleep 600");
    alice.expect("ready");
    alice.signal("INT");
    let (_, err, code) = alice.finish();
    assert_eq!(code, 130, "{err}");
}

#[test]
fn who_only_waits_ends_with_the_signal() {
    let server = broker();
    let port = server.addr.port();
    let mut alice = shell(port, "alice", "echo ready; cat");
    alice.expect("ready");
    let mut bob = shell(port, "bob", "true");
    bob.expect("waiting rank=1");
    bob.signal("TERM");
    assert_eq!(bob.end(), 143);
    assert_eq!(alice.finish().2, 0);
}

#[test]
fn three_copies_and_kill_9_in_the_middle() {
    let server = broker();
    let port = server.addr.port();
    let diary = Diary::new();
    let mut copies: Vec<Running> = Vec::new();
    for (rank, name) in ["one", "two", "three"].into_iter().enumerate() {
        copies.push(shell(port, name, &diary.beat("trap '' TERM")));
        let word = if rank == 0 { "running" } else { "waiting" };
        copies[rank].expect(&format!("{word} rank={rank}"));
    }
    diary.wait_for("the first runs", |lives| lives.len() == 1);
    copies[0].signal("KILL");
    diary.wait_for("the second runs", |lives| lives.len() == 2);
    copies[1].signal("KILL");
    diary.wait_for("the third runs", |lives| lives.len() == 3);
    diary.nobody_overlapped("kill -9 of the client");
    copies[2].signal("KILL");
    for (_, (pid, _, _)) in diary.lives() {
        eventually("the program ends with its client", || !runs(pid));
    }
}

#[test]
fn a_holder_that_is_stopped_for_longer_than_its_lease_runs_nothing_any_more() {
    let server = broker();
    let port = server.addr.port();
    let diary = Diary::new();
    let mut alice = shell(port, "alice", &diary.beat("trap '' TERM"));
    alice.expect("running rank=0");
    let mut bob = shell(port, "bob", &diary.beat("true"));
    bob.expect("waiting rank=1");
    diary.wait_for("alice runs", |lives| lives.len() == 1);
    alice.signal("STOP");
    bob.expect("running rank=0");
    diary.wait_for("bob runs", |lives| lives.len() == 2);
    alice.signal("CONT");
    alice.expect("lost rank=0");
    assert_eq!(alice.end(), 8);
    diary.nobody_overlapped("SIGSTOP of the client");
}

#[test]
fn neither_guard_nor_client_leaves_the_program_behind() {
    let server = broker();
    let port = server.addr.port();
    // The guard alone, then guard and client at once, then a guard that is stopped.
    let mut alice = shell(port, "alice", "trap '' TERM; while :; do sleep 0.01; done");
    let program = pid(&alice.expect("running rank=0"));
    signal(guard_of(program), "KILL");
    alice.expect("lost the guard");
    assert_eq!(alice.end(), 8);
    eventually("the program is gone", || !runs(program));

    let mut alice = shell(port, "alice", "trap '' TERM; while :; do sleep 0.01; done");
    let program = pid(&alice.expect("running rank=0"));
    let guard = guard_of(program);
    alice.signal("KILL");
    signal(guard, "KILL");
    eventually("the program is gone", || !runs(program));

    let diary = Diary::new();
    let mut bob = shell(port, "bob", &diary.beat("trap '' TERM"));
    let program = pid(&bob.expect("running rank=0"));
    signal(guard_of(program), "STOP");
    wait(server.stop());
    bob.expect("lost");
    assert_eq!(bob.end(), 8);
    assert!(!runs(program));
}

/// Regression: the program was killed with its guard, and what it had started went on
/// beside the next one's.
#[test]
fn kill_9_of_guard_and_client_takes_along_what_the_program_has_started() {
    let server = broker();
    let script = "trap '' TERM; read go; (trap '' TERM; while :; do sleep 0.01; done) & \
                  echo child pid=$!; wait";
    let mut alice = shell(server.addr.port(), "alice", script);
    let program = pid(&alice.expect("running rank=0"));
    alice.send("go");
    let child = pid(&alice.expect("child pid="));
    let guard = guard_of(program);
    alice.signal("KILL");
    signal(guard, "KILL");
    eventually("the program is gone", || !runs(program));
    eventually("and its child", || !runs(child));
}

/// A member above all that hold a rank, which moves and removes them.
fn chief(server: &Server) -> (Client, Frames) {
    let (carol, frames) = member(server, "carol");
    wait(carol.request("create jobs --on-close safe")).unwrap();
    wait(carol.subscribe("jobs")).unwrap();
    (carol, frames)
}

#[test]
fn whoever_is_promoted_by_hand_waits_until_the_one_before_has_ended() {
    let server = broker();
    let port = server.addr.port();
    let (carol, _frames) = chief(&server);
    let diary = Diary::new();
    let second = |name| {
        let beat = diary.beat("trap '' TERM");
        hold(port, name, &["--rank", "1"], &["sh", "-c", &beat])
    };
    let mut alice = second("alice");
    alice.expect("running rank=1");
    let mut bob = second("bob");
    bob.expect("waiting rank=2");
    diary.wait_for("alice runs", |lives| lives.len() == 1);
    wait(carol.request("promote jobs bob 1")).unwrap();
    alice.expect("lost rank=1 term=2: the rank is now 2");
    assert_eq!(alice.end(), 8);
    diary.wait_for("bob runs", |lives| lives.len() == 2);
    let mut dora = second("dora");
    dora.expect("waiting rank=2");
    wait(carol.request("kick jobs bob")).unwrap();
    bob.expect("no longer a member: kicked");
    assert_eq!(bob.end(), 8);
    diary.wait_for("dora runs", |lives| lives.len() == 3);
    diary.nobody_overlapped("promote and kick");
}

/// A newcomer is not told what happened a moment before it joined: that its predecessor
/// at the rank was kicked, or rose.
#[test]
fn a_newcomer_waits_for_the_program_of_whoever_had_its_rank_before_it_came() {
    let server = broker();
    let (carol, _frames) = chief(&server);
    let diary = Diary::new();
    let second = |name| {
        let beat = diary.beat("trap '' TERM");
        hold(server.addr.port(), name, &["--rank", "1", "--stay"], &["sh", "-c", &beat])
    };
    let _alice = second("alice");
    diary.wait_for("alice runs", |lives| lives.len() == 1);
    wait(carol.request("kick jobs alice")).unwrap();
    let mut bob = second("bob");
    diary.wait_for("bob runs", |lives| lives.len() == 2);
    wait(carol.unsubscribe("jobs")).unwrap();
    let _dora = second("dora");
    bob.expect("lost rank=1 term=4: the rank is now 0");
    diary.wait_for("dora runs", |lives| lives.len() == 3);
    diary.nobody_overlapped("a newcomer after a kick, and after one rose");
}

#[test]
fn a_connection_that_comes_back_in_time_is_not_noticed() {
    // Long enough for three cuts, one after the other, on a busy machine.
    let server = broker_with(0, LEASE * 2);
    let wire = Wire::to(server.addr.port());
    let diary = Diary::new();
    let mut alice =
        hold(wire.port, "alice", &["--kill-after", "100ms"], &["sh", "-c", &diary.beat("true")]);
    alice.expect("running rank=0");
    let mut bob = shell(server.addr.port(), "bob", "true");
    bob.expect("waiting rank=1");
    for _ in 0..3 {
        wire.cut();
        alice.expect("resumed session=");
    }
    // Longer than any lease that there was before.
    let (_, first, before) = diary.lives()[&1];
    diary.wait_for("it runs on", |lives| lives[&1].2 > before + 450);
    assert!(diary.lives().len() == 1 && first < before);
    alice.signal("TERM");
    assert_eq!(alice.end(), 143);
    bob.expect("running rank=0");
    assert_eq!(bob.end(), 0);
}

#[test]
fn a_broker_that_has_forgotten_everything_starts_no_second_program() {
    let server = broker();
    let port = server.addr.port();
    let diary = Diary::new();
    let mut copies: Vec<Running> = ["alice", "bob"]
        .into_iter()
        .map(|name| shell(port, name, &diary.beat("trap '' TERM")))
        .collect();
    diary.wait_for("one runs", |lives| lives.len() == 1);
    wait(server.stop());
    let server = broker_at(port);
    let first = diary.lives().into_values().next().unwrap().0;
    // Terms begin anew with such a broker, so these are told apart by process.
    let pids = || -> Vec<u32> {
        let file = std::fs::read_to_string(&diary.file).unwrap();
        file.lines().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect()
    };
    eventually("another one runs", || pids().last() != Some(&first));
    eventually("the first one has ended", || !runs(first));
    let pids = pids();
    let changes = pids.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(changes, 1, "never in turn");
    for copy in &copies {
        copy.signal("KILL");
    }
    copies.clear();
    wait(server.stop());
}

#[test]
fn a_client_that_comes_back_with_its_session_waits_for_its_own_former_program() {
    let server = broker();
    let port = server.addr.port();
    let diary = Diary::new();
    let state = tempfile::tempdir().unwrap();
    let start = || {
        let beat = diary.beat("trap '' TERM");
        let args = ["--session", "s", "hold", "jobs", "--", "sh", "-c", &beat];
        let mut command = program(port, &args);
        command.env("XDG_STATE_HOME", state.path());
        Running::start(command)
    };
    let mut alice = start();
    let first = pid(&alice.expect("running rank=0 term=1"));
    alice.signal("KILL");
    alice.end();
    let mut alice = start();
    alice.expect("resumed session=");
    let second = pid(&alice.expect("running rank=0 term=1"));
    assert!(first != second && !runs(first));
    let mut other = start();
    other.expect("in use by another broker-client");
    assert_eq!(other.end(), 1);
}
