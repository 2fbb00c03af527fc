//! Bounded memory: what the log drops, and who waits for whom.
//!
//! The log keeps what is asked for as history and what its members have not got
//! yet, up to a bound in bytes. Beyond that, history gives way, and so do members
//! that have made no progress for the stall time: they will find a gap. For a
//! member that does make progress, publishers wait instead: nothing is read from
//! them until every such member is down to half a log behind. A publisher that
//! comes meanwhile waits before it appends anything, so that beyond the bound the
//! log holds no more than what those publishers append at once that find the gate
//! open.
//!
//! # How it works
//! Looking at every member's position is O(members), so it is done only when
//! the log has doubled since the last look, or is full: O(1) for each byte.
//!
//! The *gate* is open, or closed at a chunk that every live member must pass
//! before publishers go on. Members that lag behind it are marked and counted
//! under the lock. A member moves without the lock: it stores its position, then
//! looks whether the gate is closed and it is marked; whoever closes the gate does
//! so first, then marks it, and then loads its position. Sequential consistency
//! means that one of the two sees the other: a member that passes unseen by the
//! count comes here to be uncounted.

use super::{Channel, State};
use crate::broker::directory::Client;
use crate::broker::member::Member;
use crate::log::ClientId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A log smaller than this is not searched for what can go: that means loading
/// every member's position, and this is some twenty short messages. A quiet channel
/// keeps at most this much that everybody has, and there may be many such channels.
const LOOK_BYTES_MIN: usize = 4 * 1024;
/// With so few members, their positions are looked at after every append: most
/// channels are small and quiet, and keep nothing that their members have.
const FEW: usize = 2;

/// Whether publishers have to wait: on a durable channel for the disk, on others
/// for members. To be changed under the channel's lock only.
#[derive(Debug, Default)]
pub(super) struct Gate(AtomicBool);

impl Gate {
    fn is_closed(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn close(&self, closed: bool) {
        self.0.store(closed, Ordering::SeqCst);
    }
}

/// Who waits for whom, and when to look at what can go.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    /// The publishers that wait, by the rounds in which they began to.
    waiting: BTreeMap<(u64, ClientId), Arc<Client>>,
    /// How many members hold them up.
    throttling: usize,
    /// The chunk at which the gate was closed last, which these members must pass.
    closed_at: u64,
    /// How often waiting publishers have been woken.
    round: u64,
    /// The log's weight at which to look again what of it can go, if that is more
    /// than [`LOOK_BYTES_MIN`].
    look_bytes: usize,
    /// Whether there is a timer that looks whether those members have stalled.
    stall_watched: bool,
}

/// The round in which a publisher began to wait, and the one in which it last
/// enlisted to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    first: u64,
    last: u64,
}

impl Channel {
    /// Whether publishers have to wait.
    pub fn is_throttled(&self) -> bool {
        self.gate.is_closed()
    }

    /// Whether this publisher has to wait; then it will be woken. The publisher
    /// itself keeps, in `since`, since when it waits.
    ///
    /// To be asked again when it was woken: others may have had their turn before
    /// it, and have filled the log anew.
    pub fn must_wait(&self, publisher: &Arc<Client>, since: &mut Option<Round>) -> bool {
        if !self.is_throttled() {
            return false;
        }
        let mut state = self.lock();
        // Asked again under the lock, where nobody can open the gate unseen.
        if !self.is_throttled() {
            return false;
        }
        let pressure = &mut state.extra.parts().pressure;
        let last = pressure.round;
        let first = since.map_or(last, |since| since.first);
        if since.replace(Round { first, last }).is_none_or(|before| before.last != last) {
            pressure.waiting.insert((first, publisher.id), publisher.clone());
        }
        true
    }

    /// Notes that a publisher does not wait any more: it is not woken.
    pub fn stop_waiting(&self, publisher: &Client, since: Round) {
        // While the gate is open nobody waits.
        if self.is_throttled()
            && let Some(extra) = self.lock().extra.get_mut()
        {
            extra.pressure.waiting.remove(&(since.first, publisher.id));
        }
    }

