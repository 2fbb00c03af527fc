//! Sessions: a client that loses its connection comes back and misses nothing.

mod support;

use ranked_broker::config::Config;
use std::time::Duration;
use support::{Broker, Client, SESSION, eventually, field};

/// A client that has named its session, and its secret.
fn owner(broker: &Broker, name: &str) -> (Client, String) {
    let mut client = broker.connect(name);
    let hello = format!("hello --name {name} --session {SESSION}");
    let reply = client
        .ask(&hello, &format!("ok hello name={name} session={SESSION} secret=* resumed=no *"));
    let secret = field(&reply, "secret");
    (client, secret)
}

/// Cuts the connection, and waits until the broker knows.
fn lose(broker: &Broker, client: Client) {
    let name = client.label.clone();
    client.reset();
    let mut witness = broker.connect("witness");
    eventually("the broker knows that the client is gone", || {
        witness.send("who");
        let rows = witness.until("ok who *");
        !rows.iter().any(|row| row.starts_with(&format!("client {name} ")))
    });
}

fn resume(broker: &Broker, label: &str, options: &str, reply: &str) -> Client {
    let mut client = broker.connect(label);
    client.ask(&format!("hello --session {SESSION} {options}"), reply);
    client
}

/// "Resuming continues each channel after the last seq the client says it has
/// (`--seen CH=SEQ`)": every entry since comes exactly once, in order.
#[test]
fn whoever_comes_back_gets_all_that_came_meanwhile() {
    let broker = Broker::start();
    let mut bob = broker.member("bob", "news");
    let (mut alice, _) = owner(&broker, "alice");
    alice.ask("sub news", "ok sub news rank=1 *");
    bob.expect("join news 2 alice 1");
    bob.ask("pub news one", "ok pub news 3");
    alice.expect("msg news 3 bob one");
    lose(&broker, alice);
    bob.expect_all(&["msg news 3 bob one", "left news 4 alice 1 reason=lost"]);
    bob.ask("pub news two", "ok pub news 5");
    bob.expect("msg news 5 bob two");
    let mut alice = resume(
        &broker,
        "alice",
        "--seen news=3",
        "ok hello name=alice session=* secret=* resumed=yes version=1 channels=1 missed=0 rank=1",
    );
    bob.expect("join news 6 alice 1");
    // Its seat was not held: it has left, and is back at the bottom.
    alice.expect_all(&[
        "rank news 1 6 6",
        "left news 4 alice 1 reason=lost",
        "msg news 5 bob two",
        "join news 6 alice 1",
    ]);
    bob.ask("pub news three", "ok pub news 7");
    alice.expect("msg news 7 bob three");
    alice.expect_nothing();
}

/// An `ok ping` has a client believe in its seats for another lease: which of them it
/// has lost comes before that.
#[test]
fn where_one_stands_is_told_before_anything_else_is_answered() {
    let broker = Broker::start();
    let (mut alice, _) = owner(&broker, "alice");
    alice.ask("sub a --create", "ok sub a rank=0 *");
    alice.ask("sub b --create", "ok sub b rank=0 *");
    let mut bob = broker.member("bob", "a");
    bob.ask("sub b", "ok sub b rank=1 *");
    lose(&broker, alice);
    bob.until("rank b 0 *");
    let mut alice = broker.connect("alice");
    alice.send_bytes(format!("hello --session {SESSION}\nping\n").as_bytes());
    alice.expect("ok hello * channels=2 missed=0 rank=1");
    alice.expect_unordered(&["rank a 1 4 4", "rank b 1 4 4"]);
    alice.expect("ok ping lease=*");
}

