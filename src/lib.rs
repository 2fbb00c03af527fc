//! A publish/subscribe channel broker whose members hold ranks.
//!
//! > **A channel is a log. A member is a cursor on it. A rank is a place in the
//! > roster, and the roster is what you get by folding the log.**
//!
//! Fan-out, history, slow members, one order for everybody and fencing all
//! follow from these three sentences.
//!
//! # The parts, in the order in which bytes travel
//! ```text
//! bytes in ─ connection ─ wire ──► Request ─ session ─ broker ─ channel ──► append a Chunk to the log
//!                                                                  │ fold: roster, view, terms
//!                                             wake the members ◄───┘
//! bytes out ─ connection ◄─ the chunk's own bytes ◄─ session's cursors read the log
//!                               or their JSON form, made once
//!                  ▲
//!                  └── control lane: replies, rank, ack, done, ping, tell, bye
//! ```
//! - [`config`]: every limit and default, with its unit and reason.
//! - [`service`]: signals, and notifications to systemd.
//! - [`server`]: builds the parts, accepts connections, stops in order.
//! - [`connection`]: one socket, one task, which reads and writes in turn.
//! - [`http`]: the same for HTTP/1.1: routes, the requests they make, and the
//!   answers.
//! - [`page`]: the page that people see in a browser; files, served by [`http`].
//! - [`resident`]: members without a connection, each with a task of its own.
//! - [`speaker`]: a session through which several tasks may ask, and wait.
//! - [`tls`]: encrypted connections, at both ends.
//! - [`wire`]: bytes to requests, replies and frames to bytes; pure.
//! - [`request`], [`reply`], [`frame`], [`payload`], [`error`]: what goes to and
//!   fro, free of any wire format.
//! - [`session`]: one client: requests in, replies out, what it has to read.
//! - [`broker`]: the shared state; synchronous, time is an argument.
//!   [`broker::channel`] is where order is made.
//! - [`log`]: entries in chunks that never change, and cursors on them.
//! - [`store`]: the state that outlives the broker, on disk, by group commit.
//! - [`roster`]: who holds which rank, and since when; knows nothing else.
//! - [`jobs`]: the jobs, one file each; [`workers`]: the processes that run them.
//! - [`sequence`]: number sequences, made from their seeds.
//! - [`events`]: the broker's log, one line for each event.
//! - [`figures`], [`metrics`]: what is counted, and how it is shown.
//! - [`client`]: the other end, for programs and for `broker-client`.
//! - [`webhook`]: callbacks: tells members without a connection by HTTP requests.
//! - [`outbound`]: the broker's own HTTP client, for URLs that strangers name.
//! - [`hyper_io`]: adapters that hyper reads, writes and waits with, at both ends.
//! - `bench`: the load generator behind `broker-bench`; knows of the broker only
//!   what any client does.
//! - [`runtime`]: the only file that names the async runtime.
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
//! - Locks are taken in one order ([`broker`]), held only while memory is touched,
//!   and never across an await.
//! - Every queue, line, list and wait has a limit with a name and a reason, except
//!   for rows that come and go while the disk hangs, of which each waits once
//!   (`store/rows.rs`).
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
pub mod bench;
pub mod broker;
pub mod client;
pub mod config;
mod connection;
pub mod error;
pub mod events;
mod farewell;
mod figures;
pub mod file_size;
pub mod frame;
pub mod http;
mod hyper_io;
mod jobs;
pub mod log;
pub mod manual;
mod metrics;
pub mod moment;
pub mod open_files;
mod outbound;
mod page;
pub mod payload;
mod permits;
pub mod printed;
mod process;
mod rare;
pub mod reply;
pub mod request;
mod resident;
pub mod roster;
pub mod runtime;
mod sequence;
pub mod server;
pub mod service;
pub mod session;
mod speaker;
pub mod store;
mod sync;
pub mod tls;
mod webhook;
pub mod wire;
pub mod workers;
