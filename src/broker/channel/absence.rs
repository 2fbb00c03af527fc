//! Members whose connection is lost: whether their seat is held, what is kept
//! for them, and how they come back.

use super::{Channel, Standing, State};
use crate::broker::mailbox::Forgone;
use crate::broker::member::{Adopted, Member};
use crate::broker::remembered::put_place;
use crate::error::{Code, Fault};
use crate::log::Departure;
use crate::moment::millis;
use crate::request::OnClose;
use std::sync::Arc;

/// What becomes of a member whose connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its seat is held.
    Held {
        /// Until when, in milliseconds of the broker's clock.
        until_ms: u64,
    },
    /// It has left.
    Left,
    /// It had no seat, or has left before.
    Nothing,
}

/// How long a lost member's seat and entries are kept, besides the channel's own
/// rules.
#[derive(Clone, Copy, Debug)]
pub struct Hold {
    /// When its holder cannot believe in the seat any more: a `safe` channel holds
    /// it at least until then.
    pub lease_over_ms: u64,
    /// Until when any channel holds it; 0 if only the channel's own rules hold it.
    pub until_ms: u64,
    /// Whether its session may be resumed, so that what it has not got is kept.
    pub may_return: bool,
}

/// What a member that comes back finds.
#[derive(Clone, Debug)]
pub struct Return {
    /// Where it goes on.
    pub adopted: Adopted,
    /// Where it stands; `None` for an observer and for one that has left.
    pub standing: Option<Standing>,
    /// How many entries that it has not got are gone.
    pub missed: u64,
}

impl Channel {
    /// Handles the loss of a member's connection. Its seat is held as long as the
    /// channel says (for its hold time, and on a `safe` channel until the lease is
    /// over), or longer if `hold` says so.
    pub fn lose(&self, member: &Arc<Member>, why: Departure, hold: Hold, now_ms: u64) -> Loss {
        let mut state = self.lock();
        if self.present(&state, member).is_err() || member.away_until_ms().is_some() {
            return Loss::Nothing;
        }
        if hold.may_return && member.kept().is_none() {
            member.keep_from(Some(member.position()));
        }
        if member.is_observer() {
            return Loss::Nothing;
        }
        let held_ms = now_ms + millis(self.settings().hold);
        let until_ms = match self.settings().on_close {
            OnClose::Fast => held_ms,
            OnClose::Safe => held_ms.max(hold.lease_over_ms),
        };
        let is_lent = until_ms <= now_ms;
        let until_ms = until_ms.max(hold.until_ms);
        if until_ms > now_ms {
            member.go_away(until_ms, is_lent);
            if state.roster.rank(member.key) == Some(0) {
                self.rules().stats.vacant(&self.name, now_ms);
            }
            return Loss::Held { until_ms };
        }
        self.give_up(&mut state, member, why, now_ms);
        Loss::Left
    }

    /// Gives up a held seat whose time is up, unless its member came back; returns
    /// whether the member has left now.
    pub fn end_hold(&self, member: &Member, why: Departure, at_ms: u64, now_ms: u64) -> bool {
        let mut state = self.lock();
        let is_due = member.away_until_ms() == Some(at_ms) && self.present(&state, member).is_ok();
        if is_due {
            self.give_up(&mut state, member, why, now_ms);
        }
        is_due
    }

    /// Puts a member back into the seat that is held for it, unless that was given
    /// up.
    pub fn stay(&self, member: &Member, now_ms: u64) {
        let state = self.lock();
        if self.present(&state, member).is_ok() {
            self.reseat(&state, member, now_ms);
        }
    }

    fn reseat(&self, state: &State, member: &Member, now_ms: u64) {
        if self.is_absent_top(state, member) {
            self.rules().stats.filled(&self.name, now_ms);
        }
        member.come_back();
    }

    fn give_up(&self, state: &mut State, member: &Member, why: Departure, now_ms: u64) {
        member.lose();
        member.end_at(state.log.head());
        self.remove(state, member, why, now_ms);
    }

    /// Stops reading for this member, and waiting for it, until its session is
    /// resumed. If the session may be resumed, what was not sent yet is kept.
    pub fn stop_reading(&self, member: &Member, may_return: bool) {
        let state = self.lock();
        if may_return && member.kept().is_none() && self.present(&state, member).is_ok() {
            member.keep_from(Some(member.position()));
        }
        drop(state);
        member.stop_reading();
        self.progressed(member);
    }

