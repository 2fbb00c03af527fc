//! Requests with a key: one that is repeated, because its reply was lost, gets the
//! same answer and is not done again.

use super::Session;
use crate::broker::channel::Channel;
use crate::broker::{Answer, Key, Keys};
use crate::error::Fault;
use crate::log::Command;
use crate::reply::{Line, Reply};
use crate::request::Publish;
use crate::sync::lock;
use std::sync::{Arc, Mutex};
use std::time::Duration;

impl Session {
    /// Publishes one message.
    pub(super) fn publish_one(
        &mut self,
        publish: Publish<'_>,
        now_ms: u64,
    ) -> Result<Option<Reply>, Fault> {
        let Publish { channel, term, key, payload } = publish;
        let Some(key) = key else {
            return self.publish(&channel, term, &[payload], now_ms);
        };
        let of = self.broker.channel(&channel)?;
        let key = self.key(&of, key, false);
        if let Some(answer) = self.answered(&key, &of) {
            return Ok((!self.quiet).then_some(repeated(key, answer)));
        }
        let (broker, client) = (self.broker.clone(), self.client.clone());
        let answer = |seq| Answer { seq, to: None };
        let note = |seq| broker.remember_answer(&client, &key, &of, answer(seq));
        let reply = self.append(of.clone(), term, &[payload], note, now_ms)?;
        if let Reply::Published { first_seq, .. } = reply {
            self.remember(key, &of, answer(first_seq));
        }
        Ok((!self.quiet).then_some(reply))
    }

    /// Publishes one message whose key is looked up among those of all guests: a
    /// guest's session ends with its connection, and a repetition often comes on
    /// another one.
    ///
    /// # Errors
    /// As for [`Session::publish`].
    pub fn publish_as_guest(
        &mut self,
        publish: Publish<'_>,
        word: Box<str>,
        guests: &Mutex<Keys>,
        now_ms: u64,
    ) -> Result<Reply, Fault> {
        let Publish { channel, term, payload, .. } = publish;
        let of = self.broker.channel(&channel)?;
        let key = Key { channel: of.name().clone(), word, is_command: false };
        // Locked to the end, so that of two at once one is the repetition.
        let mut keys = lock(guests);
        if let Some(answer) = keys.get(&key, &of) {
            self.await_disk(&of, 1);
            return Ok(repeated(key, answer));
        }
        let reply = self.append(of.clone(), term, &[payload], |_| {}, now_ms)?;
        if let Reply::Published { first_seq: seq, .. } = reply {
            keys.put(key, &of, Answer { seq, to: None });
        }
        Ok(reply)
    }

    /// Gives a command.
    pub(super) fn command_once(
        &mut self,
        channel: &str,
        to: Option<&str>,
        timeout: Option<Duration>,
        key: Option<Box<str>>,
        command: Command<'_>,
        now_ms: u64,
    ) -> Result<Reply, Fault> {
        let of = self.broker.channel(channel)?;
        let key = key.map(|word| self.key(&of, word, true));
        let known = key.as_ref().and_then(|key| self.answered(key, &of));
        let answer = if let Some(answer) = known {
            answer
        } else {
            let (broker, client) = (self.broker.clone(), self.client.clone());
            let note = |answer| {
                if let Some(key) = &key {
                    broker.remember_answer(&client, key, &of, answer);
                }
            };
            self.command(of.clone(), to, timeout, command, note, now_ms)?
        };
        if let Some(key) = key.filter(|_| known.is_none()) {
            self.remember(key, &of, answer);
        }
        let line = Line::new("cmd").at("channel", channel).at("seq", answer.seq);
        Ok(line.with("to", answer.to.unwrap_or(0)).into())
    }

    /// The key of a request to a channel. A client's first one makes its session worth
    /// keeping.
    fn key(&self, of: &Channel, word: Box<str>, is_command: bool) -> Key {
        if self.extra.keys().is_none() {
            self.broker.remember_session(&self.client, self.current.as_ref());
        }
        Key { channel: of.name().clone(), word, is_command }
    }

    fn answered(&self, key: &Key, of: &Arc<Channel>) -> Option<Answer> {
        self.extra.keys()?.get(key, of)
    }

    fn remember(&mut self, key: Key, of: &Arc<Channel>, answer: Answer) {
        if let Some(oldest) = self.extra.parts().keys.get_or_insert_default().put(key, of, answer) {
            self.broker.forget_answer(&self.client, &oldest);
        }
    }
}

/// The reply to a message that has been published before.
fn repeated(key: Key, answer: Answer) -> Reply {
    Reply::Published { channel: key.channel, first_seq: answer.seq, count: 1, receivers: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Broker;
    use crate::config::Config;
    use crate::error::Code;
    use crate::payload::Payload;
    use crate::request::Subscribe;
    use crate::wire::text::TextEncoder;

    /// Otherwise the answer would be noted for the dropped channel, and a repeated
    /// request would be done twice.
    #[test]
    fn what_is_for_a_channel_does_not_go_to_another_one_of_its_name() {
        let broker = Broker::open(Config::default(), Box::new(TextEncoder)).unwrap();
        let enter = || {
            let client = broker.enter("127.0.0.1:1".parse().unwrap(), "text");
            Session::new(broker.clone(), client)
        };
        let (mut session, mut other) = (enter(), enter());
        let sub = Subscribe { create: true, ..Subscribe::to("c") };
        session.sub(&sub, 0).unwrap();
        let first = broker.channel("c").unwrap();
        broker.drop_channel(&session.client, "c", None).unwrap();
        for session in [&mut session, &mut other] {
            session.sub(&sub, 0).unwrap();
        }
        let payloads = [Payload::Plain(b"x")];
        let fault = session.append(first.clone(), None, &payloads, |_| {}, 0).unwrap_err();
        assert_eq!(fault.code, Code::NoChannel);
        let command = Command { name: "go", args: &[] };
        let fault = session.command(first, None, None, command, |_| {}, 0).unwrap_err();
        assert_eq!(fault.code, Code::NoChannel);
        assert_eq!(
            broker.channel("c").unwrap().last_visible(),
            2,
            "two have joined it, and that is all"
        );
    }
}
