//! Limits of HTTP, at their edge and past it; and what strangers try.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use support::{Answer, Broker, Client, Web, matches};

const MESSAGES: &str = "/v1/channels/ops/messages";

/// Sends these bytes. Returns all answers up to the end of the connection.
fn answers(web: &Web, bytes: &[u8]) -> Vec<Answer> {
    let mut stream = web.connect();
    // A broker that refuses in the middle may close before all is written.
    let _ = stream.write_all(bytes);
    std::iter::from_fn(|| Answer::read(&mut stream, "POST")).collect()
}

/// The statuses that each of these requests is answered with, all sent at the same
/// time, because one that does not close has to wait for the broker to.
fn statuses(web: &Web, requests: &[Vec<u8>]) -> Vec<Vec<u16>> {
    std::thread::scope(|scope| {
        let mut asked = Vec::new();
        for request in requests {
            asked.push(scope.spawn(|| answers(web, request)));
        }
        let heard = asked.into_iter().map(|asked| asked.join().unwrap());
        heard.map(|heard| heard.iter().map(|answer| answer.status).collect()).collect()
    })
}

/// Whether the connection ends without another answer.
fn ends(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(support::DEADLINE)).unwrap();
    matches!(stream.read(&mut [0]), Ok(0) | Err(_))
}

/// A broker that soon ends a connection on which nothing more comes.
fn hasty() -> Broker {
    Broker::with(|config| config.request_timeout = Duration::from_millis(200))
}

/// A channel whose only member watches.
fn watched(broker: &Broker) -> (Web, Client) {
    (broker.web(), broker.member("alice", "ops"))
}

