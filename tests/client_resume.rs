//! Sessions, both halves together: library and program come back to a real
//! broker and miss nothing.
// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client_support;
mod support;

use client_support::{Running, Wire, broker, feign, member, next, program, wait, welcome};
use ranked_broker::client::{Frame, Frames, Options, Ticket};
use ranked_broker::config::Config;
use ranked_broker::server::Server;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;
use support::{Child, Dialogue, Web, eventually};

/// The messages up to and including `end`.
fn messages(frames: &mut Frames) -> Vec<String> {
    let mut texts = Vec::new();
    next(frames, |frame| match frame {
        Frame::Message { payload, .. } if payload == "end" => Some(()),
        Frame::Message { payload, .. } => {
            texts.push(payload);
            None
        }
        Frame::Gap { .. } | Frame::SessionGone | Frame::Missed { .. } => panic!("{frame:?}"),
        _ => None,
    });
    texts
}

#[test]
fn however_often_the_wire_is_cut_every_message_comes_once_and_in_order() {
    let server = broker();
    let wire = Wire::to(server.addr.port());
    let (alice, mut frames) = wait(
        Options::new()
            .name("alice")
            .session(Ticket::fresh())
            .pause_max(Duration::from_millis(10))
            .connect("127.0.0.1", wire.port),
    )
    .unwrap();
    let (bob, _) = member(&server, "bob");
    wait(bob.create("n")).unwrap();
    wait(alice.observe("n")).unwrap();
    let expected: Vec<String> = (0..3000).map(|number: u32| number.to_string()).collect();
    let texts = expected.clone();
    let publishing = ranked_broker::runtime::spawn(async move {
        for (at, text) in texts.iter().enumerate() {
            bob.publish("n", text).await.unwrap();
            if at % 200 == 100 {
                wire.cut();
            }
        }
        bob.publish("n", "end").await.unwrap();
    });
    assert_eq!(messages(&mut frames), expected);
    wait(publishing);
}

#[test]
fn what_is_published_with_a_key_is_published_once_however_often_the_wire_is_cut() {
    let server = broker();
    let wire = Wire::to(server.addr.port());
    let options = Options::new().session(Ticket::fresh()).pause_max(Duration::from_millis(10));
    let (alice, _frames) = wait(options.connect("127.0.0.1", wire.port)).unwrap();
    let (bob, mut frames) = member(&server, "bob");
    wait(bob.create("n")).unwrap();
    wait(bob.subscribe("n")).unwrap();
    let expected: Vec<String> = (0..500).map(|number: u32| number.to_string()).collect();
    for (at, text) in expected.iter().enumerate() {
        let publishing = alice.publish_once(text, "n", text);
        let cutting = async {
            if at % 50 == 25 {
                wire.cut();
            }
        };
        wait(async { futures::join!(publishing, cutting) }).0.unwrap();
    }
    wait(alice.publish_once("end", "n", "end")).unwrap();
    assert_eq!(messages(&mut frames), expected);
}

#[test]
fn another_process_with_the_ticket_goes_on() {
    let server = broker();
    let port = server.addr.port();
    let connect = |ticket| {
        wait(Options::new().name("alice").session(ticket).connect("127.0.0.1", port)).unwrap()
    };
    let (alice, mut frames) = connect(Ticket::fresh());
    wait(alice.request("create n --hold 60")).unwrap();
    wait(alice.subscribe("n")).unwrap();
    wait(alice.publish("n", "end")).unwrap();
    messages(&mut frames);
    // Here the program would have stored its ticket, and been killed.
    eventually("both are seen", || alice.ticket().unwrap().seen("n") == Some(2));
    let ticket = alice.ticket().unwrap();
    wait(alice.publish("n", "missed")).unwrap();
    let (later, mut later_frames) = connect(ticket);
    let resumed = next(&mut later_frames, |frame| match frame {
        Frame::Resumed { missed, rank } => Some((missed, rank)),
        _ => None,
    });
    assert_eq!(resumed, (0, Some(0)));
    wait(later.publish("n", "end")).unwrap();
    assert_eq!(messages(&mut later_frames), ["missed"]);
    // The first one is told that it is over, and does not fight.
    next(&mut frames, |frame| match frame {
        Frame::Bye { reason } => {
            assert_eq!(reason, "taken-over");
            Some(())
        }
        _ => None,
    });
    let error = wait(alice.request("ping")).unwrap_err();
    assert!(error.to_string().contains("taken this session over"), "{error}");
}

/// `broker-client` with its sessions in this folder.
fn client(state: &Path, port: u16, args: &[&str]) -> Running {
    let mut command = program(port, args);
    command.env("XDG_STATE_HOME", state);
    Running::start(command)
}