/// A command to a seat that is lost has ended with that: its sender is told so, and who
/// comes back is not to carry it out any more.
#[test]
fn commands_to_a_seat_that_was_lost_do_not_come_any_more() {
    let broker = Broker::start();
    let mut bob = broker.member("bob", "news");
    let (mut alice, _) = owner(&broker, "alice");
    alice.ask("sub news", "ok sub news rank=1 *");
    bob.expect("join news 2 alice 1");
    bob.ask("cmd news go", "ok cmd news 3 to=1");
    bob.ask("pub news one", "ok pub news 4");
    bob.expect("msg news 4 bob one");
    lose(&broker, alice);
    bob.expect_unordered(&[
        "ack news 3 alice 1 left*",
        "done news 3 0/1",
        "left news 5 alice 1 reason=lost",
    ]);
    let reply = "ok hello * channels=1 missed=0 rank=1";
    let mut alice = resume(&broker, "alice", "--seen news=2", reply);
    alice.expect_all(&[
        "rank news 1 6 6",
        "msg news 4 bob one",
        "left news 5 alice 1 reason=lost",
        "join news 6 alice 1",
    ]);
    alice.ask("ack news 3", "err gone *");
    alice.expect_nothing();
}

/// "… or after the last one the broker knows it has (`seen CH SEQ` lines)."
#[test]
fn whoever_says_what_it_has_need_not_repeat_it() {
    let broker = Broker::start();
    let mut bob = broker.member("bob", "news");
    let (mut alice, _) = owner(&broker, "alice");
    alice.ask("sub news --observe", "ok sub news *");
    for seq in 2..6 {
        bob.ask("pub news x", &format!("ok pub news {seq}"));
        bob.expect(&format!("msg news {seq} bob x"));
        alice.expect(&format!("msg news {seq} bob x"));
    }
    alice.ask("seen news 3", "ok seen news 3");
    lose(&broker, alice);
    let mut alice = resume(&broker, "alice", "", "ok hello * resumed=yes * missed=0");
    alice.expect_all(&["msg news 4 bob x", "msg news 5 bob x"]);
    alice.expect_nothing();
}

/// A client is cut off at every position, in the middle of whatever is on its way: what
/// it has, and what it gets after it came back, is the log.
#[test]
fn at_every_position() {
    let broker = Broker::start();
    let mut bob = broker.member("bob", "news");
    let (alice, secret) = owner(&broker, "alice");
    let mut alice = alice;
    alice.ask("sub news --observe", "ok sub news *");
    for text in 0..20 {
        bob.send(&format!("pub news text {text}"));
    }
    for has in 1..=21 {
        // The first connection is still in use: it is taken over.
        let options = format!("--secret {secret} --seen news={has}");
        let mut next = resume(&broker, "alice", &options, "ok hello * resumed=yes * missed=0");
        alice.until("bye taken-over");
        for seq in has + 1..=21 {
            next.expect(&format!("msg news {seq} bob text {}", seq - 2));
        }
        next.expect_nothing();
        alice = next;
    }
}

/// "… or `gap CH FROM TO` says what is gone. Never a silent skip."
#[test]
fn what_the_log_no_longer_holds_is_told() {
    let broker = Broker::with(|config| config.log_bytes = 4096);
    let mut bob = broker.member("bob", "news");
    let (mut alice, _) = owner(&broker, "alice");
    alice.ask("sub news --observe", "ok sub news * seq=1 *");
    lose(&broker, alice);
    for seq in 2..102 {
        bob.ask(&format!("pub news {}", "x".repeat(100)), &format!("ok pub news {seq}"));
        bob.expect(&format!("msg news {seq} *"));
    }
    let mut alice = broker.connect("alice");
    let reply = alice.ask(&format!("hello --session {SESSION}"), "ok hello * resumed=yes *");
    let missed: u64 = field(&reply, "missed").parse().unwrap();
    assert!((1..100).contains(&missed), "{reply}");
    alice.expect(&format!("gap news 2 {}", missed + 1));
    for seq in missed + 2..102 {
        alice.expect(&format!("msg news {seq} bob *"));
    }
    alice.expect_nothing();
}

