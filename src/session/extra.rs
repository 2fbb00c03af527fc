//! What most sessions do without.

use super::disk::Disk;
use super::hearing::{Hearing, Under};
use super::identity::Introduction;
use super::succession::Succession;
use crate::broker::Keys;
use crate::frame::Frame;
use crate::rare::Rare;
use ecow::EcoString;

/// What most sessions do without.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// Which subscriptions wait for others.
    pub(super) succession: Succession,
    /// The answers to the client's requests that had a key.
    pub(super) keys: Option<Box<Keys>>,
    /// The `hello` of a client that wants a session which another connection has yet
    /// to give up.
    pub(super) awaited: Option<Introduction>,
    /// Whether the reply to its `hello` waits: that comes before all else.
    pub(super) is_ungreeted: bool,
    /// What is read from the disk for it.
    pub(super) disk: Option<Disk>,
    /// Its subscriptions by kind of name, if channels have several names for it.
    pub(super) hearing: Option<Hearing>,
    /// Dropped channels of which it has yet to be told, and the names it had for them.
    pub(super) dropped: Vec<(EcoString, Under)>,
    /// What it has yet to be told of channels that were dropped before a restart.
    pub(super) gone: Vec<Frame>,
}

impl Rare<Extra> {
    pub(super) fn succession(&self) -> Option<&Succession> {
        Some(&self.get()?.succession)
    }

    pub(super) fn keys(&self) -> Option<&Keys> {
        self.get()?.keys.as_deref()
    }

    pub(super) fn is_awaiting(&self) -> bool {
        self.get().is_some_and(|parts| parts.awaited.is_some())
    }

    pub(super) fn is_ungreeted(&self) -> bool {
        self.get().is_some_and(|parts| parts.is_ungreeted)
    }

    pub(super) fn disk(&self) -> Option<&Disk> {
        self.get()?.disk.as_ref()
    }

    pub(super) fn disk_mut(&mut self) -> Option<&mut Disk> {
        self.get_mut()?.disk.as_mut()
    }

    pub(super) fn hearing(&self) -> Option<&Hearing> {
        self.get()?.hearing.as_ref()
    }

    pub(super) fn hearing_mut(&mut self) -> Option<&mut Hearing> {
        self.get_mut()?.hearing.as_mut()
    }
}
