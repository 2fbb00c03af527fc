//! The sign of life that the service manager's watchdog waits for.
//!
//! It has no timer of its own: a beat takes the way that messages take. The
//! broker's clock, which ends what is due, sends a byte through a socket; a task of
//! the executor is woken by the reactor and reads it; the thread that commits, if
//! there is a data directory, settles a ticket. Only then is the watchdog fed. If
//! any of them stands still, it is not, and the service is restarted.

use super::manager;
use crate::broker::Broker;
use crate::moment::millis;
use crate::runtime::{self, UnixStream};
use crate::store::{Ticket, Waiter};
use crate::sync::lock;
use futures::AsyncReadExt;
use futures::channel::oneshot;
use sd_notify::NotifyState;
use std::io::{self, Write};
use std::os::unix::net;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many beats go into the watchdog's time: one may be late.
const BEATS: u32 = 3;

/// The beginning of a beat, at the broker's clock.
#[derive(Debug)]
pub(super) struct Pulse {
    every_ms: u64,
    next_ms: u64,
    link: Option<net::UnixStream>,
}

/// The end of a beat.
#[derive(Debug)]
pub(super) struct Beats(Option<UnixStream>);

impl Pulse {
    /// A pulse for a watchdog of this time; without one it stands still.
    pub(super) fn new(within: Option<Duration>) -> io::Result<(Pulse, Beats)> {
        let every_ms = millis(within.unwrap_or_default() / BEATS);
        let mut pulse = Pulse { every_ms, next_ms: 0, link: None };
        let mut beats = Beats(None);
        if within.is_some() {
            let (link, end) = net::UnixStream::pair()?;
            // The clock must not block: a byte that does not fit is one of many.
            link.set_nonblocking(true)?;
            (pulse.link, beats.0) = (Some(link), Some(UnixStream::new(end)?));
        }
        Ok((pulse, beats))
    }

    /// Sends a beat if one is due; to be called when the clock has ended what is
    /// due.
    pub(super) fn tick(&mut self, now_ms: u64) {
        if let Some(link) = &mut self.link
            && now_ms >= self.next_ms
        {
            self.next_ms = now_ms + self.every_ms;
            let _ = link.write(b".");
        }
    }
}

impl Beats {
    /// Feeds the watchdog for as long as the broker exists.
    pub(super) fn start(self, broker: &Arc<Broker>) {
        let weak = Arc::downgrade(broker);
        self.follow(
            move || weak.upgrade().and_then(|broker| Some(broker.store()?.sync())),
            || manager::tell(&[NotifyState::Watchdog]),
        );
    }

    /// Calls `tell` for each beat once the commit that it started is settled.
    fn follow(
        self,
        mut commit: impl FnMut() -> Option<Ticket> + Send + 'static,
        mut tell: impl FnMut() + Send + 'static,
    ) {
        let Some(mut end) = self.0 else { return };
        runtime::spawn(async move {
            let mut bytes = [0; 64];
            while let Ok(1..) = end.read(&mut bytes).await {
                if let Some(ticket) = commit() {
                    settled(&ticket).await;
                }
                tell();
            }
        });
    }
}

/// Waits until a ticket is settled, whatever its outcome.
async fn settled(ticket: &Ticket) {
    struct Told(Mutex<Option<oneshot::Sender<()>>>);
    impl Waiter for Told {
        fn wake(&self) {
            if let Some(tx) = lock(&self.0).take() {
                let _ = tx.send(());
            }
        }
    }
    let (tx, rx) = oneshot::channel();
    let told: Arc<dyn Waiter> = Arc::new(Told(Mutex::new(Some(tx))));
    ticket.wake_when_settled(&told);
    drop(told);
    let _ = rx.await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn it_beats_so_often_and_stands_still_with_what_it_goes_through() {
        let within = Duration::from_millis(300);
        let (mut pulse, beats) = Pulse::new(Some(within)).unwrap();
        let (said, heard) = mpsc::channel();
        let mut tickets = vec![Ticket::default(), Ticket::settled(Err("full".into()))];
        let stuck = tickets[0].clone();
        beats.follow(move || tickets.pop(), move || said.send(()).unwrap());
        // A commit that fails is a sign of life as well.
        pulse.tick(0);
        heard.recv_timeout(Duration::from_secs(20)).unwrap();
        // A commit that never ends is none.
        pulse.tick(99);
        pulse.tick(100);
        assert!(heard.recv_timeout(within).is_err());
        drop(stuck);
        pulse.tick(200);
        assert!(heard.recv_timeout(within).is_err());
    }

    #[test]
    fn without_a_watchdog_there_is_no_beat() {
        let (mut pulse, beats) = Pulse::new(None).unwrap();
        pulse.tick(0);
        assert!(pulse.link.is_none() && beats.0.is_none());
    }
}
