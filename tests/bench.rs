//! `broker-bench` reports what it measures and loses nothing, at a broker of the test's
//! own and at whatever other brokers are installed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use expectrl::Expect;
use serde_json::Value;
use std::process::{Command, Stdio};
use support::Broker;

/// Runs `broker-bench`. Returns its exit code, standard output and standard error.
fn bench(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker-bench"));
    let output = command.args(args).stdin(Stdio::null()).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
    (output.status.code().expect("it ends by itself"), text(output.stdout), text(output.stderr))
}

/// What it measures of a broker in a process of its own, in a short time.
#[track_caller]
fn measured(args: &[&str]) -> Value {
    let broker = Broker::process();
    let report = measured_at(&broker, args);
    // It leaves nothing behind: not a channel, not a client.
    let mut client = broker.connect("after");
    client.ask("channels", "ok channels 0");
    report
}

#[track_caller]
fn measured_at(broker: &Broker, args: &[&str]) -> Value {
    let (host, port) = (broker.addr.ip().to_string(), broker.addr.port().to_string());
    let short = ["--json", "--seconds", "0.5", "--warm-up", "0.1"];
    let (code, out, complaint) = bench(&[&[host.as_str(), &port], args, &short].concat());
    assert_eq!(complaint, "", "nothing to complain of, and no progress in a pipe");
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"));
    assert_eq!((code, &report["clean"]), (0, &Value::Bool(true)), "{report:#}");
    report
}

#[track_caller]
fn number(report: &Value, key: &str) -> f64 {
    report[key].as_f64().unwrap_or_else(|| panic!("no {key} in {report:#}"))
}

#[track_caller]
fn count(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or_else(|| panic!("no {key} in {report:#}"))
}

#[test]
fn messages_are_counted_and_none_is_lost() {
    let report = measured(&["publish"]);
    let delivered = count(&report, "delivered");
    assert!(delivered > 0 && delivered == count(&report, "published"), "{report:#}");
    assert_eq!((count(&report, "lost"), count(&report, "out_of_order")), (0, 0));
    assert!(number(&report, "delivered_per_s") > 0.0);
    assert!(number(&report, "broker_ns_per_message") > 0.0, "its process was found");

    let report = measured(&["publish", "--publishers", "3", "--channels", "2", "--members", "2"]);
    // One channel has two publishers, the other one; each message goes to two.
    assert_eq!(count(&report, "delivered"), 2 * count(&report, "published"), "{report:#}");
    let report = measured(&["fanout", "--members", "20", "--batch", "1", "--size", "16"]);
    assert_eq!(count(&report, "delivered"), 20 * count(&report, "published"), "{report:#}");
}

#[test]
fn latency_is_told_from_when_a_message_was_due() {
    let report = measured(&["latency", "--rate", "2000", "--members", "3", "--sleep"]);
    let quantile = |key| number(&report, key);
    assert!(quantile("p50_us") > 0.0 && quantile("p50_us") <= quantile("p99_us"), "{report:#}");
    assert!(quantile("p99_us") <= quantile("max_us"), "{report:#}");
    // All that was due in 0.6 s, whatever the machine was doing.
    assert!(count(&report, "published") >= 1200, "{report:#}");
}

#[test]
fn connections_and_channels_are_weighed() {
    let report = measured(&["idle", "--connections", "300", "--channels", "7"]);
    assert_eq!((count(&report, "connections"), count(&report, "ended")), (300, 0));
    assert!(number(&report, "bytes_per_connection") > 0.0);
    let report = measured(&["channels", "--channels", "500", "--connections", "7"]);
    assert!(count(&report, "delivered") > 0 && number(&report, "bytes_per_channel") > 0.0);
    let report = measured(&["churn", "--concurrency", "4", "--channels", "3"]);
    assert!(count(&report, "cycles") > 0 && count(&report, "failed") == 0, "{report:#}");
}

