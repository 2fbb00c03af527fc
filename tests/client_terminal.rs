//! The client on a terminal: a pseudo-terminal types, and reads the screen.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

mod client_support;
mod support;

use client_support::{DEADLINE, broker, member, next, program, run, runs, wait};
use expectrl::session::OsSession;
use expectrl::{ControlCode, Eof, Expect, Regex, Session};
use ranked_broker::client::Frame;
use std::process::Command;
use support::eventually;

type Terminal = OsSession;

fn open(port: u16, args: &[&str]) -> Terminal {
    let mut command = program(port, args);
    command.env("TERM", "xterm").env("NO_COLOR", "1");
    let mut terminal = Session::spawn(command).unwrap();
    terminal.set_expect_timeout(Some(DEADLINE));
    terminal.get_process_mut().set_window_size(100, 30).unwrap();
    terminal
}

/// Waits for this text, and gives what came before it.
fn expect(terminal: &mut Terminal, text: &str) -> String {
    match terminal.expect(text) {
        Ok(found) => String::from_utf8_lossy(found.before()).into_owned(),
        Err(e) => {
            let mut rest = [0; 4096];
            let count = terminal.try_read(&mut rest).unwrap_or(0);
            panic!("no {text:?}: {e}; on the screen: {:?}", String::from_utf8_lossy(&rest[..count]))
        }
    }
}

#[test]
fn the_prompt_shows_name_channel_and_live_rank() {
    let server = broker();
    let (boss, frames) = member(&server, "boss");
    wait(boss.create("ops")).unwrap();
    wait(boss.subscribe("ops")).unwrap();
    let mut terminal = open(server.addr.port(), &["--name", "alice"]);
    expect(&mut terminal, "alice> ");
    terminal.send("sub ops\r").unwrap();
    expect(&mut terminal, "alice@ops#1> ");
    drop((boss, frames));
    expect(&mut terminal, "your rank in ops is now 0: you command this channel");
    expect(&mut terminal, "alice@ops#0> ");
    terminal.send(ControlCode::EndOfTransmission).unwrap();
    terminal.expect(Eof).unwrap();
}

#[test]
fn without_a_connection_the_prompt_claims_no_rank() {
    // Once, it still said bob@ops#0 while the broker was gone, and on the next broker,
    // where bob was in no channel at all.
    let server = broker();
    let port = server.addr.port();
    let (alice, frames) = member(&server, "alice");
    wait(alice.create("ops")).unwrap();
    let mut terminal = open(port, &["--name", "bob", "--sub", "ops", "--reconnect"]);
    expect(&mut terminal, "bob@ops#0> ");
    drop((alice, frames));
    wait(server.stop());
    expect(&mut terminal, "bob (disconnected)> ");
    let config = ranked_broker::config::Config { port, ..Default::default() };
    let server = ranked_broker::server::Server::start(config).unwrap();
    let between = expect(&mut terminal, "bob> ");
    assert!(!between.contains('#'), "{between}");
    let (alice, _frames) = member(&server, "alice");
    wait(alice.create("ops")).unwrap();
    let between = expect(&mut terminal, "bob@ops#0> ");
    assert!(between.contains("trying until it succeeds"), "{between}");
    terminal.send(ControlCode::EndOfTransmission).unwrap();
    terminal.expect(Eof).unwrap();
}

#[test]
fn what_comes_never_disturbs_what_is_being_typed() {
    let server = broker();
    let (bob, mut frames) = member(&server, "bob");
    wait(bob.create("n")).unwrap();
    wait(bob.subscribe("n")).unwrap();
    let mut terminal = open(server.addr.port(), &["--name", "alice", "--sub", "n"]);
    expect(&mut terminal, "alice@n#1> ");
    terminal.send("pub n half a").unwrap();
    expect(&mut terminal, "half a");
    wait(bob.publish("n", "interrupting")).unwrap();
    expect(&mut terminal, "[n 3] bob: interrupting\r\n");
    // The line is there again, below it.
    expect(&mut terminal, "alice@n#1> pub n half a");
    for number in 0..500 {
        wait(bob.publish("n", &format!("burst {number}"))).unwrap();
        if number % 50 == 0 {
            terminal.send("x").unwrap();
        }
    }
    expect(&mut terminal, "burst 499\r\n");
    expect(&mut terminal, "pub n half axxxxxxxxxx");
    terminal.send(" line\r").unwrap();
    let payload = next(&mut frames, |frame| match frame {
        Frame::Message { from, payload, .. } if from == "alice" => Some(payload),
        _ => None,
    });
    assert_eq!(payload, "half axxxxxxxxxx line");
    terminal.send(ControlCode::EndOfText).unwrap();
    terminal.expect(Eof).unwrap();
}

