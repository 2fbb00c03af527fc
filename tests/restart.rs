//! A broker that comes back has forgotten nothing that it promised: sessions,
//! seats, ranks, keys.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{Broker, Client, SESSION, eventually, field};

/// Ends the broker by this signal, once all there is to write has been written.
fn end(mut broker: Broker, how: &str) {
    let mut witness = broker.connect("witness");
    // Its reply waits for the disk, and so for all that was noted before.
    let settled = format!("create settled-{}", broker.child().id());
    witness.ask(&settled, &format!("ok {settled}"));
    broker.child().signal(how);
    broker.child().ended();
}

/// "With `--data`, seqs, views and terms never go backwards, also for channels
/// that are not durable; seats of lost members are held for a restart grace so
/// that a restart does not reshuffle the ranks."
fn ranks_survive(how: &str) {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let (mut alice, resume_alice) = first.owner("alice");
    let (mut bob, resume_bob) = first.owner("bob");
    let mut carol = first.client("carol");
    alice.ask("create kept --durable", "ok create kept");
    alice.ask("create plain --max 7", "ok create plain");
    for channel in ["kept", "plain"] {
        carol.ask(&format!("sub {channel}"), "ok sub * rank=0 *");
        alice.ask(&format!("sub {channel}"), "ok sub * rank=1 *");
        bob.ask(&format!("sub {channel}"), "ok sub * rank=2 *");
        carol.expect("join * 2 alice 1");
        alice.expect("join * 3 bob 2");
        carol.expect("join * 3 bob 2");
        carol.ask(&format!("yield {channel}"), "ok yield * rank=2 view=4");
        for client in [&mut alice, &mut bob, &mut carol] {
            client.until("move * 4 carol 0 2");
        }
    }
    bob.ask("pub kept one", "ok pub kept 5");
    end(first, how);

    let second = Broker::keeping(dir.path(), &["--restart-grace", "1h"]);
    let mut witness = second.connect("witness");
    witness.ask("info plain", "channel plain members=3 * max=7 *");
    witness.expect("ok info plain");
    witness.send("ranks kept");
    witness.expect_all(&[
        "member kept 0 alice term=4 away=yes *",
        "member kept 1 bob term=4 away=yes *",
        "member kept 2 carol term=4 away=yes *",
        "ok ranks kept 3 view=4",
    ]);
    // On the durable channel nothing has changed; on the other one the terms
    // are new, and higher than any before.
    let mut alice = second.connect("alice");
    alice.ask(&format!("{resume_alice} --seen kept=4"), "ok hello name=alice * resumed=yes *");
    // Nothing is promised of the order across channels.
    let mut lines = Vec::new();
    while lines.len() < 4 {
        lines.extend(alice.line().filter(|line| !line.starts_with("gap plain ")));
    }
    lines.sort_unstable();
    assert!(support::matches("move plain * alice 0 0", &lines[0]), "{lines:?}");
    assert_eq!(lines[1..3], ["msg kept 5 bob one", "rank kept 0 4 4"], "{lines:?}");
    let rank = &lines[3];
    assert!(rank.starts_with("rank plain 0 "), "{lines:?}");
    let term: u64 = support::number(rank, 3);
    assert!(term > 4, "{rank}");
    witness
        .ask(&format!("check plain {term}"), &format!("ok check plain current=yes term={term} *"));
    alice.ask("pub --term 4 kept two", "ok pub kept 6");
    alice.expect("msg kept 6 alice two");
    let mut bob = second.connect("bob");
    bob.ask(&format!("{resume_bob} --seen kept=5"), "ok hello name=bob * resumed=yes *");
    bob.until("msg kept 6 alice two");
    // A command reaches those who are there, in the same order of ranks.
    alice.ask("cmd kept go", "ok cmd kept 7 to=2");
    bob.until("cmd kept 7 alice 0 4 go");
}

#[test]
fn ranks_survive_a_kill() {
    ranks_survive("KILL");
}

#[test]
fn ranks_survive_a_stop() {
    ranks_survive("TERM");
}

