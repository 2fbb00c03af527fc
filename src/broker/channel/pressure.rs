//! Bounded memory: what the log drops, and who waits for whom.
//!
//! The log keeps what is asked for as history and what its members have not
//! got yet, up to a bound in bytes. Beyond that, history gives way, and so do
//! members that have made no progress for the stall time: they will find a gap.
//! For a member that does make progress, publishers wait instead: their
//! sockets are not read until every such member is down to half a log behind.
//!
//! # How it works
//! Looking at every member's position is O(members), so it is done only when
//! the log has doubled since the last look, or is full: O(1) for each byte.
//!
//! The *gate* is open, or holds the number of a chunk that every live member
//! must pass before publishers go on. Members that lag behind it are marked
//! and counted under the lock. A member moves without the lock: it stores its
//! position, then loads the gate; whoever closes the gate stores it, then loads
//! the positions. Sequential consistency means that one of the two sees the
//! other: a member that passes unseen by the count comes here to be uncounted.

use super::{Channel, State};
use crate::broker::directory::Client;
use crate::broker::member::Member;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A log smaller than this is not worth looking at: a look costs every member's
/// position, and this is some twenty short messages. What a quiet channel keeps
/// although everybody has it is at most as much, and there may be many of them.
const LOOK_BYTES_MIN: usize = 4 * 1024;
/// So few members are looked at after every append: most channels are small and
/// quiet, and keep nothing that their members have.
const FEW: usize = 2;
const OPEN: u64 = 0;
/// Publishers wait for the disk, and for no member.
const DISK: u64 = u64::MAX;

/// The chunk that live members must pass before publishers go on, if any.
#[derive(Debug, Default)]
pub(super) struct Gate(AtomicU64);

/// Publishers that wait.
#[derive(Debug, Default)]
pub(super) struct Publishers {
    waiting: Vec<Arc<Client>>,
    /// How many members hold them up.
    holding_up: usize,
    /// How often those who waited have been woken.
    round: Round,
}

/// Since when a publisher waits: the next time that all are woken, it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round(u64);

impl Channel {
    /// Whether publishers have to wait.
    pub fn is_held_up(&self) -> bool {
        self.gate.0.load(Ordering::SeqCst) != OPEN
    }

    /// Whether this publisher has to wait; then it will be woken. Since when it
    /// waits it says itself, in `since`.
    ///
    /// To be asked again when it was woken: others may have had their turn before
    /// it, and have filled the log anew.
    pub fn holds_up(&self, publisher: &Arc<Client>, since: &mut Option<Round>) -> bool {
        if !self.is_held_up() {
            return false;
        }
        let mut state = self.lock();
        // Now that nobody can open the gate unseen.
        if !self.is_held_up() {
            return false;
        }
        let publishers = &mut state.extra.parts().publishers;
        if since.replace(publishers.round) != Some(publishers.round) {
            publishers.waiting.push(publisher.clone());
        }
        true
    }

    /// After an append: drops what can go; whether publishers have to wait.
    pub(super) fn relieve(&self, state: &mut State, now_ms: u64) -> bool {
        if self.is_durable() {
            self.drop_written(state);
            self.note_append(state);
            return self.is_held_up();
        }
        self.note_append(state);
        let worth = state.look_bytes.max(LOOK_BYTES_MIN.min(self.log_bytes()));
        if state.log.weight() > worth || state.seats.len() <= FEW {
            self.drop_unneeded(state, now_ms);
            if state.log.weight() > self.log_bytes() && !self.is_held_up() {
                self.close(state, now_ms);
            }
        }
        self.is_held_up()
    }

    /// Drops from memory what is on disk: what nobody here needs, and, if there
    /// is too much, whatever it is. Who needs it reads it there.
    pub(super) fn drop_written(&self, state: &mut State) {
        let worth = state.look_bytes.max(LOOK_BYTES_MIN.min(self.log_bytes()));
        if !self.is_durable() || state.log.weight() <= worth && state.seats.len() > FEW {
            return;
        }
        let end = state.visible().0;
        let State { log, seats, extra, look_bytes, .. } = state;
        let leavers = extra.present_leavers();
        let unread = leavers.iter().filter(|leaver| log.first_seq() <= leaver.end());
        let places = unread.map(|leaver| leaver.position());
        let needed = places.chain(seats.iter().map(|member| member.position())).min();
        while log.first_chunk() < needed.unwrap_or(u64::MAX).min(end) {
            log.drop_first();
        }
        if log.weight() > self.log_bytes() {
            let enough = self.log_bytes() - self.log_bytes() / 8;
            while log.weight() > enough && log.first_chunk() < end {
                log.drop_first();
            }
        }
        *look_bytes = (2 * log.weight()).min(self.log_bytes());
    }

    /// Publishers have to wait until more is on disk.
    pub(super) fn close_for_disk(&self) {
        self.gate.0.store(DISK, Ordering::SeqCst);
    }

    fn log_bytes(&self) -> usize {
        self.rules.log_bytes
    }

