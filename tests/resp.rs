//! The Redis protocol, as Redis has it: messages and subscriptions. What comes
//! and goes is seen from the text dialect as well.

mod support;

use support::{Broker, Redis, encoded};

#[test]
fn messages_go_both_ways() {
    let broker = Broker::start();
    let mut text = broker.member("text", "news");
    let mut sub = broker.redis("sub");
    sub.ask("SUBSCRIBE news", "[subscribe news :1]");
    let mut publisher = broker.redis("pub");
    publisher.ask("CLIENT SETNAME poster", "+OK");
    // An observer is no member: nobody has seen it come.
    publisher.ask("PUBLISH news hello", ":2");
    text.expect("msg news 2 poster hello");
    sub.expect("[message news hello]");
    text.ask("pub news from text", "ok pub news 3");
    text.expect("msg news 3 text from text");
    sub.expect("[message news from text]");
    text.ask("pub --json news {\"a\": 1}", "ok pub news 4");
    sub.expect("[message news {\"a\": 1}]");
    sub.expect_nothing();
}

#[test]
fn a_channel_is_made_by_whoever_subscribes_and_by_nobody_else() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    redis.ask("PUBLISH news hello", ":0");
    let mut text = broker.client("text");
    text.ask("channels", "ok channels 0");
    redis.ask("SUBSCRIBE news sport", "[subscribe news :1]");
    redis.expect("[subscribe sport :2]");
    text.send("channels");
    text.expect_all(&["channel news members=0 *", "channel sport members=0 *", "ok channels 2"]);
    // What a pattern waits for is made by the first message to it.
    let mut observer = broker.redis("observer");
    observer.ask("PSUBSCRIBE w*", "[psubscribe w* :1]");
    let mut publisher = broker.redis("publisher");
    publisher.ask("PUBLISH weather rain", ":1");
    observer.expect("[pmessage w* weather rain]");
    publisher.ask("PUBLISH weather:1 rain", "-ERR bad-request *");
}

/// A client may be subscribed to a channel under several names, and hears each
/// message once under each, as it would from Redis.
#[test]
fn a_message_is_heard_under_every_name() {
    let broker = Broker::start();
    let mut sub = broker.redis("sub");
    sub.ask("PSUBSCRIBE n* ne*", "[psubscribe n* :1]");
    sub.expect("[psubscribe ne* :2]");
    sub.ask("SUBSCRIBE news", "[subscribe news :3]");
    sub.ask("SSUBSCRIBE news", "[ssubscribe news :1]");
    let mut publisher = broker.redis("pub");
    publisher.ask("PUBLISH news 1", ":1");
    for heard in ["message news", "smessage news", "pmessage n* news", "pmessage ne* news"] {
        sub.expect(&format!("[{heard} 1]"));
    }
    sub.ask("UNSUBSCRIBE news", "[unsubscribe news :2]");
    sub.ask("PUNSUBSCRIBE n*", "[punsubscribe n* :1]");
    publisher.ask("SPUBLISH news 2", ":1");
    sub.expect("[smessage news 2]");
    sub.expect("[pmessage ne* news 2]");
    sub.ask("SUNSUBSCRIBE news", "[sunsubscribe news :0]");
    publisher.ask("PUBLISH news 3", ":1");
    sub.expect("[pmessage ne* news 3]");
    sub.ask("PUNSUBSCRIBE", "[punsubscribe ne* :0]");
    publisher.ask("PUBLISH news 4", ":0");
    sub.expect_nothing();
    sub.ask("SSUBSCRIBE news", "[ssubscribe news :1]");
    publisher.ask("PUBLISH news 5", ":1");
    sub.expect("[smessage news 5]");
}

