//! `/metrics`: `OpenMetrics` text whose figures are what has happened.
#![allow(clippy::unwrap_used, clippy::expect_used)] // clippy.toml allows it in tests, but not in their helpers

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use support::{Broker, field, number};

/// A family of figures.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    unit: String,
    help: String,
    /// By name and labels.
    samples: BTreeMap<String, f64>,
}

/// What a scrape says, by family; anything that is no `OpenMetrics` (version 1.0)
/// fails.
struct Figures(BTreeMap<String, Family>);

impl Figures {
    fn scrape(broker: &Broker) -> Figures {
        Figures::parse(&Figures::text(broker))
    }

    fn text(broker: &Broker) -> String {
        let answer = broker.web().get("/metrics").expect(200, "*");
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(answer.header("content-type"), Some(kind));
        answer.body
    }

    fn parse(text: &str) -> Figures {
        let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
        let mut families = BTreeMap::<String, Family>::new();
        let mut current = String::new();
        for line in body.lines() {
            if let Some(meta) = line.strip_prefix("# ") {
                let mut words = meta.splitn(3, ' ');
                let (what, name) = (words.next().unwrap(), words.next().unwrap());
                let rest = words.next().unwrap().to_owned();
                if name != current {
                    assert!(!families.contains_key(name), "{name} comes twice");
                    name.clone_into(&mut current);
                }
                let family = families.entry(name.to_owned()).or_default();
                match what {
                    "HELP" => family.help = rest,
                    "TYPE" => family.kind = rest,
                    "UNIT" => family.unit = rest,
                    other => panic!("{other} in {line}"),
                }
                continue;
            }
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            let family = families.get_mut(&current).unwrap();
            let end = name.strip_prefix(&*current).unwrap_or_else(|| panic!("{line} in {current}"));
            let allowed: &[&str] = match &*family.kind {
                "counter" => &["_total"],
                "gauge" => &[""],
                "histogram" => &["_bucket", "_sum", "_count"],
                other => panic!("{other}: {line}"),
            };
            assert!(allowed.contains(&end), "{line}");
            let value: f64 = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            assert!(family.samples.insert(sample.to_owned(), value).is_none(), "{line} again");
        }
        for (name, family) in &families {
            assert!(!family.help.is_empty() && !family.kind.is_empty(), "{name}: {family:?}");
            assert!(name.ends_with(&family.unit), "{name} ends with its unit: {family:?}");
            assert!(!name.ends_with("_total"), "{name}");
            if family.kind == "histogram" {
                let last = family.samples[&format!("{name}_bucket{{le=\"+Inf\"}}")];
                assert_eq!(last.to_bits(), family.samples[&format!("{name}_count")].to_bits());
            }
        }
        Figures(families)
    }

    /// The figure of a sample; 0 if nothing was counted.
    fn get(&self, sample: &str) -> u64 {
        let found = self.0.values().find_map(|family| family.samples.get(sample));
        // All that is asked for is a whole number.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        found.map_or(0, |value| *value as u64)
    }
}