    /// Drops what can go after an append; returns whether publishers have to wait.
    pub(super) fn relieve(&self, state: &mut State, now_ms: u64) -> bool {
        if self.is_durable() {
            self.drop_written(state);
            self.note_append(state);
            return self.is_throttled();
        }
        self.note_append(state);
        if self.is_worth_a_look(state) {
            self.drop_unneeded(state, now_ms);
            if state.log.weight() > self.log_bytes() && !self.is_throttled() {
                self.close(state, now_ms);
            }
        }
        self.is_throttled()
    }

    /// Drops from memory what is on disk: what all members have read and, if the
    /// log is still too large, more. A member that needs that reads it from the
    /// disk.
    pub(super) fn drop_written(&self, state: &mut State) {
        if self.is_durable() && self.is_worth_a_look(state) {
            self.drop_read(state);
        }
    }

    fn drop_read(&self, state: &mut State) {
        let end = state.visible().end_chunk;
        let State { log, seats, extra, .. } = state;
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
        self.has_looked(state);
    }

    /// Drops what nobody needs any more, for channels to which nothing may be
    /// appended for long.
    pub fn sweep(&self, now_ms: u64) {
        let mut state = self.lock();
        let has_leavers = state.extra.get().is_some_and(|extra| !extra.leavers.is_empty());
        if state.log.weight() <= LOOK_BYTES_MIN && !has_leavers {
        } else if self.is_durable() {
            self.drop_read(&mut state);
        } else {
            self.drop_unneeded(&mut state, now_ms);
        }
    }

    /// Whether to look at every member's position now.
    fn is_worth_a_look(&self, state: &State) -> bool {
        let (look_bytes, leavers) = state
            .extra
            .get()
            .map_or((0, 0), |extra| (extra.pressure.look_bytes, extra.leavers.len()));
        let worth = look_bytes.max(LOOK_BYTES_MIN.min(self.log_bytes()));
        state.log.weight() > worth || state.seats.len() + leavers <= FEW
    }

    /// What could go has gone: the next look is when what is left has doubled.
    fn has_looked(&self, state: &mut State) {
        let next = (2 * state.log.weight()).min(self.log_bytes());
        if next > LOOK_BYTES_MIN {
            state.extra.parts().pressure.look_bytes = next;
        } else if let Some(extra) = state.extra.get_mut() {
            extra.pressure.look_bytes = 0;
        }
    }

    /// Publishers have to wait until more is on disk.
    pub(super) fn close_for_disk(&self) {
        self.gate.close(true);
    }

    fn log_bytes(&self) -> usize {
        self.rules().log_bytes
    }

    fn drop_unneeded(&self, state: &mut State, now_ms: u64) {
        let State { log, seats, extra, .. } = state;
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
        // Judged before anything is dropped: what a member has just read may make
        // the log less than full each time, without end.
        let is_full = log.weight() > self.log_bytes();
        while log.first_chunk() < needed && self.outlives_first(log, now_ms) {
            log.drop_first();
        }
        if is_full {
            // A little more than need be, so as not to look at every append.
            let enough = self.log_bytes() - self.log_bytes() / 8;
            while log.weight() > enough && log.first_chunk() < needed_live {
                log.drop_first();
            }
        }
        self.has_looked(state);
    }

    /// Whether the first chunk need not be kept for newcomers.
    fn outlives_first(&self, log: &crate::log::MemoryLog, now_ms: u64) -> bool {
        let settings = self.settings();
        let Some(first) = log.chunk(log.first_chunk()) else { return false };
        let age = u128::from(now_ms.saturating_sub(first.at_ms));
        // A batch goes when what came after it is enough by itself.
        let fills = |kept| log.bytes() - first.bytes.len() as u64 >= kept;
        log.outlives_first(settings.entries_kept())
            || settings.history_age.is_some_and(|kept| age > kept.as_millis())
            || settings.history_bytes.is_some_and(fills)
    }

    /// Drops what is too old to be kept.
    pub fn drop_aged(&self, now_ms: u64) {
        if self.settings().history_age.is_some() && !self.is_durable() {
            self.drop_unneeded(&mut self.lock(), now_ms);
        }
    }

