//! What the service manager, systemd, gives and is told.

use crate::server::StartError;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use std::net::TcpListener;
use std::time::Duration;

/// The sockets that the service manager listens on for this process: connections
/// wait there even while no broker runs. Takes them out of the environment, so it
/// is to be called first of all, before there are threads.
///
/// # Errors
/// [`StartError::Given`] if one of them is no TCP socket that listens.
pub fn given_sockets() -> Result<Vec<TcpListener>, StartError> {
    let mut given = ListenFd::from_env();
    let taken = (0..given.len()).map(|at| given.take_tcp_listener(at));
    let sockets: Result<Vec<_>, _> = taken.collect();
    Ok(sockets.map_err(StartError::Given)?.into_iter().flatten().collect())
}

/// Within which time it wants a sign of life, if it wants any.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|within| !within.is_zero())
}

/// Tells it something, if it is there.
pub(super) fn tell(state: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        log::warn!("event=notify-failed error={:?}", e.to_string());
    }
}
