//! Jobs by HTTP.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Read;

use serde_json::{Value, json};
use support::{Broker, Child, Receiver, Site, Web, eventually};

/// Asks for a job. Returns its location, and a client that has its token.
fn begin(web: &Web, body: &str) -> (String, Web) {
    let answer = web.post("/v1/jobs", body).expect(202, "{\"job\":*,\"token\":\"*\"}");
    let location = answer.header("location").unwrap().to_owned();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    (location, web.as_resident(answer.json()["token"].as_str().unwrap()))
}

/// Polls the job until it has this state. Returns what it then is.
fn until(web: &Web, location: &str, state: &str) -> Value {
    let mut last = Value::Null;
    eventually(&format!("the job is {state}"), || {
        last = web.get(location).expect(200, "{\"job\":*}").json();
        last["state"] == state
    });
    last
}

#[test]
fn a_job_is_asked_for_looked_at_and_ended() {
    let silent = Site::start(|_, stream| drop(stream.read_to_end(&mut Vec::new())));
    let broker = Broker::from_child(Child::with(&["--allow-url", "127.0.0.1"]));
    let web = broker.web();
    // The connection that asked is gone by the time the job is done.
    let (location, owner) = begin(&web, r#"{"job":"fib","n":100}"#);
    assert_eq!(location, "/v1/jobs/1");
    let done = until(&owner, &location, "done");
    assert_eq!((&done["text"], &done["verb"]), (&"354224848179261915075".into(), &"fib".into()));
    owner.delete(&location).problem(410, "gone");

    let body = format!(r#"{{"job":"url","url":"{}"}}"#, silent.url("/"));
    let (location, other) = begin(&web, &body);
    until(&other, &location, "running");
    let needs = web.get(&location).problem(401, "denied");
    assert!(needs.body.contains("this needs the token of the job"), "{needs:?}");
    let wrong = owner.get(&location).problem(401, "denied");
    assert!(wrong.body.contains("this is not the token of this job"), "{wrong:?}");
    assert_eq!(wrong.header("www-authenticate"), Some("Bearer"));
    owner.get("/v1/jobs/99").problem(410, "gone");
    owner.delete(&location).problem(401, "denied");
    let tag = other.get(&location).header("etag").expect("a tag").to_owned();
    other.with("If-None-Match", &tag).get(&location).expect(304, "");
    other.delete(&location).expect(204, "");
    // It ends at once, whatever its worker is at.
    let ended = other.with("If-None-Match", &tag).get(&location).expect(200, "*").json();
    assert_eq!(ended["state"], "cancelled");
    other.delete(&location).problem(410, "gone");

    let (location, owner) = begin(&web, r#"{"job":"numbers","count":"12","batch":5}"#);
    let done = until(&owner, &location, "done");
    assert!(done["text"].as_str().unwrap().starts_with("checksum="), "{done}");
    web.get("/v1/jobs").expect(200, r#"{"count":0,"rows":[]}"#);
    web.get("/v1/jobs/99").problem(410, "gone");
    web.get("/v1/jobs/x").problem(400, "bad-request");
    let (location, owner) = {
        let answer = web.ask("POST", "/v1/jobs?job=fib&n=10", None).expect(202, "{*}");
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        let location = answer.header("location").unwrap().to_owned();
        let basic = web.with("Authorization", &format!("Basic {token}"));
        let wrong = basic.get(&location).problem(401, "denied");
        assert!(wrong.body.contains("Authorization must be Bearer"), "{wrong:?}");
        (location, web.as_resident(&token))
    };
    assert_eq!(until(&owner, &location, "done")["text"], "55");
}

#[test]
fn a_result_goes_to_a_member_of_any_dialect() {
    let broker = Broker::from_child(Child::start());
    let mut bob = broker.client("bob");
    let (location, owner) = begin(&broker.web(), r#"{"job":"fib","n":"10","to":"bob"}"#);
    bob.expect("job 1 done 55");
    until(&owner, &location, "done");
}

/// A job that a resident asks for is the resident's, and ends with it.
#[test]
fn residents_have_jobs_of_their_own() {
    let silent = Site::start(|_, stream| drop(stream.read_to_end(&mut Vec::new())));
    let broker = Broker::from_child(Child::with(&["--allow-url", "127.0.0.1", "--workers", "1"]));
    let web = broker.web();
    let (_, alice) = web.join("ops", "alice");
    let (_, carol) = web.join("ops", "carol");
    alice.post("/v1/jobs", r#"{"job":"fib","n":10}"#).expect(202, r#"{"job":1}"#);
    assert_eq!(until(&alice, "/v1/jobs/1", "done")["text"], "55");
    carol.get("/v1/jobs/1").problem(403, "denied");
    let body = format!(r#"{{"job":"url","url":"{}"}}"#, silent.url("/"));
    alice.post("/v1/jobs", &body).expect(202, r#"{"job":2}"#);
    until(&alice, "/v1/jobs/2", "running");
    alice.delete("/v1/channels/ops/members/alice").expect(204, "");
    // The one worker is free again.
    carol.post("/v1/jobs", r#"{"job":"fib","n":10}"#).expect(202, r#"{"job":3}"#);
    until(&carol, "/v1/jobs/3", "done");
}

#[test]
fn what_is_no_job_is_a_problem() {
    let broker = Broker::from_child(Child::start());
    let web = broker.web();
    for body in [
        "{}",
        r#"{"job":"fly"}"#,
        r#"{"job":"fib"}"#,
        r#"{"job":"fib","n":-1}"#,
        r#"{"job":"fib","n":1,"m":2}"#,
        r#"{"job":"numbers","count":1,"to":"bob"}"#,
        r#"{"job":"url","url":"file:///etc/passwd"}"#,
        r#"{"job":7}"#,
        "[]",
    ] {
        web.post("/v1/jobs", body).problem(400, "bad-request");
    }
    web.post("/v1/jobs", r#"{"job":"fib","n":1,"to":"bob"}"#).problem(404, "no-member");
    let embedded = Broker::start();
    embedded.web().post("/v1/jobs", r#"{"job":"fib","n":1}"#).problem(503, "unavailable");
}

/// Regression: the result was told as `delivered`, and went nowhere.
#[test]
fn the_result_for_a_member_without_a_connection_is_called_for_or_refused() {
    let broker = Broker::from_child(Child::with(&["--allow-callback", "127.0.0.1/32"]));
    let receiver = Receiver::start();
    let mut alice = broker.client("alice");
    alice.ask("create ops", "ok create ops");
    broker.web().join("ops", "silent");
    let refused = "err denied silent has no connection and no callback: *";
    alice.ask("fib --to silent 10", refused);
    alice.ask("tell silent hello", refused);
    let bob = json!({"name": "bob", "callback": receiver.url()});
    broker.web().post("/v1/channels/ops/members", &bob.to_string()).expect(201, "{*}");
    alice.ask("fib --to bob 10", "ok job 1");
    alice.until("job 1 done delivered");
    let delivery = receiver.expect("job");
    let frame = json!({"frame": "job", "job": 1, "state": "done", "text": "55", "from": "alice"});
    assert_eq!(delivery.frame(), frame);
    delivery.ok();
}
