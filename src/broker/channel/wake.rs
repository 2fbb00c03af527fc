//! Who is told that there is news, and when.

use super::{Channel, State};
use crate::broker::directory::Client;
use crate::log::ClientId;
use crate::runtime;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

/// With this many members, looking at all of them takes longer than spawning a task
/// that does it.
const MANY: usize = 1_000;

/// Clients that are to be woken when there is news.
#[derive(Debug, Default)]
pub(super) struct Readers(BTreeMap<ClientId, Arc<Client>>);

impl Readers {
    /// Wakes them.
    pub(super) fn wake(&self) {
        self.0.values().for_each(|reader| reader.mailbox.wake());
    }
}

impl Channel {
    /// Notes an append. Returns whether the caller has to see to it that
    /// [`Channel::wake_touched`] is called; else somebody is about to call it
    /// already.
    pub fn touch(&self) -> bool {
        !self.touched.swap(true, Ordering::SeqCst)
    }

    /// Has the members woken after an append.
    pub fn wake_soon(self: &Arc<Self>) {
        if self.touch() {
            self.wake_touched();
        }
    }

    /// Wakes the members of a channel that the caller has touched. If there are
    /// many, that is put off until whatever else is to be done now is done: when
    /// thousands leave together, all others are looked at once and not thousands of
    /// times.
    pub fn wake_touched(self: &Arc<Self>) {
        let state = self.lock();
        if state.seats.len() < MANY {
            return self.wake_all(state);
        }
        drop(state);
        let channel = self.clone();
        runtime::spawn(async move { channel.wake() });
    }

    /// Tells every member that does not know yet that there is news, and whoever
    /// waits for some.
    pub(super) fn wake(&self) {
        self.wake_all(self.lock());
    }

    fn wake_all(&self, mut state: MutexGuard<'_, State>) {
        // What is appended from here on is for the next wake.
        self.touched.store(false, Ordering::SeqCst);
        let readers = state.extra.get_mut().map(|extra| std::mem::take(&mut extra.readers));
        let asleep: Vec<_> = state.seats.iter().filter(|member| member.queue()).cloned().collect();
        drop(state);
        for member in asleep {
            member.client.mailbox.news(member.slot);
        }
        readers.iter().for_each(Readers::wake);
    }

    /// Has this client, member or not, woken once when there is news, or the
    /// channel ends. It must look for news after this call, so that it misses none.
    /// Returns whether there can be any: not in a channel that was removed.
    pub fn wait(&self, client: &Arc<Client>) -> bool {
        let mut state = self.lock();
        if state.extra.dropped().is_some() {
            return false;
        }
        state.extra.parts().readers.0.insert(client.id, client.clone());
        true
    }

    /// Takes a client out of those that wait for news.
    pub fn wait_no_more(&self, client: &Client) {
        if let Some(extra) = self.lock().extra.get_mut() {
            extra.readers.0.remove(&client.id);
        }
    }
}