#[test]
fn the_figures_are_what_has_happened() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    for n in 0..10 {
        alice.ask(&format!("pub ops message {n}"), "ok pub ops *");
        for member in [&mut alice, &mut bob, &mut carol] {
            member.expect(&format!("msg ops * alice message {n}"));
        }
    }
    alice.send("/go");
    alice.expect("ok cmd ops 14 to=2");
    for (member, code) in [(&mut bob, 0), (&mut carol, 3)] {
        member.expect("cmd ops 14 alice 0 1 go");
        member.ask(&format!("ack ops 14 --code {code}"), "ok ack ops 14");
    }
    alice.expect("ack ops 14 bob 1 0 ");
    alice.expect("ack ops 14 carol 2 3 ");
    alice.expect("done ops 14 1/2");
    alice.ask("pub nowhere x", "err no-channel *");
    let mut observer = broker.client("observer");
    observer.ask("sub ops --observe", "ok sub ops *");
    alice.send("quit");
    alice.until("bye quit");
    alice.expect_end();
    bob.expect("rank ops 0 15 15");
    bob.expect("left ops 15 alice 0 reason=quit");

    let figures = Figures::scrape(&broker);
    for (sample, expected) in [
        ("broker_messages_received_total", 10),
        ("broker_messages_delivered_total", 30),
        ("broker_channels", 1),
        ("broker_members", 2),
        ("broker_observers", 1),
        ("broker_connections{dialect=\"text\"}", 3),
        ("broker_connections{dialect=\"http\"}", 1),
        ("broker_connections_opened_total{dialect=\"text\"}", 4),
        ("broker_connections_closed_total{reason=\"quit\"}", 1),
        ("broker_connections_closed_total{reason=\"lost\"}", 0),
        ("broker_roster_changes_total{cause=\"join\"}", 3),
        ("broker_roster_changes_total{cause=\"quit\"}", 1),
        ("broker_promotions_total", 1),
        ("broker_vacancy_seconds_count", 1),
        ("broker_vacancy_seconds_sum", 0),
        ("broker_commands_total", 1),
        ("broker_commands_open", 0),
        ("broker_commands_ended_total{outcome=\"failed\"}", 1),
        ("broker_command_results_total{result=\"ok\"}", 1),
        ("broker_command_results_total{result=\"failed\"}", 1),
        ("broker_command_duration_seconds_count", 1),
        ("broker_faults_total", 1),
        // Two members and an observer, once.
        ("broker_lag_entries_count", 3),
    ] {
        assert_eq!(figures.get(sample), expected, "{sample} in {:#?}", figures.0);
    }
    // Ten messages out to three members, and what each of them had said.
    assert!(figures.get("broker_sent_bytes_total") > 30 * "msg ops 4 alice message 0".len() as u64);
    assert!(figures.get("broker_received_bytes_total") > 10 * "pub ops message 0".len() as u64);
    assert!(figures.get("process_resident_memory_bytes") > 1 << 20);
    assert!(figures.get("broker_entries_delivered_total") > 30 + 2);
}

/// A Redis client that asks for more than Redis has stays the connection that it is.
#[test]
fn a_connection_is_opened_once() {
    let broker = Broker::start();
    let [mut plain, mut ranked, mut named] = ["plain", "ranked", "named"].map(|n| broker.redis(n));
    plain.ask("PING", "+PONG");
    ranked.ask("RANKED ON", "+OK");
    named.ask("SESSION --name named", "*");
    let figures = Figures::scrape(&broker);
    assert_eq!(figures.get("broker_connections_opened_total{dialect=\"resp\"}"), 3);
}

/// For a member that polls for commands the channel is read, but no messages are
/// delivered; a client that wants to encrypt is told that nobody here does.
#[test]
fn what_nobody_takes_is_not_delivered_and_who_is_refused_is_counted() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    let poller = r#"{"name":"poller"}"#;
    broker.web().post("/v1/channels/ops/members", poller).expect(201, "*");
    alice.expect("join ops 2 poller 1");
    let mut tls = broker.connect("tls");
    tls.send_bytes(b"\x16\x03\x01\x00\x05hello");
    tls.expect_end();
    for _ in 0..10 {
        alice.ask("pub ops x", "ok pub ops *");
        alice.expect("msg ops * alice x");
    }
    alice.ask("/go", "ok cmd ops 13 to=1");
    // Alice's ten messages and the roster, and the poller's command behind them.
    support::eventually("the command is delivered", || {
        Figures::scrape(&broker).get("broker_entries_delivered_total") >= 12
    });
    let figures = Figures::scrape(&broker);
    assert_eq!(figures.get("broker_messages_delivered_total"), 10);
    assert_eq!(figures.get("broker_connections_opened_total{dialect=\"tls\"}"), 1);
}

