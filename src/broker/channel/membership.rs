//! Who comes, who goes, who moves: the roster's changes.

use super::{Channel, Standing, State, not_member};
use crate::broker::directory::Client;
use crate::broker::member::{Adopted, Member, Role};
use crate::broker::remembered::{put_place, put_session_with, remove_place};
use crate::error::{Code, Fault};
use crate::log::{Body, Cursor, Departure, Position};
use crate::request::Start;
use crate::roster::Change;
use std::sync::Arc;

/// How a client comes in.
#[derive(Clone, Copy, Debug)]
pub struct Entrance<'a> {
    /// Where it begins to read.
    pub start: Start,
    /// Its role.
    pub role: Role,
    /// Whether it gets what it publishes itself.
    pub echo: bool,
    /// The observer that it was until now.
    pub replaces: Option<&'a Member>,
    /// Whether its session is resumed: then it goes on wherever the log still
    /// reaches, however little the channel offers to newcomers, and sees its own
    /// `join`.
    pub returns: bool,
    /// Whether what it is not known to have is kept in case its session is resumed.
    pub keeps: bool,
    /// The patterns of its session, if it comes here by a request of its own: then
    /// they are noted, with this as the session's current channel from now on.
    pub patterns: Option<&'a [Arc<glob::Pattern>]>,
}

impl Entrance<'_> {
    /// How a member that begins to read here comes in.
    pub fn at(start: Start) -> Self {
        Entrance {
            start,
            role: Role::Member,
            echo: true,
            replaces: None,
            returns: false,
            keeps: false,
            patterns: None,
        }
    }
}

impl Channel {
    /// Adds a client: at the bottom of the roster, or as an observer. Returns its
    /// subscription, its standing, and the seq of the last entry.
    ///
    /// # Errors
    /// [`Code::NoChannel`] for a channel that was removed, [`Code::Full`],
    /// [`Code::Unavailable`] if the store takes no more.
    pub fn join(
        self: &Arc<Self>,
        client: &Arc<Client>,
        slot: u32,
        entrance: Entrance<'_>,
        now_ms: u64,
    ) -> Result<(Adopted, Standing, u64), Fault> {
        self.drop_aged(now_ms);
        let mut state = self.lock();
        self.alive(&state)?;
        self.accepts(&state)?;
        let replaced = entrance.replaces.filter(|old| self.present(&state, old).is_ok());
        let places = self.settings().members_max.map_or(usize::MAX, |max| max as usize);
        let places = places.min(self.rules().members_max);
        if state.seats.len() - usize::from(replaced.is_some()) >= places {
            return Err(Fault::new(
                Code::Full,
                format!("{} has all its {places} members", self.name),
            ));
        }
        if let Some(old) = replaced {
            old.end_at(state.log.head());
            self.vacate(&mut state, old);
        }
        let (mut cursor, mut next_seq, lost) = self.entry_point(&state, entrance, now_ms);
        let observes = entrance.role.is_observer();
        let joined = state.log.head() + u64::from(!observes);
        if next_seq == joined && !observes && !entrance.returns {
            // Skips its own `join`, which is about to be appended: the reply tells
            // of it.
            (cursor.chunk, next_seq) = (cursor.chunk + 1, joined + 1);
        }
        let key = state.seats.vacant_key();
        let mut member = Member::new(client.clone(), slot, key, joined);
        (member.role, member.echo) = (entrance.role, entrance.echo);
        member.advance(cursor.chunk, true, now_ms);
        member.has_seen(lost.map_or(next_seq, |(from, _)| from) - 1);
        member.keep_from(entrance.keeps.then_some(cursor.chunk));
        let member = Arc::new(member);
        state.seats.insert(member.clone());
        // Noted before its `join`, which is thus never on disk without its place,
        // nor without the session that it belongs to.
        if let Some(kept) = self.kept() {
            if let Some(patterns) = entrance.patterns {
                put_session_with(&kept.store, client, patterns, Some(&self.name));
            }
            put_place(&kept.store, self, &member);
        }
        if !observes {
            let change = state.roster.join(key, joined);
            self.append_change(&mut state, client, change, None, now_ms);
        }
        let standing = state.standing(key).unwrap_or(Standing {
            rank: 0,
            term: 0,
            view: state.roster.view(),
            members: state.roster.len(),
        });
        let rank = standing.rank;
        let adopted = Adopted { channel: self.clone(), member, cursor, next_seq, rank, lost };
        Ok((adopted, standing, state.log.head()))
    }

