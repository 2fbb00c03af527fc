//! HTTP both ways: a member without a connection, that is told by call-backs.

use super::http::Http;
use super::{Driver, Ways};
use crate::support::{Broker, Delivery, Receiver};
use serde_json::{Value, json};

pub struct CallBack<'b> {
    http: Http<'b>,
    receiver: Receiver,
    /// A command that waits for its answer, and holds up what comes behind it.
    command: Option<Delivery>,
    /// The delivery that was not taken, and so comes again.
    missed: Option<String>,
}

impl<'b> CallBack<'b> {
    pub fn enter(broker: &'b Broker, name: &str) -> CallBack<'b> {
        let (mut http, receiver) = (Http::enter(broker, name), Receiver::start());
        http.callback = Some(receiver.url());
        CallBack { http, receiver, command: None, missed: None }
    }
}

impl Driver for CallBack<'_> {
    fn ask(&mut self, op: &str, fields: Value) -> Result<Value, String> {
        match self.command.take() {
            // The answer to a command is the answer to its delivery.
            Some(command) if op == "ack" => {
                assert_eq!(command.header("broker-seq"), fields["seq"].to_string());
                let answer = json!({"code": fields["code"], "text": fields["text"]});
                command.answer("200 OK", "", &answer.to_string());
                Ok(json!({}))
            }
            command => {
                self.command = command;
                self.http.ask(op, fields)
            }
        }
    }

    fn frame(&mut self) -> Value {
        assert!(self.command.is_none(), "nothing comes before a command is answered");
        let delivery = self.receiver.next();
        if let Some(missed) = self.missed.take() {
            let again = (delivery.header("broker-delivery"), delivery.header("broker-attempt"));
            assert_eq!(again, (missed.as_str(), "2"));
        }
        let frame = delivery.frame();
        if delivery.header("broker-event") == "cmd" {
            self.command = Some(delivery);
        } else {
            delivery.ok();
        }
        frame
    }

    /// There is no connection that could be lost, only one delivery.
    fn lose(&mut self) {}

    fn resume(&mut self, _channel: &str, _seen: u64) {
        let delivery = self.receiver.next();
        // Its connection is closed without an answer.
        self.missed = Some(delivery.header("broker-delivery").to_owned());
    }

    fn results(&mut self, channel: &str, seq: u64) -> Option<Value> {
        self.http.results(channel, seq)
    }

    fn ways(&self) -> Ways {
        Ways { has_connection: false, ..Ways::default() }
    }
}
