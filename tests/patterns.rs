//! "`sub --pattern GLOB`: an observer of every channel, present or to come,
//! whose name matches (`*`, `?`, `[…]`)."

mod support;

use support::{Broker, Child, Client};

#[test]
fn a_pattern_observes_present_and_future_channels() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    for channel in ["news.a", "news.b", "other"] {
        alice.ask(&format!("create {channel}"), "ok create *");
    }
    let mut olga = broker.client("olga");
    olga.ask("sub --pattern news.*", "ok sub news.* matched=2");
    alice.ask("pub news.a one", "ok pub news.a 1");
    olga.expect("msg news.a 1 alice one");
    alice.ask("pub other two", "ok pub other 1");
    // One that comes later, from its very first entry.
    alice.ask("sub news.c --create", "ok sub news.c rank=0 term=1 view=1 seq=1 members=1");
    alice.ask("pub news.c three", "ok pub news.c 2");
    alice.expect("msg news.c 2 alice three");
    olga.expect_all(&["join news.c 1 alice 0", "msg news.c 2 alice three"]);
    olga.expect_nothing();
    // "She is not in the roster."
    alice.ask("rank news.c", "ok rank news.c 0 term=1 view=1 members=1");
    olga.ask("unsub news.*", "ok unsub news.*");
    for channel in ["news.a", "news.b", "news.c"] {
        alice.ask(&format!("pub {channel} late"), "ok pub *");
    }
    alice.expect("msg news.c 3 alice late");
    alice.ask("create news.d", "ok create news.d");
    alice.ask("pub news.d late", "ok pub news.d 1");
    olga.expect_nothing();
    olga.ask("unsub news.*", "err not-member *");
}

#[test]
fn star_question_mark_and_brackets() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    for channel in ["a1", "a2", "b1", "ab1", "a"] {
        alice.ask(&format!("create {channel}"), "ok create *");
    }
    let mut olga = broker.client("olga");
    for (glob, matched) in
        [("*", 5), ("a*", 4), ("a?", 2), ("[ab]1", 2), ("[!a]*", 1), ("a[1-2]", 2), ("a", 1)]
    {
        olga.ask(&format!("sub --pattern {glob}"), &format!("ok sub {glob} matched={matched}"));
    }
    // However many match, every entry comes once.
    alice.ask("pub a1 hi", "ok pub a1 1");
    olga.expect("msg a1 1 alice hi");
    olga.expect_nothing();
    // Those that still match keep it.
    for glob in ["a*", "a?", "[ab]1", "a[1-2]"] {
        olga.ask(&format!("unsub {glob}"), "ok unsub *");
    }
    alice.ask("pub a1 again", "ok pub a1 2");
    olga.expect("msg a1 2 alice again");
    olga.ask("unsub *", "ok unsub *");
    alice.ask("pub a1 late", "ok pub a1 3");
    alice.ask("pub b1 still", "ok pub b1 1");
    olga.expect("msg b1 1 alice still");
    olga.expect_nothing();
    for bad in ["'[a'", "''", "'a b'", "a/*"] {
        olga.ask(&format!("sub --pattern {bad}"), "err bad-request *");
    }
}

/// Who joins a channel that it observes by pattern is a member of it, gets
/// every entry once, and goes on observing when it leaves.
#[test]
fn an_explicit_sub_while_a_pattern_matches() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "news");
    let mut olga = broker.client("olga");
    olga.ask("sub --pattern n*", "ok sub n* matched=1");
    alice.ask("pub news one", "ok pub news 2");
    alice.expect("msg news 2 alice one");
    olga.expect("msg news 2 alice one");
    olga.ask("sub news", "ok sub news rank=1 term=3 view=3 seq=3 members=2");
    alice.expect("join news 3 olga 1");
    alice.ask("pub news two", "ok pub news 4");
    alice.expect("msg news 4 alice two");
    olga.expect("msg news 4 alice two");
    // The pattern's end is not the end of the membership.
    olga.ask("unsub n*", "ok unsub n*");
    alice.ask("/go", "ok cmd news 5 to=1");
    olga.expect("cmd news 5 alice 0 1 go");
    olga.ask("sub --pattern n*", "ok sub n* matched=1");
    olga.expect_nothing();
    olga.ask("unsub news", "ok unsub news");
    alice.expect_unordered(&["ack news 5 olga 1 left ", "done news 5 0/1", "left news 6 olga 1 *"]);
    alice.ask("pub news three", "ok pub news 7");
    alice.expect("msg news 7 alice three");
    olga.until("msg news 7 alice three");
    olga.ask("rank news", "err not-member *");
    olga.expect_nothing();
    alice.expect_nothing();
}