/// "After a connection is lost the session's subscriptions and positions are
/// kept for `--session-grace`, then purged; a later resume is told `err gone`."
#[test]
fn whoever_comes_too_late_is_told() {
    let grace = |config: &mut Config| config.session_grace = Duration::from_millis(50);
    let broker = Broker::with(grace);
    let mut bob = broker.client("bob");
    let (mut alice, secret) = owner(&broker, "alice");
    alice.ask("sub news --create --observe", "ok sub news *");
    lose(&broker, alice);
    eventually("the session is purged", || {
        bob.send("stats");
        field(&bob.expect("ok stats *"), "sessions-kept") == "0"
    });
    let mut late = broker.connect("late");
    late.ask(&format!("hello --session {SESSION}"), "err gone *");
    late.ask(&format!("hello --session {SESSION} --secret {secret}"), "err gone *");
    // The name is free again.
    late.ask("hello --name alice", "ok hello name=alice * resumed=no *");
    // Who takes its leave ends its session too.
    let mut carol = broker.connect("carol");
    let other = "00000000-0000-4000-8000-000000000001";
    carol.ask(&format!("hello --session {other}"), "ok hello *");
    carol.ask("quit", "bye quit");
    bob.ask(&format!("hello --session {other} --seen news=1"), "err gone *");
}

/// "A second connection that presents a session in use takes it over only with
/// the session's secret, and the first one is told `bye taken-over`."
#[test]
fn a_session_in_use_is_taken_over_with_its_secret_alone() {
    let broker = Broker::start();
    let mut bob = broker.member("bob", "ops");
    let (mut alice, secret) = owner(&broker, "alice");
    alice.ask("sub ops", "ok sub ops rank=1 *");
    bob.expect("join ops 2 alice 1");
    let mut thief = broker.connect("thief");
    thief.ask(&format!("hello --session {SESSION}"), "err denied *");
    thief.ask(&format!("hello --session {SESSION} --secret {SESSION}"), "err denied *");
    alice.expect_nothing();
    // What follows in the same packet waits for the session.
    let mut heir = broker.connect("heir");
    heir.send(&format!("hello --session {SESSION} --secret {secret} --seen ops=2\nrank\nping"));
    alice.expect("bye taken-over");
    alice.expect_end();
    heir.expect("ok hello name=alice * resumed=yes * channels=1 missed=0 rank=1");
    heir.expect_all(&["rank ops 1 2 2", "ok rank ops 1 term=2 *", "ok ping *"]);
    // Nobody has left, and nobody was promoted.
    bob.ask("ranks ops", "member ops 0 bob *");
    bob.expect("member ops 1 alice term=2 away=no *");
    bob.expect("ok ranks ops 2 view=2");
    bob.expect_nothing();
}

/// Two connections that fight over one session: one has it at any time, and no
/// entry is lost or doubled between them.
#[test]
fn two_that_fight_over_one_session() {
    let broker = Broker::start();
    let mut bob = broker.member("bob", "news");
    let (mut alice, secret) = owner(&broker, "alice");
    alice.ask("sub news --observe", "ok sub news *");
    for (has, round) in (1..).zip(0..50) {
        bob.send(&format!("pub news {round}"));
        let options = format!("--secret {secret} --seen news={has}");
        let mut next = resume(&broker, "alice", &options, "ok hello * resumed=yes *");
        for line in alice.until("bye taken-over") {
            if line.starts_with("msg ") {
                // It was on its way to the owner before; the other one gets it again.
                assert!(line.starts_with(&format!("msg news {} bob ", has + 1)), "{line}");
            }
        }
        next.expect(&format!("msg news {} bob {round}", has + 1));
        alice = next;
    }
    alice.expect_nothing();
}

/// A session that the broker made up can be resumed like one that the client
/// has named; without an introduction there is none.
#[test]
fn the_broker_makes_up_a_session() {
    let broker = Broker::start();
    let mut bob = broker.member("bob", "news");
    let mut alice = broker.connect("alice");
    let reply = alice.ask("hello --name alice", "ok hello name=alice session=* secret=* *");
    let (session, secret) = (field(&reply, "session"), field(&reply, "secret"));
    alice.ask("hello", &format!("ok hello name=alice session={session} secret={secret} *"));
    alice.ask("sub news --observe --no-echo", "ok sub news *");
    lose(&broker, alice);
    bob.ask("pub news x", "ok pub news 2");
    bob.expect("msg news 2 bob x");
    let mut alice = broker.connect("alice");
    alice
        .ask(&format!("hello --session {session} --seen news=1"), "ok hello name=alice * missed=0");
    alice.expect("msg news 2 bob x");
    alice.ask("pub news mine", "ok pub news 3");
    alice.expect_nothing();
}

