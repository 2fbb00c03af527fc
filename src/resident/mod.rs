//! Members without a connection: an ordinary client with an ordinary session that
//! no socket drives. Whoever has its token acts for it.
//!
//! A resident holds its seat for as long as its lease is renewed. It slows nobody:
//! publishers never wait for it, and it finds a gap for whatever it does not take
//! in time. A task of its own reads what it is sent, and ends it when its lease has
//! run out.

mod drive;
mod given;
mod inbox;
mod registry;
mod token;

pub use given::Given;
pub use inbox::{Event, Inbox, Wants};
pub use registry::{Absent, Entry, Residents};
pub use token::Token;

use crate::broker::{Broker, Client};
use crate::error::{Close, Fault};
use crate::frame::Frame;
use crate::log::Body;
use crate::reply::{Excerpt, Reply};
use crate::request::Request;
use crate::roster::Change;
use crate::speaker::{Speaker, no_reply};
use crate::sync::lock;
use drive::End;
use ecow::EcoString;
use given::AllGiven;
use std::sync::{Arc, Mutex, MutexGuard};

/// A member without a connection.
#[derive(Debug)]
pub struct Resident {
    /// Its channel.
    pub channel: EcoString,
    /// Its name.
    pub name: EcoString,
    /// Proves that a request may act for it.
    pub token: Token,
    /// Asks requests on its behalf.
    pub speaker: Speaker,
    client: Arc<Client>,
    broker: Arc<Broker>,
    /// The last entry from before a restart of the broker, if it has a callback.
    /// Commands up to it are still delivered, but nobody waits for their answers.
    last_of_before: u64,
    state: Mutex<State>,
}

/// The state of a resident. Locked within its session, or alone.
#[derive(Debug, Default)]
pub struct State {
    /// What it has been sent.
    pub inbox: Inbox,
    /// The commands that it has given.
    given: AllGiven,
    /// Why it has gone, if it has.
    gone: Option<&'static str>,
    /// Why it left its channel, as the channel's entry says.
    left: Option<&'static str>,
}

/// A command that was given by somebody who is about to read its results: it is not
/// forgotten meanwhile.
#[derive(Debug)]
pub struct Asked<'a> {
    resident: &'a Resident,
    /// Its seq.
    pub seq: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.resident.state().given.end_reading(self.seq);
    }
}

impl Resident {
    /// Locks its state.
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Renews its lease, because somebody has asked on its behalf; it keeps its
    /// seat, if that was held.
    ///
    /// # Errors
    /// How it ends, if it has no seat any more.
    pub fn renew(&self) -> Result<(), End> {
        // Within the session, so that the seat is not given up at the same time.
        let mut session = self.speaker.session();
        if let Some(reason) = self.state().gone {
            return Err((Close::Quit, reason));
        }
        let now_ms = self.broker.now_ms();
        self.client.heard(now_ms);
        self.broker.keep_seats(&self.client, now_ms);
        match self.client.member(&self.channel) {
            Some(_) => Ok(()),
            None => Err(self.read_end(&mut session)),
        }
    }

    /// Gives a command, and waits until its reply may be sent. If the command's key
    /// is a repeated one, the results may be forgotten by now.
    ///
    /// # Errors
    /// As for `cmd`; `Code::Busy` while too many of its commands are open.
    pub async fn command(&self, request: Request<'_>) -> Result<Asked<'_>, Fault> {
        self.speaker.room_in(&self.channel).await;
        let (reply, ticket) = {
            let mut session = self.speaker.session();
            self.state().given.check_room()?;
            let last = self.broker.channel(&self.channel).map_or(0, |channel| channel.last_seq());
            let reply = session.handle(request, self.broker.now_ms());
            let asked = reply.and_then(|reply| {
                let Some(Reply::Line(line)) = reply else { return Err(no_reply()) };
                let (seq, to) = line.number("seq").zip(line.number("to")).ok_or_else(no_reply)?;
                Ok(self.asked(seq, to, seq > last))
            });
            session.flush();
            (asked, session.take_ticket())
        };
        self.speaker.told(reply, ticket).await
    }

    /// Remembers a command if it is a new one. Its results cannot have come yet:
    /// mail is taken within the session.
    fn asked(&self, seq: u64, to: u64, is_new: bool) -> Asked<'_> {
        let mut state = self.state();
        if is_new {
            state.given.add(seq, to);
        }
        state.given.begin_reading(seq);
        Asked { resident: self, seq }
    }

    /// A command that it has given, if it is still remembered.
    pub fn given(&self, seq: u64) -> Option<Given> {
        self.state().given.get(seq).cloned()
    }

    /// Whether all results of a command are in; true as well of one that is
    /// forgotten.
    pub fn is_over(&self, seq: u64) -> bool {
        self.state().given.get(seq).is_none_or(|given| given.ok.is_some())
    }

    /// Whether it has gone.
    pub fn has_gone(&self) -> bool {
        self.state().gone.is_some()
    }

    /// Why it has gone, if it has.
    pub fn gone_because(&self) -> Option<&'static str> {
        self.state().gone
    }

    /// Whether this event says that it has left for good. Its callback is told that
    /// in another way, however it left.
    pub fn is_own_end(&self, event: &Event) -> bool {
        match event {
            Event::Frame(frame) => matches!(frame, Frame::Left { .. }),
            Event::Entries(Excerpt { chunk, .. }) => {
                let is_left = matches!(chunk.body, Body::Change(Change::Left { .. }));
                let is_own = is_left && chunk.author == self.client.id;
                // It may have come back since.
                is_own && self.client.member(&self.channel).is_none()
            }
        }
    }

    /// Takes the next event.
    pub fn take_event(&self) -> Option<Event> {
        self.make_room(Inbox::take)
    }

    /// Whether a command waits for its answer.
    pub fn is_due(&self, seq: u64) -> bool {
        let Ok(channel) = self.broker.channel(&self.channel) else { return false };
        let Some(member) = self.client.member(&self.channel) else { return false };
        channel.awaits(&member, seq)
    }

    /// Whether an entry is from before a restart of the broker that this member has
    /// outlived: no command among those has a deadline any more.
    pub fn is_of_before(&self, seq: u64) -> bool {
        seq <= self.last_of_before
    }

    /// Drops the commands from its inbox that no longer wait for its answer, except
    /// those from before a restart.
    pub fn drop_answered(&self) {
        let Ok(channel) = self.broker.channel(&self.channel) else { return };
        let Some(member) = self.client.member(&self.channel) else { return };
        let open = channel.commands_due(&member);
        self.make_room(|inbox| {
            inbox.keep(|seq| self.is_of_before(seq) || open.binary_search(&seq).is_ok());
        });
    }

    /// Takes something out of its inbox. If that was full, its task is woken to
    /// read on.
    fn make_room<T>(&self, take: impl FnOnce(&mut Inbox) -> T) -> T {
        let mut state = self.state();
        let had_room = state.inbox.has_room();
        let taken = take(&mut state.inbox);
        if !had_room && state.inbox.has_room() {
            self.client.mailbox.wake();
        }
        taken
    }

    fn absent(&self, reason: &'static str) -> Absent {
        Absent::Gone { channel: self.channel.clone(), name: self.name.clone(), reason }
    }
}
