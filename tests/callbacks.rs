//! Members without a connection that are told by call-backs: commands, ranks,
//! messages, in order, until they are taken.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use hmac::{Hmac, Mac};
use ranked_broker::config::Config;
use serde_json::json;
use sha2::Sha256;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use support::{Answer, Broker, Client, DEADLINE, Delivery, Receiver, eventually};

/// A broker that calls 127.0.0.1, and no other address of this machine.
fn broker() -> Broker {
    Broker::with(allow_this_machine)
}

fn allow_this_machine(config: &mut Config) {
    config.allow_callback = vec!["127.0.0.1/32".parse().unwrap()];
}

/// The same, where leases are short.
fn hasty_broker() -> Broker {
    Broker::with(|config| {
        allow_this_machine(config);
        config.lease = Duration::from_millis(400);
        config.guard = Duration::from_millis(50);
    })
}

/// Asks to join `ops` as bob with a call-back. Returns the answer.
#[track_caller]
fn try_join(broker: &Broker, url: &str, events: &[&str]) -> Answer {
    let body = json!({"name": "bob", "callback": url, "events": events});
    broker.web().post("/v1/channels/ops/members", &body.to_string())
}

/// Joins `ops` as bob with a call-back. Returns his token.
#[track_caller]
fn join(broker: &Broker, receiver: &Receiver, events: &[&str]) -> String {
    let joined = try_join(broker, &receiver.url(), events).expect(201, "{*}").json();
    joined["token"].as_str().unwrap().to_string()
}

/// Alice at rank 0 in `ops`, bob below her with a call-back, and bob's token.
#[track_caller]
fn alice_and_bob(broker: &Broker, receiver: &Receiver, events: &[&str]) -> (Client, String) {
    let mut alice = broker.member("alice", "ops");
    let token = join(broker, receiver, events);
    alice.expect("join ops 2 bob 1");
    (alice, token)
}

