//! Lines of arbitrary bytes through the decoder of the JSON dialect, and what can
//! be published of them through the log and out again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ranked_broker::error::Fault;
use ranked_broker::log::{Body, Chunk, Encode, Forms, Position};
use ranked_broker::payload::Payload;
use ranked_broker::request::Request;
use ranked_broker::wire::json;
use ranked_broker::wire::spoken::{Asked, Tag};
use ranked_broker::wire::text::TextEncoder;
use serde_json::value::RawValue;
use std::collections::HashMap;

fuzz_target!(|bytes: &[u8]| {
    for line in bytes.split(|byte| *byte == b'\n') {
        let Asked { tag, request } = json::decode(line);
        // Whatever it is, a reply can be made that is one line of JSON.
        let fault = request.as_ref().err().cloned();
        replied(&fault.unwrap_or_else(|| Fault::new(ranked_broker::error::Code::Busy, "x")), tag);
        if let Ok(Some(Request::Pub(publish))) = request {
            published(publish.payload);
        }
    }
});

fn replied(fault: &Fault, tag: Tag<'_>) {
    let mut reply = Vec::new();
    json::fault(fault, tag, &mut reply);
    let fields = object(&reply);
    assert_eq!(fields.contains_key("id"), tag.id.is_some());
}

/// Checks that the frame of a message carries what was published.
fn published(payload: Payload<'_>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    let (position, is_json) = (Position { channel: "c", seq: 1 }, payload.is_json());
    let was = String::from_utf8(payload.as_bytes().to_vec()).expect("a payload is UTF-8");
    if let Payload::Plain(_) = payload {
        assert!(!was.contains(|c: char| c.is_control() || c == '\\'), "{was:?}");
    }
    TextEncoder.messages(position, "n", &[payload], &mut bytes, &mut ends);
    let (body, forms) = (Body::Messages { json: is_json }, Forms::default());
    let chunk = Chunk { first_seq: 1, author: 1, body, at_ms: 0, bytes, ends: Vec::new(), forms };
    let form = json::form(&chunk);
    let fields = object(form.bytes(0..1));
    let data = fields["data"].get();
    if !is_json {
        assert_eq!(serde_json::from_str::<String>(data).expect("a text"), was);
    } else if !was.contains(char::is_control) {
        assert_eq!(data, was);
    }
}

/// The fields of a line, which is one object without control characters.
fn object(line: &[u8]) -> HashMap<String, Box<RawValue>> {
    let line = std::str::from_utf8(line).expect("a line is UTF-8");
    let line = line.strip_suffix('\n').expect("a line has an end");
    assert!(!line.contains(char::is_control), "{line:?}");
    serde_json::from_str(line).expect("a line is an object")
}
