//! The interface to the service manager, systemd.

use crate::server::StartError;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use std::net::TcpListener;
use std::time::Duration;

/// The sockets that the service manager listens on for this process: connections
/// wait there even while no broker runs. This takes them out of the environment, so
/// it must be called first of all, before there are threads.
///
/// # Errors
/// [`StartError::Given`] if one of them is no listening TCP socket.
pub fn given_sockets() -> Result<Vec<TcpListener>, StartError> {
    let mut given = ListenFd::from_env();
    let taken = (0..given.len()).map(|at| given.take_tcp_listener(at));
    let sockets: Result<Vec<_>, _> = taken.collect();
    Ok(sockets.map_err(StartError::Given)?.into_iter().flatten().collect())
}

/// How often the watchdog wants a sign of life, if there is one.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|within| !within.is_zero())
}

/// Notifies the service manager, if there is one.
pub(super) fn tell(state: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        log::warn!("event=notify-failed error={:?}", e.to_string());
    }
}
