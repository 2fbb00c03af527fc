//! Seats of members whose connection is lost: held for a while, or given up.

mod support;

use ranked_broker::config::Config;
use std::time::{Duration, Instant};
use support::{Broker, Client, field};

fn quick(config: &mut Config) {
    config.lease = Duration::from_millis(300);
    config.guard = Duration::from_millis(100);
}

/// Alice at rank 0 with a session of her own, and bob below her.
fn pair(broker: &Broker, settings: &str) -> (Client, String, Client) {
    let mut alice = broker.connect("alice");
    let reply = alice.ask("hello --name alice", "ok hello *");
    let resume = format!(
        "hello --session {} --secret {}",
        field(&reply, "session"),
        field(&reply, "secret")
    );
    alice.ask(&format!("create ops {settings}"), "ok create ops");
    alice.ask("sub ops", "ok sub ops rank=0 term=1 *");
    let mut bob = broker.client("bob");
    bob.ask("sub ops", "ok sub ops rank=1 term=2 *");
    alice.expect("join ops 2 bob 1");
    (alice, resume, bob)
}

/// Waits until the roster says so.
fn until_away(bob: &mut Client) {
    loop {
        bob.send("ranks ops");
        if bob.until("ok ranks *").iter().any(|row| row.contains("alice term=1 away=yes")) {
            return;
        }
    }
}

/// "`create --hold SECS`: the seat of a lost member is kept that long, shown
/// `away=yes`, nobody promoted, its commands wait until their deadline; back in
/// time it has the same rank and term."
#[test]
fn a_held_seat_waits_for_its_member() {
    let broker = Broker::start();
    let (alice, resume, mut bob) = pair(&broker, "--hold 3600");
    let mut carol = broker.client("carol");
    carol.ask("sub ops", "ok sub ops rank=2 *");
    bob.expect("join ops 3 carol 2");
    alice.reset();
    until_away(&mut bob);
    bob.ask("yield", "ok yield ops rank=2 view=4");
    bob.expect("rank ops 2 4 4");
    bob.expect("move ops 4 bob 1 2");
    carol.expect("rank ops 1 4 4");
    carol.expect("move ops 4 bob 1 2");
    carol.ask("promote ops bob", "err rank *");
    let mut alice = broker.connect("alice");
    alice.ask(
        &format!("{resume} --seen ops=2"),
        "ok hello name=alice * resumed=yes version=1 channels=1 missed=0 rank=0",
    );
    alice.expect_all(&["rank ops 0 1 4", "join ops 3 carol 2", "move ops 4 bob 1 2"]);
    carol.ask("ranks ops", "member ops 0 alice term=1 away=no *");
    carol.until("ok ranks ops 3 view=4");
    alice.ask("/go", "ok cmd ops 5 to=2");
    carol.expect("cmd ops 5 alice 0 1 go");
    bob.expect("cmd ops 5 alice 0 1 go");
}

/// A command to one that is away waits for it, until its deadline.
#[test]
fn a_command_waits_for_who_is_away() {
    let broker = Broker::start();
    let (mut alice, _, mut bob) = pair(&broker, "--hold 3600");
    let reply = bob.ask("hello", "ok hello *");
    let (session, secret) = (field(&reply, "session"), field(&reply, "secret"));
    bob.reset();
    alice.ask("/go now", "ok cmd ops 3 to=1");
    alice.ask("cmd ops --to bob --timeout 0.05 late", "ok cmd ops 4 to=1");
    alice.expect("ack ops 4 bob 1 timeout *");
    alice.expect("done ops 4 0/1");
    let mut bob = broker.connect("bob");
    bob.send(&format!("hello --session {session} --secret {secret} --seen ops=2"));
    bob.expect("ok hello name=bob * resumed=yes * rank=1");
    bob.expect_all(&["rank ops 1 2 2", "cmd ops 3 alice 0 1 go now", "cmd ops 4 alice 0 1 late"]);
    bob.ask("ack ops 3 did it", "ok ack ops 3");
    alice.expect("ack ops 3 bob 1 0 did it");
    alice.expect("done ops 3 1/1");
    bob.ask("ack ops 4", "err gone *");
}

