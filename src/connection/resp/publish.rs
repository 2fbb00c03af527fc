//! Messages: those that follow each other to the same channel are one append.

use super::turn::{Args, Turn};
use crate::error::{Code, Fault};
use crate::payload::Payload;
use crate::reply::Reply;
use crate::request::{Request, Settings};
use crate::wire::resp::{fields, payload};

/// Messages that were read, and are to be published together.
#[derive(Default)]
pub(super) struct Batch<'a> {
    channel: &'a [u8],
    /// `publish` or `xadd`.
    verb: &'static str,
    payloads: Vec<Payload<'a>>,
}

/// A channel that `XADD` makes keeps what fits into its log.
pub(super) const STREAM: Settings = Settings {
    members_max: None,
    history: Some(u64::MAX),
    history_age: None,
    history_bytes: None,
    durable: false,
    hold: std::time::Duration::ZERO,
    on_close: crate::request::OnClose::Fast,
};

impl Turn<'_> {
    /// If this is a message in its plainest form, it is put behind those that it
    /// can be published with.
    pub(super) fn batch<'a>(&mut self, words: Args<'_, 'a>, batch: &mut Batch<'a>) -> bool {
        let (verb, channel, payload) = match *words {
            [name, channel, data] if is(name, b"PUBLISH") || is(name, b"SPUBLISH") => {
                ("publish", channel, payload(data))
            }
            [name, channel, b"*", ref pairs @ ..]
                if is(name, b"XADD") && !pairs.is_empty() && pairs.len().is_multiple_of(2) =>
            {
                // What is wrong with them is told on the long way.
                let Ok(payload) = fields(pairs) else { return false };
                ("xadd", channel, payload)
            }
            _ => return false,
        };
        let first = batch.payloads.first();
        let fits = first.is_some_and(|first| first.is_json() == payload.is_json());
        if !fits || batch.channel != channel || batch.verb != verb {
            self.publish(batch);
            (batch.channel, batch.verb) = (channel, verb);
        }
        batch.payloads.push(payload);
        true
    }

    /// Publishes what has been collected.
    pub(super) fn publish(&mut self, batch: &mut Batch<'_>) {
        if batch.payloads.is_empty() {
            return;
        }
        let settings = (batch.verb == "xadd").then_some(STREAM);
        let channel = String::from_utf8_lossy(batch.channel);
        self.append(&channel, &batch.payloads, settings, batch.verb);
        batch.payloads.clear();
    }

    /// `PUBLISH` where it could not be put into a batch.
    pub(super) fn publish_alone(&mut self, args: Args<'_, '_>) {
        let channel = String::from_utf8_lossy(args[0]);
        self.append(&channel, &[payload(args[1])], None, "publish");
    }

    /// Publishes messages, to a channel that is made if it is missing and has
    /// settings to be made with.
    pub(super) fn append(
        &mut self,
        channel: &str,
        payloads: &[Payload<'_>],
        settings: Option<Settings>,
        verb: &'static str,
    ) {
        let mut reply = self.session.publish(channel, None, payloads, self.now_ms);
        if reply.as_ref().is_err_and(|fault| fault.code == Code::NoChannel) {
            reply = self.append_to_missing(channel, payloads, settings);
        }
        match reply {
            // Each message was a request of its own.
            Err(fault) => payloads.iter().for_each(|_| self.fault(fault.clone())),
            reply => self.answer(reply, verb),
        }
    }

    /// As in Redis, a message to a channel that nobody has subscribed to goes to
    /// nobody, and leaves nothing behind.
    fn append_to_missing(
        &mut self,
        channel: &str,
        payloads: &[Payload<'_>],
        settings: Option<Settings>,
    ) -> Result<Option<Reply>, Fault> {
        match settings {
            Some(settings) => {
                let (channel, if_missing) = (channel.to_owned(), true);
                let create = Request::Create { channel, settings, if_missing };
                self.session.handle(create, self.now_ms)?;
                // The replies to the messages wait for as much, and longer.
                drop(self.session.take_held());
            }
            None if !self.session.broker().create_if_observed(channel, self.now_ms)? => {
                let (channel, count) = (channel.into(), payloads.len() as u64);
                let nobody = Reply::Published { channel, first_seq: 0, count, receivers: 0 };
                return Ok(Some(nobody));
            }
            None => {}
        }
        self.session.publish(channel, None, payloads, self.now_ms)
    }
}

fn is(word: &[u8], name: &[u8]) -> bool {
    word.eq_ignore_ascii_case(name)
}
