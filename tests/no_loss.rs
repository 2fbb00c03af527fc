//! Promise 2. "No loss while you keep up. A member that keeps reading gets
//! every entry once."

mod support;

use std::thread;
use support::Broker;

const MANY: usize = 20_000;

/// Everything at once, without waiting for a single reply: each request has
/// its one reply, in order, and each message arrives once, in order, also at
/// the publisher itself.
#[test]
fn a_pipeline_of_twenty_thousand_messages() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "news");
    let mut bob = broker.member("bob", "news");
    alice.expect("join news 2 bob 1");
    let mut publishing = alice.sender();
    let heard = thread::scope(|scope| {
        scope.spawn(move || {
            let requests: Vec<String> = (0..MANY).map(|n| format!("pub news m{n}")).collect();
            publishing.send(&requests.join("\n"));
        });
        let bob = scope.spawn(move || {
            for n in 0..MANY {
                bob.expect(&format!("msg news {} alice m{n}", n + 3));
            }
            bob
        });
        let (mut replies, mut messages) = (0, 0);
        while replies < MANY || messages < MANY {
            let line = alice.line().expect("a line");
            let (count, what) = match line.strip_prefix("ok pub news ") {
                Some(seq) => (&mut replies, seq.to_owned()),
                None => (&mut messages, line),
            };
            *count += 1;
            let expected = [
                format!("{}", *count + 2),
                format!("msg news {} alice m{}", *count + 2, *count - 1),
            ];
            assert!(expected.contains(&what), "{what} instead of {expected:?}");
            assert!(replies >= messages, "a reply comes before its own frame");
        }
        bob.join().expect("bob hears everything")
    });
    for client in &mut [alice, heard] {
        client.expect_nothing();
    }
}

/// "`--quiet` suppresses the `ok` of `pub`": and nothing else of it.
#[test]
fn without_replies_every_message_arrives_all_the_same() {
    let broker = Broker::start();
    let mut bob = broker.member("bob", "news");
    let mut alice = broker.client("alice");
    alice.ask("hello --quiet", "ok hello *");
    for n in 0..MANY {
        alice.send(&format!("pub news {n}"));
    }
    for n in 0..MANY {
        bob.expect(&format!("msg news {} alice {n}", n + 2));
    }
    alice.expect_nothing();
    bob.expect_nothing();
}

/// One client on many channels: each is complete, in its own order.
#[test]
fn many_channels_at_once() {
    const CHANNELS: usize = 200;
    const EACH: usize = 60;
    let broker = Broker::start();
    let mut bob = broker.client("bob");
    for channel in 0..CHANNELS {
        bob.ask(&format!("sub c{channel} --create"), "ok sub *");
    }
    let publishers = ["alice", "carol"].map(|name| broker.client(name));
    thread::scope(|scope| {
        for mut publisher in publishers {
            scope.spawn(move || {
                publisher.ask("hello --quiet", "ok hello *");
                for n in 0..EACH {
                    for channel in 0..CHANNELS {
                        publisher.send(&format!("pub c{channel} {n}"));
                    }
                }
                publisher.expect_nothing();
            });
        }
        let mut next = vec![[0; 2]; CHANNELS];
        for _ in 0..2 * CHANNELS * EACH {
            let line = bob.expect("msg c* * * *");
            let words: Vec<&str> = line.split(' ').collect();
            let channel: usize = words[1][1..].parse().expect("a number");
            let [alice, carol] = &mut next[channel];
            assert_eq!(words[2], (*alice + *carol + 2).to_string(), "no holes: {line}");
            let from = if words[3] == "alice" { alice } else { carol };
            assert_eq!(words[4], from.to_string(), "each publisher's own order: {line}");
            *from += 1;
        }
    });
    bob.expect_nothing();
}

