//! `broker-client demo`: members that command each other, to be looked at, one of
//! which leaves and another of which is killed.
// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client_support;
mod support;

use client_support::{Running, broker, member, next, program, wait};
use ranked_broker::client::{Client, Frame, Frames, Outcome};
use ranked_broker::config::Config;
use ranked_broker::server::Server;
use std::path::Path;
use std::process::Command;
use support::{Port, eventually, signal};

const OFTEN: [&str; 2] = ["--every", "10ms..40ms"];
const SELDOM: [&str; 2] = ["--every", "1h"];

fn demo(port: u16, args: &[&str], every: [&str; 2]) -> Running {
    Running::start(program(port, &[&["demo"], args, &every].concat()))
}

#[test]
fn it_commands_those_below_and_obeys_those_above() {
    let server = broker();
    let port = server.addr.port();
    let (above, mut frames) = member(&server, "above");
    wait(above.create("fleet")).unwrap();
    wait(above.subscribe("fleet")).unwrap();
    let mut one = demo(port, &["--name", "one", "--channel", "fleet"], OFTEN);
    one.expect("one: joins fleet with rank 1 of 2");
    // There is nobody below it yet.
    let said = next(&mut frames, |frame| match frame {
        Frame::Message { from, payload, .. } => Some((from, payload)),
        _ => None,
    });
    assert_eq!(said, ("one".into(), "nobody ranks below me: all quiet".into()));

    let (below, mut frames) = member(&server, "below");
    wait(below.subscribe("fleet")).unwrap();
    let command = next(&mut frames, |frame| match frame {
        Frame::Command(command) => Some(command),
        _ => None,
    });
    assert_eq!((&*command.from, command.from_rank), ("one", 1));
    wait(below.acknowledge(&command, 0, "done")).unwrap();

    // What it does not know it does not do, and says so.
    let results = wait(async {
        let issued = above.command("fleet", "rm", &["-rf", "/"]).await.unwrap();
        below.request(&format!("ack fleet {} --code 0", issued.seq)).await.unwrap();
        issued.results().await.unwrap()
    });
    let one_says = results.iter().find(|result| result.member == "one").unwrap();
    assert_eq!(one_says.outcome, Outcome::Code(0));
    assert_eq!(one_says.text, "as you say; in a demonstration nothing is done");

    one.signal("TERM");
    let reason = next(&mut frames, |frame| match frame {
        Frame::Left { member, reason, .. } if member == "one" => Some(reason),
        _ => None,
    });
    assert_eq!(reason, "quit");
    one.expect("one: leaves");
    assert_eq!(one.end(), 0);
}

/// A client that sees a channel and changes nothing in it.
fn onlooker(server: &Server) -> (Client, Frames) {
    let (client, frames) = member(server, "onlooker");
    wait(client.create("demo")).unwrap();
    wait(client.observe("demo")).unwrap();
    (client, frames)
}

/// The number of the process with this name.
fn process(team: &mut Running, name: &str) -> String {
    team.expect(&format!("demo: {name} is process ")).rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn one_of_five_is_stopped_another_killed_and_the_rest_close_ranks() {
    let server = broker();
    let (client, mut frames) = onlooker(&server);
    let mut team = demo(server.addr.port(), &["--members", "5"], SELDOM);
    let pids = ["alice", "bob", "carol", "dave", "erin"].map(|name| process(&mut team, name));
    for _ in &pids {
        next(&mut frames, |frame| matches!(frame, Frame::Joined { .. }).then_some(()));
    }
    for (name, at, reason) in [("TERM", 1, "quit"), ("KILL", 2, "lost")] {
        signal(&pids[at], name);
        let left = next(&mut frames, |frame| match frame {
            Frame::Left { member, reason, .. } => Some((member, reason)),
            _ => None,
        });
        assert_eq!(left, (["alice", "bob", "carol"][at].into(), reason.into()));
    }
    let answer = wait(client.request("ranks demo")).unwrap();
    let ranks: Vec<_> = answer.rows.iter().map(|row| row.split(' ').nth(2).unwrap()).collect();
    assert_eq!(ranks, ["0", "1", "2"]);
    // Ending the team's program ends all of its members.
    team.signal("INT");
    assert_eq!(team.end(), 0);
    for _ in 0..3 {
        let reason = next(&mut frames, |frame| match frame {
            Frame::Left { reason, .. } => Some(reason),
            _ => None,
        });
        assert_eq!(reason, "quit");
    }
}

/// What Ctrl-C does: the signal goes to the whole process group of the terminal.
#[test]
fn an_interrupt_ends_broker_and_members_in_order() {
    use std::os::unix::process::CommandExt;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/run");
    let programs = Path::new(env!("CARGO_BIN_EXE_broker")).parent().unwrap();
    let port = Port::reserve();
    let mut command = Command::new("sh");
    command.args([script, "127.0.0.1", &port.number().to_string()]);
    command.env("BROKER_BIN", programs).process_group(0);
    let mut demo = Running::start(command);
    for _ in 0..5 {
        demo.expect(": joins demo");
    }
    demo.signal_group("INT");
    let (_, said, _) = demo.finish();
    assert!(said.contains("event=stopped") && !said.contains("second signal"), "{said}");
}

#[test]
fn no_member_outlives_a_team_that_is_killed() {
    let server = broker();
    let (_client, mut frames) = onlooker(&server);
    let mut team = demo(server.addr.port(), &["--members", "2", "--name", "x"], SELDOM);
    for _ in 0..2 {
        next(&mut frames, |frame| matches!(frame, Frame::Joined { .. }).then_some(()));
    }
    team.signal("KILL");
    for _ in 0..2 {
        let (member, reason) = next(&mut frames, |frame| match frame {
            Frame::Left { member, reason, .. } => Some((member, reason)),
            _ => None,
        });
        assert!(["x-1", "x-2"].contains(&&*member), "{member}");
        assert_eq!(reason, "lost");
    }
    assert_eq!(team.end(), -1);
}

#[test]
fn it_waits_for_a_broker_and_comes_back_to_one_that_begins_anew() {
    let reserved = Port::reserve();
    let port = reserved.number();
    let mut one = demo(port, &["--name", "one"], SELDOM);
    one.expect("trying until it succeeds");
    let at_port = || Server::start(Config { port, ..Config::default() }).unwrap();
    let first = at_port();
    one.expect("one: joins demo with rank 0 of 1");
    wait(first.stop());
    // This one has no channels.
    let second = at_port();
    one.expect("one: is connected again");
    let (client, _frames) = member(&second, "onlooker");
    eventually("it has a rank again", || {
        let answer = wait(client.request("ranks demo"));
        answer.is_ok_and(|answer| answer.rows.iter().any(|row| row.contains(" one ")))
    });
    one.signal("TERM");
    assert_eq!(one.end(), 0);
}

#[test]
fn what_cannot_be_is_said() {
    for (args, text) in [
        (&["--every", "0"][..], "it must be a time such as 5s"),
        (&["--members", "0"], "it must be a number from 1 to 100"),
        (&["--session", "x"], "unexpected argument '--session' found"),
    ] {
        let demo = Running::start(program(1, &[&["demo"], args].concat()));
        let (_, complaint, code) = demo.finish();
        assert!(complaint.contains(text), "{complaint}");
        assert_eq!(code, 2);
    }
}
