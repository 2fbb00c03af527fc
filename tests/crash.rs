//! The broker is killed at random moments under load, again and again, on one
//! data directory. Whatever was acknowledged is there, once, in order, and no
//! seq and no term ever falls.
//!
//! `CRASH_ROUNDS=50` for more rounds than the default, `CRASH_SEED=…` for other
//! moments.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use support::{Broker, Client, Dice, Small, field, inject, with_failures};

const PUBLISHERS: usize = 4;
/// Requests of one publisher that are on their way at once.
const WINDOW: usize = 32;

/// What clients have been told, and must find again.
#[derive(Default)]
struct Ledger {
    /// For each publisher, the seqs of its acknowledged messages, by number.
    acknowledged: [BTreeMap<u64, u64>; PUBLISHERS],
    /// The highest term of rank 0, and the highest seq, by channel.
    highest: BTreeMap<String, (u64, u64)>,
}

fn session(publisher: usize) -> String {
    format!("00000000-0000-4000-8000-00000000000{publisher}")
}

/// Publishes numbered messages, beginning with those whose reply was lost, until the
/// connection ends. Returns what was acknowledged.
///
/// With a window of one, a message that is refused is sent again; with a wider one,
/// those behind it would come before it.
fn publish(mut client: Client, publisher: usize, first: u64, window: usize) -> BTreeMap<u64, u64> {
    let mut acknowledged = BTreeMap::new();
    let (mut next, mut replied) = (first, first);
    loop {
        while next < replied + window as u64 {
            let line = format!("pub --key {next} log p{publisher} {next}\n");
            if client.stream.write_all(line.as_bytes()).is_err() {
                return acknowledged;
            }
            next += 1;
        }
        let Some(line) = client.line() else { return acknowledged };
        if window == 1 && line.starts_with("err unavailable ") {
            next = replied;
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let seq = line.strip_prefix("ok pub log ").unwrap_or_else(|| panic!("{line}"));
        acknowledged.insert(replied, seq.parse().unwrap());
        replied += 1;
    }
}

/// Joins, changes the ranks and leaves, until the connection ends. Returns the highest
/// term and seq that it was told for each channel.
fn stir(broker: &Client, mut dice: Dice) -> BTreeMap<String, (u64, u64)> {
    let mut told: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    loop {
        let channel = ["log", "plain"][dice.roll(2)];
        let Some(mut member) = broker.again("member") else { return told };
        let mut ask = |line: String| {
            member.stream.write_all(format!("{line}\n").as_bytes()).ok()?;
            loop {
                let reply = member.line()?;
                if reply.starts_with("ok ") || reply.starts_with("err ") {
                    return Some(reply);
                }
            }
        };
        for request in ["sub", "yield", "check"] {
            let term = if request == "check" { " 0" } else { "" };
            let Some(reply) = ask(format!("{request} {channel}{term}")) else { return told };
            // The disk has failed; and a client that could not join is no member.
            if reply.starts_with("err unavailable ") || reply.starts_with("err not-member ") {
                continue;
            }
            let number = |name| field(&reply, name).parse::<u64>().unwrap_or(0);
            let seen = told.entry(channel.into()).or_default();
            let (term, seq) = if request == "check" {
                (number("term"), number("view"))
            } else {
                (0, number("view"))
            };
            *seen = (seen.0.max(term), seen.1.max(seq));
        }
    }
}

/// Everything that was acknowledged is there, once and in order, and nothing
/// has a lower seq or term than it had.
fn verify(broker: &Broker, ledger: &Ledger, round: usize) {
    let mut reader = broker.connect("reader");
    for (channel, (term, seq)) in &ledger.highest {
        let reply = reader.ask(&format!("check {channel} 0"), "ok check *");
        let now = field(&reply, "term").parse::<u64>().unwrap();
        // A term of 0: nobody has rank 0, so there is no term that could fall.
        assert!(
            now == 0 || now >= *term,
            "round {round}: the term of {channel} fell from {term}: {reply}"
        );
        let view = field(&reply, "view").parse::<u64>().unwrap();
        assert!(view >= *seq, "round {round}: the view of {channel} fell from {seq}: {reply}");
    }
    reader.send("info log\nsub log --from first --observe\nping");
    let head = reader.until("channel log *").pop().unwrap();
    let head = field(&head, "seq").parse::<u64>().unwrap();
    reader.until("ok sub log *");
    let mut found: [BTreeMap<u64, u64>; PUBLISHERS] = Default::default();
    let (mut next, mut last) = (1, [None; PUBLISHERS]);
    while next <= head {
        let line = reader.line().expect("the broker lives");
        let words: Vec<&str> = line.split(' ').collect();
        if !matches!(words[0], "msg" | "join" | "left" | "move" | "cmd") {
            assert!(matches!(words[0], "ok" | "rank"), "round {round}: {line}");
            continue;
        }
        assert_eq!(words[2].parse(), Ok(next), "round {round}: {line}");
        if words[0] == "msg" {
            let publisher: usize = words[4][1..].parse().unwrap();
            let number: u64 = words[5].parse().unwrap();
            let is_new = found[publisher].insert(number, next).is_none();
            assert!(is_new, "round {round}: twice: {line}");
            assert!(last[publisher] < Some(number), "round {round}: out of order: {line}");
            last[publisher] = Some(number);
        }
        next += 1;
    }
    for (publisher, acknowledged) in ledger.acknowledged.iter().enumerate() {
        for (number, seq) in acknowledged {
            let there = found[publisher].get(number);
            assert_eq!(there, Some(seq), "round {round}: p{publisher} {number} was acknowledged");
        }
    }
}

const SETTINGS: [&str; 4] = ["--restart-grace", "50ms", "--session-grace", "1h"];

fn start(dir: &Path) -> Broker {
    Broker::keeping(dir, &SETTINGS)
}

fn rounds(default: usize) -> usize {
    std::env::var("CRASH_ROUNDS").map_or(default, |rounds| rounds.parse().unwrap())
}

fn seed() -> u64 {
    std::env::var("CRASH_SEED").map_or(1, |seed| seed.parse().unwrap())
}

/// Verifies what is there, puts load on the broker while something happens to
/// it, kills it, and notes what it has acknowledged.
fn round(
    mut broker: Broker,
    ledger: &mut Ledger,
    round: usize,
    window: usize,
    happen: impl FnOnce(&mut Broker),
) {
    let mut maker = broker.connect("maker");
    maker.ask("create log --durable --if-missing", "ok create log");
    maker.ask("create plain --if-missing", "ok create plain");
    verify(&broker, ledger, round);
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let mut client = broker.connect("publisher");
            client.ask(&format!("hello --session {}", session(publisher)), "ok hello *");
            let first = ledger.acknowledged[publisher].last_key_value();
            let first = first.map_or(0, |(number, _)| number + 1);
            std::thread::spawn(move || publish(client, publisher, first, window))
        })
        .collect();
    let stirrer = broker.connect("stirrer");
    let of_stirrer = Dice(seed() + round as u64);
    let stirring = std::thread::spawn(move || stir(&stirrer, of_stirrer));
    happen(&mut broker);
    broker.child().kill();
    for (publisher, thread) in publishers.into_iter().enumerate() {
        ledger.acknowledged[publisher].extend(thread.join().unwrap());
    }
    for (channel, (term, seq)) in stirring.join().unwrap() {
        let highest = ledger.highest.entry(channel).or_default();
        *highest = (highest.0.max(term), highest.1.max(seq));
    }
}

