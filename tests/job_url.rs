//! The job `url`, against servers of all manners.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use support::{Broker, Child, Client, Site, number};

/// A broker that may call 127.0.0.1, and no other address of this machine.
fn broker(settings: &[&str]) -> Broker {
    Broker::from_child(Child::with(&[&["--allow-url", "127.0.0.1/32"], settings].concat()))
}

/// What came of the job.
#[track_caller]
fn size(client: &mut Client, url: &str) -> String {
    let job = number(&client.ask(&format!("url {url}"), "ok job *"), 2);
    client.expect(&format!("job {job} queued *"));
    client.expect(&format!("job {job} running"));
    let last = client.line().expect("what came of it");
    last.strip_prefix(&format!("job {job} ")).expect("the same job").to_owned()
}

fn say(stream: &mut TcpStream, text: &str) {
    // The broker hangs up when it has heard enough.
    let _ = stream.write_all(text.as_bytes());
}

#[test]
fn the_size_is_told_or_counted() {
    let web = Site::start(|request, stream| match request {
        "HEAD /told HTTP/1.1" => say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1234567\r\n\r\n"),
        "HEAD /moved HTTP/1.1" => {
            say(stream, "HTTP/1.1 302 Found\r\nLocation: /told\r\nContent-Length: 0\r\n\r\n");
        }
        "HEAD /empty HTTP/1.1" => say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        // Each of these is counted.
        "HEAD /untold HTTP/1.1" => say(stream, "HTTP/1.1 200 OK\r\n\r\n"),
        "HEAD /refused HTTP/1.1" => say(stream, "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n"),
        "GET /untold HTTP/1.1" => say(
            stream,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\n...\r\n0\r\n\r\n",
        ),
        "GET /refused HTTP/1.1" => say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        // No answer to HEAD, and a body that ends with the connection.
        "GET /hangs-up HTTP/1.1" => say(stream, "HTTP/1.1 200 OK\r\n\r\nhello world"),
        "GET /missing HTTP/1.1" => say(stream, "HTTP/1.1 404 None\r\nContent-Length: 2\r\n\r\nno"),
        _ => {}
    });
    let broker = broker(&[]);
    let mut alice = broker.client("alice");
    for (path, expected) in [
        ("/told", "done bytes=1234567 by=head url=URL/told"),
        ("/moved", "done bytes=1234567 by=head url=URL/told"),
        ("/empty", "done bytes=0 by=head url=URL/empty"),
        ("/untold", "done bytes=8 by=get url=URL/untold"),
        ("/refused", "done bytes=5 by=get url=URL/refused"),
        ("/hangs-up", "done bytes=11 by=get url=URL/hangs-up"),
        ("/missing", "failed URL/missing answers 404 Not Found"),
    ] {
        assert_eq!(size(&mut alice, &web.url(path)), expected.replace("URL", &web.url("")));
    }
}

#[test]
fn what_only_this_machine_can_reach_is_refused_by_whatever_way() {
    let web = Site::start(|request, stream| {
        let to = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
        say(
            stream,
            &format!("HTTP/1.1 302 Found\r\nLocation: http://{to}/\r\nContent-Length: 0\r\n\r\n"),
        );
    });
    let broker = broker(&[]);
    let mut alice = broker.client("alice");
    let port = web.addr.port();
    for url in [
        // Redirected into private space, and named directly.
        web.url(&format!("/127.0.0.2:{port}")),
        web.url("/169.254.169.254"),
        web.url("/10.0.0.1"),
        web.url(&format!("/[::1]:{port}")),
        format!("http://127.0.0.2:{port}/"),
        format!("http://[::1]:{port}/"),
        "http://192.168.0.1/".into(),
    ] {
        let came = size(&mut alice, &url);
        assert!(came.starts_with("failed refused-address: "), "{url}: {came}");
    }
    assert!(web.asked().iter().all(|line| line.starts_with("HEAD ")), "{:?}", web.asked());
    // By default not even the one that is allowed here.
    let strict = Broker::from_child(Child::start());
    let came = size(&mut strict.client("bob"), &web.url("/"));
    assert!(came.starts_with("failed refused-address: "), "{came}");
    let came = size(&mut strict.client("carol"), &format!("http://localhost:{port}/"));
    assert!(came.starts_with("failed refused-address: "), "after resolution: {came}");
}

#[test]
fn slow_endless_and_broken_answers_have_an_end() {
    let web = Site::start(|request, stream| match request {
        "HEAD /slow HTTP/1.1" => drop(stream.read_to_end(&mut Vec::new())),
        "GET /drip HTTP/1.1" => {
            say(stream, "HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(b".").is_ok() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        "GET /endless HTTP/1.1" => {
            say(stream, "HTTP/1.1 200 OK\r\n\r\n");
            let block = vec![b'.'; 256 * 1024];
            while stream.write_all(&block).is_ok() {}
        }
        "GET /short HTTP/1.1" => say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        "HEAD /loop HTTP/1.1" => {
            say(stream, "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n");
        }
        "GET /nonsense HTTP/1.1" => say(stream, "I am no web server\r\n\r\n"),
        _ => {}
    });
    let quick = broker(&["--job-timeout", "2s"]);
    let mut alice = quick.client("alice");
    for path in ["/slow", "/drip"] {
        let came = size(&mut alice, &web.url(path));
        assert!(
            came.starts_with("failed timeout: ") || came == "failed no answer within 1.8s",
            "{came}"
        );
    }
    let patient = broker(&[]);
    let mut bob = patient.client("bob");
    for (path, expected) in [
        ("/endless", "has more than the 268435456 bytes that are counted"),
        ("/short", "broken-answer: "),
        ("/loop", "redirect: "),
        ("/nonsense", "broken-answer: "),
    ] {
        let came = size(&mut bob, &web.url(path));
        assert!(came.starts_with("failed ") && came.contains(expected), "{path}: {came}");
    }
}