/// When the hold is over, the seat is given up, and the next in line moves up;
/// its session may still come back, at the bottom.
#[test]
fn a_seat_that_was_held_in_vain() {
    let broker = Broker::start();
    let (alice, resume, mut bob) = pair(&broker, "--hold 0.1");
    alice.reset();
    bob.expect("rank ops 0 3 3");
    bob.expect("left ops 3 alice 0 reason=lost");
    let mut alice = broker.connect("alice");
    alice.ask(&format!("{resume} --seen ops=2"), "ok hello * resumed=yes * rank=1");
    alice.expect_all(&["rank ops 1 4 4", "left ops 3 alice 0 reason=lost", "join ops 4 alice 1"]);
    bob.expect("join ops 4 alice 1");
}

/// "Leaving on purpose is always immediate."
#[test]
fn leaving_on_purpose_is_immediate() {
    let broker = Broker::start();
    for (at, goodbye) in ["quit", "unsub ops", "drop"].into_iter().enumerate() {
        let (mut alice, _, mut bob) = pair(&broker, "--hold 3600 --on-close safe");
        if goodbye == "drop" {
            alice.ask("yield", "ok yield *");
            bob.until("move ops 3 alice 0 1");
            bob.ask("kick ops alice", "ok kick ops alice");
            bob.expect("left ops 4 alice 1 reason=kicked");
            break;
        }
        alice.send(goodbye);
        bob.expect("rank ops 0 3 3");
        let reason = ["quit", "unsub"][at];
        bob.expect(&format!("left ops 3 alice 0 reason={reason}"));
        alice.send("quit");
        alice.until("bye quit");
        bob.ask("drop ops", "ok drop ops");
        bob.expect("left ops 4 bob 0 reason=dropped");
        bob.ask("quit", "bye quit");
    }
}

/// "`--on-close safe`: promotion only when the lost member's lease has
/// certainly run out": counted from what was last heard of it.
#[test]
fn a_safe_channel_waits_for_the_lease() {
    let broker = Broker::with(quick);
    let (mut alice, _, mut bob) = pair(&broker, "--on-close safe");
    // Alice may believe in her lease from before this was sent.
    let believed = Instant::now();
    alice.ask("ping", "ok ping lease=300");
    alice.reset();
    bob.expect("rank ops 0 3 3");
    assert!(believed.elapsed() >= Duration::from_millis(400), "{:?}", believed.elapsed());
    bob.expect("left ops 3 alice 0 reason=lost");
}

/// What has come in time counts, even if the broker had no time to read it.
#[test]
fn who_speaks_while_the_broker_stands_still_is_not_silent() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut broker = Broker::keeping(dir.path(), &["--lease", "1s", "--guard", "200ms"]);
    let mut heads: Vec<(Client, Client)> = (0..8)
        .map(|number| {
            let mut head = broker.client(&format!("head{number}"));
            let mut next = broker.client(&format!("next{number}"));
            head.ask(&format!("create c{number} --on-close safe"), "ok create *");
            head.ask(&format!("sub c{number}"), "ok sub * rank=0 *");
            next.ask(&format!("sub c{number}"), "ok sub * rank=1 *");
            head.expect("join *");
            (head, next)
        })
        .collect();
    for _ in 0..2 {
        for (head, _) in &mut heads {
            head.ask("ping", "ok ping lease=1000");
        }
        broker.child().signal("STOP");
        for (head, _) in &mut heads {
            head.send("ping");
        }
        std::thread::sleep(Duration::from_millis(1_500));
        broker.child().signal("CONT");
        for (head, _) in &mut heads {
            head.expect("ok ping lease=1000");
        }
    }
    for (number, (mut head, mut next)) in (0..).zip(heads) {
        head.ask(&format!("check c{number} 1"), "ok check * current=yes *");
        next.ask("quit", "bye quit");
    }
}

