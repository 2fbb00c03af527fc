//! The Redis protocol, in both versions.

use super::{Driver, words};
use crate::support::{Broker, Redis, Said};
use serde_json::{Map, Value};
use std::collections::VecDeque;

pub struct Resp<'b> {
    broker: &'b Broker,
    name: String,
    version: u8,
    redis: Redis,
    /// What it resumes its session by.
    session: String,
    frames: VecDeque<Vec<Value>>,
}

impl<'b> Resp<'b> {
    pub fn enter(broker: &'b Broker, name: &str, version: u8) -> Resp<'b> {
        let (redis, session) = (broker.redis(name), String::new());
        let name = name.to_owned();
        let mut resp = Resp { broker, name, version, redis, session, frames: VecDeque::new() };
        resp.redis.ask(&format!("HELLO {version}"), "*");
        let hello = resp.say(&format!("SESSION --name {}", resp.name)).expect("a free name");
        let word = |key: &str| hello[key].as_str().expect("a text").to_owned();
        resp.session = format!("--session {} --secret {}", word("session"), word("secret"));
        resp
    }

    fn say(&mut self, request: &str) -> Result<Value, String> {
        self.ask_words(request.split(' '))
    }

    fn ask_words<'w>(&mut self, words: impl Iterator<Item = &'w str>) -> Result<Value, String> {
        self.redis.send_words(&words.map(str::as_bytes).collect::<Vec<_>>());
        loop {
            match self.redis.read() {
                Said::Line(line) if line.starts_with("-ERR ") => {
                    return Err(line.split(' ').nth(1).expect("a code").into());
                }
                Said::Map(pairs) => return Ok(map(&pairs)),
                // In version 2 a reply is an array as a frame is. A frame begins
                // with its kind, a reply with a name that is none.
                Said::Array(values) if !is_frame(&values) => return Ok(map(&values)),
                Said::Array(values) => self.frames.push_back(values.iter().map(json).collect()),
                other => panic!("hears {other}"),
            }
        }
    }
}

impl Driver for Resp<'_> {
    fn ask(&mut self, op: &str, fields: Value) -> Result<Value, String> {
        let words = words::request(op, &fields);
        self.ask_words(words.iter().map(String::as_str))
    }

    fn frame(&mut self) -> Value {
        let values = match (self.frames.pop_front(), self.version) {
            (Some(values), _) => values,
            (None, _) => match self.redis.read() {
                Said::Array(values) => values.iter().map(json).collect(),
                other => panic!("hears {other}"),
            },
        };
        words::frame(values[0].as_str().expect("a kind"), &values[1..])
    }

    fn lose(&mut self) {
        let redis = std::mem::replace(&mut self.redis, self.broker.redis(&self.name));
        redis.client.reset();
    }

    /// Messages have no seq in this protocol: a client learns otherwise what it has
    /// seen, from the reply to a message of its own or by `DESCRIBE`.
    fn resume(&mut self, channel: &str, seen: u64) {
        let version = self.version;
        self.redis.ask(&format!("HELLO {version}"), "*");
        let request = format!("SESSION {} --seen {channel}={seen}", self.session);
        let reply = self.say(&request).expect("the session is kept");
        assert_eq!(reply["resumed"].as_u64().unwrap_or(1), 1, "{reply}");
    }
}

fn is_frame(values: &[Said]) -> bool {
    const KINDS: [&str; 8] = ["message", "cmd", "join", "left", "move", "rank", "ack", "done"];
    matches!(values.first(), Some(Said::Bulk(kind)) if KINDS.contains(&kind.as_str()))
}

fn map(pairs: &[Said]) -> Value {
    let pairs = pairs.chunks(2).map(|pair| (pair[0].to_string(), json(&pair[1])));
    pairs.collect::<Map<_, _>>().into()
}

fn json(said: &Said) -> Value {
    match said {
        Said::Line(line) => match line.split_at(1) {
            (":", number) => number.parse::<u64>().expect("a number").into(),
            ("#", yes) => (yes == "t").into(),
            ("_", _) => Value::Null,
            (_, text) => text.into(),
        },
        Said::Bulk(text) => text.clone().into(),
        Said::Nil => Value::Null,
        Said::Array(values) => values.iter().map(json).collect(),
        Said::Map(pairs) => map(pairs),
    }
}
