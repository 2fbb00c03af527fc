//! The names under which a client hears the messages of a channel.

use ecow::EcoString;

/// The names under which a client of the Redis protocol gets the messages of a
/// channel: once for each, as Redis does it. The members of a channel are clients,
/// so several subscriptions of one client are one membership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// As messages of the channel: it has subscribed to it by name.
    pub by_name: bool,
    /// As messages of a shard channel: it has subscribed with `SSUBSCRIBE`.
    pub by_shard: bool,
    /// As messages of a pattern: these patterns match.
    pub patterns: Box<[EcoString]>,
}

impl Heard {
    /// Whether it gets messages just once, and under the channel's own name, as
    /// most clients do.
    pub fn is_plain(&self) -> bool {
        self.by_name && !self.by_shard && self.patterns.is_empty()
    }
}
