//! Members whose connection is lost: whether their seat is held, what is kept
//! for them, and how they come back.

use super::{Channel, Standing, State};
use crate::broker::member::{Adopted, Member};
use crate::error::Fault;
use crate::log::Departure;
use crate::request::OnClose;
use std::sync::Arc;

/// What becomes of a member whose connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its seat is held until then.
    Held {
        /// When, in milliseconds of the broker's clock.
        until_ms: u64,
    },
    /// It has left.
    Left,
    /// It had no seat, or has left before.
    Nothing,
}

/// What a member finds that comes back.
#[derive(Clone, Debug)]
pub struct Return {
    /// Where it goes on.
    pub adopted: Adopted,
    /// Where it stands; `None` for an observer and for one that has left.
    pub standing: Option<Standing>,
    /// Entries that it has not got and that are gone.
    pub missed: u64,
}

impl Channel {
    /// A member's connection is lost. Its seat is held as long as the channel
    /// says: for its hold time, and on a `safe` channel until `lease_over_ms`,
    /// when its holder cannot believe in it any more. What it has not got is
    /// kept if it has a session, and so `may_return`.
    pub fn lose(
        &self,
        member: &Arc<Member>,
        why: Departure,
        lease_over_ms: u64,
        may_return: bool,
        now_ms: u64,
    ) -> Loss {
        let mut state = self.lock();
        if self.present(&state, member).is_err() || member.away_until_ms().is_some() {
            return Loss::Nothing;
        }
        if may_return && member.kept().is_none() {
            member.keep_from(Some(member.position()));
        }
        if member.observer {
            return Loss::Nothing;
        }
        let held_ms = now_ms + u64::try_from(self.settings().hold.as_millis()).unwrap_or(0);
        let until_ms = match self.settings().on_close {
            OnClose::Fast => held_ms,
            OnClose::Safe => held_ms.max(lease_over_ms),
        };
        if until_ms > now_ms {
            member.go_away(until_ms);
            return Loss::Held { until_ms };
        }
        self.give_up(&mut state, member, why, now_ms);
        Loss::Left
    }

    /// The time of a held seat is up, unless its member came back; whether it
    /// has left now.
    pub fn end_hold(&self, member: &Member, why: Departure, at_ms: u64, now_ms: u64) -> bool {
        let mut state = self.lock();
        let is_due = member.away_until_ms() == Some(at_ms) && self.present(&state, member).is_ok();
        if is_due {
            self.give_up(&mut state, member, why, now_ms);
        }
        is_due
    }

    /// A member whose seat is held is back in it, unless it was given up.
    pub fn stay(&self, member: &Member) {
        let state = self.lock();
        if self.present(&state, member).is_ok() {
            member.come_back();
        }
    }

    fn give_up(&self, state: &mut State, member: &Member, why: Departure, now_ms: u64) {
        member.lose();
        member.end_at(state.log.head());
        self.remove(state, member, why, now_ms);
    }

    /// Nobody reads for this member until its session is resumed: nobody waits
    /// for it either.
    pub fn stop_reading(&self, member: &Member) {
        let before = member.stop_reading();
        self.progressed(member, before, member.position());
    }

    /// A member's session is resumed: it goes on behind `seen`, in the seat that
    /// was held for it, or, if it has left, with what is still due to it.
    pub fn come_back(self: &Arc<Self>, member: &Arc<Member>, seen: u64, now_ms: u64) -> Return {
        let state = self.lock();
        let seen = seen.min(state.log.head());
        let cursor = state.log.seek(seen + 1);
        member.come_back();
        member.has_seen(seen);
        member.keep_from(member.kept().map(|_| cursor.chunk));
        member.advance(cursor.chunk, true, now_ms);
        let rank = state.rank_at(member, cursor.chunk);
        let is_here = self.present(&state, member).is_ok();
        let standing = state.standing(member.key).filter(|_| is_here && !member.observer);
        let missed = state.first_kept().saturating_sub(seen + 1);
        let (channel, member, next_seq) = (self.clone(), member.clone(), seen + 1);
        let adopted = Adopted { channel, member, cursor, next_seq, rank };
        Return { adopted, standing, missed }
    }

    /// The seq of the last entry.
    pub fn last_seq(&self) -> u64 {
        self.lock().log.head()
    }

    /// How many entries from this seq on are gone.
    pub fn missed_from(&self, seq: u64) -> u64 {
        self.lock().first_kept().saturating_sub(seq)
    }

    /// A member has everything up to this seq; what comes after it is kept in
    /// case its session is resumed. Gives the seq, which is never beyond the
    /// last entry.
    ///
    /// # Errors
    /// [`crate::error::Code::NotMember`].
    pub fn note_seen(&self, member: &Member, seq: u64) -> Result<u64, Fault> {
        let state = self.lock();
        self.present(&state, member)?;
        let seq = seq.min(state.log.head()).max(member.seen());
        member.has_seen(seq);
        if member.client.identity().is_some() {
            member.keep_from(Some(state.log.seek(seq + 1).chunk));
        }
        Ok(seq)
    }
}
