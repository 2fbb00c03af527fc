//! The state that all connections share. Synchronous: no I/O, no waiting, and
//! time is an argument.
//!
//! # Locks
//! In this order, and never the other way round:
//! - **the registry's observers → a client's subscriptions → channel → mailbox, or the
//!   store's queue;**
//! - a client's subscriptions → the directory;
//! - the table of sessions, or that of jobs → mailbox;
//! - the table of number sequences → the store's queue.
//!
//! A client's name and session have a lock that may be taken under any of these;
//! nothing is locked under it. Over HTTP, the lock of a session comes before all of
//! these, then that of the answers to guests' keys, then that of a channel.

mod absence;
mod by_name;
pub mod channel;
mod clock;
mod directory;
mod jobs;
mod keys;
mod life;
mod mailbox;
mod member;
mod recovery;
mod registry;
mod remembered;
mod restart;
mod schedule;
mod sequences;
mod sessions;
mod stats;
mod subscribe;
mod subscriptions;

pub use directory::{Client, Past};
pub use keys::{Answer, Key, Keys};
pub use mailbox::{Adoption, CHANNEL_BYTES, Forgone, Slots};
pub use member::{Adopted, Member, Role};
pub use recovery::Before;
pub use remembered::CallbackRecord;
pub use sequences::{Kept, Refused};
pub use sessions::{Claim, GoneChannel, Identity, Parked, ParkedSeat};
pub use stats::{HANDSHAKE, SILENT, Stats};
pub use subscribe::Ended;

use crate::config::Config;
use crate::error::{Close, Code, Fault};
use crate::log::{Departure, Encode};
use crate::moment::millis;
use crate::store::{OpenError, Options, Store};
use crate::sync::lock;
use crate::workers::{self, Pool};
use channel::{Channel, Rules};
use clock::Clock;
use directory::Directory;
use life::Life;
use registry::Registry;
use sequences::Sequences;
use sessions::Sessions;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The shared state: the only door to channels, clients and time.
#[derive(Debug)]
pub struct Broker {
    /// What it was started with.
    pub config: Config,
    /// Its figures.
    pub stats: Stats,
    registry: Registry,
    directory: Directory,
    sessions: Sessions,
    sequences: Sequences,
    /// The number of the last read that a session has begun.
    last_read: AtomicU64,
    jobs: Pool,
    clock: Clock,
    life: Life,
    /// The store, if anything outlives this broker.
    store: Option<Store>,
    /// What it had recovered when it began.
    before: Before,
}

impl Broker {
    /// Opens a broker whose entries look on the wire as `encode` writes them. With
    /// a data directory, it goes on where the last one ended.
    ///
    /// # Errors
    /// [`OpenError`] for a data directory that cannot be used.
    pub fn open(config: Config, encode: Box<dyn Encode>) -> Result<Arc<Self>, OpenError> {
        let opened = config.data.clone().map(|dir| {
            let margin = config.data_free as u64;
            Store::open(Options { dir, margin })
        });
        let (store, recovered) = opened.transpose()?.unzip();
        let stats = Stats::default();
        let rules = Rules {
            encode,
            members_max: config.max_members,
            log_bytes: config.log_bytes,
            stall_ms: millis(config.stall),
            store: store.clone(),
            stats: stats.channels.clone(),
        };
        let registry = Registry::new(config.max_channels, rules);
        let recovered = recovered.unwrap_or_default();
        let before = store.as_ref().map(|store| Before::take_in(&recovered, store, &registry));
        let limits = workers::Limits {
            workers: match config.workers {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                workers => workers,
            },
            queue: config.job_queue,
            time: config.job_timeout,
        };
        let broker = Arc::new(Broker {
            registry,
            life: Life::new(&config),
            config,
            stats,
            directory: Directory::after(recovered.last_client),
            sessions: Sessions::default(),
            sequences: Sequences::from_environment(),
            last_read: AtomicU64::new(0),
            jobs: Pool::new(limits),
            clock: Clock::default(),
            store,
            before: before.unwrap_or_default(),
        });
        let recovered =
            broker.recover_clients(&recovered).and_then(|()| broker.recover_sequences());
        recovered.map_err(|reason| broker.damaged(reason))?;
        broker.settle_recovery();
        broker.sweep_later(0);
        Ok(broker)
    }

