//! Arbitrary bytes through the decoder of the Redis protocol, and what can be
//! published of them through the log and out again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ranked_broker::log::{Body, Chunk, Encode, Forms, Position};
use ranked_broker::payload::Payload;
use ranked_broker::request::{Heard, Resp};
use ranked_broker::wire::resp::{self, Begun, Decoded, Writer};
use ranked_broker::wire::text::{self, TextEncoder};

/// Short, so that inputs reach the limits.
const LINE_MAX: usize = 1024;

fuzz_target!(|bytes: &[u8]| {
    let (mut rest, mut words) = (bytes, Vec::new());
    loop {
        in_pieces(rest);
        match resp::decode(rest, LINE_MAX, &mut words) {
            Ok(Decoded::Whole(length)) => {
                assert!(length <= resp::request_max(LINE_MAX));
                // A request that is cut anywhere is not complete yet.
                if let Some(cut) = rest[..length].get(..length - 1) {
                    let cut = resp::decode(cut, LINE_MAX, &mut Vec::new());
                    assert!(matches!(cut, Ok(Decoded::More(_))));
                }
                request(&words);
                rest = &rest[length..];
            }
            Ok(Decoded::Inline(length)) => rest = &rest[length..],
            Ok(Decoded::More(_)) => {
                assert!(rest.len() <= resp::request_max(LINE_MAX));
                return;
            }
            Err(fault) => {
                let mut reply = Vec::new();
                resp::fault(&fault, &mut reply);
                return;
            }
        }
    }
});

/// Checks that a request in pieces is decoded as the whole one is.
fn in_pieces(bytes: &[u8]) {
    let mut begun = Begun::default();
    let piece = 1 + bytes.len() / 8;
    for cut in (0..bytes.len()).step_by(piece).chain([bytes.len()]) {
        let whole = resp::decode(&bytes[..cut], LINE_MAX, &mut Vec::new());
        assert_eq!(begun.go_on(&bytes[..cut], LINE_MAX), whole);
        let Ok(Decoded::More(more)) = whole else { return };
        begun = more;
    }
}

fn request(words: &[&[u8]]) {
    let [name, args @ ..] = words else { return };
    for word in args {
        published(resp::payload(word), word);
        let _ = (resp::after(word), resp::first_at(word), resp::last_at(word));
    }
    if let Ok(payload) = resp::fields(args)
        && !args.is_empty()
        && args.len() % 2 == 0
    {
        let mut expected = Vec::new();
        let to = &mut Writer::new(Resp::Two, &mut expected);
        to.array(2).bulk("1-0").array(args.len());
        for word in args {
            to.bulk(word);
        }
        let chunk = chunk(payload);
        let mut entry = Vec::new();
        resp::stream_entry(&chunk, &chunk.bytes, &mut Writer::new(Resp::Two, &mut entry));
        assert_eq!(entry.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
    let args = args.iter().map(|word| String::from_utf8_lossy(word).into_owned());
    let _ = text::request(&String::from_utf8_lossy(name), args.collect());
}

fn chunk(payload: Payload<'_>) -> Chunk {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    let body = Body::Messages { json: payload.is_json() };
    let position = Position { channel: "c", seq: 1 };
    TextEncoder.messages(position, "n", &[payload], &mut bytes, &mut ends);
    let line = std::str::from_utf8(&bytes).expect("a line is UTF-8");
    assert_eq!(line.find(char::is_control), Some(line.len() - 1), "{line:?}");
    let (ends, forms) = (Vec::new(), Forms::default());
    Chunk { first_seq: 1, author: 1, body, at_ms: 0, bytes, ends, forms }
}

/// Checks that the push of a message carries what was published, under every name.
fn published(payload: Payload<'_>, word: &[u8]) {
    let chunk = chunk(payload);
    let maker = resp::form(Resp::Two);
    let form = (maker.make)(&chunk);
    let mut expected = Vec::new();
    Writer::new(Resp::Two, &mut expected).push(3).bulk("message").bulk("c").bulk(word);
    assert_eq!(form.bytes(0..1), expected);
    let heard = Heard { by_name: true, by_shard: false, patterns: Box::new(["?".into()]) };
    let form = resp::heard_form(Resp::Two)(&chunk, &heard);
    Writer::new(Resp::Two, &mut expected).push(4).bulk("pmessage").bulk("?").bulk("c").bulk(word);
    assert_eq!(form.bytes(0..1), expected);
}
