//! The Redis protocol: what is too much, and what is none.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in tests, but not in their helpers

mod support;

use std::io::Write;
use support::{Broker, Client, encoded, matches};

/// Asserts that these bytes are answered so, and that the connection ends.
fn refused(bytes: &[u8], answer: &str) {
    let broker = Broker::start();
    let mut text = broker.client("text");
    let mut redis = broker.connect("redis");
    redis.send_bytes(bytes);
    let heard = String::from_utf8(redis.rest()).unwrap();
    assert!(matches(answer, &heard), "{:?} is answered {heard:?}", bytes.escape_ascii());
    text.expect_nothing();
}

#[test]
fn bombs_are_refused() {
    refused(b"*1000000000\r\n", "-ERR too-long *\r\n");
    refused(b"*2\r\n$4\r\nECHO\r\n$1000000000\r\n", "-ERR too-long *\r\n");
    refused(b"*9223372036854775807\r\n$4\r\n", "-ERR too-long *\r\n");
    let many = [b"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$".to_vec(), b"9".repeat(40)].concat();
    refused(&many, "-ERR bad-request *\r\n");
}

#[test]
fn what_is_no_request_is_refused() {
    refused(b"*1\r\n:4\r\n", "-ERR bad-request *\r\n");
    refused(b"*x\r\n", "-ERR bad-request *\r\n");
    refused(b"*1\r\n$4\r\nPINGPONG\r\n", "-ERR bad-request *\r\n");
    // What came before it is answered.
    refused(b"*1\r\n$4\r\nPING\r\n*1\r\n$-5\r\n", "+PONG\r\n-ERR bad-request *\r\n");
}

/// Arrays within arrays have no bottom, so there are none.
#[test]
fn nesting_is_refused() {
    refused(&b"*1\r\n".repeat(10_000), "-ERR bad-request *\r\n");
}

/// A line is answered, and the next request follows it.
#[test]
fn a_line_is_told_that_it_is_one() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    redis.ask("PING", "+PONG");
    redis.client.send_bytes(b"PING\r\n\r\n");
    redis.expect("-ERR bad-request a request is an array here*");
    redis.expect_nothing();
}

#[test]
fn bytes_may_come_one_at_a_time() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    let mut bytes = encoded(&[b"SUBSCRIBE", b"a", b"b"]);
    bytes.extend(encoded(&[b"PUBLISH", b"a", b"x\r\n*1\r\n"]));
    bytes.extend(encoded(&[b"UNSUBSCRIBE"]));
    bytes.extend(encoded(&[b"XREAD", b"BLOCK", b"1", b"STREAMS", b"s", b"0"]));
    bytes.extend(encoded(&[b"ECHO", b"end"]));
    for byte in bytes {
        redis.client.stream.write_all(&[byte]).unwrap();
    }
    redis.expect("[subscribe a :1]");
    redis.expect("[subscribe b :2]");
    redis.expect("-ERR bad-request Can't execute 'publish'*");
    redis.expect("[unsubscribe * :1]");
    redis.expect("[unsubscribe * :0]");
    redis.expect("nil");
    redis.expect("end");
    redis.expect_nothing();
}

/// The longest request there may be, and one byte more.
#[test]
fn requests_at_the_limit_and_one_past_it() {
    let broker = Broker::with(|config| config.max_line = 4096);
    let longest = 4096 + 1024;
    let of = |length: usize| encoded(&[b"ECHO", &vec![b'x'; length]]);
    let most = (1..longest).rev().find(|length| of(*length).len() <= longest).unwrap();
    let mut redis = broker.redis("redis");
    redis.client.send_bytes(&of(most));
    assert_eq!(redis.value().len(), most);
    redis.client.send_bytes(&of(most + 1));
    redis.expect("-ERR too-long *");
    redis.client.expect_end();
}

/// Requests behind one that waits.
const SENT: usize = 2_000;

