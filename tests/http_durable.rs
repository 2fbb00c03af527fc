//! Promise 4 by HTTP: a disk that fails is a 503 in the protocol's words, and
//! nothing that was acknowledged is lost.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{Answer, Broker, Web, eventually, inject, with_failures};

const MESSAGES: &str = "/v1/channels/log/messages";

/// Publishes this text; with a key, if there is one.
fn publish(web: &Web, text: &str, key: &str) -> Answer {
    let keyed = web.with("Idempotency-Key", key);
    let web = if key.is_empty() { web } else { &keyed };
    web.ask("POST", MESSAGES, Some(("text/plain", text.as_bytes())))
}

/// The messages that are kept.
fn kept(web: &Web) -> Vec<String> {
    let history = web.get(MESSAGES).expect(200, "*").json();
    let rows = history["rows"].as_array().unwrap().iter().filter(|row| row["frame"] == "msg");
    rows.map(|row| format!("{} {}", row["seq"], row["data"].as_str().unwrap())).collect()
}

/// A broker on a disk that fails when it is told to, with a durable channel that
/// has one message, and an observer who has seen that.
fn started(dir: &std::path::Path) -> Option<(Broker, String)> {
    let (broker, control) = with_failures(dir, &[])?;
    let web = broker.web();
    web.post("/v1/channels", r#"{"channel":"log","durable":true}"#).expect(201, "*");
    publish(&web, "one", "").expect(201, r#"{"channel":"log","seq":1}"#);
    Some((broker, control))
}

#[test]
fn a_write_that_fails_is_503_and_works_again_when_the_disk_does() {
    let dir = tempfile::tempdir().unwrap();
    let Some((mut broker, control)) = started(dir.path()) else { return };
    let (web, pid) = (broker.web(), broker.child().id());
    let (_, bob) = web.join("log", "bob");
    // The broker's sockets use send and writev; only files are written so.
    inject(&control, "enable name=posix/io/rw/write,failinfo=28", pid);
    for (web, key) in [(&web, "k"), (&bob, "")] {
        let failed = publish(web, "two", key).problem(503, "unavailable");
        assert_eq!(failed.header("content-type"), Some("application/problem+json"));
    }
    // Of many each is answered by itself.
    let lines = Some(("application/x-ndjson", &b"{\"data\":\"a\"}\n{\"data\":\"b\"}\n"[..]));
    web.ask("POST", MESSAGES, lines).expect(
        200,
        r#"{"channel":"log","count":2,"failed":2,"rows":[{"ok":false,"error":{"code":"unavailable",*},{"ok":false,"error":{"code":"unavailable",*}]}"#,
    );
    // A repeat of the key is told nothing better.
    publish(&web, "two", "k").problem(503, "unavailable");
    inject(&control, "disable name=posix/io/rw/write", pid);
    eventually("it works again", || publish(&web, "two", "k").status == 201);
    let seq = publish(&bob, "three", "").expect(201, "*").json()["seq"].as_u64().unwrap();
    let before = kept(&web);
    assert_eq!(before.iter().filter(|row| row.ends_with(" two")).count(), 1, "{before:?}");
    assert_eq!(before.last(), Some(&format!("{seq} three")));
    broker.child().kill();
    let after = Broker::keeping(&dir.path().join("data"), &[]);
    assert_eq!(kept(&after.web()), before);
}

/// What the disk did not confirm may be there or not, and only reading it again can
/// tell: nothing is acknowledged until then.
#[test]
fn after_a_failed_fsync_it_is_503_until_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let Some((mut broker, control)) = started(dir.path()) else { return };
    let (web, pid) = (broker.web(), broker.child().id());
    web.post("/v1/channels", r#"{"channel":"plain"}"#).expect(201, "*");
    inject(&control, "enable name=posix/io/sync/*", pid);
    publish(&web, "lost?", "k").problem(503, "unavailable");
    inject(&control, "disable name=posix/io/sync/*", pid);
    // A repeat of the key is told nothing better.
    publish(&web, "lost?", "k").problem(503, "unavailable");
    for key in ["", "l"] {
        let refused = publish(&web, "refused", key).problem(503, "unavailable");
        refused.expect(503, "*restart*");
    }
    web.post("/v1/channels/log/members", r#"{"name":"bob"}"#).problem(503, "unavailable");
    // What the answer would say is not known to be on disk, either.
    web.get("/v1/channels/log").problem(503, "unavailable");
    // Whatever needs no disk goes on.
    let plain = "/v1/channels/plain/messages";
    web.post(plain, r#"{"data":"works on"}"#).expect(201, r#"{"channel":"plain","seq":1}"#);
    broker.child().kill();
    let after = Broker::keeping(&dir.path().join("data"), &[]);
    let web = after.web();
    let rows = kept(&web);
    assert_eq!(rows[0], "1 one");
    assert!(rows.len() == 1 || rows[1..] == ["2 lost?"], "{rows:?}");
    publish(&web, "more", "").expect(201, &format!("{{*\"seq\":{}}}", rows.len() + 1));
}
