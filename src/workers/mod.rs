//! Runs jobs in processes of their own, so that one that crashes, hangs or takes
//! all memory harms only the client that asked for it.
//!
//! ```text
//! submit ─► queue ─► supervisor (a thread for each worker) ◄─pipes─► worker (another process)
//!   audience ◄── running, done, failed, cancelled ──┘
//! ```
//! - `pool.rs`: the door for clients and supervisors; `table.rs`: the jobs that
//!   wait or run, and who is told of them.
//! - `queue.rs`: whose turn it is.
//! - `supervisor.rs`: starts a worker when there is a job for it, and another one
//!   when it is lost.
//! - `process.rs`: a worker from the broker's side; [`worker`]: from its own;
//!   [`link`]: what they say to each other.
//!
//! A job that its worker had begun is never run twice; one that it had not begun is
//! tried once more. No worker outlives the broker: its standard input ends, and on
//! Linux the system kills it with the thread that started it.

pub mod link;
mod pool;
mod process;
mod queue;
mod supervisor;
mod table;
pub mod worker;

#[cfg(test)]
mod tests;

pub use pool::{Limits, Pool};
pub use process::Program;
pub use queue::JobId;
pub use table::{Audience, Owner, Shown, Submission};
