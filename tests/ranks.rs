//! "Its rank is its place in that channel's roster: 0 is highest; first come,
//! first served; no gaps, ever. When a member leaves, everyone below moves up
//! by one."

mod support;

use std::time::Duration;
use support::{Broker, Client};

/// "`sub CH` joins at the bottom of the roster → `ok sub CH rank=2 term=18
/// view=18 seq=18 members=3`"; the others see `join CH SEQ MEMBER RANK`.
#[test]
fn first_come_first_served() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    alice.ask("sub ops --create", "ok sub ops rank=0 term=1 view=1 seq=1 members=1");
    let mut bob = broker.client("bob");
    bob.ask("sub ops", "ok sub ops rank=1 term=2 view=2 seq=2 members=2");
    alice.expect("join ops 2 bob 1");
    bob.ask("pub ops hi", "ok pub ops 3");
    bob.expect("msg ops 3 bob hi");
    let mut carol = broker.client("carol");
    carol.ask("sub ops", "ok sub ops rank=2 term=4 view=4 seq=4 members=3");
    alice.expect_all(&["msg ops 3 bob hi", "join ops 4 carol 2"]);
    bob.expect("join ops 4 carol 2");
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect_nothing();
    }
}

/// Whoever is below the one that leaves moves up by one, and is told; whoever
/// is above keeps rank and term.
fn bob_leaves(reason: &str, leave: impl FnOnce(&mut Client, Client)) {
    let broker = Broker::start();
    let [mut alice, bob, mut carol, mut dave] =
        broker.team("ops", ["alice", "bob", "carol", "dave"]);
    leave(&mut alice, bob);
    let left = format!("left ops 5 bob 1 reason={reason}");
    alice.expect(&left);
    carol.expect_unordered(&[&left, "rank ops 1 5 5"]);
    dave.expect_unordered(&[&left, "rank ops 2 5 5"]);
    alice.ask("rank ops", "ok rank ops 0 term=1 view=5 members=3");
    carol.ask("rank ops", "ok rank ops 1 term=5 view=5 members=3");
    dave.ask("rank ops", "ok rank ops 2 term=5 view=5 members=3");
    for client in [&mut alice, &mut carol, &mut dave] {
        client.expect_nothing();
    }
}

#[test]
fn everyone_below_moves_up_on_unsub() {
    bob_leaves("unsub", |_, mut bob| {
        bob.ask("unsub ops", "ok unsub ops");
        bob.ask("rank ops", "err not-member *");
        bob.expect_nothing();
    });
}

/// A channel that is dropped and made again is another one: whoever is in it
/// leaves it, and not the first, even if both were in one write.
#[test]
fn everyone_below_moves_up_in_a_channel_made_anew() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    alice.send_bytes(b"sub ops --create\ndrop ops\nsub ops --create\n");
    alice.until("ok sub ops rank=0 *");
    alice.until("ok sub ops rank=0 *");
    let mut bob = broker.client("bob");
    bob.ask("sub ops", "ok sub ops rank=1 *");
    alice.close();
    bob.expect_unordered(&["left ops * alice 0 reason=lost", "rank ops 0 *"]);
}

#[test]
fn everyone_below_moves_up_on_quit() {
    bob_leaves("quit", |_, mut bob| {
        bob.ask("quit", "bye quit");
        bob.expect_end();
    });
}

#[test]
fn everyone_below_moves_up_when_the_connection_is_closed() {
    bob_leaves("lost", |_, bob| bob.close());
}

#[test]
fn everyone_below_moves_up_when_the_connection_is_reset() {
    bob_leaves("lost", |_, bob| bob.reset());
}

#[test]
fn everyone_below_moves_up_when_a_line_has_no_end() {
    bob_leaves("lost", |_, mut bob| {
        bob.send_bytes(&vec![b'x'; 70_000]);
        bob.expect_all(&["err too-long *", "bye too-long"]);
        bob.expect_end();
    });
}

/// "`kick CH MEMBER [REASON…]`: remove a member ranked below you"; it sees that
/// itself, stays connected and may come back at the bottom.
#[test]
fn everyone_below_moves_up_on_kick() {
    bob_leaves("kicked", |alice, mut bob| {
        alice.ask("kick ops bob too loud", "ok kick ops bob");
        bob.expect("left ops 5 bob 1 reason=kicked");
        bob.ask("rank ops", "err not-member *");
        bob.expect_nothing();
    });
    let broker = Broker::start();
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    bob.ask("kick ops alice", "err rank *");
    bob.ask("kick ops bob", "err rank *");
    alice.ask("kick ops nobody", "err no-member *");
    alice.ask("kick ops bob", "ok kick ops bob");
    bob.expect("left ops 3 bob 1 reason=kicked");
    bob.ask("sub ops", "ok sub ops rank=1 term=4 view=4 seq=4 members=2");
    alice.expect_all(&["left ops 3 bob 1 reason=kicked", "join ops 4 bob 1"]);
    alice.expect_nothing();
}