/// What was there before a client left comes before it is told so, however much
/// that is: in version 2 it could be taken for a reply.
#[test]
fn nothing_comes_after_the_end_of_a_subscription() {
    let broker = Broker::start();
    let mut sub = broker.redis("sub");
    sub.ask("SUBSCRIBE a b", "[subscribe a :1]");
    sub.expect("[subscribe b :2]");
    sub.ask("PSUBSCRIBE c*", "[psubscribe c* :3]");
    let mut publisher = broker.redis("pub");
    publisher.ask("PUBLISH c c", ":1");
    sub.expect("[pmessage c* c c]");
    let mut bytes = Vec::new();
    for round in 0..200 {
        for channel in [&b"a"[..], b"b", b"c"] {
            bytes.extend(encoded(&[b"PUBLISH", channel, format!("{round}").as_bytes()]));
        }
    }
    publisher.client.send_bytes(&bytes);
    for _ in 0..600 {
        publisher.expect(":1");
    }
    sub.send("UNSUBSCRIBE");
    sub.send("PUNSUBSCRIBE");
    sub.send("ECHO end");
    let mut next = [0; 3];
    for _ in 0..600 {
        let heard = sub.value();
        let words: Vec<&str> = heard.trim_matches(['[', ']']).split(' ').collect();
        let [.., channel, round] = words[..] else { panic!("{heard}") };
        let channel = usize::from(channel.as_bytes()[0] - b'a');
        assert_eq!(round, next[channel].to_string(), "{heard}");
        next[channel] += 1;
    }
    let both = [sub.value(), sub.value()];
    assert!(
        both.contains(&"[unsubscribe a :2]".into()) || both.contains(&"[unsubscribe b :2]".into())
    );
    sub.expect("[punsubscribe c* :0]");
    sub.expect("end");
    sub.expect_nothing();
}

#[test]
fn leaving_what_one_is_not_in_is_told_as_redis_does() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    redis.ask("UNSUBSCRIBE", "[unsubscribe nil :0]");
    redis.ask("PUNSUBSCRIBE", "[punsubscribe nil :0]");
    redis.ask("UNSUBSCRIBE x y", "[unsubscribe x :0]");
    redis.expect("[unsubscribe y :0]");
    redis.ask("SUBSCRIBE x x", "[subscribe x :1]");
    redis.expect("[subscribe x :1]");
    redis.ask("UNSUBSCRIBE y x x", "[unsubscribe y :1]");
    redis.expect("[unsubscribe x :0]");
    redis.expect("[unsubscribe x :0]");
    redis.ask("PSUBSCRIBE x", "[psubscribe x :1]");
    redis.ask("UNSUBSCRIBE x", "[unsubscribe x :1]");
    redis.ask("PUNSUBSCRIBE x", "[punsubscribe x :0]");
    redis.expect_nothing();
}

#[test]
fn a_subscriber_of_version_2_does_nothing_else() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    redis.ask("SUBSCRIBE a", "[subscribe a :1]");
    redis.ask("PING", "[pong ]");
    redis.ask("PING hi", "[pong hi]");
    for refused in ["ECHO hi", "PUBLISH a b", "XLEN a", "CHANNELS", "HELLO 3"] {
        redis.ask(refused, "-ERR bad-request Can't execute '*");
    }
    redis.ask("RESET", "+RESET");
    redis.ask("ECHO hi", "hi");
    redis.ask(
        "HELLO 3",
        "{server redis version * proto :3 id * mode standalone role master modules []}",
    );
    redis.ask("SUBSCRIBE a", "[subscribe a :1]");
    redis.ask("PING", "+PONG");
    redis.send("PUBLISH a b");
    let mut both = [redis.value(), redis.value()];
    both.sort();
    assert_eq!(both, [":1", "[message a b]"]);
    redis.ask("QUIT", "+OK");
    redis.client.expect_end();
}

