//! What most sessions do without.

use super::disk::Disk;
use super::hearing::{Hearing, Under};
use super::identity::Introduction;
use super::succession::Succession;
use crate::broker::Keys;
use ecow::EcoString;

/// What most sessions do without. Boxed in one, so that it takes no more than a
/// pointer there.
#[derive(Debug, Default)]
pub(super) struct Extra(Option<Box<Parts>>);

/// What there may be.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Which subscriptions wait for others.
    pub(super) succession: Succession,
    /// What was answered to the keys of its requests.
    pub(super) keys: Option<Box<Keys>>,
    /// It has introduced itself with a session that another connection has yet
    /// to give up.
    pub(super) awaited: Option<Introduction>,
    /// The reply to its `hello` waits, and comes before all else.
    pub(super) is_ungreeted: bool,
    /// What is read from the disk for it.
    pub(super) disk: Option<Disk>,
    /// As what it gets messages, if it has several names for a channel.
    pub(super) hearing: Option<Hearing>,
    /// What it heard so and was dropped.
    pub(super) dropped: Vec<(EcoString, Under)>,
}

impl Extra {
    /// What there is, of which something is to be noted.
    pub(super) fn parts(&mut self) -> &mut Parts {
        self.0.get_or_insert_default()
    }

    /// What there is, if anything.
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