const FOLLOWER: [&str; 6] = ["--name", "al", "--session", "--sub", "n", "--follow"];

#[test]
fn a_program_that_is_killed_goes_on_where_it_was() {
    let server = broker();
    let port = server.addr.port();
    let state = tempfile::tempdir().unwrap();
    let (bob, _frames) = member(&server, "bob");
    wait(bob.request("create n --hold 60")).unwrap();
    let mut first = client(state.path(), port, &FOLLOWER);
    first.expect("ok sub n rank=0");
    wait(bob.publish("n", "one")).unwrap();
    first.expect("msg n 2 bob one");
    first.signal("KILL");
    first.end();
    wait(bob.publish("n", "two")).unwrap();
    let mut second = client(state.path(), port, &FOLLOWER);
    let resumed = second.expect("resumed session=");
    assert!(resumed.ends_with("missed=0 rank=0"), "{resumed}");
    second.expect("msg n 3 bob two");
    // Only one program at a time has the session.
    let mut third = client(state.path(), port, &FOLLOWER);
    third.expect("is in use by another broker-client");
    assert_eq!(third.end(), 1);
    // An interrupt keeps the session, too.
    second.signal("INT");
    assert_eq!(second.end(), 0);
    wait(bob.publish("n", "three")).unwrap();
    let mut fourth = client(state.path(), port, &FOLLOWER);
    assert!(fourth.expect("resumed").ends_with("missed=0 rank=0"));
    assert_eq!(fourth.expect("msg n"), "msg n 4 bob three");
    // Leaving on purpose ends it.
    fourth.send("quit");
    fourth.expect("bye quit");
    assert_eq!(fourth.end(), 0);
    let mut fifth = client(state.path(), port, &FOLLOWER);
    let line = fifth.expect("ok sub n");
    assert!(line.starts_with("ok sub n rank=0 term=6"), "{line}");
}

#[test]
fn a_script_that_ends_keeps_its_session() {
    let server = broker();
    let state = tempfile::tempdir().unwrap();
    let run = |lines: &str| {
        let mut client = client(state.path(), server.addr.port(), &["--session", "a b/c"]);
        client.send(lines);
        client.finish()
    };
    let (out, err, code) = run("create n\nsub n --observe\npub n one");
    // What was still due comes before the end, as without a session.
    assert!(out.ends_with("ok pub n 1\nmsg n 1 guest-1 one\n"), "{out}");
    assert_eq!((err.as_str(), code), ("", 0));
    let (out, err, code) = run("pub --key k n two\npub --key k n two");
    assert!(err.contains("resumed session=") && err.trim_end().ends_with("missed=0"), "{err}");
    assert_eq!(out.lines().filter(|line| *line == "ok pub n 2").count(), 2, "{out}");
    assert_eq!(out.lines().filter(|line| line.starts_with("msg n")).count(), 1, "{out}");
    assert_eq!(code, 0);
}

#[test]
fn a_session_that_is_gone_is_said_to_be() {
    let config = Config { port: 0, session_grace: Duration::ZERO, ..Config::default() };
    let server = Server::start(config).unwrap();
    let port = server.addr.port();
    let state = tempfile::tempdir().unwrap();
    let mut first = client(state.path(), port, &["--session", "--sub", "n", "--follow"]);
    first.send("create n");
    first.expect("ok sub n rank=0");
    first.signal("KILL");
    first.end();
    let (bob, _frames) = member(&server, "bob");
    eventually("bob is alone", || wait(bob.request("who")).unwrap().rows.len() == 1);
    let mut second = client(state.path(), port, &["--session", "--sub", "n", "--follow"]);
    second.expect("is no longer kept; starting anew");
    second.expect("ok sub n");
}

#[test]
fn a_program_whose_wire_is_cut_shows_every_message_once() {
    let server = broker();
    let wire = Wire::to(server.addr.port());
    let state = tempfile::tempdir().unwrap();
    let (bob, _frames) = member(&server, "bob");
    wait(bob.create("n")).unwrap();
    let args = ["--session", "--sub", "n", "--observe", "--follow"];
    let mut follower = client(state.path(), wire.port, &args);
    follower.expect("ok sub n");
    for number in 0..300 {
        wait(bob.publish("n", &number.to_string())).unwrap();
        if number % 100 == 50 {
            wire.cut();
            follower.expect("resumed session=");
        }
    }
    wait(bob.publish("n", "end")).unwrap();
    follower.expect("bob end");
    follower.signal("INT");
    let (out, _, _) = follower.finish();
    let shown: Vec<&str> = out.lines().filter(|line| line.starts_with("msg n")).collect();
    let expected: Vec<String> =
        (0..300).map(|number| format!("msg n {} bob {number}", number + 1)).collect();
    assert_eq!(shown[..300], expected);
    assert_eq!(shown.len(), 301);
}

