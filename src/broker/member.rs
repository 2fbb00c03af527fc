//! One client's place on one channel, as channel and session share it.

use super::channel::Channel;
use super::directory::Client;
use crate::log::{Body, Chunk, Cursor};
use crate::moment::Second;
use crate::roster::Key;
use once_cell::race::OnceBox;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The end of a member that has not left: it does not stop reading anywhere.
const OPEN_END: u64 = u64::MAX;
/// The position of an absent member: nobody waits for it to read what comes.
const BEYOND: u64 = u64::MAX;
/// Nothing is kept for this member beyond what it has yet to read.
const NOTHING: u64 = u64::MAX;
/// In place of the end of an absence, for a member that is not away: no absence
/// lasts that long.
const PRESENT: u64 = u64::MAX;

/// What a client is in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// With a rank.
    Member,
    /// Without one.
    Observer,
    /// Without one, because a pattern matches, and not by a `sub` of this very
    /// channel.
    PatternObserver,
}

impl Role {
    /// Whether it is without a rank.
    pub fn is_observer(self) -> bool {
        self != Role::Member
    }
}

/// A subscription: a member with a rank, or an observer.
#[derive(Debug)]
pub struct Member {
    /// Whose it is.
    pub client: Arc<Client>,
    /// Its number among the client's subscriptions.
    pub slot: u32,
    /// Its handle in the channel, and in the roster if it has a rank.
    pub key: Key,
    /// Its role there.
    pub role: Role,
    /// Whether it gets what it publishes itself.
    pub echo: bool,
    /// The seq at which it came: of its `join` entry, or of the last entry
    /// before it.
    pub joined: u64,
    /// When it came.
    pub since: Second,
    /// Whether the session knows that there is news, and has yet to look.
    queued: AtomicBool,
    /// The first chunk that it has not got.
    position: AtomicU64,
    /// When it last got something, in milliseconds of the broker's clock.
    progressed_ms: AtomicU64,
    fate: OnceBox<Fate>,
    /// Whether publishers wait for it to catch up. Only changed under the channel's
    /// lock.
    throttles: AtomicBool,
}

/// State that is needed only for a member that has left, is away, may go away, or
/// is too slow. Boxed, because most are just here; no
/// [`Rare`](crate::rare::Rare), because others read it while it is made.
#[derive(Debug)]
struct Fate {
    /// Whether the log dropped entries that it had yet to read, and it has got
    /// nothing since.
    left_behind: AtomicBool,
    /// The seq of the last entry that it gets.
    end: AtomicU64,
    /// The last seq that it is known to have: a resumed session goes on there.
    seen: AtomicU64,
    /// The first chunk that is kept in case its session is resumed.
    kept: AtomicU64,
    /// When its seat is given up, for one whose connection is lost.
    away_until_ms: AtomicU64,
    /// Whether its seat is held only because its client was sent away.
    lent: AtomicBool,
    /// Whether it was removed because its connection was lost: its session may
    /// bring it back.
    lost: AtomicBool,
}

impl Member {
    /// A member with a rank, which came at the seq `joined` and has got nothing
    /// yet.
    pub(super) fn new(client: Arc<Client>, slot: u32, key: Key, joined: u64) -> Self {
        Member {
            client,
            slot,
            key,
            role: Role::Member,
            echo: true,
            joined,
            since: Second::now(),
            queued: AtomicBool::new(false),
            position: AtomicU64::new(0),
            progressed_ms: AtomicU64::new(0),
            throttles: AtomicBool::new(false),
            fate: OnceBox::new(),
        }
    }

    /// Whether it is without a rank.
    pub fn is_observer(&self) -> bool {
        self.role.is_observer()
    }

    /// Whether a pattern made it.
    pub fn by_pattern(&self) -> bool {
        self.role == Role::PatternObserver
    }

    /// Sets whether publishers wait for it; returns whether they did. To be called
    /// under the channel's lock.
    pub(super) fn set_throttles(&self, throttles: bool) -> bool {
        self.throttles.swap(throttles, Ordering::SeqCst)
    }

    /// Whether publishers wait for it; without the channel's lock, that may just
    /// have changed.
    pub(super) fn throttles(&self) -> bool {
        self.throttles.load(Ordering::SeqCst)
    }

    /// Its fate, which is made when there is something to note in it.
    fn fate(&self) -> &Fate {
        self.fate.get_or_init(|| {
            Box::new(Fate {
                left_behind: AtomicBool::new(false),
                end: AtomicU64::new(OPEN_END),
                seen: AtomicU64::new(self.joined),
                kept: AtomicU64::new(NOTHING),
                away_until_ms: AtomicU64::new(PRESENT),
                lent: AtomicBool::new(false),
                lost: AtomicBool::new(false),
            })
        })
    }

    /// The last seq that it is known to have.
    pub fn seen(&self) -> u64 {
        self.fate.get().map_or(self.joined, |fate| fate.seen.load(Ordering::SeqCst))
    }

    /// Notes that it has everything up to this seq.
    pub(super) fn has_seen(&self, seq: u64) {
        if seq != self.seen() {
            self.fate().seen.store(seq, Ordering::SeqCst);
        }
    }

    /// The first chunk that is kept in case its session is resumed, if any is.
    pub fn kept(&self) -> Option<u64> {
        let kept = self.fate.get().map(|fate| fate.kept.load(Ordering::SeqCst));
        kept.filter(|chunk| *chunk != NOTHING)
    }

