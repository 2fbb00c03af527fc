//! What a web page does, with a browser's own WebSocket and fetch: those of
//! Node.js, if it is installed here.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use support::Broker;

/// Node.js with what it takes to have a WebSocket; nothing if it has none.
fn node() -> Option<Command> {
    // Version 22 has it; versions before that if they are asked.
    for flags in [&[][..], &["--experimental-websocket"]] {
        let mut node = Command::new("node");
        node.args(flags);
        let script = "process.exit(typeof WebSocket === 'undefined' ? 1 : 0)";
        let mut trial = Command::new("node");
        trial.args(flags).args(["-e", script]).stdout(Stdio::null()).stderr(Stdio::null());
        if trial.status().is_ok_and(|status| status.success()) {
            return Some(node);
        }
    }
    None
}

#[test]
fn a_page_is_a_member_and_an_observer() {
    let Some(mut node) = node() else {
        return support::skip("there is no Node.js with a WebSocket (version 20.10 or newer)");
    };
    let mut broker = Broker::process();
    let mut alice = broker.member("alice", "ops");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node.mjs");
    let page = node.arg(script).arg(broker.addr.to_string()).stdout(Stdio::piped()).spawn();
    let mut page = page.expect("node runs");
    alice.expect("join ops 2 page 1");
    alice.expect(r#"msg ops 3 page {"greeting":"grün"}"#);
    alice.ask("/go", "ok cmd ops 4 to=1");
    alice.expect("ack ops 4 page 1 0 done");
    alice.expect("done ops 4 1/1");
    broker.child().signal("TERM");
    let lines = BufReader::new(page.stdout.take().unwrap()).lines().map(Result::unwrap);
    let (events, socket): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("event"));
    let all = ["event join 2", "event msg 3", "event cmd 4", "event bye -", "events end"];
    assert_eq!(events[0], "events 200 text/event-stream");
    assert_eq!(events[1..], all);
    assert_eq!(
        socket,
        [
            "socket hello ok=true - undefined",
            "socket sub ok=true 2 undefined",
            "socket pub ok=true 3 undefined",
            r#"socket msg 3 {"greeting":"grün"}"#,
            "socket cmd 4 undefined",
            "socket ack ok=true 4 undefined",
            "socket bye - undefined",
            "closed 1001 true the broker is stopping; come back later",
        ]
    );
    assert!(page.wait().unwrap().success());
}
