//! What has ended is freed, and is in nobody's way: a guest that resumes a session, the
//! session that it had before, and the times until which a session was kept.
//!
//! On a broker without sockets, whose time is what a test says it is.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use ranked_broker::broker::Broker;
use ranked_broker::config::Config;
use ranked_broker::error::{Close, Code};
use ranked_broker::frame::Frame;
use ranked_broker::reply::Reply;
use ranked_broker::session::{Batch, Session};
use ranked_broker::wire::text;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

const SESSION: &str = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
const OTHER: &str = "00000000-0000-4000-8000-000000000001";

fn broker() -> Arc<Broker> {
    Broker::open(Config::default(), Box::new(text::TextEncoder)).unwrap()
}

fn come(broker: &Arc<Broker>) -> Session {
    let client = broker.enter("127.0.0.1:1".parse().unwrap(), "text");
    Session::new(broker.clone(), client)
}

/// What a line is answered; `None` if that has to wait.
fn handle(session: &mut Session, line: &str, now_ms: u64) -> Result<Option<Reply>, Code> {
    let request = text::decode(line.as_bytes()).unwrap().unwrap();
    let reply = session.handle(request, now_ms);
    session.flush();
    reply.map_err(|fault| fault.code)
}

/// The words of the reply to a line.
#[track_caller]
fn ask(session: &mut Session, line: &str, now_ms: u64) -> String {
    let reply = handle(session, line, now_ms).expect(line).expect("a reply at once");
    let mut words = Vec::new();
    text::reply(&reply, &mut words);
    String::from_utf8(words).unwrap()
}

fn field(reply: &str, key: &str) -> String {
    let mut fields = reply.split_whitespace().filter_map(|word| word.split_once('='));
    fields.find(|(name, _)| *name == key).expect(key).1.to_owned()
}

/// Begins a session. Returns the `hello` that resumes it.
fn begin(session: &mut Session, hello: &str) -> String {
    let reply = ask(session, hello, 1);
    format!("hello --session {} --secret {}", field(&reply, "session"), field(&reply, "secret"))
}

fn mail(session: &mut Session) -> (Vec<Frame>, Option<Close>) {
    let mut frames = Vec::new();
    let close = session.take_mail(&mut frames, true);
    (frames, close)
}

/// Reads all that there is for its client.
fn read_all(session: &mut Session) {
    let mut batch = Batch::default();
    while session.has_news() {
        session.gather(&mut batch);
        let bytes = batch.pieces.iter().map(|piece| piece.bytes().len()).sum();
        session.settle(&mut batch, bytes, true, 3);
    }
}

/// How often somebody was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Regression: the guest was held for ever by its own session, and by a dropped channel
/// whose entries it had been due.
#[test]
fn a_guest_that_resumes_a_session_is_freed() {
    let broker = broker();
    let mut alice = come(&broker);
    let again = begin(&mut alice, &format!("hello --session {SESSION}"));
    alice.end(Close::Lost, 2);
    let mut session = come(&broker);
    let guest = Arc::downgrade(session.client());
    let own = begin(&mut session, "hello");
    ask(&mut session, "sub --pattern z*", 3);
    let mut bob = come(&broker);
    ask(&mut bob, "sub zed --create", 3);
    ask(&mut bob, "drop zed", 3);
    ask(&mut session, "unsub z*", 3);
    // The entries of the dropped channel are still to be read, and would be lost.
    assert_eq!(handle(&mut session, &again, 3).unwrap_err(), Code::BadRequest);
    read_all(&mut session);
    assert_eq!(field(&ask(&mut session, &again, 3), "resumed"), "yes");
    assert!(guest.upgrade().is_none(), "{guest:?}");
    // A client that asks for the guest's own session is told that there is none.
    assert_eq!(handle(&mut come(&broker), &own, 4).unwrap_err(), Code::Gone);
}

/// "Of the sessions that were made up by the broker the last 1,000 are kept": a session
/// that was resumed no longer counts.
#[test]
fn returns_of_one_session_cost_nobody_another() {
    let broker = broker();
    let mut alice = come(&broker);
    let again = begin(&mut alice, "hello --name alice");
    ask(&mut alice, "sub news --create", 1);
    alice.end(Close::Lost, 2);
    let mut bob = come(&broker);
    let back = begin(&mut bob, "hello --name bob");
    ask(&mut bob, "sub news", 2);
    for now_ms in 3..2_003 {
        bob.end(Close::Lost, now_ms);
        assert_eq!(broker.parked_sessions(), 2);
        bob = come(&broker);
        ask(&mut bob, &back, now_ms);
    }
    assert_eq!(field(&ask(&mut come(&broker), &again, 2_003), "resumed"), "yes");
}

