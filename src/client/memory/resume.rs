//! A session that outlives its connection: its part of the introduction, and what
//! becomes of the client's seats when it is resumed.

use super::{Memory, Seat};
use crate::client::event::Frame;
use crate::client::line::Reply;
use crate::client::progress::Progress;
use crate::client::ticket::Ticket;
use crate::error::Code;
use crate::sync;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;
use uuid::Uuid;

/// What became of the session on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// It is a new one.
    New,
    /// It was resumed: every subscription is there, and what came since will come.
    Resumed {
        /// How many entries the broker no longer had.
        missed: u64,
        /// The rank in the current channel.
        rank: Option<u64>,
    },
    /// The broker no longer has it, or will not give it back; a new one was taken.
    Gone {
        /// The one that is gone.
        session: Uuid,
    },
}

/// The session of a client.
#[derive(Clone, Debug)]
pub(super) struct Resume {
    /// Without its channels, which are in `progress`.
    ticket: Ticket,
    /// What is handed over is recorded by whoever hands it over.
    progress: Arc<Mutex<Progress>>,
    /// The seats that the broker keeps while there is no connection.
    kept: Option<Kept>,
    gone: Option<Uuid>,
    became: Option<Resumption>,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    seats: BTreeMap<String, Seat>,
    patterns: Vec<String>,
    current: Option<String>,
}

/// What the broker may have kept since another process of the same client.
fn kept(ticket: &Ticket) -> Kept {
    let seat = |observer: bool| Seat {
        rank: None,
        term: 0,
        view: 0,
        options: if observer { vec!["--observe"] } else { Vec::new() },
    };
    let seats = ticket.channels.iter();
    Kept {
        seats: seats.map(|(name, mark)| (name.clone(), seat(mark.observer))).collect(),
        patterns: Vec::new(),
        current: ticket.current.clone(),
    }
}

impl Resume {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        sync::lock(&self.progress)
    }
}

impl Memory {
    /// Asks for this session.
    #[must_use]
    pub fn with_session(mut self, ticket: Ticket) -> Self {
        let progress = Arc::new(Mutex::new(Progress::new(&ticket.channels)));
        let kept = ticket.is_used().then(|| kept(&ticket));
        self.resume = Some(Resume { ticket, progress, kept, gone: None, became: None });
        self
    }

    /// Whether it wants a session that outlives the connection.
    pub fn has_session(&self) -> bool {
        self.resume.is_some()
    }

    /// The session as it is now.
    pub fn ticket(&self) -> Option<Ticket> {
        let channels = self.resume.as_ref()?.progress().marks();
        Some(Ticket { channels, ..self.session()? })
    }

    /// The same without the positions.
    pub(in crate::client) fn session(&self) -> Option<Ticket> {
        let resume = self.resume.as_ref()?;
        let kept = resume.kept.as_ref().and_then(|kept| kept.current.clone());
        let current = self.current.clone().or(kept);
        Some(Ticket { channels: BTreeMap::new(), current, ..resume.ticket.clone() })
    }

    /// The positions, for whoever hands frames over.
    pub(in crate::client) fn progress(&self) -> Option<Arc<Mutex<Progress>>> {
        self.resume.as_ref().map(|resume| resume.progress.clone())
    }

    /// What became of the session, once the introduction is over; told once.
    pub fn resumption(&mut self) -> Option<Resumption> {
        self.resume.as_mut()?.became.take()
    }

    /// The broker refused the introduction: true if that was for the session,
    /// and another introduction with a new one is worth a try.
    pub fn session_refused(&mut self, code: Option<Code>) -> bool {
        let Some(resume) = &mut self.resume else { return false };
        if !resume.ticket.is_used() || !matches!(code, Some(Code::Gone | Code::Denied)) {
            return false;
        }
        resume.gone = Some(resume.ticket.id());
        resume.ticket = Ticket::fresh();
        *resume.progress() = Progress::default();
        resume.kept = None;
        true
    }

    /// Records that a frame came; `None` if it came before, on a former connection.
    pub(in crate::client) fn admit(&mut self, frame: Frame) -> Option<Frame> {
        match &self.resume {
            Some(resume) => resume.progress().pass(frame),
            None => Some(frame),
        }
    }

    /// As `Memory::admit`, and the frame is handed over at once.
    pub fn pass(&mut self, frame: Frame) -> Option<Frame> {
        let frame = self.admit(frame)?;
        if let Some(resume) = &self.resume {
            resume.progress().took(&frame);
        }
        Some(frame)
    }

    /// As [`Memory::pass`], for an entry of which only channel and seq are known.
    pub fn admits(&mut self, channel: &str, seq: u64) -> bool {
        let Some(resume) = &self.resume else { return true };
        let mut progress = resume.progress();
        let is_new = progress.admits(channel, seq);
        progress.handed(channel, seq);
        is_new
    }

