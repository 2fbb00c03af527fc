//! Real clients of Redis: each talks with a `broker-client` that speaks text.
//! What they are written in is in `tests/redis`; what they need is installed
//! into `target/` when a test needs it first. Where that cannot be had, a test
//! says so aloud, and fails if `REQUIRE_TEST_TOOLS` is set.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in tests, but not in their helpers

mod support;

use futures::StreamExt;
use redis::AsyncCommands;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Broker, Program, install, installed, redis_py};

/// The versions that there were when this was written.
const IOREDIS: &str = "ioredis@>=5.4 <7";

/// Whether a tool is there. Without it, a test is skipped unless `REQUIRE_TEST_TOOLS`
/// is set.
fn is_there(tool: &str, found: Result<(), String>) -> bool {
    let Err(reason) = found else { return true };
    support::skip(&format!("{tool} is missing: {reason}"));
    false
}

fn ioredis() -> Result<PathBuf, String> {
    install(Command::new("node").arg("--version"))?;
    installed("ioredis", |folder| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-fund", "--no-audit", "--prefix"]);
        install(npm.arg(folder).arg(IOREDIS))
    })
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/redis").join(name)
}

/// The client that speaks text, in the channel `talk`.
fn text_client(broker: &Broker) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker-client"));
    command.args(["127.0.0.1", &broker.addr.port().to_string(), "--name", "text"]);
    let mut text = broker.program("text", &mut command);
    text.send("sub talk --create");
    text.expect("ok sub talk rank=0 *");
    text
}

/// What the clients in `tests/redis` do, seen from both sides. `name` is what the
/// client calls itself, `receivers` how many get what it publishes.
fn talks(broker: &Broker, mut client: Program, name: &str, receivers: u32) {
    let mut text = text_client(broker);
    client.expect("subscribed");
    text.send("pub talk hello from text");
    text.expect("ok pub talk 2");
    text.expect("msg talk 2 text hello from text");
    client.expect("message* talk hello from text");
    client.expect("pmessage ta* talk hello from text");
    text.expect(&format!("msg talk 3 * hello from {name}"));
    client.expect(&format!("published {receivers}"));
    let rest = client.rest();
    let expected =
        ["added 1-0 2-0 3-0", "range *1-0*n*0* 3", "error *unknown command*", "rank *", "end"];
    for pattern in expected {
        assert!(rest.iter().any(|line| support::matches(pattern, line)), "{pattern}: {rest:?}");
    }
    text.end_input();
    text.rest();
}

fn python(style: &str, version: &str) {
    let python = redis_py();
    if !is_there("redis-py", python.as_ref().map(drop).map_err(Clone::clone)) {
        return;
    }
    let broker = Broker::start();
    let mut command = Command::new(python.unwrap());
    command.arg(script("redis_py.py")).args([&broker.addr.port().to_string(), style, version]);
    // The text client is there first.
    let client = broker.program("redis-py", &mut command);
    talks(&broker, client, "redis-py", 2);
}

#[test]
fn redis_py_blocking_version_2() {
    python("sync", "2");
}

#[test]
fn redis_py_blocking_version_3() {
    python("sync", "3");
}

#[test]
fn redis_py_asyncio_version_2() {
    python("asyncio", "2");
}

#[test]
fn redis_py_asyncio_version_3() {
    python("asyncio", "3");
}

#[test]
fn node_ioredis() {
    let folder = ioredis();
    if !is_there("ioredis", folder.as_ref().map(drop).map_err(Clone::clone)) {
        return;
    }
    let modules = folder.unwrap().join("node_modules");
    for version in ["2", "3"] {
        let broker = Broker::start();
        let mut command = Command::new("node");
        command.env("NODE_PATH", &modules);
        command.arg(script("ioredis.js")).args([&broker.addr.port().to_string(), version]);
        let mut client = broker.program("ioredis", &mut command);
        client.expect("ping PONG");
        talks(&broker, client, "ioredis", 2);
    }
}

fn redis_cli(broker: &Broker, args: &[&str]) -> Program {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &broker.addr.port().to_string()]).args(args);
    broker.program("redis-cli", &mut command)
}

