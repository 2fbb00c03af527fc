//! Arbitrary bytes through both decoders of the number-sequence dialect.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ranked_broker::wire::numseq::{Answer, Heard, MESSAGE_BYTES_MAX, Message, Messages, TooLong};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let messages = cut(bytes, usize::MAX);
    assert_eq!(messages, cut(bytes, usize::from(piece) + 1), "whatever the split");
    for message in messages.into_iter().flatten() {
        assert!(message.len() <= MESSAGE_BYTES_MAX && !message.contains(&b';'));
        match Message::decode(&message) {
            Ok(decoded) => {
                let text = decoded.to_string();
                let inner = text.strip_suffix(';').expect("a message ends");
                assert_eq!(Message::decode(inner.as_bytes()), Ok(decoded), "written and read");
            }
            Err(malformed) => {
                let mut answer = String::new();
                Answer::Fault(&malformed.to_string()).encode(&mut answer);
                assert!(answer.starts_with("ERR,") && answer.find(';') == Some(answer.len() - 1));
            }
        }
        if let Some(Heard::Numbers(numbers)) = Heard::decode(&message) {
            let mut answer = String::new();
            Answer::Numbers(&numbers).encode(&mut answer);
            let inner = answer.strip_suffix(';').expect("an answer ends");
            assert_eq!(Heard::decode(inner.as_bytes()), Some(Heard::Numbers(numbers)));
        }
    }
});

/// The messages of bytes that come in pieces of this size, as from a socket.
fn cut(bytes: &[u8], size: usize) -> Vec<Result<Vec<u8>, TooLong>> {
    let (mut found, mut messages) = (Vec::new(), Messages::new(MESSAGE_BYTES_MAX));
    for mut piece in bytes.chunks(size.min(bytes.len().max(1))) {
        while let Some(message) = messages.next(&mut piece) {
            found.push(message);
        }
    }
    found
}