/// A member that does not come back within the grace has left.
#[test]
fn a_seat_that_nobody_comes_back_to() {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let (mut alice, _) = first.owner("alice");
    let mut guest = first.connect("guest");
    alice.ask("create kept --durable", "ok create kept");
    guest.ask("sub kept", "ok sub kept rank=0 *");
    alice.ask("sub kept", "ok sub kept rank=1 *");
    end(first, "KILL");
    let second = Broker::keeping(dir.path(), &["--restart-grace", "50ms"]);
    let mut bob = second.client("bob");
    bob.ask("sub kept --from first --observe", "ok sub kept *");
    bob.expect_all(&["join kept 1 guest-1 0", "join kept 2 alice 1"]);
    bob.expect_unordered(&["left kept * guest-1 * reason=lost", "left kept * alice * reason=lost"]);
    // Its session outlives its seat.
    bob.ask("hello --name bob", "ok hello name=bob *");
    bob.ask("ranks kept", "ok ranks kept 0 *");
}

/// Alice observes, hears five messages of Bob's, publishes a sixth and says that she
/// has seen three.
fn observe_and_publish(alice: &mut Client, bob: &mut Client) {
    alice.ask("sub log --observe --no-echo", "ok sub log *");
    alice.ask("sub --pattern x.*", "ok sub x.* matched=0");
    for n in 1..=5 {
        bob.ask(&format!("pub log {n}"), &format!("ok pub log {n}"));
        alice.expect(&format!("msg log {n} bob {n}"));
    }
    alice.ask("pub --key a log mine", "ok pub log 6");
    alice.ask("seen log 3", "ok seen log 3");
}

#[test]
fn a_session_is_the_same_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let mut bob = first.client("bob");
    bob.ask("create log --durable", "ok create log");
    let mut alice = first.connect("alice");
    let reply = alice.ask(&format!("hello --name alice --session {SESSION}"), "ok hello *");
    let secret = field(&reply, "secret");
    observe_and_publish(&mut alice, &mut bob);
    end(first, "KILL");

    let second = Broker::keeping(dir.path(), &[]);
    let mut thief = second.connect("thief");
    thief.ask(&format!("hello --session {SESSION} --secret {SESSION}"), "err denied *");
    thief.ask("hello --name alice", "ok hello name=alice *");
    // Her name was taken without her session: that ends the session, for ever.
    thief.ask(&format!("hello --session {SESSION}"), "err gone *");
    end(second, "KILL");
    let third = Broker::keeping(dir.path(), &[]);
    let mut alice = third.connect("alice");
    alice.ask(&format!("hello --session {SESSION} --secret {secret}"), "err gone *");
}

/// A session keeps what it is subscribed to, how far it is there, what it observes and
/// what its keys were answered.
#[test]
fn positions_patterns_and_keys_survive() {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let mut bob = first.client("bob");
    bob.ask("create log --durable", "ok create log");
    let mut alice = first.connect("alice");
    alice.ask(&format!("hello --name alice --session {SESSION}"), "ok hello *");
    observe_and_publish(&mut alice, &mut bob);
    end(first, "KILL");

    let second = Broker::keeping(dir.path(), &[]);
    let mut bob = second.client("bob");
    bob.ask("sub x.1 --create", "ok sub x.1 rank=0 *");
    bob.ask("pub log 7", "ok pub log 7");
    let mut alice = second.connect("alice");
    alice.ask(&format!("hello --session {SESSION}"), "ok hello name=alice * channels=2 missed=0");
    // No echo, as before.
    let heard = alice.until("msg log 7 bob 7");
    assert!(heard.contains(&"msg log 4 bob 4".into()) && heard.contains(&"msg log 5 bob 5".into()));
    assert!(!heard.iter().any(|line| line.starts_with("msg log 3") || line.contains(" alice ")));
    assert!(heard.contains(&"join x.1 1 bob 0".into()), "{heard:?}");
    alice.ask("pub --key a log mine", "ok pub log 6");
    alice.ask("pub --key b log mine", "ok pub log 8");
    alice.expect_nothing();
}

/// A member that has left on purpose, or was kicked, has left for good.
#[test]
fn who_has_left_is_not_brought_back() {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let (mut alice, _) = first.owner("alice");
    let (mut bob, resume_bob) = first.owner("bob");
    let (mut carol, resume_carol) = first.owner("carol");
    alice.ask("create ops --durable", "ok create ops");
    for client in [&mut alice, &mut bob, &mut carol] {
        client.ask("sub ops", "ok sub ops *");
    }
    alice.until("join ops 3 carol 2");
    bob.until("join ops 3 carol 2");
    alice.ask("kick ops bob", "ok kick ops bob");
    carol.until("left ops 4 bob 1 reason=kicked");
    carol.ask("quit", "bye quit");
    end(first, "KILL");
    let second = Broker::keeping(dir.path(), &["--restart-grace", "1h"]);
    let mut bob = second.connect("bob");
    bob.send(&resume_bob);
    let reply = bob.line().unwrap();
    assert!(reply.starts_with("err gone") || field(&reply, "channels") == "0", "{reply}");
    let mut carol = second.connect("carol");
    carol.ask(&resume_carol, "err gone *");
    carol.ask("ranks ops", "member ops 0 alice term=1 away=yes *");
    carol.expect("ok ranks ops 1 *");
}

