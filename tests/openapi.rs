//! The OpenAPI document against the broker: schemathesis makes requests up from
//! it, right ones and wrong ones, and looks whether each answer is as it says.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::PathBuf;
use std::process::Command;
use support::{Broker, Child};

/// Where `tests/run` installs it.
fn schemathesis() -> Option<PathBuf> {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent()?.to_owned();
    let found = target.join("tools/schemathesis/bin/schemathesis");
    if found.exists() {
        return Some(found);
    }
    support::skip("schemathesis is not installed: tests/run does that");
    None
}

#[test]
fn the_document_is_true() {
    let Some(schemathesis) = schemathesis() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // A fuzzer renews no lease, and makes durable channels.
    let data = data.to_str().unwrap();
    let settings = ["--lease", "1h", "--idle-timeout", "0", "--data", data];
    let broker = Broker::from_child(Child::with(&settings));
    let (joined, _) = broker.web().join("ops", "alice");
    let config = format!("{}/tests/schemathesis.toml", env!("CARGO_MANIFEST_DIR"));
    let done = Command::new(schemathesis)
        .args(["--config-file", &config, "run", "--no-color"])
        .arg(format!("http://{}/v1/openapi.json", broker.addr))
        .env("BROKER", format!("http://{}", broker.addr))
        .env("TOKEN", joined["token"].as_str().unwrap())
        .current_dir(folder.path())
        .output()
        .expect("schemathesis runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    // That it had nothing to do would be no success.
    let tested = said.lines().find_map(|line| line.trim().strip_prefix("Tested: "));
    let tested: usize = tested.and_then(|count| count.parse().ok()).expect("a count");
    assert!(tested >= 20, "{said}");
}
