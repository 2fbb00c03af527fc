//! The load generator: what a broker does under load, seen from outside, and the
//! same of other brokers beside it. It knows of the broker only what any client does.
//!
//! ```text
//! workload ─ plan: who publishes, who listens
//!    │
//!    ▼
//! traffic ── windows (as fast as it goes) or a schedule (a fixed rate)
//!    │  ▲
//!    ▼  │ book: every message that comes is checked
//! fleet ─── clients of one protocol ── protocol: NATS, RESP, MQTT, text, JSON …
//!    │
//!    ▼
//! pool ──── all connections, one thread, one epoll
//! ```
//! - [`process`]: CPU time and memory of the broker, as its kernel tells.
//! - [`report`]: what was found, for programs and for people.
//! - [`ranks`]: what no other broker has: ranks, at size.
//! - [`growth`]: what it costs when there is more of something.
//! - [`dialects`]: what a message costs the broker in each of its dialects.
//! - [`peers`]: the same work for several brokers, in turn, and a table.
//! - [`raw`]: a program that only copies bytes: the lower bound.
//!
//! One thread does everything, so that the generator costs little and is the
//! same for every broker. Linux only: it waits with epoll and looks into /proc.

pub mod arguments;
pub mod book;
pub mod cells;
pub mod dialects;
pub mod error;
pub mod fleet;
pub mod growth;
pub mod net;
pub mod peers;
pub mod plan;
pub mod pool;
pub mod process;
pub mod protocol;
pub mod ranks;
pub mod raw;
pub mod report;
pub mod screen;
pub mod stamp;
pub mod traffic;
pub mod units;
pub mod workload;
