//! Everybody in one channel, and what each line must say.

use super::member::{Member, Stage};
use super::model::{Model, after_leave, after_move};
use super::words::Words;
use crate::bench::pool::Reader;
use crate::bench::units::now;
use memchr::memchr;

/// What all members see, put together.
pub struct Hall {
    channel: String,
    /// The beginning of the members' names.
    prefix: String,
    /// The options with which the chief makes the channel.
    settings: String,
    /// The roster, folded from what the chief sees.
    pub model: Model,
    /// How many are in: their replies have come.
    pub joined: usize,
    /// Connections that have just joined.
    pub newcomers: Vec<usize>,
    /// Lines of the log that came, to all together.
    pub lines: u64,
    /// Gaps that were told.
    pub gaps: u64,
    /// Departures that the chief has seen.
    pub departures: u64,
    /// Answers to `rank` and to `promote`.
    pub answers: u64,
    /// The last message that the chief has seen: its seq, and when it came.
    pub echo: (u64, u64),
    /// The command that is under way.
    pub command: Command,
    /// How often something was not as it must be.
    pub faults: u64,
    /// The first fault.
    pub fault: Option<String>,
    /// What the broker refused, or that it closed a connection.
    pub complaint: Option<String>,
}

/// A command to all, as the chief sees it.
#[derive(Debug, Default)]
pub struct Command {
    /// Its number.
    pub seq: u64,
    /// How many it was for.
    pub sent: u64,
    /// Results with code 0.
    pub done: u64,
    /// All other results, such as `timeout` or `left`.
    pub failed: u64,
    /// Which members have a result.
    seen: Vec<bool>,
    /// What `done` said: how many of how many.
    pub summary: Option<(u64, u64)>,
}

impl Hall {
    /// Nobody is in yet. `settings` are those that the channel is made with.
    pub fn new(channel: &str, prefix: &str, settings: &str) -> Self {
        Hall {
            channel: channel.to_string(),
            prefix: prefix.to_string(),
            settings: settings.to_string(),
            model: Model::default(),
            joined: 0,
            newcomers: Vec::new(),
            lines: 0,
            gaps: 0,
            departures: 0,
            answers: 0,
            echo: (0, 0),
            command: Command::default(),
            faults: 0,
            fault: None,
            complaint: None,
        }
    }

    /// A member's name.
    pub fn name(&self, index: u32) -> String {
        format!("{}{index}", self.prefix)
    }

    /// A command is about to be given.
    pub fn expect_command(&mut self, members: usize) {
        self.command = Command { seen: vec![false; members], ..Command::default() };
    }