/// Lets the load go on for a random time below `ms` milliseconds.
fn some_time(dice: &mut Dice, ms: usize) {
    std::thread::sleep(Duration::from_millis(dice.roll(ms) as u64));
}

fn conclude(broker: &Broker, ledger: &Ledger, rounds: usize) {
    verify(broker, ledger, rounds);
    let acknowledged: usize = ledger.acknowledged.iter().map(BTreeMap::len).sum();
    println!("{rounds} rounds, {acknowledged} messages acknowledged, none lost or doubled");
    assert!(acknowledged > 0, "nothing was published: this proves nothing");
}

#[test]
fn whatever_was_acknowledged_survives() {
    let (rounds, mut dice, mut ledger) = (rounds(10), Dice(seed()), Ledger::default());
    let dir = tempfile::tempdir().unwrap();
    for number in 0..rounds {
        round(start(dir.path()), &mut ledger, number, WINDOW, |_| some_time(&mut dice, 400));
    }
    conclude(&start(dir.path()), &ledger, rounds);
}

#[test]
fn it_survives_also_on_a_disk_that_fills_up() {
    let Some(disk) = Small::mount() else { return };
    let (rounds, mut dice, mut ledger) = (rounds(4), Dice(seed()), Ledger::default());
    let dir = disk.path().join("data");
    for number in 0..rounds {
        round(start(&dir), &mut ledger, number, 1, |_| {
            some_time(&mut dice, 200);
            disk.fill();
            some_time(&mut dice, 100);
            // Half of the time it dies while there is no room.
            if number % 2 == 0 {
                disk.make_room();
                some_time(&mut dice, 1_500);
            }
        });
        if number % 2 == 1 {
            disk.make_room();
        }
    }
    conclude(&start(&dir), &ledger, rounds);
}

#[test]
fn it_survives_also_on_a_disk_that_fails() {
    /// Writes that take part of what they are given, writes that fail now and
    /// then, and a disk that confirms nothing.
    const FAULTS: [&str; 3] = [
        "enable_random name=posix/io/rw/write/reduce,probability=0.5",
        "enable_random name=posix/io/rw/write,probability=0.1,failinfo=5",
        "enable_random name=posix/io/sync/*,probability=0.1",
    ];
    let (rounds, mut dice, mut ledger) = (rounds(6), Dice(seed()), Ledger::default());
    let dir = tempfile::tempdir().unwrap();
    for number in 0..rounds {
        let Some((broker, control)) = with_failures(dir.path(), &SETTINGS) else { return };
        round(broker, &mut ledger, number, 1, |broker| {
            some_time(&mut dice, 200);
            inject(&control, FAULTS[number % FAULTS.len()], broker.child().id());
            some_time(&mut dice, 1_000);
        });
    }
    conclude(&start(&dir.path().join("data")), &ledger, rounds);
}
