//! The client as a Rust program uses it.
// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client_support;
mod support;

use client_support::{Wire, broker, feign, member, next, wait, welcome};
use futures::StreamExt;
use ranked_broker::client::{Client, Error, Frame, Options, Outcome, Ticket};
use ranked_broker::config::Config;
use ranked_broker::error::Code;
use ranked_broker::server::Server;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use support::eventually;

#[test]
fn requests_have_typed_replies_and_typed_errors() {
    let server = broker();
    let (alice, mut frames) = member(&server, "alice");
    wait(async {
        alice.create("n").await.unwrap();
        alice.create("n").await.unwrap();
        let seat = alice.subscribe("n").await.unwrap();
        assert_eq!((seat.rank, seat.members), (Some(0), 1));
        let seq = alice.publish("n", "  as it is \\n \"so\" \u{1b}").await.unwrap();
        assert_eq!(seq, seat.seq + 1);
        assert_eq!(alice.publish_in_term(seat.term, "n", "").await.unwrap(), seq + 1);
        let fenced = alice.publish_in_term(seat.term + 9, "n", "x").await.unwrap_err();
        assert_eq!(fenced.code(), Some(Code::Fenced));
        assert_eq!(alice.publish("zz", "x").await.unwrap_err().code(), Some(Code::NoChannel));
        let unsendable = alice.publish("n", "two\nlines").await;
        assert!(matches!(unsendable, Err(Error::Unsendable { .. })));
        let ranks = alice.request("ranks n").await.unwrap();
        assert!(ranks.rows[0].starts_with("member n 0 alice"), "{ranks:?}");
    });
    let payload = next(&mut frames, |frame| match frame {
        Frame::Message { payload, .. } => Some(payload),
        _ => None,
    });
    assert_eq!(payload, "  as it is \\n \"so\" \u{1b}");
    let taken = wait(Client::connect("127.0.0.1", server.addr.port(), "alice")).unwrap_err();
    assert_eq!(taken.code(), Some(Code::NameTaken));
}

#[test]
fn the_rows_of_a_history_are_not_frames() {
    let server = broker();
    let (alice, mut frames) = member(&server, "alice");
    let answer = wait(async {
        alice.request("create n --history 10").await.unwrap();
        alice.subscribe("n").await.unwrap();
        for text in ["a", "b", "c"] {
            alice.publish("n", text).await.unwrap();
        }
        alice.request("history n").await.unwrap()
    });
    let messages = answer.rows.iter().filter(|row| row.starts_with("msg ")).count();
    assert_eq!(messages, 3, "{answer:?}");
    let mut texts = Vec::new();
    wait(alice.publish("n", "end")).unwrap();
    next(&mut frames, |frame| match frame {
        Frame::Message { payload, .. } if payload == "end" => Some(()),
        Frame::Message { payload, .. } => {
            texts.push(payload);
            None
        }
        _ => None,
    });
    assert_eq!(texts, ["a", "b", "c"], "each came once");
}

#[test]
fn a_command_has_its_results_and_a_departure_promotes() {
    let server = broker();
    let (alice, alice_frames) = member(&server, "alice");
    let (bob, mut frames) = member(&server, "bob");
    let issued = wait(async {
        alice.create("ops").await.unwrap();
        alice.subscribe("ops").await.unwrap();
        bob.subscribe("ops").await.unwrap();
        let refused = bob.command("ops", "go", &[]).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::Rank));
        alice.command("ops", "restart", &["web 1", "#2", ""]).await.unwrap()
    });
    let command = next(&mut frames, |frame| match frame {
        Frame::Command(command) => Some(command),
        _ => None,
    });
    assert_eq!(command.args, ["web 1", "#2", ""]);
    wait(bob.acknowledge(&command, 0, "it's done")).unwrap();
    let results = wait(issued.results()).unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!((results[0].outcome, results[0].text.as_str()), (Outcome::Code(0), "it's done"));
    drop((alice, alice_frames));
    let rank = next(&mut frames, |frame| match frame {
        Frame::Rank { rank, .. } => Some(rank),
        _ => None,
    });
    assert_eq!(rank, 0);
}

