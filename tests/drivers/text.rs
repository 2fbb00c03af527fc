//! The text dialect.

use super::{Driver, words};
use crate::support::{Broker, Client, field};
use serde_json::{Map, Value};
use std::collections::VecDeque;

pub struct Text<'b> {
    broker: &'b Broker,
    name: String,
    client: Option<Client>,
    /// What it resumes its session by.
    session: String,
    frames: VecDeque<String>,
}

impl<'b> Text<'b> {
    pub fn enter(broker: &'b Broker, name: &str) -> Text<'b> {
        let mut client = broker.connect(name);
        let hello = client.ask(&format!("hello --name {name}"), "ok hello *");
        let (session, secret) = (field(&hello, "session"), field(&hello, "secret"));
        let session = format!("--session {session} --secret {secret}");
        Text { broker, name: name.into(), client: Some(client), session, frames: VecDeque::new() }
    }

    fn line(&mut self) -> String {
        let client = self.client.as_mut().expect("it is connected");
        client.line().expect("the connection goes on")
    }

    /// Sends a line. Returns its reply.
    fn say(&mut self, line: &str) -> String {
        self.client.as_mut().expect("it is connected").send(line);
        loop {
            let line = self.line();
            if line.starts_with("ok ") || line.starts_with("err ") {
                return line;
            }
            self.frames.push_back(line);
        }
    }
}

impl Driver for Text<'_> {
    fn ask(&mut self, op: &str, fields: Value) -> Result<Value, String> {
        let mut words = words::request(op, &fields);
        // JSON is not quoted.
        let verbatim = words.contains(&"--json".into()).then(|| words.pop().unwrap());
        let quoted = words.iter().map(|word| shlex::try_quote(word).unwrap().into_owned());
        let line: Vec<String> = quoted.chain(verbatim).collect();
        let reply = self.say(&line.join(" "));
        match reply.strip_prefix("err ") {
            Some(error) => Err(error.split(' ').next().unwrap().into()),
            None => Ok(reply_fields(op, &reply)),
        }
    }

    fn frame(&mut self) -> Value {
        let line = self.frames.pop_front().unwrap_or_else(|| self.line());
        let (kind, rest) = line.split_once(' ').expect("a frame");
        let rest = match kind {
            // Its counts, `OK/SENT`, are two numbers in every other dialect.
            "done" => rest.replace('/', " "),
            "left" => rest.replace("reason=", ""),
            _ => rest.to_owned(),
        };
        let words = match kind {
            "cmd" => shlex::split(&rest).expect("quotes in pairs"),
            _ => rest.splitn(words::names(kind).len(), ' ').map(Into::into).collect(),
        };
        let values = words.iter().zip(words::names(kind).iter().chain(&["args"; 9]));
        let values = values.map(|(word, name)| match *name {
            "data" | "text" | "args" => unescaped(word).into(),
            _ => value(word),
        });
        words::frame(kind, &values.collect::<Vec<_>>())
    }

    fn lose(&mut self) {
        self.client.take().expect("it is connected").reset();
    }

    fn resume(&mut self, channel: &str, seen: u64) {
        self.client = Some(self.broker.connect(&self.name));
        let reply = self.say(&format!("hello {} --seen {channel}={seen}", self.session));
        assert_eq!(field(&reply, "resumed"), "yes");
    }
}

/// A word of a line: a number, or text.
fn value(word: &str) -> Value {
    word.parse::<u64>().map_or_else(|_| word.into(), Value::from)
}

/// The fields of `ok VERB …`.
fn reply_fields(op: &str, reply: &str) -> Value {
    let mut fields = Map::new();
    for word in reply.split(' ').skip(2) {
        match word.split_once('=') {
            Some((key, text)) => fields.insert(key.into(), value(text)),
            None if value(word).is_number() => {
                let key = if op == "rank" { "rank" } else { "seq" };
                fields.insert(key.into(), value(word))
            }
            None => None,
        };
    }
    fields.into()
}

/// Undoes `\n`, `\r`, `\t`, `\\` and `\xNN`.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        out.push(match c {
            '\\' => match rest.next().expect("something behind a backslash") {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'x' => {
                    let code: String = rest.by_ref().take(2).collect();
                    u8::from_str_radix(&code, 16).expect("two digits").into()
                }
                other => other,
            },
            c => c,
        });
    }
    out
}
