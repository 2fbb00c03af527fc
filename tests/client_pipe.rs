//! The client in a pipe: scripts depend on each of these.

mod client_support;
mod support;

use client_support::{DEADLINE, Running, Wire, broker, member, next, program, run, wait};
use ranked_broker::client::Frame;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use support::Port;

#[test]
fn a_script_sees_its_replies_and_its_message_and_ends() {
    let server = broker();
    let (out, err, code) = run(server.addr.port(), &[], "create n\nsub n\npub n hi\n");
    let expected = "ok create n\nok sub n rank=0 term=1 view=1 seq=1 members=1\nok pub n 2\n\
                    msg n 2 guest-1 hi\n";
    assert_eq!((out.as_str(), err.as_str(), code), (expected, "", 0));
}

#[test]
fn a_quit_of_the_users_own_is_answered_like_any_request() {
    let server = broker();
    let (out, _, code) = run(server.addr.port(), &[], "# a comment\n\nversion\nquit");
    assert!(out.starts_with("ok version"), "{out}");
    assert_eq!((out.lines().last(), code), (Some("bye quit"), 0));
}

#[test]
fn ten_thousand_lines_at_once_go_through() {
    let server = broker();
    let mut input = "create n --history 20000\nsub n\n".to_owned();
    for number in 0..10_000 {
        writeln!(input, "pub n message {number}").unwrap();
    }
    let (out, err, code) = run(server.addr.port(), &[], &input);
    assert_eq!((err.as_str(), code), ("", 0));
    let messages: Vec<&str> = out.lines().filter(|line| line.starts_with("msg ")).collect();
    assert_eq!(messages.len(), 10_000);
    assert!(messages[9_999].ends_with(" message 9999"), "{}", messages[9_999]);
    assert_eq!(out.lines().filter(|line| line.starts_with("ok pub")).count(), 10_000);
}

/// Regression: after a hundred thousand lines it stood still for ever, because nothing
/// was answered.
#[test]
fn who_is_quiet_may_send_without_end() {
    let server = broker();
    let mut input = "create n\nhello --quiet\n".to_owned();
    for number in 0..120_000 {
        writeln!(input, "pub n {number}").unwrap();
    }
    input += "info n\n";
    let (out, err, code) = run(server.addr.port(), &[], &input);
    assert_eq!((err.as_str(), code), ("", 0));
    assert!(out.contains(" seq=120000 ") && !out.contains("ok p"), "{out}");
}