#[test]
fn the_command_line_of_redis() {
    if !is_there("redis-cli (Debian: redis-tools)", install(Command::new("redis-cli").arg("-v"))) {
        return;
    }
    for version in ["-2", "-3"] {
        let broker = Broker::start();
        let mut text = text_client(&broker);
        let mut subscriber = redis_cli(&broker, &[version, "--no-raw", "SUBSCRIBE", "talk"]);
        let shown = std::iter::from_fn(|| subscriber.line());
        let shown: Vec<String> = shown.take_while(|line| !line.contains("(integer) 1")).collect();
        assert!(shown.iter().any(|line| line.contains("\"subscribe\"")), "{shown:?}");
        text.send("pub talk hello from text");
        text.expect_all(&["ok pub talk 2", "msg talk 2 text hello from text"]);
        subscriber.expect("1) \"message\"");
        subscriber.expect("2) \"talk\"");
        subscriber.expect("3) \"hello from text\"");
        let mut publisher =
            redis_cli(&broker, &[version, "PUBLISH", "talk", "hello from redis-cli"]);
        publisher.expect("2");
        text.expect("msg talk 3 guest-* hello from redis-cli");
        subscriber.expect("1) \"message\"");
        // As a person uses it: it asks for the list of commands first.
        let mut typing = redis_cli(&broker, &[version, "--no-raw"]);
        typing.send("PING");
        typing.expect("PONG");
        typing.send("CMD talk reboot now");
        typing.expect("(error) ERR not-member *");
        typing.send("RANKED ON");
        typing.expect("OK");
        typing.send("SUB talk");
        typing.expect("*channel*");
        text.expect("join talk 4 guest-* 1");
        typing.end_input();
        typing.rest();
    }
}

#[test]
fn the_benchmark_of_redis() {
    if !is_there(
        "redis-benchmark (Debian: redis-tools)",
        install(Command::new("redis-benchmark").arg("-v")),
    ) {
        return;
    }
    let broker = Broker::start();
    let mut text = text_client(&broker);
    for (pipeline, first) in [("1", 2), ("16", 1_002)] {
        let mut command = Command::new("redis-benchmark");
        command.args(["-p", &broker.addr.port().to_string(), "-n", "1000", "-c", "10", "-q"]);
        command.args(["-P", pipeline, "PUBLISH", "talk", "hello from redis-benchmark"]);
        let mut benchmark = broker.program("benchmark", &mut command);
        let shown = benchmark.rest().join("\n");
        assert!(shown.contains("requests per second"), "{shown}");
        for seq in first..first + 1_000 {
            text.expect(&format!("msg talk {seq} guest-* hello from redis-benchmark"));
        }
    }
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", &broker.addr.port().to_string(), "-n", "100", "-q"]);
    command.args(["XADD", "mystream", "*", "field", "data"]);
    let shown = broker.program("benchmark", &mut command).rest().join("\n");
    assert!(shown.contains("requests per second"), "{shown}");
    let mut redis = broker.redis("redis");
    redis.ask("XLEN mystream", ":100");
}

/// The crate, on the runtime that this broker has as well.
#[test]
fn the_crate_for_rust() {
    for version in ["", "?protocol=resp3"] {
        let broker = Broker::start();
        let mut text = text_client(&broker);
        let url = format!("redis://127.0.0.1:{}/{version}", broker.addr.port());
        let client = redis::Client::open(url).unwrap();
        ranked_broker::runtime::block_on(async {
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let mut pubsub = client.get_async_pubsub().await.unwrap();
            pubsub.subscribe("talk").await.unwrap();
            pubsub.psubscribe("ta*").await.unwrap();
            text.send("pub talk hello from text");
            text.expect_all(&["ok pub talk 2", "msg talk 2 text hello from text"]);
            let mut messages = pubsub.on_message();
            let first = messages.next().await.unwrap();
            assert_eq!(first.get_channel_name(), "talk");
            assert_eq!(first.get_payload::<String>().unwrap(), "hello from text");
            let second = messages.next().await.unwrap();
            assert_eq!(second.get_pattern::<String>().unwrap(), "ta*");
            let receivers: u32 = connection.publish("talk", "hello from redis").await.unwrap();
            assert_eq!(receivers, 2);
            text.expect("msg talk 3 guest-* hello from redis");
            let id: String = connection.xadd("log", "*", &[("n", "1")]).await.unwrap();
            assert_eq!(id, "1-0");
            let range: redis::streams::StreamRangeReply =
                connection.xrange_all("log").await.unwrap();
            assert_eq!(range.ids[0].get::<u32>("n"), Some(1));
            let options = redis::streams::StreamReadOptions::default().block(50);
            let read: Option<redis::streams::StreamReadReply> =
                connection.xread_options(&["log"], &["0"], &options).await.unwrap();
            assert_eq!(read.unwrap().keys[0].ids.len(), 1);
            let refused = connection.get::<_, Option<String>>("x").await.unwrap_err();
            assert!(refused.to_string().contains("unknown command"), "{refused}");
        });
    }
}
