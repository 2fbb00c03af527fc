//! `sub CH [--from SEQ|first|now] [--last N]` and `history CH [--from SEQ]
//! [--last N]`: what a channel still holds, and `gap` for what it does not.

mod support;

use support::{Broker, Client};

/// Ten messages in a channel that keeps five, published one by one.
fn ten_messages(broker: &Broker) -> Client {
    let mut alice = broker.client("alice");
    alice.ask("create news --history 5", "ok create news");
    for n in 1..=10 {
        alice.ask(&format!("pub news m{n}"), &format!("ok pub news {n}"));
    }
    alice
}

/// A newcomer at this start hears these lines right after its reply, and then
/// what comes next.
fn newcomer_hears(broker: &Broker, alice: &mut Client, start: &str, lines: &[&str]) {
    // Not by name: a name is free only a moment after its bearer's end.
    let mut bob = broker.connect("bob");
    let reply = bob.ask(&format!("sub news {start}"), "ok sub news rank=0 *");
    let joined = support::field(&reply, "seq");
    bob.expect_all(lines);
    alice.ask("pub news next", "ok pub news *");
    bob.expect("msg news * alice next");
    bob.nothing_else();
    bob.ask("quit", "bye quit");
    bob.expect_end();
    assert_eq!(support::field(&reply, "term"), joined);
}

const LAST_FIVE: [&str; 5] = [
    "msg news 6 alice m6",
    "msg news 7 alice m7",
    "msg news 8 alice m8",
    "msg news 9 alice m9",
    "msg news 10 alice m10",
];

#[test]
fn sub_from_now_hears_nothing_old() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    newcomer_hears(&broker, &mut alice, "", &[]);
    newcomer_hears(&broker, &mut alice, "--from now", &[]);
    newcomer_hears(&broker, &mut alice, "--last 0", &[]);
}

#[test]
fn sub_from_first_hears_all_that_is_kept() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    newcomer_hears(&broker, &mut alice, "--from first", &LAST_FIVE);
}

#[test]
fn sub_from_a_seq_that_is_kept() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    newcomer_hears(&broker, &mut alice, "--from 9", &LAST_FIVE[3..]);
}

/// Five are kept: what is asked for and gone is a `gap`.
#[test]
fn sub_from_a_seq_that_is_gone() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    let mut lines = vec!["gap news 3 5"];
    lines.extend(LAST_FIVE);
    newcomer_hears(&broker, &mut alice, "--from 3", &lines);
}

/// What has yet to come is what comes next.
#[test]
fn sub_from_a_seq_to_come() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    newcomer_hears(&broker, &mut alice, "--from 11", &[]);
}

#[test]
fn sub_last() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    newcomer_hears(&broker, &mut alice, "--last 2", &LAST_FIVE[3..]);
}

/// `--last` takes what there is, and is never a gap.
#[test]
fn sub_last_of_more_than_is_kept() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    newcomer_hears(&broker, &mut alice, "--last 100", &LAST_FIVE);
}

/// `history CH [--from SEQ] [--last N]`: rows, the frames themselves; one need
/// not be a member.
#[test]
fn history_shows_the_frames_themselves() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    let mut olga = broker.client("olga");
    for (request, lines) in [
        ("history news", &LAST_FIVE[..]),
        ("history news --from first", &LAST_FIVE),
        ("history news --from 1", &LAST_FIVE),
        ("history news --from 8", &LAST_FIVE[2..]),
        ("history news --last 1", &LAST_FIVE[4..]),
        ("history news --last 99", &LAST_FIVE),
        ("history news --last 0", &[]),
        ("history news --from 11", &[]),
    ] {
        olga.send(request);
        olga.expect_all(lines);
        olga.expect(&format!("ok history news {}", lines.len()));
    }
    olga.ask("history news --from 1 --last 2", "err bad-request *");
    olga.ask("history nowhere", "err no-channel *");
    // Comings and goings are entries as well.
    let mut bob = broker.member("bob", "news");
    bob.ask("quit", "bye quit");
    alice.ask("pub news after", "ok pub news 13");
    olga.send("history news --last 3");
    olga.expect_all(&["join news 11 bob 0", "left news 12 bob 0 reason=quit"]);
    olga.expect_all(&["msg news 13 alice after", "ok history news 3"]);
    olga.nothing_else();
}

/// Commands of the past oblige nobody: who comes later reads about them only
/// as an observer, or not at all; a member's own commands are in its history.
#[test]
fn a_newcomer_is_given_no_old_command() {
    let broker = Broker::start();
    let mut root = broker.client("root");
    root.ask("create ops --history 100", "ok create ops");
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    alice.ask("/go", "ok cmd ops 3 to=1");
    bob.expect("cmd ops 3 alice 0 1 go");
    let mut carol = broker.client("carol");
    carol.ask("sub ops --from first", "ok sub ops rank=2 *");
    carol.expect_all(&["join ops 1 alice 0", "join ops 2 bob 1"]);
    carol.nothing_else();
    carol.ask("ack ops 3", "err denied *");
    bob.send("history ops");
    bob.until("cmd ops 3 alice 0 1 go");
    bob.until("ok history ops 4");
}
