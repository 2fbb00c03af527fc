//! A channel: a log, the roster that it folds to, and the members that read it.
//!
//! Its one lock is where order is made: seq, roster change and append happen
//! under it, so all members see one order. Nothing is written or awaited inside.

mod absence;
mod append;
mod charter;
mod commands;
mod durable;
mod extra;
mod membership;
mod pressure;
mod read;
mod record;
mod restart;
mod seats;
mod wake;

pub use absence::{Hold, Loss, Return};
pub use append::Appended;
pub use charter::{Charter, Rules};
pub use durable::Behind;
pub use membership::Entrance;
pub use pressure::Round;
pub use read::{Past, Room, Want};
pub use restart::RestoredSeat;

use super::member::Member;
use crate::error::{Code, Fault, quoted};
use crate::log::{Edge, MemoryLog};
use crate::moment::Second;
use crate::rare::Rare;
use crate::request::Settings;
use crate::roster::{Key, Roster};
use crate::sync::lock;
use durable::Kept;
use ecow::EcoString;
use extra::Extra;
use jiff::Timestamp;
use pressure::Gate;
use seats::Seats;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};

/// A named log, and the members that read it.
#[derive(Debug)]
pub struct Channel {
    name: EcoString,
    charter: Arc<Charter>,
    created: Second,
    gate: Gate,
    /// Something was appended, and somebody is about to call [`Channel::wake`].
    touched: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    log: MemoryLog,
    roster: Roster,
    seats: Seats,
    extra: Rare<Extra>,
}

/// Figures of a channel, for `channels` and `info`.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its name.
    pub name: EcoString,
    /// The settings that it was made with.
    pub settings: Settings,
    /// When it was made.
    pub created: Timestamp,
    /// How many members it has.
    pub members: u32,
    /// How many observers.
    pub observers: usize,
    /// The seq of its last entry.
    pub seq: u64,
    /// The roster's view.
    pub view: u64,
    /// What its log takes in memory, in bytes.
    pub bytes: usize,
    /// What its entries take on disk, if that is where they are.
    pub stored: Option<u64>,
    /// Commands that wait for results.
    pub commands: usize,
}

/// A member's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its rank.
    pub rank: u32,
    /// Its term.
    pub term: u64,
    /// The roster's view.
    pub view: u64,
    /// How many members there are.
    pub members: u32,
}

/// A row of the roster.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// The member's name.
    pub name: EcoString,
    /// Its term: since which seq it has this rank.
    pub term: u64,
    /// Whether its connection is lost and the seat held for it.
    pub away: bool,
    /// Since when it is a member.
    pub since: Timestamp,
    /// How many of the entries in memory have yet to be written to its connection;
    /// 0 if it is away.
    pub behind: u64,
}

impl Channel {
    /// An empty channel. It shares the `plain` charter if it has no settings of its
    /// own. If there is a store, the channel is made known to it, and has a charter
    /// of its own.
    pub fn new(name: EcoString, settings: Settings, plain: &Arc<Charter>) -> Arc<Self> {
        let created = Second::now();
        let Some(store) = plain.rules.store.clone() else {
            return Arc::new(Channel::with(name, created, plain.with(settings), State::default()));
        };
        let channel = Arc::new_cyclic(|me| {
            let (kept, head, disk) = Kept::create(store, &name, &settings, created, me);
            let charter = Charter { rules: plain.rules.clone(), settings, kept: Some(kept) };
            let mut state = State { log: MemoryLog::after(head, 0), ..State::default() };
            state.extra.parts().disk = Some(disk);
            Channel::with(name, created, Arc::new(charter), state)
        });
        channel.note_made();
        channel
    }

    fn with(name: EcoString, created: Second, charter: Arc<Charter>, state: State) -> Self {
        let (gate, touched) = (Gate::default(), AtomicBool::new(false));
        Channel { name, charter, created, gate, touched, state: Mutex::new(state) }
    }

    fn rules(&self) -> &Rules {
        &self.charter.rules
    }

    /// Its name.
    pub fn name(&self) -> &EcoString {
        &self.name
    }

    /// The settings that it was made with.
    pub fn settings(&self) -> Settings {
        self.charter.settings
    }

    fn kept(&self) -> Option<&Kept> {
        self.charter.kept.as_ref()
    }

