//! Sessions: who a client is across connections, and what is kept for one that
//! has lost its connection.
//!
//! A session is *in use* while a connection has it, *parked* after that
//! connection was lost, and *gone* when its grace is over. It changes hands
//! whole: whoever resumes it takes the parked one out of here, so that no two
//! connections ever act for one session.

use super::channel::Channel;
use super::directory::Client;
use super::keys::Keys;
use super::member::Member;
use crate::error::{Close, Code, Fault};
use crate::sync::lock;
use ecow::EcoString;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// How many ended sessions are remembered, so that a client that comes too late is
/// told so.
const GONE_MAX: usize = 10_000;

/// What a client is known by across connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The session's name.
    pub session: Uuid,
    /// What lets its owner take it from another connection.
    pub secret: Uuid,
    /// Whether the client named the session itself, and so means to resume it: then
    /// what it is not known to have is kept for it from the first entry on.
    pub asked: bool,
}

impl Identity {
    /// The identity of a client that has named its session, or else is given one.
    pub fn new(session: Option<Uuid>) -> Self {
        Identity {
            session: session.unwrap_or_else(Uuid::new_v4),
            secret: Uuid::new_v4(),
            asked: session.is_some(),
        }
    }
}

/// A channel that a parked session is subscribed to.
#[derive(Clone, Debug)]
pub struct ParkedSeat {
    /// The channel.
    pub channel: Arc<Channel>,
    /// The membership, which may be away or lost.
    pub member: Arc<Member>,
}

/// A channel that a session was subscribed to and that was dropped before a restart:
/// nothing of it is left, but its session has yet to be told.
#[derive(Clone, Debug)]
pub struct GoneChannel {
    /// Its name, which another one may have by now.
    pub channel: EcoString,
    /// The last seq that the client is known to have.
    pub seen: u64,
    /// The seq at which the channel was dropped.
    pub end: u64,
}

/// A session without a connection.
#[derive(Debug)]
pub struct Parked {
    /// Whose it is.
    pub client: Arc<Client>,
    /// What it is subscribed to.
    pub seats: Vec<ParkedSeat>,
    /// What it was subscribed to before a restart, and is no more.
    pub gone: Vec<GoneChannel>,
    /// The channel that `/…` goes to.
    pub current: Option<EcoString>,
    /// Commands whose results are not all in.
    pub commands: usize,
    /// What was answered to its keys.
    pub keys: Option<Box<Keys>>,
}

impl Parked {
    /// The session of a client with nothing to come back to.
    pub fn of(client: Arc<Client>) -> Parked {
        let (seats, gone) = (Vec::new(), Vec::new());
        Parked { client, seats, gone, current: None, commands: 0, keys: None }
    }
}

/// Why a session is kept; each reason has its own limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptAs {
    /// The broker made it up for a client that may not care: only the last
    /// [`MADE_UP_MAX`] are kept, or clients that come and go would pile up.
    MadeUp,
    /// Its client has named it.
    Named,
    /// A seat is held for it. There are no more of these than seats, and none is
    /// given up before its time, or a flood of other sessions could have its seat
    /// given away.
    Seated,
}

/// How many sessions with a made-up name are kept at most.
const MADE_UP_MAX: usize = 1_000;
/// How many sessions named by their clients are kept at most.
const NAMED_MAX: usize = 100_000;

impl KeptAs {
    const fn most(self) -> usize {
        match self {
            KeptAs::MadeUp => MADE_UP_MAX,
            KeptAs::Named => NAMED_MAX,
            KeptAs::Seated => usize::MAX,
        }
    }
}

/// A parked session, and until when it is kept, in milliseconds of the broker's
/// clock.
#[derive(Debug)]
struct Kept {
    parked: Parked,
    until_ms: u64,
}

#[derive(Debug)]
enum State {
    InUse(Arc<Client>),
    Parked(Box<Kept>),
    /// It has ended, and whoever comes late is told so.
    Gone,
}

/// What came of a claim to a session.
#[derive(Debug)]
pub enum Claim {
    /// It was parked, and is the claimant's now.
    Resumed(Parked),
    /// It is in use: its connection is told to give it up, and the claimant's
    /// mailbox will be woken when it has.
    Awaited,
    /// There is no such session, and none has ended lately.
    Unknown,
}

