//! A channel that the store knows: what has to be on disk before it is seen,
//! and what is there already.
//!
//! # How it works
//! Entries of a durable channel go into the log in memory at once, and get their
//! seqs. The committing thread takes them from there ([`Source::hand_over`]);
//! they are *visible* when the ticket of that commit says that they are on disk.
//! Every reader stops at what is visible ([`State::visible`]), and every reply
//! that tells of more waits for [`Channel::pending`].
//!
//! Of a channel that is not durable the store has the roster, a moment late, and a
//! seq up to which the channel may go: after a crash it goes on after that one, so
//! that no seq is given twice.

use super::record::{channel_record, seat_record};
use super::{Channel, State};
use crate::broker::member::Member;
use crate::error::{Code, Fault};
use crate::log::Edge;
use crate::moment::Second;
use crate::request::Settings;
use crate::roster::{Change, Roster};
use crate::store::{
    ChangeRecord, ChannelId, Extent, Handover, RankAt, RosterRecord, SEQS_RESERVED, Source, Store,
    Ticket,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// A number of written changes after which the whole roster is next.
const WHOLE_NEXT: usize = usize::MAX / 2;

/// Up to so many changes of a roster are written one by one; beyond, it is in whole.
fn changes_few(roster: &Roster) -> usize {
    roster.len() as usize / 2 + 16
}

/// A channel's way to the store.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) store: Store,
    pub(super) id: ChannelId,
    pub(super) me: Weak<Channel>,
    pub(super) dropped: AtomicBool,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.dropped.load(Ordering::SeqCst) {
            self.store.forget(self.id);
        }
    }
}

/// What of a channel is on disk.
#[derive(Debug)]
pub(super) struct OnDisk {
    pub(super) durable: bool,
    /// What the store confirmed last.
    pub(super) extent: Extent,
    /// The first seq that is within the bounds of bytes and age.
    pub(super) offered: u64,
    /// Where the entries on disk end: what comes next is yet to be written.
    visible: Edge,
    /// What the committing thread has taken and not settled yet.
    handed: Option<Handed>,
    /// The ticket for what was appended last; for a channel that is not durable,
    /// that for its making or its end.
    ticket: Option<Ticket>,
    /// Where what `ticket` is for begins: an earlier commit ends there, so that
    /// what becomes visible and the replies that tell of it come together.
    ticket_from: Edge,
    /// The ticket for what nobody waits for.
    noted: Option<Ticket>,
    /// Changes of the roster that are yet to be written.
    changes: Vec<(u64, ChangeRecord)>,
    /// How many changes were written since the whole roster was.
    changes_written: usize,
    /// What waits to be written, in bytes.
    waiting_bytes: usize,
}

#[derive(Debug)]
struct Handed {
    ticket: Ticket,
    visible: Edge,
    changes: usize,
    whole_roster: bool,
}

/// Entries that a reader wants, and that are on disk only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The channel's number in the store.
    pub channel: ChannelId,
    /// The first one.
    pub from: u64,
    /// The last one.
    pub to: u64,
    /// What the reader's rank there is to be derived from.
    pub rank: Option<RankAt>,
}

impl OnDisk {
    pub(super) fn new(settings: &Settings, extent: Extent, end: Edge) -> Self {
        OnDisk {
            durable: settings.durable,
            extent,
            offered: 0,
            visible: end,
            handed: None,
            ticket: None,
            ticket_from: end,
            noted: None,
            changes: Vec::new(),
            changes_written: WHOLE_NEXT,
            waiting_bytes: 0,
        }
    }

    fn is_undecided(&self) -> bool {
        self.ticket.as_ref().is_some_and(|ticket| ticket.outcome().is_none())
    }

    fn visible(&self) -> Edge {
        match &self.handed {
            Some(handed) if handed.ticket.is_done() => handed.visible,
            _ => self.visible,
        }
    }
}

impl State {
    /// Where what may be seen ends.
    pub(super) fn visible(&self) -> Edge {
        match self.extra.disk() {
            Some(disk) if disk.durable || disk.is_undecided() => disk.visible(),
            _ => self.log.end(),
        }
    }

    /// Whether a channel's end may be told: it is on disk, or never can be.
    pub(super) fn is_end_visible(&self) -> bool {
        self.extra.disk().is_none_or(|disk| !disk.is_undecided())
    }

    /// What a reader that wants this seq next has to get from the disk, if that
    /// is where it is.
    pub(super) fn behind(&self, id: ChannelId, seq: u64) -> Option<Behind> {
        let disk = self.extra.disk().filter(|disk| disk.durable)?;
        let first = self.log.first_seq();
        let (from, to) = (seq.max(disk.extent.first_seq), (first - 1).min(disk.visible().last_seq));
        (seq < first && from <= to).then_some(Behind { channel: id, from, to, rank: None })
    }

    /// A member's rank before the first entry in memory, for finding it further
    /// back.
    pub(super) fn rank_in_memory(&self, member: &Member) -> Option<RankAt> {
        let rank = self.rank_at(member, self.log.first_chunk());
        let seq = self.log.first_seq() - 1;
        (!member.is_observer()).then_some(RankAt { rank, seq, joined: member.joined })
    }

