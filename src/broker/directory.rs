//! Who is here, and who was.

use super::mailbox::Mailbox;
use super::member::Member;
use crate::error::{Close, Code, Fault, quoted};
use crate::log::ClientId;
use crate::request::check_name;
use crate::sync::lock;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use jiff::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Past connections that are remembered.
pub const PAST_MAX: usize = 1_000;
/// Patterns that one client may observe at once: each new channel is held
/// against all of them.
pub const PATTERNS_MAX: usize = 64;

/// What a client is subscribed to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// By the channel's name.
    pub by_channel: HashMap<Arc<str>, Arc<Member>>,
    /// The patterns that it observes.
    pub patterns: Vec<Arc<glob::Pattern>>,
    free_slots: Vec<u32>,
    next_slot: u32,
}

impl Subscriptions {
    /// A number for a new subscription.
    pub fn take_slot(&mut self) -> u32 {
        self.free_slots.pop().unwrap_or_else(|| {
            self.next_slot += 1;
            self.next_slot - 1
        })
    }

    /// The number of a subscription that has ended.
    pub fn free_slot(&mut self, slot: u32) {
        self.free_slots.push(slot);
    }

    /// Whether one of the patterns matches.
    pub fn matches(&self, channel: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(channel))
    }
}

/// A connected client.
#[derive(Debug)]
pub struct Client {
    /// Its number.
    pub id: ClientId,
    /// Where it comes from.
    pub addr: SocketAddr,
    /// How it speaks.
    pub dialect: &'static str,
    /// Since when it is here.
    pub since: Timestamp,
    /// The same on the broker's clock.
    pub since_ms: u64,
    /// Where to leave mail for it.
    pub mailbox: Arc<Mailbox>,
    /// What it is subscribed to. Lock order: this before any channel.
    pub subscriptions: Mutex<Subscriptions>,
    name: Mutex<Arc<str>>,
    heard_ms: AtomicU64,
}

impl Client {
    /// Its name. It cannot change while the client is subscribed to anything.
    pub fn name(&self) -> Arc<str> {
        lock(&self.name).clone()
    }

    /// Something has come from it.
    pub fn heard(&self, now_ms: u64) {
        self.heard_ms.store(now_ms, Ordering::Relaxed);
    }

    /// When something last came from it.
    pub fn heard_ms(&self) -> u64 {
        self.heard_ms.load(Ordering::Relaxed)
    }

    /// Its membership of this channel, if it has one and has not left.
    pub fn member(&self, channel: &str) -> Option<Arc<Member>> {
        let member = lock(&self.subscriptions).by_channel.get(channel).cloned();
        member.filter(|member| !member.has_left())
    }
}

/// A connection that has ended.
#[derive(Clone, Debug)]
pub struct Past {
    /// The client's name.
    pub name: Arc<str>,
    /// Where it came from.
    pub addr: SocketAddr,
    /// When it came.
    pub since: Timestamp,
    /// When it went.
    pub until: Timestamp,
    /// Why.
    pub reason: Close,
}

/// All clients by name, and the last past connections.
#[derive(Debug, Default)]
pub struct Directory {
    clients: DashMap<Arc<str>, Arc<Client>>,
    past: Mutex<VecDeque<Past>>,
    last_id: AtomicU64,
    last_guest: AtomicU64,
}

impl Directory {
    /// Someone new, who gets a guest's name.
    pub fn enter(&self, addr: SocketAddr, dialect: &'static str, now_ms: u64) -> Arc<Client> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        loop {
            let number = self.last_guest.fetch_add(1, Ordering::Relaxed) + 1;
            let name: Arc<str> = format!("guest-{number}").into();
            // Somebody may have chosen that very name.
            let Entry::Vacant(place) = self.clients.entry(name.clone()) else { continue };
            let client = Arc::new(Client {
                id,
                addr,
                dialect,
                since: Timestamp::now(),
                since_ms: now_ms,
                mailbox: Arc::default(),
                subscriptions: Mutex::default(),
                name: Mutex::new(name),
                heard_ms: AtomicU64::new(now_ms),
            });
            place.insert(client.clone());
            return client;
        }
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
        if !subscriptions.by_channel.is_empty() || !subscriptions.patterns.is_empty() {
            let text = "choose a name before you subscribe: others know you by this one";
            return Err(Fault::new(Code::AlreadyMember, text));
        }
        let new: Arc<str> = name.into();
        match self.clients.entry(new.clone()) {
            Entry::Occupied(_) => {
                return Err(Fault::new(Code::NameTaken, format!("somebody else is called {name}")));
            }
            Entry::Vacant(place) => place.insert(client.clone()),
        };
        let old = std::mem::replace(&mut *lock(&client.name), new);
        self.clients.remove(&old);
        // The guest who was to have the last number may have been this one.
        if let Some(number) = old.strip_prefix("guest-").and_then(|number| number.parse().ok()) {
            let (before, order) = (u64::saturating_sub(number, 1), Ordering::Relaxed);
            let _ = self.last_guest.compare_exchange(number, before, order, order);
        }
        Ok(())
    }

    /// Somebody has gone.
    pub fn leave(&self, client: &Client, reason: Close) {
        let name = client.name();
        self.clients.remove_if(&name, |_, present| present.id == client.id);
        let past =
            Past { name, addr: client.addr, since: client.since, until: Timestamp::now(), reason };
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

    /// Everyone who is here, in the order of arrival.
    pub fn everyone(&self) -> Vec<Arc<Client>> {
        let mut all: Vec<_> = self.clients.iter().map(|client| client.value().clone()).collect();
        all.sort_unstable_by_key(|client| client.id);
        all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// The last so many past connections, oldest first.
    pub fn past(&self, last: usize) -> Vec<Past> {
        let all = lock(&self.past);
        all.iter().skip(all.len().saturating_sub(last)).cloned().collect()
    }
}