/// "`stats` and the start-up line say how long recovery took and what was
/// found."
#[test]
fn what_was_found_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let (mut alice, _) = first.owner("alice");
    alice.ask("create log --durable", "ok create log");
    alice.ask("sub log", "ok sub log *");
    alice.ask("pub log x", "ok pub log 2");
    end(first, "KILL");
    let second = Broker::keeping(dir.path(), &[]);
    let mut bob = second.client("bob");
    let stats = bob.ask("stats", "ok stats *");
    assert_eq!(field(&stats, "recovered-channels"), "2", "{stats}");
    assert_eq!(field(&stats, "recovered-entries"), "2", "{stats}");
    assert_eq!(field(&stats, "recovered-sessions"), "1", "{stats}");
}

/// A channel that was dropped and made again is another one: who was in the first,
/// be it there or away when that ended, is not in the second, and no key that the
/// first has answered counts for it.
#[test]
fn a_channel_made_anew_has_nothing_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let (mut alice, resume_alice) = first.owner("alice");
    let (mut olga, resume_olga) = first.owner("olga");
    alice.ask("create ops --durable", "ok create ops");
    alice.ask("sub ops", "ok sub ops rank=0 *");
    olga.ask("sub ops --observe", "ok sub ops observer=yes *");
    alice.ask("pub --key k ops one", "ok pub ops 2");
    alice.until("msg ops 2 alice one");
    olga.until("msg ops 2 alice one");
    olga.close();
    let mut witness = first.connect("witness");
    eventually("olga is away when the channel ends", || {
        witness.send("who");
        !witness.until("ok who *").iter().any(|row| row.starts_with("client olga "))
    });
    alice.ask("drop ops", "ok drop ops");
    alice.until("left ops 3 alice 0 reason=dropped");
    let mut bob = first.client("bob");
    bob.ask("create ops --durable", "ok create ops");
    bob.ask("pub ops other", "ok pub ops 4");
    end(first, "KILL");

    let second = Broker::keeping(dir.path(), &[]);
    let mut alice = second.connect("alice");
    alice.ask(&resume_alice, "ok hello name=alice * channels=0 *");
    alice.ask("rank ops", "err not-member *");
    alice.ask("pub --key k ops one", "ok pub ops 5");
    let mut olga = second.connect("olga");
    olga.ask(&resume_olga, "ok hello name=olga * channels=0 missed=1");
    olga.expect_all(&["gap ops 2 2", "left ops 3 olga - reason=dropped"]);
    olga.expect_nothing();
}

/// "Every entry since comes exactly once, in order, or `gap CH FROM TO` says what is
/// gone": also of a channel that was dropped before the broker was started again, be it
/// twice.
fn the_end_of_a_channel_is_told(how: &str) {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let (mut alice, resume_alice) = first.owner("alice");
    let mut bob = first.client("bob");
    bob.ask("create log --durable", "ok create log");
    bob.ask("sub log", "ok sub log rank=0 *");
    alice.ask("sub log", "ok sub log rank=1 *");
    bob.expect("join log 2 alice 1");
    bob.ask("pub log one", "ok pub log 3");
    bob.expect("msg log 3 bob one");
    alice.expect("msg log 3 bob one");
    alice.reset();
    bob.expect("left log 4 alice 1 reason=lost");
    bob.ask("pub log two", "ok pub log 5");
    bob.expect("msg log 5 bob two");
    bob.ask("drop log", "ok drop log");
    bob.expect("left log 6 bob 0 reason=dropped");
    end(first, how);
    end(Broker::keeping(dir.path(), &[]), how);
    let third = Broker::keeping(dir.path(), &[]);
    let mut alice = third.connect("alice");
    let resume = format!("{resume_alice} --seen log=3");
    alice.ask(&resume, "ok hello name=alice * resumed=yes * channels=0 missed=2");
    alice.expect_all(&["gap log 4 5", "left log 6 alice - reason=dropped"]);
    alice.ask("sub log --create", "ok sub log rank=0 *");
    alice.expect_nothing();
}

#[test]
fn the_end_of_a_channel_is_told_after_a_kill() {
    the_end_of_a_channel_is_told("KILL");
}

