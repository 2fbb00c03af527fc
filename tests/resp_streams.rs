//! The Redis protocol: a channel's history as a stream.

mod support;

use support::{Broker, Child, encoded};

#[test]
fn what_was_added_is_read_back_as_it_was() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    redis.ask("XLEN s", ":0");
    redis.ask("XRANGE s - +", "[]");
    redis.ask("XREAD STREAMS s 0", "nil");
    redis.ask("XADD s NOMKSTREAM * a 1", "nil");
    redis.ask("XADD s * temp 5 unit C", "1-0");
    redis.ask("XADD s * data hello", "2-0");
    redis.ask("XADD s MAXLEN ~ 10 * temp 6 temp 7", "3-0");
    redis.ask("XLEN s", ":3");
    let all = "[1-0 [temp 5 unit C]] [2-0 [data hello]] [3-0 [temp 6 temp 7]]";
    redis.ask("XRANGE s - +", &format!("[{all}]"));
    redis.ask("XRANGE s 2 2-5 COUNT 9", "[[2-0 [data hello]]]");
    redis.ask("XRANGE s (1-0 + COUNT 1", "[[2-0 [data hello]]]");
    redis.ask("XRANGE s 1 + COUNT 0", "[]");
    redis.ask("XREVRANGE s + - COUNT 2", "[[3-0 [temp 6 temp 7]] [2-0 [data hello]]]");
    redis.ask("XREVRANGE s (3-0 -", "[[2-0 [data hello]] [1-0 [temp 5 unit C]]]");
    redis.ask("XREAD COUNT 1 STREAMS s 1-0", "[[s [[2-0 [data hello]]]]]");
    redis.ask("XREAD STREAMS s none 0 0", &format!("[[s [{all}]]]"));
    redis.ask("XREAD STREAMS s $", "nil");
    redis.ask("HELLO 3", "*");
    redis.ask("XREAD STREAMS none s 0 2", "{s [[3-0 [temp 6 temp 7]]]}");
    redis.ask("XREAD STREAMS s $", "_");
    let mut text = broker.client("text");
    text.send("history s");
    text.expect_all(&[
        "msg s 1 guest-* {\"temp\":\"5\",\"unit\":\"C\"}",
        "msg s 2 guest-* hello",
        "msg s 3 guest-* {\"temp\":\"6\",\"temp\":\"7\"}",
        "ok history s 3",
    ]);
}

#[test]
fn what_is_wrong_is_refused() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    for request in [
        "XADD s 5-0 a 1",
        "XADD s * a",
        "XADD s * a 1 b",
        "XADD s MINID 5 * a 1",
        "XADD s MAXLEN x * a 1",
        "XADD s MAXLEN 5",
        "XRANGE s x +",
        "XRANGE s - + COUNT x",
        "XRANGE s - + NONSENSE 5",
        "XREAD STREAMS s",
        "XREAD STREAMS s t 0",
        "XREAD COUNT 5 s 0",
        "XREAD BLOCK -1 STREAMS s 0",
        "XREAD STREAMS s >",
    ] {
        redis.ask(request, "-ERR bad-request *");
    }
    redis.send_words(&[b"XADD", b"s", b"*", b"a", b"\xff"]);
    redis.expect("-ERR bad-request *");
    redis.ask("XADD s MAXLEN 2 * a 1", "1-0");
    redis.ask("XADD s MAXLEN 1 * a 2", "-ERR bad-request *");
    redis.ask("XADD s MAXLEN ~ 1 * a 2", "2-0");
    redis.ask("XADD s MAXLEN = 2 * a 3", "3-0");
    redis.ask("XRANGE s - +", "[[2-0 [a 2]] [3-0 [a 3]]]");
    redis.expect_nothing();
}

/// A history has more than messages in it; a stream has not.
#[test]
fn only_messages_are_entries() {
    let broker = Broker::start();
    let mut text = broker.client("text");
    text.ask("create s --history 100", "ok create s");
    text.ask("sub s", "ok sub s rank=0 *");
    text.ask("pub s one", "ok pub s 2");
    text.expect("msg s 2 text one");
    text.ask("pub --json s {\"n\": [1], \"t\": \"x y\"}", "ok pub s 3");
    text.ask("unsub s", "*");
    let mut redis = broker.redis("redis");
    redis.ask("XRANGE s - +", "[[2-0 [data one]] [3-0 [n [1] t x y]]]");
    redis.ask("XLEN s", ":2");
    redis.ask("XREVRANGE s + - COUNT 1", "[[3-0 [n [1] t x y]]]");
}

