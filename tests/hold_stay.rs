//! `broker-client hold --stay`: a rank that changes ends the program, and not the
//! client.
// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client_support;
mod support;

use client_support::{Running, hold};
use ranked_broker::config::Config;
use ranked_broker::server::Server;
use std::time::Duration;

/// Programs that run with the ranks 0 and 1, and say with which.
fn standby(port: u16, name: &str) -> Running {
    let script = "echo \"$0 runs with rank $BROKER_RANK\"; exec sleep 1000";
    hold(port, name, &["--ranks", "0-1", "--stay"], &["sh", "-c", script, name])
}

/// A broker with short leases, and two holders whose programs run.
fn first_and_standby() -> (Server, Running, Running) {
    let lease = Duration::from_secs(2);
    let config = Config { port: 0, lease, guard: Duration::from_millis(300), ..Config::default() };
    let server = Server::start(config).unwrap();
    let port = server.addr.port();
    let mut one = standby(port, "one");
    one.expect("running rank=0");
    let mut two = standby(port, "two");
    two.expect("running rank=1");
    (server, one, two)
}

#[test]
fn the_standby_takes_over_and_no_stranger_passes_it() {
    let (server, one, mut two) = first_and_standby();
    let mut three = standby(server.addr.port(), "three");
    three.expect("waiting rank=2");
    one.signal("KILL");
    // The standby takes over, which has a copy of all there is, and not the client
    // behind it.
    two.expect("lost rank=1 term=2: the rank is now 0");
    two.expect("running rank=0");
    three.expect("running rank=1");
    // Its own end is its own affair.
    two.signal("TERM");
    assert_eq!(two.end(), 143);
    three.expect("lost rank=1");
    three.expect("running rank=0");
    three.signal("TERM");
    assert_eq!(three.end(), 143);
}

/// A client that was stopped knows only the rank that it had before.
#[test]
fn a_rank_that_has_run_out_is_not_told() {
    let (_server, mut one, mut two) = first_and_standby();
    one.signal("STOP");
    two.expect("running rank=0");
    one.signal("CONT");
    one.expect("lost rank=0");
    one.expect("running rank=1");
    one.signal("TERM");
    let (_, said, _) = one.finish();
    let (_, after) = said.split_once("lost rank=0").unwrap();
    assert!(!after.contains("rank=0"), "{after}");
}