#[test]
fn a_command_is_delivered_and_what_is_answered_is_its_result() {
    let (broker, receiver) = (broker(), Receiver::start());
    let (mut alice, _) = alice_and_bob(&broker, &receiver, &[]);
    alice.ask("/reload all 'b c'", "ok cmd ops * to=1");
    let delivery = receiver.expect("cmd");
    assert_eq!(delivery.path, "/hook");
    for (name, value) in [
        ("broker-channel", "ops"),
        ("broker-member", "bob"),
        ("broker-seq", "3"),
        ("broker-attempt", "1"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(delivery.header(name), value, "{name}");
    }
    let frame = json!({"frame": "cmd", "channel": "ops", "seq": 3, "from": "alice", "from_rank": 0,
                       "from_term": 1, "name": "reload", "args": ["all", "b c"]});
    assert_eq!(delivery.frame(), frame);
    delivery.ok();
    alice.expect("ack ops 3 bob 1 0 ");
    alice.expect("done ops 3 1/1");

    alice.ask("/reload", "ok cmd ops 4 to=1");
    receiver.expect("cmd").answer("200 OK", "", r#"{"code":3,"text":"no such\nfile"}"#);
    alice.expect(r"ack ops 4 bob 1 3 no such\nfile");
    alice.expect("done ops 4 0/1");

    alice.ask("/reload", "ok cmd ops 5 to=1");
    receiver.expect("cmd").answer("404 Not Found", "", "");
    alice.expect("ack ops 5 bob 1 404 it answered 404 Not Found");
    alice.expect("done ops 5 0/1");
}

#[test]
fn one_after_the_other_and_in_order() {
    let (broker, receiver) = (broker(), Receiver::start());
    let (mut alice, _) = alice_and_bob(&broker, &receiver, &["messages", "roster"]);
    alice.send("pub ops one");
    alice.send("/two");
    alice.send("pub --json ops {\"three\":3}");
    alice.expect_unordered(&[
        "ok pub ops 3",
        "ok cmd ops 4 to=1",
        "ok pub ops 5",
        "msg ops 3 alice one",
        r#"msg ops 5 alice {"three":3}"#,
    ]);
    let mut carol = broker.client("carol");
    carol.ask("sub ops", "ok sub ops rank=2 *");
    let mut passer_by = broker.client("passer-by");
    for (event, key, value) in [
        ("msg", "data", json!("one")),
        ("cmd", "name", json!("two")),
        ("msg", "data", json!({"three": 3})),
        ("join", "member", json!("carol")),
    ] {
        let delivery = receiver.expect(event);
        assert_eq!(delivery.frame()[key], value);
        // No delivery overtakes it, and none is made beside it.
        let before = receiver.connections();
        passer_by.send("pub ops later");
        assert_eq!(receiver.connections(), before);
        delivery.ok();
    }
}

#[test]
fn what_was_not_asked_for_is_not_delivered() {
    let (broker, receiver) = (broker(), Receiver::start());
    let (mut alice, _) = alice_and_bob(&broker, &receiver, &[]);
    alice.ask("pub ops not for bob", "ok pub ops 3");
    alice.expect("msg ops 3 alice not for bob");
    let mut carol = broker.client("carol");
    carol.ask("sub ops", "ok sub ops rank=2 *");
    alice.expect("join ops 4 carol 2");
    alice.ask("/go", "ok cmd ops 5 to=2");
    receiver.expect("cmd").ok();
}

#[test]
fn a_rank_is_told() {
    let (broker, receiver) = (broker(), Receiver::start());
    let (mut alice, _) = alice_and_bob(&broker, &receiver, &[]);
    alice.ask("quit", "bye quit");
    let delivery = receiver.expect("rank");
    assert_eq!(
        delivery.frame(),
        json!({"frame": "rank", "channel": "ops", "rank": 0, "term": 3, "view": 3})
    );
    delivery.ok();
    broker.client("carol").ask("tell bob hello", "ok tell bob");
    let delivery = receiver.expect("tell");
    assert_eq!(delivery.frame(), json!({"frame": "tell", "from": "carol", "text": "hello"}));
}

#[test]
fn a_broadcast_is_told_to_whom_it_counts() {
    let (broker, receiver) = (broker(), Receiver::start());
    let (mut alice, _) = alice_and_bob(&broker, &receiver, &[]);
    broker.web().join("ops", "carol");
    alice.expect("join ops 3 carol 2");
    // Carol has neither a connection nor a call-back.
    alice.ask("broadcast hello", "ok broadcast 1");
    let delivery = receiver.expect("broadcast");
    assert_eq!(delivery.frame(), json!({"frame": "broadcast", "from": "alice", "text": "hello"}));
}

#[test]
fn a_delivery_that_fails_is_tried_again_and_is_the_same_delivery() {
    let (broker, receiver) = (broker(), Receiver::start());
    let (mut alice, token) = alice_and_bob(&broker, &receiver, &[]);
    alice.ask("/go", "ok cmd ops 3 to=1");
    let fail: [fn(Delivery); 4] = [
        |delivery| delivery.answer("503 Service Unavailable", "", ""),
        |delivery| delivery.answer("429 Too Many Requests", "retry-after: 1\r\n", ""),
        // Closes the connection without an answer.
        drop,
        Delivery::ok,
    ];
    let mut ids = Vec::new();
    for (attempt, answer) in (1..).zip(fail) {
        let delivery = receiver.expect("cmd");
        assert_eq!(delivery.header("broker-attempt"), attempt.to_string());
        assert_signed(&delivery, &token);
        ids.push(delivery.header("broker-delivery").to_string());
        answer(delivery);
    }
    alice.expect("ack ops 3 bob 1 0 ");
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

/// Verifies a signature as the documentation says.
#[track_caller]
fn assert_signed(delivery: &Delivery, token: &str) {
    let signed = format!("{}.{}", delivery.header("broker-timestamp"), delivery.text);
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    let code = mac.finalize().into_bytes();
    let hex: Vec<String> = code.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(delivery.header("broker-signature"), format!("sha256={}", hex.concat()));
}

#[test]
fn a_receiver_may_answer_a_command_later() {
    let (broker, receiver) = (broker(), Receiver::start());
    let (mut alice, token) = alice_and_bob(&broker, &receiver, &[]);
    alice.ask("/slow", "ok cmd ops 3 to=1");
    receiver.expect("cmd").answer("202 Accepted", "", r#"{"code":9}"#);
    // The next command does not wait for its result.
    alice.ask("/fast", "ok cmd ops 4 to=1");
    receiver.expect("cmd").ok();
    alice.expect("ack ops 4 bob 1 0 ");
    alice.expect("done ops 4 1/1");
    let bob = broker.web().as_resident(&token);
    bob.post("/v1/channels/ops/commands/3/ack", r#"{"code":7,"text":"slowly"}"#).expect(200, "*");
    alice.expect("ack ops 3 bob 1 7 slowly");
}

#[test]
fn a_command_that_nobody_takes_ends_at_its_deadline_and_is_a_gap() {
    let (broker, receiver) = (broker(), Receiver::start());
    let (mut alice, _) = alice_and_bob(&broker, &receiver, &[]);
    alice.ask("cmd ops --timeout 0.3 go", "ok cmd ops 3 to=1");
    let delivery = receiver.expect("cmd");
    alice.expect("ack ops 3 bob 1 timeout ");
    alice.expect("done ops 3 0/1");
    delivery.answer("503 Service Unavailable", "", "");
    let delivery = receiver.expect("gap");
    assert_eq!(delivery.frame(), json!({"frame": "gap", "channel": "ops", "from": 3, "to": 3}));
    delivery.ok();
    alice.ask("/again", "ok cmd ops 4 to=1");
    receiver.expect("cmd").ok();
    alice.expect("ack ops 4 bob 1 0 ");
}

/// The pause before the next attempt ends with the command: the delivery behind it has
/// a deadline of its own.
#[test]
fn what_comes_behind_a_command_that_is_over_does_not_wait_for_its_next_attempt() {
    let (broker, receiver) = (broker(), Receiver::start());
    let (mut alice, token) = alice_and_bob(&broker, &receiver, &[]);
    alice.ask("/go", "ok cmd ops 3 to=1");
    // After the fourth, the pause is a second at least.
    for _ in 0..4 {
        receiver.expect("cmd").answer("503 Service Unavailable", "", "");
    }
    let bob = broker.web().as_resident(&token);
    bob.post("/v1/channels/ops/commands/3/ack", "{}").expect(200, "*");
    alice.expect_all(&["ack ops 3 bob 1 0 ", "done ops 3 1/1"]);
    alice.ask("cmd ops --timeout 0.9 again", "ok cmd ops 4 to=1");
    receiver.expect("gap").ok();
    receiver.expect("cmd").ok();
    alice.expect("ack ops 4 bob 1 0 ");
}

/// A receiver that hangs holds up a command that nobody waits for any more, but not the
/// one behind it.
#[test]
fn what_comes_behind_a_command_that_is_over_does_not_wait_for_its_call() {
    let (broker, receiver) = (broker(), Receiver::start());
    let (mut alice, _) = alice_and_bob(&broker, &receiver, &[]);
    alice.ask("cmd ops --timeout 0.1 hang", "ok cmd ops 3 to=1");
    let hangs = receiver.expect("cmd");
    alice.expect_all(&["ack ops 3 bob 1 timeout ", "done ops 3 0/1"]);
    // A call has six seconds.
    alice.ask("cmd ops --timeout 4 again", "ok cmd ops 4 to=1");
    receiver.expect("gap").ok();
    receiver.expect("cmd").ok();
    alice.expect("ack ops 4 bob 1 0 ");
    drop(hangs);
}

#[test]
fn a_receiver_that_is_there_keeps_its_seat_and_one_that_is_killed_loses_it() {
    let (broker, receiver) = (hasty_broker(), Receiver::start());
    let (mut alice, _) = alice_and_bob(&broker, &receiver, &[]);
    eventually("it was pinged for some leases", || receiver.pings() > 6);
    alice.ask("rank", "ok rank ops 0 term=1 view=2 members=2");
    receiver.kill();
    alice.expect("left ops 3 bob 1 reason=timeout");
}

/// A receiver that counts its lease as the protocol says, "from when the delivery came
/// that `broker-renewed` names", never believes in it for longer than the broker holds
/// the seat, even if each delivery arrives and each answer is lost.
#[test]
fn whose_answers_are_lost_does_not_believe_beyond_its_lease() {
    let broker = Broker::with(|config| {
        allow_this_machine(config);
        config.lease = Duration::from_secs(2);
        config.guard = Duration::from_millis(250);
    });
    let receiver = Receiver::start();
    receiver.ignore_pings();
    let mut alice = broker.client("alice");
    alice.ask("create ops --on-close safe", "ok create ops");
    join(&broker, &receiver, &["messages"]);
    alice.ask("sub ops", "ok sub ops rank=1 *");
    let (mut came, mut believes) = (HashMap::new(), None);
    let mut note = |delivery: &Delivery| {
        let id = delivery.header("broker-delivery").to_string();
        came.entry(id).or_insert_with(Instant::now);
        let lease = Duration::from_millis(delivery.header("broker-lease").parse().unwrap());
        let renewed = delivery.headers.get("broker-renewed").and_then(|id| came.get(id));
        believes = renewed.map(|came| *came + lease).max(believes);
        believes
    };
    // The first delivery is answered, and the second one says so.
    alice.ask("pub ops one", "ok pub ops 3");
    alice.expect("msg ops 3 alice one");
    let delivery = receiver.expect("msg");
    note(&delivery);
    delivery.ok();
    alice.ask("pub ops two", "ok pub ops 4");
    alice.expect("msg ops 4 alice two");
    // No answer to any attempt reaches the broker.
    let mut attempts = 0;
    let promoted = loop {
        while let Some(delivery) = receiver.next_if_soon() {
            attempts += 1;
            assert!(note(&delivery).is_some(), "{:?}", delivery.headers);
        }
        alice.send("rank ops");
        if alice.until("ok rank ops *").last().unwrap().starts_with("ok rank ops 0 ") {
            break Instant::now();
        }
    };
    assert!(attempts > 1, "{attempts}");
    assert!(believes.is_some_and(|until| until < promoted), "{believes:?} {promoted:?}");
}

#[test]
fn one_that_fails_at_a_single_delivery_is_still_there() {
    let (broker, receiver) = (hasty_broker(), Receiver::start());
    let (mut alice, _) = alice_and_bob(&broker, &receiver, &["messages"]);
    alice.ask("pub ops poison", "ok pub ops 3");
    alice.expect("msg ops 3 alice poison");
    let pings = receiver.pings();
    // For several leases.
    while receiver.pings() < pings + 5 {
        receiver.expect("msg").answer("500 Internal Server Error", "", "");
    }
    alice.ask("rank", "ok rank ops 0 term=1 view=2 members=2");
    receiver.expect("msg").ok();
}

#[test]
fn who_wants_no_more_has_left() {
    let (broker, receiver) = (broker(), Receiver::start());
    let (mut alice, token) = alice_and_bob(&broker, &receiver, &[]);
    alice.ask("/go", "ok cmd ops 3 to=1");
    receiver.expect("cmd").answer("410 Gone", "", "");
    alice.expect_all(&["ack ops 3 bob 1 left ", "done ops 3 0/1"]);
    alice.expect("left ops 4 bob 1 reason=quit");
    let bob = broker.web().as_resident(&token);
    bob.post("/v1/channels/ops/members/bob/renew", "{}").problem(410, "gone");
}

/// A member that goes on over a connection has not left, and no `left` is delivered.
#[test]
fn who_goes_on_from_a_connection_is_not_told_that_it_has_left() {
    let (broker, receiver) = (broker(), Receiver::start());
    let (mut alice, token) = alice_and_bob(&broker, &receiver, &[]);
    let (session, secret) = token.split_at(32);
    let mut bob = broker.connect("bob");
    bob.send(&format!("hello --session {session} --secret {secret}"));
    bob.until("ok hello name=bob * resumed=yes *");
    let renew = "/v1/channels/ops/members/bob/renew";
    let gone = broker.web().as_resident(&token).ask("POST", renew, None);
    gone.expect(410, r#"{*"detail":"bob went on from a connection*"reason":"taken-over"*}"#);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(receiver.connections(), 0);
    alice.ask("/go", "ok cmd ops 3 to=1");
    bob.until("cmd ops 3 alice 0 1 go");
}

#[test]
fn who_is_removed_is_told_so() {
    let (broker, receiver) = (broker(), Receiver::start());
    let (mut alice, _) = alice_and_bob(&broker, &receiver, &[]);
    alice.ask("/go", "ok cmd ops 3 to=1");
    // The delivery that is under way is of no use any more.
    let under_way = receiver.expect("cmd");
    alice.ask("kick ops bob", "ok kick ops bob");
    let farewell = receiver.expect("left");
    let left = json!({"frame": "left", "channel": "ops", "member": "bob", "reason": "kicked"});
    assert_eq!(farewell.frame(), left);
    farewell.ok();
    drop(under_way);
}

/// Regression: the news came as an entry of the roster too, or as the channel's end,
/// and again when the member had gone.
#[test]
fn who_is_removed_is_told_so_once() {
    for (order, reason) in [("kick ops bob", "kicked"), ("drop ops", "dropped")] {
        let (broker, receiver) = (broker(), Receiver::start());
        let (mut alice, _) = alice_and_bob(&broker, &receiver, &["roster"]);
        alice.ask(order, "ok *");
        let farewell = receiver.expect("left");
        let left = json!({"frame": "left", "channel": "ops", "member": "bob", "reason": reason});
        assert_eq!(farewell.frame(), left);
        farewell.ok();
    }
}

#[test]
fn nobody_is_called_at_an_address_of_this_machine_by_default() {
    let (broker, receiver) = (Broker::start(), Receiver::start());
    let _alice = broker.member("alice", "ops");
    let port = receiver.addr.port();
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "0", "[::1]"] {
        let refused = try_join(&broker, &format!("http://{host}:{port}/"), &[]);
        refused.problem(403, "denied").expect(403, "*(--allow-callback * would allow it)*");
    }
    for url in ["ftp://example.org/", "http://a:b@example.org/", "nonsense", ""] {
        try_join(&broker, url, &[]).problem(400, "bad-request");
    }
    try_join(&broker, "http://8.8.8.8/", &["everything"]).problem(400, "bad-request");
    assert_eq!(receiver.connections(), 0);
    // None of them has become a member.
    broker.web().get("/v1/channels/ops/members").expect(200, r#"{"channel":"ops","count":1,*"#);
}

#[test]
fn a_redirect_is_judged_like_the_call_back_itself() {
    let (broker, receiver, inside) = (broker(), Receiver::start(), Receiver::on("127.0.0.2"));
    let (mut alice, _) = alice_and_bob(&broker, &receiver, &[]);
    alice.ask("cmd ops --timeout 1 go", "ok cmd ops 3 to=1");
    let inwards = format!("location: {}\r\n", inside.url());
    receiver.expect("cmd").answer("307 Temporary Redirect", &inwards, "");
    receiver.expect("cmd").answer("307 Temporary Redirect", "location: /other\r\n", "");
    let moved = receiver.expect("cmd");
    assert_eq!(moved.path, "/other");
    moved.ok();
    alice.expect("ack ops 3 bob 1 0 ");
    assert_eq!(inside.connections(), 0);
}

#[test]
fn call_backs_are_bounded_in_number() {
    let broker = Broker::with(|config| {
        allow_this_machine(config);
        config.max_callbacks = 1;
    });
    let _alice = broker.member("alice", "ops");
    let receiver = Receiver::start();
    let token = join(&broker, &receiver, &[]);
    let other = json!({"name": "carol", "callback": receiver.url()}).to_string();
    let (web, members) = (broker.web(), "/v1/channels/ops/members");
    web.post(members, &other).problem(409, "full");
    web.as_resident(&token).delete("/v1/channels/ops/members/bob").expect(204, "");
    receiver.expect("left").ok();
    eventually("its place is free again", || web.post(members, &other).status == 201);
}

#[test]
fn a_receiver_that_lets_things_lie_slows_nobody_and_is_told_of_a_gap() {
    let broker = Broker::with(|config| {
        allow_this_machine(config);
        config.log_bytes = 64 * 1024;
        config.stall = DEADLINE;
    });
    let receiver = Receiver::start();
    let (mut alice, _) = alice_and_bob(&broker, &receiver, &["messages"]);
    alice.ask("unsub ops", "ok unsub ops");
    alice.ask("pub ops first", "ok pub ops 4");
    let first = receiver.expect("rank");
    // Far more than the log holds and what is read ahead; no reply waits for bob.
    for seq in 5..=1_500 {
        alice.ask(&format!("pub ops {}", "x".repeat(1_000)), &format!("ok pub ops {seq}"));
    }
    first.ok();
    let (mut next, mut gaps) = (4, 0);
    while next <= 1_500 {
        let delivery = receiver.next();
        let frame = delivery.frame();
        let (from, to) = match delivery.header("broker-event") {
            "gap" => (frame["from"].as_u64().unwrap(), frame["to"].as_u64().unwrap()),
            _ => (frame["seq"].as_u64().unwrap(), frame["seq"].as_u64().unwrap()),
        };
        assert_eq!(from, next);
        gaps += u64::from(to > from);
        next = to + 1;
        delivery.ok();
    }
    assert!(gaps > 0, "all of it was kept");
}

#[test]
fn of_a_durable_channel_is_told_what_is_on_disk() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start());
    let broker = Broker::with(|config| {
        allow_this_machine(config);
        config.data = Some(folder.path().to_path_buf());
    });
    broker.client("carol").ask("create ops --durable", "ok create ops");
    let (mut alice, _) = alice_and_bob(&broker, &receiver, &["messages"]);
    alice.send("pub ops kept");
    alice.send("/go");
    receiver.expect("msg").ok();
    receiver.expect("cmd").answer("200 OK", "", r#"{"text":"gone"}"#);
    alice.expect_unordered(&[
        "ok pub ops 3",
        "msg ops 3 alice kept",
        "ok cmd ops 4 to=1",
        "ack ops 4 bob 1 0 gone",
        "done ops 4 1/1",
    ]);
}

#[test]
fn a_member_with_a_call_back_commands_too() {
    let (broker, receiver) = (broker(), Receiver::start());
    let bob = {
        broker.client("carol").ask("create ops", "ok create ops");
        broker.web().as_resident(&join(&broker, &receiver, &[]))
    };
    let mut alice = broker.member("alice", "ops");
    let order = std::thread::spawn(move || {
        bob.post("/v1/channels/ops/commands", r#"{"name":"go","args":[]}"#).expect(200, "*").json()
    });
    alice.expect("cmd ops 3 bob 0 1 go");
    alice.ask("ack ops 3 --code 5 no", "ok ack ops 3");
    let result = order.join().unwrap();
    assert_eq!(result["results"][0]["result"], 5, "{result}");
    alice.ask("quit", "bye quit");
    drop(receiver);
}
