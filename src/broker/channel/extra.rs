//! What most channels do without.

use super::commands::Commands;
use super::durable::OnDisk;
use super::pressure::Pressure;
use super::wake::Readers;
use crate::broker::member::Member;
use crate::rare::Rare;
use std::sync::Arc;

/// What most channels do without.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// What of the channel is on disk, if there is a store.
    pub(super) disk: Option<OnDisk>,
    /// Members that have left, and may still have something to read.
    pub(super) leavers: Vec<Arc<Member>>,
    /// Commands that wait for results.
    pub(super) commands: Commands,
    /// Who waits for whom, and when to look at what can go.
    pub(super) pressure: Pressure,
    /// Clients that wait for news, members or not.
    pub(super) readers: Readers,
    /// Set once the channel is removed: the seq that ended it.
    pub(super) dropped: Option<u64>,
}

impl Rare<Extra> {
    pub(super) fn disk(&self) -> Option<&OnDisk> {
        self.get()?.disk.as_ref()
    }

    pub(super) fn disk_mut(&mut self) -> Option<&mut OnDisk> {
        self.get_mut()?.disk.as_mut()
    }

    /// The seq that ended the channel, once it is removed.
    pub(super) fn dropped(&self) -> Option<u64> {
        self.get()?.dropped
    }

    /// Notes a member that has left and may still read.
    pub(super) fn note_leaver(&mut self, leaver: Arc<Member>) {
        let leavers = &mut self.parts().leavers;
        // Here as well: observers may come and go for long while nothing is
        // appended.
        if leavers.len() == leavers.capacity() {
            leavers.retain(|leaver| Arc::strong_count(leaver) > 1);
        }
        leavers.push(leaver);
    }

    /// The members that have left and may still read. Once its session has let go
    /// of a member, ours is the only reference, and is dropped.
    pub(super) fn present_leavers(&mut self) -> &[Arc<Member>] {
        let Some(parts) = self.get_mut() else { return &[] };
        parts.leavers.retain(|leaver| Arc::strong_count(leaver) > 1);
        &parts.leavers
    }
}
