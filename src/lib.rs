//! A publish/subscribe channel broker whose members hold ranks.
#![forbid(unsafe_code)]

pub mod broker;
pub mod config;
pub mod connection;
pub mod error;
pub mod frame;
pub mod log;
pub mod open_files;
pub mod payload;
pub mod reply;
pub mod request;
pub mod roster;
pub mod runtime;
pub mod server;
pub mod session;
pub mod sync;
pub mod wire;