/// Sessions end in time, however often they were resumed before.
#[test]
fn a_session_that_was_resumed_ends_when_its_last_grace_is_over() {
    let broker = broker();
    let grace_ms = u64::try_from(Config::default().session_grace.as_millis()).unwrap();
    let mut alice = come(&broker);
    let again = begin(&mut alice, "hello");
    ask(&mut alice, "sub news --create", 1);
    for now_ms in [2, 12] {
        alice.end(Close::Lost, now_ms);
        alice = come(&broker);
        ask(&mut alice, &again, now_ms + 5);
    }
    alice.end(Close::Lost, 22);
    broker.tick(22 + grace_ms - 1);
    assert_eq!(broker.parked_sessions(), 1);
    broker.tick(22 + grace_ms);
    assert_eq!(broker.parked_sessions(), 0);
    assert_eq!(handle(&mut come(&broker), &again, 23 + grace_ms).unwrap_err(), Code::Gone);
}

/// A client begins another session at the moment at which somebody claims its first:
/// the claimant is told so, and the client's connection is not closed for it.
#[test]
fn who_waits_for_a_session_that_is_given_up_is_answered() {
    let broker = broker();
    let (mut alice, mut bob) = (come(&broker), come(&broker));
    let again = begin(&mut alice, "hello");
    assert!(handle(&mut bob, &again, 2).unwrap().is_none(), "alice has to give it up first");
    mail(&mut bob);
    let woken = Arc::new(Woken::default());
    bob.register(&Waker::from(woken.clone()));
    ask(&mut alice, &format!("hello --session {OTHER}"), 3);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert_eq!(bob.awaited(4).unwrap().unwrap_err().code, Code::Gone);
    assert_eq!(mail(&mut alice).1, None);
}

/// An order to close that came too late for one connection is not carried out on the
/// next, unless it says that frames were lost.
#[test]
fn a_resumed_connection_is_not_closed_for_the_one_before() {
    for (ordered, heard) in [
        (Close::Timeout, None),
        (Close::Drain, None),
        (Close::TakenOver, None),
        (Close::Overflow, Some(Close::Overflow)),
    ] {
        let broker = broker();
        let mut alice = come(&broker);
        let again = begin(&mut alice, &format!("hello --session {SESSION}"));
        alice.client().mailbox.post(Frame::Ping { number: 7 });
        alice.client().mailbox.close(ordered);
        alice.end(Close::Lost, 2);
        let mut alice = come(&broker);
        ask(&mut alice, &again, 3);
        let (frames, close) = mail(&mut alice);
        assert_eq!((frames.len(), close), (1, heard), "{ordered:?}");
    }
}

/// "Same key, same session": a client that has used a key keeps the session in which it
/// did.
#[test]
fn a_session_whose_keys_were_used_is_not_given_up() {
    let broker = broker();
    let mut alice = come(&broker);
    begin(&mut alice, "hello");
    ask(&mut alice, "create news", 1);
    for again in ["ok pub news 1\n", "ok pub news 1\n"] {
        assert_eq!(ask(&mut alice, "pub --key a news one", 2), again);
    }
    let other = format!("hello --session {OTHER}");
    assert_eq!(handle(&mut alice, &other, 3).unwrap_err(), Code::BadRequest);
    assert_eq!(ask(&mut alice, "pub --key a news two", 4), "ok pub news 1\n");
}

/// A client that is held up as a publisher is not called silent, because what it says
/// is not read. That ends with its connection.
#[test]
fn who_comes_back_is_held_up_by_nothing() {
    let broker = broker();
    let mut alice = come(&broker);
    let hello = begin(&mut alice, &format!("hello --name alice --session {SESSION}"));
    alice.client().set_throttled(true);
    alice.end(Close::Lost, 1);
    let mut heir = come(&broker);
    assert!(ask(&mut heir, &hello, 2).contains(" resumed=yes "));
    let idle_ms = u64::try_from(Config::default().idle_timeout.as_millis()).unwrap();
    let mut orders = (1..=4).map(|halves| {
        broker.tick(halves * (idle_ms / 2 + 1_000));
        mail(&mut heir).1
    });
    assert!(orders.any(|order| order == Some(Close::Timeout)), "nobody looks whether it is silent");
}
