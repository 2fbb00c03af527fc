//! Promises 2, 3 and 6: no loss while you keep up, bounded memory, two lanes.
//!
//! The slow member has as small a receive buffer as there is, and the log is small, so
//! that a few megabytes are more than all buffers between hold.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use support::{Broker, Client, SMALL_LOG, field, number, small_log};

/// Bytes of one message, about.
const MESSAGE: usize = 4_000;
/// Messages that no buffer holds: 16 MB.
const FLOOD: usize = 4_000;

/// A member that reads little at a time, or not at all.
fn sloth(broker: &Broker) -> Client {
    let mut sloth = broker.connect_narrow("sloth");
    sloth.introduce();
    sloth.ask("sub ops", "ok sub ops *");
    sloth
}

/// Publishes messages number `from` to `to`, from somebody who does nothing
/// else, and waits until all are in.
fn flood(publisher: &mut Client, from: usize, to: usize) {
    let text = "x".repeat(MESSAGE);
    for n in from..to {
        publisher.send(&format!("pub ops {n} {text}"));
    }
    publisher.expect_nothing();
}

fn publisher(broker: &Broker) -> Client {
    let mut publisher = broker.client("publisher");
    publisher.ask("hello --quiet", "ok hello *");
    publisher
}

/// Reads messages up to number `last`, which must come one after the other.
fn reads_all(client: &mut Client, from: usize, last: usize) {
    for n in from..last {
        client.expect(&format!("msg ops * publisher {n} x*"));
    }
}

/// What a member that was too slow hears, up to this seq: everything that is
/// not in a `gap`, each entry once and in order. Gives the other lines with the
/// number of entries that came before each, and how many entries were missing.
fn hears_what_is_left(client: &mut Client, mut seq: u64, last: u64) -> (Vec<(u64, String)>, u64) {
    let (mut others, mut missing, mut heard) = (Vec::new(), 0, 0);
    while seq < last {
        let line = client.line().expect("the slow one keeps its connection");
        if line.starts_with("msg ") {
            assert_eq!(number(&line, 2), seq + 1, "the very next one");
            seq += 1;
            heard += 1;
        } else if line.starts_with("gap ") {
            assert_eq!(number(&line, 2), seq + 1, "a gap begins where reading ended: {line}");
            missing += number(&line, 3) - seq;
            seq = number(&line, 3);
            others.push((heard, line));
        } else {
            others.push((heard, line));
        }
    }
    (others, missing)
}

/// "A member that makes no progress for the stall time no longer slows anyone:
/// it is served from the log when it comes back, and told `gap` for whatever
/// the log no longer holds." "Being behind on the log never costs a seat."
#[test]
fn a_stalled_member_slows_nobody_and_is_told_what_it_missed() {
    let broker = Broker::with(|config| {
        small_log(config);
        // Bob reads all the time; a pause on a loaded machine must not make him a slow
        // member.
        config.stall = Duration::from_secs(2);
    });
    let mut bob = broker.member("bob", "ops");
    let mut sloth = sloth(&broker);
    bob.expect("join ops 2 sloth 1");
    let mut publisher = publisher(&broker);
    let bob = thread::spawn(move || {
        reads_all(&mut bob, 0, FLOOD);
        bob
    });
    flood(&mut publisher, 0, FLOOD);
    let mut bob = bob.join().expect("bob gets everything");
    // "A stalled member costs no memory beyond its cursor."
    let row = publisher.ask("info ops", "channel ops *");
    publisher.expect("ok info ops");
    let bytes: usize = field(&row, "bytes").parse().expect("a number");
    assert!(bytes <= SMALL_LOG + 128 * 1024, "the log takes {bytes}");
    // It keeps its seat, and what is for it alone overtakes its backlog.
    bob.ask("tell sloth wake up", "ok tell sloth");
    bob.ask("promote ops sloth", "ok promote ops sloth rank=0 *");
    let last = u64::try_from(FLOOD).expect("it fits") + 2;
    let (others, missing) = hears_what_is_left(&mut sloth, 2, last);
    assert!(missing > 0, "it was too slow");
    let place = |start: &str| others.iter().position(|(_, line)| line.starts_with(start));
    let gap = place("gap ops ").expect("it is told");
    assert!(place("tell bob wake up").expect("it is told") <= gap, "{others:?}");
    assert!(place("rank ops 0 ").expect("it is told") <= gap + 1, "{others:?}");
    sloth.expect("move ops * sloth 1 0");
    sloth.ask("rank ops", &format!("ok rank ops 0 term={} *", last + 1));
    // And now that it reads, it misses nothing.
    flood(&mut publisher, 0, 10);
    reads_all(&mut sloth, 0, 10);
    sloth.expect_nothing();
}