    /// Where reading begins, and the first seq that is due there; then what was
    /// asked for before that and is not offered to newcomers, though it may be
    /// there for others.
    fn entry_point(
        &self,
        state: &State,
        entrance: Entrance<'_>,
        now_ms: u64,
    ) -> (Cursor, u64, Option<(u64, u64)>) {
        let head = state.log.head();
        let first = match entrance.start {
            Start::Now => head + 1,
            _ if entrance.returns => state.first_kept(),
            _ => self.first_offered_of(state, now_ms),
        };
        let seq = match entrance.start {
            Start::Now | Start::First => first,
            Start::Seq(seq) => seq.clamp(1, head + 1),
            Start::Last(entries) => first.max((head + 1).saturating_sub(entries)),
        };
        let place = state.log.seek(seq.max(first));
        if entrance.returns || seq >= first {
            return (place, seq, None);
        }
        (place, first, Some((seq, first - 1)))
    }

    /// Removes a member, for the reason `why`. It still gets what was there before.
    ///
    /// # Errors
    /// [`Code::NotMember`] for one that has left, [`Code::NoChannel`].
    pub fn leave(&self, member: &Member, why: Departure, now_ms: u64) -> Result<(), Fault> {
        let mut state = self.lock();
        self.present(&state, member)?;
        self.forget_place(member);
        member.end_at(state.log.head());
        self.remove(&mut state, member, why, now_ms);
        Ok(())
    }

    /// Removes a member's place from the store. To be called before its `left` is
    /// appended: once that is on disk, no restart brings back a member that others
    /// were told is gone. And while the member is here, so that what is forgotten
    /// is no later place on a channel of this name.
    fn forget_place(&self, member: &Member) {
        if let (Some(kept), Some(identity)) = (self.kept(), member.client.identity()) {
            remove_place(&kept.store, identity.session, &self.name);
        }
    }

    /// Removes a member by order of one of higher rank; it gets to see that. With a
    /// view, only if that is still the roster's.
    ///
    /// # Errors
    /// [`Code::NotMember`], [`Code::NoMember`], [`Code::Rank`], or
    /// [`Code::Fenced`] for another view.
    pub fn kick(
        &self,
        superior: &Member,
        member: &Member,
        view: Option<u64>,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let mut state = self.lock();
        self.present(&state, superior)?;
        self.must_be_in(&state, view)?;
        self.subordinate(&state, superior, member)?;
        self.forget_place(member);
        member.end_at(state.log.head() + 1);
        self.remove(&mut state, member, Departure::Kicked, now_ms);
        drop(state);
        member.notify();
        Ok(())
    }

    pub(super) fn remove(&self, state: &mut State, member: &Member, why: Departure, now_ms: u64) {
        let seq = state.log.head() + 1;
        if let Some(change) = state.roster.leave(member.key, seq) {
            self.append_change(state, &member.client, change, Some(why), now_ms);
            if let Some(extra) = state.extra.get_mut() {
                extra.commands.left(&self.name, member.key, &member.client.name());
            }
        }
        self.vacate(state, member);
    }

    fn vacate(&self, state: &mut State, member: &Member) {
        let Some(leaver) = state.seats.remove(member.key) else { return };
        if leaver.set_throttles(false) {
            self.one_less_throttles(state);
        }
        let may_read = leaver.position() < state.log.next_chunk();
        if may_read || leaver.kept().is_some() {
            state.extra.note_leaver(leaver);
        }
    }

    /// Moves a member to the bottom; with a view, only if that is still the
    /// roster's.
    ///
    /// # Errors
    /// [`Code::NotMember`], also for an observer, [`Code::Fenced`] for another
    /// view, [`Code::Unavailable`] if the store takes no more.
    pub fn yield_rank(
        &self,
        member: &Member,
        view: Option<u64>,
        now_ms: u64,
    ) -> Result<Standing, Fault> {
        let mut state = self.lock();
        self.present(&state, member)?;
        self.must_be_in(&state, view)?;
        let bottom = state.roster.len().saturating_sub(1);
        self.place(&mut state, member, bottom, now_ms)
    }

