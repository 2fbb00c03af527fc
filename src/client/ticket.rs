//! What it takes to resume a session, on another connection or in another
//! process.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

/// A session: its id, the secret that proves whose it is, and how far its client has
/// read in each channel.
///
/// It can be stored (it is `Serialize`) and given to
/// [`Options::session`](super::Options::session) by a later process; whoever
/// has it can take the session over, so store it where only its owner can read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    pub(super) id: Uuid,
    pub(super) secret: Option<String>,
    #[serde(default)]
    pub(super) channels: BTreeMap<String, Mark>,
    #[serde(default)]
    pub(super) current: Option<String>,
}

/// How far a client has read in a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The last seq that was handed over; `None` if none was.
    pub(super) seen: Option<u64>,
    /// Whether the client is an observer there.
    pub(super) observer: bool,
}

impl Ticket {
    /// A session that is still to be made, with a random identity.
    pub fn fresh() -> Self {
        Ticket { id: Uuid::new_v4(), secret: None, channels: BTreeMap::new(), current: None }
    }

    /// A session that the broker has made before, and the secret it gave.
    pub fn given(id: Uuid, secret: impl Into<String>) -> Self {
        Ticket { id, secret: Some(secret.into()), ..Ticket::fresh() }
    }

    /// Which session it is.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The secret that proves whose the session is; `None` until the broker has made
    /// it.
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// The last seq of this channel that was handed over.
    pub fn seen(&self, channel: &str) -> Option<u64> {
        self.channels.get(channel)?.seen
    }

    /// Whether there is anything to resume.
    pub fn is_used(&self) -> bool {
        self.secret.is_some()
    }
}

impl fmt::Debug for Ticket {
    /// Without the secret: what is printed ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("id", &self.id)
            .field("is_used", &self.is_used())
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}