/// What the parser of Prometheus, a real one of `OpenMetrics`, makes of a scrape:
/// the samples without labels, a line each. Nothing if it is not installed.
fn parsed(broker: &Broker) -> Option<String> {
    const PARSE: &str = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        print(*sorted(f'{s.name} {s.value:.0f}' for f in parse(sys.stdin.read()) for s in f.samples \
        if not s.labels), sep='\\n')";
    let imports = |python: &&str| {
        let import = Command::new(python).args(["-c", "import prometheus_client"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(imports) else {
        support::skip("python3-prometheus-client is missing");
        return None;
    };
    let mut command = Command::new(python);
    command.args(["-c", PARSE]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut parser = command.stderr(Stdio::piped()).spawn().unwrap();
    parser.stdin.take().unwrap().write_all(Figures::text(broker).as_bytes()).unwrap();
    let parsed = parser.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&parsed.stderr);
    assert!(parsed.status.success(), "{complaint}");
    Some(String::from_utf8(parsed.stdout).unwrap())
}

#[track_caller]
fn says(parsed: &str, sample: &str) {
    assert!(parsed.lines().any(|line| line == sample), "{sample} in {parsed}");
}

#[test]
fn the_parser_of_prometheus_takes_it() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(data.path(), &[]);
    let mut alice = broker.member("alice", "ops");
    alice.ask("pub ops x", "ok pub ops 2");
    alice.expect("msg ops 2 alice x");
    let Some(parsed) = parsed(&broker) else { return };
    for sample in ["broker_messages_received_total 1", "broker_members 1", "broker_store_up 1"] {
        says(&parsed, sample);
    }
}

/// The generator of load counts by itself what it has sent, and what has arrived.
#[test]
fn the_counters_agree_with_those_of_the_generator() {
    let broker = Broker::process();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_broker-bench"));
    bench.args([broker.addr.ip().to_string(), broker.addr.port().to_string()]);
    bench.args(["publish", "--publishers", "2", "--channels", "2", "--members", "3"]);
    let output = bench.args(["--seconds", "0.5", "--warm-up", "0.1", "--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |key: &str| report[key].as_u64().unwrap();
    assert!(count("published") > 1000 && count("delivered") == 3 * count("published"), "{report}");
    let Some(parsed) = parsed(&broker) else { return };
    says(&parsed, &format!("broker_messages_received_total {}", count("published")));
    says(&parsed, &format!("broker_messages_delivered_total {}", count("delivered")));
    // It has cleared up.
    says(&parsed, "broker_channels 0");
    says(&parsed, "broker_gaps_total 0");
    let sent = parsed.lines().find_map(|line| line.strip_prefix("broker_sent_bytes_total "));
    let sent: u64 = sent.unwrap().parse().unwrap();
    assert!(sent > count("delivered") * count("bytes"), "{sent} for {report}");
}

/// Names are what clients choose, and there may be any number of them.
#[test]
fn no_name_is_a_label() {
    let broker = Broker::start();
    let _member = broker.member("somebody-in-particular", "a-certain-channel");
    let figures = Figures::scrape(&broker);
    for family in figures.0.values() {
        for sample in family.samples.keys() {
            assert!(!sample.contains("particular") && !sample.contains("certain"), "{sample}");
            let labels = sample.split_once('{').map_or("", |(_, labels)| labels);
            let label = labels.split('=').next().unwrap();
            let known = ["", "dialect", "reason", "cause", "outcome", "result", "le"];
            assert!(known.contains(&label), "{sample}");
        }
    }
}

#[test]
fn a_vacancy_and_a_resumption_are_counted() {
    let broker = Broker::with(|config| config.lease = std::time::Duration::from_secs(3600));
    let (mut alice, resume) = broker.owner("alice");
    alice.ask("create ops --on-close safe", "ok create ops");
    alice.ask("sub ops", "ok sub ops *");
    let mut bob = broker.member("bob", "ops");
    alice.expect("join ops 2 bob 1");
    alice.reset();
    support::eventually("rank 0 is not here", || {
        Figures::scrape(&broker).get("broker_vacancies") == 1
    });
    assert_eq!(Figures::scrape(&broker).get("broker_vacancy_seconds_count"), 0);
    let mut alice = broker.connect("alice");
    alice.ask(&resume, "ok hello *");
    let figures = Figures::scrape(&broker);
    assert_eq!(figures.get("broker_vacancies"), 0);
    assert_eq!(figures.get("broker_vacancy_seconds_count"), 1);
    assert_eq!(figures.get("broker_promotions_total"), 0);
    assert_eq!(figures.get("broker_resumes_total{result=\"resumed\"}"), 1);
    assert_eq!(figures.get("broker_connections_closed_total{reason=\"lost\"}"), 1);
    bob.ask("hello --session 00000000-0000-4000-8000-000000000000 --secret x", "err *");
}

/// A member over HTTP keeps its seat by a request, and not by resuming its session.
#[test]
fn a_vacancy_ends_when_a_member_over_http_renews_its_lease() {
    let broker = Broker::with(|config| {
        config.lease = std::time::Duration::from_millis(300);
        config.guard = std::time::Duration::from_millis(100);
    });
    let web = broker.web();
    broker.client("alice").ask("create ops --hold 60", "ok create ops");
    let (_, bob) = web.join("ops", "bob");
    support::eventually("rank 0 is not here", || {
        Figures::scrape(&broker).get("broker_vacancies") == 1
    });
    bob.ask("POST", "/v1/channels/ops/members/bob/renew", None).expect(200, r#"{*"rank":0,*}"#);
    // Its lease may be over again by now.
    assert!(Figures::scrape(&broker).get("broker_vacancy_seconds_count") > 0);
}

/// It counts as one with a connection: publishers would never wait for it otherwise.
#[test]
fn a_member_over_http_that_gets_a_connection_is_like_any_other() {
    let broker = Broker::start();
    let (bob, _) = broker.web().join("ops", "bob");
    assert_eq!(Figures::scrape(&broker).get("broker_residents"), 1);
    let token = bob["token"].as_str().expect("it is one");
    let (session, secret) = token.split_at(32);
    let mut bob = broker.connect("bob");
    bob.ask(
        &format!("hello --session {session} --secret {secret}"),
        "ok hello name=bob * resumed=yes *",
    );
    let figures = Figures::scrape(&broker);
    assert_eq!(figures.get("broker_residents"), 0);
    assert_eq!(figures.get("broker_connections{dialect=\"text\"}"), 1);
}

#[test]
fn commits_are_timed_and_the_manual_has_every_metric() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(data.path(), &[]);
    let mut alice = broker.client("alice");
    alice.ask("create ops --durable", "ok create ops");
    let reply = alice.ask("pub ops x", "ok pub ops 1");
    assert_eq!(number(&reply, 3), 1);
    let figures = Figures::scrape(&broker);
    let manual = std::fs::read_to_string("docs/operations.md").unwrap();
    for name in figures.0.keys() {
        assert!(manual.contains(&format!("`{name}`")), "docs/operations.md does not have {name}");
    }
    assert_eq!(figures.get("broker_store_up"), 1);
    assert_eq!(figures.get("broker_store_entries_total"), 1);
    let commits = figures.get("broker_store_commits_total");
    assert!(commits > 0);
    assert_eq!(figures.get("broker_store_commit_duration_seconds_count"), commits);
}

/// "raise `--session-grace`" goes by how many came too late.
#[test]
fn who_comes_too_late_is_counted() {
    let grace = std::time::Duration::from_millis(50);
    let broker = Broker::with(|config| config.session_grace = grace);
    let mut alice = broker.connect("alice");
    let hello = "hello --session 00000000-0000-4000-8000-000000000000";
    let secret = field(&alice.ask(hello, "ok hello *"), "secret");
    alice.reset();
    let mut late = broker.connect("late");
    support::eventually("her session is over", || {
        late.send(&format!("{hello} --secret x"));
        // Until the grace is over, it is denied.
        late.line().unwrap().starts_with("err gone ")
    });
    late.ask(&format!("{hello} --secret {secret}"), "err gone *");
    // A session of another broker, perhaps.
    late.ask("hello --session 00000000-0000-4000-8000-000000000001 --secret x", "err gone *");
    let gone = "broker_resumes_total{result=\"gone\"}";
    assert_eq!(Figures::scrape(&broker).get(gone), 3);
}