#[test]
fn tab_completes_and_the_history_comes_back() {
    let server = broker();
    let mut terminal = open(server.addr.port(), &["--name", "alice"]);
    expect(&mut terminal, "alice> ");
    terminal.send("create operations\r").unwrap();
    expect(&mut terminal, "ok create operations");
    terminal.send("sub op\t\r").unwrap();
    expect(&mut terminal, "ok sub operations");
    terminal.send("pub op\thi the\tre\r").unwrap();
    expect(&mut terminal, "alice: hi there");
    terminal.send("\x1b[A\x1b[D\x1b[D\x7fX\r").unwrap();
    expect(&mut terminal, "alice: hi thXre");
    terminal.send("p\t").unwrap();
    expect(&mut terminal, "ping  promote  pub\r\n");
    terminal.send("u\tno\x15quit\r").unwrap();
    terminal.expect(Eof).unwrap();
}

#[test]
fn a_paste_of_many_lines_is_sent_line_by_line() {
    let server = broker();
    let (bob, mut frames) = member(&server, "bob");
    wait(bob.create("n")).unwrap();
    wait(bob.subscribe("n")).unwrap();
    let mut terminal = open(server.addr.port(), &["--name", "alice", "--sub", "n"]);
    expect(&mut terminal, "alice@n#1> ");
    let paste = (0..200).fold(String::new(), |all, n| all + &format!("pub n pasted\t{n}\n"));
    terminal.send(format!("\x1b[200~{paste}\x1b[201~")).unwrap();
    // Without brackets, as old terminals paste, while messages come.
    let typed = (200..400).fold(String::new(), |all, n| all + &format!("pub n pasted {n}\r"));
    for (at, piece) in typed.as_bytes().chunks(500).enumerate() {
        terminal.send(piece).unwrap();
        let marker = format!("marker {at}");
        wait(bob.publish("n", &marker)).unwrap();
        // Somebody must read the screen, or the terminal holds everything up.
        expect(&mut terminal, &marker);
    }
    let mut pasted = Vec::new();
    let reading = std::thread::spawn(move || {
        next(&mut frames, |frame| match frame {
            Frame::Message { from, payload, .. } if from == "alice" => {
                pasted.push(payload);
                (pasted.len() == 400).then(|| std::mem::take(&mut pasted))
            }
            _ => None,
        })
    });
    terminal.send("pub n finished\r").unwrap();
    expect(&mut terminal, "alice: finished");
    let expected: Vec<_> = (0..400).map(|number| format!("pasted {number}")).collect();
    assert_eq!(reading.join().unwrap(), expected);
}

/// Regression: of more than a kilobyte at once, the rest stood still until the next key.
#[test]
fn what_is_pasted_at_once_needs_no_key_after_it() {
    let server = broker();
    let mut terminal = open(server.addr.port(), &["--name", "alice"]);
    expect(&mut terminal, "alice> ");
    terminal.send("create n\rsub n\r").unwrap();
    expect(&mut terminal, "alice@n#0> ");
    for round in 0..10 {
        let paste =
            (0..100).fold(String::new(), |all, n| all + &format!("pub n {round} pasted {n}\r"));
        terminal.send(paste).unwrap();
        expect(&mut terminal, &format!("alice: {round} pasted 99"));
    }
}

/// Regression: it went on reading, and what was meant for the shell was published.
#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_until_it_goes_on() {
    let server = broker();
    let mut shell = Command::new("sh");
    // A shell that gives each program a process group of its own, as an interactive one
    // does.
    let script = "set -m; \"$@\"; stty -a | grep -o -- '-*icanon'; echo stopped=$?; \
                  read line; echo \"heard=$line\"; fg; echo ended=$?";
    shell.args(["-c", script, "sh", env!("CARGO_BIN_EXE_broker-client")]);
    shell.args(["127.0.0.1", &server.addr.port().to_string(), "--name", "alice"]);
    shell.env("TERM", "xterm").env("NO_COLOR", "1");
    let mut terminal = Session::spawn(shell).unwrap();
    terminal.set_expect_timeout(Some(DEADLINE));
    expect(&mut terminal, "alice> ");
    terminal.send("create n\rsub n\rpub n half").unwrap();
    expect(&mut terminal, "alice@n#0> pub n half");
    terminal.send("\x1a").unwrap();
    let modes = expect(&mut terminal, "stopped=0");
    assert!(modes.contains("\x1b[?2004l") && !modes.contains("-icanon"), "{modes:?}");
    terminal.send("for the shell\n").unwrap();
    expect(&mut terminal, "heard=for the shell");
    let back = expect(&mut terminal, "alice@n#0> pub n half");
    assert!(back.contains("\x1b[?2004h"), "{back:?}");
    terminal.send(" and half\r").unwrap();
    let shown = expect(&mut terminal, "alice: half and half");
    assert!(!shown.contains("shell"), "{shown:?}");
    terminal.send(ControlCode::EndOfTransmission).unwrap();
    expect(&mut terminal, "ended=0");
}

