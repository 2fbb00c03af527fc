//! "An observer is subscribed without a rank and is not in the roster: it sees
//! everything, commands nobody and obeys nobody."

mod support;

use support::Broker;

#[test]
fn an_observer_sees_everything_and_is_seen_by_nobody() {
    let broker = Broker::start();
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    let mut olga = broker.client("olga");
    olga.ask("sub ops --observe", "ok sub ops * view=2 seq=2 members=2");
    alice.ask("pub ops hi", "ok pub ops 3");
    alice.expect("msg ops 3 alice hi");
    alice.ask("/go", "ok cmd ops 4 to=1");
    bob.expect_all(&["msg ops 3 alice hi", "cmd ops 4 alice 0 1 go"]);
    alice.ask("promote ops bob", "ok promote ops bob rank=0 view=5");
    bob.expect_unordered(&["rank ops 0 5 5", "move ops 5 bob 1 0"]);
    bob.ask("quit", "bye quit");
    olga.expect_all(&[
        "msg ops 3 alice hi",
        "cmd ops 4 alice 0 1 go",
        "move ops 5 bob 1 0",
        "left ops 6 bob 0 reason=quit",
    ]);
    // She may speak, and is told no rank.
    olga.ask("pub ops from below", "ok pub ops 7");
    olga.expect("msg ops 7 olga from below");
    for request in ["rank ops", "yield ops"] {
        olga.ask(request, "err not-member *");
    }
    olga.ask("kick ops alice", "err rank *");
    olga.ask("promote ops alice", "err rank *");
    olga.ask("drop ops", "err rank *");
    alice.until("msg ops 7 olga from below");
    alice.ask("promote ops olga", "err no-member *");
    alice.ask("kick ops olga", "err rank *");
    alice.send("ranks ops");
    alice.expect_all(&["member ops 0 alice *", "ok ranks ops 1 view=6"]);
    olga.ask("unsub ops", "ok unsub ops");
    alice.expect_nothing();
    alice.ask("pub ops bye", "ok pub ops 8");
    alice.expect("msg ops 8 alice bye");
    olga.expect_nothing();
}

/// A dropped channel is gone for observers as well.
#[test]
fn observers_hear_that_a_channel_is_dropped() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    let mut olga = broker.client("olga");
    olga.ask("sub ops --observe", "ok sub ops *");
    alice.ask("drop ops", "ok drop ops");
    alice.expect("left ops 2 alice 0 reason=dropped");
    olga.expect("left ops 2 olga * reason=dropped");
    olga.expect_nothing();
}

/// An observer that wants a rank leaves first, as anyone who joins twice.
#[test]
fn an_observer_joins_only_after_it_has_left() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    let mut olga = broker.client("olga");
    olga.ask("sub ops --observe", "ok sub ops *");
    olga.ask("sub ops", "err already-member *");
    olga.ask("unsub ops", "ok unsub ops");
    olga.ask("sub ops", "ok sub ops rank=1 term=2 *");
    alice.expect("join ops 2 olga 1");
    alice.expect_nothing();
}

/// An observer's coming is no entry: it begins with the last one there is, if it
/// asks for that.
#[test]
fn an_observer_begins_with_the_last_entry() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    alice.ask("create news --history 5", "ok create news");
    for seq in 1..=3 {
        alice.ask(&format!("pub news {seq}"), &format!("ok pub news {seq}"));
    }
    for (start, first) in [("--from 3", 3), ("--last 1", 3), ("--from 2", 2), ("--from first", 1)] {
        let mut olga = broker.connect("olga");
        olga.ask(&format!("sub news --observe {start}"), "ok sub news * seq=3 *");
        for seq in first..=3 {
            olga.expect(&format!("msg news {seq} alice {seq}"));
        }
        olga.expect_nothing();
    }
    let mut olga = broker.connect("olga");
    olga.ask("sub news --observe --from now", "ok sub news * seq=3 *");
    olga.expect_nothing();
}

/// An observer that was a member sees its own departure, too.
#[test]
fn an_observer_sees_that_it_was_a_member() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    alice.ask("create ops --history 10", "ok create ops");
    alice.ask("sub ops", "ok sub ops rank=0 *");
    alice.ask("unsub ops", "ok unsub ops");
    alice.ask("sub ops --observe --from first", "ok sub ops observer=yes view=2 seq=2 members=0");
    alice.expect_all(&["join ops 1 alice 0", "left ops 2 alice 0 reason=unsub"]);
    alice.expect_nothing();
}