/// However much is sent behind a request that waits, only so much is kept; and
/// all of it is answered in the end.
#[test]
fn what_comes_behind_a_wait_is_bounded_and_answered() {
    let mut broker = Broker::process();
    let mut redis = broker.redis("redis");
    redis.ask("XADD s * a 1", "1-0");
    redis.send("XREAD BLOCK 0 STREAMS s $");
    let mut sender = redis.client.sender();
    let sending = std::thread::spawn(move || {
        let one = encoded(&[b"ECHO", &vec![b'x'; 10_000]]);
        (0..SENT).for_each(|_| sender.send_bytes(&one));
    });
    let mut other = broker.redis("other");
    other.ask("XLEN s", ":1");
    let before = broker.child().peak_memory();
    other.ask("XADD s * a 2", "2-0");
    redis.expect("[[s [[2-0 [a 2]]]]]");
    (0..SENT).for_each(|_| assert_eq!(redis.value().len(), 10_000));
    sending.join().unwrap();
    let grown = broker.child().peak_memory() - before;
    assert!(grown < 4 << 20, "it has grown by {grown} bytes");
    redis.expect_nothing();
}

/// Nothing more is read of a client that waits and has said so much. That it is gone is
/// noticed all the same, however it went.
#[test]
fn who_waits_and_has_said_much_is_missed_when_it_goes() {
    let broker = Broker::start();
    let mut text = broker.client("text");
    let mut clients = |count: usize| {
        text.send("who");
        text.until("ok who *").len() == count + 1
    };
    // An end in order is seen behind what was sent, as far as there is room for that.
    let goings: [(usize, fn(Client)); 3] =
        [(20_000, Client::close), (20_000, Client::reset), (200_000, Client::reset)];
    for (length, goes) in goings {
        let mut redis = broker.redis("redis");
        redis.send("XREAD BLOCK 0 STREAMS quiet $");
        redis.send_words(&[b"ECHO", &vec![b'x'; length]]);
        support::eventually("it is there", || clients(2));
        goes(redis.client);
        support::eventually("it is gone", || clients(1));
    }
}

#[test]
fn one_too_many_is_refused_in_its_own_dialect() {
    let broker = Broker::with(|config| config.max_clients = 1);
    let _one = broker.client("one");
    let mut redis = broker.redis("redis");
    redis.ask("PING", "-ERR full *");
    redis.client.expect_end();
}

#[test]
fn a_broker_that_stops_says_nothing_to_a_plain_client() {
    let mut broker = Broker::process();
    let mut redis = broker.redis("redis");
    redis.ask("SUBSCRIBE a", "[subscribe a :1]");
    broker.child().signal("TERM");
    redis.client.expect_end();
}

/// "Who is too slow is disconnected", where it was too slow: it gets nothing from
/// behind what it missed.
#[test]
fn nothing_follows_what_a_slow_subscriber_has_missed() {
    const MESSAGES: usize = 8_000;
    let broker = Broker::with(|config| {
        config.log_bytes = 64 * 1024;
        config.stall = std::time::Duration::from_millis(100);
    });
    let mut slow = broker.connect_narrow("slow");
    slow.send_bytes(&encoded(&[b"SUBSCRIBE", b"c"]));
    let mut alice = broker.client("alice");
    support::eventually("it subscribes", || {
        alice.send("channels");
        alice.until("ok channels *").iter().any(|row| row.starts_with("channel c "))
    });
    for n in 0..MESSAGES {
        alice.send(&format!("pub c {n} {}", "x".repeat(1_000)));
    }
    alice.until(&format!("ok pub c {MESSAGES}"));
    let heard = String::from_utf8(slow.rest()).unwrap();
    let numbers = heard.lines().filter(|line| line.ends_with('x'));
    let numbers: Vec<usize> =
        numbers.map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(numbers.len() < MESSAGES, "it was too slow");
    assert!(numbers.iter().copied().eq(0..numbers.len()), "{:?}", numbers.last());
}