#[test]
fn pipelined_messages_are_one_append_and_each_is_answered() {
    let broker = Broker::start();
    let mut text = broker.member("text", "news");
    let mut redis = broker.redis("redis");
    let mut bytes = Vec::new();
    for n in 0..100 {
        bytes.extend(encoded(&[b"PUBLISH", b"news", format!("{n}").as_bytes()]));
        bytes.extend(encoded(&[b"publish", b"nobody", b"x"]));
    }
    bytes.extend(encoded(&[b"PUBLISH", b"no name", b"x"]));
    bytes.extend(encoded(&[b"PUBLISH", b"news"]));
    redis.client.send_bytes(&bytes);
    for n in 0..100 {
        redis.expect(":1");
        redis.expect(":0");
        text.expect(&format!("msg news {} guest-* {n}", n + 2));
    }
    redis.expect("-ERR bad-request *");
    redis.expect("-ERR bad-request wrong number of arguments for 'publish' command");
    redis.expect_nothing();
}

/// What is published is any bytes, and comes out as it went in.
#[test]
fn payloads_are_bytes() {
    let broker = Broker::start();
    let mut text = broker.member("text", "news");
    let mut json = broker.connect("json");
    json.send("{\"op\":\"sub\",\"channel\":\"news\",\"observe\":true}");
    json.expect("{\"reply\":\"sub\",\"ok\":true,*");
    let mut raw = broker.connect("raw");
    raw.send_bytes(&encoded(&[b"SUBSCRIBE", b"news"]));
    raw.expect_all(&["*3\r", "$9\r", "subscribe\r", "$4\r", "news\r", ":1\r"]);
    let mut redis = broker.redis("redis");
    redis.send_words(&[b"PUBLISH", b"news", b"\x00a\\\r\n\xff\xc3\xa4"]);
    redis.expect(":3");
    text.expect("msg news 2 guest-* \\x00a\\\\\\r\\n\\xffä");
    json.expect("{\"frame\":\"msg\",*,\"data\":\"\\u0000a\\\\\\r\\n\u{fffd}ä\"}");
    redis.send_words(&[b"PUBLISH", b"news", b""]);
    redis.expect(":3");
    text.expect("msg news 3 guest-* ");
    drop((text, redis, json));
    raw.send_bytes(&encoded(&[b"QUIT"]));
    let all = raw.rest();
    let message = |payload: &[u8]| {
        let head = format!("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n${}\r\n", payload.len());
        [head.as_bytes(), payload, b"\r\n"].concat()
    };
    let expected = [message(b"\x00a\\\r\n\xff\xc3\xa4"), message(b"")].concat();
    // A reply may go ahead of messages.
    let (all, reply) = (all.escape_ascii().to_string(), "+OK\\r\\n");
    assert!(all.contains(reply), "{all}");
    assert_eq!(all.replacen(reply, "", 1), expected.escape_ascii().to_string());
}

#[test]
fn replies_can_be_left_out() {
    let broker = Broker::start();
    let mut sub = broker.redis("sub");
    sub.ask("SUBSCRIBE a", "[subscribe a :1]");
    let mut redis = broker.redis("redis");
    redis.send("CLIENT REPLY SKIP");
    redis.send("PUBLISH a 1");
    redis.ask("PUBLISH a 2", ":1");
    redis.send("CLIENT REPLY OFF");
    for _ in 0..10 {
        redis.send("PUBLISH a 3");
        redis.send("NONSENSE");
    }
    redis.ask("CLIENT REPLY ON", "+OK");
    redis.expect_nothing();
    for heard in ["1", "2", "3", "3"] {
        sub.expect(&format!("[message a {heard}]"));
    }
}

#[test]
fn who_has_subscribed_can_be_asked() {
    let broker = Broker::start();
    let mut sub = broker.redis("sub");
    sub.ask("SUBSCRIBE a b", "[subscribe a :1]");
    sub.expect("[subscribe b :2]");
    sub.ask("PSUBSCRIBE a* zz", "[psubscribe a* :3]");
    sub.expect("[psubscribe zz :4]");
    let _text = broker.member("text", "a");
    let mut redis = broker.redis("redis");
    redis.ask("PUBSUB CHANNELS", "[a b]");
    redis.ask("PUBSUB CHANNELS a*", "[a]");
    redis.ask("PUBSUB NUMSUB a b c", "[a :2 b :1 c :0]");
    redis.ask("PUBSUB NUMPAT", ":2");
    redis.ask("PUBSUB SHARDCHANNELS", "[a b]");
    redis.ask("PUBSUB NONSENSE", "-ERR bad-request *");
    redis.expect_nothing();
}