    /// Its figures.
    pub fn summary(&self) -> Summary {
        let state = self.lock();
        Summary {
            name: self.name.clone(),
            settings: self.settings(),
            created: self.created.timestamp(),
            members: state.roster.len(),
            observers: state.seats.len() - state.roster.len() as usize,
            seq: state.visible().last_seq,
            view: state.roster.view(),
            bytes: state.log.weight(),
            stored: state.extra.disk().filter(|disk| disk.durable).map(|disk| disk.extent.bytes),
            commands: state.extra.get().map_or(0, |extra| extra.commands.len()),
        }
    }

    /// What its log takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.lock().log.weight()
    }

    /// A member's standing.
    ///
    /// # Errors
    /// [`Code::NotMember`] for one that has left, and for an observer.
    pub fn standing(&self, member: &Member) -> Result<Standing, Fault> {
        let state = self.lock();
        self.present(&state, member)?;
        state.standing(member.key).ok_or_else(|| {
            Fault::new(Code::NotMember, format!("you observe {}, and have no rank", self.name))
        })
    }

    /// The members in rank order, and the view.
    pub fn ranks(&self) -> (Vec<Ranked>, u64) {
        let state = self.lock();
        let visible = state.visible();
        let row = |(key, term)| {
            let member = state.seats.get(key)?;
            let away = member.away_until_ms().is_some();
            let behind = state.unwritten(visible, member.position());
            let (name, since) = (member.client.name(), member.since.timestamp());
            Some(Ranked { name, term, away, since, behind })
        };
        (state.roster.iter().filter_map(row).collect(), state.roster.view())
    }

    /// The term of rank 0 (0 in an empty roster) and the view.
    pub fn top(&self) -> (u64, u64) {
        let state = self.lock();
        (state.roster.top_term().unwrap_or(0), state.roster.view())
    }

    /// Calls `note` with the number of entries by which each member and observer is
    /// behind, unless it is away.
    pub fn lags(&self, mut note: impl FnMut(u64)) {
        let state = self.lock();
        let visible = state.visible();
        for member in state.seats.iter().filter(|member| member.away_until_ms().is_none()) {
            note(state.unwritten(visible, member.position()));
        }
    }

    /// The clients subscribed to this channel.
    pub fn clients(&self) -> Vec<Arc<super::directory::Client>> {
        self.lock().seats.iter().map(|member| member.client.clone()).collect()
    }

    /// How many members and observers have subscribed to this very channel, and
    /// not to a pattern that matches.
    pub fn subscribers(&self) -> usize {
        self.lock().seats.iter().filter(|member| !member.by_pattern()).count()
    }

    /// Whether the channel was removed while this member was in it. What tells of
    /// that may not be on disk yet.
    pub fn has_ended_with(&self, member: &Member) -> bool {
        self.lock().extra.dropped() == Some(member.end())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Checks that the channel has not been removed.
    fn alive(&self, state: &State) -> Result<(), Fault> {
        match state.extra.dropped() {
            None => Ok(()),
            Some(_) => Err(no_channel(&self.name)),
        }
    }

    /// Checks that this member has not left.
    fn present(&self, state: &State, member: &Member) -> Result<(), Fault> {
        self.alive(state)?;
        if state.seats.get(member.key).is_some_and(|here| std::ptr::eq(&raw const **here, member)) {
            return Ok(());
        }
        Err(not_member(&self.name))
    }
}

impl State {
    /// How many visible entries are in memory from a position on.
    fn unwritten(&self, visible: Edge, position: u64) -> u64 {
        let Edge { end_chunk, last_seq } = visible;
        if position >= end_chunk {
            return 0;
        }
        let first = self.log.chunk(position).map_or(self.log.first_seq(), |c| c.first_seq);
        (last_seq + 1).saturating_sub(first)
    }

    fn standing(&self, key: Key) -> Option<Standing> {
        Some(Standing {
            rank: self.roster.rank(key)?,
            term: self.roster.term(key)?,
            view: self.roster.view(),
            members: self.roster.len(),
        })
    }
}

/// The fault for a channel that does not exist.
pub fn no_channel(name: &str) -> Fault {
    Fault::new(Code::NoChannel, format!("there is no channel {}; create it first", quoted(name)))
}

/// The fault for a client that is not a member.
pub fn not_member(name: &str) -> Fault {
    Fault::new(Code::NotMember, format!("you are not a member of {name}; sub {name} first"))
}
