//! The sign of life that the service manager's watchdog waits for.
//!
//! It has no timer of its own: it is a beat that goes round where messages go.
//! The broker's clock, which ends what is due, sends a byte through a socket; a
//! task of the executor is woken by the reactor and reads it; the thread that
//! commits, if there is a data directory, settles a ticket. Only then is
//! something said. When any of them stands still, nothing is, and the service is
//! started again.

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

/// Beats within the time after which the service is taken for dead: one may be
/// late.
const BEATS: u32 = 3;

/// Where the beat begins: the broker's clock.
#[derive(Debug)]
pub(super) struct Pulse {
    every_ms: u64,
    next_ms: u64,
    link: Option<net::UnixStream>,
}

/// Where it arrives.
#[derive(Debug)]
pub(super) struct Beats(Option<UnixStream>);

impl Pulse {
    /// For a watchdog that barks after this time; for none, it stands still.
    pub(super) fn new(within: Option<Duration>) -> io::Result<(Pulse, Beats)> {
        let every_ms = millis(within.unwrap_or_default() / BEATS);
        let mut pulse = Pulse { every_ms, next_ms: 0, link: None };
        let mut beats = Beats(None);
        if within.is_some() {
            let (link, end) = net::UnixStream::pair()?;
            // The clock waits for nobody: a byte that does not fit is one of many.
            link.set_nonblocking(true)?;
            (pulse.link, beats.0) = (Some(link), Some(UnixStream::new(end)?));
        }
        Ok((pulse, beats))
    }

    /// The clock has looked what is due.
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
    /// Feeds the watchdog for as long as the broker is there.
    pub(super) fn start(self, broker: &Arc<Broker>) {
        let weak = Arc::downgrade(broker);
        self.follow(
            move || weak.upgrade().and_then(|broker| Some(broker.store()?.sync())),
            || manager::tell(&[NotifyState::Watchdog]),
        );
    }

    /// Tells of each beat when what it has set off is settled.
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

/// Waits until a ticket is settled, whatever became of it.
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
        // One that never ends is none.
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