/// A member that keeps a lease and goes silent loses its seat on a safe channel when
/// lease and guard are over, even if its connection is open. One that never asked for a
/// lease does not lose it.
#[test]
fn a_lease_that_is_not_renewed() {
    let broker = Broker::with(quick);
    let (mut alice, resume, mut bob) = pair(&broker, "--on-close safe");
    alice.ask("ping", "ok ping lease=300");
    bob.expect("rank ops 0 3 3");
    bob.expect("left ops 3 alice 0 reason=timeout");
    alice.expect("bye timeout");
    alice.expect_end();
    let mut alice = broker.connect("alice");
    alice.ask(&format!("{resume} --seen ops=3"), "ok hello * resumed=yes * rank=1");
}

/// The seat of a guest is held though nobody can come back to it: its owner has never
/// introduced itself, and may still believe in it.
#[test]
fn the_seat_of_a_guest_is_held_too() {
    let broker = Broker::with(quick);
    let mut guest = broker.connect("guest");
    guest.ask("create ops --on-close safe", "ok create ops");
    guest.ask("sub ops", "ok sub ops rank=0 *");
    let mut bob = broker.client("bob");
    bob.ask("sub ops", "ok sub ops rank=1 *");
    guest.expect("join ops 2 bob 1");
    guest.reset();
    bob.expect("rank ops 0 3 3");
    bob.expect("left ops 3 guest-1 0 reason=lost");
    bob.ask("info ops", "channel ops * hold=0 on-close=safe *");
    bob.expect("ok info ops");
}

/// A member with nobody below is in nobody's way: it may be silent for as long as the
/// idle timeout lets it.
#[test]
fn a_lease_that_nobody_waits_for() {
    let broker = Broker::with(quick);
    let (mut alice, _, mut bob) = pair(&broker, "--on-close safe");
    bob.ask("ping", "ok ping lease=300");
    alice.ask("ping", "ok ping lease=300");
    // By the time that alice is given up, bob's lease is over too.
    bob.expect("rank ops 0 3 3");
    bob.expect("left ops 3 alice 0 reason=timeout");
    bob.expect_nothing();
}

/// A machine that was started again after its power had failed comes back under its
/// name before the connection that it had is known to be dead. The bearer of the name
/// makes way when its lease has run out without a word, even if nobody is below it, and
/// not before.
#[test]
fn a_name_whose_bearer_let_its_lease_run_out() {
    let broker = Broker::with(quick);
    let mut alice = broker.client("alice");
    alice.ask("create ops --on-close safe", "ok create ops");
    alice.ask("sub ops", "ok sub ops rank=0 *");
    let believed = Instant::now();
    alice.ask("ping", "ok ping lease=300");
    let mut again = broker.connect("again");
    support::eventually("the name is free", || {
        again.send("hello --name alice");
        again.line().is_some_and(|line| line.starts_with("ok hello name=alice "))
    });
    assert!(believed.elapsed() >= Duration::from_millis(400), "{:?}", believed.elapsed());
    alice.expect("bye timeout");
    alice.expect_end();
    again.ask("sub ops", "ok sub ops rank=0 *");
}

/// A client that never asked for a lease keeps its name for as long as it is here.
#[test]
fn a_name_whose_bearer_keeps_no_lease() {
    let broker = Broker::with(quick);
    let mut alice = broker.client("alice");
    let mut bob = broker.client("bob");
    bob.ask("ping", "ok ping lease=300");
    let mut other = broker.connect("other");
    // By the time that bob's lease is over, one of alice's would be, too.
    support::eventually("bob's name is free", || {
        other.send("hello --name bob");
        other.line().is_some_and(|line| line.starts_with("ok hello name=bob "))
    });
    let mut other = broker.connect("other");
    other.ask("hello --name alice", "err name-taken *");
    alice.ask("ping", "ok ping lease=300");
}
