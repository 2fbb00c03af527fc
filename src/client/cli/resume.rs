//! `--session`: what is remembered from one start to the next, and what a resumed
//! session means for this client.

use super::inquiry::Inquiry;
use super::session::Session;
use super::stage::{Event, Origin};
use crate::client::event::Frame;
use crate::client::line::Asked;
use crate::client::memory::{Memory, Resumption};
use crate::client::store::Store;
use crate::client::ticket::Ticket;
use crate::client::unanswered::Unanswered;
use crate::runtime;
use std::time::{Duration, Instant};

/// The part of the client that is about its session.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    store: Option<Store>,
    unanswered: Unanswered<Origin>,
    /// Acknowledgements of commands that ended while there was no connection.
    results: Vec<String>,
    /// Somebody else has the session now.
    pub(super) taken_over: bool,
    /// Something that came could not be shown.
    pub(super) unshown: bool,
    /// Which jobs have outlived the lost connection.
    pub(super) inquiry: Inquiry,
    waiting: bool,
    /// When the progress was last written down.
    saved: Option<Instant>,
}

/// How often the progress is saved while entries come: what a client shows after that
/// comes again if it is killed.
const SAVE_AFTER: Duration = Duration::from_millis(50);

impl Remembered {
    /// Whether nothing is to be sent when the session is resumed.
    pub(super) fn is_settled(&self) -> bool {
        self.unanswered.is_empty() && self.results.is_empty()
    }
}

impl Session {
    /// Finds the session to resume, or begins one. False if there can be none.
    pub(super) fn open_session(&mut self) -> bool {
        let Some(name) = self.settings.session.clone() else { return true };
        let store = match Store::open(&self.settings.host, self.settings.port, &name) {
            Ok(store) => store,
            Err(e) => {
                self.screen.notice(&e.to_string());
                self.verdict.refused(None);
                return false;
            }
        };
        let ticket = store.load().unwrap_or_else(|e| {
            self.screen.notice(&e.to_string());
            None
        });
        self.remembered.store = Some(store);
        self.with_session(ticket.unwrap_or_else(Ticket::fresh));
        true
    }

    /// Becomes a client of another name, or of none, with the same session.
    pub(super) fn rename(&mut self, name: Option<String>) {
        let ticket = self.memory.ticket();
        self.memory = Memory::new(name, self.settings.quiet);
        if let Some(ticket) = ticket {
            self.with_session(ticket);
        }
    }

    fn with_session(&mut self, ticket: Ticket) {
        self.memory = std::mem::take(&mut self.memory).with_session(ticket);
    }

    /// The broker accepted the introduction: what became of the session?
    pub(super) fn resume(&mut self) {
        let Some(became) = self.memory.resumption() else { return };
        let results = std::mem::take(&mut self.remembered.results);
        match became {
            Resumption::New => self.give_up_results(),
            Resumption::Gone { session } => {
                self.screen.notice(&format!("session {session} is no longer kept; starting anew"));
                self.give_up_results();
            }
            Resumption::Resumed { missed, rank } => {
                let Some(ticket) = self.memory.ticket() else { return };
                let rank = rank.map(|rank| format!(" rank={rank}")).unwrap_or_default();
                let id = ticket.id();
                self.screen.notice(&format!("resumed session={id} missed={missed}{rank}"));
                for (channel, mark) in ticket.channels.iter().filter(|(_, mark)| !mark.observer) {
                    self.duty.joined(channel, mark.seen.unwrap_or(0));
                }
                self.ask_for_jobs();
                self.wait_for_commands();
                self.outbox.say_all(results.iter().map(|line| (line.as_str(), Origin::Own)));
            }
        }
        let lost = self.remembered.unanswered.settle(Some(became), &self.outbox).len();
        if lost > 0 {
            self.screen.notice(&format!(
                "{lost} requests with a key have no reply: whether they took effect is not known"
            ));
            self.verdict.refused(None);
        }
        self.save();
    }

    /// Takes the requests that may be sent again out of those that have no reply.
    pub(super) fn keep_keyed(&mut self, unanswered: &mut Vec<Asked<Origin>>) {
        if self.memory.has_session() {
            self.remembered.unanswered.keep(unanswered, |origin| *origin == Origin::User);
        }
    }

    /// Reports what became of a command: at once, or when the session goes on.
    pub(super) fn report(&mut self, line: String) {
        if self.memory.has_session() && !self.outbox.is_open() {
            self.remembered.results.push(line);
        } else {
            self.outbox.say(&line, Origin::Own);
        }
    }

    /// Returns a frame without what was shown before; `None` if all of it was.
    pub(super) fn admit(&mut self, frame: Frame, in_history: bool) -> Option<Frame> {
        if in_history { Some(frame) } else { self.memory.pass(frame) }
    }

    /// As [`Session::admit`], for a message that is not parsed yet.
    pub(super) fn admits_message(&mut self, text: &str) -> bool {
        if !self.memory.has_session() {
            return true;
        }
        let mut words = text.split(' ').skip(1);
        let channel = words.next().unwrap_or_default();
        let seq = words.next().and_then(|seq| seq.parse().ok());
        seq.is_none_or(|seq| self.memory.admits(channel, seq))
    }

    /// Tells the broker, and the file, how far this client has come. Everything
    /// up to there has been shown.
    pub(super) fn tell_progress(&mut self) {
        let now = Instant::now();
        let lines = self.memory.seen(now);
        let is_due = self.remembered.saved.is_none_or(|saved| now - saved >= SAVE_AFTER);
        if is_due || !lines.is_empty() {
            self.save();
            self.remembered.saved = Some(now);
        }
        self.outbox.say_all(lines.iter().map(|line| (line.as_str(), Origin::Own)));
        if let Some(at) = self.memory.seen_at(now).filter(|_| !self.remembered.waiting) {
            self.remembered.waiting = true;
            let (pause, tx) = (at.saturating_duration_since(now), self.tx.clone());
            runtime::spawn(async move {
                runtime::sleep(pause).await;
                // If the client is gone there is nobody to tell.
                let _ = tx.unbounded_send(Event::Progress);
            });
        }
    }

    /// It is time to look at the progress again.
    pub(super) fn time_to_tell(&mut self) {
        self.remembered.waiting = false;
    }

    /// Leaves: for good, or so that the session is kept.
    pub(super) fn take_leave(&self) {
        if self.memory.has_session() {
            self.outbox.finish();
        } else {
            self.outbox.say("quit", Origin::Own);
        }
    }

    /// The program ends: saves or forgets the session for the next start.
    pub(super) fn close_session(&mut self) {
        if self.remembered.taken_over {
            return;
        }
        match &self.remembered.store {
            Some(store) if self.said_goodbye => store.forget(),
            // Nothing is saved, so that what could not be shown comes again.
            _ if self.remembered.unshown => {}
            _ => self.save(),
        }
    }

    fn save(&mut self) {
        if let (Some(store), Some(ticket)) = (&self.remembered.store, self.memory.ticket())
            && ticket.is_used()
            && let Err(e) = store.save(&ticket)
        {
            self.screen.notice(&e.to_string());
        }
    }
}
