//! With `--reconnect`, subscriptions are asked for until they succeed: after a
//! broker was started again the channel may be made only later, or the place may
//! still be taken by this client's own former connection.

use super::session::Session;
use super::stage::{Event, Origin};
use crate::client::line::verb_of;
use crate::client::memory::Refusal;
use crate::client::reconnect::{AGAIN_FIRST, AGAIN_LONGEST, Backoff};
use crate::error::Code;
use crate::runtime;

/// When refused subscriptions are asked for again.
#[derive(Debug)]
pub(super) struct Again {
    backoff: Backoff,
    /// Counts the connections, so that a pause has no effect on a later one.
    connection: u64,
    waiting: bool,
}

impl Default for Again {
    fn default() -> Self {
        Again { backoff: Backoff::new(AGAIN_FIRST, AGAIN_LONGEST), connection: 0, waiting: false }
    }
}

impl Again {
    /// The connection is gone; the next one asks for everything at once.
    pub(super) fn lost(&mut self) {
        self.backoff.reset();
        self.connection += 1;
        self.waiting = false;
    }
}

impl Session {
    /// Asks for every subscription that is wanted but not in force.
    pub(super) fn ask_again(&self) {
        let lines = self.memory.subscriptions();
        let origin = |line: &str| match verb_of(line) {
            "use" => Origin::Own,
            _ => Origin::Wish,
        };
        // Together: nothing the user types comes between a sub and its use.
        self.outbox.say_all(lines.iter().map(|line| (line.as_str(), origin(line))));
    }

    /// Asks again, when the pause of this connection is over.
    pub(super) fn time_to_ask_again(&mut self, connection: u64) {
        if connection == self.again.connection && self.outbox.is_open() {
            self.again.waiting = false;
            self.ask_again();
        }
    }

    /// A subscription was refused: says so once, and asks again after a pause.
    /// False if that would be in vain.
    pub(super) fn wish_refused(&mut self, request: &str, code: Option<Code>, text: &str) -> bool {
        match self.memory.refused(request, code) {
            Refusal::Settled => return true,
            Refusal::Final => return false,
            Refusal::Temporary { first: true } => {
                let text =
                    format!("{request}: the broker refused: {text}; trying until it succeeds");
                self.screen.notice(&text);
            }
            Refusal::Temporary { first: false } => {}
        }
        if !std::mem::replace(&mut self.again.waiting, true) {
            let (pause, connection) = (self.again.backoff.pause(), self.again.connection);
            let tx = self.tx.clone();
            runtime::spawn(async move {
                runtime::sleep(pause).await;
                // If the session is over there is nobody to tell.
                let _ = tx.unbounded_send(Event::Again(connection));
            });
        }
        true
    }
}
