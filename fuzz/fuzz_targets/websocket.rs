//! Arbitrary bytes through the decoder of WebSocket frames, in pieces of
//! arbitrary sizes: whatever they are and however they are cut, the lines, the
//! answers and the end are the same, and no more is kept than is allowed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ranked_broker::wire::websocket::{Decoder, End};

/// Bytes of a message.
const MESSAGE_MAX: usize = 200;

/// Bytes of a close frame from a server: a head of two, and what a control frame
/// has at most (RFC 6455, section 5.5).
const CLOSE_MAX: usize = 2 + 125;

/// Lines, answers, and how it ends.
type Taken = (Vec<u8>, Vec<u8>, Option<End>);

fuzz_target!(|bytes: &[u8]| {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let whole = taken(bytes.chunks(bytes.len().max(1)));
    assert_eq!(taken(bytes.chunks(usize::from(*size).max(1))), whole);
    let (lines, answers, end) = whole;
    assert!(std::str::from_utf8(&lines).is_ok(), "a message is UTF-8");
    // Each pong has the payload of a ping; a close, with a sentence, may be the
    // last of them.
    assert!(lines.len() + answers.len() <= bytes.len() * 2 + CLOSE_MAX);
    assert_eq!(end == Some(End::Closed), has_close(&answers));
});

fn taken<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Taken {
    let mut decoder = Decoder::new(MESSAGE_MAX);
    let (mut lines, mut answers) = (Vec::new(), Vec::new());
    for piece in pieces {
        let before = lines.len();
        decoder.take(piece, &mut lines, &mut answers);
        let longest = lines[before..].split(|byte| *byte == b'\n').map(<[u8]>::len).max();
        assert!(longest.unwrap_or(0) <= MESSAGE_MAX);
    }
    decoder.answer_close(&mut answers);
    (lines, answers, decoder.end())
}

/// Whether there is a close frame among these, which are all short.
fn has_close(mut frames: &[u8]) -> bool {
    while let [kind, len, rest @ ..] = frames {
        if *kind == 0x88 {
            return true;
        }
        assert_eq!(*kind, 0x8a, "a pong, whole and unmasked");
        frames = &rest[usize::from(*len)..];
    }
    false
}
