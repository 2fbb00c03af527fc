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
use ecow::EcoString;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// How many names without a channel are known to match no pattern.
const UNOBSERVED_MAX: usize = 10_000;

/// Clients that observe patterns.
#[derive(Debug, Default)]
struct Observers {
    clients: BTreeMap<ClientId, Weak<Client>>,
    /// Names that none of their patterns matches: whoever goes on publishing to such
    /// a channel, which is missing, would have all patterns looked at each time.
    unobserved: HashSet<EcoString>,
}

impl Observers {
    fn present(&self) -> impl Iterator<Item = Arc<Client>> {
        self.clients.values().filter_map(Weak::upgrade)
    }
}

/// All channels of a broker.
#[derive(Debug)]
pub struct Registry {
    channels: DashSet<ByName>,
    count: AtomicUsize,
    channels_max: usize,
    /// The charter of channels without settings of their own.
    plain: Arc<Charter>,
    /// Whoever makes a channel holds this lock, so that no two make the same one, and
    /// no observer comes in between.
    observers: Mutex<Observers>,
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
        for client in observers.present() {
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

    /// Adds a client that sees each new channel from now on. To be called also when it
    /// observes one more pattern.
    pub fn add_observer(&self, client: &Arc<Client>) {
        let mut observers = lock(&self.observers);
        observers.unobserved.clear();
        observers.clients.insert(client.id, Arc::downgrade(client));
    }

    /// Removes a client, which sees no new channel from now on.
    pub fn remove_observer(&self, client: &Client) {
        lock(&self.observers).clients.remove(&client.id);
    }

    /// Whether a client observes a pattern that matches this name.
    pub fn is_observed(&self, name: &str) -> bool {
        let mut observers = lock(&self.observers);
        if observers.unobserved.contains(name) {
            return false;
        }
        if observers.present().any(|client| lock(&client.subscriptions).matches(name)) {
            return true;
        }
        if !observers.clients.is_empty() {
            if observers.unobserved.len() >= UNOBSERVED_MAX {
                observers.unobserved.clear();
            }
            observers.unobserved.insert(name.into());
        }
        false
    }

    /// The clients that observe patterns.
    pub fn pattern_observers(&self) -> Vec<Arc<Client>> {
        lock(&self.observers).present().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Broker;
    use crate::config::Config;
    use crate::wire::text::TextEncoder;

    #[test]
    fn what_matched_no_pattern_may_match_a_later_one() {
        let broker = Broker::open(Config::default(), Box::new(TextEncoder)).unwrap();
        let enter = || broker.enter("127.0.0.1:1".parse().unwrap(), "text");
        let (first, other) = (enter(), enter());
        let known = || lock(&broker.registry.observers).unobserved.len();
        let is_made = |name: &str| broker.create_if_observed(name, 0).unwrap();
        assert!(!is_made("new") && known() == 0, "nobody observes anything");
        broker.observe(&first, "some*", 0).unwrap();
        assert!(!is_made("new") && !is_made("new") && !is_made("old"));
        assert_eq!(known(), 2);
        broker.observe(&first, "n*", 0).unwrap();
        assert!(is_made("new") && !is_made("old"));
        broker.observe(&other, "o*", 0).unwrap();
        assert!(is_made("old"));
        (0..2 * UNOBSERVED_MAX).for_each(|n| assert!(!is_made(&format!("x{n}"))));
        assert!((1..=UNOBSERVED_MAX).contains(&known()));
    }
}
