//! The client against small servers of this process, each of which does one
//! thing wrong, or right.

mod body;
mod redirects;
mod server;
mod tls;

use super::*;
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use server::{Server, respond};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// May call 127.0.0.1 and no other address of this machine.
fn policy() -> Policy {
    Policy { allow: vec!["127.0.0.1/32".parse().unwrap()], setting: "--allow" }
}

fn outbound() -> Outbound {
    Outbound::new(policy())
}

/// An `Outbound` for which these names have these addresses.
fn with_names(names: &'static [(&'static str, &'static [&'static str])]) -> Outbound {
    let lookup = move |asked: &str| {
        let (_, found) = names.iter().find(|(name, _)| *name == asked).expect("a known name");
        Ok(found.iter().map(|addr| addr.parse().unwrap()).collect())
    };
    Outbound::with(Resolver::with(policy(), lookup), RootCertStore::empty())
}

fn send(outbound: &Outbound, call: &Call, limits: Limits) -> Result<Answer, OutboundError> {
    runtime::block_on(outbound.send(call, &limits))
}

fn get(outbound: &Outbound, url: &str) -> Result<Answer, OutboundError> {
    send(outbound, &Call::new(Method::GET, url).unwrap(), Limits::default())
}

fn kind(result: Result<Answer, OutboundError>) -> ErrorKind {
    result.map(|answer| answer.status).unwrap_err().kind
}

/// Short enough for a test that waits for the end.
fn short() -> Limits {
    Limits { time: Duration::from_millis(300), ..Limits::default() }
}

#[test]
fn a_request_and_its_answer() {
    let server = Server::start(|_| respond("201 Created", "x-a: b\r\n", "made"));
    let mut call = Call::new(Method::POST, &server.url("/a%20b?c=d#e")).unwrap();
    call.headers.insert("x-kind", HeaderValue::from_static("test"));
    call.body = "hello".into();
    let answer = send(&outbound(), &call, Limits::default()).unwrap();
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.headers["x-a"], "b");
    assert_eq!((answer.body, answer.body_bytes, answer.whole), (b"made".to_vec(), 4, true));

    let request = server.request();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /a%20b?c=d HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", server.addr);
    let agent = concat!("user-agent: ranked-broker/", env!("CARGO_PKG_VERSION"));
    let expected = [
        "accept-encoding: identity",
        "connection: close",
        "content-length: 5",
        &host,
        agent,
        "x-kind: test",
    ];
    assert_eq!(lines, expected);
    assert_eq!(body, "hello");
}

#[test]
fn a_head_has_a_length_and_no_body() {
    let server = Server::start(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n".to_vec());
    let call = Call::new(Method::HEAD, &server.url("/")).unwrap();
    let answer = send(&outbound(), &call, Limits::default()).unwrap();
    assert_eq!(answer.headers["content-length"], "12345");
    assert_eq!((answer.body_bytes, answer.whole), (0, true));
}

#[test]
fn this_machine_is_not_called() {
    let server = Server::start(|_| respond("200 OK", "", "secret"));
    let port = server.addr.port();
    let nothing_allowed = Outbound::new(Policy { allow: Vec::new(), setting: "--allow" });
    for host in ["127.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "localhost", "0"] {
        let url = format!("http://{host}:{port}/");
        assert_eq!(kind(get(&nothing_allowed, &url)), ErrorKind::Refused, "{url}");
        let url = target::parse(&url).unwrap();
        let checked = runtime::block_on(nothing_allowed.check(&url, &Limits::default()));
        assert_eq!(checked.unwrap_err().kind, ErrorKind::Refused, "{url}");
    }
    assert_eq!(server.connections(), 0);
    assert!(get(&outbound(), &server.url("/")).is_ok());
}

#[test]
fn a_name_that_changes_is_looked_up_once_and_the_checked_address_is_called() {
    let lookups = Arc::new(AtomicUsize::new(0));
    let counted = lookups.clone();
    // The first look-up gives an address that may be called, each later one does
    // not (DNS rebinding): the classic way around a check.
    let lookup = move |_: &str| {
        let is_first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        Ok(vec![IpAddr::from([127, 0, 0, if is_first { 1 } else { 2 }])])
    };
    let outbound = Outbound::with(Resolver::with(policy(), lookup), RootCertStore::empty());
    let server = Server::start(|_| respond("200 OK", "", ""));
    let url = format!("http://changing.test:{}/", server.addr.port());
    assert!(get(&outbound, &url).is_ok());
    assert_eq!(lookups.load(Ordering::Relaxed), 1);
    assert_eq!(kind(get(&outbound, &url)), ErrorKind::Refused);
}

#[test]
fn each_address_of_a_name_is_tried() {
    // Nobody listens on the first one.
    let policy = Policy { allow: vec!["127.0.0.0/8".parse().unwrap()], setting: "--allow" };
    let lookup = |_: &str| Ok(vec!["127.0.0.2".parse().unwrap(), "127.0.0.1".parse().unwrap()]);
    let outbound = Outbound::with(Resolver::with(policy, lookup), RootCertStore::empty());
    let server = Server::start(|_| respond("200 OK", "", ""));
    assert!(get(&outbound, &format!("http://two.test:{}/", server.addr.port())).is_ok());
}

#[test]
fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(kind(get(&outbound(), &format!("http://{gone}/"))), ErrorKind::Unreachable);
}

#[test]
fn who_does_not_answer_in_time() {
    let silent = Server::silent();
    let call = Call::new(Method::GET, &silent.url("/")).unwrap();
    assert_eq!(kind(send(&outbound(), &call, short())), ErrorKind::Timeout);
}
