//! One driver for each dialect, behind one trait: what a scenario needs that
//! knows nothing of dialects.
//!
//! Requests, replies and frames are those of the JSON dialect, whatever goes
//! over the wire.
// Each test takes a part of it.
#![allow(dead_code, unused_imports)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod entry;
mod http;
mod json;
mod member;
mod resp;
mod text;
mod webhook;
mod words;

pub use entry::Entry;
pub use member::{CHANNEL, Member};

use crate::support::Broker;
use serde_json::Value;

/// One client of a broker, in one dialect.
pub trait Driver: Send {
    /// Asks, and waits for the answer: the reply's fields, or the code of the error.
    fn ask(&mut self, op: &str, fields: Value) -> Result<Value, String>;

    /// The next frame, when it comes.
    fn frame(&mut self) -> Value;

    /// Loses the connection or stream that it hears by.
    fn lose(&mut self);

    /// Opens it again; everything up to this seq of the channel was heard.
    fn resume(&mut self, channel: &str, seen: u64);

    /// What came of a command, if that is not told but asked for.
    fn results(&mut self, _channel: &str, _seq: u64) -> Option<Value> {
        None
    }

    /// What it hears, and how it resumes.
    fn ways(&self) -> Ways {
        Ways::default()
    }
}

/// In which ways members differ.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// It has a connection, whose loss makes it `away`; otherwise its seat does not
    /// depend on one.
    pub has_connection: bool,
    /// It is told its rank; otherwise it asks.
    pub is_told_its_rank: bool,
    /// It hears as an observer does: its own commands, and those to others.
    pub hears_all: bool,
}

impl Default for Ways {
    fn default() -> Ways {
        Ways { has_connection: true, is_told_its_rank: true, hears_all: false }
    }
}

/// The dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Text,
    Json,
    WebSocket,
    /// HTTP requests, and Server-Sent Events for what it hears.
    Http,
    /// HTTP requests both ways.
    CallBack,
    Resp2,
    Resp3,
}

impl Dialect {
    pub const ALL: [Dialect; 7] = [
        Dialect::Text,
        Dialect::Json,
        Dialect::WebSocket,
        Dialect::Http,
        Dialect::CallBack,
        Dialect::Resp2,
        Dialect::Resp3,
    ];

    /// A member of this name that speaks the dialect, in no channel yet.
    pub fn enter<'b>(self, broker: &'b Broker, name: &str) -> Member<'b> {
        let driver: Box<dyn Driver + 'b> = match self {
            Dialect::Text => Box::new(text::Text::enter(broker, name)),
            Dialect::Json => Box::new(json::Json::enter(broker, name, Broker::connect)),
            Dialect::WebSocket => Box::new(json::Json::enter(broker, name, Broker::socket)),
            Dialect::Http => Box::new(http::Http::enter(broker, name)),
            Dialect::CallBack => Box::new(webhook::CallBack::enter(broker, name)),
            Dialect::Resp2 => Box::new(resp::Resp::enter(broker, name, 2)),
            Dialect::Resp3 => Box::new(resp::Resp::enter(broker, name, 3)),
        };
        Member::new(name, driver)
    }
}
