//! All channels by name, and the patterns that observe them.
//!
//! A map guard never leaves this file: what it hands out is an `Arc`.

use super::by_name::ByName;
use super::channel::{Channel, Charter, Rules, no_channel};
use super::directory::Client;
use crate::error::{Code, Fault};
use crate::log::ClientId;
use crate::request::{Settings, check_name};
use crate::store::{RecoveredChannel, Store};
use crate::sync::lock;
use dashmap::DashSet;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// All channels of a broker.
#[derive(Debug)]
pub struct Registry {
    channels: DashSet<ByName>,
    count: AtomicUsize,
    channels_max: usize,
    /// The charter of channels without settings of their own.
    plain: Arc<Charter>,
    /// Clients that observe patterns. Whoever makes a channel holds this lock, so
    /// that no two make the same one, and no observer comes in between.
    observers: Mutex<BTreeMap<ClientId, Weak<Client>>>,
}

impl Registry {
    /// No channels yet.
    pub fn new(channels_max: usize, rules: Rules) -> Self {
        Registry {
            channels: DashSet::new(),
            count: AtomicUsize::new(0),
            channels_max,
            plain: Charter::plain(Arc::new(rules)),
            observers: Mutex::default(),
        }
    }

    /// The channel of this name.
    ///
    /// # Errors
    /// [`Code::NoChannel`].
    pub fn find(&self, name: &str) -> Result<Arc<Channel>, Fault> {
        let found = self.channels.get(name).map(|found| found.0.clone());
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
        let observers = lock(&self.observers);
        if self.channels.contains(name) {
            return Err(Fault::new(Code::Exists, format!("there is a channel {name} already")));
        }
        self.can_keep(&settings)?;
        self.has_room(1)?;
        self.count.fetch_add(1, Ordering::SeqCst);
        let channel = Channel::new(name.into(), settings, &self.plain);
        for client in observers.values().filter_map(Weak::upgrade) {
            introduce(&client, &channel);
        }
        self.channels.insert(ByName(channel.clone()));
        Ok(channel)
    }

    /// Checks that there may be so many more channels.
    ///
    /// # Errors
    /// [`Code::Full`].
    pub fn has_room(&self, more: usize) -> Result<(), Fault> {
        if self.len() + more <= self.channels_max || more == 0 {
            return Ok(());
        }
        let text = format!("the broker has all its {} channels", self.channels_max);
        Err(Fault::new(Code::Full, text))
    }

    /// Checks that a channel can be kept as these settings demand.
    fn can_keep(&self, settings: &Settings) -> Result<(), Fault> {
        let kept = match &self.plain.rules().store {
            Some(store) if settings.durable => store.check(),
            // Even if it is not durable, where its seqs begin has to be noted.
            Some(store) => store.can_write(),
            None if settings.durable => {
                Err("this broker keeps nothing on disk: start it with --data DIR".into())
            }
            None => Ok(()),
        };
        kept.map_err(|reason| Fault::new(Code::Unavailable, &*reason))
    }

    /// Takes in a channel from before a restart. The limit holds for new channels
    /// only.
    pub fn recover(&self, found: &RecoveredChannel, store: &Store) -> Arc<Channel> {
        let channel = Channel::recover(found, store, self.plain.rules().clone());
        self.count.fetch_add(1, Ordering::SeqCst);
        self.channels.insert(ByName(channel.clone()));
        channel
    }

    /// Forgets a channel that has ended.
    pub fn remove(&self, channel: &Arc<Channel>) {
        let same = |present: &ByName| Arc::ptr_eq(&present.0, channel);
        if self.channels.remove_if(&**channel.name(), same).is_some() {
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// All channels, in any order.
    pub fn snapshot(&self) -> Vec<Arc<Channel>> {
        self.channels.iter().map(|channel| channel.0.clone()).collect()
    }

    /// The channels of such a name, in any order.
    pub fn named(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Arc<Channel>> {
        let wanted = self.channels.iter().filter(|channel| is_wanted(channel.0.name()));
        wanted.map(|channel| channel.0.clone()).collect()
    }

    /// All channels, by name.
    pub fn all(&self) -> Vec<Arc<Channel>> {
        let mut all = self.snapshot();
        all.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// How many channels there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Adds a client that sees each new channel from now on.
    pub fn add_observer(&self, client: &Arc<Client>) {
        lock(&self.observers).insert(client.id, Arc::downgrade(client));
    }

    /// Removes a client, which sees no new channel from now on.
    pub fn remove_observer(&self, client: &Client) {
        lock(&self.observers).remove(&client.id);
    }

    /// The clients that observe patterns.
    pub fn pattern_observers(&self) -> Vec<Arc<Client>> {
        lock(&self.observers).values().filter_map(Weak::upgrade).collect()
    }
}