/// Any number of entries that are not for a member (here commands among those
/// below it) do not keep what is for it. Once, one look at the log found only
/// such entries, and nobody looked again.
#[test]
fn what_is_not_for_a_member_does_not_hide_what_is() {
    const COMMANDS: usize = 300;
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("news", ["alice", "bob", "carol"]);
    let commands = "/go\n".repeat(COMMANDS);
    bob.send(&format!("{commands}pub news after all that"));
    alice.expect(&format!("msg news {} bob after all that", COMMANDS + 4));
    carol.until("msg news * bob after all that");
    // The same for one who does not want his own words.
    let mut dave = broker.client("dave");
    dave.ask("sub news --no-echo", "ok sub news rank=3 *");
    // Something in between, so that each is an entry of its own in the log.
    dave.send(&("pub news mine\nping\n".repeat(COMMANDS) + "pub news mine"));
    alice.until(&format!("msg news {} dave mine", 2 * COMMANDS + 6));
    alice.ask("pub news yours", "ok pub news *");
    assert_eq!(dave.until("msg * alice yours").len(), 2 * COMMANDS + 2);
    dave.expect_nothing();
}

/// What a member that has left is still due is kept for it, although nobody
/// else needs it. Once, a channel with one member let go of what was published
/// in the same breath as the `unsub`.
#[test]
fn who_leaves_in_the_same_breath_gets_what_came_before() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    let text = "x".repeat(1_000);
    let messages = format!("pub news {text}\n").repeat(30);
    alice.send(&format!("create news\nsub news\n{messages}unsub news\nquit"));
    for seq in 2..32 {
        alice.until(&format!("msg news {seq} alice x*"));
    }
    alice.expect("bye quit");
}

/// "`quit` → everything still due to this connection, then `bye quit`"
#[test]
fn what_is_due_comes_before_bye() {
    let broker = Broker::start();
    // Bob ranks above, so that alice leaving changes nothing for him.
    let [mut bob, mut alice] = broker.team("news", ["bob", "alice"]);
    let text = "x".repeat(1_000);
    // More than the sockets hold; then quit, before anything was read.
    let mut publishing = alice.sender();
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..5_000 {
                publishing.send(&format!("pub news {n} {text}"));
            }
            publishing.send("quit");
        });
        scope.spawn(move || {
            for n in 0..5_000 {
                bob.expect(&format!("msg news * alice {n} x*"));
            }
            bob.expect("left news 5003 alice 1 reason=quit");
        });
        let (mut replies, mut messages) = (0, 0);
        let last = loop {
            let line = alice.line().expect("a line");
            if line.starts_with("ok pub ") {
                replies += 1;
            } else if line.starts_with("msg ") {
                messages += 1;
            } else {
                break line;
            }
        };
        assert_eq!((last.as_str(), replies, messages), ("bye quit", 5_000, 5_000));
        alice.expect_end();
    });
}

/// Nothing that was sent before a connection was half closed is lost, and
/// whoever only sends no more still gets what is due.
#[test]
fn a_half_closed_client_gets_what_is_due() {
    let broker = Broker::start();
    // Bob ranks above, so that alice leaving changes nothing for him.
    let [mut bob, mut alice] = broker.team("news", ["bob", "alice"]);
    alice.send("pub news one\npub news two");
    alice.half_close();
    alice.expect_all(&["ok pub news 3", "ok pub news 4"]);
    alice.expect_all(&["msg news 3 alice one", "msg news 4 alice two"]);
    alice.expect_end();
    bob.expect_all(&["msg news 3 alice one", "msg news 4 alice two"]);
    bob.expect("left news 5 alice 1 reason=lost");
    bob.expect_nothing();
    // As `printf 'pub news hi' | nc` does it, but for the line's end: a line
    // that never ended is no request.
    let mut script = broker.connect("script");
    script.send_bytes(b"pub news hi\npub news unfinished");
    script.half_close();
    script.expect("ok pub news 6");
    script.expect_end();
    bob.expect("msg news 6 guest-* hi");
    bob.expect_nothing();
}
