//! `sub CH [--from SEQ|first|now] [--last N]` and `history CH [--from SEQ]
//! [--last N]`: what a channel still holds, and `gap` for what it does not.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{Broker, Client, eventually, field, number};

/// Ten messages in a channel that keeps five, published one by one.
fn ten_messages(broker: &Broker) -> Client {
    let mut alice = broker.client("alice");
    alice.ask("create news --history 5", "ok create news");
    for n in 1..=10 {
        alice.ask(&format!("pub news m{n}"), &format!("ok pub news {n}"));
    }
    alice
}

/// A newcomer that subscribes with this option hears these lines right after its reply,
/// and then what comes next.
fn newcomer_hears(broker: &Broker, alice: &mut Client, start: &str, lines: &[&str]) {
    // Without a name: a name is free only a moment after its bearer's end.
    let mut bob = broker.connect("bob");
    let reply = bob.ask(&format!("sub news {start}"), "ok sub news rank=0 *");
    let joined = support::field(&reply, "seq");
    bob.expect_all(lines);
    alice.ask("pub news next", "ok pub news *");
    bob.expect("msg news * alice next");
    bob.expect_nothing();
    bob.ask("quit", "bye quit");
    bob.expect_end();
    assert_eq!(support::field(&reply, "term"), joined);
}

const LAST_FIVE: [&str; 5] = [
    "msg news 6 alice m6",
    "msg news 7 alice m7",
    "msg news 8 alice m8",
    "msg news 9 alice m9",
    "msg news 10 alice m10",
];

#[test]
fn sub_from_now_hears_nothing_old() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    newcomer_hears(&broker, &mut alice, "", &[]);
    newcomer_hears(&broker, &mut alice, "--from now", &[]);
    newcomer_hears(&broker, &mut alice, "--last 0", &[]);
}

#[test]
fn sub_from_first_hears_all_that_is_kept() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    newcomer_hears(&broker, &mut alice, "--from first", &LAST_FIVE);
}

#[test]
fn sub_from_a_seq_that_is_kept() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    newcomer_hears(&broker, &mut alice, "--from 9", &LAST_FIVE[3..]);
}

/// Five are kept: what is asked for and gone is a `gap`.
#[test]
fn sub_from_a_seq_that_is_gone() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    let mut lines = vec!["gap news 3 5"];
    lines.extend(LAST_FIVE);
    newcomer_hears(&broker, &mut alice, "--from 3", &lines);
}

/// A subscription from a seq that has yet to come begins with what comes next.
#[test]
fn sub_from_a_seq_to_come() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    newcomer_hears(&broker, &mut alice, "--from 11", &[]);
}

#[test]
fn sub_last() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    newcomer_hears(&broker, &mut alice, "--last 2", &LAST_FIVE[3..]);
}

/// `--last` takes what there is, and is never a gap.
#[test]
fn sub_last_of_more_than_is_kept() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    newcomer_hears(&broker, &mut alice, "--last 100", &LAST_FIVE);
}

