//! Whether the store takes more, and if not, why.

use super::disk::Failure;
use super::room::Room;
use crate::sync::lock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

const WELL: u8 = 0;
const FULL: u8 = 1;
const FAILED: u8 = 2;
const BROKEN: u8 = 3;

/// The state that everyone who writes looks at first.
#[derive(Debug, Default)]
pub struct Health {
    state: AtomicU8,
    reason: Mutex<Arc<str>>,
}

impl Health {
    /// Whether more may be accepted.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn check(&self) -> Result<(), Arc<str>> {
        match self.state.load(Ordering::SeqCst) {
            WELL => Ok(()),
            _ => Err(lock(&self.reason).clone()),
        }
    }

    /// The state in a word.
    pub fn as_str(&self) -> &'static str {
        match self.state.load(Ordering::SeqCst) {
            WELL => "well",
            FULL => "full",
            FAILED => "failed",
            _ => "broken",
        }
    }

    /// Why nothing can be written at all, if so.
    pub fn failure(&self) -> Option<Arc<str>> {
        (self.state.load(Ordering::SeqCst) >= FAILED).then(|| lock(&self.reason).clone())
    }

    /// Whether nothing is written any more until a restart.
    pub fn is_broken(&self) -> bool {
        self.state.load(Ordering::SeqCst) == BROKEN
    }

    /// Notes that a write succeeded: after a failed one, all is well again.
    pub fn writes(&self) {
        if self.state.load(Ordering::SeqCst) == FAILED {
            self.well();
        }
    }

    /// Notes that there is room, and that writing works.
    pub fn well(&self) {
        if self.state.swap(WELL, Ordering::SeqCst) != WELL {
            log::info!("event=store-well");
        }
    }

    /// Notes that there is too little room.
    pub fn full(&self, room: Room) {
        let text = format!(
            "the data directory has too little room: {room}; make room, and it goes on by itself"
        );
        self.enter(FULL, &text);
    }

    /// Notes that a batch is not known to be on disk.
    pub fn note(&self, failure: &Failure) {
        match failure {
            Failure::Write(error) => self.failed(error),
            Failure::Sync(error) => self.broken(error),
        }
    }

    /// Notes that a write failed, and may be tried again.
    pub fn failed(&self, error: &str) {
        let text = format!(
            "the data directory cannot be written: {error}; it goes on by itself when it can"
        );
        self.enter(FAILED, &text);
    }

    /// Notes that the disk did not confirm a write.
    pub fn broken(&self, error: &str) {
        let text = format!(
            "the disk did not confirm a write to the data directory: {error}; \
             see to the disk, then restart the broker, which finds out what is there"
        );
        self.enter(BROKEN, &text);
    }

    fn enter(&self, state: u8, text: &str) {
        // The reason first: whoever sees the state asks for it.
        *lock(&self.reason) = text.into();
        if self.state.swap(state, Ordering::SeqCst) != state {
            log::error!("event=store-unavailable reason={text:?}");
        }
    }
}
