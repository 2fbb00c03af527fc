//! What docs/operations.md says that one can do.

use super::blocks::{Part, ROOT};
use super::readme::{broker, has_members, kill};
use super::support::eventually;
use super::terminal::{Terminal, session};

pub fn a_demonstration(part: &mut Part) {
    part.excuse("docker compose up", "there may be no engine where the tests run");
    part.excuse("docker exec", "likewise; tests/demo.rs ends members in the same ways");
    let demo = part.next("sh");
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_broker")).parent().unwrap();
    // Where it is built already.
    let script = format!("cd {ROOT}; BROKER_BIN={} {}", programs.display(), demo.text);
    let mut run = Terminal::script(&script);
    run.shows("demo: alice is process …");
    let all = ["alice", "bob", "carol", "dave", "erin"];
    let is_whole = |names: &[&str]| {
        let roster = super::readme::says("ranks demo");
        names.iter().all(|name| roster.contains(&format!(" {name} ")))
            && roster.lines().count() == names.len() + 1
    };
    eventually("all five are here", || is_whole(&all));
    kill("-TERM", "broker-client .*demo .*--name bob");
    eventually("bob is gone", || is_whole(&["alice", "carol", "dave", "erin"]));
    kill("-KILL", "broker-client .*demo .*--name carol");
    eventually("carol is gone", || is_whole(&["alice", "dave", "erin"]));
    run.interrupts();
    run.shows("ended: …");

    let _broker = broker();
    let mut five = Terminal::run(&part.next("sh"));
    five.shows("demo: erin is process …");
    eventually("all five are here", || is_whole(&all));
    let mut zoe = Terminal::run(&part.next("sh"));
    zoe.shows("…zoe: joins demo with rank 5 of 6");
    five.interrupts();
    five.ends();
    has_members("demo", &["zoe"]);
}

pub fn encryption(part: &mut Part) {
    Terminal::run(&part.next("sh")).ends();
    let mut broker = Terminal::run(&part.next("sh"));
    broker.shows("… event=listening addr=127.0.0.1:7700 …");
    let mut clients = Terminal::run(&part.next("sh"));
    for line in ["ok create news", "{…\"channel\":\"news\"…", "…0"] {
        clients.shows(line);
    }
    clients.ends();
}

pub fn as_a_service(part: &mut Part) {
    part.excuse("packaging/deb", "it makes a release build and needs cargo-deb");
    session(&part.next("sh"), None);
    part.excuse(
        "sudo systemctl enable",
        "there is no systemd; tests/service.rs has its part played",
    );
    let manual = part.next("sh");
    // A reader would have a pager.
    let mut terminal = Terminal::script(&format!("export MANPAGER=cat\n{}", manual.text));
    terminal.shows("broker(1)…");
    terminal.ends();
    let complete = "COMP_WORDS=(broker --check); COMP_CWORD=1; _broker broker --check broker; \
                    echo \"completes ${COMPREPLY[*]}\"";
    let mut terminal = Terminal::script(&format!("export MANPAGER=cat\n{}{complete}", manual.text));
    terminal.shows("completes --check-config");
    terminal.ends();
    part.excuse(
        "systemctl kill",
        "likewise; tests/service.rs::after_a_drain_a_successor_has_the_seats",
    );
}

pub fn backup_and_upgrade(part: &mut Part) {
    part.excuse(
        "systemctl kill",
        "there is no systemd; tests/restart.rs starts on what a stopped broker has left",
    );
}

pub fn metrics(part: &mut Part) {
    let _broker = broker();
    part.excuse("scrape_configs:", "a part of the configuration of Prometheus");
    let mut curl = Terminal::run(&part.next("sh"));
    curl.shows("# TYPE broker_connections gauge");
    curl.shows("# EOF");
    curl.ends();
}