/// `history CH [--from SEQ] [--last N]`: rows, the frames themselves; one need
/// not be a member.
#[test]
fn history_shows_the_frames_themselves() {
    let broker = Broker::start();
    let mut alice = ten_messages(&broker);
    let mut olga = broker.client("olga");
    for (request, lines) in [
        ("history news", &LAST_FIVE[..]),
        ("history news --from first", &LAST_FIVE),
        ("history news --from 1", &LAST_FIVE),
        ("history news --from 8", &LAST_FIVE[2..]),
        ("history news --last 1", &LAST_FIVE[4..]),
        ("history news --last 99", &LAST_FIVE),
        ("history news --last 0", &[]),
        ("history news --from 11", &[]),
        ("history news --from now", &[]),
    ] {
        olga.send(request);
        olga.expect_all(lines);
        olga.expect(&format!("ok history news {}", lines.len()));
    }
    olga.ask("history news --from 1 --last 2", "err bad-request *");
    olga.ask("history nowhere", "err no-channel *");
    let none = r#"{"reply":"history","ok":true,"channel":"news","count":0,"rows":[]}"#;
    broker.connect("otto").ask(r#"{"op":"history","channel":"news","from":"now"}"#, none);
    // Comings and goings are entries as well.
    let mut bob = broker.member("bob", "news");
    bob.ask("quit", "bye quit");
    alice.ask("pub news after", "ok pub news 13");
    olga.send("history news --last 3");
    olga.expect_all(&["join news 11 bob 0", "left news 12 bob 0 reason=quit"]);
    olga.expect_all(&["msg news 13 alice after", "ok history news 3"]);
    olga.expect_nothing();
}

/// Commands of the past oblige nobody: who comes later reads about them only
/// as an observer, or not at all; a member's own commands are in its history.
#[test]
fn a_newcomer_is_given_no_old_command() {
    let broker = Broker::start();
    let mut root = broker.client("root");
    root.ask("create ops --history 100", "ok create ops");
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    alice.ask("/go", "ok cmd ops 3 to=1");
    bob.expect("cmd ops 3 alice 0 1 go");
    let mut carol = broker.client("carol");
    carol.ask("sub ops --from first", "ok sub ops rank=2 *");
    carol.expect_all(&["join ops 1 alice 0", "join ops 2 bob 1"]);
    carol.expect_nothing();
    carol.ask("ack ops 3", "err denied *");
    bob.send("history ops");
    bob.until("cmd ops 3 alice 0 1 go");
    bob.until("ok history ops 4");
}

/// A broker that can have durable channels.
fn with_data(dir: &std::path::Path) -> Broker {
    Broker::keeping(dir, &["--data-free", "1KiB"])
}

fn publish_at_once(client: &mut Client, channel: &str, count: u64) {
    let lines = format!("pub {channel} some twenty bytes of text\n")
        .repeat(usize::try_from(count).unwrap());
    client.send_bytes(lines.as_bytes());
    (0..count).for_each(|_| drop(client.expect(&format!("ok pub {channel} *"))));
}

/// How many entries a channel keeps, and how long they are. They are the last ones, and
/// all who ask are told the same.
fn kept(broker: &Broker, client: &mut Client, channel: &str) -> (u64, usize) {
    client.send(&format!("info {channel}"));
    let info = client.until(&format!("ok info {channel}")).remove(0);
    let (head, first) = (field(&info, "seq"), field(&info, "first"));
    let (head, first): (u64, u64) = (head.parse().unwrap(), first.parse().unwrap());
    client.send(&format!("history {channel}"));
    let mut rows = client.until(&format!("ok history {channel} *"));
    rows.pop();
    let seqs: Vec<u64> = rows.iter().map(|row| number(row, 2)).collect();
    assert_eq!(seqs, (first..=head).collect::<Vec<u64>>(), "{channel}");
    let mut observer = broker.connect("observer");
    observer.ask(&format!("sub {channel} --from 1 --observe"), "ok sub *");
    if first > 1 {
        observer.expect(&format!("gap {channel} 1 {}", first - 1));
        client.ask(&format!("digest {channel} {} {head}", first - 1), "err gone *");
    }
    if let Some(row) = rows.first() {
        observer.expect(row);
        client.ask(&format!("digest {channel} {first} {head}"), "ok digest *");
    }
    observer.close();
    (head + 1 - first, rows.iter().map(|row| row.len() + 1).sum())
}

#[test]
fn all_who_ask_are_told_the_same_of_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = with_data(dir.path());
    let mut alice = broker.client("alice");
    let channels: Vec<String> = ["", " --durable"]
        .iter()
        .flat_map(|durable| {
            ["--history 10", "--history-bytes 1000", "--history 0"].map(|kept| (kept, durable))
        })
        .map(|(kept, durable)| {
            let name = format!("{kept}{durable}").replace([' ', '-'], "");
            alice.ask(&format!("create {name} {kept}{durable}"), "ok create *");
            name
        })
        .collect();
    let check = |broker: &Broker, alice: &mut Client| {
        for name in &channels {
            let (entries, bytes) = kept(broker, alice, name);
            if name.starts_with("historybytes") {
                // On the disk, what is noted beside each entry counts, too.
                assert!((700..=1_000).contains(&bytes), "{name}: {bytes}");
            } else {
                assert_eq!(entries, if name.starts_with("history10") { 10 } else { 0 }, "{name}");
            }
        }
    };
    for name in &channels {
        publish_at_once(&mut alice, name, 100);
    }
    check(&broker, &mut alice);
    for name in &channels {
        for _ in 0..50 {
            alice.ask(&format!("pub {name} some twenty bytes of text"), "ok pub *");
        }
    }
    check(&broker, &mut alice);
    alice.send("info historybytes1000durable");
    let info = alice.until("ok info *").remove(0);
    assert!(field(&info, "bytes").parse::<u64>().unwrap() > 900, "{info}");
    broker.child().kill();
    drop(broker);
    let broker = with_data(dir.path());
    let mut alice = broker.client("alice");
    for name in channels.iter().filter(|name| name.ends_with("durable")) {
        let (entries, bytes) = kept(&broker, &mut alice, name);
        assert_eq!(entries > 0, !name.starts_with("history0"), "{name}");
        assert!(bytes <= 1_000, "{name}: {bytes}");
    }
}

