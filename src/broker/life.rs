//! How a broker's life goes: settings that change, draining, stopping.

use super::directory::Origin;
use super::{Broker, Client};
use crate::config::Config;
use crate::error::Close;
use crate::request::dialect::HTTP;
use crate::sync;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// What can change while a broker runs.
#[derive(Debug)]
pub(super) struct Life {
    current: RwLock<Arc<Config>>,
    draining: AtomicBool,
    stopping: AtomicBool,
    /// Connections that have yet to say something.
    silent: AtomicUsize,
    /// Connections that were cut off while the broker stops.
    cut_off: AtomicUsize,
}

/// A connection that has yet to say something.
#[derive(Debug)]
pub struct Silence<'a>(&'a AtomicUsize);

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Life {
    pub(super) fn new(config: &Config) -> Life {
        Life {
            current: RwLock::new(Arc::new(config.clone())),
            draining: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            silent: AtomicUsize::new(0),
            cut_off: AtomicUsize::new(0),
        }
    }
}

impl Broker {
    /// The settings that are in force: [`Broker::config`] and what has been
    /// changed since.
    pub fn current(&self) -> Arc<Config> {
        sync::read(&self.life.current).clone()
    }

    /// Puts other settings into force, wherever [`Broker::current`] is asked.
    pub fn reconfigure(&self, config: Config) {
        *sync::write(&self.life.current) = Arc::new(config);
    }

    /// Begins to send everybody away, with their seats held: connected clients, and
    /// those that still come, are told when to come back. A member without a
    /// connection cannot go, and is away until it is heard of again.
    pub fn begin_drain(&self) {
        self.life.draining.store(true, Ordering::SeqCst);
        let now_ms = self.now_ms();
        // Clients that are away are not among these: they have been told, or cannot
        // be.
        for client in &self.directory.everyone() {
            if client.is_unwaited() {
                self.lose(client, Close::Drain, now_ms);
            } else {
                client.mailbox.close(Close::Drain);
            }
        }
    }

    /// Stops sending clients away.
    pub fn end_drain(&self) {
        self.life.draining.store(false, Ordering::SeqCst);
    }

    /// Whether the broker is sending everybody away.
    pub fn is_draining(&self) -> bool {
        self.life.draining.load(Ordering::SeqCst)
    }

    /// Tells everyone that the broker is stopping.
    pub fn stop(&self) {
        self.life.stopping.store(true, Ordering::SeqCst);
        // Before the good-bye, which is the last that anybody is told.
        self.jobs.stop();
        for client in self.directory.everyone() {
            client.mailbox.close(Close::Shutdown);
        }
    }

    /// Whether the broker is stopping.
    pub fn is_stopping(&self) -> bool {
        self.life.stopping.load(Ordering::SeqCst)
    }

    /// Counts a connection that has yet to say something, for as long as it holds
    /// the returned value: nothing is due to it.
    pub fn await_first_bytes(&self) -> Silence<'_> {
        self.life.silent.fetch_add(1, Ordering::SeqCst);
        Silence(&self.life.silent)
    }

    /// How many connections have yet to say something.
    pub fn silent(&self) -> usize {
        self.life.silent.load(Ordering::SeqCst)
    }

    /// Counts a connection that ends before all that was due to it is out, if the
    /// broker is stopping.
    pub fn note_cut_off(&self) {
        if self.is_stopping() {
            self.life.cut_off.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// How many connections were cut off since the broker began to stop.
    pub fn cut_off(&self) -> usize {
        self.life.cut_off.load(Ordering::SeqCst)
    }

    /// Notes that a client's connection has ended.
    pub(super) fn note_closed(&self, client: &Client, reason: Close) {
        let Origin { addr, dialect, since_ms, .. } = client.origin();
        // By the broker's clock: the time of day may have been set meanwhile.
        let here = Duration::from_millis(self.now_ms().saturating_sub(since_ms));
        // A member without a connection never had one to count; what becomes of it
        // is logged elsewhere.
        if !client.is_unwaited() {
            self.stats.closed.add(reason.as_str(), 1);
            let (name, secs) = (client.name(), here.as_secs_f64());
            // Scripts open a connection for each request.
            let is_usual =
                dialect == HTTP && matches!(reason, Close::Quit | Close::Lost | Close::Timeout);
            let level = if is_usual { log::Level::Debug } else { log::Level::Info };
            log::log!(
                level,
                "event=closed addr={addr} client={name} dialect={dialect} reason={reason} secs={secs:.3}"
            );
        }
        self.directory.note_past(client, here, reason);
    }

    /// Why a client that comes now has to go again, if it has to.
    pub fn farewell(&self) -> Option<Close> {
        if self.is_stopping() {
            return Some(Close::Shutdown);
        }
        self.is_draining().then_some(Close::Drain)
    }
}