/// "`ping N`: answer `pong N`". Who does not is given up after the idle
/// timeout, and whoever does keeps its seat.
#[test]
fn everyone_below_moves_up_when_a_ping_is_not_answered() {
    let broker = Broker::with(|config| config.idle_timeout = Duration::from_secs(2));
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    let mut missing = vec!["left ops 3 alice 0 reason=timeout", "rank ops 0 3 3"];
    while !missing.is_empty() {
        let line = bob.line().expect("bob keeps his connection");
        match line.strip_prefix("ping ") {
            Some(number) => bob.send(&format!("pong {number}")),
            None => missing.retain(|due| *due != line),
        }
    }
    alice.expect("ping *");
    alice.expect("bye timeout");
    alice.expect_end();
}

/// "`drop CH` removes it; members get `left … reason=dropped`; rank 0 or an
/// administrator only."
#[test]
fn a_dropped_channel_is_left_by_all() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    let mut olga = broker.client("olga");
    olga.ask("drop ops", "err not-member *");
    bob.ask("drop ops", "err rank *");
    carol.ask("pub ops last", "ok pub ops 4");
    alice.expect("msg ops 4 carol last");
    alice.ask("drop ops", "ok drop ops");
    alice.expect("left ops 5 alice 0 reason=dropped");
    bob.expect_all(&["msg ops 4 carol last", "left ops 5 bob 1 reason=dropped"]);
    carol.expect_all(&["msg ops 4 carol last", "left ops 5 carol 2 reason=dropped"]);
    for client in [&mut alice, &mut bob, &mut carol] {
        client.ask("rank ops", "err no-channel *");
        client.expect_nothing();
    }
    bob.ask("sub ops --create", "ok sub ops rank=0 term=1 view=1 seq=1 members=1");
}

/// "A roster's view is the seq of the entry that last changed it. A member's
/// term is the seq at which it got its present rank; a newcomer at the bottom
/// changes nobody else's term."
#[test]
fn view_and_term_are_seqs() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    alice.ask("pub ops one", "ok pub ops 4");
    alice.expect("msg ops 4 alice one");
    // Messages change no view.
    alice.ask("rank", "ok rank ops 0 term=1 view=3 members=3");
    bob.expect("msg ops 4 alice one");
    bob.ask("unsub ops", "ok unsub ops");
    alice.expect("left ops 5 bob 1 reason=unsub");
    carol.expect_unordered(&["msg ops 4 alice one", "rank ops 1 5 5", "left ops 5 bob 1 *"]);
    let mut dave = broker.client("dave");
    dave.ask("sub ops", "ok sub ops rank=2 term=6 view=6 seq=6 members=3");
    for client in [&mut alice, &mut carol] {
        client.expect("join ops 6 dave 2");
        client.send("ranks ops");
        client.expect_all(&[
            "member ops 0 alice term=1 away=no since=20*T*Z behind=*",
            "member ops 1 carol term=5 away=no since=20*T*Z behind=*",
            "member ops 2 dave term=6 away=no since=20*T*Z behind=*",
            "ok ranks ops 3 view=6",
        ]);
        client.expect_nothing();
    }
}

/// "`yield [CH]`: go to the bottom of the roster → `ok yield CH rank=N view=V`"
#[test]
fn yield_goes_to_the_bottom() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    alice.ask("yield ops", "ok yield ops rank=2 view=4");
    alice.expect_unordered(&["rank ops 2 4 4", "move ops 4 alice 0 2"]);
    bob.expect_unordered(&["rank ops 0 4 4", "move ops 4 alice 0 2"]);
    carol.expect_unordered(&["rank ops 1 4 4", "move ops 4 alice 0 2"]);
    // Only those between move: alice stays below while bob and carol change.
    bob.ask("promote ops carol", "ok promote ops carol rank=0 view=5");
    bob.expect_unordered(&["rank ops 1 5 5", "move ops 5 carol 1 0"]);
    carol.expect_unordered(&["rank ops 0 5 5", "move ops 5 carol 1 0"]);
    alice.expect("move ops 5 carol 1 0");
    alice.ask("rank", "ok rank ops 2 term=4 view=5 members=3");
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect_nothing();
    }
}

