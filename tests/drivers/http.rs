//! HTTP: a member without a connection, that hears by Server-Sent Events and
//! asks for its commands.

use super::{Driver, Ways};
use crate::support::{Broker, Events, Web, eventually};
use serde_json::{Value, json};

pub struct Http<'b> {
    broker: &'b Broker,
    name: String,
    /// Speaks for nobody, then for the member.
    web: Web,
    /// Whom to call, and for what.
    pub callback: Option<String>,
    events: Option<Events>,
    last: u64,
}

impl<'b> Http<'b> {
    pub fn enter(broker: &'b Broker, name: &str) -> Http<'b> {
        let (name, web) = (name.to_owned(), broker.web());
        Http { broker, name, web, callback: None, events: None, last: 0 }
    }

    fn join(&mut self, channel: &str) -> Result<Value, String> {
        let mut body = json!({"name": self.name});
        if let Some(url) = &self.callback {
            body["callback"] = url.as_str().into();
            body["events"] = json!(["messages", "roster"]);
        }
        let path = format!("/v1/channels/{channel}/members");
        let joined = self.request("POST", &path, Some(body), 201)?;
        self.web = self.web.as_resident(joined["token"].as_str().expect("a token"));
        self.last = joined["seq"].as_u64().expect("a seq");
        if self.callback.is_none() {
            self.listen(channel);
        }
        Ok(joined)
    }

    /// Opens an event stream from behind the last entry that it has heard.
    fn listen(&mut self, channel: &str) {
        let path = format!("/v1/channels/{channel}/events");
        self.events = Some(self.broker.events(&path, Some(&self.last.to_string())));
    }

    /// Sends a request. Returns the answer, which must have this status, or a problem's
    /// code.
    fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        status: u16,
    ) -> Result<Value, String> {
        let body = body.map(|body| body.to_string());
        let body = body.as_ref().map(|body| ("application/json", body.as_bytes()));
        let answer = self.web.ask(method, path, body);
        if answer.header("content-type") == Some("application/problem+json") {
            return Err(answer.json()["code"].as_str().expect("a code").into());
        }
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        Ok(if answer.body.is_empty() { Value::Null } else { answer.json() })
    }

    /// Waits for a command that is to be carried out.
    fn await_command(&self, channel: &str, seq: u64) {
        let path = format!("/v1/channels/{channel}/members/{}/commands?wait=20", self.name);
        let due = self.request("GET", &path, None, 200).expect("a member");
        let has_it = |rows: &[Value]| rows.iter().any(|row| row["seq"] == seq);
        assert!(due["rows"].as_array().is_some_and(|rows| has_it(rows)), "no {seq} in {due}");
    }
}

impl Driver for Http<'_> {
    fn ask(&mut self, op: &str, fields: Value) -> Result<Value, String> {
        let channel = fields["channel"].as_str().expect("a channel").to_owned();
        let at = format!("/v1/channels/{channel}");
        let own = format!("{at}/members/{}", self.name);
        // What is in the path is left out of the body.
        let mut body = fields.clone();
        for key in ["channel", "seq", "member"] {
            if op != "create" {
                body.as_object_mut().expect("an object").remove(key);
            }
        }
        let body = Some(body);
        match op {
            "create" => self.request("POST", "/v1/channels", body, 201),
            "sub" => self.join(&channel),
            "pub" => self.request("POST", &format!("{at}/messages"), body, 201),
            "cmd" => {
                let later = Http {
                    web: self.web.with("Prefer", "respond-async"),
                    ..Http::enter(self.broker, &self.name)
                };
                later.request("POST", &format!("{at}/commands"), body, 202)
            }
            "ack" => {
                let seq = fields["seq"].as_u64().expect("a seq");
                self.await_command(&channel, seq);
                self.request("POST", &format!("{at}/commands/{seq}/ack"), body, 200)
            }
            "promote" => {
                let member = fields["member"].as_str().expect("a member");
                self.request("POST", &format!("{at}/members/{member}/promote"), body, 200)
            }
            "yield" => self.request("POST", &format!("{own}/yield"), None, 200),
            "unsub" => self.request("DELETE", &own, None, 204),
            "rank" => self.request("GET", &own, None, 200),
            other => panic!("HTTP has no {other}"),
        }
    }

    fn frame(&mut self) -> Value {
        let (id, _, data) = self.events.as_mut().expect("it listens").next().expect("it goes on");
        self.last = id.expect("an id");
        serde_json::from_str(&data).unwrap_or_else(|e| panic!("{e}: {data}"))
    }

    /// Closes only the event stream: there is nothing else that could be lost.
    fn lose(&mut self) {
        self.events = None;
    }

    fn resume(&mut self, channel: &str, seen: u64) {
        assert_eq!(self.last, seen);
        self.listen(channel);
    }

    fn results(&mut self, channel: &str, seq: u64) -> Option<Value> {
        let path = format!("/v1/channels/{channel}/commands/{seq}");
        let mut results = Value::Null;
        eventually("all results are in", || {
            results = self.request("GET", &path, None, 200).expect("one of its commands");
            !results["ok"].is_null()
        });
        Some(results)
    }

    fn ways(&self) -> Ways {
        Ways { has_connection: false, is_told_its_rank: false, hears_all: true }
    }
}