#[derive(Debug, Default)]
struct Table {
    sessions: HashMap<Uuid, State>,
    /// The claimants to be woken when a session that is in use is parked. Each of
    /// them then claims it again, and so takes it from the one before.
    next: HashMap<Uuid, Vec<Arc<Client>>>,
    /// This and the next two hold the parked sessions, and no others, by the times
    /// at which they end.
    made_up: BTreeSet<(u64, Uuid)>,
    named: BTreeSet<(u64, Uuid)>,
    seated: BTreeSet<(u64, Uuid)>,
    /// Those that are [`State::Gone`], oldest first.
    gone: VecDeque<Uuid>,
}

/// All sessions, by name.
#[derive(Debug, Default)]
pub struct Sessions {
    table: Mutex<Table>,
}

impl Sessions {
    /// Begins a session for a client, in place of its own if it has one; returns
    /// whether the name was free.
    pub fn begin(&self, client: &Arc<Client>, identity: Identity) -> bool {
        let mut table = lock(&self.table);
        if table.sessions.contains_key(&identity.session) {
            return false;
        }
        table.sessions.insert(identity.session, State::InUse(client.clone()));
        let old = client.identity();
        client.identify(identity);
        let next = old.and_then(|old| {
            table.sessions.remove(&old.session);
            // The session that it was told to give up is gone.
            client.mailbox.withdraw_close(|reason| reason == Close::TakenOver);
            table.next.remove(&old.session)
        });
        drop(table);
        wake(next);
        true
    }

    /// Claims a session: takes it out if it is parked, and has its connection give
    /// it up if it is in use and the secret is right.
    ///
    /// # Errors
    /// [`Code::Gone`] for one that has ended, [`Code::Denied`] for one that is
    /// in use, or with the wrong secret, [`Code::BadRequest`] for another name
    /// than that of its client.
    pub fn claim(
        &self,
        session: Uuid,
        secret: Option<&str>,
        name: Option<&str>,
        claimant: &Arc<Client>,
    ) -> Result<Claim, Fault> {
        let mut table = lock(&self.table);
        let client = match table.sessions.get(&session) {
            Some(State::InUse(client)) => client.clone(),
            Some(State::Parked(kept)) => kept.parked.client.clone(),
            Some(State::Gone) => return Err(gone(session)),
            None => return Ok(Claim::Unknown),
        };
        let given = secret.and_then(|secret| Uuid::parse_str(secret).ok());
        let known = client.identity().map(|identity| identity.secret);
        let is_proved = given.is_some() && given == known;
        if secret.is_some() && !is_proved {
            return Err(Fault::new(Code::Denied, "that is not the secret of this session"));
        }
        let called = client.name();
        if name.is_some_and(|name| *name != *called) {
            let text = format!("this session is called {called}: resume it by that name");
            return Err(Fault::new(Code::BadRequest, text));
        }
        match table.sessions.remove(&session) {
            Some(State::Parked(kept)) => {
                let Kept { parked, until_ms } = *kept;
                table.unqueue(session, until_ms);
                let client = parked.client.clone();
                // Drops close orders meant for the old connection, except Overflow,
                // which the client must still be told.
                client.mailbox.withdraw_close(|reason| reason != Close::Overflow);
                table.sessions.insert(session, State::InUse(client));
                Ok(Claim::Resumed(parked))
            }
            Some(State::InUse(client)) if is_proved => {
                let next = table.next.entry(session).or_default();
                if !next.iter().any(|waiting| Arc::ptr_eq(waiting, claimant)) {
                    next.push(claimant.clone());
                }
                // Ordered under the lock, so that whoever has the session next
                // withdraws it.
                client.mailbox.close(Close::TakenOver);
                table.sessions.insert(session, State::InUse(client));
                Ok(Claim::Awaited)
            }
            Some(state) => {
                table.sessions.insert(session, state);
                let text = "this session is in use: its secret takes it over";
                Err(Fault::new(Code::Denied, text))
            }
            None => Ok(Claim::Unknown),
        }
    }

    /// Parks a session that has lost its connection until this time. Returns the
    /// one that has to go instead, if there are too many of its kind.
    pub fn park(
        &self,
        session: Uuid,
        parked: Parked,
        until_ms: u64,
        kind: KeptAs,
    ) -> Option<Parked> {
        let mut table = lock(&self.table);
        let next = table.next.remove(&session);
        table.sessions.insert(session, State::Parked(Box::new(Kept { parked, until_ms })));
        let queue = table.queue(kind);
        queue.insert((until_ms, session));
        let is_over = queue.len() > kind.most();
        let oldest = queue.first().filter(|_| is_over).map(|(_, session)| *session);
        let oldest = oldest.and_then(|oldest| table.evict(oldest));
        drop(table);
        wake(next);
        oldest
    }

