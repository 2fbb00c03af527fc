//! HTTP beside the other dialects: what it says and does to channels is what
//! they see, with the same names and codes.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use std::io::Write;
use support::{Answer, Broker, Web, eventually, matches};

const NDJSON: &str = "application/x-ndjson";

#[test]
fn what_http_publishes_everybody_gets() {
    let broker = Broker::start();
    let web = broker.web();
    web.post("/v1/channels", r#"{"channel":"news","history":9}"#)
        .expect(201, r#"{"channel":"news"}"#);
    let mut alice = broker.member("alice", "news");
    let messages = "/v1/channels/news/messages";
    web.post(messages, r#"{"data":{"a": 1.50}}"#).expect(201, r#"{"channel":"news","seq":2}"#);
    web.ask("POST", messages, Some(("text/plain; charset=utf-8", "grün\nund\tso".as_bytes())))
        .expect(201, r#"{"channel":"news","seq":3}"#);
    web.post(messages, r#"{"data":"ta\u0000da"}"#).expect(201, r#"{"channel":"news","seq":4}"#);
    alice.expect_all(&[
        r#"msg news 2 guest-* {"a": 1.50}"#,
        r"msg news 3 guest-* grün\nund\tso",
        r"msg news 4 guest-* ta\x00da",
    ]);
    alice.ask("pub news hi \"you\"", "ok pub news 5");
    let rows = web.get("/v1/channels/news/messages").expect(
        200,
        r#"{"channel":"news","count":5,"rows":[{"frame":"join",*"data":{"a": 1.50}}*{*"data":"hi you"}]}"#,
    );
    let mut page = broker.connect("page");
    page.send(r#"{"op":"history","channel":"news"}"#);
    let history: Value = serde_json::from_str(&page.line().unwrap()).unwrap();
    assert_eq!(rows.json()["rows"], history["rows"], "as in the JSON dialect");
}

#[test]
fn history_goes_on_where_an_answer_had_no_room() {
    let broker = Broker::start();
    let web = broker.web();
    web.post("/v1/channels", r#"{"channel":"big","history":100}"#).expect(201, "*");
    let long = "x".repeat(60_000);
    for _ in 0..40 {
        web.post("/v1/channels/big/messages", &format!("{{\"data\":\"{long}\"}}")).expect(201, "*");
    }
    let (mut from, mut seqs) = (1, Vec::new());
    loop {
        let part = web.get(&format!("/v1/channels/big/messages?from={from}")).json();
        let rows = part["rows"].as_array().unwrap();
        seqs.extend(rows.iter().map(|row| row["seq"].as_u64().unwrap()));
        let Some(next) = part["next"].as_u64() else { break };
        assert!(rows.len() < 40, "an answer has its limit");
        from = next;
    }
    assert_eq!(seqs, (1..=40).collect::<Vec<u64>>());
    let last = web.get("/v1/channels/big/messages?last=2").json();
    assert_eq!((last["count"].as_u64(), last["rows"][0]["seq"].as_u64()), (Some(2), Some(39)));
}

/// Each line is a message of its own, and all are answered.
#[test]
fn many_messages_in_one_request() {
    let broker = Broker::start();
    let web = broker.web();
    let (_, alice) = web.join("ops", "alice");
    let mut bob = broker.member("bob", "ops");
    let lines = "{\"data\":1}\r\n{\"data\":2,\"term\":1}\n\n{\"data\":3,\"term\":9}\nno\n\
                 {\"data\":\"a\",\"key\":\"k\"}\n{\"data\":\"a\",\"key\":\"k\"}\n{\"nix\":1,\"data\":1}\n{\"data\":\"end\"}";
    let answer = alice.ask("POST", "/v1/channels/ops/messages", Some((NDJSON, lines.as_bytes())));
    let rows = answer.expect(200, r#"{"channel":"ops","count":8,"failed":3,"rows":[*]}"#).json();
    let seqs: Vec<Value> =
        rows["rows"].as_array().unwrap().iter().map(|r| r["seq"].clone()).collect();
    assert_eq!(json!(seqs), json!([3, 4, null, null, 5, 5, null, 6]));
    let codes = |at: usize| rows["rows"][at]["error"]["code"].as_str();
    assert_eq!(
        (codes(2), codes(3), codes(6)),
        (Some("fenced"), Some("bad-request"), Some("bad-request"))
    );
    bob.expect_all(&[
        "msg ops 3 alice 1",
        "msg ops 4 alice 2",
        "msg ops 5 alice a",
        "msg ops 6 alice end",
    ]);
    let missing = web.ask("POST", "/v1/channels/nix/messages", Some((NDJSON, b"{\"data\":1}\n")));
    missing.expect(200, r#"{*"failed":1,*"code":"no-channel"*}"#);
}

/// A repeat of the same key is not appended again, even on another connection, and for
/// a client without a name.
#[test]
fn a_key_is_used_once() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    let web = broker.web();
    let path = "/v1/channels/ops/messages";
    for _ in 0..3 {
        web.post(path, r#"{"data":1,"key":"k"}"#).expect(201, r#"{"channel":"ops","seq":2}"#);
        web.with("Idempotency-Key", "k")
            .ask("POST", path, Some(("text/plain", b"1")))
            .expect(201, r#"{"channel":"ops","seq":2}"#);
    }
    // A resident's keys are its own.
    let (_, bob) = web.join("ops", "bob");
    for _ in 0..2 {
        bob.post(path, r#"{"data":2,"key":"k"}"#).expect(201, r#"{"channel":"ops","seq":4}"#);
    }
    alice.expect_all(&["msg ops 2 guest-* 1", "join ops 3 bob 1", "msg ops 4 bob 2"]);
    alice.expect_nothing();
    web.with("Idempotency-Key", "k")
        .post(path, r#"{"data":1,"key":"k"}"#)
        .problem(400, "bad-request");
    web.with("Idempotency-Key", "").post(path, r#"{"data":1}"#).problem(400, "bad-request");
    web.with("Idempotency-Key", &"k".repeat(129))
        .post(path, r#"{"data":1}"#)
        .problem(413, "too-long");
    let lines = Some((NDJSON, &b"{\"data\":1}"[..]));
    web.with("Idempotency-Key", "k").ask("POST", path, lines).problem(400, "bad-request");
    // A channel of the same name that was made anew is another one.
    alice.ask("drop ops", "ok drop ops");
    let _dave = broker.member("dave", "ops");
    web.post(path, r#"{"data":1,"key":"k"}"#).expect(201, r#"{"channel":"ops","seq":2}"#);
}

#[test]
fn every_code_has_its_status() {
    let broker = Broker::with(|config| config.max_channels = 2);
    let web = broker.web();
    let mut alice = broker.member("alice", "ops");
    web.get("/v1/channels/nix").problem(404, "no-channel");
    web.post("/v1/channels", r#"{"channel":"ops"}"#).problem(409, "exists");
    web.post("/v1/channels", r#"{"channel":"-"}"#).problem(400, "bad-request");
    web.post("/v1/channels", &format!("{{\"channel\":\"{}\"}}", "a".repeat(129)))
        .problem(413, "too-long");
    web.post("/v1/channels", r#"{"channel":"a"}"#).expect(201, "*");
    web.post("/v1/channels", r#"{"channel":"b"}"#).problem(409, "full");
    web.post("/v1/channels/ops/messages", r#"{"data":1,"term":9}"#).problem(412, "fenced");
    web.post("/v1/channels/ops/members", r#"{"name":"alice"}"#).problem(409, "name-taken");
    web.get("/v1/channels/ops/members/bob").problem(404, "no-member");
    web.get("/v1/channels/ops/digest?from=9&to=9").problem(400, "bad-request");
    web.get("/v1/channels/ops/digest?from=1&to=1").problem(410, "gone");
    web.get("/v1/nix").problem(404, "unknown-command");
    for body in [
        "",
        "[]",
        "{",
        r#"{"data":1,"data":2}"#,
        r#"{"channel":"ops","data":1}"#,
        r#"{"op":"pub","data":1}"#,
        r#"{"data":1,"id":1}"#,
        r#"{"data":1,"nix":1}"#,
        "{}",
    ] {
        web.post("/v1/channels/ops/messages", body).problem(400, "bad-request");
    }
    for query in ["from=x", "from=1&last=1", "last=-1", "nix=1", "from=1&from=1", "channel=ops"] {
        web.get(&format!("/v1/channels/ops/messages?{query}")).problem(400, "bad-request");
    }
    // The query is at fault, and not a body.
    let twice = web.get("/v1/channels/ops/messages?last=1&last=1").problem(400, "bad-request");
    assert_eq!(twice.json()["detail"], "the field \"last\" is there twice");
    for kind in ["application/x-www-form-urlencoded", "text/html", "multipart/form-data"] {
        let body = Some((kind, &b"{\"data\":1}"[..]));
        web.ask("POST", "/v1/channels/ops/messages", body).problem(415, "bad-request");
        web.ask("POST", "/v1/channels", body).problem(415, "bad-request");
    }
    let nobody = Some(("text/plain", &b"\xff"[..]));
    web.ask("POST", "/v1/channels/ops/messages", nobody).problem(400, "bad-request");
    alice.expect_nothing();
}

#[test]
fn methods() {
    let broker = Broker::start();
    let web = broker.web();
    let head = web.ask("HEAD", "/v1/channels", None).expect(200, "");
    let length = web.get("/v1/channels").body.len().to_string();
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    for (method, status) in [("PUT", 405), ("PATCH", 405), ("DELETE", 405), ("OPTIONS", 204)] {
        let answer = web.ask(method, "/v1/channels", None);
        assert_eq!(
            (answer.status, answer.header("allow")),
            (status, Some("GET, HEAD, POST, OPTIONS"))
        );
        // What pages of other origins may do is not said here.
        assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control")));
    }
    web.ask("OPTIONS", "/v1/nix", None).problem(404, "unknown-command");
    web.ask("POST", "/v1/stats", None).problem(405, "unknown-command");
}

/// What has not changed is not sent again; what has, has another tag.
#[test]
fn views_have_tags() {
    let broker = Broker::start();
    let _alice = broker.member("alice", "ops");
    let web = broker.web();
    for path in ["/v1/channels/ops/members", "/v1/channels/ops", "/v1/channels/ops/members/alice"] {
        let tag = web.get(path).header("etag").expect("a tag").to_owned();
        assert!(matches("\"*-*\"", &tag), "{tag} begins with the view");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".into()] {
            let answer = web.with("If-None-Match", &known).get(path).expect(304, "");
            assert_eq!(answer.header("etag"), Some(tag.as_str()));
        }
        let mut bob = broker.member("bob", "ops");
        let changed = web.with("If-None-Match", &tag).get(path).expect(200, "{*}");
        assert_ne!(changed.header("etag"), Some(tag.as_str()));
        bob.ask("quit", "bye quit");
        eventually("bob is gone", || !web.get("/v1/channels/ops/members").body.contains("bob"));
    }
}

/// A value in an address is what it looks like, unless its field is a text.
#[test]
fn an_address_has_fields_of_every_kind() {
    let broker = Broker::start();
    let web = broker.web();
    let post = |path: &str| web.ask("POST", path, None);
    for _ in 0..2 {
        post("/v1/channels?channel=a&if_missing=true&history=5").expect(201, "*");
    }
    post("/v1/channels?channel=a&if_missing=false").problem(409, "exists");
    post("/v1/channels?channel=true&history_age=0.5&hold=1.5&on_close=safe").expect(201, "*");
    web.get("/v1/channels/true").expect(200, r#"{*"history_age":0.5,*"hold":1.5,*}"#);
    post("/v1/channels/b/members?create=true&name=7")
        .expect(201, r#"{"channel":"b","member":"7","rank":0,*}"#);
    post("/v1/channels/c/members?name=8").problem(404, "no-channel");
    web.post("/v1/channels/b/members?name=8", r#"{"name":"9"}"#).problem(400, "bad-request");
    web.get("/v1/channels/a/events?create=true").problem(400, "bad-request");
}

/// All faults of fields are told in the same words, the value as it came.
#[test]
fn a_field_that_is_wrong_is_told_in_one_way() {
    let broker = Broker::start();
    let web = broker.web();
    let _alice = broker.member("alice", "a");
    let detail = |answer: Answer| {
        answer.problem(400, "bad-request").json()["detail"].as_str().unwrap().to_owned()
    };
    let seconds = "a number of seconds, above 0 and up to";
    for (path, body, told) in [
        ("/v1/channels", r#"{"channel":7}"#, "channel must be a string, not 7".to_owned()),
        ("/v1/channels/a/members", r#"{"name":7}"#, "name must be a string, not 7".into()),
        ("/v1/channels/a/members", r#"{"create":1}"#, "create must be true or false, not 1".into()),
        (
            "/v1/channels/a/members",
            r#"{"events":7}"#,
            "events must be an array of strings, not 7".into(),
        ),
        (
            "/v1/channels",
            r#"{"channel":"x","history_age":-5}"#,
            format!("history_age must be {seconds} 315360000, not -5"),
        ),
        (
            "/v1/channels?history_age=x",
            r#"{"channel":"x"}"#,
            format!("history_age must be {seconds} 315360000, not \"x\""),
        ),
        ("/v1/channels", r#"{"channel":"x","nix":1}"#, "there is no field \"nix\" here".into()),
        ("/v1/channels/a/members", r#"{"nix":1}"#, "there is no field \"nix\" here".into()),
        ("/v1/jobs", r#"{"job":"fib","n":1,"nix":1}"#, "there is no field \"nix\" here".into()),
        ("/v1/jobs", r#"{"job":7}"#, "job must be a string, not 7".into()),
    ] {
        assert_eq!(detail(web.post(path, body)), told, "{path} {body}");
    }
    let number = "a whole number in range";
    for (path, told) in [
        ("/v1/channels/a/check?term=-1", format!("term must be {number}, not -1")),
        (
            "/v1/channels/a/check?term=99999999999999999999",
            format!("term must be {number}, not 99999999999999999999"),
        ),
        ("/v1/channels/a/check?term=x", format!("term must be {number}, not \"x\"")),
        ("/v1/channels/a/messages?from=-1", format!("from must be {number}, not -1")),
        ("/v1/jobs/x", format!("job must be {number}, not \"x\"")),
        ("/v1/channels?nix=1", "there is no field \"nix\" here".into()),
        ("/v1/jobs/7?nix=1", "there is no field \"nix\" here".into()),
        ("/v1/ws?nix=1", "there is no field \"nix\" here".into()),
    ] {
        assert_eq!(detail(web.get(path)), told, "{path}");
    }
}

/// RFC 9112, section 2.2: an empty line before a request is passed over.
#[test]
fn an_empty_line_before_the_first_request() {
    let broker = Broker::start();
    let web = broker.web();
    for pieces in [&[&b"\r\nGET "[..], b"/v1/version HTTP/1.1\r\nHost: x\r\n\r\n"][..], &[
        b"\r",
        b"\n",
        b"GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n\r\nGET /v1/stats HTTP/1.1\r\nHost: x\r\n\r\n",
    ]] {
        let mut stream = web.connect();
        for piece in pieces {
            stream.write_all(piece).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Answer::read(&mut stream, "GET").unwrap().expect(200, r#"{"broker":*}"#);
    }
    let mut text = broker.connect("text");
    text.send_bytes(b"\r\nping\r\n");
    text.expect("ok ping *");
}

#[test]
fn who_is_here_and_what_there_is() {
    let broker = Broker::start();
    let _alice = broker.member("alice", "ops");
    let web = broker.web();
    web.get("/v1/version").expect(200, r#"{"broker":"*","protocol":1}"#);
    web.get("/v1/stats").expect(200, r#"{"uptime":*,"faults":0,*}"#);
    // The connections of the requests before it may be on their way out.
    eventually("they are gone", || web.get("/v1/clients").json()["count"] == 2);
    web.get("/v1/clients").expect(
        200,
        r#"{"count":*,"rows":[{"name":"alice",*"dialect":"text",*},{"name":"guest-*","dialect":"http",*}]}"#,
    );
    web.get("/v1/clients?channel=ops").expect(200, r#"{"count":1,"rows":[{"name":"alice",*}]}"#);
    web.get("/v1/channels").expect(
        200,
        r#"{"count":1,"rows":[{"channel":"ops","members":1,"seq":1,"history":0,"durable":false}]}"#,
    );
    web.get("/v1/channels/ops")
        .expect(200, r#"{"channel":"ops","members":1,*"on_close":"fast",*"view":1,*}"#);
    web.get("/v1/channels/ops/members").expect(
        200,
        r#"{"channel":"ops","count":1,"view":1,"rows":[{"channel":"ops","rank":0,"member":"alice","term":1,"away":false,*}]}"#,
    );
    web.get("/v1/channels/ops/check?term=1")
        .expect(200, r#"{"channel":"ops","current":true,"term":1,"view":1}"#);
    web.get("/v1/channels/%6Fps/check?term=2").expect(200, r#"{*"current":false,*}"#);
    // A name that looks like a number is a name.
    web.post("/v1/channels", r#"{"channel":"7"}"#).expect(201, "*");
    web.get("/v1/channels/7").expect(200, r#"{"channel":"7",*}"#);
}

/// "On a durable channel, `ok pub` means that the entry is on disk": it is there
/// after the broker was killed.
#[test]
fn a_durable_channel_answers_when_it_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let mut broker = Broker::keeping(data.as_ref(), &[]);
    let web = broker.web();
    web.post("/v1/channels", r#"{"channel":"log","durable":true}"#).expect(201, "*");
    let lines: Vec<String> = (0..2_000).map(|n| format!("{{\"data\":{n}}}\n")).collect();
    let lines = lines.concat();
    let path = "/v1/channels/log/messages";
    web.ask("POST", path, Some((NDJSON, lines.as_bytes()))).expect(200, r#"{*"failed":0,*}"#);
    web.post(path, r#"{"data":"last","key":"k"}"#).expect(201, r#"{*"seq":2001}"#);
    web.post(path, r#"{"data":"last","key":"k"}"#).expect(201, r#"{*"seq":2001}"#);
    broker.child().kill();
    let broker = Broker::keeping(data.as_ref(), &[]);
    let web = broker.web();
    // From the disk, in as many answers as it takes.
    let (mut from, mut count) = (1, 0);
    loop {
        let part = web.get(&format!("{path}?from={from}")).expect(200, "{*}").json();
        count += part["count"].as_u64().unwrap();
        let Some(next) = part["next"].as_u64() else { break };
        from = next;
    }
    assert_eq!(count, 2_001);
    web.get(&format!("{path}?last=1")).expect(200, r#"{*"data":"last"}]}"#);
    web.get("/v1/channels/log/digest?from=1&to=2001")
        .expect(200, r#"{*"count":2001,"sha256":"*"}"#);
}

/// Requests on one connection, one after the other and all at once.
#[test]
fn a_connection_is_used_again() {
    let broker = Broker::start();
    let web = broker.web();
    let mut stream = web.connect();
    web.ask_on(&mut stream, "GET", "/v1/nix", None).problem(404, "unknown-command");
    let name = |answer: Answer| answer.json()["rows"][0]["name"].clone();
    let one = name(web.ask_on(&mut stream, "GET", "/v1/clients", None));
    let two = name(web.ask_on(&mut stream, "GET", "/v1/clients", None));
    assert_eq!(one, two, "one connection is one client");
    let both =
        [web.request("GET", "/v1/version", None), web.request("GET", "/v1/stats", None)].concat();
    stream.write_all(&both).unwrap();
    Answer::read(&mut stream, "GET").unwrap().expect(200, r#"{"broker":*}"#);
    Answer::read(&mut stream, "GET").unwrap().expect(200, r#"{"uptime":*}"#);
    drop(stream);
    eventually("it is gone", || web.get("/v1/clients").json()["count"] == 1);
}

/// A request that is under way when the broker stops is answered, and the answer says
/// that it is the last one.
#[test]
fn a_broker_that_stops_answers_what_it_has_begun() {
    let mut broker = Broker::process();
    let web: Web = broker.web();
    let (_, alice) = web.join("ops", "alice");
    let mut bob = broker.member("bob", "ops");
    let mut stream = web.connect();
    let command = alice.request(
        "POST",
        "/v1/channels/ops/commands",
        Some(("application/json", b"{\"name\":\"go\"}")),
    );
    stream.write_all(&command).unwrap();
    bob.expect("cmd ops 3 alice 0 1 go");
    // Alice goes with the broker, and nobody collects the results any more.
    broker.child().signal("TERM");
    let answer = Answer::read(&mut stream, "POST").expect("an answer");
    let answer = answer.problem(503, "unavailable");
    assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
    assert_eq!(std::io::Read::read(&mut stream, &mut [0]).unwrap(), 0);
    assert!(broker.child().ended().success());
}

/// DNS rebinding: a page's name may lead to its own server first and to this broker
/// after that. The page is then of the same origin, and only `Host` tells.
#[test]
fn nothing_is_read_by_a_name_that_somebody_else_pointed_here() {
    let broker = Broker::with(|config| config.allow_origin = vec!["https://app.example".into()]);
    let mut alice = broker.member("alice", "ops");
    let port = broker.addr.port();
    let ask = |request: &str, host: &str| {
        let mut stream = broker.web().connect();
        let head = format!("{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Answer::read(&mut stream, "HEAD").unwrap()
    };
    let events = "/v1/channels/ops/events";
    for path in ["/", "/v1/channels", "/v1/channels/ops/messages", events, "/v1/ws"] {
        for host in [format!("evil.example:{port}"), "evil.example".into()] {
            let refused = ask(&format!("GET {path}"), &host);
            assert_eq!(refused.status, 403, "{path} {host}");
            assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        }
    }
    assert_eq!(ask("DELETE /v1/channels/ops", "evil.example").status, 403);
    // Nor by a foreign name in the request's own URL.
    assert_eq!(ask("GET http://evil.example/v1/channels", "localhost").status, 403);
    assert_eq!(ask("GET http://localhost/v1/channels", "localhost").status, 200);
    for host in [format!("localhost:{port}"), "broker".into(), "app.example".into()] {
        assert_eq!(ask(&format!("GET {events}"), &host).status, 200, "{host}");
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(ask(&format!("GET {path}"), "broker.example").status, 200, "{path}");
    }
    alice.expect_nothing();
}
