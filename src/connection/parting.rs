//! How a connection is closed: what is due goes out first, then the good-bye.

use super::scratch::Scratch;
use super::{Connection, Moved};
use crate::error::Close;
use crate::farewell::{LINGER, linger};
use crate::frame::Frame;
use crate::log::Departure;
use crate::runtime;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

/// How a connection is closed.
#[derive(Clone, Copy)]
pub(super) struct Closing {
    pub(super) reason: Close,
    /// The results of the client's commands are to come before the good-bye.
    pub(super) waits_for_results: bool,
}

impl Connection {
    /// Begins to close: from here on nothing is read, and what is due goes out.
    pub(super) fn close(&mut self, reason: Close, now_ms: u64) {
        // A client that quits, or sends no more but listens, is due the results of
        // its commands.
        let waits_for_results = reason == Close::Quit || self.input_ended;
        self.closing.get_or_insert(Closing { reason, waits_for_results });
        match reason {
            Close::Shutdown => {}
            Close::Quit => self.session.leave_channels(Departure::Quit, now_ms),
            // First the replies that wait for the disk: they are for this connection.
            Close::TakenOver if self.outgoing.withholds() => self.outgoing.seal(),
            Close::TakenOver => self.hand_over(),
            _ => self.session.lose(reason, now_ms),
        }
    }

    /// Leaves whatever is due, also what waits behind a reply, to the connection that
    /// waits for the session. A reply that still waits is dropped: what it would say
    /// is not known yet, and nothing comes after the good-bye.
    fn hand_over(&mut self) {
        self.session.give_back(self.outgoing.forget_withheld());
        self.say_good_bye(Close::TakenOver);
        self.outgoing.seal();
    }

    /// Says good-bye to the client, or answers its own close.
    fn say_good_bye(&mut self, reason: Close) {
        // Ends it first: a client that hears the good-bye may come back at once, and
        // wants the same name.
        self.end(reason);
        if self.input_ended {
            self.frames.answer_close(self.outgoing.answers());
        } else {
            self.outgoing.frame(&Frame::Bye { reason });
        }
    }

    /// Writes what is still due, says good-bye, and closes, within this time.
    /// Returns whether all of it is out, or has nobody to go to.
    pub(super) async fn part(&mut self, time: Duration) -> bool {
        let mut all_out =
            runtime::timeout(time, poll_fn(|cx| self.poll(cx, Self::last_turn))).await;
        if let (None, Some(closing)) = (all_out, &mut self.closing)
            && std::mem::take(&mut closing.waits_for_results)
        {
            // The results have not come: the good-bye goes out without them.
            all_out = runtime::timeout(LINGER, poll_fn(|cx| self.poll(cx, Self::last_turn))).await;
        }
        if all_out.is_none() && self.reason() == Close::TakenOver && !self.has_ended {
            self.hand_over();
        }
        if all_out.is_some() && !self.input_ended {
            // Whether the client stays to the end is its own affair.
            let _ = runtime::timeout(LINGER, linger(&mut self.stream)).await;
        }
        all_out.is_some()
    }

    /// One turn of a connection that is being closed. `Ready(false)`: all is
    /// out, or cannot go out.
    fn last_turn(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<Moved> {
        let now_ms = self.session.broker().now_ms();
        // What a client does not hear any more is kept for when it comes back.
        let with_lane = self.outgoing.has_room() && !self.outgoing.is_sealed();
        let order = self.session.take_mail(&mut scratch.batch.frames, with_lane);
        let is_kept = !matches!(self.reason(), Close::Quit | Close::Shutdown);
        // Whoever waits for the session waits for the disk at most, not for this client.
        let is_stuck = self.reason() == Close::TakenOver && !self.outgoing.has_room();
        if order == Some(Close::TakenOver) && is_kept || is_stuck && !self.has_ended {
            self.hand_over();
        }
        self.session.flush();
        // A client to which nothing gets through need not be offered the log.
        let gets_log = !self.outgoing.is_sealed()
            && !matches!(self.reason(), Close::Overflow | Close::Timeout);
        let waits = self.waits(gets_log);
        let has_unsent = self.outgoing.has_unsent() || !scratch.batch.frames.is_empty();
        let is_due = has_unsent || (gets_log && self.session.has_news()) || waits;
        if !self.has_ended && !is_due {
            self.say_good_bye(self.reason());
        }
        match self.outgoing.write(cx, &mut self.stream, &mut self.session, scratch, now_ms) {
            Poll::Ready(Ok(true)) => Poll::Ready(true),
            // Judged again: to have read the last of a subscription ends it, and with that
            // the waiting, though nothing was to be written. Nobody would wake us.
            Poll::Ready(Ok(false)) if waits && self.waits(gets_log) => Poll::Pending,
            Poll::Ready(Ok(false)) if !self.has_ended => Poll::Ready(true),
            Poll::Ready(_) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether something is still to come before the good-bye: results, or what is on
    /// its way to the disk or from it.
    fn waits(&self, gets_log: bool) -> bool {
        let waits_for_results = self.closing.is_some_and(|closing| closing.waits_for_results);
        let waits_for_disk = || self.outgoing.withholds() || gets_log && self.session.awaits_disk();
        waits_for_results && self.session.awaits_results() || !self.has_ended && waits_for_disk()
    }

    /// Why the connection is closed; `Lost` if nobody gave a reason.
    pub(super) fn reason(&self) -> Close {
        self.closing.map_or(Close::Lost, |closing| closing.reason)
    }

    /// Ends the session: for others, the client is gone. Only the first call counts.
    pub(super) fn end(&mut self, reason: Close) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        self.input.stop(&self.session);
        self.session.end(reason, self.session.broker().now_ms());
    }
}
