//! Call-backs that nobody answers: what waits for them is bounded.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::json;
use support::{Broker, Receiver};

/// Regression: frames were taken from a queue that is bounded to one that was not.
#[test]
fn what_is_told_to_a_member_whose_receiver_hangs_is_bounded() {
    let broker = Broker::with(|config| {
        config.allow_callback = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let receiver = Receiver::start();
    let mut alice = broker.client("alice");
    alice.ask("create ops", "ok create ops");
    let bob = json!({"name": "bob", "callback": receiver.url()});
    broker.web().post("/v1/channels/ops/members", &bob.to_string()).expect(201, "{*}");
    alice.ask("tell bob first", "ok tell bob");
    let first = receiver.expect("tell");
    let text = "x".repeat(32 * 1024);
    let mut taken = 0;
    for _ in 0..200 {
        let reply = alice.ask(&format!("tell bob {text}"), "* *");
        taken += usize::from(reply == "ok tell bob");
    }
    // 256 KiB that were read ahead, 64 KiB that wait to be, and one frame more.
    assert!((1..20).contains(&taken), "{taken} were taken");
    // All of them are told, and then there is room again.
    first.ok();
    for _ in 0..taken {
        receiver.expect("tell").ok();
    }
    alice.ask("tell bob last", "ok tell bob");
    assert_eq!(receiver.expect("tell").frame()["text"], "last");
}
