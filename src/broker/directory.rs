//! Who is here, and who was.

use super::mailbox::Mailbox;
use super::member::Member;
use super::sessions::Identity;
use super::subscriptions::Subscriptions;
use crate::error::{Close, Code, Fault, quoted};
use crate::log::ClientId;
use crate::request::check_name;
use crate::sync::lock;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use ecow::EcoString;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many past connections are remembered.
pub const PAST_MAX: usize = 1_000;
/// How many patterns one client may observe at once: each new channel is matched
/// against all of them.
pub const PATTERNS_MAX: usize = 64;

/// A client's present connection.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Where it comes from.
    pub addr: SocketAddr,
    /// Its dialect.
    pub dialect: &'static str,
    /// Since when it is here, in milliseconds of the Unix epoch.
    pub since_unix_ms: i64,
    /// The same on the broker's clock.
    pub since_ms: u64,
}

impl Origin {
    /// Since when it is here.
    pub fn since(&self) -> Timestamp {
        Timestamp::from_millisecond(self.since_unix_ms).unwrap_or_default()
    }
}

/// A client: connected, or away with its session kept.
#[derive(Debug)]
pub struct Client {
    /// Its number.
    pub id: ClientId,
    /// Where to leave mail for it.
    pub mailbox: Mailbox,
    /// What it is subscribed to. Lock order: this before any channel.
    pub subscriptions: Mutex<Subscriptions>,
    known: Mutex<Known>,
    heard_ms: AtomicU64,
    /// Whether it has no connection: its session, or a seat, is kept for it.
    away: AtomicBool,
    /// Whether there is a timer that looks whether it is silent.
    silence_watched: AtomicBool,
    /// Whether there is a timer that looks whether its lease has run out.
    lease_watched: AtomicBool,
    /// Whether it hears none of this broker's frames.
    plain: AtomicBool,
    /// Whether publishers never wait for it.
    unwaited: AtomicBool,
    /// Whether it publishes to a channel whose members or disk have to catch up
    /// first; nothing is read from it until then.
    throttled: AtomicBool,
}

/// What a client is known by.
#[derive(Debug)]
struct Known {
    name: EcoString,
    origin: Origin,
    identity: Option<Box<Identity>>,
}

impl Client {
    fn new(id: ClientId, name: EcoString, origin: Origin) -> Self {
        Client {
            id,
            mailbox: Mailbox::default(),
            subscriptions: Mutex::default(),
            known: Mutex::new(Known { name, origin, identity: None }),
            heard_ms: AtomicU64::new(origin.since_ms),
            away: AtomicBool::new(false),
            silence_watched: AtomicBool::new(false),
            lease_watched: AtomicBool::new(false),
            plain: AtomicBool::new(false),
            unwaited: AtomicBool::new(false),
            throttled: AtomicBool::new(false),
        }
    }

    /// Its name. It cannot change while the client is subscribed to anything.
    pub fn name(&self) -> EcoString {
        lock(&self.known).name.clone()
    }

    /// Its present connection, or its last.
    pub fn origin(&self) -> Origin {
        lock(&self.known).origin
    }

    /// Notes that it speaks another dialect from now on.
    pub fn speaks(&self, dialect: &'static str) {
        lock(&self.known).origin.dialect = dialect;
    }

    /// Moves it to another connection.
    pub(super) fn arrive(&self, origin: Origin) {
        lock(&self.known).origin = origin;
        self.away.store(false, Ordering::SeqCst);
    }

    /// Marks it as away: it has no connection any more, but may come back, to one
    /// that is not throttled.
    pub(super) fn go_away(&self) {
        self.set_throttled(false);
        self.away.store(true, Ordering::SeqCst);
    }

