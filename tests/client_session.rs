//! The client's half of a session, against a broker that says exactly what each
//! test needs it to say. What both halves do together is in tests of its own.
// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client_support;
mod support;

use client_support::{DEADLINE, next, wait};
use ranked_broker::client::{Client, Error, Frame, Frames, Options, Ticket};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

/// One connection of a broker that is written out in the test.
struct Line {
    reader: BufReader<TcpStream>,
}

impl Line {
    fn accept(listener: &TcpListener) -> Line {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Line { reader: BufReader::new(stream) }
    }

    /// The next line. A client with a rank asks for its lease by itself.
    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).unwrap();
            if line != "ping\n" {
                return line.trim_end().to_owned();
            }
            self.say(&["ok ping lease=8000"]);
        }
    }

    fn expect(&mut self, expected: &str) {
        assert_eq!(self.hear(), expected);
    }

    fn say(&mut self, lines: &[&str]) {
        for line in lines {
            writeln!(self.reader.get_mut(), "{line}").unwrap();
        }
    }

    /// Greets a new session; gives what identifies it.
    fn greet(&mut self) -> String {
        let hello = self.hear();
        let id = hello.strip_prefix("hello --name al --session ").expect(&hello).to_owned();
        self.say(&[&format!("ok hello name=al session={id} secret=5ec resumed=no version=1")]);
        id
    }

    /// The same, and subscribes it to `n` at seq 1.
    fn begin(&mut self) -> String {
        let id = self.greet();
        self.expect("sub n");
        self.say(&["ok sub n rank=0 term=1 view=1 seq=1 members=1"]);
        id
    }
}

fn scripted<T: Send + 'static>(
    script: impl FnOnce(&TcpListener) -> T + Send + 'static,
) -> (u16, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, std::thread::spawn(move || script(&listener)))
}

fn connect(port: u16) -> (Client, Frames) {
    let options = Options::new().name("al").session(Ticket::fresh());
    wait(options.connect("127.0.0.1", port)).unwrap()
}

fn texts(frames: &mut Frames, count: usize) -> Vec<String> {
    (0..count)
        .map(|_| {
            next(frames, |frame| match frame {
                Frame::Message { payload, .. } => Some(payload),
                _ => None,
            })
        })
        .collect()
}

#[test]
fn it_resumes_after_the_last_entry_it_handed_over_and_hands_none_over_twice() {
    let (port, broker) = scripted(|listener| {
        let mut line = Line::accept(listener);
        let id = line.begin();
        line.say(&["msg n 2 bob a", "msg n 3 bob b"]);
        line.expect("who");
        line.say(&["ok who 0"]);
        drop(line);
        let mut line = Line::accept(listener);
        line.expect(&format!("hello --name al --session {id} --secret 5ec --seen n=3"));
        line.say(&[
            "ok hello name=al resumed=yes version=1 channels=1 missed=0 rank=0",
            // More than was asked for, as a broker may send that knows less than the
            // client.
            "msg n 3 bob b",
            "msg n 4 bob c",
        ]);
        line.expect("version");
        line.say(&["ok version broker=0 protocol=1"]);
        line.expect("quit");
    });
    let (client, mut frames) = connect(port);
    wait(client.subscribe("n")).unwrap();
    assert_eq!(texts(&mut frames, 2), ["a", "b"]);
    wait(client.request("who")).unwrap();
    let resumed = next(&mut frames, |frame| match frame {
        Frame::Resumed { missed, rank } => Some((missed, rank)),
        Frame::Message { payload, .. } => panic!("{payload} came before"),
        _ => None,
    });
    assert_eq!(resumed, (0, Some(0)));
    assert_eq!(texts(&mut frames, 1), ["c"]);
    wait(client.request("version")).unwrap();
    let ticket = client.ticket().unwrap();
    assert_eq!(ticket.secret(), Some("5ec"));
    client.quit();
    broker.join().unwrap();
}

/// What waited to be taken counted as seen, and was lost with the program.
#[test]
fn only_what_was_taken_is_seen_and_nothing_is_taken_twice() {
    let (tx, resuming) = std::sync::mpsc::channel();
    let (port, broker) = scripted(move |listener| {
        let mut line = Line::accept(listener);
        line.begin();
        line.say(&["msg n 2 bob a", "msg n 3 bob b", "msg n 4 bob c"]);
        line.expect("who");
        line.say(&["ok who 0"]);
        line.expect("version");
        drop(line);
        let mut line = Line::accept(listener);
        let hello = line.hear();
        tx.send(()).unwrap();
        assert!(hello.ends_with("--seen n=2"), "{hello}");
        line.say(&["ok hello name=al resumed=yes version=1 channels=1 missed=0 rank=0"]);
        line.say(&["msg n 3 bob b", "msg n 4 bob c", "msg n 5 bob d"]);
        line.expect("quit");
    });
    let (client, mut frames) = connect(port);
    wait(client.subscribe("n")).unwrap();
    assert_eq!(texts(&mut frames, 1), ["a"]);
    // All have come when this is answered.
    wait(client.request("who")).unwrap();
    assert_eq!(client.ticket().unwrap().seen("n"), Some(2));
    assert!(wait(client.request("version")).is_err());
    resuming.recv_timeout(DEADLINE).unwrap();
    assert_eq!(texts(&mut frames, 3), ["b", "c", "d"]);
    assert_eq!(client.ticket().unwrap().seen("n"), Some(5));
    client.quit();
    broker.join().unwrap();
}

