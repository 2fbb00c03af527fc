//! How the client of a Rust program ends, and what it may believe until then.
// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client_support;
mod support;

use client_support::{DEADLINE, broker, feign, member, next, wait, welcome};
use futures::StreamExt;
use ranked_broker::client::{Client, Frame, Options, Ticket};
use ranked_broker::runtime;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::eventually;

/// One who takes connections and says nothing.
fn silent() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn hears_the_end_of(mut stream: TcpStream) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.read_to_end(&mut Vec::new()).expect("the connection is still there");
}

/// Its socket and two tasks stayed for as long as the broker did.
#[test]
fn a_client_that_nobody_waits_for_any_more_is_gone() {
    let (listener, port) = silent();
    let connecting = Client::connect("127.0.0.1", port, "alice");
    let given_up = runtime::block_on(runtime::timeout(Duration::from_millis(50), connecting));
    assert!(given_up.is_none());
    hears_the_end_of(listener.accept().unwrap().0);
}

/// The same when the broker stops to answer later.
#[test]
fn a_client_that_is_dropped_does_not_wait_for_a_silent_broker_for_ever() {
    let (listener, port) = silent();
    let broker = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, welcome(false).as_bytes()).unwrap();
        hears_the_end_of(stream);
    });
    drop(wait(Client::connect("127.0.0.1", port, "alice")).unwrap());
    broker.join().unwrap();
}

/// The next in line waited for a lease, because the program had ended before its `quit`
/// was sent.
#[test]
fn who_closes_has_left_when_that_returns() {
    let server = broker();
    let (alice, _unread) = member(&server, "alice");
    let (bob, _bobs) = member(&server, "bob");
    let (carol, mut frames) = member(&server, "carol");
    wait(async {
        alice.request("create n --on-close safe --history 9000").await.unwrap();
        alice.subscribe("n").await.unwrap();
        bob.subscribe("n").await.unwrap();
        // More than there is room for.
        for _ in 0..5000 {
            bob.publish("n", "x").await.unwrap();
        }
        carol.observe("n").await.unwrap();
        alice.close().await;
        let ranks = bob.request("ranks n").await.unwrap();
        assert!(ranks.rows.len() == 1 && ranks.rows[0].starts_with("member n 0 bob"), "{ranks:?}");
    });
    let reason = next(&mut frames, |frame| match frame {
        Frame::Left { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason, "quit");
}

#[test]
fn closing_does_not_wait_for_ever() {
    let port = feign(|_, line| Some(if line == "quit" { String::new() } else { welcome(false) }));
    let options = Options::new().reconnect(true);
    let (alice, _frames) = wait(options.connect("127.0.0.1", port)).unwrap();
    wait(alice.close());
}

/// There was no way to end a program in order and keep its session.
#[test]
fn a_later_process_goes_on_where_one_was_detached() {
    let server = broker();
    let port = server.addr.port();
    let connect = |ticket| Options::new().name("alice").session(ticket).connect("127.0.0.1", port);
    let (alice, mut frames) = wait(connect(Ticket::fresh())).unwrap();
    let payload = |frame| match frame {
        Frame::Message { payload, .. } => Some(payload),
        _ => None,
    };
    wait(async {
        alice.request("create n --history 100 --hold 60").await.unwrap();
        let seat = alice.subscribe("n").await.unwrap();
        assert_eq!(seat.rank, Some(0));
        for text in ["a", "b", "c"] {
            alice.publish("n", text).await.unwrap();
        }
    });
    assert_eq!(next(&mut frames, payload), "a");
    let ticket = wait(alice.detach()).unwrap();
    drop(frames);
    let (alice, mut frames) = wait(connect(ticket)).unwrap();
    assert!(matches!(wait(frames.next()), Some(Frame::Resumed { missed: 0, .. })));
    let mut came = Vec::new();
    while came.len() < 3 {
        came.push(match wait(frames.next()).unwrap() {
            Frame::Message { payload, .. } => payload,
            Frame::Rank { rank, .. } => rank.to_string(),
            frame => panic!("{frame:?}"),
        });
    }
    came.sort();
    assert_eq!(came, ["0", "b", "c"]);
    wait(alice.close());
}

#[test]
fn a_client_without_a_connection_ends_at_once() {
    let port = feign(|number, line| (number == 0 && line != "who").then(|| welcome(false)));
    let options = || Options::new().session(Ticket::fresh());
    let (alice, _frames) = wait(options().connect("127.0.0.1", port)).unwrap();
    assert!(wait(alice.request("who")).is_err());
    let ticket = wait(alice.clone().detach()).unwrap();
    assert_eq!(ticket.secret(), Some("5ec"));
    wait(alice.close());
}

/// The leader of a frozen network never heard of it, and the next one waited for two
/// minutes.
#[test]
fn a_lease_is_kept_and_its_end_is_told() {
    let is_silent = Arc::new(AtomicBool::new(false));
    let silent = is_silent.clone();
    let port = feign(move |_, line| {
        Some(match line {
            "ping" if silent.load(Ordering::Relaxed) => String::new(),
            "ping" => "ok ping lease=400\n".into(),
            "sub n" => "ok sub n rank=0 term=3 view=4 seq=5 members=1\n".into(),
            _ => welcome(false),
        })
    });
    let (alice, mut frames) = wait(Client::connect("127.0.0.1", port, "alice")).unwrap();
    assert_eq!(alice.lease_left(), Duration::ZERO);
    wait(alice.subscribe("n")).unwrap();
    eventually("it has a lease", || alice.lease_left() > Duration::ZERO);
    // It is renewed.
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(300));
        assert!(alice.lease_left() > Duration::ZERO);
    }
    is_silent.store(true, Ordering::Relaxed);
    assert_eq!(wait(frames.next()), Some(Frame::LeaseOver));
    assert_eq!(alice.lease_left(), Duration::ZERO);
}

/// With the broker that is gone, too, and with the one that is back.
#[test]
fn a_lease_ends_without_a_connection_and_the_ranks_are_told_again() {
    let port = feign(move |number, line| {
        match line {
            "ping" => Some("ok ping lease=700\n".into()),
            "sub n" => Some("ok sub n rank=0 term=3 view=4 seq=5 members=1\n".into()),
            "who" => None,
            // It does not come back soon enough.
            _ if number > 0 => {
                std::thread::sleep(Duration::from_millis(900));
                Some(welcome(true))
            }
            _ => Some(welcome(false)),
        }
    });
    let options = Options::new().session(Ticket::fresh());
    let (alice, mut frames) = wait(options.connect("127.0.0.1", port)).unwrap();
    wait(alice.subscribe("n")).unwrap();
    eventually("it has a lease", || alice.lease_left() > Duration::ZERO);
    assert!(wait(alice.request("who")).is_err());
    assert_eq!(wait(frames.next()), Some(Frame::LeaseOver));
    assert!(matches!(wait(frames.next()), Some(Frame::Resumed { .. })));
    let rank = Frame::Rank { channel: "n".into(), rank: 0, term: 3, view: 4 };
    assert_eq!(wait(frames.next()), Some(rank));
    assert!(alice.lease_left() > Duration::ZERO);
}
