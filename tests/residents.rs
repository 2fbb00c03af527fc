//! Members without a connection: in the roster as anyone, for as long as they
//! renew their lease.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::json;
use std::time::Duration;
use support::{Broker, Child, eventually, field};

/// A broker whose leases run out soon.
fn hasty() -> Broker {
    Broker::with(|config| {
        config.lease = Duration::from_millis(300);
        config.guard = Duration::from_millis(100);
    })
}

#[test]
fn a_resident_is_a_member_as_anyone() {
    let broker = Broker::start();
    let web = broker.web();
    let mut alice = broker.member("alice", "ops");
    let answer = web.post("/v1/channels/ops/members", r#"{"name":"bob"}"#).expect(
        201,
        r#"{"channel":"ops","member":"bob","rank":1,"term":2,"view":2,"seq":2,"members":2,"lease":8000,"token":"*"}"#,
    );
    assert_eq!(answer.header("location"), Some("/v1/channels/ops/members/bob"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let bob = web.as_resident(answer.json()["token"].as_str().unwrap());
    alice.expect("join ops 2 bob 1");
    alice.send("ranks");
    alice.expect_all(&[
        "member ops 0 alice *",
        "member ops 1 bob term=2 away=no *",
        "ok ranks ops 2 view=2",
    ]);
    alice.send("who ops");
    alice.expect_unordered(&[
        "client alice *",
        "client bob * dialect=http * channels=ops",
        "ok who 2",
    ]);
    web.get("/v1/channels/ops/members/bob").expect(
        200,
        r#"{"channel":"ops","member":"bob","rank":1,"term":2,"view":2,"members":2,"away":false}"#,
    );
    // What it publishes is its own.
    bob.post("/v1/channels/ops/messages", r#"{"data":"hi"}"#)
        .expect(201, r#"{"channel":"ops","seq":3}"#);
    alice.expect("msg ops 3 bob hi");
    // Its rank changes as anyone's.
    alice.ask("promote ops bob", "ok promote ops bob rank=0 view=4");
    alice.expect_unordered(&["move ops 4 bob 1 0", "rank ops 1 4 4"]);
    let renew = "/v1/channels/ops/members/bob/renew";
    bob.ask("POST", renew, None)
        .expect(200, r#"{*"rank":0,"term":4,"view":4,"members":2,*"lease":8000}"#);
    bob.post("/v1/channels/ops/messages", r#"{"data":"fenced","term":2}"#).problem(412, "fenced");
    bob.post("/v1/channels/ops/messages", r#"{"data":"first","term":4}"#).expect(201, "*");
    alice.expect("msg ops 5 bob first");
    bob.post("/v1/channels/ops/members/bob/yield", "{}")
        .expect(200, r#"{"channel":"ops","rank":1,"view":6}"#);
    alice.expect_unordered(&["move ops 6 bob 0 1", "rank ops 0 6 6"]);
    bob.delete("/v1/channels/ops/members/bob").expect(204, "");
    alice.expect("left ops 7 bob 1 reason=quit");
    bob.ask("POST", renew, None).problem(410, "gone").expect(410, r#"{*"reason":"quit"}"#);
    web.get("/v1/channels/ops/members/bob").problem(410, "gone");
    // The name is free, and the new one is somebody else.
    let (joined, _) = web.join("ops", "bob");
    assert_eq!(joined["rank"], 1);
    bob.ask("POST", renew, None).problem(410, "gone");
}

#[test]
fn only_the_token_speaks_for_a_resident() {
    let broker = Broker::start();
    let web = broker.web();
    let (_, alice) = web.join("ops", "alice");
    let (_, carol) = web.join("dev", "carol");
    let paths = [
        ("POST", "/v1/channels/ops/members/alice/renew"),
        ("POST", "/v1/channels/ops/members/alice/yield"),
        ("POST", "/v1/channels/ops/members/alice/kick"),
        ("POST", "/v1/channels/ops/members/alice/promote"),
        ("DELETE", "/v1/channels/ops/members/alice"),
        ("GET", "/v1/channels/ops/members/alice/commands"),
        ("POST", "/v1/channels/ops/commands"),
        ("GET", "/v1/channels/ops/commands/1"),
        ("POST", "/v1/channels/ops/commands/1/ack"),
        ("DELETE", "/v1/channels/ops"),
    ];
    let wrong = web.as_resident(&"0123456789abcdef".repeat(4));
    let half = web.as_resident("0123");
    for (method, path) in paths {
        for nobody in [&web, &wrong, &half, &web.with("Authorization", "Basic YTpi")] {
            let answer = nobody.ask(method, path, None).problem(401, "denied");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{method} {path}");
        }
        carol.ask(method, path, None).problem(403, "not-member");
    }
    wrong.post("/v1/channels/ops/messages", r#"{"data":1}"#).problem(401, "denied");
    let (_, bob) = web.join("ops", "bob");
    bob.ask("POST", "/v1/channels/ops/members/alice/renew", None).problem(403, "denied");
    bob.post("/v1/channels/ops/members/alice/kick", "{}").problem(403, "rank");
    bob.delete("/v1/channels/ops").problem(403, "rank");
    alice.ask("POST", "/v1/channels/nix/members/alice/renew", None).problem(404, "no-channel");
    alice
        .post("/v1/channels/ops/members/bob/promote", r#"{"rank":1}"#)
        .expect(200, r#"{*"rank":1,*}"#);
    alice.post("/v1/channels/ops/members/bob/kick", r#"{"reason":"late"}"#).expect(200, "*");
    bob.ask("POST", "/v1/channels/ops/members/bob/renew", None)
        .problem(410, "gone")
        .expect(410, r#"{*"reason":"kicked"}"#);
    alice.delete("/v1/channels/ops").expect(200, r#"{"channel":"ops"}"#);
    alice.ask("POST", "/v1/channels/dev/members/alice/renew", None).problem(410, "gone");
    web.get("/v1/channels/ops/members/alice").problem(404, "no-channel");
}

/// How it was removed is known afterwards, also if nobody asked meanwhile.
#[test]
fn who_was_removed_is_told_why() {
    let broker = Broker::start();
    let web = broker.web();
    let mut alice = broker.member("alice", "ops");
    for (does, reason) in [("kick ops bob", "kicked"), ("drop ops", "dropped")] {
        let (_, bob) = web.join("ops", "bob");
        alice.expect("join ops * bob 1");
        alice.ask(does, "ok *");
        alice.expect("left ops *");
        let told = format!("{{*\"reason\":\"{reason}\"}}");
        eventually("it is noticed", || {
            bob.ask("POST", "/v1/channels/ops/members/bob/renew", None).status == 410
        });
        eventually("the name is free", || {
            web.get("/v1/clients").json()["rows"]
                .as_array()
                .unwrap()
                .iter()
                .all(|row| row["name"] != "bob")
        });
        bob.ask("POST", "/v1/channels/ops/members/bob/renew", None)
            .problem(410, "gone")
            .expect(410, &told);
    }
}

/// "A member that stops renewing is gone after its lease", and not before.
#[test]
fn a_lease_runs_out() {
    let broker = hasty();
    let web = broker.web();
    let (joined, bob) = web.join("ops", "bob");
    assert_eq!(joined["lease"], 300);
    let mut alice = broker.member("alice", "ops");
    // For several leases on end.
    for _ in 0..12 {
        bob.ask("POST", "/v1/channels/ops/members/bob/renew", None).expect(200, r#"{*"rank":0,*}"#);
        std::thread::sleep(Duration::from_millis(100));
    }
    alice.expect_nothing();
    alice.expect_unordered(&["rank ops 0 3 3", "left ops 3 bob 0 reason=timeout"]);
    bob.ask("POST", "/v1/channels/ops/members/bob/renew", None)
        .problem(410, "gone")
        .expect(410, r#"{*"reason":"timeout"}"#);
    alice.send("clients --history --last 1000");
    let past = alice.until("ok clients *");
    assert!(
        past.iter().any(|row| support::matches("client bob * reason=timeout", row)),
        "{past:?}"
    );
}

/// A command that waits for its answers is no sign of life.
#[test]
fn who_only_waits_loses_its_seat() {
    let broker = hasty();
    let web = broker.web();
    let (_, bob) = web.join("ops", "bob");
    let mut alice = broker.member("alice", "ops");
    let answer = bob.post("/v1/channels/ops/commands", r#"{"name":"go"}"#).problem(410, "gone");
    answer.expect(410, r#"{*"reason":"timeout"}"#);
    alice.expect_all(&[
        "cmd ops 3 bob 0 1 go",
        "rank ops 0 4 4",
        "left ops 4 bob 0 reason=timeout",
    ]);
}

/// A channel that holds seats holds a resident's, too: it is back in it when it
/// renews in time.
#[test]
fn a_held_seat_is_there_again() {
    let broker = hasty();
    let web = broker.web();
    web.post("/v1/channels", r#"{"channel":"ops","hold":60}"#).expect(201, "*");
    let (_, bob) = web.join("ops", "bob");
    let mut alice = broker.member("alice", "ops");
    let shown = "/v1/channels/ops/members/bob";
    eventually("bob is away", || web.get(shown).expect(200, "*").json()["away"] == json!(true));
    alice.send("ranks");
    alice.expect_all(&["member ops 0 bob term=1 away=yes *", "member ops 1 alice *", "ok ranks *"]);
    bob.ask("POST", &format!("{shown}/renew"), None)
        .expect(200, r#"{*"rank":0,"term":1,*"away":false,*}"#);
    alice.expect_nothing();
    // And it may be lost again.
    eventually("bob is away", || web.get(shown).expect(200, "*").json()["away"] == json!(true));
}

/// "It lasts as long as its lease is renewed: by `renew`, or by whatever else is
/// asked with the token."
#[test]
fn whatever_is_asked_renews_the_lease() {
    let broker = hasty();
    let web = broker.web();
    web.post("/v1/channels", r#"{"channel":"ops","hold":60}"#).expect(201, "*");
    let (_, bob) = web.join("ops", "bob");
    let shown = "/v1/channels/ops/members/bob";
    let is_away = || web.get(shown).expect(200, "*").json()["away"] == json!(true);
    let channel = "/v1/channels/ops";
    let (members, messages) = (format!("{channel}/members"), format!("{channel}/messages"));
    let check = format!("{channel}/check?term=1");
    for path in [shown, channel, &members, &messages, &check, "/v1/version", "/v1/clients"] {
        eventually("bob is away", is_away);
        bob.get(path);
        assert!(!is_away(), "{path}");
    }
    // Only a request with the token renews it.
    eventually("bob is away", is_away);
    web.as_resident("f81d4fae7dec11d0a76500a0c91e6bf6").get("/v1/version").expect(200, "*");
    web.get(shown).expect(200, r#"{*"away":true*}"#);
}

#[test]
fn a_hold_ends() {
    let broker = hasty();
    let web = broker.web();
    web.post("/v1/channels", r#"{"channel":"ops","hold":0.2,"on_close":"safe"}"#).expect(201, "*");
    let (_, bob) = web.join("ops", "bob");
    let mut alice = broker.member("alice", "ops");
    alice.expect_unordered(&["rank ops 0 3 3", "left ops 3 bob 0 reason=timeout"]);
    eventually("bob is gone", || {
        bob.ask("POST", "/v1/channels/ops/members/bob/renew", None).status == 410
    });
    let (joined, _) = web.join("ops", "bob");
    assert_eq!(joined["rank"], 1);
}

/// Promise 2: publishers never wait for a resident, however far it lags, and it
/// costs no memory beyond its cursor.
#[test]
fn a_resident_slows_nobody() {
    let broker = Broker::with(|config| {
        config.log_bytes = 64 * 1024;
        // A publisher that waited for it would wait for ever.
        config.stall = Duration::from_secs(600);
    });
    let web = broker.web();
    let mut alice = broker.member("alice", "ops");
    let (_, bob) = web.join("ops", "bob");
    alice.expect("join ops 2 bob 1");
    // More commands than an inbox holds, so that it does not read on.
    for _ in 0..1_100 {
        alice.ask("cmd ops --timeout 600 go", "ok cmd ops * to=1");
    }
    let long = "x".repeat(1_000);
    for _ in 0..500 {
        alice.ask(&format!("pub ops {long}"), "ok pub ops *");
        alice.expect("msg ops * alice x*");
    }
    let due = bob.get("/v1/channels/ops/members/bob/commands").expect(200, "*").json();
    // It reads by the chunk, and a chunk may hold the last one and the next.
    let count = due["count"].as_u64().unwrap();
    assert!((1_000..1_010).contains(&count), "{count} of 1,100 commands were read");
}

#[test]
fn residents_have_a_number() {
    let broker = Broker::with(|config| config.max_residents = 2);
    let web = broker.web();
    let (_, alice) = web.join("ops", "alice");
    web.join("ops", "bob");
    web.post("/v1/channels/ops/members", r#"{"name":"carol"}"#).problem(409, "full");
    alice.delete("/v1/channels/ops/members/alice").expect(204, "");
    web.join("ops", "carol");
}

#[test]
fn who_cannot_come_in_leaves_nothing_behind() {
    let broker = Broker::start();
    let web = broker.web();
    let _alice = broker.member("alice", "ops");
    web.post("/v1/channels/nix/members", r#"{"name":"bob"}"#).problem(404, "no-channel");
    web.post("/v1/channels/ops/members", r#"{"name":"alice"}"#).problem(409, "name-taken");
    web.post("/v1/channels/ops/members", r#"{"name":"a b"}"#).problem(400, "bad-request");
    web.post("/v1/channels/ops/members", r#"{"nix":1}"#).problem(400, "bad-request");
    web.post("/v1/channels/ops/members", r#"{"name":1}"#).problem(400, "bad-request");
    web.get("/v1/clients").expect(200, r#"{"count":2,"rows":[*"alice"*]}"#);
    // Without a name it is a guest.
    web.post("/v1/channels/ops/members", "").expect(201, r#"{*"member":"guest-*","rank":1,*}"#);
}

/// `If-Match`: done only in the view that its sender knows.
#[test]
fn an_order_for_one_view_only() {
    let broker = Broker::start();
    let web = broker.web();
    let (_, alice) = web.join("ops", "alice");
    let (_, bob) = web.join("ops", "bob");
    let tag = |path: &str| web.get(path).header("etag").unwrap().to_owned();
    let old = tag("/v1/channels/ops/members");
    web.join("ops", "carol");
    let promote = "/v1/channels/ops/members/carol/promote";
    let kick = "/v1/channels/ops/members/bob/kick";
    for stale in [old.as_str(), "\"2\"", "\"0-0\"", "W/\"3\""] {
        let late = alice.with("If-Match", stale);
        late.post(promote, "{}").problem(412, "fenced");
        late.post(kick, "{}").problem(412, "fenced");
        late.delete("/v1/channels/ops").problem(412, "fenced");
        late.post("/v1/channels/ops/members/alice/yield", "").problem(412, "fenced");
    }
    for wrong in ["3", "", "\"x\"", "\"-3\""] {
        alice.with("If-Match", wrong).post(kick, "{}").problem(400, "bad-request");
    }
    // Of the member or of the channel, it is the same view.
    for path in ["/v1/channels/ops", "/v1/channels/ops/members/bob", "/v1/channels/ops/members"] {
        assert!(tag(path).starts_with("\"3-"), "{}", tag(path));
    }
    alice
        .with("If-Match", &tag("/v1/channels/ops/members/bob"))
        .post(promote, "{}")
        .expect(200, "*");
    alice.with("If-Match", "*").post("/v1/channels/ops/members/alice/yield", "").expect(200, "*");
    bob.with("If-Match", "\"4\"").delete("/v1/channels/ops").problem(403, "rank");
}

/// A list is for any of its views; the weak ones in it, and what is none of ours,
/// are never meant.
#[test]
fn an_order_for_one_of_several_views() {
    let broker = Broker::start();
    let web = broker.web();
    let (_, alice) = web.join("ops", "alice");
    web.join("ops", "bob");
    web.join("ops", "carol");
    let promote = "/v1/channels/ops/members/carol/promote";
    let stale = ["\"1-0\", \"2-0\"", "\"2\",W/\"3\"", "W/\"3\", W/\"2\"", "\"x\", \"2\""];
    for stale in stale {
        alice.with("If-Match", stale).post(promote, "{}").problem(412, "fenced");
    }
    for wrong in ["3, 2", "\"x\", \"y\"", ","] {
        alice.with("If-Match", wrong).post(promote, "{}").problem(400, "bad-request");
    }
    alice
        .with("If-Match", "\"2-0\", \"x\",\"3-0\"")
        .post(promote, r#"{"rank":1}"#)
        .expect(200, "*");
}

/// A resident's requests, as all others, are refused if they have an unknown field.
#[test]
fn what_a_resident_cannot_say_is_refused() {
    let broker = Broker::start();
    let web = broker.web();
    let (_, alice) = web.join("ops", "alice");
    let own = "/v1/channels/ops/members/alice";
    for path in ["/renew", "/yield"] {
        for body in [r#"{"lease":60}"#, "[]", r#"{"op":"renew"}"#, r#"{"member":"alice"}"#] {
            alice.post(&format!("{own}{path}"), body).problem(400, "bad-request");
        }
        alice.post(&format!("{own}{path}?x=1"), "").problem(400, "bad-request");
        alice.post(&format!("{own}{path}"), "{}").expect(200, "*");
    }
    alice.get(&format!("{own}?x=1")).problem(400, "bad-request");
    alice.get("/v1/channels/ops/commands/1?x=1").problem(400, "bad-request");
    alice.delete(&format!("{own}?x=1")).problem(400, "bad-request");
    alice.delete(own).expect(204, "");
}

/// "One commander … across a restart": a resident keeps its seat as anyone does,
/// and its token speaks for it.
#[test]
fn a_resident_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let settings = ["--data", data, "--restart-grace", "1m"];
    let mut broker = Broker::from_child(Child::with(&settings));
    let web = broker.web();
    web.post("/v1/channels", r#"{"channel":"ops","durable":true}"#).expect(201, "*");
    let (_, alice) = web.join("ops", "alice");
    let (_, bob) = web.join("ops", "bob");
    bob.post("/v1/channels/ops/messages", r#"{"data":1,"key":"k"}"#).expect(201, r#"{*"seq":3}"#);
    // Its answer waits for the disk, and so for all that was noted before.
    web.post("/v1/channels", r#"{"channel":"settled"}"#).expect(201, "*");
    broker.child().kill();
    let mut broker = Broker::from_child(Child::with(&settings));
    let (alice, bob) = (alice.at(broker.addr), bob.at(broker.addr));
    let renew = "/v1/channels/ops/members/bob/renew";
    let back = bob.ask("POST", renew, None).expect(200, r#"{*"rank":1,"term":2,*"away":false,*}"#);
    assert_eq!(back.json()["view"], 2);
    alice
        .post("/v1/channels/ops/commands", r#"{"name":"go","timeout":0.1}"#)
        .expect(200, r#"{*"to":1,"ok":0,"results":[{"member":"bob",*"timeout"*}]}"#);
    // After a stop in order, too.
    broker.child().signal("TERM");
    assert!(broker.child().ended().success());
    let broker = Broker::from_child(Child::with(&settings));
    let bob = bob.at(broker.addr);
    bob.ask("POST", renew, None).expect(200, r#"{*"rank":1,"term":2,*"away":false,*}"#);
    // Somebody else's token, or half of one, brings nobody back.
    let nobody = broker.web().as_resident(&"0".repeat(64));
    nobody.ask("POST", renew, None).problem(401, "denied");
}

/// A request with it as a token brings nobody back, and nobody sees the attempt.
#[test]
fn a_session_with_two_seats_is_no_token() {
    let broker = Broker::start();
    let mut alice = broker.connect("alice");
    let hello = alice.ask("hello --name alice", "ok hello *");
    alice.ask("sub ops --create", "ok sub ops *");
    alice.ask("sub dev --create", "ok sub dev *");
    alice.close();
    let web = broker.web();
    for channel in ["ops", "dev"] {
        let members = format!("/v1/channels/{channel}/members");
        eventually("she has gone", || web.get(&members).json()["count"] == 0);
    }
    let token = field(&hello, "session").replace('-', "") + &field(&hello, "secret");
    let renew = "/v1/channels/ops/members/alice/renew";
    web.as_resident(&token).ask("POST", renew, None).problem(401, "denied");
    broker.client("bob").ask("sub ops", "ok sub ops rank=0 term=3 view=3 seq=3 *");
}

/// "The token ends with that", for good: not until the next restart.
#[test]
fn a_token_that_has_ended_is_none_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let settings = ["--data", data, "--restart-grace", "1m"];
    let mut broker = Broker::from_child(Child::with(&settings));
    let web = broker.web();
    let (answer, hal) = web.join("ops", "hal");
    let token = answer["token"].as_str().unwrap();
    let hello = format!("hello --session {} --secret {}", &token[..32], &token[32..]);
    broker.connect("hal").ask(&hello, "ok hello name=hal * resumed=yes *");
    let renew = "/v1/channels/ops/members/hal/renew";
    // Twice: also after the store has noted that hal came back by a connection.
    for _ in 0..2 {
        broker.child().kill();
        broker = Broker::from_child(Child::with(&settings));
        hal.at(broker.addr).ask("POST", renew, None).problem(401, "denied");
        let mut hal = broker.connect("hal");
        hal.ask(&hello, "ok hello name=hal * resumed=yes * rank=0");
    }
}

/// Not even that of a client that has had a connection all along, and has lost it.
#[test]
fn a_session_is_no_token() {
    let broker = Broker::start();
    let mut alice = broker.connect("alice");
    let hello = alice.ask("hello --name alice", "ok hello *");
    alice.ask("sub ops --create", "ok sub ops *");
    alice.close();
    let web = broker.web();
    eventually("she has gone", || web.get("/v1/channels/ops/members").json()["count"] == 0);
    let token = field(&hello, "session").replace('-', "") + &field(&hello, "secret");
    let renew = "/v1/channels/ops/members/alice/renew";
    web.as_resident(&token).ask("POST", renew, None).problem(401, "denied");
    broker.client("bob").ask("sub ops", "ok sub ops rank=0 term=3 view=3 seq=3 *");
}