/// A channel that is dropped has no subscribers left, and they are told in the
/// one way that Redis has.
#[test]
fn a_subscriber_of_a_dropped_channel_is_told() {
    let broker = Broker::start();
    let mut text = broker.member("text", "a");
    let mut sub = broker.redis("sub");
    sub.ask("SUBSCRIBE a b", "[subscribe a :1]");
    sub.expect("[subscribe b :2]");
    text.ask("pub a last", "ok pub a 2");
    text.ask("drop a", "*");
    sub.expect("[message a last]");
    sub.expect("[unsubscribe a :1]");
    sub.ask("SUBSCRIBE a", "[subscribe a :2]");
    sub.expect_nothing();
}

/// The end is told under each name by which the client had the channel; a pattern goes
/// on.
#[test]
fn the_end_of_a_dropped_channel_is_told_under_each_name() {
    let broker = Broker::start();
    let mut text = broker.member("text", "a");
    let mut sub = broker.redis("sub");
    sub.ask("SUBSCRIBE a", "[subscribe a :1]");
    sub.ask("SSUBSCRIBE a", "[ssubscribe a :1]");
    sub.ask("PSUBSCRIBE a*", "[psubscribe a* :2]");
    let mut shard = broker.redis("shard");
    shard.ask("SSUBSCRIBE a", "[ssubscribe a :1]");
    let mut observer = broker.redis("observer");
    observer.ask("PSUBSCRIBE a*", "[psubscribe a* :1]");
    text.ask("drop a", "*");
    sub.expect("[unsubscribe a :1]");
    sub.expect("[sunsubscribe a :0]");
    shard.expect("[sunsubscribe a :0]");
    let mut publisher = broker.redis("publisher");
    publisher.ask("PUBLISH a new", ":2");
    sub.expect("[pmessage a* a new]");
    observer.expect("[pmessage a* a new]");
    for mut redis in [sub, shard, observer] {
        redis.expect_nothing();
    }
}

/// A client that knows nothing of this broker is sent nothing that it would take
/// for a reply.
#[test]
fn a_plain_client_is_told_nothing_that_redis_would_not_tell_it() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    redis.ask("CLIENT SETNAME redis", "+OK");
    let mut text = broker.client("text");
    text.ask("broadcast hello", "ok broadcast 0");
    text.ask("tell redis hello", "err denied *");
    redis.expect_nothing();
    redis.ask("RANKED ON", "+OK");
    text.ask("broadcast hello", "ok broadcast 1");
    text.ask("tell redis hi", "ok tell redis");
    redis.expect("[broadcast text hello]");
    redis.expect("[tell text hi]");
}

fn slow(broker: &Broker) -> Redis {
    let mut slow = Redis::new(broker.connect_narrow("slow"));
    slow.ask("SUBSCRIBE news", "[subscribe news :1]");
    slow
}

/// Redis closes the connection of a subscriber that is too slow, and so its
/// client finds out that it has missed something.
#[test]
fn a_plain_client_that_is_too_slow_is_disconnected() {
    let broker = Broker::with(|config| {
        config.log_bytes = 64 * 1024;
        config.stall = std::time::Duration::from_millis(20);
    });
    let mut slow = slow(&broker);
    let mut publisher = broker.redis("publisher");
    let payload = vec![b'x'; 16 * 1024];
    for _ in 0..2_000 {
        publisher.send_words(&[b"PUBLISH", b"news", &payload]);
        publisher.expect(":*");
    }
    let heard = slow.client.rest();
    let messages = heard.windows(7).filter(|word| *word == b"message").count();
    assert!((1..2_000).contains(&messages), "{messages}");
    support::eventually("it is gone", || {
        publisher.send("CLIENTS --history");
        publisher.value().contains("reason overflow")
    });
}