    /// Whether it has no connection.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::SeqCst)
    }

    /// What it is known by across connections, if it has introduced itself.
    pub fn identity(&self) -> Option<Identity> {
        lock(&self.known).identity.as_deref().copied()
    }

    /// Sets what it is known by across connections from now on.
    pub(super) fn identify(&self, identity: Identity) {
        lock(&self.known).identity = Some(Box::new(identity));
    }

    /// Notes that a timer looks whether it is silent; returns whether none did
    /// before.
    pub(super) fn start_silence_watch(&self) -> bool {
        !self.silence_watched.swap(true, Ordering::SeqCst)
    }

    /// Notes that a timer looks whether its lease has run out; returns whether none
    /// did before.
    pub(super) fn start_lease_watch(&self) -> bool {
        !self.lease_watched.swap(true, Ordering::Relaxed)
    }

    /// Whether it keeps a lease.
    pub(super) fn keeps_lease(&self) -> bool {
        self.lease_watched.load(Ordering::Relaxed)
    }

    /// Whether it hears no frames: a client of another protocol, which is told
    /// only what that protocol has, or one without a connection that asks for its
    /// commands.
    pub fn is_plain(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }

    /// Sets whether it hears no frames.
    pub fn be_plain(&self, plain: bool) {
        self.plain.store(plain, Ordering::Relaxed);
    }

    /// Sets whether publishers never wait for it, because it has no connection:
    /// then it counts as stalled, however much it reads.
    pub fn be_unwaited(&self, unwaited: bool) {
        self.unwaited.store(unwaited, Ordering::Relaxed);
    }

    /// Whether publishers never wait for it.
    pub fn is_unwaited(&self) -> bool {
        self.unwaited.load(Ordering::Relaxed)
    }

    /// Sets whether nothing is read from it for a while.
    pub fn set_throttled(&self, throttled: bool) {
        self.throttled.store(throttled, Ordering::Relaxed);
    }

    /// Whether it may have said something that nobody has read yet.
    pub fn is_throttled(&self) -> bool {
        self.throttled.load(Ordering::Relaxed)
    }

    /// Notes that something has come from it.
    pub fn heard(&self, now_ms: u64) {
        self.heard_ms.store(now_ms, Ordering::Relaxed);
    }

    /// When something last came from it.
    pub fn heard_ms(&self) -> u64 {
        self.heard_ms.load(Ordering::Relaxed)
    }

    /// Its membership of this channel, if it has one and has not left.
    pub fn member(&self, channel: &str) -> Option<Arc<Member>> {
        let member = lock(&self.subscriptions).get(channel).cloned();
        member.filter(|member| !member.has_left())
    }
}

/// A connection that has ended.
#[derive(Clone, Debug)]
pub struct Past {
    /// The client's name.
    pub name: EcoString,
    /// Where it came from.
    pub addr: SocketAddr,
    /// When it came.
    pub since: Timestamp,
    /// When it went; no earlier than it came, though the time of day was set back.
    pub until: Timestamp,
    /// How long it was here.
    pub here: Duration,
    /// Why it ended.
    pub reason: Close,
}

/// All clients by name, and the last past connections.
#[derive(Debug, Default)]
pub struct Directory {
    clients: DashMap<EcoString, Arc<Client>>,
    past: Mutex<VecDeque<Past>>,
    last_id: AtomicU64,
    last_guest: AtomicU64,
}

impl Directory {
    /// An empty directory, whose clients get numbers above this one.
    pub fn after(last_id: ClientId) -> Self {
        Directory { last_id: AtomicU64::new(last_id), ..Directory::default() }
    }