    /// Ends and returns a parked session whose time is up, if there is one.
    pub fn next_expired(&self, now_ms: u64) -> Option<(Uuid, Parked)> {
        let mut table = lock(&self.table);
        let next = [&table.made_up, &table.named, &table.seated].map(BTreeSet::first);
        let due = next.into_iter().flatten().find(|(until_ms, _)| *until_ms <= now_ms);
        let session = due.map(|(_, session)| *session)?;
        Some((session, table.evict(session)?))
    }

    /// Ends a session if it is parked, and returns it.
    pub fn evict(&self, session: Uuid) -> Option<Parked> {
        lock(&self.table).evict(session)
    }

    /// Ends a session for good.
    pub fn end(&self, session: Uuid) {
        let mut table = lock(&self.table);
        let ended = table.bury(session);
        let next = table.next.remove(&session);
        drop(table);
        drop(ended);
        wake(next);
    }

    /// Whether this session is parked, and is that of a member without a
    /// connection, with exactly one seat to come back to.
    pub fn is_parked_in_one(&self, session: Uuid) -> bool {
        let table = lock(&self.table);
        let Some(State::Parked(kept)) = table.sessions.get(&session) else { return false };
        if !kept.parked.client.is_unwaited() {
            return false;
        }
        let members = kept.parked.seats.iter().map(|seat| &seat.member);
        let seats = members
            .filter(|member| !member.is_observer() && (member.is_lost() || !member.has_left()));
        seats.count() == 1
    }

    /// How many sessions are parked.
    pub fn parked(&self) -> usize {
        let table = lock(&self.table);
        table.made_up.len() + table.named.len() + table.seated.len()
    }
}

impl Table {
    fn queue(&mut self, kind: KeptAs) -> &mut BTreeSet<(u64, Uuid)> {
        match kind {
            KeptAs::MadeUp => &mut self.made_up,
            KeptAs::Named => &mut self.named,
            KeptAs::Seated => &mut self.seated,
        }
    }

    /// Takes a session that was parked until this time out of its queue.
    fn unqueue(&mut self, session: Uuid, until_ms: u64) {
        for kind in [KeptAs::MadeUp, KeptAs::Named, KeptAs::Seated] {
            self.queue(kind).remove(&(until_ms, session));
        }
    }

    fn evict(&mut self, session: Uuid) -> Option<Parked> {
        let is_parked = matches!(self.sessions.get(&session), Some(State::Parked(_)));
        match is_parked.then(|| self.bury(session)).flatten() {
            Some(State::Parked(kept)) => Some(kept.parked),
            _ => None,
        }
    }

    fn bury(&mut self, session: Uuid) -> Option<State> {
        if self.gone.len() >= GONE_MAX
            && let Some(oldest) = self.gone.pop_front()
            && matches!(self.sessions.get(&oldest), Some(State::Gone))
        {
            self.sessions.remove(&oldest);
        }
        self.gone.push_back(session);
        let ended = self.sessions.insert(session, State::Gone);
        if let Some(State::Parked(kept)) = &ended {
            self.unqueue(session, kept.until_ms);
        }
        ended
    }
}

/// Wakes the clients that waited for a session, to look again what has become of
/// it.
fn wake(waiting: Option<Vec<Arc<Client>>>) {
    waiting.into_iter().flatten().for_each(|client| client.mailbox.wake());
}

/// The fault for a session that is no longer kept.
pub fn gone(session: Uuid) -> Fault {
    Fault::new(Code::Gone, format!("session {session} is no longer kept; begin a new one"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::directory::Directory;

    #[test]
    fn that_a_session_is_over_is_forgotten_and_nothing_else() {
        let sessions = Sessions::default();
        let client = Directory::default().enter("127.0.0.1:1".parse().unwrap(), "text", 0);
        let twice = Uuid::from_u128(1);
        (0..2).for_each(|_| sessions.end(twice));
        let mut others = (2..).map(Uuid::from_u128);
        others.by_ref().take(GONE_MAX - 1).for_each(|other| sessions.end(other));
        // By now it is not known that it was there, and somebody begins it anew.
        assert!(sessions.begin(&client, Identity::new(Some(twice))));
        others.take(GONE_MAX).for_each(|other| sessions.end(other));
        assert!(!sessions.begin(&client, Identity::new(Some(twice))), "it is in use");
    }
}
