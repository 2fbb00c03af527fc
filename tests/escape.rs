//! "In PAYLOAD and TEXT control characters and the backslash are written `\n`,
//! `\r`, `\t`, `\\`, `\xNN`; everything else is itself. So a frame is always one
//! line, and nothing a stranger publishes can move a terminal's cursor."

mod support;

use support::Broker;

/// Everything that a stranger can put into a line but its end.
const NASTY: &str = "\x1b[2J \x07 \x00 \x7f \t \\ \u{85} \u{9b}31m \r. é \u{2028}";
const TAMED: &str = "\\x1b[2J \\x07 \\x00 \\x7f \\t \\\\ \\xc2\\x85 \\xc2\\x9b31m \\r. é \u{2028}";

#[test]
fn a_message_cannot_move_a_cursor() {
    let broker = Broker::start();
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    alice.ask(&format!("pub --raw ops {NASTY}"), "ok pub ops 3");
    for client in [&mut alice, &mut bob] {
        client.expect(&format!("msg ops 3 alice {TAMED}"));
    }
    alice.send(&format!("pub ops '{NASTY}'"));
    alice.expect_all(&["ok pub ops 4", "msg ops 4 alice \\x1b*"]);
    let line = bob.expect("msg ops 4 alice \\x1b*");
    assert!(!line.chars().any(char::is_control), "{line:?}");
    // In a JSON text the broker's escaping comes on top of JSON's own.
    alice.ask(r#"pub --json ops {"a":"\n\u001b"}"#, "ok pub ops 5");
    bob.expect(r#"msg ops 5 alice {"a":"\\n\\u001b"}"#);
}

#[test]
fn nor_can_words_and_results() {
    let broker = Broker::start();
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    bob.ask(&format!("tell alice '{NASTY}'"), "ok tell alice");
    alice.expect(&format!("tell bob {TAMED}"));
    bob.ask(&format!("broadcast '{NASTY}'"), "ok broadcast 1");
    alice.expect(&format!("broadcast bob {TAMED}"));
    alice.ask("/go", "ok cmd ops 3 to=1");
    bob.expect("cmd ops 3 alice 0 1 go");
    bob.ask(&format!("ack ops 3 '{NASTY}'"), "ok ack ops 3");
    alice.expect_all(&[&format!("ack ops 3 bob 1 0 {TAMED}"), "done ops 3 1/1"]);
    // A command with such an argument reaches nobody, or is escaped.
    alice.send("/go '\x1b[2J'");
    let reply = alice.line().expect("a reply");
    if reply.starts_with("ok ") {
        let line = bob.expect("cmd ops 4 *");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    bob.ask(&format!("kick ops alice '{NASTY}'"), "err rank *");
    alice.expect_nothing();
    bob.expect_nothing();
}

/// What is quoted back in an error is escaped as well, even what is no request.
#[test]
fn nor_can_errors() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    for request in [
        format!("'{NASTY}'"),
        format!("sub '{NASTY}'"),
        format!("create '{NASTY}'"),
        format!("hello --name '{NASTY}'"),
        format!("ops --'{NASTY}'"),
        format!("pub --json ops {NASTY}"),
        format!("help '{NASTY}'"),
        format!("tell '{NASTY}' x"),
        format!("check '{NASTY}' '{NASTY}'"),
        format!("sub --pattern '{NASTY}'"),
        "\x1b[2J".to_owned(),
    ] {
        alice.send(&request);
        let line = alice.expect("err *");
        assert!(!line.chars().any(char::is_control), "{request:?} is answered {line:?}");
    }
    alice.expect_nothing();
}
