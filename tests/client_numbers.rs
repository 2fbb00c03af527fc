//! `broker-client numbers`: complete and verified, whatever happens to its
//! connections and to itself.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child as Process, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Broker, Child, Dice, Port, eventually, field};

const ID: &str = "123e4567-e89b-12d3-a456-426614174000";

fn start(addr: SocketAddr, state: &Path, arguments: &[&str]) -> Process {
    Command::new(env!("CARGO_BIN_EXE_broker-client"))
        .args([&addr.ip().to_string(), &addr.port().to_string(), "numbers"])
        .args(arguments)
        .env("XDG_STATE_HOME", state)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn run(addr: SocketAddr, state: &Path, arguments: &[&str]) -> Output {
    start(addr, state, arguments).wait_with_output().unwrap()
}

#[track_caller]
fn verified(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(said.starts_with("sum="), "{said}");
    said
}

#[track_caller]
fn refused(output: &Output, code: i32, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(why), "{output:?}");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(code), &b""[..]), "{output:?}");
}

/// Passes bytes on between clients and a broker, and cuts each connection after
/// some of what the broker says.
struct Proxy {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// From this connection on, nothing is passed on any more.
    dead_from: Arc<AtomicUsize>,
}

impl Proxy {
    fn to(broker: SocketAddr, bytes: std::ops::Range<usize>) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let dead_from = Arc::new(AtomicUsize::new(usize::MAX));
        let (count, end) = (connections.clone(), dead_from.clone());
        std::thread::spawn(move || {
            let mut dice = Dice(7);
            for client in listener.incoming().map_while(Result::ok) {
                let number = count.fetch_add(1, Ordering::SeqCst);
                if number >= end.load(Ordering::SeqCst) {
                    continue;
                }
                let cut = bytes.start + dice.roll(bytes.len());
                std::thread::spawn(move || pass_on(client, broker, cut));
            }
        });
        Proxy { addr, connections, dead_from }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Passes bytes on until so many have gone to the client.
fn pass_on(mut client: TcpStream, broker: SocketAddr, bytes: usize) {
    let mut broker = TcpStream::connect(broker).unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
    std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
    let mut limited = (&mut broker).take(bytes as u64);
    let _ = std::io::copy(&mut limited, &mut client);
    for stream in [client, broker] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

#[test]
fn it_prints_sum_and_checksum() {
    let state = tempfile::tempdir().unwrap();
    let broker = Child::with_environment(&[], &[("TEST_MODE", "1")]);
    let said =
        verified(&run(broker.addr(), state.path(), &["10000", "--client-id", ID, "--batch", "5"]));
    let expected =
        format!("sum=504721 checksum=589f9ca74cb5ea9a32eddd14840d5b64 count=10000 client-id={ID} ");
    assert!(said.starts_with(&expected), "{said}");
    // While the broker knows the id, nobody else can have it.
    let again = run(broker.addr(), state.path(), &["10000", "--client-id", ID]);
    refused(&again, 1, &format!("{ID} already exist"));
    assert!(
        verified(&run(broker.addr(), state.path(), &["0"])).starts_with("sum=0 checksum=d75171")
    );
}

/// "a sequence of 65535 numbers through a proxy that cuts the connection every
/// few hundred bytes, complete and with the right checksum"
#[test]
fn it_gets_through_a_network_that_keeps_breaking() {
    let state = tempfile::tempdir().unwrap();
    let broker = Broker::with(|config| config.numseq_retention = Duration::from_secs(3_600));
    let proxy = Proxy::to(broker.addr, 100..900);
    let said = verified(&run(proxy.addr, state.path(), &["65535"]));
    assert_eq!(field(&said, "count"), "65535");
    // 65,535 numbers take some 190,000 bytes.
    assert!(proxy.connections() > 190_000 / 900, "{} connections", proxy.connections());
    // What came is what the broker has: it is the same without the proxy.
    let mut talk = TcpStream::connect(broker.addr).unwrap();
    talk.write_all(format!("CONT,{};FIN;", field(&said, "client-id")).as_bytes()).unwrap();
    let mut heard = String::new();
    talk.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, format!("ACK;FAC,{};", field(&said, "checksum")));
}

/// "it keeps what it has on disk … skips the batches it has"
#[test]
fn killed_it_goes_on_where_it_was() {
    let state = tempfile::tempdir().unwrap();
    let broker = Broker::with(|config| config.numseq_retention = Duration::from_secs(3_600));
    let proxy = Proxy::to(broker.addr, 1_000..2_000);
    proxy.dead_from.store(60, Ordering::SeqCst);
    let mut client = start(proxy.addr, state.path(), &["65535", "--batch", "50"]);
    eventually("many connections were cut", || proxy.connections() > 60);
    client.kill().unwrap();
    client.wait().unwrap();
    let other = run(broker.addr, state.path(), &["--continue"]);
    refused(&other, 1, "there is no unfinished sequence from");

    let before = proxy.connections();
    proxy.dead_from.store(usize::MAX, Ordering::SeqCst);
    let said = verified(&run(proxy.addr, state.path(), &["--continue"]));
    assert_eq!(field(&said, "count"), "65535");
    // The whole sequence would have taken as many connections again.
    let more = proxy.connections() - before;
    assert!(more < 190_000 / 1_000, "{more} more connections");
    refused(&run(proxy.addr, state.path(), &["--continue"]), 1, "there is no unfinished sequence");
}

#[test]
fn what_is_given_up_for_another_sequence_is_told() {
    let state = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let proxy = Proxy::to(broker.addr, 1_000..2_000);
    proxy.dead_from.store(5, Ordering::SeqCst);
    let mut client = start(proxy.addr, state.path(), &["65535", "--client-id", ID]);
    eventually("some connections were cut", || proxy.connections() > 5);
    client.kill().unwrap();
    client.wait().unwrap();
    proxy.dead_from.store(usize::MAX, Ordering::SeqCst);
    for told in [true, false] {
        let another = run(proxy.addr, state.path(), &["5"]);
        verified(&another);
        let said = String::from_utf8_lossy(&another.stderr);
        let gives_up = "gives up a sequence of 65535 numbers that was not finished (client-id=";
        assert_eq!(said.contains(&format!("{gives_up}{ID}, ")), told, "{said}");
    }
}

#[test]
fn what_the_broker_has_purged_cannot_be_had() {
    let state = tempfile::tempdir().unwrap();
    let broker = Broker::with(|config| config.numseq_retention = Duration::from_millis(300));
    let proxy = Proxy::to(broker.addr, 300..500);
    proxy.dead_from.store(3, Ordering::SeqCst);
    let mut client = start(proxy.addr, state.path(), &["65535"]);
    eventually("some connections were cut", || proxy.connections() > 3);
    client.kill().unwrap();
    client.wait().unwrap();
    eventually("the sequence is purged", || {
        let mut talk = TcpStream::connect(broker.addr).unwrap();
        let file = std::fs::read_dir(state.path().join("ranked-broker/numbers")).unwrap().next();
        let text = std::fs::read_to_string(file.unwrap().unwrap().path()).unwrap();
        let id = text.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap();
        talk.write_all(format!("CONT,{id};").as_bytes()).unwrap();
        talk.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        talk.read_to_string(&mut heard).unwrap();
        heard.contains("does not exist")
    });
    proxy.dead_from.store(usize::MAX, Ordering::SeqCst);
    let late = run(proxy.addr, state.path(), &["--continue"]);
    refused(&late, 1, "does not exist: it came too late, begin anew");
    refused(&run(proxy.addr, state.path(), &["--continue"]), 1, "there is no unfinished sequence");
}

/// "exit code 0 only if the checksum held"
#[test]
fn a_wrong_checksum_is_no_success() {
    let state = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for answer in ["ACK;", "NUM,1:2:3;", "FAC,d751713988987e9331980363e24189ce;"] {
            // It waits for each answer before it asks for more.
            assert!(stream.read(&mut [0; 256]).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        }
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let output = run(addr, state.path(), &["3"]);
    refused(&output, 1, "the checksum does not hold");
}

#[test]
fn wrong_usage_and_nobody_there() {
    let state = tempfile::tempdir().unwrap();
    let port = Port::reserve();
    let nowhere = port.addr();
    refused(&run(nowhere, state.path(), &["5"]), 3, "no sequence from 127.0.0.1:");
    for arguments in
        [&[][..], &["65536"], &["5", "--batch", "0"], &["5", "--continue"], &["5", "--name", "x"]]
    {
        refused(&run(nowhere, state.path(), arguments), 2, "error: ");
    }
}
