//! Requests sent in one write are answered as if each had been sent when the one
//! before it was answered, also where answers wait for the disk.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};
use support::{Broker, field};
use tempfile::TempDir;

/// A broker with a data directory, which goes with it.
fn broker() -> (Broker, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &[]);
    (broker, dir)
}

/// An answer tells of what was published before its request, and of nothing after.
#[test]
fn a_question_is_answered_as_of_its_place() {
    let (broker, _dir) = broker();
    for (channel, options) in [("kept", "--durable"), ("new", "--history 10")] {
        let mut alice = broker.client(channel);
        let asked = [
            &format!("create {channel} {options}"),
            &format!("pub {channel} one"),
            &format!("history {channel}"),
            &format!("digest {channel} 1 99"),
            &format!("info {channel}"),
            &format!("pub {channel} two"),
            &format!("history {channel} --last 1"),
            &format!("pub {channel} three"),
        ];
        alice.send_bytes(asked.map(|line| format!("{line}\n")).concat().as_bytes());
        alice.expect_all(&[
            &format!("ok create {channel}"),
            &format!("ok pub {channel} 1"),
            &format!("msg {channel} 1 {channel} one"),
            &format!("ok history {channel} 1"),
            &format!("ok digest {channel} 1 1 count=1 *"),
            &format!("channel {channel} * seq=1 *"),
            &format!("ok info {channel}"),
            &format!("ok pub {channel} 2"),
            &format!("msg {channel} 2 {channel} two"),
            &format!("ok history {channel} 1"),
            &format!("ok pub {channel} 3"),
        ]);
        alice.expect_nothing();
    }
}

/// "On one connection a reply comes before the frames that its own request causes
/// there."
#[test]
fn what_one_says_to_oneself_comes_behind_the_reply() {
    let (broker, _dir) = broker();
    let mut alice = broker.client("alice");
    alice.ask("create log --durable", "ok create log");
    alice.send_bytes(b"pub log a\ntell alice you\n");
    alice.expect_all(&["ok pub log 1", "ok tell alice", "tell alice you"]);
    alice.expect_nothing();
}

/// They are for the client that asked, which might ask again otherwise.
#[test]
fn replies_that_wait_for_the_disk_come_before_a_session_goes_on_elsewhere() {
    let (broker, _dir) = broker();
    let mut bob = broker.client("bob");
    bob.ask("create log --durable", "ok create log");
    bob.ask("sub mark --create --observe", "ok sub mark *");
    for _ in 0..10 {
        let mut old = broker.connect("old");
        let session = old.ask("hello", "ok hello *");
        old.ask("sub log --observe --no-echo", "ok sub log *");
        let mut heir = broker.connect("heir");
        heir.ask("ping", "ok ping *");
        // Bob hears the last of them at once, though its reply waits.
        old.send("pub log a\npub log b\npub mark x");
        bob.expect("msg mark *");
        let (id, secret) = (field(&session, "session"), field(&session, "secret"));
        heir.send(&format!("hello --session {id} --secret {secret}"));
        old.expect_all(&["ok pub log *", "ok pub log *", "ok pub mark *", "bye taken-over"]);
        old.expect_end();
        heir.expect("ok hello * resumed=yes *");
    }
}

/// However much work is in what one client sends at once: others are served between
/// two of its requests, in every dialect.
#[test]
fn long_requests_hold_nobody_else_up() {
    const REQUESTS: usize = 300;
    let broker = Broker::process();
    let mut alice = broker.client("alice");
    alice.ask("create big --history 1000000", "ok create big");
    let lines: Vec<String> = (0..20_000).map(|number| format!("pub big {number:060}\n")).collect();
    alice.send_bytes(lines.concat().as_bytes());
    alice.until("ok pub big 20000");
    for (dialect, request) in [
        ("text", "digest big 1 20000\n"),
        ("JSON", "{\"op\":\"digest\",\"channel\":\"big\",\"from\":1,\"to\":20000}\n"),
        ("RESP", "*4\r\n$6\r\nDIGEST\r\n$3\r\nbig\r\n$1\r\n1\r\n$5\r\n20000\r\n"),
        ("HTTP", "GET /v1/channels/big/digest?from=1&to=20000 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ] {
        let mut busy = broker.connect(dialect);
        let began = Instant::now();
        busy.send_bytes(request.repeat(REQUESTS).as_bytes());
        let answers = std::thread::spawn(move || {
            // The last one may not be a whole line.
            for _ in 1..REQUESTS {
                busy.until("*sha256*");
            }
            began.elapsed()
        });
        let mut longest = Duration::ZERO;
        while !answers.is_finished() {
            let asked = Instant::now();
            alice.ask("ping", "ok ping *");
            longest = longest.max(asked.elapsed());
        }
        let all = answers.join().unwrap();
        assert!(longest < all / 4, "{dialect}: alice waits for {longest:?} of {all:?}");
    }
}
