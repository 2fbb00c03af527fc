//! Messages that a client asks for: they are looked up, and if they have yet to
//! come, waited for.

use super::Progress;
use super::turn::Turn;
use crate::broker::channel::Channel;
use crate::error::{Code, Fault};
use crate::log::Chunk;
use crate::reply::Excerpt;
use crate::request::Resp;
use crate::session::{Found, Lookup, Session, Wanted};
use crate::wire::resp::{Writer, stream_entry};
use ecow::EcoString;
use std::sync::{Arc, Weak};
use std::task::Poll;

/// The most milliseconds until a client that waits is looked at again: this bounds
/// how many timers it can have set.
const LOOK_MS: u64 = 1_000;

/// What a client asks for.
pub(super) struct Reading {
    pub(super) what: What,
    /// The channels, and from which seq on.
    pub(super) parts: Vec<Part>,
    /// The last seq that is wanted.
    pub(super) to: u64,
    pub(super) wanted: Wanted,
    /// The index of the channel that is being read.
    pub(super) at: usize,
    pub(super) lookup: Option<Lookup>,
    /// What was found, encoded already, and in how many channels.
    pub(super) found: Vec<u8>,
    pub(super) count: usize,
    /// Whether all channels have been looked at, in vain.
    pub(super) is_asleep: bool,
    /// Whether one of the channels is missing: nobody tells when it is made.
    lacks_one: bool,
}

/// The command by which it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// `XLEN`
    Length,
    /// `XRANGE`, `XREVRANGE`
    Range,
    /// `XREAD`; with `BLOCK`, until when it waits.
    After { until_ms: Option<u64> },
}

/// One of several channels.
pub(super) struct Part {
    pub(super) channel: EcoString,
    /// From which seq on; `None` if from now on.
    pub(super) from: Option<u64>,
    /// The channel that was looked at last, once one was.
    of: Option<Weak<Channel>>,
}

impl Part {
    pub(super) fn new(channel: EcoString, from: Option<u64>) -> Self {
        Part { channel, from, of: None }
    }

    /// Notes the channel that has the name now. If another one was looked at before,
    /// all that is in this one is new.
    fn meet(&mut self, channel: &Arc<Channel>) {
        let before = self.of.replace(Arc::downgrade(channel));
        if before.is_some_and(|before| !std::ptr::eq(before.as_ptr(), Arc::as_ptr(channel))) {
            self.from = Some(1);
        }
    }
}

impl Reading {
    pub(super) fn new(what: What, parts: Vec<Part>, to: u64, wanted: Wanted) -> Self {
        let (at, lookup, found, count) = (0, None, Vec::new(), 0);
        let (is_asleep, lacks_one) = (false, false);
        Reading { what, parts, to, wanted, at, lookup, found, count, is_asleep, lacks_one }
    }
}