#[test]
fn who_waits_is_answered_when_something_comes() {
    let broker = Broker::start();
    let mut waiting = broker.redis("waiting");
    waiting.send("XREAD BLOCK 0 STREAMS s t $ $");
    // What it says meanwhile is answered afterwards.
    waiting.send("PING");
    let mut text = broker.client("text");
    support::eventually("it waits", || {
        text.send("channels");
        text.until("ok channels *").len() == 3
    });
    // An entry that is no message does not end the wait.
    text.ask("sub t", "ok sub t *");
    text.ask("pub t one", "ok pub t 2");
    waiting.expect("[[t [[2-0 [data one]]]]]");
    waiting.expect("+PONG");
    text.expect("msg t 2 text one");
    // Messages that are there already are answered at once.
    waiting.ask("XREAD BLOCK 0 STREAMS t 0", "[[t [[2-0 [data one]]]]]");
    waiting.ask("XREAD BLOCK 20 STREAMS t $", "nil");
    waiting.ask("XREAD BLOCK 20 COUNT 5 STREAMS t s 2 0", "nil");
    waiting.expect_nothing();
    // A channel that keeps nothing has nothing to wait for.
    text.ask("create none", "ok create none");
    waiting.ask("XREAD BLOCK 0 STREAMS none $", "-ERR gone *");
    // A client that waits for ever is let go of when its connection ends.
    waiting.send("XREAD BLOCK 0 STREAMS t $");
    waiting.client.close();
    support::eventually("it is gone", || {
        text.send("who");
        text.until("ok who *").len() == 2
    });
}

/// A channel that ends while somebody waits for it may be made again: all that is
/// in it then is new.
#[test]
fn who_waits_gets_what_comes_after_the_channel_was_dropped() {
    let broker = Broker::start();
    let mut text = broker.client("text");
    let mut other = broker.redis("other");
    for (channel, block) in [("a", 0), ("b", 60_000)] {
        other.ask(&format!("XADD {channel} * n 1"), "1-0");
        let mut waiting = broker.redis("waiting");
        waiting.send(&format!("XREAD BLOCK {block} STREAMS {channel} with-{channel} $ $"));
        support::eventually("it waits", || {
            text.send("channels");
            let channels = text.until("ok channels *");
            channels.iter().any(|row| row.starts_with(&format!("channel with-{channel} ")))
        });
        text.ask(&format!("sub {channel}"), "ok sub *");
        text.send(&format!("drop {channel}"));
        text.expect_unordered(&["ok drop *", "left * reason=dropped"]);
        other.ask(&format!("XADD {channel} * n again"), "1-0");
        waiting.expect(&format!("[[{channel} [[1-0 [n again]]]]]"));
        waiting.expect_nothing();
    }
}