    /// Notes a change of the roster that is about to be appended.
    pub(super) fn note_change(&mut self, change: Change) {
        let Some(disk) = self.extra.disk_mut() else { return };
        let handed = disk.handed.as_ref().map_or(0, |handed| handed.changes);
        if !disk.durable && disk.changes.len() - handed > changes_few(&self.roster) {
            // While nothing is written, they would pile up. The roster in whole says it all.
            disk.changes.truncate(handed);
            disk.changes_written = WHOLE_NEXT;
            // A whole roster that is being written is outdated then: another one follows.
            disk.handed.iter_mut().for_each(|handed| handed.whole_roster = false);
        }
        let seq = self.log.head() + 1;
        let newcomer = match change {
            Change::Join { rank } => self.roster.at(rank).and_then(|key| self.seats.get(key)),
            _ => None,
        };
        let who = newcomer.map(|member| seat_record(member, seq));
        disk.changes.push((seq, ChangeRecord { change, who }));
    }

    fn roster_record(&self) -> RosterRecord {
        let row = |(key, term)| Some(seat_record(self.seats.get(key)?, term));
        RosterRecord {
            view: self.roster.view(),
            seats: self.roster.iter().filter_map(row).collect(),
        }
    }
}

impl Kept {
    /// Makes a channel known to the store. Returns its way there, the seq after
    /// which its entries begin, and what is on disk.
    pub(super) fn create(
        store: Store,
        name: &str,
        settings: &Settings,
        created: Second,
        me: &Weak<Channel>,
    ) -> (Kept, u64, OnDisk) {
        let (id, head, ticket) = store.create(channel_record(name, settings, created));
        let reserved = if settings.durable { 0 } else { SEQS_RESERVED };
        let end = Edge { end_chunk: 0, last_seq: head };
        let mut disk = OnDisk::new(settings, Extent::after(head + reserved), end);
        disk.ticket = Some(ticket);
        let kept = Kept { store, id, me: me.clone(), dropped: AtomicBool::new(false) };
        (kept, head, disk)
    }
}

impl Channel {
    /// Whether its entries are on disk before anybody sees them.
    pub fn is_durable(&self) -> bool {
        self.charter.settings.durable
    }

    /// Whether the store knows it.
    pub fn is_kept(&self) -> bool {
        self.kept().is_some()
    }

    /// Its number in the store.
    pub fn id(&self) -> Option<ChannelId> {
        self.kept().map(|kept| kept.id)
    }

    /// The ticket that a reply that tells of this channel as it is now has to wait
    /// for; `None` if everything that has to be on disk is there.
    pub fn pending(&self) -> Option<Ticket> {
        self.kept()?;
        let state = self.lock();
        let disk = state.extra.disk()?;
        // Once a channel that is not durable is on disk itself, nothing waits.
        let ticket = disk.ticket.as_ref().filter(|ticket| !ticket.is_done())?;
        Some(ticket.clone())
    }

    /// Whether more may be appended, as far as the store is concerned.
    ///
    /// # Errors
    /// [`Code::Unavailable`].
    pub(super) fn accepts(&self, state: &State) -> Result<(), Fault> {
        let Some(kept) = self.kept() else { return Ok(()) };
        if self.is_durable() {
            return kept.store.check().map_err(|reason| unavailable(&reason));
        }
        // More seqs were asked for long ago: the store has failed.
        let is_exhausted = |disk: &OnDisk| state.log.head() >= disk.extent.last_seq;
        if state.extra.disk().is_some_and(is_exhausted) {
            let reason = kept.store.check().err().unwrap_or("the disk is slow".into());
            return Err(unavailable(&reason));
        }
        Ok(())
    }

    /// Tells the store that the channel is reachable: from now on it can be asked
    /// what it has to write.
    pub(super) fn note_made(self: &Arc<Self>) {
        if let Some(kept) = self.kept() {
            kept.store.dirty(self.clone());
        }
    }

    /// After an append: has the entry written, if the channel is durable, or else a
    /// changed roster and a further reservation of seqs.
    pub(super) fn note_append(&self, state: &mut State) {
        let (Some(kept), Some(disk)) = (self.kept(), state.extra.disk_mut()) else { return };
        if !disk.durable {
            let is_near_end = state.log.head() + SEQS_RESERVED / 2 > disk.extent.last_seq;
            if (is_near_end || !disk.changes.is_empty())
                && !disk.noted.as_ref().is_some_and(Ticket::is_open)
                && let Some(me) = kept.me.upgrade()
            {
                disk.noted = Some(kept.store.note(me));
            }
            return;
        }
        let last = state.log.next_chunk() - 1;
        disk.waiting_bytes += state.log.chunk(last).map_or(0, |chunk| chunk.weight());
        if disk.waiting_bytes > self.rules().log_bytes {
            self.close_for_disk();
        }
        if !disk.ticket.as_ref().is_some_and(Ticket::is_open)
            && let Some(me) = kept.me.upgrade()
        {
            let last_seq = state.log.chunk(last).map_or(0, |chunk| chunk.first_seq - 1);
            disk.ticket_from = Edge { end_chunk: last, last_seq };
            disk.ticket = Some(kept.store.dirty(me));
        }
    }

