//! How free text stands in a line: control characters and the backslash are
//! written `\n`, `\r`, `\t`, `\\` and `\xNN`, everything else is itself.
//!
//! So a frame is always one line, and nothing that a stranger publishes can
//! move a terminal's cursor. `NN` is one byte in hexadecimal; a control
//! character that takes two bytes in UTF-8 (U+0080 to U+009F) becomes two of
//! them, so that [`unescape`] gives back exactly what [`escape`] took.

/// Appends `text` to `out`, escaped.
pub fn escape(text: &str, out: &mut Vec<u8>) {
    let mut plain_from = 0;
    for (at, c) in text.char_indices() {
        if !c.is_control() && c != '\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain_from..at]);
        plain_from = at + c.len_utf8();
        match c {
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\\' => out.extend_from_slice(b"\\\\"),
            _ => {
                let mut utf8 = [0; 4];
                for byte in c.encode_utf8(&mut utf8).bytes() {
                    out.extend_from_slice(&[b'\\', b'x', hex(byte >> 4), hex(byte & 15)]);
                }
            }
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain_from..]);
}

/// Appends bytes of which some may not be UTF-8: those are escaped, too.
pub fn escape_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        escape(chunk.valid(), out);
        for byte in chunk.invalid() {
            out.extend_from_slice(&[b'\\', b'x', hex(byte >> 4), hex(byte & 15)]);
        }
    }
}

/// The text that [`escape`] was given. A backslash that begins none of the
/// escapes stands for itself; bytes that are not UTF-8 become U+FFFD.
pub fn unescape(line: &str) -> String {
    let out = unescape_bytes(line.as_bytes());
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// The bytes that [`escape_bytes`] was given.
pub fn unescape_bytes(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let (byte, taken) = match &rest[at + 1..] {
            [b'n', ..] => (b'\n', 2),
            [b'r', ..] => (b'\r', 2),
            [b't', ..] => (b'\t', 2),
            [b'\\', ..] => (b'\\', 2),
            [b'x', high, low, ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => (b'\\', 1),
            },
            _ => (b'\\', 1),
        };
        out.push(byte);
        rest = &rest[at + taken..];
    }
    out.extend_from_slice(rest);
    out
}

const fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

fn digit(c: u8) -> Option<u8> {
    // A hexadecimal digit is below 16, so the cast loses nothing.
    #[allow(clippy::cast_possible_truncation)]
    (c as char).to_digit(16).map(|d| d as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        escape(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn says_what_the_protocol_says() {
        assert_eq!(escaped("a\nb\r\t\\"), "a\\nb\\r\\t\\\\");
        assert_eq!(escaped("\x1b[2J\x7f\0"), "\\x1b[2J\\x7f\\x00");
        assert_eq!(escaped("\u{9b}31m"), "\\xc2\\x9b31m");
        assert_eq!(escaped("grün 'x' \"y\" #1"), "grün 'x' \"y\" #1");
    }

    #[test]
    fn a_lone_backslash_is_itself() {
        for text in ["\\", "\\q", "\\x", "\\x1", "\\xg1"] {
            assert_eq!(unescape(text), text);
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back_whole_and_on_one_line(bytes in any::<Vec<u8>>()) {
            let mut line = Vec::new();
            escape_bytes(&bytes, &mut line);
            prop_assert!(!std::str::from_utf8(&line).unwrap().chars().any(char::is_control));
            prop_assert_eq!(unescape_bytes(&line), bytes);
        }

        #[test]
        fn comes_back_whole_and_on_one_line(text in any::<String>()) {
            let line = escaped(&text);
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert_eq!(unescape(&line), text);
        }
    }
}