#[test]
fn frames_that_nobody_takes_do_not_hold_up_replies() {
    let server = broker();
    let (alice, mut frames) = member(&server, "alice");
    wait(async {
        alice.create("n").await.unwrap();
        alice.subscribe("n").await.unwrap();
        for number in 0..6000 {
            alice.publish("n", &number.to_string()).await.unwrap();
        }
    });
    // Some were dropped, the last ones too; the stream says how many, also when nothing
    // comes after them.
    let (mut taken, mut missed) = (0, 0);
    next(&mut frames, |frame| {
        match frame {
            Frame::Missed { frames } => missed += frames,
            Frame::Message { .. } => taken += 1,
            _ => {}
        }
        (taken + missed >= 6000).then_some(())
    });
    assert!(missed > 0 && taken + missed == 6000, "{taken} {missed}");
}

/// It missed most of them, because of a command whose results nobody wanted, and those of a
/// session because of what it says by itself.
#[test]
fn nothing_is_dropped_while_nobody_waits() {
    const COUNT: u64 = 20_000;
    let server = broker();
    let port = server.addr.port();
    let options = Options::new().name("alice").session(Ticket::fresh());
    let (alice, mut frames) = wait(options.connect("127.0.0.1", port)).unwrap();
    let (bob, bob_frames) = member(&server, "bob");
    drop(bob_frames);
    wait(async {
        alice.request("create n --history 30000").await.unwrap();
        alice.subscribe("n").await.unwrap();
        bob.subscribe("n").await.unwrap();
        drop(alice.command("n", "work", &[]).await.unwrap());
        let all = (0..COUNT).map(|number| {
            let bob = bob.clone();
            async move { bob.publish("n", &number.to_string()).await.unwrap() }
        });
        futures::future::join_all(all).await;
    });
    for number in 0..COUNT {
        let payload = next(&mut frames, |frame| match frame {
            Frame::Message { payload, .. } => Some(payload),
            Frame::Missed { .. } | Frame::Gap { .. } => panic!("{frame:?} after {number}"),
            _ => None,
        });
        assert_eq!(payload, number.to_string());
    }
}

/// The word with the NUL was left out, and what was meant for one channel went to another.
#[test]
fn what_no_line_can_hold_is_refused() {
    let server = broker();
    let (alice, _frames) = member(&server, "alice");
    let unsendable = |error| assert!(matches!(error, Error::Unsendable { .. }), "{error}");
    wait(async {
        alice.request("sub secret --create").await.unwrap();
        unsendable(alice.publish("x\0", "secret to all").await.unwrap_err());
        unsendable(alice.publish_once("k\0", "na", "secret hi").await.unwrap_err());
        unsendable(alice.command("secret", "sto\0p", &["all"]).await.unwrap_err());
        unsendable(alice.command("secret", "stop", &["a\0b"]).await.unwrap_err());
        unsendable(alice.create("x\0y").await.unwrap_err());
        for name in ["a\0b", "a\nquit"] {
            let connected = Client::connect("127.0.0.1", server.addr.port(), name).await;
            unsendable(connected.unwrap_err());
        }
    });
}

/// Whoever read the channel was cut off, again and again.
#[test]
fn the_longest_message_that_a_broker_takes_can_be_read() {
    let config = Config { port: 0, max_line: 4 << 20, log_bytes: 64 << 20, ..Config::default() };
    let server = Server::start(config).unwrap();
    let (alice, mut frames) = member(&server, "alice");
    // Each of them comes as four bytes.
    let text = "\x1b".repeat((4 << 20) - 100);
    wait(async {
        alice.request("sub n --create").await.unwrap();
        alice.publish("n", &text).await.unwrap();
    });
    let payload = next(&mut frames, |frame| match frame {
        Frame::Message { payload, .. } => Some(payload),
        _ => None,
    });
    assert!(payload == text);
}