    /// Whether a member that has something to read has made no progress for the
    /// stall time.
    fn has_stalled(&self, log: &crate::log::MemoryLog, member: &Member, now_ms: u64) -> bool {
        let position = member.position();
        if position >= log.next_chunk() {
            return false;
        }
        // Its new place is among fresh entries, but that is no progress.
        if member.is_left_behind() || member.client.is_unwaited() {
            return true;
        }
        // What is gone already cannot be waited for.
        let Some(chunk) = log.chunk(position) else { return true };
        let since_ms = chunk.at_ms.max(member.progressed_ms());
        now_ms.saturating_sub(since_ms) > self.rules().stall_ms
    }

    fn close(&self, state: &mut State, now_ms: u64) {
        let State { log, seats, .. } = state;
        let mut at = log.first_chunk();
        let mut left = log.weight();
        while left > self.log_bytes() / 2 && at < log.next_chunk() {
            left -= log.chunk(at).map_or(0, |chunk| chunk.weight());
            at += 1;
        }
        self.gate.close(true);
        let mut throttling = 0;
        for member in seats.iter() {
            // Marked before its position is looked at: if it moves on now, it sees
            // the mark.
            member.set_throttles(true);
            let is_slow = member.position() < at && !self.has_stalled(log, member, now_ms);
            member.set_throttles(is_slow);
            throttling += usize::from(is_slow);
        }
        let pressure = &mut state.extra.parts().pressure;
        (pressure.throttling, pressure.closed_at) = (throttling, at);
        if throttling == 0 {
            self.open(state);
        }
    }

    pub(super) fn open(&self, state: &mut State) {
        self.gate.close(false);
        let Some(extra) = state.extra.get_mut() else { return };
        extra.pressure.round += 1;
        let waiting = std::mem::take(&mut extra.pressure.waiting);
        // Those that have waited longest look first: else a publisher that fills
        // the log in one read would be the first again, and the others never.
        for publisher in waiting.into_values() {
            publisher.mailbox.wake();
        }
    }

    /// Notes that a member has moved to its present position: perhaps publishers
    /// waited for that.
    pub fn progressed(&self, member: &Member) {
        if !self.gate.is_closed() || !member.throttles() {
            return;
        }
        let mut state = self.lock();
        let closed_at = state.extra.get().map_or(0, |extra| extra.pressure.closed_at);
        // A member that has left is not counted any more, and holds nobody up.
        if member.position() >= closed_at && member.set_throttles(false) {
            self.one_less_throttles(&mut state);
        }
    }

    pub(super) fn one_less_throttles(&self, state: &mut State) {
        let pressure = &mut state.extra.parts().pressure;
        pressure.throttling -= 1;
        if pressure.throttling == 0 {
            self.open(state);
        }
    }

    pub(super) fn throttle_nobody(&self, state: &mut State) {
        if let Some(extra) = state.extra.get_mut() {
            extra.pressure.throttling = 0;
        }
        self.open(state);
    }

    /// Asks for a timer that looks whether the members that hold publishers up have
    /// stalled; returns whether there was none. Where publishers wait for the disk
    /// there is none: the disk has no stall time.
    pub fn watch_stall(&self) -> bool {
        if self.is_durable() {
            return false;
        }
        let mut state = self.lock();
        !std::mem::replace(&mut state.extra.parts().pressure.stall_watched, true)
    }

    /// Stops waiting for members that have stalled. Returns whether others still
    /// hold publishers up: then the caller is to look again later.
    pub fn pass_stalled(&self, now_ms: u64) -> bool {
        let mut state = self.lock();
        if self.is_throttled() && !self.is_durable() {
            self.open_for_stalled(&mut state, now_ms);
        }
        if let Some(extra) = state.extra.get_mut() {
            extra.pressure.stall_watched = self.is_throttled();
        }
        self.is_throttled()
    }

    fn open_for_stalled(&self, state: &mut State, now_ms: u64) {
        let State { log, seats, .. } = &*state;
        let stalled = seats.iter().filter(|member| self.has_stalled(log, member, now_ms));
        let passed = stalled.filter(|member| member.set_throttles(false)).count();
        let pressure = &mut state.extra.parts().pressure;
        pressure.throttling -= passed;
        if pressure.throttling == 0 {
            self.open(state);
        }
    }
}
