//! What `broker-client` is told by its arguments.
// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used)]

mod client_support;
mod support;

use client_support::{broker, run, text};
use std::process::Command;

const COMMANDS: [&str; 3] = ["hold", "demo", "numbers"];

fn client(args: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_broker-client")).args(args).output().unwrap();
    let (out, err) = text(&output);
    (out, err, output.status.code().unwrap())
}

/// Regression: `--sub demo` was taken for the command `demo`, and `--name hold` likewise.
#[test]
fn a_channel_or_a_name_may_be_called_as_a_command_is() {
    let server = broker();
    let port = server.addr.port();
    for name in COMMANDS {
        run(port, &["-c", &format!("create {name}")], "");
        let (out, err, code) = run(port, &["--sub", name, "news", "--observe"], "");
        assert!(out.starts_with(&format!("ok sub {name} ")), "{out}{err}");
        // Both of them are channels.
        assert!(out.contains("\nerr no-channel "), "{out}{err}");
        assert_eq!(code, 1);
        let (out, err, code) = run(port, &["--name", name, "-c", "who"], "");
        assert!(out.contains(&format!("client {name} ")), "{out}{err}");
        assert_eq!(code, 0);
        let (out, _, code) = run(port, &["-c", name], "");
        assert!(out.starts_with("err "), "{out}");
        assert_eq!(code, 1);
    }
}

/// `-c 'create …'` would come too late: its lines are sent after what --sub asks for.
#[test]
fn what_is_subscribed_to_can_be_made_with_it() {
    let server = broker();
    let port = server.addr.port();
    let args = ["--sub", "one", "two", "--create", "-c", "pub two hi"];
    let (out, err, code) = run(port, &args, "");
    assert!(
        out.starts_with("ok sub one rank=0 ") && out.contains("\nok sub two rank=0 "),
        "{out}{err}"
    );
    assert!(out.contains("\nok pub two 2"), "{out}{err}");
    assert_eq!(code, 0, "{out}{err}");
}

/// The broker's address comes before the command, `--name` on either side of it.
#[test]
fn a_command_stands_behind_the_address() {
    let server = broker();
    let port = server.addr.port();
    let told = ["hold", "jobs", "--", "printenv", "BROKER_RANK"];
    for args in [
        [&["--name", "hold"], &told[..]].concat(),
        [&told[..2], &["--name", "demo"], &told[2..]].concat(),
    ] {
        let (out, err, code) = run(port, &args, "");
        assert_eq!((out.as_str(), code), ("0\n", 0), "{err}");
    }
}

#[test]
fn the_help_of_a_command_lists_what_it_takes() {
    let session = "--session";
    for (command, taken, refused) in [
        ("hold", &["--name", session][..], &["--sub"][..]),
        ("demo", &["--name"], &[session]),
        ("numbers", &["--batch"], &["--name", session]),
    ] {
        let (help, _, code) = client(&[command, "--help"]);
        assert_eq!(code, 0);
        assert!(help.contains(&format!("Usage: broker-client [HOST] [PORT] {command} ")), "{help}");
        assert!(command == "demo" || help.contains("Exit codes:"), "{help}");
        assert_eq!(help.contains("\n  130  interrupted"), command == "numbers", "{help}");
        for option in taken {
            assert!(help.contains(option), "{option}: {help}");
        }
        for option in refused {
            assert!(!help.contains(option), "{option}: {help}");
            let (_, err, code) = client(&[command, option, "x"]);
            assert_eq!(code, 2, "{err}");
        }
    }
    // Nor before it.
    for args in [
        &["--sub=x", "hold", "jobs", "--", "true"][..],
        &["--session=x", "demo"],
        &["--name=x", "numbers", "1"],
    ] {
        let (_, err, code) = client(args);
        assert!(err.contains(" cannot be used with "), "{err}");
        assert_eq!(code, 2);
    }
}

#[test]
fn the_usage_line_can_be_followed() {
    let server = broker();
    let (help, _, _) = client(&["--help"]);
    assert!(help.contains("Usage: broker-client [HOST] [PORT] [OPTIONS]\n"), "{help}");
    let (out, _, code) = run(server.addr.port(), &["-c", "create n"], "");
    assert_eq!((out.as_str(), code), ("ok create n\n", 0));
}

/// Regression: the last of them was taken, without a word.
#[test]
fn one_name_has_one_program() {
    let (_, err, code) = client(&["--exec", "a=ls", "--exec", "b=ls", "--exec", "/a=cat"]);
    assert!(err.contains("there are two programs for \"a\""), "{err}");
    assert_eq!(code, 2);
}

#[test]
fn what_the_broker_refuses_a_demonstration_is_1() {
    let server = broker();
    let (out, _, code) = run(server.addr.port(), &["demo", "--channel", "a b"], "");
    assert!(out.contains("the broker refused: bad-request"), "{out}");
    assert_eq!(code, 1);
}

/// Regression: it said "invalid digit found in string".
#[test]
fn a_number_that_is_none_is_refused_in_words() {
    for (args, said) in [
        (&["--count", "x"][..], "write a whole number above 0"),
        (&["--count", "0"], "write a whole number above 0"),
        (&["127.0.0.1", "x"], "write a whole number from 1 to 65535"),
        (&["127.0.0.1", "0"], "write a whole number from 1 to 65535"),
        (&["numbers", "many"], "write a whole number from 0 to 65535"),
        (&["numbers", "1", "--batch=-1"], "write a whole number above 0"),
    ] {
        let (_, err, code) = client(args);
        assert!(err.contains(said), "{args:?}: {err}");
        assert_eq!(code, 2);
    }
}

/// Regression: the hint was to start a broker with that host, which would have failed
/// as well.
#[test]
fn who_names_no_host_is_told_so() {
    let (_, err, code) = client(&["127.0.0.1:7700", "-c", "ping"]);
    let apart = "; write host and port apart: broker-client 127.0.0.1 7700\n";
    assert!(err.ends_with(apart), "{err}");
    assert_eq!(code, 3);
    let (_, err, code) = client(&["no host", "-c", "ping"]);
    assert!(err.ends_with("; is \"no host\" the name of a host?\n"), "{err}");
    assert_eq!(code, 3);
}
