//! How a session ends: by what it waited for, by an interrupt, or with its
//! connection.

use super::exec::END_GRACE;
use super::exit::INTERRUPTED;
use super::session::Session;
use super::stage::{Event, Origin, Over, Stage};
use crate::client::connection::Connection;
use crate::client::line::Asked;
use crate::runtime;
use futures::StreamExt;
use std::time::Duration;

/// How long after an interrupt the broker may take to say what is still due.
const GRACE: Duration = Duration::from_secs(2);

/// How long a goodbye may take when nobody will read what comes.
pub(super) const FAREWELL: Duration = Duration::from_millis(300);

/// How long killed programs may take to be gone.
const PROGRAMS_END: Duration = Duration::from_secs(2);

impl Session {
    pub(super) fn leave(&mut self) {
        self.stage = Stage::Leaving;
        self.take_leave();
    }

    /// Handles an interrupt; true if the program is to end at once.
    pub(super) fn interrupt(&mut self) -> bool {
        let again = self.interrupted || !self.outbox.is_open();
        if again {
            if self.interrupted {
                self.runner.kill();
            }
            self.interrupted = true;
            self.exit = Some(INTERRUPTED);
            return true;
        }
        if !self.nothing_due() {
            self.screen.notice(
                "interrupted: leaving without what is still due; once more ends it at once",
            );
        }
        self.interrupted = true;
        self.runner.stop();
        self.leave();
        let tx = self.tx.clone();
        runtime::spawn(async move {
            runtime::sleep(GRACE).await;
            let _ = tx.unbounded_send(Event::GraceOver);
        });
        false
    }

    /// The connection is over: an interrupt that left something of the user's without its
    /// reply or result is no success.
    fn count_undone(&mut self, unanswered: &[Asked<Origin>]) {
        let is_undone = unanswered.iter().any(is_users) || !self.due.is_empty();
        if self.interrupted && is_undone {
            self.exit = Some(INTERRUPTED);
        }
    }

    /// No program outlives this one, however it ends.
    pub(super) async fn end_programs(&mut self) {
        self.runner.stop();
        let ended = async {
            while !self.runner.is_idle() {
                match self.events.next().await {
                    Some(Event::Ran(run, _)) => self.runner.ended(&run.command.channel),
                    Some(Event::Interrupt) if self.interrupted => self.runner.kill(),
                    Some(Event::Interrupt) => self.interrupted = true,
                    _ => {}
                }
            }
        };
        // What cannot be killed is in the system's hands.
        let _ = runtime::timeout(END_GRACE + PROGRAMS_END, ended).await;
    }

    /// Whether to connect again after this.
    pub(super) fn go_on(&mut self, over: Over) -> bool {
        let quit = self.outbox.waiting(|waiting| waiting.has("quit", &Origin::User));
        let gone = self.said_goodbye || self.remembered.taken_over;
        let left = self.stage == Stage::Leaving || self.user_quit || quit || gone;
        let mut unanswered = self.outbox.down();
        self.keep_keyed(&mut unanswered);
        self.count_undone(&unanswered);
        let unanswered = unanswered.iter().filter(|asked| asked.tag == Origin::User).count();
        self.duty.lost();
        self.memory.lost();
        self.again.lost();
        if left {
            return false;
        }
        let why = match over {
            Over::Connection(Some(e)) => format!(": {}", crate::client::error::reason(&e)),
            Over::Refused => ": the broker refused this client".to_owned(),
            _ => String::new(),
        };
        let (host, port) = (&self.settings.host, self.settings.port);
        self.screen.notice(&format!("the connection to {host}:{port} is lost{why}"));
        // If the session is resumed, it brings the results.
        let due = if self.memory.has_session() { 0 } else { self.due.len() };
        if unanswered > 0 || due > 0 {
            self.screen.notice(&format!(
                "{unanswered} requests have no reply and {due} commands or jobs no result: \
                 whether they took effect is not known"
            ));
        }
        if !self.settings.reconnect {
            self.verdict.lost();
            return false;
        }
        if unanswered > 0 || due > 0 {
            self.verdict.refused(None);
        }
        if !self.memory.has_session() {
            self.due.clear();
        }
        self.connected_before = true;
        !self.is_done()
    }

    /// Says goodbye when nobody will read what still comes.
    pub(super) async fn depart(&mut self, connection: &mut Connection<Origin>) {
        self.take_leave();
        let _ = runtime::timeout(FAREWELL, async {
            while matches!(connection.fill().await, Ok(true)) {
                while connection.buffered().is_some() {}
            }
        })
        .await;
        let unanswered = self.outbox.down();
        self.count_undone(&unanswered);
    }
}

/// Whether the user waits for the reply to this; `quit` has none.
fn is_users(asked: &Asked<Origin>) -> bool {
    asked.tag == Origin::User && asked.verb != "quit"
}
