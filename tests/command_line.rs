//! What the `broker` program does with its arguments, before it serves anybody.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in tests, but not in their helpers

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};

/// The program, with none of this machine's own settings.
fn broker() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
    command.env_clear();
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Asserts that it failed with 2 and returns its one line.
fn refusal(output: &Output) -> String {
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert!(output.stdout.is_empty());
    line.strip_suffix('\n').unwrap().to_string()
}

#[test]
fn help_begins_with_examples_and_version_names_the_version() {
    let help = broker().arg("--help").output().unwrap();
    assert!(help.status.success());
    assert!(text(&help.stdout).starts_with("Examples:\n  broker "));
    let version = broker().arg("--version").output().unwrap();
    assert!(version.status.success());
    assert_eq!(text(&version.stdout), concat!("broker ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn the_settings_that_are_shown_can_be_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broker.toml");
    fs::write(&file, "stall = '1s'\nmax-line = '1KiB'\n").unwrap();
    let first = broker()
        .args(["--show-config", "--max-clients", "9"])
        .env("BROKER_MAX_LINE", "2KiB")
        .env("BROKER_CONFIG", &file)
        .output()
        .unwrap();
    assert!(first.status.success());
    let shown = text(&first.stdout);
    let origin_of = |key: &str| {
        let line = shown.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_once("  # ").unwrap().1.to_string()
    };
    assert_eq!(origin_of("max-clients = 9 "), "flag --max-clients");
    assert_eq!(origin_of("max-line = \"2KiB\" "), "environment BROKER_MAX_LINE");
    assert_eq!(origin_of("stall = \"1s\" "), format!("file {} line 1", file.display()));
    assert_eq!(origin_of("drain = \"5s\" "), "default");

    let copy = folder.path().join("copy.toml");
    fs::write(&copy, &first.stdout).unwrap();
    let second = broker().arg("--config").arg(&copy).arg("--show-config").output().unwrap();
    let values = |shown: &str| -> Vec<String> {
        let settings = shown.lines().filter(|line| !line.starts_with('#'));
        settings.map(|line| line.split("  #").next().unwrap().to_string()).collect()
    };
    assert_eq!(values(&shown), values(&text(&second.stdout)));
}

#[test]
fn a_wrong_setting_ends_with_2_and_names_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broker.toml");
    fs::write(&file, "port = 7700\nmax_clients = 5\n").unwrap();
    assert_eq!(
        refusal(&broker().arg("--config").arg(&file).output().unwrap()),
        format!(
            "broker: {}:2: there is no setting \"max_clients\"; did you mean `max-clients`?",
            file.display()
        )
    );
    let by_variable = broker().env("BROKER_PORT", "http").output().unwrap();
    assert_eq!(
        refusal(&by_variable),
        "broker: BROKER_PORT: \"http\" is not accepted: write a whole number from 0 to 65535"
    );
    let by_flag = refusal(&broker().args(["--max-clients", "0"]).output().unwrap());
    assert!(by_flag.starts_with("broker: --max-clients: \"0\" is not accepted"), "{by_flag}");
}

#[test]
fn a_flag_that_does_not_exist_ends_with_2_and_the_nearest_one() {
    let output = broker().args(["--max-client", "5"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--max-clients"));
}

#[test]
fn a_port_that_is_taken_ends_with_1_and_a_line_that_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = broker().args(["127.0.0.1", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = text(&output.stderr);
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("broker: ") && last.contains(&port), "{log}");
}

#[test]
fn a_port_in_the_place_of_the_host_is_told() {
    let output = broker().arg("23068").output().unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("; a port comes second: broker 127.0.0.1 23068"), "{said}");
}

#[test]
fn a_lease_that_is_cut_is_one_line_in_the_log() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = broker().args(["127.0.0.1", &port, "--lease", "9m"]).output().unwrap();
    let log = text(&output.stderr);
    assert!(log.contains("WARN  event=lease-cut lease=9m in-force=2m advice="), "{log}");
}

#[test]
fn too_few_files_for_the_clients_is_one_line_in_the_log() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    // The shell lowers the hard limit; the taken port makes the broker end.
    let script = format!("ulimit -n 128 && exec \"$0\" 127.0.0.1 {port} --max-clients 97");
    let output = Command::new("/bin/sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_broker")])
        .env_clear()
        .output()
        .unwrap();
    let log = text(&output.stderr);
    let line = log.lines().find(|line| line.contains("WARN")).unwrap_or_else(|| panic!("{log}"));
    let (time, event) = line.split_once(' ').unwrap();
    assert!(time.len() == "2026-01-01T00:00:00.000Z".len() && time.ends_with('Z'), "{time}");
    assert!(
        event.starts_with("WARN  event=few-files open=128 clients=64 max-clients=97 advice="),
        "{event}"
    );
    assert!(!log.contains('\u{1b}'), "coloured though it is no terminal: {log}");
}

#[test]
fn a_file_can_be_looked_at_without_running() {
    let output = broker().args(["--check-config", "packaging/broker.toml"]).output().unwrap();
    assert_eq!(text(&output.stdout), "packaging/broker.toml: 4 settings, nothing wrong\n");
    assert_eq!(output.status.code(), Some(0));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.toml");
    std::fs::write(&path, "port = 99999\n\nmax-clinets = 1\n").unwrap();
    let output = broker().arg("--check-config").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let complaint = text(&output.stderr);
    let lines: Vec<&str> = complaint.lines().collect();
    let name = format!("broker: {}", path.display());
    assert_eq!(lines.len(), 2, "{complaint}");
    assert!(lines[0].starts_with(&format!("{name}:1: port: \"99999\" is not accepted")));
    assert!(lines[1].starts_with(&format!("{name}:3: there is no setting \"max-clinets\"")));
}

/// The pages and completions that the Debian package installs.
#[test]
fn pages_and_completions_come_from_the_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_broker")).parent().unwrap();
    let made =
        Command::new("packaging/generate").arg(programs).arg(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
    for (page, says) in [
        ("broker.1", "\\-\\-log\\-format"),
        ("broker-client.1", "\\-\\-reconnect"),
        ("broker-client-hold.1", "\\-\\-kill\\-after"),
        ("broker-client-demo.1", "\\-\\-members"),
    ] {
        let page = read(&format!("man/{page}"));
        assert!(page.contains(".SH NAME") && page.contains(says), "{says}: {page}");
    }
    for (program, flag) in [("broker", "log-format"), ("broker-client", "reconnect")] {
        for script in [format!("{program}.bash"), format!("_{program}"), format!("{program}.fish")]
        {
            assert!(read(&format!("completions/{script}")).contains(flag), "{script}");
        }
    }
    // What somebody gets who types that and presses Tab.
    for (program, words, offered) in [
        ("broker", "broker --check", "--check-config"),
        ("broker-client", "broker-client --rec", "--reconnect"),
        ("broker-client", "broker-client hold --kill", "--kill-after"),
        ("broker-client", "broker-client demo --mem", "--members"),
        ("broker-client", "broker-client ho", "hold"),
    ] {
        let function = program.replace('-', "__");
        let press = format!(
            "source \"$0\"; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _{function} {program} \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let script = folder.path().join(format!("completions/{program}.bash"));
        let pressed = Command::new("bash").args(["-c", &press]).arg(script).output().unwrap();
        assert_eq!(text(&pressed.stdout).trim(), offered, "{words}: {}", text(&pressed.stderr));
    }
}
