//! What the session makes of each line that comes: what it shows, remembers
//! and executes.

use super::exec::CODE_BUSY;
use super::session::Session;
use super::stage::{Due, Origin, Over, Stage};
use super::words::{SHOWN_ONLY, order};
use crate::client::Error;
use crate::client::connection::Received;
use crate::client::event::{Command, Frame};
use crate::client::handle::acknowledgement;
use crate::client::line::{Asked, Reply, reply_verb};

impl Session {
    /// Handles a line.
    pub(super) fn take(&mut self, received: Received<'_, Origin>) -> Option<Over> {
        let Received { line, text, number, reply } = received;
        match reply {
            Some((reply, asked)) => return self.take_reply(line, number, &reply, asked),
            None => self.take_frame(line, &text, number),
        }
        None
    }

    fn take_reply(
        &mut self,
        line: &[u8],
        number: u64,
        reply: &Reply,
        asked: Option<Asked<Origin>>,
    ) -> Option<Over> {
        let (request, verb, origin) = match asked {
            Some(asked) => (asked.line, asked.verb, asked.tag),
            None => (String::new(), String::new(), Origin::User),
        };
        let rows = reply.word(1).and_then(|n| n.parse().ok()).unwrap_or(0);
        if verb == "history" {
            for command in self.duty.history_ended(number, rows) {
                self.execute(command);
            }
        }
        if let Reply::Err { code, text } = reply {
            // The channel was left just now: its `seen` does not matter any more.
            if origin == Origin::Own && verb == "seen" {
                return None;
            }
            if origin == Origin::Own {
                self.screen.notice(&format!("the broker refused: {text}"));
                return None;
            }
            if origin == Origin::Introduction && self.memory.session_refused(*code) {
                self.outbox.say(&self.memory.hello(), Origin::Introduction);
                return None;
            }
            self.memory.replied(&request, reply);
            if origin == Origin::Wish && self.wish_refused(&request, *code, text) {
                return None;
            }
            self.screen.line(line);
            if origin == Origin::Introduction && self.connected_before {
                return Some(Over::Refused);
            }
            self.verdict.refused(*code);
            match origin {
                Origin::Introduction => self.refused_introduction(),
                // A script that follows a channel it cannot have would wait for ever; a
                // person can ask for another one.
                Origin::Option | Origin::Wish
                    if self.settings.follow && !self.screen.is_terminal() =>
                {
                    self.leave();
                }
                _ => {}
            }
            return None;
        }
        self.backoff.reset();
        self.memory.replied(&request, reply);
        if origin == Origin::User && matches!(verb.as_str(), "sub" | "use") {
            self.memory.chosen();
        }
        self.screen.replied(reply);
        self.note(&request, &verb, reply, origin);
        match origin {
            Origin::Introduction => self.introduced(),
            Origin::Own => {}
            Origin::Option | Origin::Wish | Origin::User => self.screen.line(line),
        }
        None
    }

    /// Records what follows from a request that succeeded.
    fn note(&mut self, request: &str, verb: &str, reply: &Reply, origin: Origin) {
        let Some(channel) = reply.word(0) else {
            self.user_quit |= verb == "quit" && origin == Origin::User;
            return;
        };
        match verb {
            "sub" if self.memory.seat(channel).is_some_and(|seat| seat.rank.is_some()) => {
                self.duty.joined(channel, reply.number_field("seq").unwrap_or(0));
            }
            "sub" | "unsub" | "drop" => self.duty.left(channel),
            "cmd" => {
                if let Some(seq) = reply.number(1) {
                    self.remembered.inquiry.commanded(request);
                    self.due.insert(Due::Command(channel.to_owned(), seq));
                }
            }
            "jobs" if origin == Origin::Own => self.jobs_told(),
            verb if reply_verb(verb) == "job" => {
                // A former broker may have had a job of this number.
                self.remembered.inquiry.found(channel);
                self.due.insert(Due::Job(channel.to_owned()));
            }
            _ => {}
        }
    }

    fn take_frame(&mut self, line: &[u8], text: &str, number: u64) {
        let kind = Frame::kind(text);
        if kind == "job" && self.takes_job_row(text) {
            return;
        }
        if self.has_enough() && !self.in_history() {
            return;
        }
        let in_history = self.in_history();
        if kind == "msg" && !self.screen.is_terminal() {
            // The most frequent frames: nothing is parsed that is not needed.
            if in_history || self.admits_message(text) {
                self.show_message(line);
            }
            return;
        }
        let Some(frame) = self.admit(Frame::parse(text), in_history) else { return };
        self.memory.heard(&frame);
        self.screen.learn(&frame);
        match frame {
            Frame::Message { .. } => self.show_message(line),
            Frame::Command(command) => {
                self.screen.line(line);
                if let Some(command) = self.duty.heard(number, command, in_history) {
                    self.execute(command);
                }
            }
            Frame::Done { channel, seq, .. } => {
                self.due.remove(&Due::Command(channel, seq));
                self.screen.line(line);
            }
            Frame::Job { id, state, .. } => {
                if matches!(state.as_str(), "done" | "failed" | "cancelled") {
                    self.due.remove(&Due::Job(id));
                }
                self.screen.line(line);
            }
            Frame::Left { channel, .. } => {
                if self.memory.seat(&channel).is_none() {
                    self.duty.left(&channel);
                }
                self.screen.line(line);
            }
            // Its first part may have been left out, as told before.
            Frame::Gap { channel, from, to } => {
                self.screen.line(format!("gap {channel} {from} {to}").as_bytes());
            }
            Frame::Bye { reason } if reason == "taken-over" => {
                self.remembered.taken_over = true;
                self.verdict.lost();
                self.screen.notice(&Error::TakenOver.to_string());
            }
            Frame::Bye { reason } => {
                self.backoff.told(&reason);
                self.said_goodbye |= reason == "quit";
                let quit = self.outbox.waiting(|waiting| waiting.has("quit", &Origin::User));
                self.user_quit |= quit;
                // The answer to a `quit` that no user typed is not shown.
                if reason != "quit" || self.stage != Stage::Leaving || self.user_quit {
                    self.screen.line(line);
                }
            }
            _ => self.screen.line(line),
        }
    }

    fn in_history(&self) -> bool {
        self.outbox.waiting(|waiting| waiting.front().is_some_and(|asked| asked.verb == "history"))
    }

    /// Shows a message, and counts it if that matters.
    fn show_message(&mut self, line: &[u8]) {
        if self.settings.count.is_some() && !self.in_history() {
            self.messages += 1;
        }
        self.screen.line(line);
    }

    fn execute(&mut self, command: Command) {
        if !self.settings.execute {
            return;
        }
        if !self.runner.knows(&command.name) {
            let Command { channel, seq, from, .. } = &command;
            let text = format!("shown only: {} ({channel} {seq}, from {from})", order(&command));
            self.screen.notice(&text);
            // The sender must see that nothing ran here.
            self.acknowledge(&command, 0, SHOWN_ONLY);
        } else if let Err(command) = self.runner.submit(command) {
            self.screen.notice(&format!("too busy to execute: {}", order(&command)));
            self.acknowledge(&command, CODE_BUSY, "too many commands are waiting here");
        }
    }

    pub(super) fn acknowledge(&mut self, command: &Command, code: i32, text: &str) {
        self.report(acknowledgement(command, code, text));
    }
}
