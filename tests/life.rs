//! The broker as a process: how it starts, stops, and lives through shortage.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;
use support::{Broker, Child, Client, DEADLINE};

/// SIGTERM and SIGINT: the broker says good-bye to everyone, who gets what is due
/// before that, and exits with 0.
fn stops_in_order(signal: &str) {
    let mut broker = Broker::process();
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    let mut guest = broker.connect("guest");
    guest.ask("ping", "ok ping *");
    alice.ask("pub ops last words", "ok pub ops 3");
    broker.child().signal(signal);
    for client in [&mut alice, &mut bob] {
        client.expect_all(&["msg ops 3 alice last words", "bye shutdown"]);
        client.expect_end();
    }
    guest.expect("bye shutdown");
    guest.expect_end();
    drop([alice, bob, guest]);
    assert_eq!(broker.child().ended().code(), Some(0));
    assert!(TcpStream::connect_timeout(&broker.addr, DEADLINE).is_err(), "nobody listens");
}

#[test]
fn sigterm_stops_it_in_order() {
    stops_in_order("TERM");
}

#[test]
fn sigint_stops_it_in_order() {
    stops_in_order("INT");
}

/// What is on its way to the disk when it is told to stop is confirmed to whoever
/// published it, and comes to whoever reads.
#[test]
fn what_is_confirmed_before_a_stop_is_heard_before_it() {
    for _ in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut broker = Broker::keeping(&data, &[]);
        let mut alice = broker.client("alice");
        alice.ask("create log --durable", "ok create log");
        let mut readers = ["bob", "carol", "dora"].map(|name| {
            let mut reader = broker.client(name);
            reader.ask("sub log --observe", "ok sub log *");
            reader
        });
        alice.ask("sub log", "ok sub log *");
        let stream = TcpStream::connect(broker.addr).unwrap();
        // Some are always on their way, and none is left unread: what has come by
        // the end is all that was confirmed.
        let publishing = std::thread::spawn(move || {
            let (mut replies, mut confirmed) = (BufReader::new(&stream).lines(), 0);
            while (&stream).write_all(&b"pub log x\n".repeat(20)).is_ok() {
                for line in replies.by_ref().map_while(Result::ok).take(20) {
                    confirmed = line.strip_prefix("ok pub log ").map_or(confirmed, number);
                }
            }
            confirmed
        });
        alice.until("msg log 500 *");
        broker.child().signal("TERM");
        let confirmed = publishing.join().unwrap();
        assert!(confirmed >= 400, "{confirmed}");
        for reader in &mut readers {
            let heard = String::from_utf8(reader.rest()).unwrap();
            assert!(heard.ends_with("bye shutdown\n"));
            let last = heard.lines().rev().find_map(|line| line.strip_prefix("msg log "));
            assert!(last.is_some_and(|rest| number(rest) >= confirmed), "{confirmed}: {heard:.99}");
        }
        drop((alice, readers));
        assert_eq!(broker.child().ended().code(), Some(0));
    }
}