    /// Tells the store that the channel has been removed. Members that have yet to
    /// hear of that are among the leavers.
    pub(super) fn note_end(&self, state: &mut State, end: u64) {
        let (Some(kept), Some(disk)) = (self.kept(), state.extra.disk_mut()) else { return };
        kept.dropped.store(true, Ordering::SeqCst);
        if let Some(me) = kept.me.upgrade() {
            let ticket = kept.store.drop_channel(me, &self.name, end);
            // What was appended before goes with the ticket that was given for it.
            if disk.ticket.as_ref().is_none_or(|before| before.number() < ticket.number()) {
                disk.ticket_from = state.log.end();
            }
            disk.ticket = Some(ticket);
        }
    }
}

/// The fault for a channel that takes no more because of the store, and why.
pub fn unavailable(reason: &str) -> Fault {
    Fault::new(Code::Unavailable, reason)
}

impl Source for Channel {
    fn id(&self) -> ChannelId {
        self.kept().map_or(0, |kept| kept.id)
    }

    fn offers(&self, first_seq: u64) {
        if let Some(disk) = self.lock().extra.disk_mut() {
            disk.offered = first_seq;
        }
    }

    fn hand_over(&self, ticket: &Ticket) -> Handover {
        let mut state = self.lock();
        let (mut handover, end) = (Handover::default(), state.log.end());
        let Some(disk) = state.extra.disk() else { return handover };
        // What a later ticket is for waits for that ticket's commit.
        let is_later = |later: &Ticket| disk.durable && later.number() > ticket.number();
        let is_cut = disk.ticket.as_ref().is_some_and(is_later);
        let whole = Edge { last_seq: state.extra.dropped().unwrap_or(end.last_seq), ..end };
        let visible = if is_cut { disk.ticket_from } else { whole };
        if is_cut && visible.end_chunk < disk.visible().end_chunk {
            return handover;
        }
        let is_over = state.extra.dropped().is_some();
        let changes = disk.changes.partition_point(|(seq, _)| *seq <= visible.last_seq);
        let whole_roster = !is_cut
            && !is_over
            && changes > 0
            && disk.changes_written.saturating_add(changes) > changes_few(&state.roster);
        // What this commit confirms is written, whatever has become of the channel:
        // that it is over may get to the disk later, or not at all.
        if disk.durable || !is_over {
            if disk.durable {
                let numbers = disk.visible().end_chunk..visible.end_chunk;
                let chunk = |number| Some((number, state.log.chunk(number)?.clone()));
                handover.chunks = numbers.filter_map(chunk).collect();
            } else if end.last_seq + SEQS_RESERVED / 2 > disk.extent.last_seq {
                handover.reserve = Some(end.last_seq + SEQS_RESERVED);
            }
            handover.changes = disk.changes[..changes].to_vec();
            handover.roster = whole_roster.then(|| state.roster_record());
        }
        if let Some(disk) = state.extra.disk_mut() {
            disk.handed = Some(Handed { ticket: ticket.clone(), visible, changes, whole_roster });
        }
        handover
    }

    fn settled(&self, extent: Option<Extent>) {
        let mut state = self.lock();
        if extent.is_none() && self.is_durable() && self.is_throttled() {
            // The store failed, nobody knows until when: publishers go on, and are told.
            self.open(&mut state);
        }
        let State { log, extra, .. } = &mut *state;
        let Some(disk) = extra.disk_mut() else { return };
        let Some(handed) = disk.handed.take() else { return };
        let Some(extent) = extent.filter(|_| handed.ticket.is_done()) else { return };
        (disk.extent, disk.visible) = (extent, handed.visible);
        disk.changes.drain(..handed.changes);
        let written = disk.changes_written.saturating_add(handed.changes);
        disk.changes_written = if handed.whole_roster { 0 } else { written };
        if !disk.durable || disk.visible.end_chunk == log.next_chunk() {
            // Whatever failed before is on disk now; without durability, entries
            // need not be.
            disk.ticket = disk.ticket.take().filter(|ticket| ticket.outcome().is_none());
        }
        let weights = (disk.visible.end_chunk..log.next_chunk()).filter_map(|n| log.chunk(n));
        disk.waiting_bytes = weights.map(|chunk| chunk.weight()).sum();
        let is_relieved = disk.durable && disk.waiting_bytes <= self.rules().log_bytes / 2;
        if is_relieved && self.is_throttled() {
            self.open(&mut state);
        }
        self.drop_written(&mut state);
        let leavers = state.extra.get().map_or_else(Vec::new, |extra| extra.leavers.clone());
        drop(state);
        self.wake();
        for leaver in leavers {
            leaver.notify();
        }
    }
}

#[cfg(test)]
#[path = "durable_tests.rs"]
mod tests;
