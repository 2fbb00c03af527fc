//! The payload of a message.

use std::borrow::Cow;

/// The payload of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// UTF-8 text without a control character and without a backslash: nothing
    /// in it needs escaping, so it goes from the publisher's bytes into the log
    /// as it is. Whoever creates one must make sure of that.
    Plain(&'a [u8]),
    /// Any text.
    Text(Cow<'a, str>),
    /// A JSON value, as its publisher wrote it.
    Json(Cow<'a, str>),
    /// Bytes that are not UTF-8.
    Bytes(&'a [u8]),
}

impl Payload<'_> {
    /// The bytes that were published.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Payload::Plain(text) | Payload::Bytes(text) => text,
            Payload::Text(text) | Payload::Json(text) => text.as_bytes(),
        }
    }

    /// Whether this is a JSON value rather than text.
    pub fn is_json(&self) -> bool {
        matches!(self, Payload::Json(_))
    }
}
