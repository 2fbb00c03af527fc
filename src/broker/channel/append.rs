//! What members and others put into the log: messages, commands, results.

use super::{Channel, State};
use crate::broker::directory::Client;
use crate::broker::member::Member;
use crate::error::{Code, Fault};
use crate::log::{Body, Chunk, ClientId, Command, Forms, Position};
use crate::payload::Payload;
use crate::roster::Key;
use std::sync::{Arc, Weak};

/// What came of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The seq of the first entry.
    pub seq: u64,
    /// Whether a live member, or the disk, is a whole log behind: then read no more
    /// from this publisher for as long as [`Channel::must_wait`] says so.
    pub throttled: bool,
    /// How many members and observers the channel has.
    pub receivers: usize,
}

impl Channel {
    /// Appends messages, all text or all JSON, as one chunk; with a term, only if
    /// that is still rank 0's. `note` is given the seq of the first one just before
    /// that can be on its way to the disk, so that what it notes gets there no
    /// later than the entry.
    ///
    /// # Errors
    /// [`Code::NoChannel`] for one that was removed, [`Code::Fenced`],
    /// [`Code::Unavailable`] if what has to be on disk cannot be.
    pub fn publish(
        &self,
        author: &Arc<Client>,
        name: &str,
        term: Option<u64>,
        payloads: &[Payload<'_>],
        note: impl FnOnce(u64),
        now_ms: u64,
    ) -> Result<Appended, Fault> {
        let mut state = self.lock();
        self.alive(&state)?;
        self.accepts(&state)?;
        if let Some(term) = term {
            self.fence(&state, term)?;
        }
        let seq = state.log.head() + 1;
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(payloads.len());
        let position = Position { channel: &self.name, seq };
        self.rules().encode.messages(position, name, payloads, &mut bytes, &mut ends);
        if ends.len() == 1 {
            ends = Vec::new();
        }
        let json = payloads.first().is_some_and(Payload::is_json);
        let body = Body::Messages { json };
        let chunk = Chunk {
            first_seq: seq,
            author: author.id,
            body,
            at_ms: now_ms,
            bytes,
            ends,
            forms: Forms::default(),
        };
        note(seq);
        state.log.append(chunk);
        let receivers = state.seats.len();
        let throttled = self.relieve(&mut state, now_ms);
        Ok(Appended { seq, throttled, receivers })
    }

    fn fence(&self, state: &State, term: u64) -> Result<(), Fault> {
        let text = match state.roster.top_term() {
            Some(top) if top == term => return Ok(()),
            Some(top) => format!("the term of rank 0 in {} is {top}, not {term}", self.name),
            None => format!("nobody holds rank 0 in {}", self.name),
        };
        Err(Fault::new(Code::Fenced, text))
    }

    /// Gives a command to all below the sender, or to one of them; returns its seq
    /// and how many recipients it has. Authority is judged and the recipients are
    /// frozen here. `note` as for [`Channel::publish`], with the number of
    /// recipients.
    ///
    /// # Errors
    /// [`Code::NotMember`], [`Code::NoMember`] for a recipient that is not in
    /// this channel, [`Code::Rank`] for one that is not below, and if nobody
    /// is, [`Code::Busy`] while too many results are awaited,
    /// [`Code::Unavailable`] if what has to be on disk cannot be.
    pub fn command(
        &self,
        sender: &Member,
        to: Option<&Member>,
        command: Command<'_>,
        note: impl FnOnce(u64, u32),
        now_ms: u64,
    ) -> Result<(Appended, u32), Fault> {
        let mut state = self.lock();
        self.present(&state, sender)?;
        self.accepts(&state)?;
        let Some(standing) = state.standing(sender.key).filter(|_| !sender.is_observer()) else {
            let text = format!("you observe {}: observers command nobody", self.name);
            return Err(Fault::new(Code::Rank, text));
        };
        let recipients: Vec<(Key, u32)> = if let Some(to) = to {
            vec![self.subordinate(&state, sender, to)?]
        } else {
            let below = state.roster.keys_from(standing.rank + 1);
            below.zip(standing.rank + 1..).collect()
        };
        if recipients.is_empty() {
            let text = format!("nobody ranks below you in {}", self.name);
            return Err(Fault::new(Code::Rank, text));
        }
        state.extra.parts().commands.reserve(recipients.len())?;
        let seq = state.log.head() + 1;
        let position = Position { channel: &self.name, seq };
        let name = sender.client.name();
        let mut bytes = Vec::new();
        let (rank, term) = (standing.rank, standing.term);
        self.rules().encode.command(position, &name, rank, term, command, &mut bytes);
        let body = Body::Command { rank, to: to.map(|to| to.client.id) };
        // At most as many as there are members.
        let sent = u32::try_from(recipients.len()).unwrap_or(u32::MAX);
        note(seq, sent);
        state.append_one(sender.client.id, body, bytes, now_ms);
        let (sender, counts) = (&sender.client, self.rules().stats.clone());
        state.extra.parts().commands.open(seq, sender.clone(), &recipients, counts);
        let throttled = self.relieve(&mut state, now_ms);
        Ok((Appended { seq, throttled, receivers: state.seats.len() }, sent))
    }

    /// A member's key and rank, if `superior` outranks it.
    pub(super) fn subordinate(
        &self,
        state: &State,
        superior: &Member,
        member: &Member,
    ) -> Result<(Key, u32), Fault> {
        let name = member.client.name();
        let (own, other) = (state.roster.rank(superior.key), state.roster.rank(member.key));
        match (own.filter(|_| !superior.is_observer()), other.filter(|_| !member.is_observer())) {
            _ if self.present(state, member).is_err() => Err(self.no_member(&name)),
            (Some(own), Some(other)) if own < other => Ok((member.key, other)),
            _ => {
                let text = format!("you do not outrank {name} in {}", self.name);
                Err(Fault::new(Code::Rank, text))
            }
        }
    }

    /// The fault for a name that no member has.
    pub fn no_member(&self, name: &str) -> Fault {
        Fault::new(Code::NoMember, format!("{name} is no member of {}", self.name))
    }

    /// Takes a member's answer to a command.
    ///
    /// # Errors
    /// [`Code::NotMember`], [`Code::Gone`] for a command that is over,
    /// [`Code::Denied`] for one that does not wait for this member.
    pub fn answer(&self, member: &Member, seq: u64, code: i32, text: String) -> Result<(), Fault> {
        let mut state = self.lock();
        self.present(&state, member)?;
        let who = (member.key, member.client.name());
        state.extra.parts().commands.answer(&self.name, seq, who, code, text)
    }

    /// The commands, by seq, that wait for a member's answer.
    pub fn commands_due(&self, member: &Member) -> Vec<u64> {
        let state = self.lock();
        let is_here = self.present(&state, member).is_ok();
        let open = state.extra.get().filter(|_| is_here).map(|extra| &extra.commands);
        open.into_iter().flat_map(|open| open.due_to(member.key)).collect()
    }

    /// Whether a command waits for a member's answer.
    pub fn awaits(&self, member: &Member, seq: u64) -> bool {
        let state = self.lock();
        let is_here = self.present(&state, member).is_ok();
        is_here && state.extra.get().is_some_and(|extra| extra.commands.awaits(member.key, seq))
    }

    /// A reference that is dead once the command of this seq is over.
    pub fn command_alive(&self, seq: u64) -> Weak<()> {
        self.lock().extra.get().map_or_else(Weak::new, |extra| extra.commands.alive(seq))
    }

    /// Ends a command whose time is up: its sender is told of each recipient that
    /// has not answered.
    pub fn expire(&self, seq: u64) {
        let mut state = self.lock();
        let State { extra, seats, .. } = &mut *state;
        let Some(extra) = extra.get_mut() else { return };
        extra.commands.expire(&self.name, seq, |key| match seats.get(key) {
            Some(member) => member.client.name(),
            // A member's results are settled when it leaves.
            None => "?".into(),
        });
    }
}

impl State {
    /// Appends a single entry.
    pub(super) fn append_one(&mut self, author: ClientId, body: Body, bytes: Vec<u8>, at_ms: u64) {
        let first_seq = self.log.head() + 1;
        let (ends, forms) = (Vec::new(), Forms::default());
        self.log.append(Chunk { first_seq, author, body, at_ms, bytes, ends, forms });
    }
}
