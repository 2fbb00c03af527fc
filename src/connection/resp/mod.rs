//! Serves a client of the Redis protocol.
//!
//! Such a client knows only what Redis would tell it, until it says `RANKED ON`
//! or asks for a session: before that it is sent no frames, asked for no signs
//! of life, and disconnected where another would be told of a gap.

mod client;
mod publish;
mod pubsub;
mod reading;
mod server;
mod streams;
mod table;
mod turn;

use super::input::Stop;
use super::is_over;
use super::outgoing::Outgoing;
use crate::broker::Broker;
use crate::error::{Close, Code, Fault};
use crate::reply::Reply;
use crate::request::{Format, Resp};
use crate::runtime::TcpStream;
use crate::session::Session;
use crate::wire::resp::{Begun, Decoded, decode};
use crate::wire::rules::bad;
use crate::wire::spoken::Tag;
use publish::PublishRun;
use pubsub::Parting;
use reading::Reading;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use turn::Turn;

/// How long such a connection is silent before the kernel probes whether the other
/// end is there: the broker may not send it a `ping`.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// The session of a client that has just come.
pub(super) fn begin(
    broker: Arc<Broker>,
    stream: &TcpStream,
    addr: SocketAddr,
    format: Format,
) -> Session {
    let probes = socket2::TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_AFTER);
    if let Err(e) = socket2::SockRef::from(&**stream).set_tcp_keepalive(&probes) {
        log::warn!("event=keepalive-failed addr={addr} error={:?}", e.to_string());
    }
    let client = broker.enter_unwatched(addr, format.as_str());
    broker.welcome(&client, format.as_str());
    client.be_plain(true);
    let mut session = Session::new(broker, client);
    session.name_channels();
    session
}

/// How a client speaks.
pub(super) struct Voice {
    version: Resp,
    /// It knows only what Redis would tell it.
    plain: bool,
    /// Its subscriptions get a rank.
    ranked: bool,
    /// What it calls this connection.
    label: Box<str>,
    /// Whether a request is to have no reply.
    skip: Skip,
    /// How far the unfinished request has been read.
    begun: Begun,
    waiting: Option<Waiting>,
    /// When the timer that was set last wakes it while it waits.
    timer_ms: u64,
}

/// Which request is to have no reply: `CLIENT REPLY SKIP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    No,
    Next,
    This,
}

/// What a step towards what a client waits for has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing: it has to be waited for.
    None,
    /// It can go on at once.
    Some,
    /// It is over.
    Done,
}

/// What a client waits for.
enum Waiting {
    /// For messages that it has asked for.
    Reading(Box<Reading>),
    /// For what is due to it from before it left channels or patterns.
    Parting(Parting),
}

impl Default for Voice {
    fn default() -> Self {
        Voice {
            version: Resp::Two,
            plain: true,
            ranked: false,
            label: Box::default(),
            skip: Skip::No,
            begun: Begun::default(),
            waiting: None,
            timer_ms: 0,
        }
    }
}

impl Voice {
    fn format(&self) -> Format {
        Format::Resp { version: self.version, plain: self.plain }
    }

    /// Whether these bytes begin with something to answer. The bytes of an unfinished
    /// request are looked at once, in however many pieces it comes.
    pub(super) fn has_whole(&mut self, bytes: &[u8], line_max: usize) -> bool {
        if self.is_waiting() {
            return false;
        }
        match std::mem::take(&mut self.begun).go_on(bytes, line_max) {
            Ok(Decoded::More(begun)) => self.begun = begun,
            _ => return true,
        }
        false
    }

    /// Whether the client waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether it waits for messages that may never come.
    pub(super) fn is_asleep(&self) -> bool {
        matches!(&self.waiting, Some(Waiting::Reading(reading)) if reading.is_asleep)
    }

    /// Ends what the client waits for, because it is gone.
    pub(super) fn stop(&mut self, session: &Session) {
        if let Some(Waiting::Reading(reading)) = self.waiting.take() {
            reading.stop(session);
        }
    }

    /// Goes on with what the client waits for. Returns whether anything has changed.
    pub(super) fn go_on(
        &mut self,
        session: &mut Session,
        outgoing: &mut Outgoing,
        now_ms: u64,
    ) -> bool {
        let Some(mut waiting) = self.waiting.take() else { return false };
        let mut turn = Turn { voice: self, session, outgoing, now_ms };
        let progress = match &mut waiting {
            Waiting::Reading(reading) => turn.read_on(reading),
            Waiting::Parting(parting) => turn.part(parting),
        };
        if progress == Progress::Done {
            self.unmute(outgoing);
        } else {
            self.waiting = Some(waiting);
        }
        progress != Progress::None
    }

