//! Every limit and default of the broker, with its unit and reason.

use std::time::Duration;

/// What a broker is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address or name to listen on, and nothing else is.
    pub host: String,
    /// TCP port; 0 lets the system choose.
    pub port: u16,
    /// Connections at once; one more is answered `err full` and closed.
    pub max_clients: usize,
    /// Bytes of a request line, without its end.
    pub max_line: usize,
    /// Channels at once.
    pub max_channels: usize,
    /// Members (and observers) of one channel, where `create --max` says nothing.
    pub max_members: usize,
    /// Channels that one client may be subscribed to.
    pub max_subscriptions: usize,
    /// A connection that is silent for half of this is sent a `ping`, and closed
    /// when it stays silent for all of it. Zero: never.
    pub idle_timeout: Duration,
    /// A member that makes no progress for this long slows nobody any more.
    pub stall: Duration,
    /// Bytes of entries that a channel keeps in memory at most, for members
    /// that lag and for its history.
    pub log_bytes: usize,
    /// How long connections may go on reading what is due to them when the
    /// broker stops.
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            host: "127.0.0.1".into(),
            port: 7700,
            max_clients: 65_536,
            max_line: 64 * 1024,
            max_channels: 1_000_000,
            max_members: 200_000,
            max_subscriptions: 100_000,
            idle_timeout: Duration::from_secs(120),
            stall: Duration::from_millis(250),
            log_bytes: 4 * 1024 * 1024,
            drain: Duration::from_secs(5),
        }
    }
}
