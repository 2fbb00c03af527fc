//! One client's place on one channel, as channel and session share it.

use super::channel::Channel;
use super::directory::Client;
use crate::log::{Body, Chunk, Cursor};
use crate::moment::Second;
use crate::roster::Key;
use once_cell::race::OnceBox;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Where a member that has not left stops reading: nowhere.
const OPEN_END: u64 = u64::MAX;
/// The place of an absent member: nothing that comes is waited with for it.
const BEYOND: u64 = u64::MAX;
/// Nothing is kept for this member beyond what it has yet to read.
const NOTHING: u64 = u64::MAX;
/// Nobody is away for good, so this is no time.
const PRESENT: u64 = u64::MAX;

/// As what someone is in a channel.
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
    /// Whether that is without a rank.
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
    /// As what it is there.
    pub role: Role,
    /// Whether it gets what it publishes itself.
    pub echo: bool,
    /// The seq at which it came: of its `join` entry, or of the last entry
    /// before it.
    pub joined: u64,
    /// When that was.
    pub since: Second,
    /// The session knows that there is news, and has yet to look.
    queued: AtomicBool,
    /// The first chunk that it has not got.
    position: AtomicU64,
    /// When it last got something, in milliseconds of the broker's clock.
    progressed_ms: AtomicU64,
    fate: OnceBox<Fate>,
    /// Publishers wait for it to catch up. Only changed under the channel's lock.
    throttles: AtomicBool,
}

/// What becomes of a member that has left, is away, or may be, or that is too
/// slow. Boxed, because most are just here.
#[derive(Debug)]
struct Fate {
    /// The log has gone past it, and it has got nothing since.
    left_behind: AtomicBool,
    /// The seq of the last entry that it gets.
    end: AtomicU64,
    /// The last seq that it is known to have: a resumed session goes on there.
    seen: AtomicU64,
    /// The first chunk that is kept in case its session is resumed.
    kept: AtomicU64,
    /// When its seat is given up, for one whose connection is lost.
    away_until_ms: AtomicU64,
    /// Its seat is held because its client was sent away, and for no other
    /// reason.
    lent: AtomicBool,
    /// It was removed because its connection was lost: its session may bring it
    /// back.
    lost: AtomicBool,
}

impl Member {
    /// A member with a rank that reads from this place on.
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

    /// Publishers wait for it from now on, or do not; whether they did. To be
    /// called under the channel's lock.
    pub(super) fn set_throttles(&self, throttles: bool) -> bool {
        self.throttles.swap(throttles, Ordering::SeqCst)
    }

    /// Whether they do; without the channel's lock it may just have changed.
    pub(super) fn throttles(&self) -> bool {
        self.throttles.load(Ordering::SeqCst)
    }

    /// What has to be noted of it that need not be of most.
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

    /// It has everything up to this seq.
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

    /// What comes from this chunk on is kept in case its session is resumed.
    pub(super) fn keep_from(&self, chunk: Option<u64>) {
        if chunk != self.kept() {
            self.fate().kept.store(chunk.unwrap_or(NOTHING), Ordering::SeqCst);
        }
    }

    /// Its connection is lost, and its seat is held until then: `lent` to it, if
    /// the channel's rules do not hold it.
    pub(super) fn go_away(&self, until_ms: u64, lent: bool) {
        let fate = self.fate();
        fate.lent.store(lent, Ordering::SeqCst);
        fate.away_until_ms.store(until_ms, Ordering::SeqCst);
    }

    /// Whether its seat is held only because its client was sent away.
    pub fn is_lent(&self) -> bool {
        self.fate.get().is_some_and(|fate| fate.lent.load(Ordering::SeqCst))
    }

    /// It is back in its seat.
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

    /// It leaves because its connection was lost.
    pub(super) fn lose(&self) {
        self.fate().lost.store(true, Ordering::SeqCst);
    }

    /// Whether it left because its connection was lost.
    pub fn is_lost(&self) -> bool {
        self.fate.get().is_some_and(|fate| fate.lost.load(Ordering::SeqCst))
    }

    /// Nobody reads for it until its session is resumed.
    pub(super) fn stop_reading(&self) {
        self.position.store(BEYOND, Ordering::SeqCst);
    }

    /// Notes that there is news; whether the session must be told.
    pub fn queue(&self) -> bool {
        // Most members are awake already: look before writing, so that their
        // cache line stays where it is.
        !self.queued.load(Ordering::SeqCst) && !self.queued.swap(true, Ordering::SeqCst)
    }

    /// The session looks now: what comes from here on is news again.
    pub fn dequeue(&self) {
        self.queued.store(false, Ordering::SeqCst);
    }

    /// The first chunk that it has not got.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::SeqCst)
    }

    /// It has got everything before this chunk, and something just now if
    /// `wrote` says so, be it a part of the chunk only.
    pub fn advance(&self, chunk: u64, wrote: bool, now_ms: u64) {
        let before = self.position.swap(chunk, Ordering::SeqCst);
        // To be looked at is no progress, nor is a gap: one that talks and does
        // not read is looked at often.
        if wrote || before != chunk && !self.is_left_behind() {
            self.progressed_ms.store(now_ms, Ordering::Relaxed);
        }
        if let Some(fate) = self.fate.get().filter(|_| wrote) {
            fate.left_behind.store(false, Ordering::Relaxed);
        }
    }

    /// The log has gone past its place, which is now further on.
    pub(super) fn leave_behind(&self) {
        self.fate().left_behind.store(true, Ordering::Relaxed);
    }

    /// Whether the log has gone past it, and it has got nothing since.
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

    /// It gets nothing after this seq.
    pub fn end_at(&self, seq: u64) {
        self.fate().end.fetch_min(seq, Ordering::SeqCst);
    }

    /// Whether it has left, and only reads what is still due to it.
    pub fn has_left(&self) -> bool {
        self.end() != OPEN_END
    }

    /// Whether this chunk, before which it had `rank`, is for it: a command is
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
    /// The first seq that is due; what is gone of it will be a gap.
    pub next_seq: u64,
    /// The rank at which it came in; 0 for an observer.
    pub rank: u32,
    /// What it has asked for before that, and never gets: the first and the last
    /// seq.
    pub lost: Option<(u64, u64)>,
}
