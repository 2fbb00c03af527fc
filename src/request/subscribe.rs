//! The options of a client that joins or observes a channel.

use super::Start;

/// A subscription to one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The channel's name.
    pub channel: String,
    /// Where to begin reading.
    pub start: Start,
    /// Whether to make the channel if it is missing.
    pub create: bool,
    /// Whether the client gets its own messages.
    pub echo: bool,
    /// Whether to be an observer, without a rank.
    pub observe: bool,
}

impl Subscribe {
    /// What `sub` means without options: a rank, and all entries from now on.
    pub fn to(channel: impl Into<String>) -> Self {
        let (channel, start) = (channel.into(), Start::Now);
        Subscribe { channel, start, create: false, echo: true, observe: false }
    }
}