#[test]
fn a_reader_that_begins_late_gets_everything_and_nothing_locks_up() {
    // Both pipes are full long before anybody reads: about 1.4 MB each way.
    let server = broker();
    let mut child = program(server.addr.port(), &["--name", "slow"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (tx, fed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        stdin.write_all(b"create n\n").unwrap();
        for number in 0..20_000 {
            writeln!(stdin, "pub n {number} {:060}", 0).unwrap();
        }
        tx.send(()).unwrap();
    });
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    fed.recv_timeout(DEADLINE).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(out.lines().count(), 20_001);
}

#[test]
fn first_lines_of_other_dialects_are_still_text() {
    let server = broker();
    for line in ["{\"op\":\"ping\"}", "GET / HTTP/1.1", "*1", "INIT,1"] {
        let (out, _, code) = run(server.addr.port(), &[], &format!("{line}\nversion\n"));
        assert!(out.starts_with("err unknown-command"), "{line}: {out}");
        assert!(out.contains("\nok version") && code == 1, "{line}: {out}");
    }
}

#[test]
fn exit_codes_tell_what_happened() {
    let server = broker();
    let port = server.addr.port();
    let code = |args: &[&str], input: &str| run(port, args, input).2;
    assert_eq!(code(&["-c", "create n --max 1"], ""), 0);
    assert_eq!(code(&["-c", "create n"], ""), 1);
    assert_eq!(code(&["-c", "nope", "-c", "sub n", "-c", "/go"], ""), 5);
    assert_eq!(code(&["-c", "sub n", "-c", "pub --term 999 n x"], ""), 5);
    let (_held, _frames) = {
        let (client, frames) = member(&server, "held");
        wait(client.subscribe("n")).unwrap();
        (client, frames)
    };
    assert_eq!(code(&["-c", "sub n"], ""), 10);
    assert_eq!(code(&["--name", "held"], "ping\n"), 1);
    assert_eq!(code(&["--timeout", "0.1", "--follow"], ""), 124);
    assert_eq!(code(&["--timeout", "x"], ""), 2);
    assert_eq!(code(&["--exec", "x"], ""), 2);
}

#[test]
fn without_a_broker_it_says_what_to_do() {
    let reserved = Port::reserve();
    let port = reserved.number();
    let (out, err, code) = run(port, &[], "ping\n");
    assert_eq!((out.as_str(), code), ("", 3));
    let expected = format!(
        "broker-client: cannot connect to 127.0.0.1:{port}: connection refused; \
         is the broker running? start it with: broker 127.0.0.1 {port}\n"
    );
    assert_eq!(err, expected);
}

#[test]
fn it_waits_for_the_results_of_its_commands() {
    let server = broker();
    let port = server.addr.port();
    run(port, &["-c", "create ops"], "");
    let mut boss = Running::start(program(port, &["--name", "boss", "--sub", "ops"]));
    boss.expect("ok sub ops rank=0");
    let (worker, mut frames) = member(&server, "worker");
    wait(worker.subscribe("ops")).unwrap();
    boss.expect("join ops 2 worker 1");
    boss.send("/restart 'web 1'");
    boss.expect("ok cmd ops 3 to=1");
    // End of input, with a result outstanding.
    drop(boss.stdin.take());
    let command = next(&mut frames, |frame| match frame {
        Frame::Command(command) => Some(command),
        _ => None,
    });
    assert_eq!((command.name.as_str(), command.args[0].as_str()), ("restart", "web 1"));
    wait(worker.acknowledge(&command, 3, "two\nlines")).unwrap();
    let (out, _, code) = boss.finish();
    assert!(out.ends_with("done ops 3 0/1\n"), "{out}");
    assert!(out.contains("ack ops 3 worker 1 3 two"), "{out}");
    assert_eq!(code, 0);
}

#[test]
fn commands_are_executed_once_whatever_the_history_repeats() {
    let server = broker();
    let (boss, _frames) = member(&server, "boss");
    wait(boss.request("create ops --history 100")).unwrap();
    wait(boss.subscribe("ops")).unwrap();
    for args in [vec!["--name", "w1"], vec!["--name", "w2", "--quiet"]] {
        let name = args[1];
        let mut worker = Running::start(program(
            server.addr.port(),
            &[&args[..], &["--exec", "say=/bin/echo", "--exec", "fail=/bin/false"]].concat(),
        ));
        worker.send("sub ops --last 50");
        worker.expect("ok sub ops");
        let results = wait(async {
            let said = boss.command("ops", "say", &["$HOME", "it's"]).await.unwrap();
            worker.send("history ops");
            worker.send("pub nowhere x");
            let failed = boss.command("ops", "fail", &[]).await.unwrap();
            let noted = boss.command("ops", "anything", &["at all"]).await.unwrap();
            [
                said.results().await.unwrap(),
                failed.results().await.unwrap(),
                noted.results().await.unwrap(),
            ]
        });
        let ours: Vec<_> = results
            .iter()
            .map(|results| {
                let ours = results.iter().find(|result| result.member == name).unwrap();
                format!("{:?} {}", ours.outcome, ours.text)
            })
            .collect();
        let shown = "Code(0) shown only: no program for it here";
        assert_eq!(ours, ["Code(0) $HOME it's", "Code(1) ", shown]);
        worker.send("history ops");
        worker.expect("ok history ops");
        // A marker: whatever those rows would have caused has been caused.
        let last = wait(boss.command("ops", "last", &[])).unwrap();
        wait(last.results()).unwrap();
        let (_, err, _) = worker.finish();
        for once in ["executed: say", "executed: fail", "shown only: anything"] {
            assert_eq!(err.lines().filter(|line| line.contains(once)).count(), 1, "{err}");
        }
    }
}

#[test]
fn what_a_program_writes_is_escaped_once_and_by_the_broker() {
    // The client wrote \u{1b} for an escape, and the broker then doubled the
    // backslash of that.
    let server = broker();
    let port = server.addr.port();
    run(port, &["-c", "create ops"], "");
    let mut boss = Running::start(program(port, &["--sub", "ops"]));
    boss.expect("ok sub ops rank=0");
    let args = ["--name", "bob", "--sub", "ops", "--exec", "p=printf"];
    let mut worker = Running::start(program(port, &args));
    worker.expect("ok sub ops rank=1");
    boss.send(r"/p '\033[31mred\tit\047s\177 one\ntwo\r\n\n'");
    let line = boss.expect("ack ops 3 bob 1 0 ");
    assert_eq!(line, r"ack ops 3 bob 1 0 \x1b[31mred\tit's\x7f one\ntwo");
    boss.send("/other");
    boss.expect("bob 1 0 shown only: no program for it here");
    let mut watching = Running::start(program(port, &["--name", "eve", "--sub", "ops"]));
    watching.expect("ok sub ops rank=2");
    boss.send("/more");
    let line = boss.expect("eve 2 0");
    assert_eq!(line.trim_end(), "ack ops 6 eve 2 0 shown only: no program for it here");
}

#[test]
fn an_observer_and_no_execute_leave_commands_alone() {
    let server = broker();
    let (boss, _frames) = member(&server, "boss");
    wait(boss.create("ops")).unwrap();
    wait(boss.subscribe("ops")).unwrap();
    let port = server.addr.port();
    let mut observer = Running::start(program(port, &["--sub", "ops", "--observe"]));
    observer.expect("ok sub ops");
    let mut script = Running::start(program(port, &["--sub", "ops", "--no-execute", "--follow"]));
    script.expect("ok sub ops rank=1");
    let issued = wait(boss.command("ops", "go", &["a b"])).unwrap();
    assert_eq!(issued.to, 1);
    let line = script.expect("cmd ops ");
    assert!(line.ends_with(" go 'a b'"), "{line}");
    script.send(&format!("ack ops {} --code 7 done by hand", issued.seq));
    let results = wait(issued.results()).unwrap();
    assert_eq!(results[0].text, "done by hand");
    let (_, err, _) = observer.finish();
    assert_eq!(err, "");
}

#[test]
fn count_ends_it_after_so_many_messages() {
    let server = broker();
    let (alice, _frames) = member(&server, "alice");
    wait(alice.create("n")).unwrap();
    let mut counting = Running::start(program(server.addr.port(), &["--sub", "n", "--count", "2"]));
    counting.expect("ok sub n");
    drop(counting.stdin.take());
    for text in ["one", "two", "three", "four"] {
        wait(alice.publish("n", text)).unwrap();
    }
    let (out, _, code) = counting.finish();
    let messages: Vec<_> = out.lines().filter(|line| line.starts_with("msg")).collect();
    assert_eq!((messages, code), (vec!["msg n 2 alice one", "msg n 3 alice two"], 0));
}

#[test]
fn an_interrupt_leaves_properly() {
    let server = broker();
    let (alice, mut frames) = member(&server, "alice");
    wait(alice.create("n")).unwrap();
    wait(alice.subscribe("n")).unwrap();
    let mut following =
        Running::start(program(server.addr.port(), &["--name", "bob", "--sub", "n", "--follow"]));
    following.expect("ok sub n");
    following.signal("INT");
    let reason = next(&mut frames, |frame| match frame {
        Frame::Left { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason, "quit");
    assert_eq!(following.finish().2, 0);
}

#[test]
fn a_closed_output_ends_it_quietly() {
    let server = broker();
    let (alice, _frames) = member(&server, "alice");
    wait(alice.create("n")).unwrap();
    let mut child = program(server.addr.port(), &["--sub", "n", "--follow"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 4]).unwrap();
    drop(out);
    wait(alice.publish("n", "x")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.stderr, output.status.code()), (Vec::new(), Some(0)));
}

#[test]
fn a_broker_that_goes_away_is_3_and_with_reconnect_it_comes_back() {
    let server = broker();
    let port = server.addr.port();
    let (alice, frames) = member(&server, "alice");
    wait(alice.create("n")).unwrap();
    let mut given_up = Running::start(program(port, &["--sub", "n", "--follow"]));
    given_up.expect("ok sub n");
    let mut patient =
        Running::start(program(port, &["--name", "bob", "--reconnect", "--follow", "--sub", "n"]));
    patient.expect("ok sub n");
    drop((alice, frames));
    wait(server.stop());
    let (_, err, code) = given_up.finish();
    assert!(err.contains(&format!("the connection to 127.0.0.1:{port} is lost")), "{err}");
    assert_eq!(code, 3);
    patient.expect("is lost");
    patient.expect("connecting again in");
    let config = ranked_broker::config::Config { port, ..Default::default() };
    let server = ranked_broker::server::Server::start(config).unwrap();
    // The channel is gone with the broker: bob hears that, and can help himself.
    patient.expect("connected to");
    patient.expect("sub n: the broker refused: no-channel");
    patient.send("sub n --create");
    patient.expect("ok sub n rank=0");
    patient.signal("TERM");
    drop(server);
    assert_eq!(patient.finish().2, 0);
}

#[test]
fn a_subscription_lost_with_the_broker_is_asked_for_until_it_succeeds() {
    // It was asked for once, right after reconnecting, when the channel was not
    // there yet; then the client sat there, connected and deaf, for ever.
    let server = broker();
    let port = server.addr.port();
    let (alice, frames) = member(&server, "alice");
    wait(alice.create("ops")).unwrap();
    let args = ["--sub", "ops", "--observe", "--follow", "--reconnect"];
    let mut watch = Running::start(program(port, &args));
    drop(watch.stdin.take());
    watch.expect("ok sub ops");
    drop((alice, frames));
    wait(server.stop());
    let config = ranked_broker::config::Config { port, ..Default::default() };
    let server = ranked_broker::server::Server::start(config).unwrap();
    watch.expect("sub ops --observe: the broker refused: no-channel");
    let (alice, _frames) = member(&server, "alice");
    wait(alice.create("ops")).unwrap();
    watch.expect("ok sub ops");
    wait(alice.publish("ops", "heard")).unwrap();
    watch.expect("msg ops 1 alice heard");
    watch.signal("TERM");
    let (out, err, code) = watch.finish();
    assert_eq!(err.matches("no-channel").count(), 1, "said once: {err}");
    assert!(!out.contains("use") && !out.contains("err "), "nobody asked for that: {out}");
    assert_eq!(code, 0, "in the end it succeeded");
}

#[test]
fn who_follows_what_cannot_be_had_hears_so_and_does_not_wait_for_ever() {
    // --sub of a missing channel with --follow or --count waited for messages
    // that could never come.
    let server = broker();
    let port = server.addr.port();
    let (alice, _frames) = member(&server, "alice");
    wait(alice.request("create small --max 1")).unwrap();
    wait(alice.subscribe("small")).unwrap();
    for (args, expected) in [
        (["--sub", "nope", "--follow"].as_slice(), 1),
        (&["--sub", "nope", "--count", "1"], 1),
        (&["--sub", "small", "--follow"], 10),
    ] {
        let mut running = Running::start(program(port, args));
        // Its input stays open.
        running.expect("err ");
        assert_eq!(running.end(), expected, "{args:?}");
    }
}

#[test]
fn pretty_output_is_plain_words_without_anything_that_moves_a_cursor() {
    let server = broker();
    let input = "create n\nsub n\npub --raw n a\u{202e}b\u{1b}[2Jc\n";
    let (out, _, code) = run(server.addr.port(), &["--pretty", "--name", "al"], input);
    assert_eq!(code, 0);
    let said = out.lines().last().unwrap();
    assert_eq!(said, "[n 2] al: a\\u{202e}b\\x1b[2Jc");
}

#[test]
fn a_deadline_holds_even_when_nobody_reads_the_output() {
    let server = broker();
    let (alice, _frames) = member(&server, "alice");
    wait(alice.create("n")).unwrap();
    let mut stuck = program(server.addr.port(), &["--sub", "n", "--follow", "--timeout", "2"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Kept open, never read: its pipe holds 64 KiB, it is sent 10 MB.
    let out = stuck.stdout.take();
    let payload = "x".repeat(10_000);
    wait(async {
        for _ in 0..1000 {
            alice.publish("n", &payload).await.unwrap();
        }
    });
    let (tx, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || tx.send(stuck.wait()));
    let status = ended.recv_timeout(DEADLINE).expect("it hangs").unwrap();
    assert_eq!(status.code(), Some(124));
    drop(out);
}

/// Regression: the first connection was lost before anything was said on it, and on the
/// next one the channels were forgotten.
#[test]
fn channels_are_subscribed_to_on_whichever_connection_is_the_first_to_last() {
    let server = broker();
    let wire = Wire::to(server.addr.port());
    wire.part();
    let (bob, _frames) = member(&server, "bob");
    wait(bob.create("n")).unwrap();
    let args = ["--name", "al", "--reconnect", "--follow", "--sub", "n"];
    let mut follower = Running::start(program(wire.port, &args));
    follower.expect("connecting again in");
    wire.mend();
    follower.expect("ok sub n");
}

/// Regression: it waited for as long as the system does, minutes, and then for an
/// answer that came late.
#[test]
fn a_machine_that_does_not_answer_is_asked_anew_before_long() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut follower = Running::start(program(addr.port(), &["--reconnect", "--follow"]));
    let (stream, _) = listener.accept().unwrap();
    // One connection fills the backlog; the next one gets no answer.
    rustix::net::listen(&listener, 0).unwrap();
    let _waits = TcpStream::connect(addr).unwrap();
    drop(stream);
    follower.expect("connecting again in");
    follower.expect("connecting again in");
}