    /// Keeps what comes from this chunk on, in case its session is resumed; nothing
    /// for `None`.
    pub(super) fn keep_from(&self, chunk: Option<u64>) {
        if chunk != self.kept() {
            self.fate().kept.store(chunk.unwrap_or(NOTHING), Ordering::SeqCst);
        }
    }

    /// Marks it as away: its connection is lost, and its seat is held until this
    /// time. The seat is `lent` if the channel's rules would not hold it.
    pub(super) fn go_away(&self, until_ms: u64, lent: bool) {
        let fate = self.fate();
        fate.lent.store(lent, Ordering::SeqCst);
        fate.away_until_ms.store(until_ms, Ordering::SeqCst);
    }

    /// Whether its seat is held only because its client was sent away.
    pub fn is_lent(&self) -> bool {
        self.fate.get().is_some_and(|fate| fate.lent.load(Ordering::SeqCst))
    }

    /// Marks it as back in its seat.
    pub(super) fn come_back(&self) {
        if let Some(fate) = self.fate.get() {
            fate.away_until_ms.store(PRESENT, Ordering::SeqCst);
        }
    }

    /// Until when its seat is held, if its connection is lost.
    pub fn away_until_ms(&self) -> Option<u64> {
        let until_ms = self.fate.get().map(|fate| fate.away_until_ms.load(Ordering::SeqCst));
        until_ms.filter(|until_ms| *until_ms != PRESENT)
    }

    /// Notes that it leaves because its connection was lost.
    pub(super) fn lose(&self) {
        self.fate().lost.store(true, Ordering::SeqCst);
    }

    /// Whether it left because its connection was lost.
    pub fn is_lost(&self) -> bool {
        self.fate.get().is_some_and(|fate| fate.lost.load(Ordering::SeqCst))
    }

    /// Notes that nobody reads for it until its session is resumed.
    pub(super) fn stop_reading(&self) {
        self.position.store(BEYOND, Ordering::SeqCst);
    }

    /// Notes that there is news; returns whether the session must be told.
    pub fn queue(&self) -> bool {
        // Most members are awake already: look before writing, so that their
        // cache line stays where it is.
        !self.queued.load(Ordering::SeqCst) && !self.queued.swap(true, Ordering::SeqCst)
    }

    /// Notes that the session looks now: what comes from here on is news again.
    pub fn dequeue(&self) {
        self.queued.store(false, Ordering::SeqCst);
    }

    /// The first chunk that it has not got.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::SeqCst)
    }

    /// Notes that it has got everything before this chunk, and, if `wrote`,
    /// something just now, even if that was only a part of the chunk.
    pub fn advance(&self, chunk: u64, wrote: bool, now_ms: u64) {
        let before = self.position.swap(chunk, Ordering::SeqCst);
        // Being looked at is no progress, nor is a gap: a client that talks but
        // does not read is looked at often.
        if wrote || before != chunk && !self.is_left_behind() {
            self.progressed_ms.store(now_ms, Ordering::Relaxed);
        }
        if let Some(fate) = self.fate.get().filter(|_| wrote) {
            fate.left_behind.store(false, Ordering::Relaxed);
        }
    }

    /// Notes that the log dropped what it was to read next: its place is now
    /// further on.
    pub(super) fn leave_behind(&self) {
        self.fate().left_behind.store(true, Ordering::Relaxed);
    }

    /// Whether the log dropped entries that it had yet to read, and it has got
    /// nothing since.
    pub fn is_left_behind(&self) -> bool {
        self.fate.get().is_some_and(|fate| fate.left_behind.load(Ordering::Relaxed))
    }

    /// When it last got something.
    pub fn progressed_ms(&self) -> u64 {
        self.progressed_ms.load(Ordering::Relaxed)
    }

    /// The seq of the last entry that it gets.
    pub fn end(&self) -> u64 {
        self.fate.get().map_or(OPEN_END, |fate| fate.end.load(Ordering::SeqCst))
    }

    /// Notes that it gets nothing after this seq.
    pub fn end_at(&self, seq: u64) {
        self.fate().end.fetch_min(seq, Ordering::SeqCst);
    }

    /// Whether it has left, and only reads what is still due to it.
    pub fn has_left(&self) -> bool {
        self.end() != OPEN_END
    }

    /// Whether a chunk is for it, given its `rank` before that chunk: a command is
    /// for those who were below its sender, and for observers.
    pub fn may_see(&self, chunk: &Chunk, rank: u32) -> bool {
        match chunk.body {
            Body::Command { .. } if self.is_observer() => true,
            Body::Command { rank: sender, to } => {
                chunk.first_seq > self.joined && to.map_or(sender < rank, |to| to == self.client.id)
            }
            _ => true,
        }
    }

    /// Tells its connection that there is news, if it does not know yet.
    pub fn notify(&self) {
        if self.queue() {
            self.client.mailbox.news(self.slot);
        }
    }
}

/// A new subscription, and where it begins to read.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// The channel.
    pub channel: Arc<Channel>,
    /// The member.
    pub member: Arc<Member>,
    /// The first place to read.
    pub cursor: Cursor,
    /// The first seq that is due; what is gone from there on will be a gap.
    pub next_seq: u64,
    /// The rank at which it came in; 0 for an observer.
    pub rank: u32,
    /// The first and the last seq of what it has asked for before that and never
    /// gets.
    pub lost: Option<(u64, u64)>,
}