#[test]
fn the_end_of_a_channel_is_told_after_a_stop() {
    the_end_of_a_channel_is_told("TERM");
}

/// A client that has begun another session in place of its first is one client
/// afterwards, under its own name.
#[test]
fn a_session_that_was_given_up_for_another_is_not_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let (mut alice, given_up) = first.owner("alice");
    alice.ask("sub kept --create", "ok sub kept *");
    alice.ask("unsub kept", "ok unsub kept");
    let hello = format!("hello --session {SESSION}");
    let reply = alice.ask(&hello, "ok hello name=alice * resumed=no *");
    let resume = format!("{hello} --secret {}", field(&reply, "secret"));
    alice.ask("sub kept", "ok sub kept rank=0 *");
    end(first, "KILL");

    let second = Broker::keeping(dir.path(), &["--restart-grace", "1h"]);
    let mut alice = second.connect("alice");
    alice.ask(&given_up, "err gone *");
    alice.ask(&resume, "ok hello name=alice * resumed=yes * rank=0");
}

/// "Positions are as they were": a client that reads from further back than where it
/// joined, and has not said what it has, gets all of it again, as a member and as an
/// observer.
fn positions_survive(how: &str) {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let mut bob = first.client("bob");
    bob.ask("create log --durable", "ok create log");
    for n in 1..=5 {
        bob.ask(&format!("pub log {n}"), &format!("ok pub log {n}"));
    }
    let (mut alice, resume_alice) = first.owner("alice");
    alice.ask("sub log --from first", "ok sub log * seq=6 *");
    alice.until("msg log 5 bob 5");
    let (mut carol, resume_carol) = first.owner("carol");
    carol.ask("sub log --last 3", "ok sub log * seq=7 *");
    carol.until("join log 6 alice 0");
    end(first, how);

    let second = Broker::keeping(dir.path(), &[]);
    let mut alice = second.connect("alice");
    alice.ask(&resume_alice, "ok hello name=alice * resumed=yes * channels=1 missed=0 *");
    alice.expect("rank log 0 6 7");
    for n in 1..=5 {
        alice.expect(&format!("msg log {n} bob {n}"));
    }
    alice.expect_all(&["join log 6 alice 0", "join log 7 carol 1"]);
    let mut carol = second.connect("carol");
    carol.ask(&resume_carol, "ok hello name=carol * resumed=yes * channels=1 missed=0 *");
    carol.expect_all(&["rank log 1 7 7", "msg log 4 bob 4", "msg log 5 bob 5"]);
    carol.expect_all(&["join log 6 alice 0", "join log 7 carol 1"]);
    carol.expect_nothing();
}

#[test]
fn positions_survive_a_kill() {
    positions_survive("KILL");
}

#[test]
fn positions_survive_a_stop() {
    positions_survive("TERM");
}

/// A seat is never on disk without the place at which its member reads, even if the
/// broker is killed the moment that the `sub` is answered.
#[test]
fn a_position_is_on_disk_with_its_seat() {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let mut bob = first.client("bob");
    bob.ask("create log --durable", "ok create log");
    bob.ask("pub log one", "ok pub log 1");
    let mut alice = first.connect("alice");
    alice.ask(&format!("hello --name alice --session {SESSION}"), "ok hello *");
    // Notes the session; that is on disk with the next commit.
    alice.ask("pub --key k log two", "ok pub log 2");
    bob.ask("pub log three", "ok pub log 3");
    alice.ask("sub log --from first --no-echo", "ok sub log * seq=4 *");
    let mut first = first;
    first.child().kill();
    drop(first);

    let second = Broker::keeping(dir.path(), &[]);
    let mut alice = second.connect("alice");
    alice.ask(&format!("hello --session {SESSION}"), "ok hello * resumed=yes * channels=1 *");
    alice.expect_all(&["rank log 0 4 4", "msg log 1 bob one", "msg log 3 bob three"]);
    alice.expect("join log 4 alice 0");
}

