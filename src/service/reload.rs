//! SIGHUP: reads the configuration again.

use super::manager;
use crate::config::{Config, Halt, Update};
use crate::open_files;
use crate::server::Server;
use sd_notify::NotifyState;

/// Puts into force what can change at run time, if the whole configuration is
/// valid; otherwise everything stays as it is. So it goes for the certificate.
pub(super) fn reload(server: &Server, read: Result<Config, Halt>) {
    let broker = server.broker();
    let now = NotifyState::monotonic_usec_now().ok();
    manager::tell(&[NotifyState::Reloading].into_iter().chain(now).collect::<Vec<_>>());
    match read {
        Ok(wanted) => {
            let Update { config, changed, waiting } = Update::of(&broker.current(), &wanted);
            if changed.contains(&"max-clients")
                && let Some(shortage) =
                    open_files::shortage(open_files::raise(), config.max_clients)
            {
                log::warn!("event=few-files {shortage}");
            }
            broker.reconfigure(config);
            let (changed, waiting) = (changed.join(","), waiting.join(","));
            if waiting.is_empty() {
                log::info!("event=reloaded changed={changed:?}");
            } else {
                log::warn!(
                    "event=reloaded changed={changed:?} waiting={waiting:?} \
                     advice=\"what waits takes a restart\""
                );
            }
        }
        Err(halt) => {
            let error = halt.to_string();
            log::error!("event=reload-failed error={error:?} advice=\"all stays as it was\"");
        }
    }
    if let Err(error) = server.reload_tls() {
        let error = error.to_string();
        log::error!(
            "event=reload-failed error={error:?} advice=\"the certificate of before goes on\""
        );
    }
    manager::tell(&[NotifyState::Ready]);
}