    /// Brings back a member whose session is resumed: it goes on after `seen`, in
    /// the seat that was held for it or, if it has left, with what is still due to
    /// it. Returns `None` if its seat was given up because its connection was lost:
    /// then it has to join again.
    pub fn come_back(
        self: &Arc<Self>,
        member: &Arc<Member>,
        seen: u64,
        now_ms: u64,
    ) -> Option<Return> {
        let state = self.lock();
        (!member.is_lost()).then(|| self.take_up(&state, member, seen, now_ms))
    }

    fn take_up(
        self: &Arc<Self>,
        state: &State,
        member: &Arc<Member>,
        seen: u64,
        now_ms: u64,
    ) -> Return {
        let seen = seen.min(state.log.head());
        let cursor = state.log.seek(seen + 1);
        self.reseat(state, member, now_ms);
        member.has_seen(seen);
        member.keep_from(member.kept().map(|_| cursor.chunk));
        member.advance(cursor.chunk, true, now_ms);
        let rank = state.rank_at(member, cursor.chunk);
        let is_here = self.present(state, member).is_ok();
        let standing = state.standing(member.key).filter(|_| is_here && !member.is_observer());
        let missed = state.missed_by(member, seen + 1);
        let (channel, member, next_seq) = (self.clone(), member.clone(), seen + 1);
        let adopted = Adopted { channel, member, cursor, next_seq, rank, lost: None };
        Return { adopted, standing, missed }
    }

    /// Lets a member that was lost and cannot join again read to its end: up to its
    /// own `left` or, if the channel has ended meanwhile, up to that end. It is no
    /// member any more, so the commands among these entries are not for it.
    pub fn see_out(self: &Arc<Self>, member: &Member, slot: u32, seen: u64, now_ms: u64) -> Return {
        let mut state = self.lock();
        let left = (member.end() + 1).min(state.log.head());
        let end = state.extra.dropped().unwrap_or(left);
        let mut leaver = Member::new(member.client.clone(), slot, member.key, end);
        leaver.echo = member.echo;
        leaver.end_at(end);
        let leaver = Arc::new(leaver);
        state.extra.parts().leavers.push(leaver.clone());
        self.take_up(&state, &leaver, seen, now_ms)
    }

    /// Whether this is the member with rank 0, and away.
    fn is_absent_top(&self, state: &State, member: &Member) -> bool {
        member.away_until_ms().is_some()
            && state.roster.rank(member.key) == Some(0)
            && self.present(state, member).is_ok()
    }

    /// How many entries from this seq on a member does not get, because they are
    /// gone.
    pub fn missed_by(&self, member: &Member, seq: u64) -> u64 {
        self.lock().missed_by(member, seq)
    }

    /// What a member that has left never gets if it reads no more, from this seq on.
    pub fn forgone(&self, member: &Member, from: u64, rank: Option<u32>) -> Forgone {
        let end = member.end();
        let dropped = self.lock().extra.dropped().filter(|seq| *seq == end);
        let last = end - u64::from(dropped.is_some());
        Forgone { entries: (from <= last).then_some((from, last)), dropped, rank }
    }

    /// Notes that a member has everything up to this seq, also for a restart; what
    /// comes after it is kept in case the session is resumed.
    ///
    /// # Errors
    /// [`Code::NotMember`]; [`Code::BadRequest`] for a seq that does not exist yet,
    /// so that a client that counts wrong is not taken to have what is yet to come.
    pub fn note_seen(&self, member: &Member, seq: u64) -> Result<(), Fault> {
        let state = self.lock();
        self.present(&state, member)?;
        let head = state.log.head();
        if seq > head {
            let text = format!("{} has nothing up to {seq} yet: its last seq is {head}", self.name);
            return Err(Fault::new(Code::BadRequest, text));
        }
        let before = member.seen();
        let seq = seq.max(before);
        if seq > before {
            member.has_seen(seq);
            // Under the lock and while the member is here, as is the forgetting of
            // its place.
            if let Some(kept) = self.kept() {
                put_place(&kept.store, self, member);
            }
        }
        if member.client.identity().is_some() {
            member.keep_from(Some(state.log.seek(seq + 1).chunk));
        }
        Ok(())
    }
}

impl State {
    fn missed_by(&self, member: &Member, seq: u64) -> u64 {
        self.first_kept().min(member.end().saturating_add(1)).saturating_sub(seq)
    }
}