    fn drop_unneeded(&self, state: &mut State, now_ms: u64) {
        let State { log, seats, extra, look_bytes, .. } = state;
        let leavers = extra.present_leavers();
        let (mut needed, mut needed_live) = (u64::MAX, u64::MAX);
        for leaver in leavers {
            let unread = Some(leaver.position()).filter(|_| log.first_seq() <= leaver.end());
            needed = needed.min(unread.unwrap_or(u64::MAX)).min(leaver.kept().unwrap_or(u64::MAX));
        }
        for member in seats.iter() {
            let position = member.position();
            needed = needed.min(position).min(member.kept().unwrap_or(u64::MAX));
            if position < needed_live && !self.has_stalled(log, member, now_ms) {
                needed_live = position;
            }
        }
        while log.first_chunk() < needed && self.outlives_first(log, now_ms) {
            log.drop_first();
        }
        if log.weight() > self.log_bytes() {
            // A little more than need be, so as not to look at every append.
            let enough = self.log_bytes() - self.log_bytes() / 8;
            while log.weight() > enough && log.first_chunk() < needed_live {
                log.drop_first();
            }
        }
        *look_bytes = (2 * log.weight()).min(self.log_bytes());
    }

    /// Whether the first chunk need not be kept for newcomers.
    fn outlives_first(&self, log: &crate::log::MemoryLog, now_ms: u64) -> bool {
        let settings = self.settings();
        let Some(first) = log.chunk(log.first_chunk()) else { return false };
        let age = u128::from(now_ms.saturating_sub(first.at_ms));
        log.outlives_first(settings.entries_kept())
            || settings.history_age.is_some_and(|kept| age > kept.as_millis())
            || settings.history_bytes.is_some_and(|kept| log.weight() as u64 > kept)
    }

    /// Drops what is too old to be kept.
    pub fn drop_aged(&self, now_ms: u64) {
        if self.settings().history_age.is_some() && !self.is_durable() {
            self.drop_unneeded(&mut self.lock(), now_ms);
        }
    }

    /// Whether a member that has something to read has let it lie.
    fn has_stalled(&self, log: &crate::log::MemoryLog, member: &Member, now_ms: u64) -> bool {
        let position = member.position();
        if position >= log.next_chunk() {
            return false;
        }
        // Its new place is among fresh entries; that makes it no fresher.
        if member.is_left_behind() || member.client.is_unwaited() {
            return true;
        }
        // What is gone already cannot be waited for.
        let Some(chunk) = log.chunk(position) else { return true };
        let since_ms = chunk.at_ms.max(member.progressed_ms());
        now_ms.saturating_sub(since_ms) > self.rules.stall_ms
    }

    fn close(&self, state: &mut State, now_ms: u64) {
        let State { log, seats, .. } = state;
        let mut gate = log.first_chunk();
        let mut left = log.weight();
        while left > self.log_bytes() / 2 && gate < log.next_chunk() {
            left -= log.chunk(gate).map_or(0, |chunk| chunk.weight());
            gate += 1;
        }
        self.gate.0.store(gate, Ordering::SeqCst);
        let mut holding_up = 0;
        for member in seats.iter() {
            let is_slow = member.position() < gate && !self.has_stalled(log, member, now_ms);
            member.holds_up(is_slow);
            holding_up += usize::from(is_slow);
        }
        state.extra.parts().publishers.holding_up = holding_up;
        if holding_up == 0 {
            self.open(state);
        }
    }

    pub(super) fn open(&self, state: &mut State) {
        self.gate.0.store(OPEN, Ordering::SeqCst);
        let Some(extra) = state.extra.get_mut() else { return };
        extra.publishers.round.0 += 1;
        for publisher in std::mem::take(&mut extra.publishers.waiting) {
            publisher.mailbox.wake();
        }
    }

    /// A member has moved from one position to another: perhaps publishers
    /// waited for that.
    pub fn progressed(&self, member: &Member, before: u64, after: u64) {
        let gate = self.gate.0.load(Ordering::SeqCst);
        if gate == OPEN || before >= gate || after < gate {
            return;
        }
        let mut state = self.lock();
        // Who has left is not counted any more, and holds nobody up.
        if member.holds_up(false) {
            self.one_less_holds_up(&mut state);
        }
    }

    pub(super) fn one_less_holds_up(&self, state: &mut State) {
        let waiting = &mut state.extra.parts().publishers;
        waiting.holding_up -= 1;
        if waiting.holding_up == 0 {
            self.open(state);
        }
    }

    pub(super) fn hold_up_nobody(&self, state: &mut State) {
        if let Some(extra) = state.extra.get_mut() {
            extra.publishers.holding_up = 0;
        }
        self.open(state);
    }

    /// Waits no longer for those who have stalled; whether someone else still
    /// holds publishers up.
    pub fn pass_stalled(&self, now_ms: u64) -> bool {
        let mut state = self.lock();
        if !self.is_held_up() || self.is_durable() {
            return self.is_held_up();
        }
        let State { log, seats, .. } = &*state;
        let stalled = seats.iter().filter(|member| self.has_stalled(log, member, now_ms));
        let passed = stalled.filter(|member| member.holds_up(false)).count();
        let waiting = &mut state.extra.parts().publishers;
        waiting.holding_up -= passed;
        if waiting.holding_up == 0 {
            self.open(&mut state);
        }
        self.is_held_up()
    }
}
