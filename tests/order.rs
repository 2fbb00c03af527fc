//! Promise 1. "Order. The entries of one channel (`msg`, `cmd`, `join`, `left`,
//! `move`) reach every member in seq order", "from 1 up, with no holes".

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::thread;
use support::{Broker, Client, number};

const EACH: usize = 3_000;

/// Reads so many entries; other lines are replies and ranks.
fn entries(client: &mut Client, count: usize) -> Vec<String> {
    let mut entries = Vec::new();
    while entries.len() < count {
        let line = client.line().expect("a line");
        if ["msg ", "join ", "left ", "move "].iter().any(|kind| line.starts_with(kind)) {
            entries.push(line);
        }
    }
    entries
}

fn assert_no_holes(entries: &[String], first: u64) {
    for (seq, entry) in (first..).zip(entries) {
        assert_eq!(number(entry, 2), seq, "{entry}");
    }
}

/// Two clients publish at once, one of them a member itself, and every member sees the
/// same order, in which each publisher's messages are in their own.
#[test]
fn every_member_sees_the_same_order_of_two_publishers() {
    let broker = Broker::start();
    let mut members: Vec<Client> =
        (0..4).map(|n| broker.member(&format!("m{n}"), "news")).collect();
    for (others, member) in (1..4).rev().zip(&mut members) {
        entries(member, others);
    }
    let mut stranger = broker.client("stranger");
    stranger.ask("hello --quiet", "ok hello *");
    let mut member = members[3].sender();
    let mut said: Vec<Vec<String>> = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..EACH {
                stranger.send(&format!("pub news s{n}"));
            }
            stranger.expect_nothing();
        });
        scope.spawn(move || {
            for n in 0..EACH {
                member.send(&format!("pub news m{n}"));
            }
        });
        let reading = members.iter_mut().map(|member| scope.spawn(|| entries(member, 2 * EACH)));
        let heard: Vec<_> = reading.collect();
        said.extend(heard.into_iter().map(|heard| heard.join().expect("it is heard")));
    });
    assert_no_holes(&said[0], 5);
    for other in &said[1..] {
        assert!(*other == said[0], "one order for all");
    }
    for who in ["stranger s", "m3 m"] {
        let of = said[0].iter().filter_map(|line| line.split_once(who));
        let numbers: Vec<String> = of.map(|(_, n)| n.to_owned()).collect();
        let sent: Vec<String> = (0..EACH).map(|n| n.to_string()).collect();
        assert!(numbers == sent, "each publisher's own order");
    }
}

/// Messages, comings, goings and moves are one order as well.
#[test]
fn comings_goings_and_moves_are_in_the_same_order() {
    const ROUNDS: usize = 300;
    let broker = Broker::start();
    let mut team = broker.team("news", ["alice", "bob", "carol"]);
    let mut dave = broker.client("dave");
    let mut erin = broker.client("erin");
    let (mut moves, mut talks) = (team[0].sender(), team[1].sender());
    let mut heard: Vec<Vec<String>> = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..ROUNDS {
                moves.send("promote news carol 1\npromote news bob 1");
            }
        });
        scope.spawn(move || {
            for n in 0..ROUNDS {
                talks.send(&format!("pub news b{n}"));
            }
        });
        scope.spawn(move || {
            for _ in 0..ROUNDS {
                dave.send("sub news --no-echo");
                dave.until("ok sub news *");
                dave.send("unsub news");
                dave.until("ok unsub news");
            }
        });
        scope.spawn(move || {
            for n in 0..ROUNDS {
                erin.ask(&format!("pub news e{n}"), "ok pub news *");
            }
        });
        // As many of each: messages of two, moves of two, joins, and lefts.
        let reading = team.iter_mut().map(|member| scope.spawn(|| entries(member, 6 * ROUNDS)));
        let reading: Vec<_> = reading.collect();
        heard.extend(reading.into_iter().map(|reading| reading.join().expect("it is heard")));
    });
    assert_no_holes(&heard[0], 4);
    for other in &heard[1..] {
        assert!(*other == heard[0], "one order for all");
    }
    let count = |kind: &str| heard[0].iter().filter(|line| line.starts_with(kind)).count();
    assert_eq!((count("join "), count("left ")), (ROUNDS, ROUNDS));
    assert_eq!((count("msg "), count("move ")), (2 * ROUNDS, 2 * ROUNDS));
}