/// What could not be written is not remembered as shown.
#[test]
fn what_nobody_could_read_comes_again() {
    let server = broker();
    let port = server.addr.port();
    let state = tempfile::tempdir().unwrap();
    let (bob, _frames) = member(&server, "bob");
    wait(bob.request("create n --hold 60")).unwrap();
    let mut command = program(port, &FOLLOWER);
    command.env("XDG_STATE_HOME", state.path());
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let mut first = command.spawn().unwrap();
    // It reads one line and goes, as `head -1` does.
    let mut output = std::io::BufReader::new(first.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("ok sub n") {
        line.clear();
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    }
    drop(output);
    for text in ["one", "two", "three"] {
        wait(bob.publish("n", text)).unwrap();
    }
    first.wait().unwrap();
    let mut second = client(state.path(), port, &FOLLOWER);
    for (seq, text) in (2..).zip(["one", "two", "three"]) {
        assert_eq!(second.expect("msg n"), format!("msg n {seq} bob {text}"));
    }
}

/// A server that accepts connections and says nothing, and a job that waits for it.
fn job_that_waits() -> (TcpListener, String) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let job = format!("url http://{}/", silent.local_addr().unwrap());
    (silent, job)
}

/// The session goes on, and the jobs do not. Regression: the script waited for ever.
#[test]
fn nobody_waits_for_jobs_that_ended_with_their_broker() {
    let data = tempfile::tempdir().unwrap();
    let err = script_whose_broker_is_killed(&["--data", data.path().to_str().unwrap()]);
    assert!(err.contains("resumed session="), "{err}");
    assert!(err.contains("1 jobs have no result: they ended with their broker"), "{err}");
}

/// Regression: it ended with 0.
#[test]
fn jobs_that_ended_with_their_session_have_no_result() {
    let err = script_whose_broker_is_killed(&[]);
    assert!(err.contains("is no longer kept; starting anew"), "{err}");
    assert!(err.contains("1 commands or jobs have no result"), "{err}");
}

/// A broker on this port, with these settings.
fn broker_on(port: &str, settings: &[&str]) -> Child {
    let mut child = Child::run(&[&["127.0.0.1", port], settings].concat());
    assert!(child.listens(), "it listens");
    child
}

/// Nobody waits for results of commands either: a broker that was started anew does not
/// know of them.
#[test]
fn nobody_waits_for_results_of_commands_that_ended_with_their_broker() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = ["--data", data.path().to_str().unwrap()];
    let mut first = broker_on("0", &settings);
    let port = first.addr().port();
    let mut script = client(state.path(), port, &["--session", "--reconnect"]);
    script.send("create c --hold 60\nsub c");
    script.expect("ok sub c");
    let options = || Options::new().session(Ticket::fresh()).pause_max(Duration::from_millis(10));
    let (bob, _bobs) = wait(options().connect("127.0.0.1", port)).unwrap();
    let (carol, _carols) = wait(options().connect("127.0.0.1", port)).unwrap();
    wait(bob.subscribe("c")).unwrap();
    wait(carol.subscribe("c")).unwrap();
    let issued = wait(bob.command("c", "wait", &[])).unwrap();
    script.send("cmd c --timeout 1 wait");
    script.expect("ok cmd c");
    drop(script.stdin.take());
    first.kill();
    let _second = broker_on(&port.to_string(), &settings);
    let (_, err, code) = script.finish();
    assert!(err.contains("resumed session="), "{err}");
    assert!(err.contains("1 commands have no result: they ended with their broker"), "{err}");
    assert_eq!(code, 1, "{err}");
    assert!(matches!(wait(issued.results()), Err(ranked_broker::client::Error::Lost)));
}

/// What a script says whose broker, with these settings, is killed while one of the
/// script's jobs runs, and is started again.
fn script_whose_broker_is_killed(settings: &[&str]) -> String {
    let (silent, job) = job_that_waits();
    let state = tempfile::tempdir().unwrap();
    // Two of them, so that one job waits and another one is done.
    let settings = [&["--allow-url", "127.0.0.1/32", "--workers", "2"], settings].concat();
    let start = |port| broker_on(port, &settings);
    let mut first = start("0");
    let port = first.addr().port();
    let mut script = client(state.path(), port, &["--session", "--reconnect"]);
    script.send(&format!("create c\nsub c\n{job}\nfib 10"));
    script.expect("job 2 done 55");
    let (_connection, _) = silent.accept().unwrap();
    drop(script.stdin.take());
    first.kill();
    let _second = start(&port.to_string());
    let (_, err, code) = script.finish();
    assert_eq!(code, 1, "{err}");
    err
}