#[test]
fn a_body_at_the_limit_and_past_it() {
    let broker = Broker::with(|config| {
        config.max_body = 1_000;
        config.max_line = 900;
    });
    let (web, mut alice) = watched(&broker);
    let body = |bytes: usize| format!("{{\"data\":\"a\"}}{}", " ".repeat(bytes - 12));
    web.post(MESSAGES, &body(1_000)).expect(201, "*");
    let answer = web.post(MESSAGES, &body(1_001)).problem(413, "too-long");
    answer.expect(413, "*--max-body*");
    let text =
        |bytes| web.ask("POST", MESSAGES, Some(("text/plain", "b".repeat(bytes).as_bytes())));
    text(900).expect(201, "*");
    text(901).problem(413, "too-long").expect(413, "*--max-line*");
    // One that announces too much is not read, and one that announces nothing
    // is read no further.
    let start = format!("POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n");
    let mut stream = web.connect();
    stream
        .write_all(
            format!("{start}Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n")
                .as_bytes(),
        )
        .unwrap();
    Answer::read(&mut stream, "POST").unwrap().problem(413, "too-long");
    assert!(ends(&mut stream));
    let mut stream = web.connect();
    stream.write_all(format!("{start}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).unwrap();
    for _ in 0..11 {
        let _ = stream.write_all(format!("64\r\n{}\r\n", "c".repeat(100)).as_bytes());
    }
    Answer::read(&mut stream, "POST").unwrap().problem(413, "too-long");
    alice.expect_all(&["msg ops 2 guest-* a", "msg ops 3 guest-* bbb*"]);
    alice.expect_nothing();
}

/// `--max-line` is for all dialects: what others are told of a request by HTTP is no
/// longer than of any other.
#[test]
fn a_request_is_no_longer_than_a_line() {
    let broker = Broker::with(|config| config.max_line = 900);
    let web = broker.web();
    let (_, alice) = web.join("ops", "alice");
    let (_, bob) = web.join("ops", "bob");
    let padded = |start: &str, end: &str, bytes: usize| {
        format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len()))
    };
    let hurried = alice.with("Prefer", "respond-async");
    let commands = "/v1/channels/ops/commands";
    let command = |bytes| padded(r#"{"name":"go","args":[""#, r#""]}"#, bytes);
    hurried.post(commands, &command(901)).problem(413, "too-long").expect(413, "*--max-line*");
    hurried.post(commands, &command(900)).expect(202, r#"{*"seq":3,*}"#);
    let ack = |bytes| {
        bob.post("/v1/channels/ops/commands/3/ack", &padded(r#"{"text":""#, r#""}"#, bytes))
    };
    ack(901).problem(413, "too-long");
    ack(900).expect(200, "*");
    let kick = |bytes| {
        let reason = padded(r#"{"reason":""#, r#""}"#, bytes);
        alice.post("/v1/channels/ops/members/bob/kick", &reason)
    };
    kick(901).problem(413, "too-long");
    kick(900).expect(200, "*");
}

/// Where a body is not read, the connection ends, and the answer says so; a client that
/// waits for `100 Continue` does not get it.
#[test]
fn a_body_that_is_not_read_is_the_last() {
    let broker = Broker::with(|config| config.max_body = 1_000);
    let (web, mut alice) = watched(&broker);
    let expects = "Expect: 100-continue\r\n";
    let json = "Content-Type: application/json\r\n";
    for (path, headers, status) in [
        (MESSAGES, format!("{json}Content-Length: 99999999\r\n"), 413),
        (MESSAGES, format!("{json}Content-Length: 99999999\r\n{expects}"), 413),
        ("/v1/nope", format!("{json}Content-Length: 10\r\n{expects}"), 404),
        ("/v1/version", format!("{json}Content-Length: 10\r\n{expects}"), 405),
        (MESSAGES, format!("Content-Type: image/png\r\nContent-Length: 10\r\n{expects}"), 415),
        (MESSAGES, format!("Content-Length: 10\r\n{expects}"), 415),
        (
            "/v1/channels",
            format!("Content-Type: text/plain\r\nContent-Length: 9\r\n{expects}"),
            415,
        ),
        ("/v1/channels", format!("Content-Length: 9\r\n{expects}"), 415),
    ] {
        let mut stream = web.connect();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let answer = Answer::read(&mut stream, "POST").unwrap();
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{head}");
        assert!(ends(&mut stream));
    }
    // A client that may go on is told so, and its connection stays.
    let mut stream = web.connect();
    let kind = "Content-Type: text/plain; charset=\"UTF-8\"\r\n";
    let head =
        format!("POST {MESSAGES} HTTP/1.1\r\nHost: x\r\n{kind}Content-Length: 1\r\n{expects}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(Answer::read(&mut stream, "POST").unwrap().status, 100);
    stream.write_all(b"a").unwrap();
    let answer = Answer::read(&mut stream, "POST").unwrap();
    assert_eq!((answer.status, answer.header("connection")), (201, None));
    web.ask_on(&mut stream, "GET", "/v1/nix", None).problem(404, "unknown-command");
    web.ask_on(&mut stream, "GET", "/v1/version", None).expect(200, "*");
    alice.expect("msg ops 2 guest-* a");
    alice.expect_nothing();
}

/// A body in a coding or a charset that is not read here is refused, and not taken for
/// what it is not.
#[test]
fn a_body_in_another_coding() {
    let broker = Broker::start();
    let (web, mut alice) = watched(&broker);
    let text = |headers: &[(&str, &str)], kind: &str| {
        let web = headers.iter().fold(web.clone(), |web, (name, value)| web.with(name, value));
        web.ask("POST", MESSAGES, Some((kind, b"a")))
    };
    for coding in ["gzip", "br", "identity, gzip", "aes128gcm"] {
        let answer = text(&[("Content-Encoding", coding)], "text/plain");
        assert_eq!(answer.header("accept-encoding"), Some("identity"));
        answer.problem(415, "bad-request");
    }
    for kind in ["text/plain; charset=iso-8859-1", "text/plain;a=b; CHARSET=\"utf-16\""] {
        text(&[], kind).problem(415, "bad-request");
    }
    for kind in ["text/plain", "Text/Plain; charset=utf-8", "text/plain; charset=US-ASCII; a=b"] {
        text(&[("Content-Encoding", "Identity")], kind).expect(201, "*");
    }
    let chunked = |coding: &str| {
        let mut stream = web.connect();
        let head = format!("POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n");
        let body = "1\r\na\r\n0\r\n\r\n";
        stream
            .write_all(format!("{head}Transfer-Encoding: {coding}\r\n\r\n{body}").as_bytes())
            .unwrap();
        Answer::read(&mut stream, "POST").unwrap()
    };
    for coding in ["gzip, chunked", "identity, chunked", "x\r\nTransfer-Encoding: chunked"] {
        let answer = chunked(coding).problem(501, "unavailable");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    chunked("Chunked").expect(201, "*");
    for seq in 2..=5 {
        alice.expect(&format!("msg ops {seq} guest-* a"));
    }
    alice.expect_nothing();
}

#[test]
fn a_head_past_the_limit() {
    let broker = hasty();
    let (web, _alice) = watched(&broker);
    web.with("X-Long", &"x".repeat(20_000)).get("/v1/version").expect(200, "*");
    let many = |count: usize| "X: y\r\n".repeat(count);
    for (head, status) in [
        (format!("GET /v1/version HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(70_000)), 431),
        (format!("GET /v1/version HTTP/1.1\r\nHost: x\r\n{}\r\n", many(64)), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(70_000)), 431),
    ] {
        assert_eq!(statuses(&web, &[head.into_bytes()]), [[status]]);
    }
}

/// A client that sends slowly is cut off, in the head as in the body, and so is one
/// that says nothing between two requests.
#[test]
fn who_is_slow_is_cut_off() {
    let broker = hasty();
    let (web, _alice) = watched(&broker);
    let mut silent = web.connect();
    web.ask_on(&mut silent, "GET", "/v1/version", None).expect(200, "*");
    let mut head = web.connect();
    head.write_all(b"GET /v1/version HTTP/1.1\r\nHost: x\r\nX-Slow").unwrap();
    let mut body = web.connect();
    let start = format!("POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n");
    body.write_all(format!("{start}Content-Length: 9\r\n\r\nhalf").as_bytes()).unwrap();
    Answer::read(&mut body, "POST").unwrap().problem(408, "bad-request");
    assert!(ends(&mut body) && ends(&mut head) && ends(&mut silent));
    // However steadily it sends.
    let mut steady = web.connect();
    steady.write_all(format!("{start}Content-Length: 1000000\r\n\r\n").as_bytes()).unwrap();
    let mut sender = steady.try_clone().unwrap();
    let sending = std::thread::spawn(move || while sender.write_all(b"x").is_ok() {});
    Answer::read(&mut steady, "POST").unwrap().problem(408, "bad-request");
    steady.shutdown(std::net::Shutdown::Both).unwrap();
    sending.join().unwrap();
}

/// Request smuggling: no two readers of a request may come to different ends of it. A
/// request that could be read so is refused, or is the last one read on its connection.
#[test]
fn nothing_is_smuggled_in() {
    let broker = hasty();
    let (web, mut alice) = watched(&broker);
    let inner = format!(
        "POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\nsmuggled"
    );
    let start = format!("POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n");
    let length = inner.len();
    let cases = [
        // Two lengths, or a length and chunks.
        ("Content-Length: 1\r\nContent-Length: 2\r\n".to_owned(), format!("a{inner}")),
        ("Content-Length: 1, 2\r\n".into(), format!("a{inner}")),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n".into(), format!("0\r\n\r\n{inner}")),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n".into(), format!("0\r\n\r\n{inner}")),
        // Lengths that are none.
        ("Content-Length: +1\r\n".into(), format!("a{inner}")),
        ("Content-Length: -1\r\n".into(), format!("a{inner}")),
        ("Content-Length: 0x1\r\n".into(), format!("a{inner}")),
        ("Content-Length: 99999999999999999999\r\n".into(), format!("a{inner}")),
        // Codings that are not the last, or not the only one.
        ("Transfer-Encoding: chunked, identity\r\n".into(), format!("0\r\n\r\n{inner}")),
        ("Transfer-Encoding: identity\r\n".into(), inner.clone()),
        ("Transfer-Encoding: xchunked\r\n".into(), format!("0\r\n\r\n{inner}")),
        // Headers that others would read differently.
        ("Transfer-Encoding : chunked\r\n".into(), format!("0\r\n\r\n{inner}")),
        (" Content-Length: 1\r\n".into(), format!("a{inner}")),
        ("X: y\r\n Content-Length: 1\r\n".into(), format!("a{inner}")),
        ("X: y\r\n\tTransfer-Encoding: chunked\r\n".into(), format!("0\r\n\r\n{inner}")),
        ("X: y\0\r\n".into(), inner.clone()),
        ("Content-Length: 1\rX: y\r\n".into(), format!("a{inner}")),
        // Chunks whose sizes are none.
        ("Transfer-Encoding: chunked\r\n".into(), format!("0x0\r\n\r\n{inner}")),
        ("Transfer-Encoding: chunked\r\n".into(), format!("-1\r\n\r\n{inner}")),
        ("Transfer-Encoding: chunked\r\n".into(), format!("fffffffffffffffff\r\n\r\n{inner}")),
        ("Transfer-Encoding: chunked\r\n".into(), format!("1\r\nab\r\n0\r\n\r\n{inner}")),
        // No contradiction: the length says that what looks like a request is the body.
        (format!("Content-Length: {length}\r\n"), inner.clone()),
    ];
    let requests: Vec<Vec<u8>> = cases
        .iter()
        .map(|(headers, body)| format!("{start}{headers}\r\n{body}").into_bytes())
        .collect();
    for ((headers, _), statuses) in cases.iter().zip(statuses(&web, &requests)) {
        let is_refused = statuses.len() <= 1 && statuses.iter().all(|status| *status == 400);
        // With a length and chunks, the rules say to read by chunks, and then no further.
        let is_last = statuses == [201];
        assert!(is_refused || is_last, "{headers:?}: {statuses:?}");
    }
    alice.send("ping");
    let lines = alice.until("ok ping *");
    assert!(lines.iter().all(|line| !matches("msg * smuggled", line)), "{lines:?}");
    alice.expect_nothing();
}

#[test]
fn a_request_says_once_for_whom_it_is() {
    let broker = hasty();
    let (web, _alice) = watched(&broker);
    let cases = [
        ("GET /v1/version HTTP/1.1\r\n", 400),
        ("GET /v1/version HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
        ("GET /v1/version HTTP/1.1\r\nHost: a\r\n", 200),
        ("GET http://b/v1/version HTTP/1.1\r\nHost: a\r\n", 200),
        ("GET /v1/version HTTP/1.0\r\n", 200),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n", 404),
        ("GET v1/version HTTP/1.1\r\nHost: a\r\n", 400),
        ("GET /v1/version HTTP/3.0\r\nHost: a\r\n", 400),
        ("GET  HTTP/1.1\r\nHost: a\r\n", 400),
    ];
    let requests: Vec<Vec<u8>> =
        cases.iter().map(|(head, _)| format!("{head}\r\n").into_bytes()).collect();
    for ((head, status), statuses) in cases.iter().zip(statuses(&web, &requests)) {
        assert_eq!(statuses.first(), Some(status), "{head:?}");
    }
}

/// What a page of somebody else's makes a browser send reaches nothing, neither
/// as HTTP nor as lines of text.
#[test]
fn a_page_of_a_stranger_changes_nothing() {
    let broker = Broker::start();
    let (web, mut alice) = watched(&broker);
    let lines = "\r\nhello --name page\r\nsub ops\r\npub ops hacked\r\n{\"op\":\"pub\",\"channel\":\"ops\",\"data\":1}\r\n";
    // A form, with lines of the text dialect for its body.
    for path in ["/", "/pub ops hacked", MESSAGES] {
        web.ask("POST", &path.replace(' ', "%20"), Some(("text/plain", lines.as_bytes())));
        let page = web.with("Origin", "http://evil.example");
        let answer =
            page.ask("POST", &path.replace(' ', "%20"), Some(("text/plain", lines.as_bytes())));
        assert!(matches!(answer.status, 403..=405), "{answer:?}");
    }
    alice.expect(r"msg ops 2 guest-* \r\nhello --name page\r\n*");
    alice.expect_nothing();
    // A method that is none of those by which HTTP is known, which a page may use
    // where the browser takes it for one of the broker's own.
    let long = format!("FOO /{} HTTP/1.1\r\nHost: x\r\n", "x".repeat(70_000));
    for head in [
        "FOO / HTTP/1.1\r\n",
        "broadcast /x HTTP/1.1\r\n",
        "CONNECT h:1 HTTP/1.1\r\n",
        "FOO * HTTP/1.1\r\n",
        "\r\n\r\nPOST / HTTP/1.1\r\n",
        "\nPOST / HTTP/1.1\r\n",
        " POST / HTTP/1.1\r\n",
        "\r\n \r\nPOST / HTTP/1.1\r\n",
        "host: x\r\n",
        &long,
    ] {
        let mut stream = web.connect();
        let _ = stream.write_all(format!("{head}A: b\r\n{lines}").as_bytes());
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        assert!(heard.ends_with("bye malformed\n"), "{heard}");
    }
    alice.expect_nothing();
    // Behind one empty line it is HTTP, and is judged as such.
    let head =
        format!("\r\nPOST {MESSAGES} HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\n");
    let request = format!("{head}Content-Length: {}\r\n\r\n{lines}", lines.len());
    answers(&web, request.as_bytes()).remove(0).problem(403, "denied");
    alice.expect_nothing();
    let here = format!("http://{}", broker.addr);
    let port = broker.addr.port();
    for origin in
        ["http://evil.example", "null", "http://127.0.0.1", "https://127.0.0.1:1", "", "file://"]
    {
        let page = web.with("Origin", origin);
        page.post(MESSAGES, "{\"data\":1}").problem(403, "denied");
        page.post("/v1/channels", "{\"channel\":\"a\"}").problem(403, "denied");
        page.post("/v1/channels/ops/members", "{}").problem(403, "denied");
        page.delete("/v1/channels/ops").problem(403, "denied");
        let answer = page.get("/v1/channels").expect(200, "*");
        assert_eq!(answer.header("access-control-allow-origin"), None, "which no page may read");
    }
    // A name of the stranger's that leads here.
    let start = format!(
        "POST {MESSAGES} HTTP/1.1\r\nHost: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n"
    );
    let request = format!(
        "{start}Content-Type: text/plain\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
    );
    answers(&web, request.as_bytes()).remove(0).problem(403, "denied");
    alice.expect_nothing();
    web.with("Origin", &here).post(MESSAGES, "{\"data\":\"own\"}").expect(201, "*");
    alice.expect("msg ops 3 guest-* own");
}

#[test]
fn pages_that_are_allowed() {
    let broker = Broker::with(|config| config.allow_origin = vec!["https://app.example".into()]);
    let (web, mut alice) = watched(&broker);
    let page = web.with("Origin", "https://app.example");
    let answer = page.post(MESSAGES, "{\"data\":\"hi\"}").expect(201, "*");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.header("vary"), Some("Origin"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    alice.expect("msg ops 2 guest-* hi");
    let asks = page
        .with("Access-Control-Request-Method", "POST")
        .with("Access-Control-Request-Headers", "content-type");
    let answer = asks.ask("OPTIONS", MESSAGES, None).expect(204, "");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("Content-Type"));
    // Problems may be read as well.
    let answer = page.get("/v1/nix").problem(404, "unknown-command");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    web.with("Origin", "https://other.example")
        .post(MESSAGES, "{\"data\":1}")
        .problem(403, "denied");
}

/// "A connection beyond `--max-clients`" is told so, as a problem.
#[test]
fn a_broker_that_is_full() {
    let broker = Broker::with(|config| config.max_clients = 1);
    let (web, _alice) = watched(&broker);
    let answer = web.get("/v1/version").problem(503, "full");
    assert_eq!(answer.header("connection"), Some("close"));
}

/// What all clients together send at once is bounded, and so is what the broker keeps
/// of it; a client that sends more is told so.
#[test]
#[cfg(target_os = "linux")]
fn bodies_under_way_are_bounded_together() {
    const MIB: usize = 1024 * 1024;
    const CLIENTS: usize = 120;
    let mut broker = Broker::process();
    let web = broker.web();
    web.post("/v1/channels", r#"{"channel":"ops"}"#).expect(201, "*");
    let before = broker.child().resident_memory();
    let start = format!("POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n");
    let start = format!("{start}Content-Length: {MIB}\r\n\r\n{}", "x".repeat(MIB - 1));
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| web.connect()).collect();
    for client in &mut clients {
        // A request that is refused is read no further, so the write may fail.
        client.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let _ = client.write_all(start.as_bytes());
    }
    let mut waiting: Vec<&mut TcpStream> = clients.iter_mut().collect();
    support::eventually("those for whom there is no room are told to come again", || {
        waiting.retain_mut(|client| {
            client.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            let mut begin = [0; 12];
            !(client.read_exact(&mut begin).is_ok() && begin.ends_with(b"503"))
        });
        waiting.len() <= 64
    });
    let grown = (broker.child().resident_memory() - before) / 1024 / 1024;
    assert!(grown < 150, "{grown} MiB for {CLIENTS} times one");
    drop(clients);
    web.get("/v1/version").expect(200, "*");
}
