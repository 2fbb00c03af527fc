//! The JSON dialect, in lines and in WebSocket messages.

use super::Driver;
use crate::support::{Broker, Client, Socket};
use serde_json::{Value, json};
use std::collections::VecDeque;
use tungstenite::protocol::Message;

/// What JSON is said through.
pub trait Speaks: Send {
    fn say(&mut self, text: &str);
    fn hear(&mut self) -> String;
}

impl Speaks for Client {
    fn say(&mut self, text: &str) {
        self.send(text);
    }

    fn hear(&mut self) -> String {
        self.line().expect("the connection goes on")
    }
}

impl Speaks for Socket {
    fn say(&mut self, text: &str) {
        self.send(text);
    }

    fn hear(&mut self) -> String {
        match self.next() {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("hears {other}"),
        }
    }
}

pub struct Json<'b, S> {
    broker: &'b Broker,
    name: String,
    connect: fn(&Broker, &str) -> S,
    speaks: Option<S>,
    /// What it resumes its session by.
    session: Value,
    frames: VecDeque<Value>,
}

impl<'b, S: Speaks> Json<'b, S> {
    pub fn enter(broker: &'b Broker, name: &str, connect: fn(&Broker, &str) -> S) -> Json<'b, S> {
        let (speaks, session) = (Some(connect(broker, name)), Value::Null);
        let frames = VecDeque::new();
        let mut json = Json { broker, name: name.into(), connect, speaks, session, frames };
        let hello = json.ask("hello", json!({"name": name})).expect("a name that is free");
        json.session = json!({"session": hello["session"], "secret": hello["secret"]});
        json
    }

    fn hear(&mut self) -> Value {
        let text = self.speaks.as_mut().expect("it is connected").hear();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }
}

impl<S: Speaks> Driver for Json<'_, S> {
    fn ask(&mut self, op: &str, mut fields: Value) -> Result<Value, String> {
        fields["op"] = op.into();
        self.speaks.as_mut().expect("it is connected").say(&fields.to_string());
        loop {
            let heard = self.hear();
            match &heard["ok"] {
                // A `done` frame has an `ok`, too.
                _ if heard["reply"].is_null() => self.frames.push_back(heard),
                Value::Bool(true) => return Ok(heard),
                _ => return Err(heard["error"]["code"].as_str().expect("a code").into()),
            }
        }
    }

    fn frame(&mut self) -> Value {
        self.frames.pop_front().unwrap_or_else(|| self.hear())
    }

    fn lose(&mut self) {
        self.speaks.take().expect("it is connected");
    }

    fn resume(&mut self, channel: &str, seen: u64) {
        self.speaks = Some((self.connect)(self.broker, &self.name));
        let mut hello = self.session.clone();
        hello["seen"] = json!({channel: seen});
        let reply = self.ask("hello", hello).expect("the session is kept");
        assert_eq!(reply["resumed"], true);
    }
}