/// Each publisher is woken when there is room. By the time that it looks, others may
/// have filled the log again; then it is to be woken once more.
#[test]
fn publishers_that_wait_for_the_same_member_all_get_their_turn() {
    const EACH: usize = FLOOD / 8;
    let broker = Broker::with(|config| {
        config.log_bytes = SMALL_LOG;
        config.stall = Duration::from_secs(3_600);
    });
    let mut bob = broker.member("bob", "ops");
    let mut publishers = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"].map(|name| {
        let mut publisher = broker.client(name);
        publisher.ask("hello --quiet", "ok hello *");
        publisher
    });
    thread::scope(|scope| {
        for publisher in &mut publishers {
            scope.spawn(|| flood(publisher, 0, EACH));
        }
        for _ in 0..8 * EACH {
            bob.expect("msg ops * x*");
        }
    });
    bob.expect_nothing();
}

/// What it says meanwhile lies unread because the broker wants it so, and its lease
/// goes on.
#[test]
fn who_has_to_wait_as_a_publisher_is_not_silent() {
    let time = Duration::from_millis(300);
    let broker = Broker::with(|config| {
        config.log_bytes = SMALL_LOG;
        config.stall = Duration::from_secs(3_600);
        (config.lease, config.guard) = (time, time);
    });
    let mut sloth = broker.connect_narrow("sloth");
    sloth.ask("create ops", "ok create ops");
    sloth.ask("sub ops --observe", "ok sub ops *");
    let mut publisher = publisher(&broker);
    publisher.ask("create lead --on-close safe", "ok create lead");
    publisher.ask("sub lead", "ok sub lead rank=0 *");
    let mut carol = broker.member("carol", "lead");
    publisher.expect("join lead * carol 1");
    publisher.ask("ping", "ok ping lease=300");
    thread::scope(|scope| {
        scope.spawn(|| flood(&mut publisher, 0, FLOOD));
        support::eventually("the log is full", || {
            let row = carol.ask("info ops", "channel ops *");
            carol.expect("ok info ops");
            field(&row, "bytes").parse::<usize>().expect("a number") >= SMALL_LOG
        });
        // Its lease would have run out by now.
        thread::sleep(time * 4);
        carol.ask("rank lead", "ok rank lead 1 *");
        for _ in 0..FLOOD {
            sloth.expect("msg ops * x*");
        }
    });
    carol.expect_nothing();
}

/// Publishers have to wait in every dialect, even one that has only just come: it has
/// filled nothing, but it would.
#[test]
fn who_comes_anew_waits_with_those_who_are_there() {
    let broker = Broker::with(|config| {
        config.log_bytes = SMALL_LOG;
        config.stall = Duration::from_secs(3_600);
    });
    let mut boss = broker.member("boss", "ops");
    let mut sloth = sloth(&broker);
    boss.expect("join ops 2 sloth 1");
    let (mut publisher, mut watcher) = (publisher(&broker), broker.client("watcher"));
    let mut row = || {
        let row = watcher.ask("info ops", "channel ops *");
        watcher.expect("ok info ops");
        row
    };
    let (mut plain, mut keyed) = (broker.connect("plain"), broker.connect("keyed"));
    let (mut redis, mut skipping) = (broker.redis("redis"), broker.redis("skipping"));
    thread::scope(|scope| {
        scope.spawn(|| flood(&mut publisher, 0, FLOOD));
        support::eventually("the log is full, and the publisher waits", || {
            let before = row();
            thread::sleep(Duration::from_millis(200));
            let full: usize = field(&before, "bytes").parse().expect("a number");
            full >= SMALL_LOG && row() == before
        });
        let before = row();
        plain.send("ping\npub ops new\nping\npub ops new");
        keyed.send("pub --key k ops new");
        boss.send("cmd ops go");
        redis.send("PUBLISH ops new");
        skipping.send("CLIENT REPLY SKIP");
        skipping.send("PUBLISH ops new");
        skipping.send("pub ops new");
        let post = |path, json| broker.web().post(path, json).expect(201, "*");
        scope.spawn(move || post("/v1/channels/ops/messages", r#"{"data":"new"}"#));
        plain.expect("ok ping *");
        thread::sleep(Duration::from_millis(500));
        assert_eq!(row(), before, "nobody has come through");
        // Both are waited for: they read everything.
        scope.spawn(|| (0..FLOOD + 7).for_each(|_| drop(boss.until("msg ops * * *"))));
        (3..FLOOD + 11).for_each(|seq| drop(sloth.expect(&format!("* ops {seq} *"))));
    });
    plain.expect_all(&["ok pub ops *", "ok ping *", "ok pub ops *"]);
    keyed.expect("ok pub ops *");
    redis.expect(":2");
    skipping.expect("*");
    plain.expect_nothing();
}

/// Programs that come, say a message, wait for its reply and go: the log is bounded
/// though none of them is ever there for long, and a reader that goes on loses
/// nothing.
#[test]
fn who_comes_for_one_message_is_slowed_as_well() {
    const EACH: usize = 75;
    let broker = Broker::with(|config| {
        config.log_bytes = SMALL_LOG;
        config.stall = Duration::from_secs(15);
    });
    let mut watcher = broker.client("watcher");
    watcher.ask("create ops", "ok create ops");
    let mut reader = sloth(&broker);
    let text = "x".repeat(50_000);
    let mut most = 0;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let mut publisher = broker.connect("publisher");
                    publisher.ask(&format!("pub ops {text}"), "ok pub ops *");
                }
            });
        }
        for seq in 2..4 * EACH + 2 {
            thread::sleep(Duration::from_millis(15));
            reader.expect(&format!("msg ops {seq} * x*"));
            let row = watcher.ask("info ops", "channel ops *");
            watcher.expect("ok info ops");
            most = field(&row, "bytes").parse::<usize>().expect("a number").max(most);
        }
    });
    assert!((SMALL_LOG..3 * SMALL_LOG).contains(&most), "the log has taken {most}");
}

