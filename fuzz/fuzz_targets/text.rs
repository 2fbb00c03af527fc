//! Lines of arbitrary bytes through the decoder of the text dialect.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ranked_broker::error::Fault;
use ranked_broker::payload::Payload;
use ranked_broker::request::Request;
use ranked_broker::wire::lines::Lines;
use ranked_broker::wire::text;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let lines: Vec<&[u8]> = Lines::new(bytes, usize::MAX / 2).filter_map(Result::ok).collect();
    assert_eq!(lines, in_pieces(bytes, usize::from(piece) + 1), "whatever the split");
    for line in lines {
        let decoded = decode(line);

        // A blank before it means nothing, but shuts out the fast path of
        // publishing: both ways must read the same.
        let mut indented = vec![b' '];
        indented.extend_from_slice(line);
        assert_eq!(decoded, decode(&indented), "{:?}", String::from_utf8_lossy(line));

        // Whatever a fault quotes, its reply is one line without control characters.
        if let Err(fault) = decoded {
            let mut reply = Vec::new();
            text::fault(&fault, &mut reply);
            let reply = String::from_utf8(reply).expect("a reply is UTF-8");
            let inner = reply.strip_suffix('\n').expect("a reply ends its line");
            assert!(inner.starts_with("err ") && !inner.contains(char::is_control), "{reply:?}");
        }
    }
});

/// The lines of bytes that come in pieces of this size, as from a socket.
fn in_pieces(bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (mut seen, mut kept) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(size) {
        kept.extend_from_slice(piece);
        let mut lines = Lines::new(&kept, usize::MAX / 2);
        seen.extend(lines.by_ref().filter_map(Result::ok).map(<[u8]>::to_vec));
        kept = lines.unfinished().expect("no line is too long").to_vec();
    }
    seen
}

/// Decodes a line, checks what a plain payload promises, and then makes it a text like
/// any other: that is the one difference the fast path may make.
fn decode(line: &[u8]) -> Result<Option<Request<'_>>, Fault> {
    let mut decoded = text::decode(line);
    if let Ok(Some(Request::Pub(publish))) = &mut decoded
        && let Payload::Plain(plain) = publish.payload
    {
        let plain = std::str::from_utf8(plain).expect("a plain payload is UTF-8");
        assert!(!plain.contains(|c: char| c.is_control() || c == '\\'), "{plain:?}");
        publish.payload = Payload::Text(plain.into());
    }
    decoded
}