/// The news that a job has ended may come after a reply that does not list it any more.
#[test]
fn jobs_that_ended_meanwhile_have_their_results() {
    let server = Child::with(&["--allow-url", "127.0.0.1/32"]);
    let web = Web::of(server.addr(), Dialogue::default());
    let wire = Wire::to(server.addr().port());
    let state = tempfile::tempdir().unwrap();
    for _ in 0..10 {
        let (silent, job) = job_that_waits();
        let mut script = client(state.path(), wire.port, &["--session", "--reconnect"]);
        script.send(&format!("{job}\n{job}"));
        let (one, _): (TcpStream, _) = silent.accept().unwrap();
        script.expect("job");
        drop(script.stdin.take());
        wire.cut();
        // Before the broker knows that the wire is cut, what it sends is lost with the
        // wire.
        eventually("the broker knows", || {
            web.get("/metrics").body.contains("\nbroker_sessions_away 1\n")
        });
        drop(one);
        script.expect("resumed session=");
        drop(silent);
        let (out, err, code) = script.finish();
        let ended = out.lines().filter(|line| line.contains(" failed ")).count();
        assert_eq!((ended, code), (2, 0), "{out}{err}");
        assert!(!out.contains("since="), "{out}");
    }
}

/// Regression: nothing was said of them, and the program ended with 0.
#[test]
fn requests_with_a_key_that_lost_their_session_have_no_reply() {
    let port = feign(|number, line| match line.split(' ').next() {
        Some("hello") if number > 0 && line.contains("--secret") => Some("err gone it is\n".into()),
        Some("hello") => Some(welcome(false)),
        Some("pub") if number == 0 => None,
        Some("quit") => Some("bye quit\n".into()),
        verb => Some(format!("ok {}\n", verb.unwrap_or_default())),
    });
    let state = tempfile::tempdir().unwrap();
    let script = client(state.path(), port, &["--session", "-c", "pub --key k n hi"]);
    let (out, err, code) = script.finish();
    assert!(err.contains("is no longer kept; starting anew"), "{err}");
    assert!(err.contains("1 requests with a key have no reply"), "{err}");
    assert_eq!((out.as_str(), code), ("", 1), "{err}");
}

/// Regression: whether all was done was checked when the input ended, but not when
/// requests were sent again, and the program waited for ever.
#[test]
fn requests_without_an_ok_are_not_waited_for_when_they_are_sent_again() {
    let port = feign(|number, line| match line.split(' ').next() {
        Some("hello") => Some(welcome(number > 0)),
        Some("pub") if number == 0 => None,
        Some("pub") => Some(String::new()),
        Some("quit") => Some("bye quit\n".into()),
        verb => Some(format!("ok {}\n", verb.unwrap_or_default())),
    });
    let state = tempfile::tempdir().unwrap();
    let script = client(state.path(), port, &["--session", "--quiet", "-c", "pub --key k n hi"]);
    let (_, err, code) = script.finish();
    assert!(err.contains("resumed session="), "{err}");
    assert_eq!(code, 0, "{err}");
}

/// Regression: the client that gave the command got no result until its time was over.
#[test]
fn a_command_that_is_done_while_there_is_no_connection_has_its_result() {
    let server = broker();
    let wire = Wire::to(server.addr.port());
    let state = tempfile::tempdir().unwrap();
    let (begun, end) = (state.path().join("begun"), state.path().join("end"));
    let (bob, _frames) = member(&server, "bob");
    wait(bob.request("create n --hold 60")).unwrap();
    wait(bob.subscribe("n")).unwrap();
    let args = [&FOLLOWER[..], &["--exec", "run=/bin/sh"]].concat();
    let mut follower = client(state.path(), wire.port, &args);
    follower.expect("ok sub n");
    let script = "touch $0; while [ ! -e $1 ]; do sleep 0.02; done; echo done";
    let args = ["-c", script, begun.to_str().unwrap(), end.to_str().unwrap()];
    let issued = wait(bob.command("n", "run", &args)).unwrap();
    eventually("the program runs", || begun.exists());
    wire.part();
    follower.expect("connecting again in");
    std::fs::write(end, "").unwrap();
    follower.expect("executed: run");
    wire.mend();
    let results = wait(issued.results()).unwrap();
    assert_eq!(results[0].outcome, ranked_broker::client::Outcome::Code(0), "{results:?}");
}
