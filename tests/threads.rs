//! When the system gives no more threads, what runs goes on and what begins says so.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in tests, but not in their helpers

mod support;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::geteuid;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Output};
use support::{Broker, Child};

/// The command under which a program's threads are counted: those of root are not.
fn counted() -> &'static [&'static str] {
    let nobody = &["setpriv", "--reuid=34567", "--regid=34567", "--clear-groups"];
    if geteuid().is_root() { nobody } else { &["env"] }
}

/// Runs a command where threads are counted.
fn run(args: &[&str]) -> Output {
    let args = [counted(), args].concat();
    Command::new(args[0]).args(&args[1..]).output().unwrap()
}

/// Regression: the first work that needed a thread of its own was tried again for ever,
/// with a lock held that stopped everybody else, and the broker could not be stopped
/// either.
#[test]
fn a_broker_that_gets_no_more_threads_answers_and_stops() {
    let mut broker = Broker::from_child(Child::under(counted(), &[]));
    // From here on it gets none.
    let pid = broker.child().id().to_string();
    assert!(run(&["prlimit", "--nproc=1:", "--pid", &pid]).status.success());
    for _ in 0..3 {
        broker.web().get("/metrics").expect(200, "*# EOF*");
    }
    broker.client("alice").ask("ping", "ok ping *");
    broker.child().signal("TERM");
    assert!(broker.child().ended().success());
}

#[test]
fn who_cannot_begin_for_want_of_threads_says_so() {
    let none = ["prlimit", "--nproc=1:"];
    let broker = run(&[&none[..], &[env!("CARGO_BIN_EXE_broker"), "127.0.0.1", "0"]].concat());
    let client = run(&[&none[..], &[env!("CARGO_BIN_EXE_broker-client"), "-c", "ping"]].concat());
    for (name, output) in [("broker", broker), ("broker-client", client)] {
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&format!("{name}: cannot ")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// The process between `hold` and its program; it is given the standard input of that.
#[test]
fn a_guard_that_gets_no_threads_says_so_and_starts_nothing() {
    let (client, guards) = UnixStream::pair().unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let file = std::fs::File::open("/dev/null").unwrap();
    let files = [file.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&files)));
    sendmsg(&client, &[IoSlice::new(b"\n")], &mut control, SendFlags::empty()).unwrap();
    let under = counted();
    let guard = ["prlimit", "--nproc=1:", env!("CARGO_BIN_EXE_broker-client"), "hold-guard"];
    let output = Command::new(under[0])
        .args(&under[1..])
        .args(guard)
        .args(["--until", "9000000000000000000", "--kill-after-ms", "100", "--", "echo", "started"])
        .stdin(OwnedFd::from(guards))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(126), &b""[..]), "{said}");
    assert!(said.starts_with("broker-client: cannot guard a program: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