    /// Allows replies again if the request that was to have none is over.
    fn unmute(&mut self, outgoing: &mut Outgoing) {
        if self.skip == Skip::This {
            (self.skip, outgoing.muted) = (Skip::No, false);
        }
    }

    /// Answers a request for a session that had to wait.
    pub(super) fn answer_awaited(
        &mut self,
        reply: Result<Option<Reply>, Fault>,
        outgoing: &mut Outgoing,
        session: &mut Session,
    ) {
        // The client of a resumed session may have had another dialect before.
        session.client().speaks(self.format().as_str());
        outgoing.answer(reply, self.format(), &[Tag::default()], session);
        self.unmute(outgoing);
    }

    /// Answers all whole requests in `bytes`, unless the turn that began at `now_ms`
    /// has lasted long enough before that. Gives what is left over: the beginning of
    /// one, or what came behind one that has to wait.
    ///
    /// # Errors
    /// [`Stop`].
    pub(super) fn serve<'a>(
        &mut self,
        session: &mut Session,
        bytes: &'a [u8],
        line_max: usize,
        outgoing: &mut Outgoing,
        now_ms: u64,
    ) -> Result<&'a [u8], Stop<'a>> {
        if !self.begun.is_unknown() && !self.has_whole(bytes, line_max) {
            return Ok(bytes);
        }
        let (mut rest, mut words, mut batch) = (bytes, Vec::new(), PublishRun::default());
        let mut last = Begun::default();
        let mut turn = Turn { voice: self, session, outgoing, now_ms };
        while !turn.voice.is_waiting() && !turn.session.is_awaiting() && turn.outgoing.has_room() {
            batch.next = rest;
            match decode(rest, line_max, &mut words) {
                Ok(Decoded::More(begun)) => {
                    last = begun;
                    break;
                }
                Ok(Decoded::Whole(length)) => {
                    rest = &rest[length..];
                    if !words.is_empty() {
                        turn.request(&words, &mut batch)?;
                    }
                    // What is not in the batch was answered, and may have taken long.
                    if batch.is_empty() && is_over(now_ms, turn.session) {
                        break;
                    }
                }
                Ok(Decoded::Inline(length)) => {
                    let (line, behind) = rest.split_at(length);
                    rest = behind;
                    if !line.trim_ascii().is_empty() {
                        turn.publish(&mut batch)?;
                        turn.fault(bad("a request is an array here: lines are for connections that begin with one"));
                    }
                }
                Err(fault) => {
                    turn.publish(&mut batch)?;
                    let is_long = fault.code == Code::TooLong;
                    turn.fault(fault);
                    let reason = if is_long { Close::TooLong } else { Close::Malformed };
                    return Err(reason.into());
                }
            }
        }
        turn.publish(&mut batch)?;
        turn.voice.begun = last;
        Ok(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::wire::resp::LENGTHS_READ;
    use crate::wire::text::TextEncoder;

    /// When a request came byte by byte, all its words were read again with each
    /// byte.
    #[test]
    fn what_has_come_is_not_read_again_with_every_byte() {
        let broker = Broker::open(Config::default(), Box::new(TextEncoder)).unwrap();
        let client = broker.enter_unwatched("127.0.0.1:1".parse().unwrap(), "resp");
        let (mut session, line_max) = (Session::new(broker, client), 65_536);
        let mut voice = Voice::default();
        let mut outgoing = Outgoing::new(voice.format());
        let request = format!("*1000\r\n$4\r\nECHO\r\n{}", "$0\r\n\r\n".repeat(999));
        let (mut unfinished, mut answered) = (Vec::new(), 0);
        for byte in request.repeat(2).into_bytes() {
            unfinished.push(byte);
            // As a connection does: it looks, and serves what is there.
            voice.has_whole(&unfinished, line_max);
            let served = voice.serve(&mut session, &unfinished, line_max, &mut outgoing, 0);
            let Ok(rest) = served else { panic!("the connection goes on") };
            unfinished = rest.to_vec();
            answered += usize::from(unfinished.is_empty());
        }
        assert_eq!(answered, 2);
        let read = LENGTHS_READ.get();
        assert!(read < 10 * request.len(), "{read} lengths in {} bytes", request.len());
    }
}