    /// Milliseconds since the broker began.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Returns a unique number for a read from the disk: what is read may arrive
    /// when its client is already on another connection.
    pub fn number_read(&self) -> u64 {
        self.last_read.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How long a client may believe in its seats, in milliseconds: never
    /// longer than it takes to notice that the client has gone silent.
    pub fn lease_ms(&self) -> u64 {
        millis(self.config.lease_in_force())
    }

    /// How long after a client was last heard of it certainly no longer believes in
    /// its seats, in milliseconds: its lease, and the guard.
    fn guarded_lease_ms(&self) -> u64 {
        self.lease_ms() + millis(self.config.guard)
    }

    /// When a client certainly no longer believes in its seats, unless it is heard
    /// of before.
    pub fn lease_over_ms(&self, client: &Client) -> u64 {
        client.heard_ms() + self.guarded_lease_ms()
    }

    /// The channel of this name.
    ///
    /// # Errors
    /// [`crate::error::Code::NoChannel`].
    pub fn channel(&self, name: &str) -> Result<Arc<Channel>, Fault> {
        self.registry.find(name)
    }

    /// All channels, by name.
    pub fn channels(&self) -> Vec<Arc<Channel>> {
        self.registry.all()
    }

    /// How many channels there are.
    pub fn channel_count(&self) -> usize {
        self.registry.len()
    }

    /// Adds a new client, which gets a guest's name, and is closed after a long
    /// silence.
    pub fn enter(&self, addr: SocketAddr, dialect: &'static str) -> Arc<Client> {
        let client = self.enter_unwatched(addr, dialect);
        self.welcome(&client, dialect);
        self.watch_out(&client, self.now_ms());
        client
    }

    /// Adds a new client that may be silent, and may send requests while the broker
    /// drains.
    pub fn enter_unwatched(&self, addr: SocketAddr, dialect: &'static str) -> Arc<Client> {
        let client = self.directory.enter(addr, dialect, self.now_ms());
        // A client that comes while the broker says good-bye to everybody is told
        // as well.
        if self.is_stopping() {
            client.mailbox.close(Close::Shutdown);
        }
        client
    }

    /// Begins to watch for the silence of a client that entered unwatched and goes
    /// on in this dialect.
    pub fn watch(&self, client: &Arc<Client>, dialect: &'static str) {
        let now_ms = self.now_ms();
        client.speaks(dialect);
        client.heard(now_ms);
        self.watch_out(client, now_ms);
        // An order to close may have been taken out of its mailbox by whoever
        // served it before.
        self.see_off(client);
    }

    /// Counts a connection among those of its dialect, and tells it if it has to go
    /// again.
    pub fn welcome(&self, client: &Client, dialect: &'static str) {
        self.stats.opened.add(dialect, 1);
        self.see_off(client);
    }

    fn see_off(&self, client: &Client) {
        if let Some(reason) = self.farewell() {
            client.mailbox.close(reason);
        }
    }

    /// Gives a client another name. It may be that of a client that is away, whose
    /// session ends then.
    ///
    /// # Errors
    /// [`Code::BadRequest`] or [`Code::TooLong`] for what is no name,
    /// [`Code::NameTaken`], [`Code::AlreadyMember`] for a client with
    /// subscriptions.
    pub fn rename(&self, client: &Arc<Client>, name: &str, now_ms: u64) -> Result<(), Fault> {
        match self.directory.rename(client, name) {
            Err(fault) if fault.code == Code::NameTaken && self.free_name(name, now_ms) => {
                self.directory.rename(client, name)
            }
            done => done,
        }
    }

    /// Gives a client another name that no client has, connected or away.
    ///
    /// # Errors
    /// The same as for [`Broker::rename`].
    pub fn rename_if_free(&self, client: &Arc<Client>, name: &str) -> Result<(), Fault> {
        self.directory.rename(client, name)
    }

    /// Removes a client whose connection has ended and for which nothing is kept:
    /// it leaves every channel at once.
    pub fn leave(&self, client: &Arc<Client>, keys: Option<&Keys>, reason: Close, now_ms: u64) {
        self.dismiss(client, keys, departure(reason), now_ms);
        self.note_closed(client, reason);
    }

    /// Takes a client out of every channel, and its patterns away; the client
    /// itself stays.
    pub fn leave_channels(&self, client: &Arc<Client>, why: Departure, now_ms: u64) {
        self.registry.remove_observer(client);
        let members = {
            let mut subscriptions = lock(&client.subscriptions);
            if !subscriptions.patterns().is_empty() {
                subscriptions.patterns_mut().clear();
            }
            subscriptions.take()
        };
        for (channel, member) in members {
            match channel.leave(&member, why, now_ms) {
                Err(_) => self.forget_place(client, channel.name()),
                Ok(()) if member.is_observer() => {}
                Ok(()) => channel.wake_soon(),
            }
        }
    }

    /// The client of this name.
    ///
    /// # Errors
    /// [`crate::error::Code::NoMember`].
    pub fn client(&self, name: &str) -> Result<Arc<Client>, Fault> {
        self.directory.find(name)
    }

    /// The client of this name, to tell it something.
    ///
    /// # Errors
    /// [`Code::NoMember`]; [`Code::Denied`] for one that hears no frames.
    pub fn client_that_hears(&self, name: &str) -> Result<Arc<Client>, Fault> {
        let client = self.client(name)?;
        if client.is_plain() {
            let text = if client.is_unwaited() {
                format!("{name} has no connection and no callback: it hears nothing but commands")
            } else {
                format!("{name} is a Redis client, which hears nothing but messages")
            };
            return Err(Fault::new(Code::Denied, text));
        }
        Ok(client)
    }

    /// All connected clients, in the order of arrival.
    pub fn everyone(&self) -> Vec<Arc<Client>> {
        self.directory.everyone()
    }

    /// How many clients are connected.
    pub fn client_count(&self) -> usize {
        self.directory.len().saturating_sub(self.sessions.parked())
    }

    /// The last so many past connections, oldest first.
    pub fn past(&self, last: usize) -> Vec<Past> {
        self.directory.past(last)
    }
}

/// The departure of members whose connection was closed for this reason.
pub fn departure(reason: Close) -> Departure {
    match reason {
        Close::Quit => Departure::Quit,
        Close::Timeout => Departure::Timeout,
        _ => Departure::Lost,
    }
}
