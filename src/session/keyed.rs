//! Requests with a key: repeated after their reply was lost, they are answered
//! the same and done once.

use super::Session;
use crate::broker::Answer;
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
        let name = self.broker.channel(&channel)?.name().clone();
        if let Some(Answer { seq: first_seq, .. }) = self.answered(&name, &key, false) {
            let reply = Reply::Published { channel: name, first_seq, count: 1 };
            return Ok((!self.quiet).then_some(reply));
        }
        let reply = self.append(&channel, term, &[payload], now_ms)?;
        if let Reply::Published { first_seq, .. } = reply {
            self.remember(&name, key, Answer { seq: first_seq, to: None });
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
        let name = self.broker.channel(channel)?.name().clone();
        let known = key.as_deref().and_then(|key| self.answered(&name, key, true));
        let answer = match known {
            Some(answer) => answer,
            None => self.command(channel, to, timeout, command, now_ms)?,
        };
        if let Some(key) = key.filter(|_| known.is_none()) {
            self.remember(&name, key, answer);
        }
        let line = Line::new("cmd").at("channel", name).at("seq", answer.seq);
        Ok(line.with("to", answer.to.unwrap_or(0)).into())
    }

    fn answered(&self, channel: &Arc<str>, key: &str, is_command: bool) -> Option<Answer> {
        self.keys.as_ref()?.get(channel, key, is_command)
    }

    fn remember(&mut self, channel: &Arc<str>, key: Box<str>, answer: Answer) {
        self.keys.get_or_insert_default().put(channel, key, answer);
    }
}