/// It never heard which rank it had, and nobody led.
#[test]
fn a_rank_that_another_process_had_is_told() {
    let (port, broker) = scripted(|listener| {
        let mut line = Line::accept(listener);
        line.hear();
        line.say(&["ok hello name=al resumed=yes version=1 channels=2 missed=0"]);
        line.expect("rank n");
        line.say(&["ok rank n 0 term=7 view=9 members=2"]);
        line.expect("quit");
    });
    let ticket = r#"{"id":"6ba7b810-9dad-41d1-80b4-00c04fd430c8","secret":"5ec","channels":
        {"n":{"seen":4,"observer":false},"o":{"seen":4,"observer":true}}}"#;
    let options = Options::new().session(serde_json::from_str(ticket).unwrap());
    let (client, mut frames) = wait(options.connect("127.0.0.1", port)).unwrap();
    let rank = Frame::Rank { channel: "n".into(), rank: 0, term: 7, view: 9 };
    next(&mut frames, |frame| (frame == rank).then_some(()));
    client.quit();
    broker.join().unwrap();
}

#[test]
fn a_session_that_is_gone_is_begun_anew_and_subscribed_again() {
    for code in ["gone", "denied"] {
        let (port, broker) = scripted(move |listener| {
            let id = Line::accept(listener).begin();
            let mut line = Line::accept(listener);
            assert!(line.hear().contains(&id));
            line.say(&[&format!("err {code} no session for you")]);
            assert_ne!(line.begin(), id);
            line.say(&["msg n 7 bob later"]);
            line.expect("quit");
        });
        let (client, mut frames) = connect(port);
        wait(client.subscribe("n")).unwrap();
        next(&mut frames, |frame| matches!(frame, Frame::SessionGone).then_some(()));
        let rank = Frame::Rank { channel: "n".into(), rank: 0, term: 1, view: 1 };
        next(&mut frames, |frame| (frame == rank).then_some(()));
        assert_eq!(texts(&mut frames, 1), ["later"]);
        client.quit();
        broker.join().unwrap();
    }
}

#[test]
fn a_publish_with_a_key_is_sent_again_and_nothing_else_is() {
    let (port, broker) = scripted(|listener| {
        let mut line = Line::accept(listener);
        line.greet();
        let mut asked = [line.hear(), line.hear()];
        asked.sort();
        assert_eq!(asked, ["pub --raw --key k1 n once", "pub --raw n twice?"]);
        drop(line);
        let mut line = Line::accept(listener);
        assert!(line.hear().contains("--secret 5ec"));
        line.say(&["ok hello name=al resumed=yes version=1 channels=0 missed=0"]);
        line.expect("pub --raw --key k1 n once");
        line.say(&["ok pub n 9"]);
        line.expect("quit");
    });
    let (client, _frames) = connect(port);
    let both = async {
        let once = client.publish_once("k1", "n", "once");
        futures::join!(once, client.publish("n", "twice?"))
    };
    let (once, twice) = wait(both);
    assert_eq!(once.unwrap(), 9);
    assert!(matches!(twice, Err(Error::Lost)));
    client.quit();
    broker.join().unwrap();
}

#[test]
fn whoever_is_taken_over_ends_and_says_why() {
    let (port, broker) = scripted(|listener| {
        let mut line = Line::accept(listener);
        line.begin();
        line.say(&["bye taken-over"]);
        line.expect("who");
        drop(line);
    });
    let (client, mut frames) = connect(port);
    wait(client.subscribe("n")).unwrap();
    next(&mut frames, |frame| matches!(frame, Frame::Bye { .. }).then_some(()));
    let error = wait(client.request("who")).unwrap_err();
    assert!(matches!(error, Error::TakenOver), "{error}");
    assert!(matches!(wait(client.request("who")), Err(Error::TakenOver)));
    assert!(wait(futures::StreamExt::next(&mut frames)).is_none());
    broker.join().unwrap();
}

#[test]
fn the_broker_hears_now_and_then_how_far_it_has_come() {
    let (port, broker) = scripted(|listener| {
        let mut line = Line::accept(listener);
        line.begin();
        for seq in 2..=1500 {
            line.say(&[&format!("msg n {seq} bob x")]);
        }
        let mut seen = 0;
        while seen < 1500 {
            let heard = line.hear();
            let now = heard.strip_prefix("seen n ").expect(&heard).parse().unwrap();
            assert!(now > seen);
            seen = now;
            // Nobody asked for these, so nobody sees them.
            line.say(&[&format!("ok seen n {seen}")]);
        }
        line.say(&["msg n 1501 bob end"]);
        line.expect("quit");
    });
    let (client, mut frames) = connect(port);
    wait(client.subscribe("n")).unwrap();
    let taken = texts(&mut frames, 1500);
    assert_eq!(taken.last().unwrap(), "end");
    client.quit();
    drop((client, frames));
    broker.join().unwrap();
}

#[test]
fn a_connection_that_is_given_up_is_made_again() {
    let (port, broker) = scripted(|listener| {
        let mut silent = Line::accept(listener);
        silent.begin();
        let mut line = Line::accept(listener);
        assert!(line.hear().contains("--seen n=1"));
        line.say(&["ok hello name=al resumed=yes version=1 channels=1 missed=2"]);
        line.expect("quit");
        drop(silent);
    });
    let (client, mut frames) = connect(port);
    wait(client.subscribe("n")).unwrap();
    client.hang_up();
    let missed = next(&mut frames, |frame| match frame {
        Frame::Resumed { missed, .. } => Some(missed),
        _ => None,
    });
    assert_eq!(missed, 2);
    client.quit();
    broker.join().unwrap();
}
