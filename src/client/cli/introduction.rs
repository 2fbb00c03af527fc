//! Who this client is, and what it asks for first.

use super::session::Session;
use super::stage::Origin;
use crate::client::memory::quote;

impl Session {
    /// Says who this client is, if that matters.
    pub(super) fn introduce(&mut self) {
        if self.memory.has_wishes() || self.screen.is_terminal() {
            self.outbox.say(&self.memory.hello(), Origin::Introduction);
        } else {
            // The first bytes choose the dialect; whatever the user's first line
            // begins with, this makes it text.
            self.outbox.say("# broker-client", Origin::Own);
            self.introduced();
        }
    }

    pub(super) fn introduced(&mut self) {
        self.resume();
        if self.connected_before {
            let text = format!("connected to {}:{} again", self.settings.host, self.settings.port);
            self.screen.notice(&text);
        } else if self.screen.is_terminal() {
            let name = self.memory.name().unwrap_or_default();
            let (host, port) = (&self.settings.host, self.settings.port);
            self.screen.notice(&format!(
                "connected to {host}:{port} as {name}; try: help, sub CHANNEL --create, quit"
            ));
        }
        self.subscribe();
        self.memory.connected();
        self.ask_again();
        self.connected_before = true;
        self.outbox.open();
    }

    /// Subscribes to what the command line names, when the first introduction is over:
    /// that may be on a later connection than the first.
    fn subscribe(&mut self) {
        let create = if self.settings.create { " --create" } else { "" };
        let observe = if self.settings.observe { " --observe" } else { "" };
        for channel in std::mem::take(&mut self.settings.subscribe) {
            // A resumed session has it already.
            if self.memory.seat(&channel).is_some() {
                continue;
            }
            let line = format!("sub {}{create}{observe}", quote(&channel));
            if self.settings.reconnect {
                self.memory.wish(&channel, line);
            } else {
                self.outbox.say(&line, Origin::Option);
            }
        }
    }

    /// The broker refuses the name: a person may choose another, a script
    /// cannot go on as somebody else.
    pub(super) fn refused_introduction(&mut self) {
        if self.screen.is_terminal() && self.settings.name.is_some() {
            self.settings.name = None;
            self.rename(None);
            self.outbox.say(&self.memory.hello(), Origin::Introduction);
        } else {
            self.leave();
        }
    }
}