/// What comes by a pattern while a client is away has certainly not been sent to it: it
/// is kept, even if the broker made the session up. A pattern alone is enough to come
/// back to.
#[test]
fn a_pattern_is_observed_while_its_client_is_away() {
    let broker = Broker::start();
    let mut bob = broker.client("bob");
    let mut alice = broker.connect("alice");
    let reply = alice.ask("hello --name alice", "ok hello name=alice session=* secret=* *");
    let (session, secret) = (field(&reply, "session"), field(&reply, "secret"));
    alice.ask("sub --pattern n*", "ok sub n* matched=0");
    lose(&broker, alice);
    bob.ask("sub news --create", "ok sub news rank=0 *");
    bob.ask("pub news one", "ok pub news 2");
    bob.expect("msg news 2 bob one");
    bob.ask("drop news", "ok drop news");
    bob.expect("left news 3 bob 0 reason=dropped");
    bob.ask("create news", "ok create news");
    bob.ask("pub news two", "ok pub news 1");
    bob.ask("create next", "ok create next");
    let mut alice = broker.connect("alice");
    let hello = format!("hello --session {session} --secret {secret}");
    alice.ask(&hello, "ok hello name=alice * resumed=yes version=1 channels=2 missed=0");
    alice.expect_all(&[
        "join news 1 bob 0",
        "msg news 2 bob one",
        "left news 3 alice - reason=dropped",
        "msg news 1 bob two",
    ]);
    bob.ask("pub next three", "ok pub next 1");
    alice.expect("msg next 1 bob three");
    alice.expect_nothing();
}

/// What came by a pattern and did not fit into the log counts as missed.
#[test]
fn what_came_by_a_pattern_and_is_gone_is_counted() {
    let broker = Broker::with(|config| config.log_bytes = 64 * 1024);
    let mut bob = broker.client("bob");
    let (mut alice, _) = owner(&broker, "alice");
    alice.ask("sub --pattern n*", "ok sub n* matched=0");
    lose(&broker, alice);
    bob.ask("create news", "ok create news");
    let long = "x".repeat(20_000);
    for seq in 1..=10 {
        bob.ask(&format!("pub news {long}"), &format!("ok pub news {seq}"));
    }
    let mut alice = broker.connect("alice");
    let hello = format!("hello --session {SESSION}");
    let reply = alice.ask(&hello, "ok hello * channels=1 missed=*");
    let missed: u64 = field(&reply, "missed").parse().unwrap();
    assert!((1..10).contains(&missed), "{missed}");
    alice.expect(&format!("gap news 1 {missed}"));
    for seq in missed + 1..=10 {
        alice.expect(&format!("msg news {seq} bob xxx*"));
    }
    alice.expect_nothing();
}

/// A client that takes the name of one that is away, without its session, ends that
/// session; a name under which a seat is held is not to be had.
#[test]
fn names_of_those_who_are_away() {
    let broker = Broker::start();
    let mut bob = broker.client("bob");
    let (mut alice, _) = owner(&broker, "alice");
    alice.ask("sub news --create --observe", "ok sub news *");
    lose(&broker, alice);
    let mut other = broker.connect("other");
    other.ask(&format!("hello --session {SESSION} --name alicia"), "err bad-request *alice*");
    other.ask("hello --name alice", "ok hello name=alice * resumed=no *");
    bob.ask(&format!("hello --session {SESSION}"), "err gone *");
    other.ask("create held --hold 60", "ok create held");
    other.ask("sub held", "ok sub held rank=0 *");
    lose(&broker, other);
    bob.ask("hello --name alice", "err name-taken *");
}

/// A session is named before anything is subscribed.
#[test]
fn a_session_is_not_mixed_with_another() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    alice.ask(&format!("hello --session {SESSION}"), "err bad-request *");
    alice.ask("rank", "ok rank ops 0 *");
    alice.ask("hello --session x", "err bad-request *UUID*");
    alice.ask("hello --secret x", "err bad-request *--session*");
    alice.ask("seen ops 99", "err bad-request ops has nothing up to 99 yet: its last seq is *");
    alice.ask("seen other 1", "err no-channel *");
}