#[test]
fn a_member_that_stops_reading_is_told_of() {
    let report = measured(&["slow", "--rate", "20000", "--members", "2"]);
    assert_eq!(report["slow_cut_off"], false, "{report:#}");
    assert_eq!(count(&report, "slow_untold"), 0, "{report:#}");
    let all = count(&report, "slow_received") + count(&report, "slow_told_gone");
    assert!(all > 0 && number(&report, "rate_kept") > 0.0, "{report:#}");
}

#[test]
fn ranks_are_right_when_many_leave_at_once() {
    let report = measured(&["ranks", "--members", "200", "--leavers", "60"]);
    assert_eq!((count(&report, "faults"), count(&report, "command_done")), (0, 199));
    // Every join to all that were there before, every departure to all that stay.
    let joins = 200 * 199 / 2 + 200;
    assert!(count(&report, "join_lines") >= joins, "{report:#}");
    assert!(count(&report, "leave_lines") >= 60 * 140, "{report:#}");
    assert!(number(&report, "leave_cpu_s") > 0.0);

    // More members than connections: the seats of the others are held.
    let some = ["--members", "90", "--connected", "30", "--leavers", "7", "--patience", "1"];
    let report = measured(&[&["ranks"], &some[..]].concat());
    assert_eq!((count(&report, "faults"), count(&report, "command_done")), (0, 29));
    assert_eq!(count(&report, "command_timeout"), 60);
}

/// A refusal by the broker is reported as such: here somebody else has made the channel.
#[test]
fn what_is_wrong_is_said_so() {
    let broker = Broker::process();
    let mut stranger = broker.client("stranger");
    stranger.ask("create own-ranks --max 5", "ok create own-ranks");
    let (host, port) = (broker.addr.ip().to_string(), broker.addr.port().to_string());
    let (code, out, complaint) =
        bench(&[&host, &port, "ranks", "--members", "9", "--prefix", "own-"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(complaint.starts_with("broker-bench: the broker said: err exists"), "{complaint}");
}

/// What somebody else publishes to its channel is reported as damage, not taken for its
/// own message.
#[test]
fn messages_of_others_are_no_messages_of_ours() {
    let broker = Broker::process();
    let mut stranger = broker.client("stranger");
    let (host, port) = (broker.addr.ip().to_string(), broker.addr.port().to_string());
    let run = std::thread::spawn(move || {
        let args = ["latency", "--rate", "500", "--json", "--prefix", "own-", "--seconds", "2"];
        bench(&[&[host.as_str(), &port], &args[..]].concat())
    });
    support::eventually("the channel is there", || {
        stranger.send("sub own-000000");
        stranger.line().expect("a reply").starts_with("ok sub")
    });
    // It has begun.
    stranger.until("msg own-000000 *");
    stranger.send("pub own-000000 not one of yours");
    let (code, out, _) = run.join().unwrap();
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["clean"], &report["damaged"]), (1, &false.into(), &1.into()));
}

/// What it writes to a terminal.
fn on_a_terminal(broker: &Broker, no_color: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker-bench"));
    command.args([broker.addr.ip().to_string(), broker.addr.port().to_string()]);
    command.args(["publish", "--seconds", "0.5", "--warm-up", "0.1"]);
    command.env("TERM", "xterm").env_remove("NO_COLOR").env_remove("CI");
    command.envs(no_color.map(|value| ("NO_COLOR", value)));
    let mut terminal = expectrl::Session::spawn(command).unwrap();
    terminal.set_expect_timeout(Some(support::DEADLINE));
    let all = terminal.expect(expectrl::Eof).unwrap();
    String::from_utf8(all.get(0).unwrap().to_vec()).unwrap()
}

#[test]
fn a_terminal_sees_how_far_it_is_and_colour_if_it_wants() {
    let broker = Broker::process();
    let shown = on_a_terminal(&broker, None);
    let (progress, report) = shown.split_once("publish: ").expect("a report");
    assert!(progress.contains('█') && progress.contains(" % "), "{shown:?}");
    assert!(progress.ends_with("\r\u{1b}[K"), "its line is left empty: {shown:?}");
    assert!(report.contains("\u{1b}[32mverified\u{1b}[0m:"), "{shown:?}");

    let shown = on_a_terminal(&broker, Some("1"));
    assert!(shown.contains('█') && shown.contains("  verified:"), "{shown:?}");
}