/// They hung for ever, with all requests behind them.
#[test]
fn what_the_library_could_not_read_the_answer_of_is_not_sent() {
    let server = broker();
    let (alice, _frames) = member(&server, "alice");
    wait(async {
        for line in ["hello --quiet", "hello --format json", "hello --name=al --format=text"] {
            let refused = alice.request(line).await.unwrap_err();
            assert_eq!(refused.code(), Some(Code::BadRequest), "{line}: {refused}");
        }
        alice.request("hello --name al").await.unwrap();
        alice.request("sub n --create").await.unwrap();
        alice.publish("n", "x").await.unwrap();
    });
    assert_eq!(alice.name().as_deref(), Some("al"));
}

#[test]
fn it_comes_back_under_its_name_and_to_its_channels() {
    let server = broker();
    let port = server.addr.port();
    let options = Options::new().name("alice").reconnect(true);
    let (alice, mut frames) = wait(options.connect("127.0.0.1", port)).unwrap();
    wait(alice.request("sub n --create")).unwrap();
    wait(server.stop());
    let config = ranked_broker::config::Config { port, ..Default::default() };
    let server = ranked_broker::server::Server::start(config).unwrap();
    next(&mut frames, |frame| matches!(frame, Frame::Reconnected).then_some(()));
    // Nobody led, because it was not told which rank it has there.
    let rank = next(&mut frames, |frame| match frame {
        Frame::Rank { channel, rank, term, .. } => Some((channel, rank, term > 0)),
        _ => None,
    });
    assert_eq!(rank, ("n".into(), 0, true));
    let ranks = wait(alice.request("ranks n")).unwrap();
    assert!(ranks.rows[0].starts_with("member n 0 alice"), "{ranks:?}");
    wait(server.stop());
}

#[test]
fn a_subscription_refused_after_reconnecting_is_asked_for_again() {
    // Once, a program (as broker-client did) heard nothing more if its channel was made
    // only after it had reconnected.
    let server = broker();
    let port = server.addr.port();
    let (maker, maker_frames) = member(&server, "maker");
    wait(maker.create("n")).unwrap();
    let options = Options::new().name("alice").reconnect(true);
    let (alice, mut frames) = wait(options.connect("127.0.0.1", port)).unwrap();
    wait(alice.subscribe("n")).unwrap();
    drop((maker, maker_frames));
    wait(server.stop());
    let config = ranked_broker::config::Config { port, ..Default::default() };
    let server = ranked_broker::server::Server::start(config).unwrap();
    next(&mut frames, |frame| matches!(frame, Frame::Reconnected).then_some(()));
    // The reply to this comes behind the reply to the subscription.
    wait(alice.request("ping")).unwrap();
    let (maker, mut seen) = member(&server, "maker");
    // In one step, so alice cannot join before her joining can be seen.
    wait(maker.request("sub n --create")).unwrap();
    let joined = next(&mut seen, |frame| match frame {
        Frame::Joined { member, .. } if member != "maker" => Some(member),
        _ => None,
    });
    assert_eq!(joined, "alice");
    wait(server.stop());
}

/// Whether a connection to this port is being attempted, and has no answer yet.
fn is_tried(port: u16) -> bool {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let sent = format!("0100007F:{port:04X} 02");
    sockets.lines().any(|socket| socket.contains(&sent))
}

/// Regression: the connection was made after all, and there was a member that no
/// program had.
#[test]
fn a_client_that_is_dropped_while_it_connects_again_does_not_come_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let options = Options::new().reconnect(true).pause_max(Duration::from_millis(10));
    let (first, connected) = wait(async {
        let greeting = ranked_broker::runtime::unblock(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(welcome(false).as_bytes()).unwrap();
            (listener, stream)
        });
        futures::join!(greeting, options.connect("127.0.0.1", addr.port()))
    });
    let (listener, stream) = first;
    // One connection fills the backlog; the next one gets no answer.
    rustix::net::listen(&listener, 0).unwrap();
    let _waits = TcpStream::connect(addr).unwrap();
    drop(stream);
    eventually("it connects again", || is_tried(addr.port()));
    drop(connected);
    drop(listener.accept().unwrap());
    eventually("that ends", || !is_tried(addr.port()));
    listener.set_nonblocking(true).unwrap();
    if let Ok((mut stream, _)) = listener.accept() {
        stream.set_nonblocking(false).unwrap();
        let mut said = [0; 5];
        assert_eq!(stream.read(&mut said).unwrap(), 0, "{}", String::from_utf8_lossy(&said));
    }
}