/// A client that has named its session means to come back to it, even if it is
/// subscribed to nothing.
fn a_named_session_survives(how: &str) {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let hello = format!("hello --session {SESSION}");
    let mut alice = first.connect("alice");
    alice.ask(&hello, "ok hello name=guest-* * resumed=no *");
    alice.ask("hello --name alice", "ok hello name=alice *");
    let mut bob = first.connect("bob");
    let other = "22222222-7dec-11d0-a765-00a0c91e6bf6";
    bob.ask("hello --name bob --session 11111111-7dec-11d0-a765-00a0c91e6bf6", "ok hello *");
    bob.ask(&format!("hello --session {other}"), "ok hello name=bob * resumed=no *");
    end(first, how);

    let second = Broker::keeping(dir.path(), &[]);
    let mut alice = second.connect("alice");
    alice.ask(&hello, "ok hello name=alice * resumed=yes * channels=0 missed=0");
    let mut bob = second.connect("bob");
    bob.ask(&format!("hello --session {other}"), "ok hello name=bob * resumed=yes *");
    let mut witness = second.connect("witness");
    // Bob has begun another one instead of that.
    let first_of_bob = "hello --session 11111111-7dec-11d0-a765-00a0c91e6bf6";
    witness.ask(first_of_bob, "ok hello name=guest-* * resumed=no *");
    witness.ask("quit", "bye quit");
    alice.ask("quit", "bye quit");
    end(second, how);
    let third = Broker::keeping(dir.path(), &[]);
    let mut alice = third.connect("alice");
    alice.ask(&hello, "ok hello name=guest-* * resumed=no *");
}

#[test]
fn a_named_session_survives_a_kill() {
    a_named_session_survives("KILL");
}

#[test]
fn a_named_session_survives_a_stop() {
    a_named_session_survives("TERM");
}

/// A client that comes back after a restart may not be silent for too long, either.
#[test]
fn who_comes_back_is_asked_for_a_sign_of_life() {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let mut alice = first.connect("alice");
    alice.ask(&format!("hello --name alice --session {SESSION}"), "ok hello *");
    end(first, "KILL");
    let second = Broker::keeping(dir.path(), &["--idle-timeout", "1s"]);
    let mut alice = second.connect("alice");
    alice.ask(&format!("hello --session {SESSION}"), "ok hello name=alice * resumed=yes *");
    alice.expect_all(&["ping *", "bye timeout"]);
    alice.expect_end();
}

/// What a client has done before its `hello` belongs to the session that begins with
/// that.
#[test]
fn what_was_before_the_hello_survives() {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let mut alice = first.connect("alice");
    alice.ask("create log --durable", "ok create log");
    alice.ask("sub log --no-echo", "ok sub log rank=0 *");
    alice.ask("sub --pattern x.*", "ok sub x.* matched=0");
    alice.ask("pub --key a log mine", "ok pub log 2");
    let reply = alice.ask("hello", "ok hello name=guest-1 *");
    let (session, secret) = (field(&reply, "session"), field(&reply, "secret"));
    let hello = format!("hello --session {session} --secret {secret}");
    end(first, "KILL");

    let second = Broker::keeping(dir.path(), &[]);
    let mut alice = second.connect("alice");
    alice.ask(&hello, "ok hello name=guest-1 * resumed=yes * channels=1 missed=0 rank=0");
    alice.expect("rank log 0 1 1");
    alice.ask("pub --key a log mine", "ok pub log 2");
    alice.ask("pub --key b log mine", "ok pub log 3");
    second.client("bob").ask("sub x.1 --create", "ok sub x.1 rank=0 *");
    let heard = alice.until("join x.1 1 bob 0");
    assert!(!heard.iter().any(|line| line.starts_with("msg log ")), "{heard:?}");
}

/// A session comes back by the name that it has, and not by one that it had.
#[test]
fn a_session_comes_back_by_its_last_name() {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let (mut alice, resume) = first.owner("al");
    alice.ask("create log --durable", "ok create log");
    alice.ask("pub --key a log mine", "ok pub log 1");
    alice.ask("hello --name alice", "ok hello name=alice *");
    end(first, "KILL");
    let second = Broker::keeping(dir.path(), &[]);
    second.connect("alice").ask(&resume, "ok hello name=alice * resumed=yes *");
}

/// The journals hold marks, by which a broker that starts sees that nothing is missing,
/// and also the session ids that clients choose for themselves: one may look like a
/// mark.
#[test]
fn no_name_of_a_session_looks_like_damage() {
    const MARK: &str = "9e1f7bc4-52e8-03ad-76d1-2cf5884ab067";
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::keeping(dir.path(), &[]);
    let mut alice = first.connect("alice");
    alice.ask(&format!("hello --name alice --session {MARK}"), "ok hello *");
    alice.ask("create log --durable", "ok create log");
    alice.ask("pub log kept", "ok pub log 1");
    end(first, "kill");
    let second = Broker::keeping(dir.path(), &[]);
    let mut bob = second.connect("bob");
    bob.ask("history log", "msg log 1 alice kept");
}