/// The number that a text begins with.
fn number(text: &str) -> u64 {
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Nothing is due to a connection that has never said anything.
#[test]
fn a_silent_connection_does_not_hold_up_a_stop() {
    let mut broker = Broker::from_child(Child::with(&["--drain", "60s"]));
    let silent = TcpStream::connect(broker.addr).unwrap();
    // Once a later connection is served, the silent one has been accepted.
    broker.connect("guest").ask("ping", "ok ping *");
    broker.child().signal("TERM");
    assert_eq!(broker.child().ended().code(), Some(0));
    drop(silent);
}

/// A client, and another one that is sent much and reads nothing of it.
fn alice_and_a_sloth(broker: &Broker) -> (Client, Client) {
    let mut alice = broker.client("alice");
    let mut sloth = broker.connect_narrow("sloth");
    sloth.introduce();
    sloth.ask("sub ops --create", "ok sub ops *");
    let text = "x".repeat(60_000);
    for _ in 0..200 {
        alice.ask(&format!("pub ops {text}"), "ok pub ops *");
    }
    (alice, sloth)
}

/// It does not wait for ever for somebody who does not read: a second signal
/// ends it at once.
#[test]
fn a_second_signal_stops_it_at_once() {
    let mut broker = Broker::process();
    let (mut alice, _sloth) = alice_and_a_sloth(&broker);
    broker.child().signal("TERM");
    alice.expect("bye shutdown");
    alice.expect_end();
    // A signal right after the first one counts as the same wish.
    std::thread::sleep(Duration::from_millis(300));
    broker.child().signal("TERM");
    assert_eq!(broker.child().ended().code(), Some(0));
    let complaint = broker.child().complaint();
    assert!(complaint.contains("second signal"), "{complaint}");
}

/// Ctrl-C reaches the broker twice if the program that started it passes its own on:
/// everybody still has the drain time, and the log tells who did not use it.
#[test]
fn two_signals_at_once_are_one_and_who_does_not_read_is_cut_off() {
    let mut broker = Broker::from_child(Child::with(&["--drain", "1s"]));
    let (mut alice, _sloth) = alice_and_a_sloth(&broker);
    broker.child().signal("TERM");
    broker.child().signal("TERM");
    alice.expect("bye shutdown");
    assert_eq!(broker.child().ended().code(), Some(0));
    let complaint = broker.child().complaint();
    assert!(!complaint.contains("second signal"), "{complaint}");
    assert!(complaint.contains("WARN  event=drain-timeout connections=1\n"), "{complaint}");
}

/// One line that says what is wrong, and an exit code that says so too.
fn does_not_start(args: &[&str], says: &[&str]) {
    let mut child = Child::run(args);
    let status = child.ended();
    let complaint = child.complaint();
    assert!(status.code().is_some_and(|code| code != 0), "{status}: {complaint}");
    let lines: Vec<&str> = complaint.lines().filter(|line| !line.contains("event=")).collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with("broker: ")).count(), 1, "{complaint}");
    assert!(says.iter().all(|word| complaint.contains(word)), "{complaint}");
    assert!(!complaint.contains("panicked"), "{complaint}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    does_not_start(&["127.0.0.1", &port], &["127.0.0.1", &port, "in use"]);
}

#[test]
fn a_host_without_an_address_is_named() {
    does_not_start(&["no-such-host.invalid", "0"], &["no-such-host.invalid"]);
}

#[test]
fn an_address_of_another_machine_is_named() {
    // TEST-NET-1 of RFC 5737: nobody has it.
    does_not_start(&["192.0.2.1", "0"], &["192.0.2.1"]);
}

/// When descriptors run out, whatever for, members go on working, and when some
/// are given back, accepting goes on.
#[test]
fn a_shortage_of_descriptors_passes() {
    let mut broker = Broker::from_child(Child::with_files(256, &[]));
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    let pid = broker.child().id().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, "--nofile=40:"]).status();
    assert!(status.expect("prlimit is there").success());
    // The kernel takes all of them; the broker runs out in the midst of them.
    let mut crowd: Vec<Client> = (0..40).map(|_| broker.connect("crowd")).collect();
    for client in &mut crowd {
        client.send("ping");
    }
    for n in 0..50 {
        alice.ask(&format!("pub ops {n}"), "ok pub ops *");
        for client in [&mut alice, &mut bob] {
            client.expect(&format!("msg ops * alice {n}"));
        }
    }
    let mut last = crowd.pop().expect("the last of them");
    crowd.truncate(5);
    last.expect("ok ping *");
    for client in &mut crowd {
        client.expect("ok ping *");
        client.expect_nothing();
    }
    let mut late = broker.connect("late");
    late.ask("ping", "ok ping *");
    alice.expect_nothing();
    bob.expect_nothing();
    broker.child().signal("TERM");
    let complaint = broker.child().complaint();
    assert!(complaint.contains("event=accept-failed"), "there was no shortage: {complaint}");
}

/// However many clients come, those beyond the limit are told so, and the store has the
/// files that it needs.
#[test]
fn a_crowd_leaves_descriptors_to_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--data", folder.path().to_str().expect("a path in plain letters")];
    let mut broker = Broker::from_child(Child::with_files(64, &options));
    let mut alice = broker.connect("alice");
    alice.ask("hello --name alice", "ok hello *");
    alice.ask("create ops --durable", "ok create ops");
    for round in 0..10 {
        let crowd: Vec<Client> = (0..100).map(|_| broker.connect("crowd")).collect();
        for _ in 0..10 {
            alice.ask(&format!("pub ops {round} {}", "x".repeat(40_000)), "ok pub ops *");
        }
        drop(crowd);
    }
    let mut told = 0;
    for mut client in (0..100).map(|_| broker.connect("crowd")).collect::<Vec<_>>() {
        client.send("ping");
        told += usize::from(client.line().is_some_and(|line| line.starts_with("err full ")));
    }
    assert!(told > 0, "nobody was told that there is no place");
    broker.child().signal("TERM");
    let complaint = broker.child().complaint();
    for event in ["accept-failed", "store-unavailable", "library"] {
        assert!(!complaint.contains(&format!("event={event}")), "{complaint}");
    }
}