    /// Returns the `seen` requests that are due now.
    pub fn seen(&mut self, now: Instant) -> Vec<String> {
        self.resume.as_mut().map(|resume| resume.progress().due(now)).unwrap_or_default()
    }

    /// Returns when the next `seen` requests are due.
    pub fn seen_at(&self, now: Instant) -> Option<Instant> {
        self.resume.as_ref()?.progress().due_at(now)
    }

    /// The options of the introduction.
    pub(super) fn resuming(&self) -> String {
        let Some(resume) = &self.resume else { return String::new() };
        let mut options = format!(" --session {}", resume.ticket.id());
        if let Some(secret) = resume.ticket.secret() {
            options.push_str(" --secret ");
            options.push_str(&super::quote(secret));
            options.push_str(&resume.progress().options());
        }
        options
    }

    /// The broker accepted the introduction.
    pub(super) fn greeted(&mut self, reply: &Reply) {
        let Some(resume) = &mut self.resume else { return };
        if let Some(secret) = reply.field("secret") {
            resume.ticket.secret = Some(secret.to_owned());
        }
        if reply.field("resumed") != Some("yes") {
            *resume.progress() = Progress::default();
            resume.kept = None;
            let gone = resume.gone.take();
            resume.became =
                Some(gone.map_or(Resumption::New, |session| Resumption::Gone { session }));
            return;
        }
        resume.progress().resumed();
        let rank = reply.number_field("rank");
        let missed = reply.number_field("missed").unwrap_or(0);
        resume.became = Some(Resumption::Resumed { missed, rank });
        let Some(kept) = resume.kept.take() else { return };
        for channel in kept.seats.keys().chain(&kept.patterns) {
            self.wishes.remove(channel);
        }
        self.seats = kept.seats;
        self.patterns = kept.patterns;
        self.current = kept.current;
        if self.current == self.wanted_current {
            self.wanted_current = None;
        }
        let current = self.current.as_ref().and_then(|channel| self.seats.get_mut(channel));
        if let (Some(seat), true) = (current, rank.is_some()) {
            seat.rank = rank;
        }
    }

    /// The connection is gone: the broker may keep the seats.
    pub(super) fn keep(&mut self) {
        let Some(resume) = &mut self.resume else { return };
        // They are still there if the broker did not answer on the last connection.
        resume.kept.get_or_insert_with(|| Kept {
            seats: self.seats.clone(),
            patterns: self.patterns.clone(),
            current: self.current.clone(),
        });
    }

    pub(super) fn subscribed(&mut self, channel: &str, seen: Option<u64>, observer: bool) {
        if let Some(resume) = &mut self.resume {
            resume.progress().began(channel, seen, observer);
        }
    }

    pub(super) fn unsubscribed(&mut self, channel: &str) {
        let (seats, patterns) = (&self.seats, &self.patterns);
        if let Some(resume) = &mut self.resume {
            resume.progress().forget(channel);
            if patterns.is_empty() {
                resume.progress().retain(|channel| seats.contains_key(channel));
            }
        }
    }

    /// This client has left the channel: for good, or, if a resumed session has lost
    /// its seat, until its own `join` comes.
    pub(super) fn departed(&mut self, channel: &str, seq: u64, reason: &str) {
        if self.seats.get(channel).is_some_and(|seat| seat.view > seq) {
            // The frame is about an earlier seat than this one.
            return;
        }
        if self.resume.is_none() || !matches!(reason, "lost" | "timeout") {
            self.forget(channel);
        } else if let Some(seat) = self.seats.get_mut(channel) {
            seat.rank = None;
        }
    }

    /// A resumed session has joined again.
    pub(super) fn rejoined(&mut self, channel: &str, seq: u64, rank: u64) {
        if self.resume.is_some()
            && let Some(seat) = self.seats.get_mut(channel).filter(|seat| seat.view <= seq)
        {
            *seat = Seat { rank: Some(rank), term: seq, view: seq, options: seat.options.clone() };
        }
    }

