//! A publish/subscribe channel broker whose members hold ranks.
#![forbid(unsafe_code)]

pub mod config;
pub mod error;
pub mod runtime;
pub mod wire;
