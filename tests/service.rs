//! The broker as a service: what systemd gives it and is told, and signals.
#![allow(clippy::unwrap_used, clippy::expect_used)] // clippy.toml allows it in tests, but not in their helpers

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{Answer, Broker, Child, Client, DEADLINE, Manager, Receiver, field};

/// "READY=1 after listeners and store are open, the watchdog is fed while the
/// broker's clock, its executor and the thread that commits go on."
#[test]
fn systemd_is_told_of_a_whole_life() {
    let manager = Manager::new();
    let data = manager.path("data");
    let data = data.to_str().unwrap();
    let child = manager.start(&["WATCHDOG_USEC=600000"], &["--data", data]);
    let ready = manager.next();
    assert_eq!(ready, "READY=1\nSTATUS=taking connections\n");
    let mut broker = Broker::from_child(child);
    let mut alice = broker.client("alice");
    alice.ask("create ops --durable", "ok create ops");
    for _ in 0..3 {
        manager.expect("WATCHDOG=1");
    }
    broker.child().signal("HUP");
    let reloading = manager.expect("RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    manager.expect("READY=1");
    broker.child().signal("TERM");
    manager.expect("STOPPING=1");
    assert!(broker.child().ended().success());
}

/// "SIGHUP reloads the configuration and keeps the old one on error."
#[test]
fn sighup_takes_what_can_change_and_nothing_of_what_is_wrong() {
    let manager = Manager::new();
    let file = manager.path("broker.toml");
    let write = |text: &str| fs::write(&file, text).unwrap();
    write("max-clients = 100\nlease = \"9s\"\n");
    let child = manager.start(&[], &["--config", file.to_str().unwrap()]);
    manager.expect("READY=1");
    let mut broker = Broker::from_child(child);
    let mut alice = broker.client("alice");
    let reload = |broker: &mut Broker| {
        broker.child().signal("HUP");
        manager.expect("RELOADING=1");
        manager.expect("READY=1");
    };

    write("max-clients = 1\nlease = \"1s\"\n");
    reload(&mut broker);
    let mut bob = broker.connect("bob");
    bob.send("ping");
    bob.expect("err full *");
    // The lease that a client was told stays as it is.
    alice.ask("ping", "ok ping lease=9000");

    write("max-clients = 100\n\nmax-line = 1\n");
    reload(&mut broker);
    let mut bob = broker.connect("bob");
    bob.send("ping");
    bob.expect("err full *");

    write("max-clients = 2\nlease = \"9s\"\n");
    reload(&mut broker);
    broker.client("bob");
    // Each SIGHUP is answered, even if nothing is new.
    reload(&mut broker);
    reload(&mut broker);

    broker.child().signal("TERM");
    let log = broker.child().complaint();
    let nothing_new = log.matches("event=reloaded changed=\"\"\n").count();
    assert_eq!(nothing_new, 2, "{log}");
    for line in [
        "WARN  event=reloaded changed=\"max-clients\" waiting=\"lease\" advice=".to_owned(),
        format!("ERROR event=reload-failed error=\"broker: {}:3: max-line: ", file.display()),
        "INFO  event=reloaded changed=\"max-clients\"\n".to_owned(),
    ] {
        assert!(log.contains(&line), "{line} in {log}");
    }
}

/// A client of this name with a seat in `ops`, and how its session is resumed.
fn seated(broker: &Broker, name: &str) -> (Client, String) {
    let (mut client, again) = broker.owner(name);
    client.ask("sub ops --create", "ok sub ops *");
    (client, again)
}

/// "SIGUSR2 drains (readiness false, no new connections, members told when to
/// come back, seats held) without stopping."
#[test]
fn sigusr2_sends_everybody_away_with_their_seats_held() {
    let mut broker = Broker::process();
    let web = broker.web();
    let (mut alice, alice_again) = seated(&broker, "alice");
    let (mut bob, bob_again) = seated(&broker, "bob");
    alice.expect("join ops 2 bob 1");
    let mut json = broker.connect("json");
    json.ask("{\"op\":\"ping\"}", "{\"reply\":\"ping\",\"ok\":true,*");
    web.get("/readyz").expect(200, "*");

    broker.child().signal("USR2");
    for client in [&mut alice, &mut bob] {
        client.expect("bye drain retry=5");
        client.expect_end();
    }
    json.expect("{\"frame\":\"bye\",\"reason\":\"drain\",\"retry\":5}");
    let mut newcomer = broker.connect("newcomer");
    newcomer.send("hello --name newcomer");
    newcomer.until("bye drain retry=5");
    newcomer.expect_end();
    let mut numbers = broker.connect("numbers");
    numbers.send_bytes(b"INIT,123e4567-e89b-12d3-a456-426614174000,5,5;");
    let said = "ERR,drain the broker sends everybody away: come back in 5 s;";
    assert_eq!(String::from_utf8(numbers.rest()).unwrap(), said);
    web.get("/readyz").expect(503, "draining");
    web.get("/livez").expect(200, "*");
    let other = web.get("/v1/channels").problem(503, "unavailable");
    assert_eq!(other.header("retry-after"), Some("5"));

    broker.child().signal("USR2");
    support::eventually("it is ready again", || web.get("/readyz").status == 200);
    for (name, again, rank) in [("bob", bob_again, 1), ("alice", alice_again, 0)] {
        let mut client = broker.connect(name);
        client.send(&again);
        let hello = client.until("ok hello *").pop().unwrap();
        assert_eq!(field(&hello, "resumed"), "yes");
        assert_eq!(field(&hello, "rank"), rank.to_string());
    }
    broker.child().signal("TERM");
    let log = broker.child().complaint();
    assert!(log.contains("event=draining clients=3 retry=5"), "{log}");
    assert!(log.contains("event=drain-ended"), "{log}");
    assert!(log.contains(" reason=drain "), "{log}");
}

/// A client that comes back without its session has its name at once, and a new place;
/// one that brings its session has the old place.
#[test]
fn a_seat_that_is_lent_is_no_obstacle_to_its_name() {
    let mut broker = Broker::process();
    let (mut alice, _) = seated(&broker, "alice");
    let (mut bob, bob_again) = seated(&broker, "bob");
    alice.expect("join ops 2 bob 1");
    broker.child().signal("USR2");
    alice.expect("bye drain retry=5");
    bob.expect("bye drain retry=5");
    broker.child().signal("USR2");
    let web = broker.web();
    support::eventually("it is ready again", || web.get("/readyz").status == 200);
    let mut alice = broker.connect("alice");
    alice.ask("hello --name alice", "ok hello name=alice * resumed=no *");
    alice.ask("sub ops", "ok sub ops rank=1 *");
    let mut bob = broker.connect("bob");
    bob.send(&bob_again);
    let hello = bob.until("ok hello *").pop().unwrap();
    assert_eq!(field(&hello, "rank"), "0");
}

/// "A drained broker can be stopped, and its successor has the seats."
#[test]
fn after_a_drain_a_successor_has_the_seats() {
    let data = tempfile::tempdir().unwrap();
    let settings = ["--data", data.path().to_str().unwrap()];
    let mut first = Broker::from_child(Child::with(&settings));
    let (mut alice, again) = seated(&first, "alice");
    let (mut bob, _) = seated(&first, "bob");
    first.child().signal("USR2");
    for client in [&mut alice, &mut bob] {
        client.until("bye drain retry=5");
    }
    first.child().signal("TERM");
    assert!(first.child().ended().success());
    let second = Broker::from_child(Child::with(&settings));
    let mut alice = second.connect("alice");
    alice.send(&again);
    let hello = alice.until("ok hello *").pop().unwrap();
    assert_eq!(field(&hello, "rank"), "0");
    alice.send("ranks ops");
    alice.until("member ops 0 alice * away=no *");
    alice.expect("member ops 1 bob * away=yes *");
}

/// A member without a connection is turned away for a while, and loses nothing: neither
/// its seat, however short its lease, nor its token, nor, with a call-back, its calls.
#[test]
fn a_drain_takes_nothing_from_members_without_a_connection() {
    let (data, receiver) = (tempfile::tempdir().unwrap(), Receiver::start());
    let settings = [
        &["--data", data.path().to_str().unwrap(), "--restart-grace", "1m"][..],
        &["--lease", "1s", "--guard", "100ms", "--allow-callback", "127.0.0.1/32"],
    ]
    .concat();
    let mut first = Broker::from_child(Child::with(&settings));
    let web = first.web();
    let (_, alice) = web.join("ops", "alice");
    let bob = serde_json::json!({"name": "bob", "callback": receiver.url()}).to_string();
    web.post("/v1/channels/ops/members", &bob).expect(201, r#"{*"rank":1,*}"#);
    let due = "/v1/channels/ops/members/alice/commands?wait=60";
    let mut waiting = alice.connect();
    waiting.write_all(&alice.request("GET", due, None)).unwrap();
    support::eventually("it waits", || {
        web.get("/metrics").body.contains("broker_connections{dialect=\"http\"} 2\n")
    });

    first.child().signal("USR2");
    let answer = Answer::read(&mut waiting, "GET").expect("an answer");
    assert_eq!(answer.header("retry-after"), Some("5"));
    answer.problem(503, "unavailable");
    let renew = "/v1/channels/ops/members/alice/renew";
    alice.ask("POST", renew, None).problem(503, "unavailable");
    // Longer than the lease and the guard.
    std::thread::sleep(Duration::from_secs(2));
    first.child().signal("USR2");
    support::eventually("it is ready again", || web.get("/readyz").status == 200);
    alice.ask("POST", renew, None).expect(200, r#"{*"rank":0,"term":1,"view":2,*"away":false,*}"#);
    web.get("/v1/channels/ops/members/bob").expect(200, r#"{*"rank":1,"term":2,*"away":false}"#);
    first.client("carol").ask("tell bob still there", "ok tell bob");
    receiver.expect("tell").ok();

    first.child().signal("USR2");
    support::eventually("it drains", || web.get("/readyz").status == 503);
    first.child().signal("TERM");
    assert!(first.child().ended().success());
    let second = Broker::from_child(Child::with(&settings));
    let back = r#"{*"rank":0,*"view":*,"members":2,*"away":false,*}"#;
    alice.at(second.addr).ask("POST", renew, None).expect(200, back);
    receiver.expect("rank").ok();
}

/// "Socket activation": a connection that is made before there is a broker waits
/// for it.
#[test]
fn it_listens_where_systemd_does() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut early = TcpStream::connect(addr).unwrap();
    // The socket comes as number 3, and the number of the process is the shell's.
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" 127.0.0.1 1";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_broker")]);
    command.stdin(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::piped());
    let mut broker = command.stderr(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(broker.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.trim_end().ends_with(&format!("listening on {addr}")), "{said}");
    early.set_read_timeout(Some(DEADLINE)).unwrap();
    early.write_all(b"ping\n").unwrap();
    let mut reply = String::new();
    BufReader::new(&early).read_line(&mut reply).unwrap();
    assert_eq!(reply, "ok ping lease=8000\n");
    broker.kill().unwrap();
    broker.wait().unwrap();
}

/// "A systemd unit … hardening", which systemd understands.
#[test]
fn systemd_takes_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for unit in ["ranked-broker.service", "ranked-broker.socket"] {
        let text = fs::read_to_string(format!("packaging/{unit}")).unwrap();
        let installed = "ExecStart=/usr/bin/broker ";
        let here = format!("ExecStart={} ", env!("CARGO_BIN_EXE_broker"));
        assert!(unit.ends_with(".socket") || text.contains(installed));
        paths.push(folder.path().join(unit));
        fs::write(paths.last().unwrap(), text.replace(installed, &here)).unwrap();
    }
    let verified =
        Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&paths).output();
    let Ok(verified) = verified else { return support::skip("systemd-analyze is missing") };
    // It complains of the machine's own units as well.
    let complaints = String::from_utf8_lossy(&verified.stderr);
    let ours: Vec<&str> =
        complaints.lines().filter(|line| line.contains("ranked-broker")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
    let offline = ["security", "--offline=yes", "--threshold=20"];
    let secure = Command::new("systemd-analyze").args(offline).arg(&paths[0]).output().unwrap();
    assert!(secure.status.success(), "{}", String::from_utf8_lossy(&secure.stdout));
}

#[test]
fn what_is_no_socket_is_refused() {
    let script = "exec 3</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_broker")]);
    let output = command.output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("broker: cannot use the sockets of the service manager"));
}