/// Regression: a client that was told to ignore SIGHUP, and whose terminal was closed,
/// looked for keys without a pause.
#[test]
fn it_ends_with_its_terminal_though_no_signal_says_so() {
    let server = broker();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; \"$@\" </dev/tty & echo pid=$!; wait", "sh"]);
    shell.arg(env!("CARGO_BIN_EXE_broker-client"));
    shell.args(["127.0.0.1", &server.addr.port().to_string(), "--name", "alice"]);
    shell.env("TERM", "xterm").env("NO_COLOR", "1");
    let mut terminal = Session::spawn(shell).unwrap();
    terminal.set_expect_timeout(Some(DEADLINE));
    let begun = expect(&mut terminal, "alice> ");
    let pid = begun.split_once("pid=").unwrap().1.split_whitespace().next().unwrap();
    let pid: u32 = pid.parse().unwrap();
    assert!(runs(pid));
    drop(terminal);
    eventually("the client has ended", || !runs(pid));
}

#[test]
fn commands_are_executed_and_said_to_be() {
    let server = broker();
    let (boss, _frames) = member(&server, "boss");
    wait(boss.create("ops")).unwrap();
    wait(boss.subscribe("ops")).unwrap();
    let args =
        ["--name", "alice", "--sub", "ops", "--exec", "slow=/bin/cat", "--exec", "say=/bin/echo"];
    let mut terminal = open(server.addr.port(), &args);
    expect(&mut terminal, "alice@ops#1> ");
    let fifo = tempfile::tempdir().unwrap();
    let path = fifo.path().join("gate");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    // A program that runs until the gate opens holds up nothing.
    let slow = wait(boss.command("ops", "slow", &[path.to_str().unwrap()])).unwrap();
    expect(&mut terminal, "boss (rank 0) commands: slow");
    terminal.send("rank\r").unwrap();
    expect(&mut terminal, "ok rank ops 1");
    let noted = wait(boss.command("ops", "note", &["this one"])).unwrap();
    expect(&mut terminal, "shown only: note 'this one'");
    wait(noted.results()).unwrap();
    std::fs::write(&path, "through").unwrap();
    let results = wait(slow.results()).unwrap();
    assert_eq!(results[0].text, "through");
    terminal.expect(Regex("executed: slow .*: exit code 0")).unwrap();
}

#[test]
fn the_terminal_is_given_back() {
    let server = broker();
    let mut terminal = open(server.addr.port(), &[]);
    expect(&mut terminal, "guest-1> ");
    terminal.send(ControlCode::EndOfText).unwrap();
    let end = expect(&mut terminal, "\x1b[?2004l");
    assert!(!end.contains("panicked"), "{end}");
    terminal.expect(Eof).unwrap();
}

#[test]
fn ctrl_c_gives_a_line_up_and_the_next_one_ends_it() {
    let server = broker();
    let mut terminal = open(server.addr.port(), &["--name", "alice"]);
    expect(&mut terminal, "alice> ");
    terminal.send("drop everything").unwrap();
    expect(&mut terminal, "drop everything");
    terminal.send(ControlCode::EndOfText).unwrap();
    expect(&mut terminal, "alice> drop everything^C\r\n");
    terminal.send("version\r").unwrap();
    expect(&mut terminal, "ok version");
    terminal.send(ControlCode::EndOfText).unwrap();
    terminal.expect(Eof).unwrap();
}

#[test]
fn a_dumb_terminal_gets_lines_and_nothing_else() {
    let server = broker();
    let mut command = program(server.addr.port(), &["--name", "alice"]);
    command.env("TERM", "dumb");
    let mut terminal = Session::spawn(command).unwrap();
    terminal.set_expect_timeout(Some(DEADLINE));
    terminal.send("create n\nsub n\npub n hi\n").unwrap();
    let before = expect(&mut terminal, "[n 2] alice: hi");
    terminal.send(ControlCode::EndOfTransmission).unwrap();
    let rest = terminal.expect(Eof).unwrap();
    let rest = String::from_utf8_lossy(rest.before()).into_owned();
    assert!(!before.contains('\x1b') && !rest.contains('\x1b'), "{before:?} {rest:?}");
}

#[test]
fn plain_lines_on_a_terminal_cannot_turn_the_text_round() {
    let server = broker();
    let (bob, _frames) = member(&server, "bob");
    wait(bob.request("create n --history 9")).unwrap();
    wait(bob.publish("n", "to\u{202e}gpj.exe\u{2028}\u{200b}!")).unwrap();
    let asked = ["--plain", "-c", "history n"];
    let mut terminal = open(server.addr.port(), &asked);
    expect(&mut terminal, r"bob to\u{202e}gpj.exe\u{2028}\u{200b}!");
    terminal.expect(Eof).unwrap();
    // In a pipe the text comes unchanged.
    let (said, _, _) = run(server.addr.port(), &asked, "");
    assert!(said.contains("bob to\u{202e}gpj.exe\u{2028}\u{200b}!\n"), "{said}");
}