/// A channel that is dropped and made again is observed again.
#[test]
fn a_pattern_outlives_the_channels_that_it_matches() {
    let broker = Broker::start();
    let mut olga = broker.client("olga");
    olga.ask("sub --pattern n*", "ok sub n* matched=0");
    let mut alice = broker.client("alice");
    for _ in 0..3 {
        alice.ask("sub news --create", "ok sub news rank=0 term=1 *");
        alice.ask("drop news", "ok drop news");
        alice.expect("left news 2 alice 0 reason=dropped");
        olga.expect_all(&["join news 1 alice 0", "left news 2 olga * reason=dropped"]);
    }
    olga.expect_nothing();
}

/// What cannot be observed is not said to be: once, a pattern that matched more
/// channels than a client may have counted them all and observed some.
#[test]
fn a_pattern_that_matches_too_much_is_refused_whole() {
    let broker = Broker::with(|config| config.max_subscriptions = 2);
    let mut alice = broker.client("alice");
    for channel in ["c1", "c2", "c3"] {
        alice.ask(&format!("create {channel}"), &format!("ok create {channel}"));
    }
    let mut olga = broker.client("olga");
    olga.ask("sub --pattern c*", "err too-many *");
    olga.ask("sub --pattern c[12]", "ok sub c[12] matched=2");
    alice.ask("pub c3 unseen", "ok pub c3 1");
    alice.ask("pub c2 seen", "ok pub c2 1");
    olga.expect("msg c2 1 alice seen");
    olga.expect_nothing();
}

/// A channel that is full is not observed. An observer takes one of its places.
#[test]
fn a_channel_that_is_full_is_not_observed() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    alice.ask("create c1 --max 1", "ok create c1");
    alice.ask("sub c1", "ok sub c1 rank=0 *");
    alice.ask("create c2 --max 1", "ok create c2");
    let mut olga = broker.client("olga");
    olga.ask("sub --pattern c*", "ok sub c* matched=1");
    alice.ask("sub c2", "err full *");
    olga.ask("sub c1 --observe", "err full *");
    alice.ask("unsub c1", "ok unsub c1");
    olga.ask("sub c1 --observe", "ok sub c1 observer=yes *");
}

/// An observer by pattern reads the first channel of a name to its end, and then the
/// next one, however soon that came.
#[test]
fn channels_made_anew_at_once_are_read_one_after_the_other() {
    let broker = Broker::start();
    let mut olga = broker.client("olga");
    olga.ask("sub --pattern r*", "ok sub r* matched=0");
    let mut alice = broker.client("alice");
    alice.send_bytes("create r\nsub r\npub r old\ndrop r\n".repeat(3).as_bytes());
    for _ in 0..3 {
        olga.expect_all(&["join r 1 alice 0", "msg r 2 alice old", "left r 3 olga *dropped"]);
    }
    olga.expect_nothing();
}

/// What a client that does not read has yet to get of channels that are gone is
/// bounded. It gets the beginning, the end, and in between a `gap` for what is lost.
#[test]
fn channels_that_come_and_go_unread_take_no_more_than_one() {
    const CYCLES: usize = 30;
    let mut broker = Broker::from_child(Child::with(&["--log-bytes", "2MiB", "--stall", "10ms"]));
    let mut olga = broker.connect_narrow("olga");
    olga.ask("sub --pattern r*", "ok sub r* matched=0");
    let mut alice = broker.client("alice");
    alice.ask("hello --quiet", "ok hello *");
    let before = broker.child().peak_memory();
    for cycle in 0..CYCLES {
        alice.ask("sub r --create --no-echo", "ok sub r *");
        for _ in 0..400 {
            alice.send(&format!("pub r {cycle} {}", "x".repeat(4_000)));
        }
        alice.ask("drop r", "ok drop r");
        alice.expect("left r *");
    }
    let grown = broker.child().peak_memory() - before;
    assert!(grown < 24 << 20, "it has grown by {grown} bytes");
    alice.ask("create r", "ok create r");
    alice.send("pub r end");
    let (mut last, mut gaps) = (0, 0);
    for line in olga.until("msg r 1 alice end") {
        gaps += usize::from(line.starts_with("gap r "));
        let words: Vec<&str> = line.split(' ').collect();
        if let ["msg", "r", _, "alice", cycle, _] = words[..] {
            let cycle = cycle.parse::<usize>().expect("its number");
            assert!(cycle >= last, "{cycle} comes after {last}");
            last = cycle;
        }
    }
    assert!(gaps > 0, "nobody keeps 48 MB");
    olga.expect_nothing();
}

