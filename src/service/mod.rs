//! The broker as a service: signals, and notifications to the service manager.
//!
//! | signal | what it does |
//! | --- | --- |
//! | TERM, INT | stops in order; the second one, at once, unless it comes with the first |
//! | HUP | reads the configuration again (`reload`) |
//! | USR2 | sends everybody away with their seats held, and goes on; the second one ends that |
//!
//! `manager` notifies systemd: ready, reloading, stopping, and, fed by `pulse`,
//! alive.

mod manager;
mod pulse;
mod reload;

use crate::broker::{Before, Broker};
use crate::config::{Config, Halt};
use crate::error::Close;
use crate::runtime;
use crate::server::{Server, StartError};
use crate::store;
use crate::workers::Program;
use async_signal::{Signal, Signals};
use futures::StreamExt;
use futures::future::{Either, select};
use sd_notify::NotifyState;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::time::{Duration, Instant};

pub use manager::given_sockets;

/// Signals to stop that come this soon after the first count as the same one:
/// Ctrl-C reaches the whole process group, and whoever started the broker passes
/// its own on.
const SAME_STOP: Duration = Duration::from_millis(200);

/// Runs a broker until a signal stops it. For a program that hands
/// [`ARGUMENT`](crate::workers::worker::ARGUMENT) on to
/// [`worker::run`](crate::workers::worker::run): the broker starts this program for
/// its jobs. It listens on `sockets`, or, if there are none, where the
/// configuration says; `read_again` loads the configuration anew.
///
/// # Errors
/// [`StartError`] if it cannot start.
pub fn run(
    config: Config,
    sockets: Vec<TcpListener>,
    read_again: impl Fn() -> Result<Config, Halt>,
) -> Result<(), StartError> {
    if let Some(dir) = &config.data {
        store::explain_panics(dir.clone());
    }
    runtime::use_threads(config.threads);
    runtime::start()?;
    runtime::block_on(async {
        let mut signals = Signals::new([Signal::Term, Signal::Int, Signal::Hup, Signal::Usr2])?;
        let (mut pulse, beats) = pulse::Pulse::new(manager::watchdog())?;
        let workers = Program::own(config.job_memory as u64)?;
        let on_tick = move |now_ms| pulse.tick(now_ms);
        let server = Server::start_on(sockets, config, Some(workers), on_tick)?;
        beats.start(server.broker());
        let (addr, version) = (server.addr, env!("CARGO_PKG_VERSION"));
        log::info!("event=listening addr={addr} version={version}");
        announce(addr, server.broker());
        manager::tell(&[NotifyState::Ready, NotifyState::Status("taking connections")]);
        loop {
            match signals.next().await {
                Some(Ok(Signal::Hup)) => reload::reload(&server, read_again()),
                Some(Ok(Signal::Usr2)) => drain(server.broker()),
                _ => break,
            }
        }
        log::info!("event=stopping drain={:?}", server.broker().current().drain);
        manager::tell(&[NotifyState::Stopping]);
        let stopping = pin!(server.stop());
        let again = pin!(stop_signal(&mut signals));
        match select(stopping, again).await {
            Either::Left(_) => log::info!("event=stopped"),
            Either::Right(_) => log::warn!("event=stopped reason=\"second signal\""),
        }
        Ok(())
    })
}

/// Waits for the second signal, which stops at once.
async fn stop_signal(signals: &mut Signals) {
    let first = Instant::now();
    loop {
        match signals.next().await {
            Some(Ok(Signal::Hup | Signal::Usr2)) => {}
            Some(Ok(_)) if first.elapsed() < SAME_STOP => {}
            _ => return,
        }
    }
}

/// Starts or ends a drain.
fn drain(broker: &Broker) {
    let status = if broker.is_draining() {
        log::info!("event=drain-ended");
        broker.end_drain();
        "taking connections"
    } else {
        let (clients, secs) = (broker.client_count(), Close::Drain.retry_secs().unwrap_or(0));
        log::info!("event=draining clients={clients} retry={secs}");
        broker.begin_drain();
        "draining: sends everybody away"
    };
    manager::tell(&[NotifyState::Status(status)]);
}

/// Prints where the broker listens, and what it promises.
fn announce(addr: SocketAddr, broker: &Broker) {
    let mut out = io::stdout().lock();
    let version = env!("CARGO_PKG_VERSION");
    // It is no error if nobody reads it.
    let _ = writeln!(out, "broker {version} listening on {addr}");
    let _ = writeln!(
        out,
        "promises: one order for all members, no loss while you keep up, bounded memory, one commander; {}",
        what_survives(broker)
    );
    let _ = out.flush();
}

/// What survives a restart, and what the last one left.
fn what_survives(broker: &Broker) -> String {
    let Some(store) = broker.store() else {
        return "in memory only: nothing survives a restart without --data DIR".into();
    };
    let Before { channels, entries, sessions, bytes, took, .. } = broker.before();
    format!(
        "durable channels survive kill -9 and power loss, seqs and terms never go back; found in {} \
         within {took:.0?}: {channels} channels, {entries} entries, {sessions} sessions, {bytes} bytes on disk",
        store.dir().display()
    )
}
