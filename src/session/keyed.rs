//! Requests with a key: repeated after their reply was lost, they are answered
//! the same and done once.

use super::Session;
use crate::broker::channel::Channel;
use crate::broker::{Answer, Key};
use crate::error::Fault;
use crate::log::Command;
use crate::reply::{Line, Reply};
use crate::request::Publish;
use std::sync::Arc;
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
        let (key, of) = self.key(&channel, key, false)?;
        if let Some(Answer { seq: first_seq, .. }) = self.answered(&key, &of) {
            let channel = key.channel;
            let reply = Reply::Published { channel, first_seq, count: 1, receivers: 0 };
            return Ok((!self.quiet).then_some(reply));
        }
        let (broker, client) = (self.broker.clone(), self.client.clone());
        let answer = |seq| Answer { seq, to: None };
        let note = |seq| broker.remember_answer(&client, &key, &of, answer(seq));
        let reply = self.append(&channel, term, &[payload], note, now_ms)?;
        if let Reply::Published { first_seq, .. } = reply {
            self.remember(key, &of, answer(first_seq));
        }
        Ok((!self.quiet).then_some(reply))
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
        let key = key.map(|key| self.key(channel, key, true)).transpose()?;
        let known = key.as_ref().and_then(|(key, of)| self.answered(key, of));
        let answer = if let Some(answer) = known {
            answer
        } else {
            let (broker, client) = (self.broker.clone(), self.client.clone());
            let note = |answer| {
                if let Some((key, of)) = &key {
                    broker.remember_answer(&client, key, of, answer);
                }
            };
            self.command(channel, to, timeout, command, note, now_ms)?
        };
        if let Some((key, of)) = key.filter(|_| known.is_none()) {
            self.remember(key, &of, answer);
        }
        let line = Line::new("cmd").at("channel", channel).at("seq", answer.seq);
        Ok(line.with("to", answer.to.unwrap_or(0)).into())
    }

    /// A key on a channel, and that channel. The first one makes the session
    /// worth keeping.
    fn key(
        &self,
        channel: &str,
        word: Box<str>,
        is_command: bool,
    ) -> Result<(Key, Arc<Channel>), Fault> {
        let of = self.broker.channel(channel)?;
        if self.extra.keys().is_none() {
            self.broker.remember_session(&self.client, self.current.as_ref());
        }
        Ok((Key { channel: of.name().clone(), word, is_command }, of))
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