/// A session that is away finds the first and the last of the channels that came and
/// went.
#[test]
fn channels_that_come_and_go_while_a_session_is_away_take_no_more_than_one() {
    let mut broker = Broker::from_child(Child::with(&["--log-bytes", "2MiB", "--stall", "1m"]));
    let mut olga = broker.connect("olga");
    let session = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let hello = olga.ask(&format!("hello --name olga --session {session}"), "ok hello *");
    olga.ask("sub --pattern r*", "ok sub r* matched=0");
    olga.reset();
    let mut alice = broker.client("alice");
    support::eventually("she is away", || {
        alice.send("who");
        !alice.until("ok who *").iter().any(|line| line.contains("olga"))
    });
    let before = broker.child().peak_memory();
    for _ in 0..30 {
        alice.ask("sub r --create --no-echo", "ok sub r *");
        for _ in 0..200 {
            alice.send(&format!("pub r {}", "x".repeat(4_000)));
        }
        // Nobody waits a minute for her.
        alice.until("ok pub r 201");
        alice.ask("drop r", "ok drop r");
        alice.expect("left r *");
    }
    let grown = broker.child().peak_memory() - before;
    assert!(grown < 16 << 20, "it has grown by {grown} bytes");
    alice.ask("create r", "ok create r");
    alice.ask("pub r end", "ok pub r 1");
    let secret = support::field(&hello, "secret");
    let mut olga = broker.connect("olga");
    olga.ask(&format!("hello --session {session} --secret {secret}"), "ok hello *resumed=yes *");
    // Two of them fit into the log's bytes.
    for _ in 0..2 {
        olga.expect("join r 1 alice 0");
        for seq in 2..=201 {
            olga.expect(&format!("msg r {seq} alice xxx*"));
        }
        olga.expect("left r 202 olga - reason=dropped");
    }
    // Without this `gap`, a client would take the next seq for one of the channel before.
    olga.expect_all(&["gap r 1 201", "left r 202 olga - reason=dropped", "msg r 1 alice end"]);
    olga.expect_nothing();
}

/// Publishes to a channel more than a connection takes whose client does not read, and
/// drops the channel.
fn fill_and_drop(alice: &mut Client, channel: &str) {
    let text = "x".repeat(1_000);
    alice.ask(&format!("sub {channel} --create --no-echo"), "ok sub *");
    alice.send_bytes(format!("pub {channel} {text}\n").repeat(UNREAD).as_bytes());
    alice.until(&format!("ok pub {channel} {}", UNREAD + 1));
    alice.ask(&format!("drop {channel}"), "ok drop *");
    alice.expect("left *");
}

/// How many messages that is.
const UNREAD: usize = 3_000;

/// Olga, who has read nothing yet of a channel that is gone by now, and alice, who
/// filled it.
fn olga_and_what_she_has_not_read(broker: &Broker) -> (Client, Client) {
    let mut olga = broker.client("olga");
    olga.ask("sub --pattern c*", "ok sub c* matched=0");
    let mut alice = broker.client("alice");
    fill_and_drop(&mut alice, "c");
    (olga, alice)
}

/// Asserts that the messages of that channel, and its end, come before this line.
fn reads_the_first(olga: &mut Client, channel: &str, until: &str) {
    let lines = olga.until(until);
    let messages = lines.iter().filter(|line| line.starts_with("msg ")).count();
    assert_eq!(messages, UNREAD + usize::from(until.starts_with("msg ")));
    let end = format!("left {channel} {} olga - reason=dropped", UNREAD + 2);
    assert!(lines.contains(&end), "{:?}", lines.last());
}

/// Once, the channel that she had observed and the one that she joined each waited
/// for the other.
#[test]
fn who_joins_a_channel_made_anew_reads_the_first_to_its_end() {
    let broker = Broker::start();
    let (mut olga, mut alice) = olga_and_what_she_has_not_read(&broker);
    olga.send("sub c --create");
    support::eventually("olga has joined", || {
        alice.send("info c");
        alice.line().expect("a row").contains("members=1") && alice.line().is_some()
    });
    alice.ask("pub c new", "ok pub c 2");
    reads_the_first(&mut olga, "c", "msg c 2 alice new");
    olga.ask("unsub c", "ok unsub c");
    alice.ask("pub c newer", "ok pub c 4");
    olga.until("msg c 4 alice newer");
    olga.expect_nothing();
}

/// The same where the pattern ends before its last channel has been seen.
#[test]
fn who_observes_no_more_reads_what_was_there_in_order() {
    let broker = Broker::start();
    let (mut olga, _alice) = olga_and_what_she_has_not_read(&broker);
    olga.send_bytes(b"create c\npub c own\nunsub c*\nsub c\npub c new\n");
    reads_the_first(&mut olga, "c", "msg c 1 olga own");
    olga.until("msg c 3 olga new");
    olga.expect_nothing();
}