#[test]
fn growth_is_told_and_drawn() {
    let broker = Broker::process();
    let (host, port) = (broker.addr.ip().to_string(), broker.addr.port().to_string());
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("growth.svg");
    let args = ["growth", "--seconds", "0.1", "--warm-up", "0", "--svg", picture.to_str().unwrap()];
    let (code, out, said) = bench(&[&[host.as_str(), &port], &args[..]].concat());
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    // One that cannot be drawn is not measured first.
    let nowhere = folder.path().join("missing/growth.svg").to_str().unwrap().to_owned();
    let (code, nothing, said) = bench(&[&host, &port, "growth", "--svg", &nowhere]);
    assert!(said.contains(&format!("--svg {nowhere}: ")), "{said}");
    assert_eq!((code, nothing.as_str()), (2, ""));
    let curves = out.lines().filter(|line| line.ends_with(" of linear")).count();
    let drawn = std::fs::read_to_string(&picture).unwrap().matches("<polyline").count();
    assert_eq!((curves, drawn), (5, 5), "{out}");
}

/// Every dialect in every round, in turn; nothing is lost, and nothing left behind.
#[test]
fn all_dialects_are_measured_beside_text() {
    let broker = Broker::process();
    let (host, port) = (broker.addr.ip().to_string(), broker.addr.port().to_string());
    let short = ["dialects", "--members", "5", "--seconds", "0.3", "--warm-up", "0.1"];
    let args = [&[host.as_str(), &port], &short[..]].concat();
    let (code, out, said) = bench(&[&args[..], &["--rounds", "2", "--json"]].concat());
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    let runs: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let turns: Vec<String> =
        runs.iter().map(|run| format!("{} {}", run["round"], run["dialect"])).collect();
    let all = ["text", "json", "websocket", "events", "resp2", "resp3"];
    let expected = (1..=2).flat_map(|round| all.map(|dialect| format!("{round} {dialect:?}")));
    assert_eq!(turns, expected.collect::<Vec<_>>());
    for run in &runs {
        assert!(count(run, "published") > 0 && run["clean"] == true, "{run:#}");
        assert_eq!(count(run, "delivered"), 5 * count(run, "published"), "{run:#}");
        assert!(number(run, "broker_ns_per_message") > 0.0, "{run:#}");
    }

    let (code, out, said) = bench(&[&args[..], &["--rounds", "1"]].concat());
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    let row = |title: &str| {
        let line = out.lines().find(|line| line.starts_with(&format!("| {title} "))).unwrap();
        line.split('|').map(|cell| cell.trim().to_string()).collect::<Vec<_>>()
    };
    assert_eq!((row("medians").len(), row("text")[3].as_str()), (9, "1.00"), "{out}");
    for title in ["JSON lines", "WebSocket", "Server-Sent Events", "RESP2", "RESP3"] {
        let ratio = row(title)[3].parse::<f64>();
        assert!(ratio.is_ok_and(|ratio| ratio > 0.0) && row(title)[7] == "0", "{out}");
    }
    broker.connect("after").ask("channels", "ok channels 0");
}