/// "`promote CH MEMBER [RANK]`: move a member (default to rank 0); rank 0 or an
/// administrator only."
#[test]
fn promote_moves_a_member_to_any_rank() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol, mut dave] =
        broker.team("ops", ["alice", "bob", "carol", "dave"]);
    bob.ask("promote ops bob", "err rank *");
    alice.ask("promote ops nobody", "err no-member *");
    alice.ask("promote ops dave 4", "err bad-request *");
    alice.ask("promote ops dave 1", "ok promote ops dave rank=1 view=5");
    alice.expect("move ops 5 dave 3 1");
    dave.expect_unordered(&["rank ops 1 5 5", "move ops 5 dave 3 1"]);
    bob.expect_unordered(&["rank ops 2 5 5", "move ops 5 dave 3 1"]);
    carol.expect_unordered(&["rank ops 3 5 5", "move ops 5 dave 3 1"]);
    // Down as well, even herself: whoever is between moves up.
    alice.ask("promote ops alice 2", "ok promote ops alice rank=2 view=6");
    alice.expect_unordered(&["rank ops 2 6 6", "move ops 6 alice 0 2"]);
    dave.expect_unordered(&["rank ops 0 6 6", "move ops 6 alice 0 2"]);
    bob.expect_unordered(&["rank ops 1 6 6", "move ops 6 alice 0 2"]);
    carol.expect("move ops 6 alice 0 2");
    carol.ask("rank", "ok rank ops 3 term=5 view=6 members=4");
    alice.ask("promote ops bob", "err rank *");
    for client in [&mut alice, &mut bob, &mut carol, &mut dave] {
        client.expect_nothing();
    }
}

/// Whoever is already there is not moved: no entry, no view, no frame.
#[test]
fn who_is_already_there_is_not_moved() {
    let broker = Broker::start();
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    bob.ask("yield ops", "ok yield ops rank=1 view=2");
    alice.ask("promote ops alice", "ok promote ops alice rank=0 view=2");
    alice.ask("promote ops bob 1", "ok promote ops bob rank=1 view=2");
    alice.ask("rank", "ok rank ops 0 term=1 view=2 members=2");
    alice.expect_nothing();
    bob.expect_nothing();
    // The next entry takes the very next seq.
    alice.ask("pub ops hi", "ok pub ops 3");
    alice.expect("msg ops 3 alice hi");
    bob.expect("msg ops 3 alice hi");
    // Alone, the top is the bottom.
    bob.ask("unsub ops", "ok unsub ops");
    alice.expect("left ops 4 bob 1 reason=unsub");
    alice.ask("yield", "ok yield ops rank=0 view=4");
    alice.expect_nothing();
}

/// "`rank CH RANK TERM VIEW`, to you: after a burst of changes, at least the
/// last one is sent", and what it says last is so.
#[test]
fn a_burst_of_departures_ends_in_the_right_rank() {
    let broker = Broker::start();
    let mut above: Vec<Client> = (0..40).map(|n| broker.member(&format!("m{n}"), "ops")).collect();
    let mut last = broker.member("last", "ops");
    while !above.is_empty() {
        let at = above.len() / 2;
        above.swap_remove(at).close();
    }
    let (mut rank, mut left) = (String::new(), Vec::new());
    while left.len() < 40 || !rank.starts_with("rank ops 0 ") {
        let line = last.line().expect("a line");
        if line.starts_with("rank ") {
            assert!(support::number(&line, 4) > 41, "no rank before anybody left");
            rank = line;
        } else {
            left.push(support::number(&line, 2));
        }
    }
    assert_eq!(left, (42..=81).collect::<Vec<_>>(), "every departure once, in order");
    assert_eq!(rank, "rank ops 0 81 81");
    last.ask("rank ops", "ok rank ops 0 term=81 view=81 members=1");
    last.expect_nothing();
}

/// A member that was removed before its channel was is told of the former and not of
/// the latter, although it looks only when both have happened.
#[test]
fn who_is_kicked_and_then_dropped_left_once() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    alice.send("kick ops bob\nkick ops carol\ndrop ops");
    alice.until("left ops 6 alice 0 reason=dropped");
    bob.until("left ops 4 bob 1 reason=kicked");
    bob.expect_nothing();
    carol.until("left ops 5 carol 1 reason=kicked");
    carol.expect_nothing();
}