/// A client that has begun to observe a pattern does not go on as somebody else: once,
/// it observed for ever, under a name that nobody had any more.
#[test]
fn who_observes_a_pattern_resumes_no_session() {
    let broker = Broker::start();
    let mut bob = broker.client("bob");
    let (alice, _) = owner(&broker, "alice");
    lose(&broker, alice);
    let mut guest = broker.connect("guest");
    guest.send(&format!("sub --pattern z*\ncreate zed\nhello --session {SESSION}"));
    guest.expect_all(&["ok sub z* matched=0", "ok create zed", "err bad-request *"]);
    // Nor if no channel matches so far.
    let mut other = broker.connect("other");
    other.ask("sub --pattern y*", "ok sub y* matched=0");
    other.ask(&format!("hello --session {SESSION}"), "err bad-request *");
    // Nor while what it has left is still to be read to its end.
    guest.send(&format!("create zoe\nunsub z*\nhello --session {SESSION}"));
    guest.expect_all(&["ok create zoe", "ok unsub z*", "err bad-request *"]);
    guest.ask("quit", "bye quit");
    other.ask("quit", "bye quit");
    for channel in ["zed", "zoe", "yes"] {
        bob.ask(&format!("create {channel} --if-missing"), "ok create *");
        let row = bob.ask(&format!("info {channel}"), "channel *");
        assert_eq!(field(&row, "observers"), "0", "{row}");
        bob.expect("ok info *");
    }
    resume(&broker, "alice", "", "ok hello name=alice * resumed=yes *");
}

/// A client that resumes a session gives up the one that it had on this connection.
#[test]
fn the_session_of_a_guest_ends_when_it_resumes_another() {
    let broker = Broker::start();
    let (alice, _) = owner(&broker, "alice");
    lose(&broker, alice);
    let mut guest = broker.connect("guest");
    let reply = guest.ask("hello", "ok hello * resumed=no *");
    let (session, secret) = (field(&reply, "session"), field(&reply, "secret"));
    guest.ask(&format!("hello --session {SESSION}"), "ok hello name=alice * resumed=yes *");
    let mut late = broker.connect("late");
    late.ask(&format!("hello --session {session} --secret {secret}"), "err gone *");
    guest.expect_nothing();
}

/// "`pub --key` and `cmd --key` make a retry after a lost reply safe: same key,
/// same session, same answer, appended once."
#[test]
fn what_is_repeated_with_its_key_is_done_once() {
    let broker = Broker::start();
    let mut bob = broker.client("bob");
    let (mut alice, _) = owner(&broker, "alice");
    alice.ask("sub ops --create", "ok sub ops rank=0 *");
    bob.ask("sub ops", "ok sub ops rank=1 *");
    alice.expect("join ops 2 bob 1");
    alice.ask("pub --key a ops one", "ok pub ops 3");
    alice.expect("msg ops 3 alice one");
    alice.ask("pub --key a ops one", "ok pub ops 3");
    // The same key for a command is another one.
    alice.ask("cmd ops --key a go", "ok cmd ops 4 to=1");
    alice.ask("cmd ops --key a go", "ok cmd ops 4 to=1");
    alice.ask("pub --key c --term 9 ops x", "err fenced *");
    lose(&broker, alice);
    let mut alice = resume(&broker, "alice", "--seen ops=5", "ok hello * resumed=yes *");
    alice.expect("rank ops 1 6 6");
    alice.expect("join ops 6 alice 1");
    alice.ask("cmd ops --key a go", "ok cmd ops 4 to=1");
    alice.ask("pub --key a ops one", "ok pub ops 3");
    // A request that failed is not remembered.
    alice.ask("pub --key c ops x", "ok pub ops 7");
    alice.expect("msg ops 7 alice x");
    // Another session's key is another key.
    bob.send("pub --key a ops y");
    alice.expect("msg ops 8 bob y");
    // A channel that was dropped and made again is another one.
    bob.until("msg ops 8 bob y");
    bob.send("drop ops\ncreate ops");
    alice.until("left ops 9 alice 1 reason=dropped");
    bob.until("ok create ops");
    alice.ask("pub --key a ops one", "ok pub ops 1");
}

