//! Answers that are too long, too slow, cut short, or none.

use super::*;
use std::io::Write;

const HEAD: &str = "HTTP/1.1 200 OK\r\n";

/// Writes `first`, then `again` until the other end has had enough.
fn endless(first: String, again: &'static [u8], pause: Duration) -> Server {
    Server::serving(move |stream, _| {
        server::read_request(&mut *stream);
        let mut going = stream.write_all(first.as_bytes());
        while going.is_ok() {
            std::thread::sleep(pause);
            going = stream.write_all(again);
        }
    })
}

#[test]
fn an_endless_body_is_cut_and_little_of_it_kept() {
    let server = endless(format!("{HEAD}\r\n"), &[b'x'; 4096], Duration::ZERO);
    let limits = Limits { body_bytes_max: 1 << 20, kept_bytes_max: 10, ..Limits::default() };
    let call = Call::new(Method::GET, &server.url("/")).unwrap();
    let answer = send(&outbound(), &call, limits).unwrap();
    assert_eq!((answer.body.as_slice(), answer.whole), (&b"xxxxxxxxxx"[..], false));
    assert!(answer.body_bytes > 1 << 20);
}

#[test]
fn a_body_at_the_limit_is_whole_and_one_past_it_is_not() {
    let server = Server::start(|request| {
        let bytes = if request.starts_with("GET /10 ") { 10 } else { 11 };
        respond("200 OK", "", &"x".repeat(bytes))
    });
    let limits = Limits { body_bytes_max: 10, ..Limits::default() };
    for (path, whole) in [("/10", true), ("/11", false)] {
        let call = Call::new(Method::GET, &server.url(path)).unwrap();
        assert_eq!(send(&outbound(), &call, limits).unwrap().whole, whole, "{path}");
    }
}

#[test]
fn an_endless_head_is_no_answer() {
    let endless_field = endless(format!("{HEAD}x: "), &[b'x'; 4096], Duration::ZERO);
    let many_fields = endless(HEAD.to_string(), b"x: y\r\n", Duration::ZERO);
    let many_interim =
        endless(String::new(), b"HTTP/1.1 103 Early Hints\r\n\r\n", Duration::from_millis(1));
    for (server, expected) in [
        (endless_field, ErrorKind::Broken),
        (many_fields, ErrorKind::Broken),
        (many_interim, ErrorKind::Timeout),
    ] {
        let call = Call::new(Method::GET, &server.url("/")).unwrap();
        assert_eq!(kind(send(&outbound(), &call, short())), expected);
    }
}

#[test]
fn a_body_that_trickles_runs_out_of_time() {
    let server = endless(format!("{HEAD}\r\n"), b"x", Duration::from_millis(20));
    let call = Call::new(Method::GET, &server.url("/")).unwrap();
    assert_eq!(kind(send(&outbound(), &call, short())), ErrorKind::Timeout);
}

#[test]
fn what_is_cut_short_or_no_http_is_no_answer() {
    for answer in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let server = Server::start(|_| answer.as_bytes().to_vec());
        assert_eq!(kind(get(&outbound(), &server.url("/"))), ErrorKind::Broken, "{answer:?}");
    }
}

#[test]
fn pieces_are_put_together() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                  5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nx-trailer: y\r\n\r\n";
    let server = Server::start(|_| answer.as_bytes().to_vec());
    let answer = get(&outbound(), &server.url("/")).unwrap();
    assert_eq!((answer.body.as_slice(), answer.whole), (&b"hello world"[..], true));
}