/// What is left of a channel is not forgotten when the pattern that had brought it
/// ends: the next channel of that name waits.
#[test]
fn who_comes_to_a_name_that_it_observes_no_more_waits_for_what_is_left() {
    let broker = Broker::start();
    let (mut olga, _alice) = olga_and_what_she_has_not_read(&broker);
    olga.send_bytes(b"unsub c*\nsub c --create\npub c new\n");
    reads_the_first(&mut olga, "c", "msg c 2 olga new");
    olga.expect_nothing();
}

/// Subscriptions reuse numbers, the last one first; that is not the order in which the
/// channels came.
#[test]
fn channels_are_read_in_the_order_in_which_they_came() {
    const NAMES: usize = 50;
    let broker = Broker::start();
    let mut olga = broker.client("olga");
    for verb in ["sub --create", "unsub"] {
        for n in 0..2 * NAMES {
            olga.ask(&format!("{verb} d{n}"), "ok *");
        }
    }
    olga.ask("sub --pattern c*", "ok sub c* matched=0");
    let mut alice = broker.client("alice");
    let of = |n| {
        let once = |what| format!("sub c{n} --create\npub c{n} {what}\n");
        format!("{}drop c{n}\n{}", once("old"), once("new"))
    };
    alice.send_bytes((0..NAMES).map(of).collect::<String>().as_bytes());
    let mut left = NAMES;
    let mut ended = [false; NAMES];
    while left > 0 {
        let line = olga.line().expect("she is connected");
        let words: Vec<&str> = line.split(' ').collect();
        let n: usize = words[1][1..].parse().expect("a number");
        match words[0] {
            "left" => ended[n] = true,
            "msg" => {
                let is_new = words[4] == "new";
                assert_eq!(ended[n], is_new, "{line}");
                left -= usize::from(is_new);
            }
            _ => {}
        }
    }
}

/// A pattern may be a plain name, and ends as any other does. `unsub` ends a membership
/// in the channel of that name first.
#[test]
fn a_pattern_without_special_characters_can_be_ended() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "abc");
    let mut olga = broker.client("olga");
    olga.ask("sub --pattern abc", "ok sub abc matched=1");
    olga.ask("unsub abc", "ok unsub abc");
    alice.ask("pub abc unseen", "ok pub abc 2");
    alice.expect("msg abc 2 alice unseen");
    olga.expect_nothing();
    olga.ask("unsub abc", "err not-member *");
    olga.ask("sub --pattern abc", "ok sub abc matched=1");
    olga.ask("sub abc", "ok sub abc rank=1 *");
    alice.expect("join abc 3 olga 1");
    olga.ask("unsub abc", "ok unsub abc");
    alice.expect("left abc 4 olga 1 reason=unsub");
    alice.ask("pub abc seen", "ok pub abc 5");
    olga.until("msg abc 5 alice seen");
    olga.ask("unsub abc", "ok unsub abc");
    olga.ask("unsub abc", "err not-member *");
    olga.expect_nothing();
}

/// A client that observes a channel by a pattern alone has not subscribed to it by name.
#[test]
fn what_is_observed_by_pattern_is_not_left_by_name() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    alice.ask("create c", "ok create c");
    let mut olga = broker.client("olga");
    olga.ask("sub --pattern c*", "ok sub c* matched=1");
    olga.ask("use c", "ok use c");
    olga.ask("unsub c", "err not-member *");
    olga.ask("ranks", "ok ranks c 0 *");
    alice.ask("pub c seen", "ok pub c 1");
    olga.expect("msg c 1 alice seen");
    olga.ask("unsub c*", "ok unsub c*");
    olga.ask("ranks", "err bad-request which channel*");
    olga.expect_nothing();
}

/// A kick also ends what the member observes by patterns, until it asks for them again.
#[test]
fn who_is_kicked_observes_no_more_until_it_asks_again() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "c");
    let mut olga = broker.client("olga");
    olga.ask("sub --pattern c*", "ok sub c* matched=1");
    olga.ask("sub c", "ok sub c rank=1 *");
    alice.ask("kick c olga", "*");
    alice.until("left c 3 olga 1 reason=kicked");
    olga.expect("left c 3 olga 1 reason=kicked");
    alice.ask("pub c unseen", "*");
    alice.until("msg c 4 alice unseen");
    alice.ask("create c2", "ok create c2");
    alice.ask("pub c2 seen", "ok pub c2 1");
    olga.expect("msg c2 1 alice seen");
    olga.expect_nothing();
    olga.ask("unsub c*", "ok unsub c*");
    olga.ask("sub --pattern c*", "ok sub c* matched=2");
    alice.ask("pub c seen again", "*");
    olga.expect("msg c 5 alice seen again");
    olga.expect_nothing();
}
