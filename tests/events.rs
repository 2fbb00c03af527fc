//! `GET /v1/channels/{c}/events`: a channel as Server-Sent Events, beside
//! members of the text dialect.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use support::{Broker, Dialogue, Events, Socket, eventually, matches, small_log};

const OPS: &str = "/v1/channels/ops/events";

/// The answer to a request for this path with these headers.
fn ask(broker: &Broker, path: &str, headers: &str) -> Events {
    let stream = TcpStream::connect(broker.addr).unwrap();
    Events::ask(broker.addr, path, headers, stream, Dialogue::default())
}

#[test]
fn an_observer_sees_what_members_see() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    let mut events = broker.events(OPS, None);
    let mut page = broker.page("page", "ops");
    alice.expect("join ops 2 page 1");
    events.expect(
        Some(2),
        "join",
        r#"{"frame":"join","channel":"ops","seq":2,"member":"page","rank":1}"#,
    );
    alice.ask(r"pub ops 'two\nlines'", r"ok pub ops 3");
    let frame = r#"{"frame":"msg","channel":"ops","seq":3,"from":"alice","data":"two\\nlines"}"#;
    events.expect(Some(3), "msg", frame);
    page.expect(frame);
    page.ask(r#"{"op":"pub","channel":"ops","data":{"a": 1.50}}"#, r#"{"reply":"pub",*"#);
    events.expect(Some(4), "msg", r#"{"frame":"msg",*"from":"page","data":{"a": 1.50}}"#);
    alice.expect_all(&["msg ops 3 *", "msg ops 4 page *"]);
    alice.ask("/say hi", "ok cmd ops 5 to=1");
    events.expect(Some(5), "cmd", r#"{"frame":"cmd",*"name":"say","args":["hi"]}"#);
    alice.ask("yield", "ok yield ops rank=1 *");
    alice.expect_all(&["rank ops 1 6 6", "move ops 6 alice 0 1"]);
    events.expect(
        Some(6),
        "move",
        r#"{"frame":"move","channel":"ops","seq":6,"member":"alice","old":0,"new":1}"#,
    );
    // It is a client without a rank.
    alice.send("who ops");
    alice.until("client guest-1 * dialect=events * channels=ops");
    alice.until("ok who 3");
    alice.ask("ranks ops", "member ops 0 page *");
    alice.expect_all(&["member ops 1 alice *", "ok ranks ops 2 *"]);
    drop(page);
    events.expect(Some(7), "left", r#"{"frame":"left",*"member":"page","rank":0,"reason":"lost"}"#);
    drop(events);
    eventually("it is gone", || {
        alice.send("who ops");
        alice.until("ok who *").last().is_some_and(|last| last == "ok who 1")
    });
}

/// What comes by HTTP may hold anything, and is one line of data all the same.
#[test]
fn an_event_has_one_line_of_data() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    let mut events = broker.events(OPS, None);
    for (seq, body) in [(2, "{\"data\":{\"a\":\r\n 1}}"), (3, r#"{"data":"a\r\nid: 9\n\nb"}"#)] {
        let mut poster = broker.connect("poster");
        let head = format!("POST /v1/channels/ops/messages HTTP/1.1\r\nHost: {}\r\n", broker.addr);
        let kind = "Content-Type: application/json\r\nConnection: close\r\n";
        let text = format!("{head}{kind}Content-Length: {}\r\n\r\n{body}", body.len());
        poster.send_bytes(text.as_bytes());
        assert!(poster.rest().starts_with(b"HTTP/1.1 201 "));
        events.expect(Some(seq), "msg", r#"{"frame":"msg",*"data":*}"#);
        alice.expect(&format!("msg ops {seq} *"));
    }
}

/// Wherever a stream is cut, going on behind the last event is without a hole
/// and without a repetition.
#[test]
fn who_comes_back_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::with(|config| config.data = Some(dir.path().into()));
    for (channel, settings) in [("memory", "--history 100"), ("disk", "--history 100 --durable")] {
        let mut alice = broker.client(&format!("from-{channel}"));
        alice.ask(&format!("create {channel} {settings}"), "ok create *");
        for n in 1..=60 {
            alice.ask(&format!("pub {channel} {n}"), &format!("ok pub {channel} {n}"));
        }
        let path = format!("/v1/channels/{channel}/events?from=first");
        let mut last: Option<String> = None;
        for cut in [1, 7, 2, 30, 19, 2] {
            let mut events = broker.events(&path, last.as_deref());
            let next = last.as_deref().map_or(1, |last| last.parse::<u64>().unwrap() + 1);
            for seq in next..next + cut {
                events.expect(Some(seq), "msg", &format!(r#"{{"frame":"msg",*"data":"{seq}"}}"#));
                if seq == 60 {
                    // From here on, entries come as they are published.
                    alice.ask(&format!("pub {channel} 61"), &format!("ok pub {channel} 61"));
                }
            }
            last = Some((next + cut - 1).to_string());
        }
        assert_eq!(last.as_deref(), Some("61"));
    }
}

#[test]
fn it_begins_where_it_is_asked_to() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    alice.ask("create ops --history 5", "ok create ops");
    for seq in 1..=9 {
        alice.ask(&format!("pub ops {seq}"), &format!("ok pub ops {seq}"));
    }
    for (query, last, first) in [
        ("?last=2", None, 8),
        ("?from=7", None, 7),
        ("?from=first", None, 5),
        ("", Some("6"), 7),
        // `Last-Event-ID` counts for more than the address, which never changes.
        ("?last=3", Some("8"), 9),
        ("?from=first", Some(""), 5),
        // An id from an earlier channel of this name: the client has nothing of this one.
        ("", Some("4711"), 5),
    ] {
        let mut events = broker.events(&format!("{OPS}{query}"), last);
        events.expect(Some(first), "msg", "*");
    }
    // A gap is told, with the id of the last entry that is gone.
    let mut events = broker.events(OPS, Some("2"));
    events.expect(Some(4), "gap", r#"{"frame":"gap","channel":"ops","from":3,"to":4}"#);
    events.expect(Some(5), "msg", "*");
    let mut now = broker.events(&format!("{OPS}?from=now"), None);
    alice.ask("pub ops 10", "ok pub ops 10");
    now.expect(Some(10), "msg", "*");
}

#[test]
fn what_cannot_be_observed_is_a_problem() {
    let broker = Broker::start();
    let _alice = broker.member("alice", "ops");
    for (path, headers, status) in [
        ("/v1/channels/none/events", "", 404),
        ("/v1/channels/%2A/events", "", 404),
        ("/v1/channels/ops/events?from=x", "", 400),
        ("/v1/channels/ops/events?from=1&last=1", "", 400),
        ("/v1/channels/ops/events?create=true", "", 400),
        ("/v1/channels/ops/events?pattern=a", "", 400),
        (OPS, "Last-Event-ID: x\r\n", 400),
        (OPS, "Last-Event-ID: -1\r\n", 400),
        (OPS, "Last-Event-ID: 1\r\nLast-Event-ID: 2\r\n", 400),
    ] {
        let answer = ask(&broker, path, headers);
        assert_eq!(answer.status, status, "{path} {headers}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK*content-type: text/event-stream*"),
        ("POST", "HTTP/1.1 405 *allow: GET, HEAD, OPTIONS*"),
    ] {
        let mut client = broker.connect("client");
        let head = format!("{method} {OPS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.send_bytes(head.as_bytes());
        let said = String::from_utf8(client.rest()).unwrap();
        assert!(matches(answer, &said), "{said}");
    }
    // The origins whose pages may read the stream are a setting; such an origin is
    // named in the answer.
    assert!(
        !ask(&broker, OPS, "Origin: http://a.example\r\n")
            .headers
            .contains_key("access-control-allow-origin")
    );
    let broker = Broker::with(|config| config.allow_origin = vec!["http://a.example".into()]);
    let _bob = broker.member("bob", "ops");
    let answer = ask(&broker, OPS, "Origin: http://a.example\r\n");
    assert_eq!(answer.headers["access-control-allow-origin"], "http://a.example");
}

/// A stream ends with its channel, and says so; the connection does not.
#[test]
fn it_ends_with_the_channel() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    let mut events = broker.events(OPS, None);
    alice.ask("pub ops last", "ok pub ops 2");
    alice.send("drop ops");
    alice.until("ok drop ops");
    events.expect(Some(2), "msg", "*");
    events.expect(
        Some(3),
        "left",
        r#"{"frame":"left","channel":"ops","seq":3,*"reason":"dropped"}"#,
    );
    assert!(events.next().is_none());
    let again = Events::ask(broker.addr, OPS, "", events.into_stream(), Dialogue::default());
    assert_eq!(again.status, 404);
}

#[test]
fn a_broker_that_stops_says_so() {
    let mut broker = Broker::process();
    let mut alice = broker.member("alice", "ops");
    let mut events = broker.events(OPS, None);
    alice.ask("pub ops last", "ok pub ops 2");
    broker.child().signal("TERM");
    events.expect(Some(2), "msg", "*");
    events.expect(None, "bye", r#"{"frame":"bye","reason":"shutdown"}"#);
    assert!(events.next().is_none());
    drop(events);
    assert!(broker.child().ended().success());
}

/// A client that does not read holds nobody up, and gets each entry or a `gap`.
#[test]
fn a_slow_reader_holds_nobody_up() {
    let broker = Broker::with(small_log);
    let mut alice = broker.client("alice");
    alice.ask("create ops", "ok create ops");
    let mut events =
        Events::ask(broker.addr, OPS, "", support::narrow(broker.addr), Dialogue::default());
    let (text, count) = ("x".repeat(4_000), 4_000);
    let mut sender = alice.sender();
    std::thread::spawn(move || {
        for n in 1..=count {
            sender.send(&format!("pub ops {n} {text}"));
        }
    });
    for seq in 1..=count {
        alice.expect(&format!("ok pub ops {seq}"));
    }
    let (mut next, mut gaps) = (1, 0);
    while next <= count {
        let (id, kind, data) = events.next().expect("an event");
        let frame: serde_json::Value = serde_json::from_str(&data).expect("data is JSON");
        if kind == "gap" {
            assert_eq!(frame["from"], next);
            gaps += 1;
        } else {
            assert_eq!((id, frame["seq"].as_u64()), (Some(next), Some(next)));
            let text = frame["data"].as_str().unwrap();
            assert_eq!(text.len(), 4_001 + next.to_string().len());
        }
        next = id.unwrap() + 1;
    }
    assert!(gaps > 0, "16 MB are more than all buffers hold");
}

/// Members of every dialect see one order.
#[test]
fn one_order_for_all() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    let mut bob = broker.member("bob", "ops");
    alice.expect("join ops 2 bob 1");
    let mut page: Socket = broker.page("page", "ops");
    for client in [&mut alice, &mut bob] {
        client.expect("join ops 3 page 2");
    }
    let mut events = broker.events(OPS, None);
    let count = 500;
    let senders = [alice.sender(), bob.sender()].map(|mut sender| {
        std::thread::spawn(move || (0..count).for_each(|n| sender.send(&format!("pub ops {n}"))))
    });
    for sender in senders {
        sender.join().unwrap();
    }
    let seen = |client: &mut support::Client| -> Vec<String> {
        let mut lines = Vec::new();
        while lines.len() < 2 * count {
            lines.push(client.until("msg ops *").pop().unwrap());
        }
        lines
    };
    let (of_alice, of_bob) = (seen(&mut alice), seen(&mut bob));
    assert_eq!(of_alice, of_bob);
    for line in of_alice {
        let words: Vec<&str> = line.split(' ').collect();
        let frame = format!(
            r#"{{"frame":"msg","channel":"ops","seq":{},"from":"{}","data":"{}"}}"#,
            words[2], words[3], words[4]
        );
        page.expect(&frame);
        events.expect(Some(words[2].parse().unwrap()), "msg", &frame);
    }
}

/// A client of HTTP/1.0 knows no chunks: its stream ends with the connection.
#[test]
fn an_old_client_gets_the_events_as_they_are() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    let mut stream = TcpStream::connect(broker.addr).unwrap();
    stream.write_all(format!("GET {OPS} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    let mut opening = Vec::new();
    while !opening.ends_with(b"retry: 2000\n\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        opening.push(byte[0]);
    }
    assert!(!String::from_utf8(opening).unwrap().to_lowercase().contains("chunked"));
    alice.send("drop ops");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("id: 2\nevent: left\ndata: {"), "{rest}");
}
