//! The Redis protocol: how subscriptions end.

mod support;

use support::Broker;

#[test]
fn many_channels_are_left_at_once() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    for n in 1..=700 {
        redis.ask(&format!("SUBSCRIBE c{n}"), &format!("[subscribe c{n} :{n}]"));
    }
    redis.send("UNSUBSCRIBE");
    let mut left: Vec<String> = (1..=700).map(|_| redis.value()).collect();
    let counts: Vec<&str> = left.iter().map(|l| l.rsplit(':').next().unwrap()).collect();
    let expected: Vec<String> = (0..700).rev().map(|n| format!("{n}]")).collect();
    assert_eq!(counts, expected);
    left.sort();
    left.dedup_by_key(|line| line.split(' ').nth(1).unwrap().to_owned());
    assert_eq!(left.len(), 700);
    redis.ask("ECHO hi", "hi");
}

#[test]
fn a_reset_ends_everything() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    redis.ask("HELLO 3 SETNAME me", "*");
    redis.ask("SUBSCRIBE a b", "[subscribe a :1]");
    redis.expect("[subscribe b :2]");
    redis.ask("PSUBSCRIBE a", "[psubscribe a :3]");
    redis.ask("SSUBSCRIBE a s", "[ssubscribe a :1]");
    redis.expect("[ssubscribe s :2]");
    redis.ask("RESET", "+RESET");
    redis.ask("CLIENT GETNAME", "nil");
    redis.ask("HELLO", "[server redis * proto :2 *]");
    let mut other = broker.redis("other");
    for channel in ["a", "b", "s"] {
        other.ask(&format!("PUBLISH {channel} x"), ":0");
    }
    redis.expect_nothing();
    redis.ask("SUBSCRIBE a", "[subscribe a :1]");
    other.ask("PUBLISH a x", ":1");
    redis.expect("[message a x]");
}

/// A request whose reply is left out may be one that has to wait.
#[test]
fn a_reply_that_comes_later_can_be_left_out() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    redis.ask("XADD s * a 1", "1-0");
    for skipped in ["XRANGE s - +", "XREAD BLOCK 10 STREAMS s $", "UNSUBSCRIBE", "XLEN s"] {
        redis.send("CLIENT REPLY SKIP");
        redis.send(skipped);
        redis.ask("ECHO hi", "hi");
    }
    redis.send("CLIENT REPLY OFF");
    redis.send("CLIENT REPLY SKIP");
    redis.send("XLEN s");
    redis.send("XLEN s");
    redis.ask("CLIENT REPLY ON", "+OK");
    redis.expect_nothing();
}

/// `SUB --pattern` counts as `PSUBSCRIBE` does.
#[test]
fn requests_of_the_text_dialect_count_as_subscriptions() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    redis.ask("HELLO 3", "*");
    redis.ask("SUB --pattern n*", "{pattern n* matched :0}");
    redis.ask("SUBSCRIBE news", "[subscribe news :2]");
    let mut other = broker.redis("other");
    other.ask("PUBLISH news x", ":1");
    redis.expect("[message news x]");
    redis.expect("[pmessage n* news x]");
    redis.ask("UNSUB n*", "{pattern n*}");
    redis.ask("SUBSCRIBE news", "[subscribe news :1]");
    other.ask("PUBLISH news y", ":1");
    redis.expect("[message news y]");
    redis.expect_nothing();
}

/// A client that leaves a durable channel is told so when the disk has what was before
/// it.
#[test]
fn leaving_a_durable_channel() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::with(|config| config.data = Some(dir.path().join("data")));
    let mut redis = broker.redis("redis");
    redis.ask("HELLO 3", "*");
    redis.ask("CREATE log --durable", "{channel log}");
    redis.send("SUBSCRIBE log");
    for n in 0..50 {
        redis.send(&format!("PUBLISH log {n}"));
    }
    redis.send("UNSUBSCRIBE log");
    redis.send("PUBLISH log late");
    redis.expect("[subscribe log :1]");
    let (mut messages, mut replies) = (0, 0);
    while messages < 50 || replies < 50 {
        let value = redis.value();
        if value == ":1" {
            replies += 1;
        } else {
            assert_eq!(value, format!("[message log {messages}]"));
            messages += 1;
        }
    }
    redis.expect("[unsubscribe log :0]");
    redis.expect(":0");
    redis.expect_nothing();
}