/// A key that was used belongs to the session in which it was: a client that named
/// another one after that would have the same done twice.
#[test]
fn a_session_is_named_before_a_key_is_used() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    alice.ask("create c", "ok create c");
    let mut guest = broker.connect("guest");
    guest.ask("pub --key k c one", "ok pub c 1");
    guest.ask(&format!("hello --session {SESSION}"), "err bad-request name your session before *");
    guest.ask("pub --key k c one", "ok pub c 1");
    // To name its own session changes nothing.
    let session = field(&guest.ask("hello", "ok hello *"), "session");
    guest.ask(&format!("hello --session {session}"), "ok hello * resumed=no *");
    guest.ask("pub --key k c one", "ok pub c 1");
}

/// Many that want one session at once: each of them gets its answer, and one
/// has it in the end.
#[test]
fn many_that_claim_one_session_at_once() {
    let broker = Broker::start();
    let (mut alice, secret) = owner(&broker, "alice");
    alice.ask("sub news --create --observe", "ok sub news *");
    let hello = format!("hello --session {SESSION} --secret {secret}");
    let mut heirs: Vec<Client> = (0..8).map(|_| broker.connect("heir")).collect();
    for heir in &mut heirs {
        heir.send(&hello);
    }
    alice.until("bye taken-over");
    for heir in &mut heirs {
        heir.expect("ok hello name=alice * resumed=yes *");
    }
    broker.client("bob").ask("pub news x", "ok pub news 1");
    let heard = heirs.iter_mut().filter_map(Client::line).filter(|line| line.starts_with("msg"));
    assert_eq!(heard.count(), 1, "one of them has the session");
}

/// A client that says it has more than there is has said nothing.
#[test]
fn nobody_has_seen_what_is_still_to_come() {
    let broker = Broker::start();
    let mut bob = broker.member("bob", "news");
    let (mut alice, _) = owner(&broker, "alice");
    alice.ask("sub news", "ok sub news rank=1 *");
    lose(&broker, alice);
    bob.until("left news 3 alice 1 reason=lost");
    let seen = format!("--seen news={}", u64::MAX);
    let mut alice = resume(&broker, "alice", &seen, "ok hello * resumed=yes * missed=0 rank=1");
    let left = "left news 3 alice 1 reason=lost";
    alice.expect_all(&["rank news 1 4 4", left, "join news 4 alice 1"]);
    alice.expect_nothing();
}

/// A seq that does not exist yet counts as none: what the broker itself knows holds.
#[test]
fn whoever_names_what_is_still_to_come_misses_nothing() {
    let broker = Broker::start();
    let mut bob = broker.member("bob", "news");
    let (mut alice, _) = owner(&broker, "alice");
    alice.ask("sub news --observe", "ok sub news *");
    bob.ask("pub news one", "ok pub news 2");
    alice.expect("msg news 2 bob one");
    alice.ask("seen news 2", "ok seen news 2");
    lose(&broker, alice);
    bob.until("msg news 2 bob one");
    bob.ask("pub news two", "ok pub news 3");
    let mut alice = resume(&broker, "alice", "--seen news=50", "ok hello * resumed=yes *");
    alice.expect("msg news 3 bob two");
    lose(&broker, alice);
    // A seq that exists holds, whatever the broker knows.
    let mut alice = resume(&broker, "alice", "--seen news=3", "ok hello * resumed=yes *");
    alice.expect_nothing();
}

