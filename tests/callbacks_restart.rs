//! Call-backs across a restart of the broker: the next broker calls whoever has a seat,
//! from behind the last delivery that it took.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::json;
use std::path::Path;
use support::{Broker, Child, Receiver, Web};

fn broker(dir: &Path) -> Broker {
    let data = dir.to_str().unwrap();
    let settings = ["--data", data, "--restart-grace", "1m", "--allow-callback", "127.0.0.1/32"];
    Broker::from_child(Child::with_environment(&settings, &[("RUST_LOG", "trace")]))
}

/// Bob is in a durable channel and told of messages: his token.
fn with_bob(broker: &Broker, receiver: &Receiver) -> String {
    let web = broker.web();
    web.post("/v1/channels", r#"{"channel":"ops","durable":true}"#).expect(201, "*");
    let bob = json!({"name": "bob", "callback": receiver.url(), "events": ["messages"]});
    let joined = web.post("/v1/channels/ops/members", &bob.to_string()).expect(201, "{*}");
    joined.json()["token"].as_str().unwrap().to_owned()
}

fn publish(web: &Web, text: &str) {
    let body = json!({"data": text}).to_string();
    web.post("/v1/channels/ops/messages", &body).expect(201, "*");
}

#[test]
fn who_has_a_seat_is_called_by_the_next_broker() {
    let (dir, receiver) = (tempfile::tempdir().unwrap(), Receiver::start());
    let mut broker1 = broker(dir.path());
    let token = with_bob(&broker1, &receiver);
    let bob = broker1.web().as_resident(&token);
    publish(&broker1.web(), "one");
    receiver.expect("msg").ok();
    publish(&broker1.web(), "two");
    let two = receiver.expect("msg");
    assert_eq!(two.frame()["data"], "two");
    broker1.child().kill();
    drop(two);

    // The delivery was not taken, so it comes again without anybody asking for it.
    // Bob's rank comes first, because he may have missed a change of it.
    let mut broker2 = broker(dir.path());
    let rank = receiver.expect("rank");
    assert_eq!([&rank.frame()["rank"], &rank.frame()["term"]], [0, 1]);
    rank.ok();
    let two = receiver.expect("msg");
    assert_eq!((&two.frame()["data"], two.header("broker-member")), (&json!("two"), "bob"));
    two.ok();
    let bob2 = bob.at(broker2.addr);
    bob2.get("/v1/channels/ops/members/bob").expect(200, r#"{*"rank":0,"term":1,*"away":false}"#);
    let mut carol = broker2.member("carol", "ops");
    bob2.with("Prefer", "respond-async")
        .post("/v1/channels/ops/commands", r#"{"name":"go"}"#)
        .expect(202, "*");
    carol.expect("cmd ops * bob 0 1 go");
    carol.ask("quit", "bye quit");

    // A stop in order keeps the seat as well, and bob is called for as long as he has it.
    broker2.child().signal("TERM");
    assert!(broker2.child().ended().success());
    let log = broker2.child().complaint();
    assert!(log.contains("event=resident-back channel=ops member=bob"), "{log}");
    assert!(!log.contains(&token[32..]), "the secret has no place in a log");
    let mut broker3 = broker(dir.path());
    receiver.expect("rank").ok();
    publish(&broker3.web(), "three");
    let three = receiver.expect("msg");
    assert_eq!(three.frame()["data"], "three");
    three.ok();
    bob.at(broker3.addr).delete("/v1/channels/ops/members/bob").expect(204, "");
    receiver.expect("left").ok();
    broker3.child().kill();
    let broker4 = broker(dir.path());
    let before = receiver.connections();
    publish(&broker4.web(), "four");
    broker4.web().get("/v1/channels/ops/members").expect(200, r#"{*"count":0,*"#);
    assert_eq!(receiver.connections(), before);
}

/// After a restart nobody waits for a command's answer any more, but it is delivered
/// like any other entry of the channel: a receiver that does not want it has not
/// failed.
#[test]
fn a_command_from_before_is_told_like_anything_else() {
    let (dir, receiver) = (tempfile::tempdir().unwrap(), Receiver::start());
    let mut broker1 = broker(dir.path());
    broker1.web().post("/v1/channels", r#"{"channel":"ops","durable":true}"#).expect(201, "*");
    let mut alice = broker1.member("alice", "ops");
    let bob = json!({"name": "bob", "callback": receiver.url(), "events": ["messages"]});
    broker1.web().post("/v1/channels/ops/members", &bob.to_string()).expect(201, "*");
    alice.expect("join ops 2 bob 1");
    alice.ask("/go", "ok cmd ops 3 to=1");
    let under_way = receiver.expect("cmd");
    broker1.child().kill();
    drop(under_way);

    let mut broker2 = broker(dir.path());
    receiver.expect("rank").ok();
    let again = receiver.expect("cmd");
    assert_eq!((&again.frame()["seq"], &again.frame()["name"]), (&json!(3), &json!("go")));
    again.answer("503 Service Unavailable", "", "");
    receiver.expect("cmd").answer("200 OK", "", r#"{"code":3}"#);
    publish(&broker2.web(), "after it");
    let after = receiver.expect("msg");
    assert_eq!(after.frame()["data"], "after it");
    after.answer("404 Not Found", "", "");
    publish(&broker2.web(), "last");
    receiver.expect("msg").ok();
    broker2.child().signal("TERM");
    let log = broker2.child().complaint();
    let failed =
        "event=callback-failed channel=ops member=bob host=127.0.0.1 failures=1 delivering=cmd";
    let refused =
        "event=callback-refused channel=ops member=bob host=127.0.0.1 refusals=1 delivering=msg";
    assert!(log.contains(failed) && log.contains(refused), "{log}");
    assert_eq!(log.matches("event=callback-").count(), 2, "{log}");
}