/// Regression: its frames ended only when the pause did.
#[test]
fn a_client_that_leaves_while_it_waits_to_connect_again_has_left() {
    let port = feign(|_, line| match line {
        "ping" => Some("bye drain retry=600\n".into()),
        line if line.starts_with("hello") => Some(welcome(false)),
        _ => None,
    });
    let options = Options::new().reconnect(true).pause_max(Duration::from_secs(600));
    let (alice, mut frames) = wait(options.connect("127.0.0.1", port)).unwrap();
    let both = async { futures::join!(alice.request("ping"), alice.request("who")) };
    let (ping, who) = wait(both);
    assert!(matches!((ping, who), (Err(Error::Lost), Err(Error::Lost))));
    alice.quit();
    assert!(matches!(wait(frames.next()), Some(Frame::Bye { .. })));
    assert!(wait(frames.next()).is_none());
}

/// Regression: if its name was taken, it joined its channels all the same, as somebody
/// else.
#[test]
fn a_client_joins_under_its_name_or_not_at_all() {
    let server = broker();
    let wire = Wire::to(server.addr.port());
    let (bob, mut seen) = member(&server, "bob");
    wait(bob.create("n")).unwrap();
    wait(bob.subscribe("n")).unwrap();
    let options = Options::new().name("alice").reconnect(true);
    let options = options.pause_max(Duration::from_millis(10));
    let (alice, mut frames) = wait(options.connect("127.0.0.1", wire.port)).unwrap();
    wait(alice.subscribe("n")).unwrap();
    wire.part();
    next(&mut seen, |frame| matches!(frame, Frame::Left { .. }).then_some(()));
    let thief = member(&server, "alice");
    let tried = wire.tried();
    wire.mend();
    eventually("it has tried several times", || wire.tried() > tried + 3);
    drop(thief);
    next(&mut frames, |frame| matches!(frame, Frame::Reconnected).then_some(()));
    let joined = next(&mut seen, |frame| match frame {
        Frame::Joined { member, .. } => Some(member),
        _ => None,
    });
    assert_eq!(joined, "alice");
}

/// Regression: a retry that was due on the connection before asked for the client's
/// channels while its introduction was under way, and got them as somebody else if that
/// was refused.
#[test]
fn nothing_is_asked_for_before_the_introduction_is_over() {
    let (tx, said) = std::sync::mpsc::channel();
    let port = feign(move |number, line| {
        let verb = line.split(' ').next();
        if number == 2 {
            let _ = tx.send(line.to_owned());
        }
        match (number, verb) {
            (2, Some("hello")) if line.contains("--secret") => Some("err gone it is\n".into()),
            // The channel is refused at once, and the client is sent away for longer
            // than it waits before it asks again.
            (1, Some("hello")) => Some(welcome(false) + "err full it is\nbye drain retry=1\n"),
            (1, Some("sub")) | (0, Some("ping")) => None,
            (_, Some("hello")) => Some(welcome(false)),
            (_, verb) => Some(format!("ok {} n\n", verb.unwrap_or_default())),
        }
    });
    let options = Options::new().session(Ticket::fresh());
    let (alice, _frames) = wait(options.connect("127.0.0.1", port)).unwrap();
    wait(alice.request("sub n")).unwrap();
    assert!(wait(alice.request("ping")).is_err());
    let said: Vec<String> =
        (0..3).map(|_| said.recv_timeout(client_support::DEADLINE).unwrap()).collect();
    let verbs: Vec<_> = said.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(verbs, ["hello", "hello", "sub"], "{said:?}");
}