    /// Records that something is not as it must be.
    #[cold]
    pub fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.faults += 1;
        if self.fault.is_none() {
            self.fault = Some(what());
        }
    }

    fn index(&self, name: &[u8]) -> u32 {
        let digits = name.strip_prefix(self.prefix.as_bytes()).unwrap_or_default();
        Words(digits).rank()
    }

    #[inline]
    fn line(&mut self, id: usize, member: &mut Member, line: &[u8], out: &mut Vec<u8>) {
        let mut words = Words(line);
        let verb = words.word();
        match verb {
            b"join" | b"left" | b"move" | b"msg" | b"cmd" => {
                words.word();
                let seq = words.number();
                self.entry(member, verb, seq, words, out);
            }
            b"rank" => {
                words.word();
                member.told = (words.rank(), words.number());
                // After a gap it knows its rank from this alone.
                member.rank = member.rank.or(Some(member.told.0));
            }
            b"ok" => self.reply(id, member, words),
            b"ack" => self.result(words),
            b"done" => {
                words.word();
                let (seq, share) = (words.number(), words.word());
                let mut parts = share.split(|byte| *byte == b'/').map(|part| Words(part).number());
                let summary = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
                if seq == self.command.seq {
                    self.command.summary = Some(summary);
                }
            }
            b"gap" => {
                words.word();
                let (from, to) = (words.number(), words.number());
                if from != member.next {
                    self.wrong(|| format!("a gap from {from} where {} is due", member.next));
                }
                (member.next, member.rank) = (to + 1, None);
                self.gaps += 1;
            }
            b"ping" => out.extend_from_slice(b"pong 0\n"),
            b"bye" if line == b"bye quit" => {}
            _ => {
                let text = || String::from_utf8_lossy(line).escape_default().to_string();
                self.complaint.get_or_insert_with(text);
            }
        }
    }

    /// An entry of the log.
    #[inline]
    fn entry(
        &mut self,
        member: &mut Member,
        verb: &[u8],
        seq: u64,
        mut words: Words<'_>,
        out: &mut Vec<u8>,
    ) {
        self.lines += 1;
        // The sender of a command does not get it.
        let is_own = member.is_chief() && member.next == self.command.seq;
        if seq != member.next + u64::from(is_own) {
            self.wrong(|| {
                let Member { index, next, .. } = member;
                format!("member {index} got entry {seq} where {next} is due")
            });
        }
        member.next = seq + 1;
        let name = words.word();
        let is_right = match verb {
            b"join" => {
                let rank = words.rank();
                !member.is_chief() || self.model.join(self.index(name), rank as usize, seq)
            }
            b"left" => {
                let rank = words.rank();
                member.rank = member.rank.map(|own| after_leave(own, rank));
                self.departures += u64::from(member.is_chief());
                !member.is_chief() || self.model.leave(self.index(name), rank as usize, seq)
            }
            b"move" => {
                let (old, new) = (words.rank(), words.rank());
                member.rank = member.rank.map(|own| after_move(own, old, new));
                !member.is_chief()
                    || self.model.place(self.index(name), old as usize, new as usize, seq)
            }
            b"cmd" => {
                let reply = format!("ack {} {seq}\n", self.channel);
                out.extend_from_slice(reply.as_bytes());
                true
            }
            _ => {
                if member.is_chief() {
                    self.echo = (seq, now());
                }
                true
            }
        };
        if !is_right {
            self.wrong(|| {
                let (verb, name) = (verb.escape_ascii(), name.escape_ascii());
                format!("entry {seq}: {verb} {name} does not fit the roster")
            });
        }
    }

    fn reply(&mut self, id: usize, member: &mut Member, mut words: Words<'_>) {
        match words.word() {
            b"sub" => {
                let field = |key| words.field(key).unwrap_or(0);
                let rank = u32::try_from(field("rank")).unwrap_or(u32::MAX);
                (member.rank, member.told) = (Some(rank), (rank, field("term")));
                (member.next, member.stage) = (field("seq") + 1, Stage::In);
                if member.is_chief() && !self.model.join(0, rank as usize, field("seq")) {
                    self.wrong(|| "who joined first is not the first".to_string());
                }
                self.joined += 1;
                self.newcomers.push(id);
            }
            b"rank" => {
                words.word();
                let rank = words.rank();
                if member.rank != Some(rank) {
                    self.wrong(|| format!("asked, rank is {rank}, by the log {:?}", member.rank));
                }
                self.answers += 1;
            }
            b"promote" => self.answers += 1,
            b"cmd" => {
                words.word();
                self.command.seq = words.number();
                self.command.sent = words.field("to").unwrap_or(0);
            }
            b"unsub" => member.stage = Stage::Gone,
            _ => {}
        }
    }

    /// One member's result of the command.
    fn result(&mut self, mut words: Words<'_>) {
        words.word();
        let (seq, name) = (words.number(), words.word());
        words.word();
        let result = words.word();
        let index = self.index(name) as usize;
        let is_new = self.command.seen.get(index) == Some(&false) && seq == self.command.seq;
        if !is_new {
            let name = name.escape_ascii().to_string();
            return self.wrong(|| format!("a second result of command {seq} for {name}"));
        }
        self.command.seen[index] = true;
        if result == b"0" { self.command.done += 1 } else { self.command.failed += 1 }
    }
}

impl Reader<Member> for Hall {
    fn connected(&mut self, _: usize, member: &mut Member, out: &mut Vec<u8>) {
        let (name, channel) = (self.name(member.index), &self.channel);
        let create = if member.is_chief() {
            format!("create {channel}{}\n", self.settings)
        } else {
            String::new()
        };
        let said = format!("hello --quiet --name {name}\n{create}sub {channel}\n");
        out.extend_from_slice(said.as_bytes());
    }

    #[inline]
    fn read(&mut self, id: usize, member: &mut Member, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while let Some(end) = memchr(b'\n', &bytes[at..]) {
            // A member that has left may still get what was there before.
            if member.stage != Stage::Gone {
                self.line(id, member, &bytes[at..at + end], out);
            }
            at += end + 1;
        }
        at
    }

    fn ended(&mut self, _: usize, member: &mut Member, why: &str) {
        if member.stage != Stage::Gone {
            member.stage = Stage::Gone;
            self.complaint.get_or_insert_with(|| why.to_string());
        }
    }
}