/// Whoever comes back finds that a channel was dropped, and made again: it has left
/// the first, and observes the second by its pattern, until that ends.
#[test]
fn who_comes_back_to_a_channel_made_anew_has_its_place_in_that() {
    let broker = Broker::start();
    let mut bob = broker.member("bob", "ops");
    let (mut alice, secret) = owner(&broker, "alice");
    alice.ask("sub --pattern o*", "ok sub o*");
    alice.ask("sub ops", "ok sub ops rank=1 *");
    bob.expect("join ops 2 alice 1");
    lose(&broker, alice);
    bob.expect("left ops 3 alice 1 reason=lost");
    bob.ask("drop ops", "ok drop ops");
    bob.expect("left ops 4 bob 0 reason=dropped");
    bob.ask("sub ops --create", "ok sub ops rank=0 *");
    let mut alice = resume(&broker, "alice", &format!("--secret {secret}"), "ok hello *");
    bob.ask("pub ops one", "ok pub ops 2");
    alice.until("msg ops 2 bob one");
    bob.expect("msg ops 2 bob one");
    alice.ask("unsub o*", "ok unsub o*");
    bob.ask("pub ops two", "ok pub ops 3");
    alice.expect_nothing();
    bob.expect("msg ops 3 bob two");
    let row = bob.ask("info ops", "channel ops *");
    assert_eq!(field(&row, "observers"), "0", "{row}");
}

/// What was kept for a session is let go of when its grace is over, also of a
/// channel that it has come to observe while it was away.
#[test]
fn nothing_is_kept_for_a_session_that_is_over() {
    let grace = |config: &mut Config| config.session_grace = Duration::from_millis(200);
    let broker = Broker::with(grace);
    let mut bob = broker.client("bob");
    let (mut alice, _) = owner(&broker, "alice");
    alice.ask("sub --pattern n*", "ok sub n* matched=0");
    lose(&broker, alice);
    bob.ask("sub news --create", "ok sub news rank=0 *");
    let long = "x".repeat(20_000);
    for seq in 2..6 {
        bob.ask(&format!("pub news {long}"), &format!("ok pub news {seq}"));
        bob.expect(&format!("msg news {seq} bob *"));
    }
    eventually("the session is purged", || {
        bob.send("stats");
        field(&bob.expect("ok stats *"), "sessions-kept") == "0"
    });
    bob.ask("pub news short", "ok pub news *");
    bob.until("msg news * bob short");
    let row = bob.ask("info news", "channel news *");
    assert!(field(&row, "bytes").parse::<u64>().unwrap() < 20_000, "{row}");
}

/// Alice, with a session of her own, below bob in `news`, who publishes two messages,
/// and one more after her connection was lost.
fn one_that_is_lost(broker: &Broker, settings: &str) -> Client {
    let mut bob = broker.client("bob");
    bob.ask(&format!("create news {settings}"), "ok create news");
    bob.ask("sub news", "ok sub news rank=0 *");
    let (mut alice, _) = owner(broker, "alice");
    alice.ask("sub news", "ok sub news rank=1 *");
    bob.expect("join news 2 alice 1");
    for (seq, text) in [(3, "one"), (4, "two")] {
        bob.ask(&format!("pub news {text}"), &format!("ok pub news {seq}"));
        bob.expect(&format!("msg news {seq} bob {text}"));
    }
    lose(broker, alice);
    bob.expect("left news 5 alice 1 reason=lost");
    bob.ask("pub news three", "ok pub news 6");
    bob.expect("msg news 6 bob three");
    bob
}

/// A member whose seat was not held still gets all of a channel that was dropped
/// meanwhile, and its end.
#[test]
fn what_was_in_a_dropped_channel_still_comes() {
    let broker = Broker::start();
    let mut bob = one_that_is_lost(&broker, "");
    bob.ask("drop news", "ok drop news");
    bob.expect("left news 7 bob 0 reason=dropped");
    // Another channel of that name is none of its business.
    bob.ask("sub news --create", "ok sub news rank=0 * seq=1 *");
    bob.ask("pub news other", "ok pub news 2");
    let mut alice =
        resume(&broker, "alice", "--seen news=3", "ok hello * resumed=yes * channels=0 missed=0");
    alice.expect_all(&[
        "msg news 4 bob two",
        "left news 5 alice 1 reason=lost",
        "msg news 6 bob three",
        "left news 7 alice - reason=dropped",
    ]);
    alice.ask("sub news", "ok sub news rank=1 *");
    alice.expect_nothing();
}