/// Nor does a member that goes on talking slow anybody: what it sends is no progress in
/// what it reads. Here the stall time is long, so that to wait for it more than once or
/// twice is to wait too long.
#[test]
fn a_member_that_talks_and_does_not_read_slows_nobody() {
    let broker = Broker::with(|config| {
        config.log_bytes = SMALL_LOG;
        config.stall = Duration::from_secs(2);
    });
    let mut bob = broker.member("bob", "ops");
    let mut sloth = sloth(&broker);
    bob.expect("join ops 2 sloth 1");
    let mut publisher = publisher(&broker);
    let through = AtomicUsize::new(0);
    thread::scope(|scope| {
        let mut talk = sloth.sender();
        scope.spawn(|| reads_all(&mut bob, 0, FLOOD));
        scope.spawn(|| {
            flood(&mut publisher, 0, FLOOD);
            through.store(1, Ordering::SeqCst);
        });
        support::eventually("the publisher comes through", || {
            talk.send("# I am still here");
            through.load(Ordering::SeqCst) == 1
        });
    });
    bob.expect_nothing();
    let last = u64::try_from(FLOOD).expect("it fits") + 2;
    let (_, missing) = hears_what_is_left(&mut sloth, 2, last);
    assert!(missing > 0, "it was too slow");
    sloth.expect_nothing();
}

/// "A publisher is slowed (its socket is not read) while a live member lags",
/// and a member that reads, however slowly, gets every entry once.
#[test]
fn a_slow_reader_slows_the_publisher_and_gets_everything() {
    let broker = Broker::with(|config| {
        config.log_bytes = SMALL_LOG;
        // The member reads now and then; a loaded machine may stop it for long, which
        // is not what this is about.
        config.stall = Duration::from_secs(15);
    });
    let mut bob = broker.member("bob", "ops");
    let mut sloth = sloth(&broker);
    bob.expect("join ops 2 sloth 1");
    let mut publisher = publisher(&broker);
    let through = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            flood(&mut publisher, 0, FLOOD);
            through.store(1, Ordering::SeqCst);
        });
        scope.spawn(|| reads_all(&mut bob, 0, FLOOD));
        // Buffers at either end hold what they hold; never the whole flood.
        reads_all(&mut sloth, 0, FLOOD / 10);
        assert_eq!(through.load(Ordering::SeqCst), 0, "the publisher has to wait");
        reads_all(&mut sloth, FLOOD / 10, FLOOD);
    });
    sloth.expect_nothing();
}

