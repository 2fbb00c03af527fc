//! Which channel a request is about.

use crate::request::{Request, Subscribe};

/// The channel that a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// None, or many.
    Nothing,
    /// The current one.
    Current,
    /// The channel of this name.
    Named(&'a str),
}

impl<'a> Target<'a> {
    /// The channel that this request is about.
    pub fn of(request: &'a Request<'_>) -> Self {
        match request {
            Request::Seen { channel, .. }
            | Request::Create { channel, .. }
            | Request::Drop { channel }
            | Request::Sub(Subscribe { channel, .. })
            | Request::Unsub { channel }
            | Request::Use { channel }
            | Request::Ack { channel, .. }
            | Request::Promote { channel, .. }
            | Request::Check { channel, .. }
            | Request::Kick { channel, .. }
            | Request::Info { channel }
            | Request::History { channel, .. }
            | Request::Digest { channel, .. }
            | Request::Who { channel: Some(channel) } => Target::Named(channel),
            Request::Pub(publish) => Target::Named(&publish.channel),
            Request::Cmd { channel, .. }
            | Request::Rank { channel }
            | Request::Ranks { channel }
            | Request::Yield { channel } => {
                channel.as_deref().map_or(Target::Current, Target::Named)
            }
            Request::Hello { .. }
            | Request::SubPattern { .. }
            | Request::UnsubPattern { .. }
            | Request::Channels
            | Request::Who { channel: None }
            | Request::Clients { .. }
            | Request::Tell { .. }
            | Request::Broadcast { .. }
            | Request::Job { .. }
            | Request::Jobs
            | Request::Cancel { .. }
            | Request::Stats
            | Request::Version
            | Request::Help { .. }
            | Request::Ping
            | Request::Quit => Target::Nothing,
        }
    }
}
