//! Messages: those that follow each other to the same channel are one append.

use super::turn::{Args, Turn, own_request};
use crate::connection::input::Stop;
use crate::error::{Code, Fault};
use crate::payload::Payload;
use crate::reply::Reply;
use crate::request::Settings;
use crate::wire::resp::{fields, payload};
use std::task::Poll;

/// Messages that were read, and are to be published together.
#[derive(Default)]
pub(super) struct PublishRun<'a> {
    /// The bytes from the current request on.
    pub(super) next: &'a [u8],
    /// The bytes from the first of these messages on.
    from: &'a [u8],
    channel: &'a [u8],
    /// `publish` or `xadd`.
    verb: &'static str,
    payloads: Vec<Payload<'a>>,
}

/// The settings of a channel that `XADD` makes: it keeps what fits into its log.
pub(super) const STREAM: Settings = Settings {
    members_max: None,
    history: Some(u64::MAX),
    history_age: None,
    history_bytes: None,
    durable: false,
    hold: std::time::Duration::ZERO,
    on_close: crate::request::OnClose::Fast,
};

impl PublishRun<'_> {
    /// Whether there are no messages.
    pub(super) fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }
}

impl Turn<'_> {
    /// Puts a message in its plainest form behind those that it can be published
    /// with. Returns `false` for any other request.
    ///
    /// # Errors
    /// [`Stop::Wait`] if the client has to wait before those that are complete now.
    pub(super) fn batch<'a>(
        &mut self,
        words: Args<'_, 'a>,
        batch: &mut PublishRun<'a>,
    ) -> Result<bool, Stop<'a>> {
        let (verb, channel, payload) = match *words {
            [name, channel, data] if is(name, b"PUBLISH") || is(name, b"SPUBLISH") => {
                ("publish", channel, payload(data))
            }
            [name, channel, b"*", ref pairs @ ..]
                if is(name, b"XADD") && !pairs.is_empty() && pairs.len().is_multiple_of(2) =>
            {
                // The general path tells what is wrong with them.
                let Ok(payload) = fields(pairs) else { return Ok(false) };
                ("xadd", channel, payload)
            }
            _ => return Ok(false),
        };
        let first = batch.payloads.first();
        let fits = first.is_some_and(|first| first.is_json() == payload.is_json());
        if !fits || batch.channel != channel || batch.verb != verb {
            self.publish(batch)?;
            (batch.from, batch.channel, batch.verb) = (batch.next, channel, verb);
        }
        batch.payloads.push(payload);
        Ok(true)
    }

    /// Publishes what has been collected.
    ///
    /// # Errors
    /// [`Stop::Wait`] if the client has to wait before.
    pub(super) fn publish<'a>(&mut self, batch: &mut PublishRun<'a>) -> Result<(), Stop<'a>> {
        if batch.payloads.is_empty() {
            return Ok(());
        }
        let settings = (batch.verb == "xadd").then_some(STREAM);
        let channel = String::from_utf8_lossy(batch.channel);
        let published = self.session.try_publish(&channel, &batch.payloads, self.now_ms);
        let Poll::Ready(reply) = published else { return Err(Stop::Wait(batch.from)) };
        self.appended(reply, &channel, &batch.payloads, settings, batch.verb);
        batch.payloads.clear();
        Ok(())
    }

    /// Whether the client has to wait before a request that stands alone, because
    /// that would publish something.
    pub(super) fn has_to_wait(&mut self, words: Args<'_, '_>) -> bool {
        let [verb, args @ ..] = words else { return false };
        if let [channel, _, ..] = args
            && [&b"PUBLISH"[..], b"SPUBLISH", b"XADD"].iter().any(|name| is(verb, name))
        {
            let channel = self.session.broker().channel(&String::from_utf8_lossy(channel));
            return channel.is_ok_and(|channel| self.session.has_to_wait(&channel));
        }
        if !verb.starts_with(b"/") && !is(verb, b"pub") && !is(verb, b"cmd") {
            return false;
        }
        own_request(&String::from_utf8_lossy(verb), args)
            .is_ok_and(|request| self.session.has_to_wait_with(&request))
    }

    /// `PUBLISH` where it could not be put into a batch.
    pub(super) fn publish_alone(&mut self, args: Args<'_, '_>) {
        let channel = String::from_utf8_lossy(args[0]);
        self.append(&channel, &[payload(args[1])], None, "publish");
    }

    /// Publishes messages to a channel. If it is missing and settings are given, it
    /// is made with those.
    pub(super) fn append(
        &mut self,
        channel: &str,
        payloads: &[Payload<'_>],
        settings: Option<Settings>,
        verb: &'static str,
    ) {
        let published = self.session.publish(channel, None, payloads, self.now_ms);
        self.appended(published, channel, payloads, settings, verb);
    }

    /// Answers messages that were published, or could not be because there is no
    /// such channel.
    fn appended(
        &mut self,
        mut reply: Result<Option<Reply>, Fault>,
        channel: &str,
        payloads: &[Payload<'_>],
        settings: Option<Settings>,
        verb: &'static str,
    ) {
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
            Some(settings) => self.make(channel, settings)?,
            None if !self.session.broker().create_if_observed(channel, self.now_ms)? => {
                let (channel, count) = (channel.into(), payloads.len() as u64);
                let nobody = Reply::Published { channel, first_seq: 0, count, receivers: 0 };
                return Ok(Some(nobody));
            }
            None => {}
        }
        self.session.publish(channel, None, payloads, self.now_ms)
    }

    /// Makes a channel with these settings if it is missing. Nothing waits for that
    /// to be on disk: what it is made for waits for as much, and longer.
    pub(super) fn make(&self, channel: &str, settings: Settings) -> Result<(), Fault> {
        let broker = self.session.broker();
        if broker.channel(channel).is_ok() {
            return Ok(());
        }
        broker.create_if_missing(channel, settings, self.now_ms)
    }
}

fn is(word: &[u8], name: &[u8]) -> bool {
    word.eq_ignore_ascii_case(name)
}