/// A member that cannot join again, because others have taken all places, is told when
/// it left, and what came before that.
#[test]
fn who_finds_its_channel_full_is_told_how_it_left() {
    let broker = Broker::start();
    let _bob = one_that_is_lost(&broker, "--max 2");
    let mut carol = broker.client("carol");
    carol.ask("sub news", "ok sub news rank=1 * seq=7 *");
    let mut alice =
        resume(&broker, "alice", "--seen news=3", "ok hello * resumed=yes * channels=0 missed=0");
    alice.expect_all(&["msg news 4 bob two", "left news 5 alice 1 reason=lost"]);
    alice.ask("rank news", "err not-member *");
    alice.ask("sub news", "err full *");
    carol.ask("unsub news", "ok unsub news");
    alice.ask("sub news", "ok sub news rank=1 term=9 *");
    alice.expect_nothing();
}

/// Says hello with a session and then nothing more, until the connection is closed for
/// that.
fn until_silent_for_too_long(broker: &Broker, hello: &str) {
    let mut alice = broker.connect("alice");
    alice.ask(hello, "ok hello *");
    alice.expect("ping *");
    alice.expect("bye timeout");
    alice.expect_end();
}

/// A client that was closed because it was silent, and is silent again after it has
/// come back, is closed again.
#[test]
fn who_comes_back_is_not_to_be_silent_either() {
    let broker = Broker::with(|config| config.idle_timeout = Duration::from_secs(1));
    for _ in 0..3 {
        until_silent_for_too_long(&broker, &format!("hello --session {SESSION}"));
    }
}

/// A session is taken from a connection that is on its way out, and whose client reads
/// nothing of what is still due, as it is from a live one.
#[test]
fn a_session_is_taken_from_a_connection_that_is_being_closed() {
    let broker = Broker::with(|config| {
        config.drain = Duration::from_secs(3600);
        config.log_bytes = 16 * 1024 * 1024;
    });
    let mut bob = broker.member("bob", "ops");
    bob.ask("create news --history 100", "ok create news");
    let text = "x".repeat(60_000);
    for seq in 1..101 {
        bob.ask(&format!("pub news {text}"), &format!("ok pub news {seq}"));
    }
    let mut alice = broker.connect_narrow("alice");
    let reply = alice.ask(&format!("hello --name alice --session {SESSION}"), "ok hello *");
    let options = format!("--secret {} --seen news=99", field(&reply, "secret"));
    alice.ask("sub ops", "ok sub ops rank=1 *");
    alice.ask("sub news --observe --from first", "ok sub news *");
    alice.half_close();
    bob.expect_all(&["join ops 2 alice 1", "left ops 3 alice 1 reason=lost"]);
    let hello = "ok hello name=alice * resumed=yes * channels=2 missed=0*";
    resume(&broker, "heir", &options, hello).until("msg news 100 bob *");
}

/// A member that was kicked, or whose channel was dropped, before it had read
/// everything, hears the rest and the reason when it is back.
#[test]
fn who_is_lost_before_it_has_read_why_it_is_over_hears_it_later() {
    for (end, reason) in [("kick ops alice", "kicked"), ("drop ops", "dropped")] {
        let broker = Broker::start();
        let mut bob = broker.client("bob");
        bob.ask("sub ops --create --no-echo", "ok sub ops rank=0 *");
        let mut alice = broker.connect_narrow("alice");
        let reply = alice.ask(&format!("hello --name alice --session {SESSION}"), "ok hello *");
        alice.ask("sub ops", "ok sub ops rank=1 *");
        bob.expect("join ops 2 alice 1");
        let text = "x".repeat(60_000);
        for _ in 0..60 {
            bob.ask(&format!("pub ops {text}"), "ok pub ops *");
        }
        bob.ask(end, "ok *");
        alice.reset();
        let options = format!("--secret {} --seen ops=2", field(&reply, "secret"));
        let mut alice = resume(&broker, "alice", &options, "ok hello * resumed=yes *");
        for seq in 3..=62 {
            alice.expect(&format!("msg ops {seq} bob x*"));
        }
        alice.expect(&format!("left ops 63 alice 1 reason={reason}"));
    }
}
