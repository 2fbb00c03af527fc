//! Every limit and default of the broker, and how a value gets into it.
//!
//! [`SETTINGS`] is the only place where a setting is described: its name (the
//! flag without `--`, the key in the file, and in upper snake case after
//! `BROKER_` the environment variable), its default with the reason, and its
//! bounds. Flags override the environment, the environment overrides the file, and
//! the file overrides the default; [`load`] puts the layers together and remembers
//! where each value came from.

mod check;
mod command;
mod file;
mod layers;
mod log_format;
mod nearest;
mod settings;
mod show;
mod table;
mod update;
mod value;

use ipnet::IpNet;
use std::path::PathBuf;
use std::time::Duration;

pub use layers::{ConfigError, Halt, load};
pub use log_format::LogFormat;
pub use table::SETTINGS;
pub use update::Update;
pub use value::{TIME, time};

/// The largest `--max-line`, in bytes.
pub const MAX_LINE_LARGEST: usize = 16 * 1024 * 1024;
/// The most bytes of HTTP bodies that all connections together may have in memory.
pub const ALL_BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The configuration that a broker is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The one address or name to listen on.
    pub host: String,
    /// TCP port; 0 lets the system choose.
    pub port: u16,
    /// The most connections at once; one more is answered `err full` and closed.
    pub max_clients: usize,
    /// The most bytes of a request line, without its end.
    pub max_line: usize,
    /// The most channels at once.
    pub max_channels: usize,
    /// The most members (and observers) of one channel, unless `create --max` says
    /// otherwise.
    pub max_members: usize,
    /// The most channels that one client may be subscribed to.
    pub max_subscriptions: usize,
    /// A connection that is silent for half of this is sent a `ping`, and closed
    /// when it stays silent for all of it. Zero: never.
    pub idle_timeout: Duration,
    /// After this long without progress a member no longer slows anybody.
    pub stall: Duration,
    /// The most bytes of entries that a channel keeps in memory, for members that
    /// lag and for its history.
    pub log_bytes: usize,
    /// How long connections may still read what is due to them when the broker
    /// stops.
    pub drain: Duration,
    /// How long the session of a lost connection can be resumed.
    pub session_grace: Duration,
    /// How long a client may believe in its seats, counted from when it sent the
    /// last `ping` that was answered.
    pub lease: Duration,
    /// How long after a lost member's lease its seat on a `safe` channel becomes
    /// free.
    pub guard: Duration,
    /// Where entries, rosters and sessions are kept on disk, if anywhere.
    pub data: Option<PathBuf>,
    /// Bytes that must stay free on the disk of `data`.
    pub data_free: usize,
    /// How long members keep their seats after a restart of the broker. Zero: lease
    /// and guard.
    pub restart_grace: Duration,
    /// The most bytes of an HTTP request's body.
    pub max_body: usize,
    /// How long an HTTP client may take to send a request: its head, and then
    /// its body.
    pub request_timeout: Duration,
    /// The most members without a connection.
    pub max_residents: usize,
    /// The origins whose web pages may change something.
    pub allow_origin: Vec<String>,
    /// How long a connection of the number-sequence dialect may last.
    pub numseq_timeout: Duration,
    /// How long a number sequence is kept after its INIT.
    pub numseq_retention: Duration,
    /// PEM file of the broker's certificate. With one, connections are encrypted.
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the certificate's key. Without one, the key is in the same file.
    pub tls_key: Option<PathBuf>,
    /// PEM file of the authorities that a client's certificate must be from. Without
    /// one, clients need no certificate.
    pub tls_clients: Option<PathBuf>,
    /// Networks whose connections may be unencrypted although there is a certificate.
    pub allow_plain: Vec<IpNet>,
    /// The most number sequences that are kept at once.
    pub numseq_clients: usize,
    /// Threads that serve connections. Zero: one fewer than processors.
    pub threads: usize,
    /// The most worker processes at once. Zero: one for each processor.
    pub workers: usize,
    /// The most jobs that wait for a worker at once.
    pub job_queue: usize,
    /// How long a job may run.
    pub job_timeout: Duration,
    /// The most bytes of memory of a worker process.
    pub job_memory: usize,
    /// Networks that the job `url` may call although they are not public.
    pub allow_url: Vec<IpNet>,
    /// Networks that callbacks may go to although they are not public.
    pub allow_callback: Vec<IpNet>,
    /// The most members with a callback at once.
    pub max_callbacks: usize,
    /// The form in which events are logged.
    pub log_format: LogFormat,
}

impl Config {
    /// How long a client may believe in its seats: never longer than it takes to
    /// notice that the client has gone silent.
    pub fn lease_in_force(&self) -> Duration {
        match self.idle_timeout {
            Duration::ZERO => self.lease,
            idle => self.lease.min(idle),
        }
    }
}

impl Default for Config {
    /// Every setting at the default that [`SETTINGS`] gives it.
    fn default() -> Self {
        let mut config = Config {
            host: String::new(),
            port: 0,
            max_clients: 0,
            max_line: 0,
            max_channels: 0,
            max_members: 0,
            max_subscriptions: 0,
            idle_timeout: Duration::ZERO,
            stall: Duration::ZERO,
            log_bytes: 0,
            drain: Duration::ZERO,
            session_grace: Duration::ZERO,
            lease: Duration::ZERO,
            guard: Duration::ZERO,
            data: None,
            data_free: 0,
            restart_grace: Duration::ZERO,
            max_body: 0,
            request_timeout: Duration::ZERO,
            max_residents: 0,
            allow_origin: Vec::new(),
            tls_cert: None,
            tls_key: None,
            tls_clients: None,
            allow_plain: Vec::new(),
            numseq_timeout: Duration::ZERO,
            numseq_retention: Duration::ZERO,
            numseq_clients: 0,
            threads: 0,
            workers: 0,
            job_queue: 0,
            job_timeout: Duration::ZERO,
            job_memory: 0,
            allow_url: Vec::new(),
            allow_callback: Vec::new(),
            max_callbacks: 0,
            log_format: LogFormat::Text,
        };
        for setting in SETTINGS {
            setting.reset(&mut config);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_a_setting_and_every_setting_a_field() {
        let shown = format!("{:#?}", Config::default());
        let mut fields: Vec<String> = shown
            .lines()
            .filter_map(|line| line.strip_prefix("    ")?.split_once(": "))
            .map(|(field, _)| field.replace('_', "-"))
            .collect();
        let mut names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        fields.sort_unstable();
        names.sort_unstable();
        assert_eq!(fields, names);
    }
}
