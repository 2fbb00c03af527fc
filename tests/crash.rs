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
use std::time::Duration;
use support::{Broker, Child, Client, Dice, field};

const PUBLISHERS: usize = 4;
/// Requests of one publisher that are on their way at once.
const WINDOW: usize = 32;

/// What the world has been told, and must find again.
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

/// Publishes numbered messages, those first whose reply was lost, until the
/// connection ends; gives what was acknowledged.
fn publish(mut client: Client, publisher: usize, first: u64) -> BTreeMap<u64, u64> {
    let mut acknowledged = BTreeMap::new();
    let (mut next, mut replied) = (first, first);
    loop {
        while next < replied + WINDOW as u64 {
            let line = format!("pub --key {next} log p{publisher} {next}\n");
            if client.stream.write_all(line.as_bytes()).is_err() {
                return acknowledged;
            }
            next += 1;
        }
        let Some(line) = client.line() else { return acknowledged };
        let seq = line.strip_prefix("ok pub log ").unwrap_or_else(|| panic!("{line}"));
        acknowledged.insert(replied, seq.parse().unwrap());
        replied += 1;
    }
}

/// Comes, changes the ranks and goes until the connection ends; gives the
/// highest term and seq of each channel that it was told.
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
        // Nobody has rank 0: then there is no term to fall.
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

fn start(dir: &str) -> Broker {
    let args = ["--data", dir, "--restart-grace", "50ms", "--session-grace", "1h"];
    Broker::of(Child::with(&args))
}

#[test]
fn whatever_was_acknowledged_survives() {
    let rounds = std::env::var("CRASH_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    let seed = std::env::var("CRASH_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut dice = Dice(seed);
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        let mut broker = start(dir);
        let mut maker = broker.connect("maker");
        maker.ask("create log --durable --if-missing", "ok create log");
        maker.ask("create plain --if-missing", "ok create plain");
        verify(&broker, &ledger, round);
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let mut client = broker.connect("publisher");
                client.ask(&format!("hello --session {}", session(publisher)), "ok hello *");
                let first = ledger.acknowledged[publisher].last_key_value();
                let first = first.map_or(0, |(number, _)| number + 1);
                std::thread::spawn(move || publish(client, publisher, first))
            })
            .collect();
        let stirrer = broker.connect("stirrer");
        let of_stirrer = Dice(seed + round as u64);
        let stirring = std::thread::spawn(move || stir(&stirrer, of_stirrer));
        std::thread::sleep(Duration::from_millis(dice.roll(400) as u64));
        broker.child().kill();
        for (publisher, thread) in publishers.into_iter().enumerate() {
            ledger.acknowledged[publisher].extend(thread.join().unwrap());
        }
        for (channel, (term, seq)) in stirring.join().unwrap() {
            let highest = ledger.highest.entry(channel).or_default();
            *highest = (highest.0.max(term), highest.1.max(seq));
        }
    }
    verify(&start(dir), &ledger, rounds);
    let acknowledged: usize = ledger.acknowledged.iter().map(BTreeMap::len).sum();
    println!("{rounds} rounds, {acknowledged} messages acknowledged, none lost or doubled");
    assert!(acknowledged > 0, "nothing was published: this proves nothing");
}