    /// Moves a member to another rank, by order of rank 0; with a view, only if
    /// that is still the roster's.
    ///
    /// # Errors
    /// [`Code::NotMember`], [`Code::Rank`] for anyone but rank 0,
    /// [`Code::NoMember`], [`Code::BadRequest`] for a rank that nobody has,
    /// [`Code::Fenced`] for another view, [`Code::Unavailable`] if the store takes no
    /// more.
    pub fn promote(
        &self,
        superior: &Member,
        member: &Member,
        rank: u32,
        view: Option<u64>,
        now_ms: u64,
    ) -> Result<Standing, Fault> {
        let mut state = self.lock();
        self.present(&state, superior)?;
        self.must_be_top(&state, superior)?;
        self.must_be_in(&state, view)?;
        if member.is_observer() || self.present(&state, member).is_err() {
            return Err(self.no_member(&member.client.name()));
        }
        let members = state.roster.len();
        if rank >= members {
            let text = format!("the ranks of {} are 0 to {}", self.name, members - 1);
            return Err(Fault::new(Code::BadRequest, text));
        }
        self.place(&mut state, member, rank, now_ms)
    }

    fn place(
        &self,
        state: &mut State,
        member: &Member,
        rank: u32,
        now_ms: u64,
    ) -> Result<Standing, Fault> {
        self.accepts(state)?;
        let seq = state.log.head() + 1;
        if let Some(change) = state.roster.place(member.key, rank, seq) {
            self.append_change(state, &member.client, change, None, now_ms);
        }
        state.standing(member.key).ok_or_else(|| not_member(&self.name))
    }

    fn must_be_top(&self, state: &State, member: &Member) -> Result<(), Fault> {
        match state.roster.rank(member.key) {
            Some(0) => Ok(()),
            _ => Err(Fault::new(Code::Rank, format!("only rank 0 of {} may do that", self.name))),
        }
    }

    /// Checks that the roster's view is still this one, if one is given.
    fn must_be_in(&self, state: &State, view: Option<u64>) -> Result<(), Fault> {
        let now = state.roster.view();
        match view {
            Some(view) if view != now => {
                let text = format!("the view of {} is {now}, not {view}", self.name);
                Err(Fault::new(Code::Fenced, text))
            }
            _ => Ok(()),
        }
    }

    /// Ends the channel, by order of rank 0; with a view, only if that is still the
    /// roster's. Everybody still gets what was there before.
    ///
    /// # Errors
    /// [`Code::NoChannel`] if it has ended, [`Code::NotMember`], [`Code::Rank`]
    /// for anyone but rank 0, [`Code::Fenced`] for another view.
    pub fn end(&self, member: &Member, view: Option<u64>) -> Result<(), Fault> {
        let mut state = self.lock();
        self.present(&state, member)?;
        self.must_be_top(&state, member)?;
        self.must_be_in(&state, view)?;
        let end = state.log.head() + 1;
        state.extra.parts().dropped = Some(end);
        let seats = std::mem::take(&mut state.seats);
        let readers = std::mem::take(&mut state.extra.parts().readers);
        self.note_end(&mut state, end);
        let members = u64::from(state.roster.len());
        self.rules().stats.changes.add(Departure::Dropped.as_str(), members);
        self.rules().stats.deserted(&self.name);
        if state.extra.disk().is_some() {
            // Its members hear of the end when that is on disk.
            state.extra.parts().leavers.extend(seats.iter().cloned());
        }
        for who in seats.iter() {
            state.extra.parts().commands.left(&self.name, who.key, &who.client.name());
            who.end_at(end);
            who.set_throttles(false);
        }
        self.throttle_nobody(&mut state);
        drop(state);
        readers.wake();
        seats.iter().for_each(|member| member.notify());
        Ok(())
    }

    pub(super) fn append_change(
        &self,
        state: &mut State,
        client: &Client,
        change: Change,
        reason: Option<Departure>,
        now_ms: u64,
    ) {
        let position = Position { channel: &self.name, seq: state.log.head() + 1 };
        let mut bytes = Vec::new();
        self.rules().encode.change(position, &client.name(), change, reason, &mut bytes);
        state.note_change(change);
        state.append_one(client.id, Body::Change(change), bytes, now_ms);
        self.relieve(state, now_ms);
        self.count_change(state, change, reason, now_ms);
    }

    /// Counts a change that the roster has already made.
    fn count_change(&self, state: &State, change: Change, reason: Option<Departure>, now_ms: u64) {
        let counts = &self.rules().stats;
        counts.changed(change, reason);
        let Some(top) = state.roster.at(0) else { return counts.deserted(&self.name) };
        // The term of rank 0 is the seq at which its member got there.
        if state.roster.top_term() != Some(state.log.head()) {
            return;
        }
        if !matches!(change, Change::Join { .. }) {
            counts.promotions.add(1);
        }
        let top = state.seats.get(top);
        if top.is_some_and(|top| top.away_until_ms().is_some()) {
            counts.vacant(&self.name, now_ms);
        } else if !matches!(change, Change::Join { .. }) {
            counts.filled(&self.name, now_ms);
        }
    }
}
