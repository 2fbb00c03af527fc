//! What is settled when a channel is made.

use super::durable::Kept;
use crate::broker::stats::ChannelStats;
use crate::log::Encode;
use crate::request::Settings;
use crate::store::Store;
use std::fmt;
use std::sync::Arc;

/// What all channels of a broker have in common.
pub struct Rules {
    /// How entries look on the wire.
    pub encode: Box<dyn Encode>,
    /// Members and observers of a channel at most, unless it was made for fewer.
    pub members_max: usize,
    /// Bytes that a channel's log keeps at most.
    pub log_bytes: usize,
    /// Without progress for this long, a member slows nobody.
    pub stall_ms: u64,
    /// The store, if anything outlives the broker.
    pub store: Option<Store>,
    /// Where what happens is counted.
    pub stats: Arc<ChannelStats>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("log_bytes", &self.log_bytes).finish_non_exhaustive()
    }
}

/// What is settled when a channel is made. Channels without settings of their own
/// share one, so that it costs each no more than a pointer.
#[derive(Debug)]
pub struct Charter {
    pub(super) rules: Arc<Rules>,
    pub(super) settings: Settings,
    /// Its way to the store, if there is one.
    pub(super) kept: Option<Kept>,
}

impl Charter {
    /// The charter of channels without settings of their own.
    pub fn plain(rules: Arc<Rules>) -> Arc<Self> {
        Arc::new(Charter { rules, settings: Settings::default(), kept: None })
    }

    /// What all channels of the broker have in common.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// The same, but with these settings, for a channel that is not kept.
    pub(super) fn with(self: &Arc<Self>, settings: Settings) -> Arc<Self> {
        debug_assert!(self.kept.is_none(), "each that is kept has a way of its own");
        if settings == self.settings {
            return self.clone();
        }
        Arc::new(Charter { rules: self.rules.clone(), settings, kept: None })
    }
}