    /// Adds a new client, which gets a guest's name.
    pub fn enter(&self, addr: SocketAddr, dialect: &'static str, now_ms: u64) -> Arc<Client> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        loop {
            let number = self.last_guest.fetch_add(1, Ordering::Relaxed) + 1;
            let name: EcoString = format!("guest-{number}").into();
            // Somebody may have chosen that very name.
            let Entry::Vacant(place) = self.clients.entry(name.clone()) else { continue };
            let since_unix_ms = Timestamp::now().as_millisecond();
            let origin = Origin { addr, dialect, since_unix_ms, since_ms: now_ms };
            let client = Arc::new(Client::new(id, name, origin));
            place.insert(client.clone());
            return client;
        }
    }

    /// Adds a client from before a restart. Should another client have its name, as
    /// it may after a crash, it is given one that is free.
    pub fn restore(&self, id: ClientId, name: &str, now_ms: u64) -> Arc<Client> {
        let addr = SocketAddr::from(([0, 0, 0, 0], 0));
        let since_unix_ms = Timestamp::now().as_millisecond();
        let origin = Origin { addr, dialect: "text", since_unix_ms, since_ms: now_ms };
        let (mut free, mut taken) = (EcoString::from(name), 0);
        let place = loop {
            if let Entry::Vacant(place) = self.clients.entry(free.clone()) {
                break place;
            }
            // Somebody may have chosen a number for a name, too.
            free = if taken == 0 { id.to_string() } else { format!("{id}-{taken}") }.into();
            taken += 1;
        };
        if taken > 0 {
            log::warn!("event=name-taken client={name} advice=\"it is called {free} now\"");
        }
        let client = Arc::new(Client::new(id, free, origin));
        place.insert(client.clone());
        client
    }

    /// Returns an unlisted client, for a connection whose own client has gone on
    /// from another one.
    pub fn stranger(&self, origin: Origin) -> Arc<Client> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        Arc::new(Client::new(id, "stranger".into(), origin))
    }

    /// Gives a client another name.
    ///
    /// # Errors
    /// [`Code::BadRequest`] or [`Code::TooLong`] for what is no name,
    /// [`Code::NameTaken`], and [`Code::AlreadyMember`] for a client that is
    /// known by its present name in some channel.
    pub fn rename(&self, client: &Arc<Client>, name: &str) -> Result<(), Fault> {
        check_name(name)?;
        let subscriptions = lock(&client.subscriptions);
        if *client.name() == *name {
            return Ok(());
        }
        if !subscriptions.is_empty() {
            let text = "choose a name before you subscribe: others know you by this one";
            return Err(Fault::new(Code::AlreadyMember, text));
        }
        let new: EcoString = name.into();
        match self.clients.entry(new.clone()) {
            Entry::Occupied(_) => {
                return Err(Fault::new(Code::NameTaken, format!("somebody else is called {name}")));
            }
            Entry::Vacant(place) => place.insert(client.clone()),
        };
        let old = std::mem::replace(&mut lock(&client.known).name, new);
        self.clients.remove(&old);
        // If this was the guest with the last number, the next guest may have it
        // again.
        if let Some(number) = old.strip_prefix("guest-").and_then(|number| number.parse().ok()) {
            let (before, order) = (u64::saturating_sub(number, 1), Ordering::Relaxed);
            let _ = self.last_guest.compare_exchange(number, before, order, order);
        }
        Ok(())
    }

    /// Removes a client, unless its name is another client's by now.
    pub fn forget(&self, client: &Client) {
        self.clients.remove_if(&client.name(), |_, present| present.id == client.id);
    }

    /// Notes a client's connection that has ended.
    pub fn note_past(&self, client: &Client, here: Duration, reason: Close) {
        let (name, origin) = (client.name(), client.origin());
        let (addr, since) = (origin.addr, origin.since());
        let until = Timestamp::now().max(since);
        let past = Past { name, addr, since, until, here, reason };
        let mut all = lock(&self.past);
        if all.len() == PAST_MAX {
            all.pop_front();
        }
        all.push_back(past);
    }

    /// The client of this name.
    ///
    /// # Errors
    /// [`Code::NoMember`] if there is none.
    pub fn find(&self, name: &str) -> Result<Arc<Client>, Fault> {
        let found = self.clients.get(name).map(|client| client.value().clone());
        found.ok_or_else(|| {
            Fault::new(Code::NoMember, format!("nobody called {} is here", quoted(name)))
        })
    }

    /// Everyone who is connected, in the order of arrival.
    pub fn everyone(&self) -> Vec<Arc<Client>> {
        let all = self.clients.iter().map(|client| client.value().clone());
        let mut all: Vec<_> = all.filter(|client| !client.is_away()).collect();
        all.sort_unstable_by_key(|client| client.id);
        all
    }

    /// How many there are, connected or away.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// The last so many past connections, oldest first.
    pub fn past(&self, last: usize) -> Vec<Past> {
        let all = lock(&self.past);
        all.iter().skip(all.len().saturating_sub(last)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody came at half past twelve, and it is twelve again.
    #[test]
    fn nobody_went_before_coming_though_the_time_is_set_back() {
        let directory = Directory::default();
        let since_unix_ms = Timestamp::now().as_millisecond() + 1_800_000;
        let addr = SocketAddr::from(([127, 0, 0, 1], 7));
        let origin = Origin { addr, dialect: "text", since_unix_ms, since_ms: 0 };
        let client = Client::new(1, "alice".into(), origin);
        directory.note_past(&client, Duration::from_secs(60), Close::Quit);
        let past = directory.past(1).remove(0);
        assert_eq!(past.until, past.since);
        assert_eq!(past.here.as_secs(), 60);
    }

    /// Whoever is restored first may be called anything, such as the number of
    /// another client.
    #[test]
    fn who_is_restored_gets_a_name_whatever_others_are_called() {
        let directory = Directory::default();
        let restore = |id, name| directory.restore(id, name, 0).name();
        for (id, name) in [(1, "alice"), (2, "7"), (3, "7-1")] {
            assert_eq!(restore(id, name), name);
        }
        assert_eq!(restore(7, "alice"), "7-2");
        assert_eq!(restore(8, "alice"), "8");
    }
}
