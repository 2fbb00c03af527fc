//! A publish/subscribe channel broker whose members hold ranks.
//!
//! > **A channel is a log. A member is a cursor on it. A rank is a place in the
//! > roster, and the roster is what you get by folding the log.**
//!
//! Fan-out, history, slow members, one order for everybody and fencing all
//! follow from these three sentences.
//!
//! # The parts, as bytes travel, and in layers
//! ```text
//! bytes in ─ connection ─ wire ──► Request ─ session ─ broker ─ channel ──► append a Chunk to the log
//!                                                                  │ fold: roster, view, terms
//!                                             wake the members ◄───┘
//! bytes out ─ connection ◄─ the chunk's own bytes ◄─ session's cursors read the log
//!                               or their JSON form, made once
//!                  ▲
//!                  └── control lane: replies, rank, ack, done, ping, tell, bye
//! ```
//! - **front**, what the network meets: [`server`] accepts connections and stops in
//!   order; [`tls`] encrypts them, at both ends; `connection` is one socket, one task,
//!   which reads and writes in turn; `http` is the same for HTTP/1.1, with the files of
//!   the `page` that people see in a browser; a `resident` is a member without a
//!   connection, with a task of its own, and a `webhook` tells it by HTTP requests what
//!   others hear.
//! - **meaning**, what a request does: a `session` is one client: requests in, replies
//!   out, what it has to read; through a `speaker` several tasks may ask as one; the
//!   `broker` is the shared state, synchronous, and in `broker::channel` order is made;
//!   the `roster` is who holds which rank, and since when; the `log` is entries in
//!   chunks that never change, and cursors on them.
//! - **words**: `wire` makes requests of bytes, and bytes of replies and frames, and is
//!   pure; `request`, `reply`, `frame`, `payload` and [`error`] are what goes to and
//!   fro, free of any wire format.
//! - **disk**: the `store` has the state that outlives the broker, by group commit.
//! - **work**: `jobs` has one file for each, and `workers` the processes that run them;
//!   `sequence` makes sequences of numbers from their seeds.
//! - **the other end**: [`client`], for programs and for `broker-client`.
//! - **plumbing**: [`config`], `service` (signals, systemd), `events` (the broker's own
//!   log), `figures`, `metrics`, `outbound` and `hyper_io` (HTTP), [`runtime`] (alone
//!   names the async runtime), `farewell`, `file_size`, `manual`, `moment`,
//!   `open_files`, `permits`, `printed`, `process`, `rare`, `sync`.
//!
//! Two ways lead in. `Session::handle` takes a request and gives its reply;
//! `Session::gather` gives what is to go out, and `Session::settle` is told how much of
//! it has been written. Sockets, HTTP and residents all go there.
//!
//! The programs are in `bin`. The load generator knows of the broker only what any
//! client does.
//!
//! Imports point one way, and `tests/tidy` holds them to it: `server →
//! connection → http → resident → speaker → session → broker → store → log,
//! roster`; `connection → wire → request, reply, frame`.
//!
//! # What always holds
//! - An entry's seq and its place in the log are one step, under the channel's
//!   lock: no two members see two orders.
//! - The bytes of an entry are made once and written to every member from the
//!   chunk they are in. No member has a queue: one that does not read costs its
//!   cursor and the rest of one line.
//! - A rank is stored nowhere but in the roster; a member that reads behind
//!   knows its rank *there* by folding what it has read.
//! - Locks are taken in one order (`broker`), held only while memory is touched,
//!   and never across an await.
//! - Every queue, line, list and wait has a limit with a name and a reason, except
//!   for rows that come and go while the disk hangs, of which each waits once
//!   (`store/rows.rs`).
#![forbid(unsafe_code)]

pub mod client;
pub mod config;
pub mod error;
pub mod runtime;
pub mod server;
pub mod tls;

mod connection;
mod farewell;
mod figures;
mod hyper_io;
mod jobs;
mod metrics;
mod outbound;
mod page;
mod permits;
mod process;
mod rare;
mod resident;
mod sequence;
mod speaker;
mod sync;
mod webhook;

// For the programs in `bin`, the tests, the benchmarks and the fuzzers; nobody else may
// rely on these.
#[doc(hidden)]
pub mod broker;
#[doc(hidden)]
pub mod events;
#[doc(hidden)]
pub mod file_size;
#[doc(hidden)]
pub mod frame;
#[doc(hidden)]
pub mod http;
#[doc(hidden)]
pub mod log;
#[doc(hidden)]
pub mod manual;
#[doc(hidden)]
pub mod moment;
#[doc(hidden)]
pub mod open_files;
#[doc(hidden)]
pub mod payload;
#[doc(hidden)]
pub mod printed;
#[doc(hidden)]
pub mod reply;
#[doc(hidden)]
pub mod request;
#[doc(hidden)]
pub mod roster;
#[doc(hidden)]
pub mod service;
#[doc(hidden)]
pub mod session;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod wire;
#[doc(hidden)]
pub mod workers;
