//! "The first bytes that a client sends choose the dialect for the whole
//! connection; the broker says nothing first." What this broker does not speak
//! yet is refused in its own manner.

mod support;

use support::{Broker, matches};

/// What each dialect's first bytes are answered with, before the end.
const DIALECTS: [(&[u8], &str); 3] = [
    (b"INIT,1,2;", "ERR,malformed message: *;"),
    (b"CONT,1,2;", "ERR,malformed message: *;"),
    (b"\x16\x03\x01\x02\x00\x01\x00", "\x15\x03\x03\x00\x02\x02*"),
];

#[test]
fn every_other_dialect_is_refused_in_its_own_manner() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    for (first, answer) in DIALECTS {
        let mut stranger = broker.connect("stranger");
        stranger.send_bytes(first);
        let heard = String::from_utf8(stranger.rest()).expect("UTF-8");
        assert!(matches(answer, &heard), "{first:?} is answered {heard:?}");
    }
    // None of them was a client, and none of their bytes a request.
    alice.send("who");
    alice.expect_all(&["client alice *", "ok who 1"]);
    alice.expect_nothing();
}

/// A web page that makes a browser send requests to the broker's port reaches
/// no text request, whatever its body says.
#[test]
fn a_web_page_reaches_nothing() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    let mut page = broker.connect("page");
    let body = "sub ops\npub ops gotcha\nkick ops alice\n";
    page.send_bytes(format!("POST / HTTP/1.0\r\nHost: x\r\n\r\n{body}").as_bytes());
    let heard = String::from_utf8(page.rest()).expect("UTF-8");
    assert!(matches("HTTP/1.* 405 *", &heard), "{heard:?}");
    alice.expect_nothing();
}

/// The network may bring the first bytes one at a time.
#[test]
fn first_bytes_one_at_a_time() {
    let broker = Broker::start();
    let http: (&[u8], &str) = (b"OPTIONS /v1/stats HTTP/1.0\r\n\r\n", "HTTP/1.* 204 *");
    for (first, answer) in [http, DIALECTS[0], DIALECTS[1]] {
        let mut stranger = broker.connect("stranger");
        for byte in first {
            // The broker may have closed by then, and what follows is lost.
            let _ = std::io::Write::write_all(&mut stranger.stream, &[*byte]);
            std::thread::yield_now();
        }
        let mut heard = Vec::new();
        // A reset is an end as well: the client has written on after the end.
        while let Some(line) = stranger.line() {
            heard.push(line);
        }
        let first_line = answer.split(['\r', '\n']).next().unwrap_or_default();
        let shown = heard.first().map(|line| line.trim_end()).unwrap_or_default();
        assert!(heard.is_empty() || matches(first_line, shown), "{heard:?}");
    }
}

/// What only begins like another dialect is text.
#[test]
fn what_only_looks_like_another_dialect_is_text() {
    let broker = Broker::start();
    for (first, reply) in [
        ("GETAWAY\n", "err unknown-command *"),
        ("GET\n", "err unknown-command *"),
        ("PUTTING it\n", "err unknown-command *"),
        ("INITIAL\n", "err unknown-command *"),
        ("get /\n", "err unknown-command *"),
        ("\n\nping\n", "ok ping *"),
        (" {}\n", "err unknown-command *"),
        ("# GET / HTTP/1.1\nping\n", "ok ping *"),
        ("ping\r\n", "ok ping *"),
        ("p", ""),
    ] {
        for one_at_a_time in [false, true] {
            let mut client = broker.connect("client");
            if one_at_a_time {
                first.as_bytes().iter().for_each(|byte| client.send_bytes(&[*byte]));
            } else {
                client.send_bytes(first.as_bytes());
            }
            match reply {
                "" => client.send("ing"),
                reply => drop(client.expect(reply)),
            }
            if reply.is_empty() {
                client.expect("ok ping *");
            }
            client.expect_nothing();
        }
    }
}

/// A connection that begins with `{` speaks JSON, and one that is too many is
/// refused in it.
#[test]
fn the_json_dialect_is_spoken() {
    let broker = Broker::with(|config| config.max_clients = 1);
    let mut alice = broker.connect("alice");
    for byte in b"{\"op\":\"ping\",\"id\":1}\n" {
        alice.send_bytes(&[*byte]);
    }
    alice.expect("{\"reply\":\"ping\",\"ok\":true,\"lease\":8000,\"id\":1}");
    let mut bob = broker.connect("bob");
    bob.send("{\"op\":\"ping\"}");
    bob.expect(
        "{\"reply\":\"error\",\"ok\":false,\"error\":{\"code\":\"full\",\"message\":\"*\"}}",
    );
    bob.expect("{\"frame\":\"bye\",\"reason\":\"full\"}");
    bob.expect_end();
}

/// A connection that begins with `*` speaks the Redis protocol.
#[test]
fn the_redis_protocol_is_spoken() {
    let broker = Broker::start();
    let mut alice = broker.connect("alice");
    for byte in b"*1\r\n$4\r\nPING\r\n" {
        alice.send_bytes(&[*byte]);
    }
    alice.expect("+PONG\r");
}

/// The choice is for the whole connection: what comes later is only text.
#[test]
fn the_dialect_is_chosen_once() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    for line in ["{\"op\":\"ping\"}", "GET / HTTP/1.1", "*1", "INIT,1", "\x16\x03"] {
        alice.ask(line, "err *");
    }
    alice.expect_nothing();
}

/// A client that says nothing hears nothing, and one that closes without a word is
/// forgotten.
#[test]
fn the_broker_says_nothing_first() {
    let broker = Broker::start();
    let mut silent = broker.connect("silent");
    broker.connect("gone").close();
    let mut alice = broker.client("alice");
    alice.expect_nothing();
    silent.send("ping");
    silent.expect("ok ping *");
}