impl Turn<'_> {
    /// Goes on with what the client asks for.
    pub(super) fn read_on(&mut self, reading: &mut Reading) -> Progress {
        // What the client has published before is visible once its reply is out.
        if self.outgoing.withholds() {
            return Progress::None;
        }
        if reading.is_asleep && !self.has_news(reading) {
            return self.sleep(reading);
        }
        reading.is_asleep = false;
        match self.look(reading) {
            Poll::Pending => Progress::None,
            Poll::Ready(Err(fault)) => {
                reading.stop(self.session);
                self.fault(fault);
                Progress::Done
            }
            Poll::Ready(Ok(())) if reading.count == 0 && reading.waits() => {
                (reading.at, reading.is_asleep) = (0, true);
                Progress::Some
            }
            Poll::Ready(Ok(())) => self.answer_reading(reading),
        }
    }

    /// Looks at each channel in turn.
    fn look(&mut self, reading: &mut Reading) -> Poll<Result<(), Fault>> {
        while let Some(part) = reading.parts.get_mut(reading.at) {
            if reading.lookup.is_none() {
                // A missing channel has nothing; in one that is made later, all is new.
                let Ok(channel) = self.session.broker().channel(&part.channel) else {
                    part.from.get_or_insert(1);
                    reading.at += 1;
                    continue;
                };
                channel.drop_aged(self.now_ms);
                part.meet(&channel);
                let next = channel.last_visible() + 1;
                let from = *part.from.get_or_insert(next);
                if let What::After { until_ms: Some(_) } = reading.what {
                    keeps_some(&channel)?;
                    // Entries that are no messages are not looked at again.
                    part.from = Some(from.max(next));
                }
                reading.lookup = Some(Lookup::new(channel, from, reading.to, reading.wanted));
            }
            let Some(lookup) = &mut reading.lookup else { continue };
            let Poll::Ready(found) = self.session.look_up(lookup) else { return Poll::Pending };
            reading.lookup = None;
            reading.take(&found?, self.voice.version);
            reading.at += 1;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether something has come since all channels were looked at in vain; if
    /// not, the client is woken when something does.
    fn has_news(&self, reading: &mut Reading) -> bool {
        let Reading { parts, lacks_one, .. } = reading;
        *lacks_one = false;
        parts.iter_mut().any(|part| {
            let found = self.session.broker().channel(&part.channel).ok();
            let Some(channel) = found.filter(|channel| self.session.wait_for(channel)) else {
                *lacks_one = true;
                return false;
            };
            part.meet(&channel);
            part.from.is_none_or(|from| channel.last_visible() >= from)
        })
    }

    /// The client goes on waiting, unless it has waited long enough: then it is
    /// told that nothing came.
    fn sleep(&mut self, reading: &Reading) -> Progress {
        let What::After { until_ms: Some(until_ms) } = reading.what else {
            return Progress::None;
        };
        if self.now_ms >= until_ms {
            return self.answer_reading(reading);
        }
        let look_ms = until_ms.min(self.now_ms + LOOK_MS);
        let is_set = (self.now_ms + 1..=look_ms).contains(&self.voice.timer_ms);
        if !is_set && (until_ms < u64::MAX || reading.lacks_one) {
            self.voice.timer_ms = look_ms;
            self.session.broker().wake_at(self.session.client(), look_ms);
        }
        Progress::None
    }

    fn answer_reading(&mut self, reading: &Reading) -> Progress {
        reading.stop(self.session);
        let (found, count) = (&reading.found, reading.count);
        let has_pairs = self.voice.version == Resp::Three;
        self.say(|to| {
            match (reading.what, count) {
                (What::Length, 0) => to.number(0),
                (What::Range, 0) => to.array(0),
                (What::After { .. }, 0) => to.null_array(),
                (What::Length | What::Range, _) => to.raw(found),
                (What::After { .. }, _) if has_pairs => to.map(count).raw(found),
                (What::After { .. }, _) => to.array(count).raw(found),
            };
        });
        Progress::Done
    }
}

/// Checks that a channel keeps history, so that messages can be waited for.
pub(super) fn keeps_some(channel: &Channel) -> Result<(), Fault> {
    if channel.settings().entries_kept() > 0 {
        return Ok(());
    }
    let text = format!("{} keeps no history: nothing to wait for", channel.name());
    Err(Fault::new(Code::Gone, text))
}

impl Reading {
    /// Whether it waits for what has yet to come.
    fn waits(&self) -> bool {
        matches!(self.what, What::After { until_ms: Some(_) })
    }

    /// Stops waiting for news in the channels.
    pub(super) fn stop(&self, session: &Session) {
        for part in self.parts.iter().filter(|_| self.waits()) {
            if let Ok(channel) = session.broker().channel(&part.channel) {
                session.wait_no_more(&channel);
            }
        }
    }

    /// Takes what was found in the channel that is being read.
    fn take(&mut self, found: &Found, version: Resp) {
        let Found { messages, count } = found;
        let to = &mut Writer::new(version, &mut self.found);
        match self.what {
            What::Length => {
                to.number(*count);
                self.count = 1;
                return;
            }
            What::After { .. } if messages.is_empty() => return,
            What::After { .. } => {
                if version == Resp::Two {
                    to.array(2);
                }
                to.bulk(&*self.parts[self.at].channel);
            }
            What::Range => {}
        }
        self.count += 1;
        to.array(messages.len());
        for Excerpt { chunk, range } in messages {
            let chunk: &Chunk = chunk;
            stream_entry(chunk, &chunk.bytes[range.clone()], to);
        }
    }
}
