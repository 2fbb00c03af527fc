//! Where a member wants its deliveries sent, and which.

use crate::broker::CallbackRecord;
use crate::error::{Code, Fault, quoted};
use crate::outbound::target;
use crate::resident::Wants;
use std::net::SocketAddr;
use url::Url;

/// Where a member wants its deliveries sent, and which it wants besides commands
/// and what concerns the member itself.
#[derive(Clone, Debug)]
pub struct Callback {
    /// The URL to call.
    pub url: Url,
    /// The events to call it for.
    pub wants: Wants,
}

impl Callback {
    /// Reads both; the events may be `messages` and `roster`.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for a URL that is not called, or an unknown event.
    pub fn new<'a>(
        url: &str,
        events: impl IntoIterator<Item = &'a str>,
    ) -> Result<Callback, Fault> {
        let bad = |text| Fault::new(Code::BadRequest, text);
        let url = target::parse(url).map_err(|e| bad(format!("the callback: {e}")))?;
        let mut wants = Wants { frames: true, ..Wants::default() };
        for event in events {
            match event {
                "messages" => wants.messages = true,
                "roster" => wants.roster = true,
                other => {
                    let other = quoted(other);
                    return Err(bad(format!("events are messages and roster, not {other}")));
                }
            }
        }
        Ok(Callback { url, wants })
    }

    /// What the store keeps of it for a restart of the broker.
    pub fn record(&self, addr: SocketAddr) -> CallbackRecord {
        let Wants { messages, roster, .. } = self.wants;
        CallbackRecord { url: self.url.to_string(), messages, roster, addr }
    }

    /// The callback that was recorded, if this broker can read its URL.
    pub fn recorded(record: &CallbackRecord) -> Option<Callback> {
        let url = target::parse(&record.url).ok()?;
        let (messages, roster) = (record.messages, record.roster);
        Some(Callback { url, wants: Wants { frames: true, messages, roster } })
    }
}