#[test]
fn people_get_lines_and_wrong_usage_a_hint() {
    let broker = Broker::process();
    let (host, port) = (broker.addr.ip().to_string(), broker.addr.port().to_string());
    let (code, out, complaint) = bench(&[&host, &port, "--seconds", "0.2", "--warm-up", "0.1"]);
    assert_eq!((code, complaint.as_str()), (0, ""), "{out}");
    let begins = |word: &str| out.lines().filter(|line| line.starts_with(word)).count();
    for workload in ["publish:", "fanout:", "latency:", "churn:", "ranks:", "  verified: "] {
        assert_eq!(begins(workload), if workload.starts_with(' ') { 5 } else { 1 }, "{out}");
    }
    assert!(!out.contains('\u{1b}'), "no colour in a pipe");

    assert_eq!(bench(&[&host, &port, "nonsense"]).0, 2);
    assert_eq!(bench(&[&host, &port, "publish", "--seconds", "0"]).0, 2);
    let (code, out, _) = bench(&[&host, &port, "publish", "--size", "20000000", "--warm-up", "0"]);
    assert!(out.contains("a broker refuses messages beyond its --max-line"), "{out}");
    assert_eq!(code, 1);
    assert_eq!(bench(&[&host, &port, "publish", "--size", "3"]).0, 2);
    assert_eq!(bench(&[&host, &port, "latency", "--pid", "4294967295"]).0, 2);
    drop(broker);
    let (code, _, complaint) = bench(&[&host, &port, "publish"]);
    assert_eq!(code, 3, "{complaint}");
    assert!(complaint.contains("is the broker running there?"), "{complaint}");
}

/// All brokers that are installed do the same work, and `raw` with them.
#[test]
fn peers_do_the_same_work() {
    let (code, list, found) = bench(&["peers", "--list"]);
    assert_eq!(code, 0, "{found}");
    assert!(list.lines().any(|line| line.starts_with("latency-100 ")), "{list}");
    for name in ["nats", "valkey", "redis", "mosquitto"] {
        if !found.lines().any(|line| line.starts_with(&format!("{name} "))) {
            println!("NOT TRIED: {name} is not installed here");
        }
    }
    let short = [
        "--rounds",
        "1",
        "--seconds",
        "0.3",
        "--warm-up",
        "0.1",
        "--workloads",
        "one-128,latency-1",
    ];
    let (code, out, said) = bench(&[&["peers", "--json"], &short[..]].concat());
    assert_eq!(code, 0, "{out}{said}");
    let runs: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let brokers = found.lines().filter(|line| line.contains(" (")).count();
    assert!(brokers >= 2, "at least raw and our own: {found}");
    assert_eq!(runs.len(), 2 * brokers, "{out}");
    for run in &runs {
        assert!(count(run, "delivered") > 0 && count(run, "lost") == 0, "{run:#}");
        assert!(number(run, "broker_ns_per_message") > 0.0, "{run:#}");
    }
}

#[test]
fn peers_make_a_table_and_save_each_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs");
    let own = format!("broker/before={}", env!("CARGO_BIN_EXE_broker"));
    let short = ["--rounds", "2", "--seconds", "0.2", "--warm-up", "0.1", "--workloads", "one-16"];
    let which = ["--brokers", "raw,broker", "--program", &own, "--save", file.to_str().unwrap()];
    let (code, out, said) = bench(&[&["peers"], &short[..], &which[..]].concat());
    assert_eq!(code, 0, "{out}{said}");
    let lines: Vec<&str> = out.lines().collect();
    let head: Vec<&str> = lines[0].split('|').map(str::trim).collect();
    assert_eq!(head, ["", "medians", "raw", "broker 0.1.0", "before", ""], "{out}");
    assert!(lines.iter().any(|line| line.starts_with("| ns of CPU a message")), "{out}");
    assert!(lines.iter().any(|line| line.starts_with("| … as a multiple of raw")), "{out}");
    let saved = std::fs::read_to_string(&file).unwrap();
    let runs: Vec<Value> = saved.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let who: Vec<String> =
        runs.iter().map(|run| format!("{} {}", run["round"], run["broker"])).collect();
    let turns =
        ["1 \"raw\"", "1 \"broker\"", "1 \"before\"", "2 \"raw\"", "2 \"broker\"", "2 \"before\""];
    assert_eq!(who, turns, "they take turns");

    assert_eq!(bench(&["peers", "--workloads", "nonsense"]).0, 2);
    assert_eq!(bench(&["peers", "--brokers", "kafka"]).0, 2);
    let (code, _, said) =
        bench(&["peers", "--rounds", "1", "--brokers", "redis", "--program", "redis=/bin/true"]);
    assert_eq!(code, 0, "what others cannot do is in the table: {said}");
}
