//! What the transcript tests share: a broker, and clients that send lines and
//! expect lines.
//!
//! Every wait has a deadline, and nothing sleeps for a fixed time. When a test
//! fails, the whole dialogue of all its clients is printed.

// Each file in `tests/` is a program of its own and uses a part of this.
#![allow(dead_code, unused_imports)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod child;
mod client;
mod dialogue;
mod faults;
mod http;
mod manager;
mod page;
mod port;
mod process;
mod program;
mod receiver;
mod resp;
mod site;
mod tools;

pub use child::Child;
pub use client::{Client, Sender, field, narrow, number};
pub use dialogue::Dialogue;
pub use faults::{Small, inject, with_failures};
pub use http::{Answer, Web};
pub use manager::Manager;
pub use page::{Event, Events, Socket};
pub use port::Port;
pub use process::{parent, runs, signal, status};
pub use program::Program;
pub use receiver::{Delivery, Receiver};
pub use resp::{Redis, Said, encoded};
pub use site::Site;
pub use tools::{install, installed, redis_py, skip};

use ranked_broker::config::Config;
use ranked_broker::server::Server;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long anything that must happen may take: far longer than it ever does,
/// so that only what is broken runs into it.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A session as a client may name it itself.
pub const SESSION: &str = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";

/// Bytes of a log that a slow member soon falls behind.
pub const SMALL_LOG: usize = 256 * 1024;

/// A broker whose slow members fall behind soon.
pub fn small_log(config: &mut Config) {
    config.log_bytes = SMALL_LOG;
    config.stall = Duration::from_millis(100);
}

/// A broker of a test's own, on a port of its own.
pub struct Broker {
    pub addr: SocketAddr,
    dialogue: Dialogue,
    child: Option<Child>,
}

impl Broker {
    /// A broker with the defaults, in this process.
    pub fn start() -> Broker {
        Broker::with(|_| {})
    }

    /// The same, with some settings changed.
    pub fn with(change: impl FnOnce(&mut Config)) -> Broker {
        let mut config = Config { port: 0, ..Config::default() };
        change(&mut config);
        let server = Server::start(config).expect("the broker starts");
        Broker { addr: server.addr, dialogue: Dialogue::default(), child: None }
    }

    /// A broker in a process of its own.
    pub fn process() -> Broker {
        Broker::from_child(Child::start())
    }

    /// The same, with settings, that keeps its data in this folder.
    pub fn keeping(dir: &Path, settings: &[&str]) -> Broker {
        let data = ["--data", dir.to_str().expect("a path in UTF-8")];
        Broker::from_child(Child::with(&[&data, settings].concat()))
    }

    /// The broker in this process of its own.
    pub fn from_child(child: Child) -> Broker {
        Broker { addr: child.addr(), dialogue: Dialogue::default(), child: Some(child) }
    }

    /// The broker's process.
    pub fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("a broker in a process of its own")
    }

    /// A connection that has said nothing yet. The label is for the dialogue.
    pub fn connect(&self, label: &str) -> Client {
        Client::connect(self.addr, label, self.dialogue.clone())
    }

    /// A client that asks by HTTP.
    pub fn web(&self) -> Web {
        Web::of(self.addr, self.dialogue.clone())
    }

    /// A connection with as small a receive buffer as the kernel grants, so that the
    /// broker soon notices that its client does not read.
    pub fn connect_narrow(&self, label: &str) -> Client {
        Client::connect_narrow(self.addr, label, self.dialogue.clone())
    }

    /// A program that takes part.
    pub fn program(&self, label: &str, command: &mut std::process::Command) -> Program {
        Program::start(label, command, self.dialogue.clone())
    }

    /// A client of the Redis protocol.
    pub fn redis(&self, label: &str) -> Redis {
        Redis::new(self.connect(label))
    }

    /// A client of this name.
    pub fn client(&self, name: &str) -> Client {
        let mut client = self.connect(name);
        client.introduce();
        client
    }

    /// A client of this name, and the `hello` that resumes its session.
    pub fn owner(&self, name: &str) -> (Client, String) {
        let mut client = self.connect(name);
        let hello = client.ask(&format!("hello --name {name}"), "ok hello *");
        let (session, secret) = (field(&hello, "session"), field(&hello, "secret"));
        (client, format!("hello --session {session} --secret {secret}"))
    }

    /// A client of this name that has joined this channel, which is made if it
    /// is missing.
    pub fn member(&self, name: &str, channel: &str) -> Client {
        let mut client = self.client(name);
        client.send(&format!("sub {channel} --create"));
        client.expect(&format!("ok sub {channel} rank=*"));
        client
    }

    /// Members of one new channel, ranked 0, 1, 2, … in this order. All of them
    /// know of each other, so nothing is due to anyone. The channel's seq is
    /// their number.
    pub fn team<const N: usize>(&self, channel: &str, names: [&str; N]) -> [Client; N] {
        let mut team: Vec<Client> = Vec::new();
        for (rank, name) in names.into_iter().enumerate() {
            let newcomer = self.member(name, channel);
            for client in &mut team {
                client.expect(&format!("join {channel} {} {name} {rank}", rank + 1));
            }
            team.push(newcomer);
        }
        team.try_into().ok().expect("as many members as names")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dialogue.print();
        }
    }
}

/// Waits until something is true.
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_true() {
        assert!(Instant::now() < deadline, "it never came true that {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a text is as a pattern says; `*` stands for any text.
pub fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            places.into_iter().any(|at| matches(rest, &text[at..]))
        }),
    }
}

/// A small generator of numbers that look random, the same for the same seed.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `below`.
    pub fn roll(&mut self, below: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let below = u64::try_from(below).unwrap();
        usize::try_from((z ^ (z >> 31)) % below).unwrap()
    }
}
