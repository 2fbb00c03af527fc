//! Why a WebSocket is closed: the code and the reason of its close frame.

use crate::error::Close;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::CloseCode;

/// Appends the close frame of a connection that the broker ends.
pub fn close(reason: Close, out: &mut Vec<u8>) {
    let (code, text) = said(reason);
    // Writing to a vector cannot fail.
    let _ = Frame::close(Some(CloseFrame { code, reason: text.into() })).format(out);
}

/// The code, which a program sees, and the reason, which it may show to people: at
/// most 123 bytes (RFC 6455, section 5.5).
const fn said(reason: Close) -> (CloseCode, &'static str) {
    match reason {
        Close::Quit | Close::Lost => (CloseCode::Normal, "bye"),
        Close::Shutdown => (CloseCode::Away, "the broker is stopping; come back later"),
        Close::Drain => (CloseCode::Restart, "this broker is draining; come back in 5 seconds"),
        Close::Malformed => (CloseCode::Protocol, "what came is no WebSocket frame (RFC 6455)"),
        Close::Binary => (CloseCode::Unsupported, "send text messages: JSON, not binary"),
        Close::NotUtf8 => (CloseCode::Invalid, "a text message has to be UTF-8"),
        Close::TooLong => (CloseCode::Size, "a message is too long; see broker --max-line"),
        Close::Timeout => (CloseCode::Policy, "nothing came for too long, not even a pong"),
        Close::TakenOver => (CloseCode::Policy, "the session goes on from another connection"),
        Close::Overflow => (CloseCode::Policy, "too much waits that was not read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_fits_into_a_control_frame() {
        for reason in Close::ALL {
            let mut out = Vec::new();
            close(reason, &mut out);
            assert_eq!(out[0], 0x88, "{reason}");
            assert_eq!(usize::from(out[1]), out.len() - 2, "{reason}");
            assert!(out[1] <= 125, "{reason}");
            assert!(said(reason).0.is_allowed(), "{reason}");
        }
    }
}
