//! What most sessions do without.

use super::disk::Disk;
use super::hearing::{Hearing, Under};
use super::identity::Introduction;
use super::succession::Succession;
use crate::broker::Keys;
use crate::frame::Frame;
use ecow::EcoString;

/// State that most sessions do without, boxed together so that they spend no more
/// than a pointer on it.
#[derive(Debug, Default)]
pub(super) struct Extra(Option<Box<Parts>>);

/// The parts of that state.
#[derive(Debug, Default)]
pub(super) struct Parts {
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

impl Extra {
    /// The parts, made if they are missing.
    pub(super) fn parts(&mut self) -> &mut Parts {
        self.0.get_or_insert_default()
    }

    /// The parts, if there are any.
    pub(super) fn get_mut(&mut self) -> Option<&mut Parts> {
        self.0.as_deref_mut()
    }

    pub(super) fn succession(&self) -> Option<&Succession> {
        Some(&self.0.as_ref()?.succession)
    }

    pub(super) fn keys(&self) -> Option<&Keys> {
        self.0.as_ref()?.keys.as_deref()
    }

    pub(super) fn is_awaiting(&self) -> bool {
        self.0.as_ref().is_some_and(|parts| parts.awaited.is_some())
    }

    pub(super) fn is_ungreeted(&self) -> bool {
        self.0.as_ref().is_some_and(|parts| parts.is_ungreeted)
    }

    pub(super) fn disk(&self) -> Option<&Disk> {
        self.0.as_ref()?.disk.as_ref()
    }

    pub(super) fn disk_mut(&mut self) -> Option<&mut Disk> {
        self.0.as_mut()?.disk.as_mut()
    }

    pub(super) fn hearing(&self) -> Option<&Hearing> {
        self.0.as_ref()?.hearing.as_ref()
    }

    pub(super) fn hearing_mut(&mut self) -> Option<&mut Hearing> {
        self.0.as_mut()?.hearing.as_mut()
    }
}
