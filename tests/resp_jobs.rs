//! Jobs asked for by clients of the Redis protocol: a socket that speaks it, and
//! `redis-cli`.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Read;
use std::process::Command;
use support::{Broker, Child, Program, Redis, Site, eventually};

const FIB_100: &str = "354224848179261915075";

/// A client that is told of its jobs.
fn client(broker: &Broker, version: u8) -> Redis {
    let mut redis = broker.redis(&format!("resp{version}"));
    redis.ask(&format!("HELLO {version}"), "*");
    if version == 2 {
        redis.ask("RANKED ON", "+OK");
    }
    redis
}

/// Asks for a job, which begins.
#[track_caller]
fn begin(redis: &mut Redis, request: &str, job: u64) {
    let said = redis.ask(request, &format!("*job :{job}*"));
    assert!(["{job", "[job"].iter().any(|start| said.starts_with(start)), "{said}");
    redis.expect(&format!("[job :{job} queued 0 before it *]"));
    redis.expect(&format!("[job :{job} running  *]"));
}

#[test]
fn jobs_are_asked_for_told_of_listed_and_ended() {
    for version in [2, 3] {
        let silent = Site::start(|_, stream| drop(stream.read_to_end(&mut Vec::new())));
        let broker = Broker::from_child(Child::with(&["--allow-url", "127.0.0.1/32"]));
        let mut redis = client(&broker, version);
        begin(&mut redis, "FIB 100", 1);
        redis.expect(&format!("[job :1 done {FIB_100} *]"));
        // A job may not reach into the broker's own network for its client.
        begin(&mut redis, "URL http://127.0.0.2:1/", 2);
        redis.expect("[job :2 failed *127.0.0.2*--allow-url*]");
        begin(&mut redis, "NUMBERS 12 --batch 5", 3);
        for batch in ["client-id=* count=12 batches=3", "batch=0 *", "batch=1 *", "batch=2 *"] {
            redis.expect(&format!("[job :3 running {batch} *]"));
        }
        redis.expect("[job :3 done checksum=* *]");
        redis.ask("JOBS", "*count :0 *");
        // One that does not end by itself.
        begin(&mut redis, &format!("url {}", silent.url("/")), 4);
        redis.ask("JOBS", "*count :1*job :4 state running verb url since *");
        broker.client("bob").ask("cancel 4", "err denied *");
        redis.ask("CANCEL 4", "*job :4*");
        redis.expect("[job :4 cancelled  *]");
        redis.ask("CANCEL 4", "-ERR gone *");
        redis.ask("JOBS", "*count :0 *");
        for (request, refused) in [
            ("FIB x", "-ERR bad-request n takes a whole number *"),
            ("FIB", "-ERR bad-request *"),
            ("FIB --to nobody 5", "-ERR no-member *"),
            ("URL ftp://example.org/", "-ERR bad-request *"),
            ("NUMBERS 65536", "-ERR bad-request count takes *"),
            ("CANCEL x", "-ERR bad-request *"),
        ] {
            redis.ask(request, refused);
        }
        redis.expect_nothing();
    }
}

/// A client of version 2 cannot tell a push from a reply, and one that knows
/// nothing of this broker is told nothing: whoever asks for what it would never
/// hear is told how to.
#[test]
fn nobody_asks_for_what_it_could_not_hear() {
    let broker = Broker::from_child(Child::start());
    let mut bob = broker.client("bob");
    let mut plain = broker.redis("plain");
    plain.ask("CLIENT SETNAME plain", "+OK");
    plain.ask("FIB 100", "-ERR bad-request *HELLO 3, or RANKED ON*");
    plain.ask("JOBS", "[count :0 rows []]");
    plain.ask("FIB --to bob 100", "[job :1]");
    bob.expect(&format!("job 1 done {FIB_100}"));
    bob.ask("fib --to plain 100", "err denied plain is a Redis client, *");
    plain.expect_nothing();
    // Version 3 has pushes, and who asks knows what for.
    let mut third = broker.redis("third");
    third.ask("HELLO 3 SETNAME third", "*");
    bob.ask("fib --to third 100", "err denied *");
    begin(&mut third, "FIB 100", 2);
    third.expect(&format!("[job :2 done {FIB_100} _]"));
    bob.ask("fib --to third 100", "ok job 3");
    third.expect(&format!("[job :3 done {FIB_100} bob]"));
}

/// As a person types it, who sees pushes between the replies.
#[test]
fn redis_cli_shows_what_becomes_of_a_job() {
    let mut command = Command::new("redis-cli");
    if command.arg("--version").output().is_err() {
        return support::skip("redis-cli is missing (Debian: redis-tools)");
    }
    let broker = Broker::from_child(Child::start());
    let cli = |args: &[&str]| {
        let port = broker.addr.port().to_string();
        broker.program("redis-cli", Command::new("redis-cli").args(["-p", &port]).args(args))
    };
    let mut typing = cli(&["-3", "--show-pushes", "yes", "--no-raw"]);
    let mut seen = String::new();
    let mut shows = |typing: &mut Program, what: &str| {
        // It looks for pushes when it reads a reply: so it is given some to read.
        eventually(&format!("it shows {what}"), || {
            typing.send("PING");
            while let Some(line) = typing.line().filter(|line| !line.contains("PONG")) {
                seen.push_str(&line);
            }
            seen.contains(what)
        });
    };
    typing.send("FIB 100");
    shows(&mut typing, FIB_100);
    typing.send("URL http://127.0.0.1:1/");
    shows(&mut typing, "refused-address");
    typing.send("NUMBERS 12 --batch 5");
    shows(&mut typing, "checksum=");
    typing.send("JOBS");
    shows(&mut typing, "\"rows\" => (empty array)");
    typing.send("CANCEL 3");
    shows(&mut typing, "(error) ERR gone job 3");
    typing.end_input();
    typing.rest();
    // In version 2 it says what to do.
    let mut alone = cli(&["FIB", "100"]);
    alone.expect("ERR bad-request *HELLO 3*");
}
