//! All channels by name, and the patterns that observe them.
//!
//! A map guard never leaves this file: what it hands out is an `Arc`.

use super::channel::{Channel, Rules, no_channel};
use super::directory::Client;
use crate::error::{Code, Fault};
use crate::request::{Settings, check_name};
use crate::store::{RecoveredChannel, Store};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

/// All channels of a broker.
#[derive(Debug)]
pub struct Registry {
    channels: DashMap<Arc<str>, Arc<Channel>>,
    count: AtomicUsize,
    channels_max: usize,
    rules: Arc<Rules>,
    /// Clients that observe patterns.
    observers: RwLock<Vec<Weak<Client>>>,
}

impl Registry {
    /// No channels yet.
    pub fn new(channels_max: usize, rules: Rules) -> Self {
        Registry {
            channels: DashMap::new(),
            count: AtomicUsize::new(0),
            channels_max,
            rules: Arc::new(rules),
            observers: RwLock::default(),
        }
    }

    /// The channel of this name.
    ///
    /// # Errors
    /// [`Code::NoChannel`].
    pub fn find(&self, name: &str) -> Result<Arc<Channel>, Fault> {
        let found = self.channels.get(name).map(|channel| channel.value().clone());
        found.ok_or_else(|| no_channel(name))
    }

    /// Makes a channel, and lets `introduce` see it with each client that
    /// observes patterns, before anybody else can reach it.
    ///
    /// # Errors
    /// [`Code::BadRequest`] or [`Code::TooLong`] for what is no name,
    /// [`Code::Exists`], [`Code::Full`], [`Code::Unavailable`] if what has to be
    /// on disk cannot be.
    pub fn create(
        &self,
        name: &str,
        settings: Settings,
        introduce: impl Fn(&Arc<Client>, &Arc<Channel>),
    ) -> Result<Arc<Channel>, Fault> {
        check_name(name)?;
        let name: Arc<str> = name.into();
        let Entry::Vacant(place) = self.channels.entry(name.clone()) else {
            return Err(Fault::new(Code::Exists, format!("there is a channel {name} already")));
        };
        self.can_keep(&settings)?;
        if self.count.fetch_add(1, Ordering::SeqCst) >= self.channels_max {
            self.count.fetch_sub(1, Ordering::SeqCst);
            let text = format!("the broker has all its {} channels", self.channels_max);
            return Err(Fault::new(Code::Full, text));
        }
        let channel = Channel::new(name, settings, self.rules.clone());
        for client in self.pattern_observers() {
            introduce(&client, &channel);
        }
        place.insert(channel.clone());
        Ok(channel)
    }

    /// Whether such a channel can be kept as it is to be.
    fn can_keep(&self, settings: &Settings) -> Result<(), Fault> {
        let kept = match &self.rules.store {
            Some(store) if settings.durable => store.check(),
            // Where its seqs begin has to be noted all the same.
            Some(store) => store.can_write(),
            None if settings.durable => {
                Err("this broker keeps nothing on disk: start it with --data DIR".into())
            }
            None => Ok(()),
        };
        kept.map_err(|reason| Fault::new(Code::Unavailable, &*reason))
    }

    /// Takes in a channel from before a restart. The limit is for new ones.
    pub fn recover(&self, found: &RecoveredChannel, store: &Store) -> Arc<Channel> {
        let channel = Channel::recover(found, store, self.rules.clone());
        self.count.fetch_add(1, Ordering::SeqCst);
        self.channels.insert(channel.name().clone(), channel.clone());
        channel
    }

    /// Forgets a channel that has ended.
    pub fn remove(&self, channel: &Arc<Channel>) {
        let same = |_: &Arc<str>, present: &Arc<Channel>| Arc::ptr_eq(present, channel);
        if self.channels.remove_if(channel.name(), same).is_some() {
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// All channels, by name.
    pub fn all(&self) -> Vec<Arc<Channel>> {
        let mut all: Vec<_> = self.channels.iter().map(|entry| entry.value().clone()).collect();
        all.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// How many channels there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// From now on this client sees each new channel.
    pub fn add_observer(&self, client: &Arc<Client>) {
        let mut observers = self.observers.write().unwrap_or_else(PoisonError::into_inner);
        observers.retain(|known| known.upgrade().is_some_and(|known| known.id != client.id));
        observers.push(Arc::downgrade(client));
    }

    /// From now on it sees no new channel any more.
    pub fn remove_observer(&self, client: &Client) {
        let mut observers = self.observers.write().unwrap_or_else(PoisonError::into_inner);
        observers.retain(|known| known.upgrade().is_some_and(|known| known.id != client.id));
    }

    /// The clients that observe patterns.
    pub fn pattern_observers(&self) -> Vec<Arc<Client>> {
        let observers = self.observers.read().unwrap_or_else(PoisonError::into_inner);
        observers.iter().filter_map(Weak::upgrade).collect()
    }
}