/// What others want to tell somebody who does not read is bounded as well:
/// beyond that, they are told `busy`. Nobody's seat is touched.
#[test]
fn who_does_not_read_cannot_be_told_for_ever() {
    let broker = Broker::with(small_log);
    let mut bob = broker.member("bob", "ops");
    let mut sloth = sloth(&broker);
    bob.expect("join ops 2 sloth 1");
    // Small ones, so that it is not the first burst that is refused.
    let text = "y".repeat(4_000);
    let mut told = 0;
    let refusal = loop {
        bob.send(&format!("tell sloth {told} {text}"));
        let reply = bob.line().expect("a reply");
        if reply != "ok tell sloth" {
            break reply;
        }
        told += 1;
        assert!(told < 3_000, "12 MB for somebody who does not read");
    };
    assert!(refusal.starts_with("err busy "), "{refusal}");
    // What was accepted arrives, once and in order; then it can be told again.
    for n in 0..told {
        sloth.expect(&format!("tell bob {n} y*"));
    }
    bob.ask("tell sloth again", "ok tell sloth");
    sloth.expect("tell bob again");
    sloth.ask("rank ops", "ok rank ops 1 *");
}

/// A message that was cut in two by a full socket is completed before anything
/// that overtakes: a line is a line.
#[test]
fn what_overtakes_stands_between_entries() {
    const ROUNDS: u64 = 200;
    let broker = Broker::with(small_log);
    let mut bob = broker.member("bob", "ops");
    let mut sloth = sloth(&broker);
    bob.expect("join ops 2 sloth 1");
    bob.ask("hello --quiet", "ok hello *");
    let text = "z".repeat(50_000);
    let (mut seq, mut told) = (2, 0);
    let mut check = |line: &str| match line.split_once(' ') {
        Some(("tell", rest)) => {
            assert_eq!(rest, format!("bob {told}"));
            told += 1;
        }
        Some(("gap", _)) => {
            assert_eq!(number(line, 2), seq + 1);
            seq = number(line, 3);
        }
        _ => {
            seq += 1;
            assert!(line == format!("msg ops {seq} bob {text}"), "{line:.20}");
        }
    };
    for round in 0..ROUNDS {
        bob.send(&format!("pub ops {text}\ntell sloth {round}"));
        bob.until("ok tell sloth");
        // Now and then it reads a line, and stops again in the middle of one.
        if round % 3 == 0 {
            check(&sloth.line().expect("a line"));
        }
    }
    for line in sloth.until(&format!("msg ops {} bob z*", ROUNDS + 2)) {
        check(&line);
    }
    assert_eq!(told, ROUNDS);
}

/// Promise 2 is for members that keep reading, not for those who read fast: this one
/// takes a megabyte in a second, a little at a time. What the kernel holds back for
/// it must not look as if it had stopped.
#[test]
fn who_reads_slowly_and_steadily_gets_everything() {
    const MESSAGES: usize = 6_000;
    let broker = Broker::with(|config| {
        config.log_bytes = SMALL_LOG;
        config.stall = Duration::from_secs(1);
    });
    let mut reader = broker.client("reader");
    reader.ask("sub ops --create --observe", "ok sub ops *");
    let mut publisher = publisher(&broker);
    let publishing = thread::spawn(move || {
        let text = "x".repeat(1_000);
        (0..MESSAGES).for_each(|n| publisher.send(&format!("pub ops {n} {text}")));
        publisher
    });
    for n in 0..MESSAGES {
        if n % 20 == 0 {
            thread::sleep(Duration::from_millis(20));
        }
        reader.expect(&format!("msg ops {} publisher {n} x*", n + 1));
    }
    publishing.join().expect("it waits, and goes on").expect_nothing();
}

/// For a member that does not read, dropped channels keep no more than one log's worth.
#[test]
fn what_was_dropped_unread_takes_no_more_than_a_log() {
    let mut broker = Broker::process();
    let mut alice = broker.client("alice");
    let mut sloth = broker.connect_narrow("sloth");
    sloth.introduce();
    let text = "x".repeat(60_000);
    let mut before = 0;
    for round in 0..40 {
        if round == 2 {
            before = broker.child().peak_memory();
        }
        alice.ask("sub ops --create --no-echo", "ok sub ops *");
        sloth.send("sub ops --observe");
        for _ in 0..50 {
            alice.ask(&format!("pub ops {text}"), "ok pub ops *");
        }
        alice.ask("drop ops", "ok drop ops");
        alice.expect("left ops *");
    }
    let grown = broker.child().peak_memory() - before;
    assert!(grown < 40 << 20, "it has grown by {grown} bytes of 120 million");
    // What is gone is told.
    sloth.until("gap ops *");
    sloth.until("left ops * reason=dropped");
}