/// Regression: the answer had no rows if all of it was to be read from the disk, and
/// there was nothing.
#[test]
fn an_answer_without_entries_has_its_rows_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let broker = with_data(dir.path());
    let mut alice = broker.client("alice");
    alice.ask("create d --durable", "ok create d");
    let mut otto = broker.connect("otto");
    let none = r#"{"reply":"history","ok":true,"channel":"d","count":0,"rows":[]}"#;
    otto.ask(r#"{"op":"history","channel":"d"}"#, none);
    alice.ask("pub d one", "ok pub d 1");
    for which in [r#""from":"now""#, r#""from":9"#, r#""last":0"#] {
        otto.ask(&format!(r#"{{"op":"history","channel":"d",{which}}}"#), none);
    }
    let mut redis = broker.redis("redis");
    redis.ask("HELLO 3", "*");
    redis.ask("RANKED ON", "+OK");
    redis.ask("HISTORY d --from 9", "{channel d count :0 rows []}");
}

/// What is on disk beyond the bounds is deleted later, a part at a time. Nobody who
/// asks sees that, neither while it goes nor after a restart.
#[test]
fn what_was_gone_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = with_data(dir.path());
    let mut alice = broker.client("alice");
    alice.ask("create log --durable --history-bytes 1000", "ok create log");
    let first = |client: &mut Client| {
        client.send("info log");
        field(&client.until("ok info *").remove(0), "first").parse::<u64>().unwrap()
    };
    let mut before = 0;
    for n in 0..4_000 {
        // Each is a chunk of its own.
        alice.ask("pub log hello", "ok pub log *");
        if n % 100 == 99 {
            let now = first(&mut alice);
            assert!(now >= before, "{now} < {before} after {n}");
            before = now;
        }
    }
    assert!(before > 3_900, "{before}");
    broker.child().kill();
    drop(broker);
    let broker = with_data(dir.path());
    let mut alice = broker.client("alice");
    eventually("all is looked at", || first(&mut alice) >= before);
}

#[test]
fn what_is_too_old_is_not_shown_though_nothing_comes_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let broker = with_data(dir.path());
    let mut alice = broker.client("alice");
    for (name, durable) in [("memory", ""), ("disk", "--durable")] {
        alice.ask(&format!("create {name} --history-age 3 {durable}"), "ok create *");
        publish_at_once(&mut alice, name, 100);
        assert_eq!(kept(&broker, &mut alice, name).0, 100);
    }
    for name in ["memory", "disk"] {
        eventually("all are too old", || {
            alice.send(&format!("history {name} --last 1"));
            alice.until("ok history *").len() == 1
        });
        assert_eq!(kept(&broker, &mut alice, name), (0, 0));
    }
}

/// The bounds of the history apply to newcomers and to questions, not to a session that
/// comes back.
#[test]
fn who_comes_back_gets_what_newcomers_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let broker = with_data(dir.path());
    let mut alice = broker.client("alice");
    let hello = "hello --name bob --session 6ba7b810-9dad-41d1-80b4-00c04fd430c8";
    let mut bob = broker.connect("bob");
    bob.ask(hello, "ok hello *");
    for (name, durable) in [("memory", ""), ("disk", "--durable")] {
        alice.ask(&format!("create {name} --history-bytes 1000 {durable}"), "ok create *");
        bob.ask(&format!("sub {name} --observe"), "ok sub *");
    }
    bob.close();
    for name in ["memory", "disk"] {
        publish_at_once(&mut alice, name, 100);
        assert!((15..=30).contains(&kept(&broker, &mut alice, name).0));
    }
    let mut bob = broker.connect("bob");
    eventually("bob is let go of", || {
        bob.send(hello);
        bob.line().is_some_and(|line| support::matches("ok hello * resumed=yes *", &line))
    });
    let mut lines = (0..200).map(|_| bob.line().unwrap()).collect::<Vec<_>>();
    lines.sort_by_key(|line| (line.starts_with("msg memory"), number(line, 2)));
    let expected = (1..=200).map(|n| {
        let name = if n <= 100 { "disk" } else { "memory" };
        format!("msg {name} {} alice some twenty bytes of text", (n - 1) % 100 + 1)
    });
    assert_eq!(lines, expected.collect::<Vec<_>>());
}

/// A long answer is written as fast as it is read, however many ask for one.
#[test]
fn answers_that_nobody_reads_take_no_memory_each() {
    const TEXT: usize = 50_000;
    let mut broker = Broker::process();
    let mut alice = broker.client("alice");
    alice.ask("create ops --history 100", "ok create ops");
    let text = "x".repeat(TEXT);
    for seq in 1..=60 {
        alice.ask(&format!("pub ops {text}"), &format!("ok pub ops {seq}"));
    }
    let before = broker.child().peak_memory();
    let mut waiting: Vec<_> =
        (0..40).map(|n| broker.connect_narrow(&format!("narrow{n}"))).collect();
    for client in &mut waiting {
        client.introduce();
        client.send("history ops");
    }
    // Each of them has been served by now.
    for client in &mut waiting {
        client.expect("msg ops 1 *");
    }
    let grown = broker.child().peak_memory() - before;
    assert!(grown < 30 << 20, "it has grown by {grown} bytes");
    let mut last = waiting.swap_remove(0);
    // One of them is there already.
    assert_eq!(last.until("ok history ops 60").len(), 60);
}