/// More than fits into memory comes from the disk, in either direction, and so
/// does what was there before the broker began.
#[test]
fn a_durable_history_is_read_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let settings = ["--data", data.to_str().unwrap(), "--log-bytes", "64KiB"];
    let mut broker = Broker::from_child(Child::with(&settings));
    let mut redis = broker.redis("redis");
    redis.ask("CREATE s --durable", "*");
    let mut bytes = Vec::new();
    for n in 1..=3_000 {
        bytes.extend(encoded(&[b"XADD", b"s", b"*", b"n", format!("{n}").as_bytes()]));
    }
    // Sent behind all messages, so it counts all of them.
    bytes.extend(encoded(&[b"XLEN", b"s"]));
    redis.client.send_bytes(&bytes);
    for n in 1..=3_000 {
        redis.expect(&format!("{n}-0"));
    }
    redis.expect(":3000");
    for _ in 0..2 {
        redis.ask("XRANGE s 7 8", "[[7-0 [n 7]] [8-0 [n 8]]]");
        redis.ask("XRANGE s 2990 + COUNT 2", "[[2990-0 [n 2990]] [2991-0 [n 2991]]]");
        redis.ask("XREVRANGE s + - COUNT 1", "[[3000-0 [n 3000]]]");
        let newest = redis.ask("XREVRANGE s + - COUNT 700", "[[3000-0 *]]");
        let ids = (2_301..=3_000).rev().map(|n| format!("[{n}-0 [n {n}]]")).collect::<Vec<_>>();
        assert_eq!(newest, format!("[{}]", ids.join(" ")));
        let all = redis.ask("XRANGE s - +", "[[1-0 *]]");
        let ids = (1..=3_000).map(|n| format!("[{n}-0 [n {n}]]")).collect::<Vec<_>>();
        assert_eq!(all, format!("[{}]", ids.join(" ")));
        redis.ask("XREVRANGE s 5 - COUNT 2", "[[5-0 [n 5]] [4-0 [n 4]]]");
        redis.ask("XREAD COUNT 1 BLOCK 0 STREAMS s 41", "[[s [[42-0 [n 42]]]]]");
        redis.ask("XLEN s", ":3000");
        redis.ask("HISTORY s --from 9 --last 1", "-ERR bad-request *");
        redis.ask("HISTORY s --last 1", "[channel s count :1 rows [[msg s :3000 *]]]");
        redis.ask("DIGEST s 1 3000", "[channel s from :1 to :3000 count :3000 sha256 *]");
        broker.child().kill();
        broker = Broker::from_child(Child::with(&settings));
        redis = broker.redis("redis");
    }
}

#[test]
fn what_is_read_from_the_disk_for_nobody_is_no_answer_to_another_request() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &[]);
    let mut redis = broker.redis("redis");
    redis.ask("CREATE s --durable", "*");
    redis.ask("XADD s * n 1", "1-0");
    redis.send("CLIENT REPLY OFF");
    redis.send("DIGEST s 1 1");
    redis.send("HISTORY s");
    redis.ask("CLIENT REPLY ON", "+OK");
    redis.send("CLIENT REPLY SKIP");
    redis.send("DIGEST s 1 1");
    redis.ask("HISTORY s --last 1", "[channel s count :1 rows [[msg s :1 *]]]");
    redis.ask("DIGEST s 1 1", "[channel s from :1 to :1 count :1 sha256 *]");
}

/// An answer is bounded: a client that asks for more than that is told to ask for less,
/// and one that only asks for what comes next gets as much as there is room for.
#[test]
fn answers_have_an_end() {
    let broker = Broker::with(|config| config.log_bytes = 16 * 1024 * 1024);
    let mut redis = broker.redis("redis");
    let payload = vec![b'x'; 60_000];
    for _ in 0..100 {
        redis.send_words(&[b"XADD", b"s", b"*", b"data", &payload]);
        redis.expect("*-0");
    }
    redis.ask("XRANGE s - +", "-ERR too-long *");
    redis.ask("XREVRANGE s + -", "-ERR too-long *");
    let read = redis.ask("XREAD STREAMS s 0", "[[s [[1-0 *]]]]");
    let entries = read.matches("-0 [data ").count();
    assert!((60..100).contains(&entries), "{entries}");
    redis.ask("XRANGE s - + COUNT 60", "[[1-0 *]]");
    redis.ask("XLEN s", ":100");
}

/// "A request that fails changes nothing."
#[test]
fn a_wait_that_fails_makes_no_channel() {
    let broker = Broker::with(|config| config.max_channels = 2);
    let mut redis = broker.redis("redis");
    redis.ask("XREAD BLOCK 20 STREAMS new bad:name $ $", "-ERR bad-request *");
    redis.ask("XREAD BLOCK 20 STREAMS a b c $ $ $", "-ERR full *");
    let mut text = broker.client("text");
    text.ask("create none", "ok create none");
    redis.ask("XREAD BLOCK 20 STREAMS new none $ $", "-ERR gone *");
    redis.ask("XREAD BLOCK 20 STREAMS a b $ $", "-ERR full *");
    text.send("channels");
    text.expect_all(&["channel none *", "ok channels 1"]);
    // The same channel twice counts once.
    redis.ask("XREAD BLOCK 20 STREAMS a a $ $", "nil");
}
