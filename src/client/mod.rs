//! tmp
pub mod cli;
pub mod connection;
mod driver;
pub mod error;
pub mod event;
mod handle;
pub mod line;
pub mod memory;
pub mod outbox;
pub mod reconnect;
pub use error::Error;
pub use handle::*;
