//! The JSON dialect in WebSocket messages (RFC 6455), for browsers.
//!
//! What the broker says in one line is one text message here, without the
//! line's end; what a client says in one message is one line, or several. The
//! frames around them are tungstenite's affair: its headers in [`encode`], and
//! its rules for what may come in [`decode`]. What goes to clients is not masked,
//! so it is the same for all of them.
//!
//! [`encode`]: self::frame
//! [`decode`]: Decoder

mod close;
mod decode;
mod encode;

pub use decode::{Decoder, End};
pub use encode::{form, frame, lines};