    /// A reply told this client's rank.
    pub(super) fn learnt(&mut self, channel: &str, reply: &Reply) {
        let (rank, term) = (reply.number(1), reply.number_field("term"));
        let view = reply.number_field("view").unwrap_or(0);
        if let (Some(rank), Some(term), Some(seat)) = (rank, term, self.seats.get_mut(channel))
            && seat.view <= view
        {
            *seat = Seat { rank: Some(rank), term, view, options: seat.options.clone() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replied(memory: &mut Memory, request: &str, reply: &str) {
        memory.replied(request, &Reply::parse(reply).unwrap());
    }

    fn heard(memory: &mut Memory, line: &str) {
        memory.heard(&Frame::parse(line));
    }

    fn memory() -> (Memory, Uuid) {
        let ticket = Ticket::fresh();
        let id = ticket.id();
        let mut memory = Memory::new(Some("al".into()), false).with_session(ticket);
        assert_eq!(memory.hello(), format!("hello --name al --session {id}"));
        let hello = format!("ok hello name=al session={id} secret=5ec resumed=no version=1");
        replied(&mut memory, "hello --name al", &hello);
        assert_eq!(memory.resumption(), Some(Resumption::New));
        replied(&mut memory, "sub ops", "ok sub ops rank=2 term=18 view=18 seq=18 members=3");
        replied(&mut memory, "sub --observe news", "ok sub news observer=yes view=3 seq=7");
        replied(&mut memory, "use ops", "ok use ops");
        (memory, id)
    }

    #[test]
    fn a_session_that_goes_on_has_its_places_and_asks_for_none() {
        let (mut memory, id) = memory();
        assert!(memory.pass(Frame::parse("msg ops 19 bob hi")).is_some());
        memory.lost();
        let seen = "--seen ops=19 --seen news=7";
        assert_eq!(memory.hello(), format!("hello --name al --session {id} --secret 5ec {seen}"));
        // A connection that ends before the reply changes nothing.
        memory.lost();
        let hello =
            "ok hello name=al session=x secret=5ec resumed=yes version=1 channels=2 missed=0";
        replied(&mut memory, "hello --name al", &format!("{hello} rank=2"));
        let resumed = Resumption::Resumed { missed: 0, rank: Some(2) };
        assert_eq!(memory.resumption(), Some(resumed));
        assert!(memory.subscriptions().is_empty());
        assert_eq!(memory.prompt(), "al@ops#2> ");
        assert!(memory.pass(Frame::parse("msg ops 19 bob hi")).is_none());
        assert!(memory.pass(Frame::parse("msg ops 20 bob hi")).is_some());
    }

    #[test]
    fn who_says_hello_once_more_keeps_its_place_in_the_stream() {
        let (mut memory, _) = memory();
        assert!(memory.pass(Frame::parse("msg ops 19 bob hi")).is_some());
        replied(&mut memory, "hello --quiet", "ok hello name=al secret=5ec resumed=no version=1");
        assert_eq!(memory.resumption(), None);
        memory.lost();
        assert!(memory.hello().ends_with("--seen ops=19 --seen news=7"), "{}", memory.hello());
    }

    #[test]
    fn a_seat_that_was_lost_is_another_one_at_the_bottom() {
        let (mut memory, _) = memory();
        memory.lost();
        replied(&mut memory, "hello", "ok hello name=al resumed=yes missed=0 rank=4");
        // The control lane goes ahead of the log.
        heard(&mut memory, "rank ops 4 25 25");
        heard(&mut memory, "left ops 20 al 2 reason=lost");
        assert_eq!(memory.seat("ops").unwrap().rank, Some(4), "it tells of an earlier seat");
        heard(&mut memory, "join ops 25 al 4");
        assert_eq!(
            (memory.prompt().as_str(), memory.seat("ops").unwrap().term),
            ("al@ops#4> ", 25)
        );
        heard(&mut memory, "left ops 26 al 4 reason=kicked");
        assert!(memory.seat("ops").is_none());
    }

    #[test]
    fn a_session_that_is_gone_gives_way_to_a_new_one() {
        let (mut memory, id) = memory();
        memory.lost();
        assert!(!memory.session_refused(Some(Code::NameTaken)));
        assert!(memory.session_refused(Some(Code::Gone)));
        assert!(!memory.session_refused(Some(Code::Gone)), "a new one is not gone");
        assert!(
            memory.hello().starts_with("hello --name al --session ")
                && !memory.hello().contains("5ec")
        );
        replied(&mut memory, "hello", "ok hello name=al secret=7 resumed=no version=1");
        assert_eq!(memory.resumption(), Some(Resumption::Gone { session: id }));
        assert_eq!(memory.subscriptions(), ["sub news --observe", "sub ops"]);
    }

    #[test]
    fn another_process_goes_on_where_this_one_was() {
        let (memory, _) = memory();
        let stored = serde_json::to_string(&memory.ticket().unwrap()).unwrap();
        let mut later =
            Memory::new(None, false).with_session(serde_json::from_str(&stored).unwrap());
        later.wish("ops", "sub ops".into());
        assert!(later.hello().ends_with("--secret 5ec --seen ops=18 --seen news=7"));
        replied(&mut later, "hello", "ok hello name=al resumed=yes channels=2 missed=3 rank=0");
        assert_eq!(later.prompt(), "al@ops#0> ");
        assert!(later.subscriptions().is_empty());
        assert!(!format!("{:?}", later.ticket().unwrap()).contains("5ec"));
    }
}
