//! Parsing: bytes to requests, in both dialects, as many to a batch as one read
//! of a busy connection holds.
#![allow(clippy::unwrap_used)] // a benchmark that cannot begin has to end

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use ranked_broker::request::Format;
use ranked_broker::wire::lines::Lines;
use ranked_broker::wire::spoken::decode;

const LINE_MAX: usize = 64 * 1024;
/// Lines of one read.
const LINES: usize = 400;

fn main() {
    divan::main();
}

/// Decodes these lines, over and over.
fn decode_all(bencher: Bencher<'_, '_>, format: Format, line: &str) {
    let bytes = format!("{line}\n").repeat(LINES).into_bytes();
    let is_request = decode(format, line.as_bytes()).request.unwrap().is_some();
    assert!(is_request, "{line} is a request");
    bencher.counter(BytesCount::of_slice(&bytes)).counter(ItemsCount::new(LINES)).bench(|| {
        for line in Lines::new(black_box(&bytes), LINE_MAX) {
            black_box(decode(format, line.unwrap()).request.is_ok());
        }
    });
}

/// The fast path: no quote, no backslash.
#[divan::bench(args = [16, 128, 1024])]
fn text_pub(bencher: Bencher<'_, '_>, bytes: usize) {
    decode_all(bencher, Format::Text, &format!("pub news {}", "x".repeat(bytes)));
}

/// The words are split as a shell does.
#[divan::bench]
fn text_pub_quoted(bencher: Bencher<'_, '_>) {
    decode_all(bencher, Format::Text, r#"pub news "hello world" and 'so on'"#);
}

#[divan::bench]
fn text_cmd(bencher: Bencher<'_, '_>) {
    decode_all(bencher, Format::Text, "cmd jobs --timeout 5 restart --now web");
}

#[divan::bench]
fn text_ack(bencher: Bencher<'_, '_>) {
    decode_all(bencher, Format::Text, "ack jobs 17 --code 0 done");
}

#[divan::bench(args = [16, 128, 1024])]
fn json_pub(bencher: Bencher<'_, '_>, bytes: usize) {
    let line = format!(r#"{{"op":"pub","channel":"news","data":"{}"}}"#, "x".repeat(bytes));
    decode_all(bencher, Format::Json, &line);
}

/// A JSON payload, with an id.
#[divan::bench]
fn json_pub_object(bencher: Bencher<'_, '_>) {
    let line = r#"{"op":"pub","channel":"news","data":{"a":1,"b":[1,2,3],"c":"text"},"id":7}"#;
    decode_all(bencher, Format::Json, line);
}
