//! Pieces of JSON.

use serde_json::value::RawValue;

/// Appends a text as a JSON string. All control characters are escaped, also
/// those that JSON would allow: a line may be shown on a terminal.
pub fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escaped(text, out, |c, out| match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        c => unicode(c, out),
    });
    out.push(b'"');
}

/// Appends a JSON value as it is, but for control characters: between its parts
/// they become blanks, within its strings they are escaped. So it stays one
/// line, and the same value.
pub fn value(json: &str, out: &mut Vec<u8>) {
    escaped(json, out, |c, out| match c {
        // Part of JSON's own syntax.
        '"' | '\\' => out.push(c as u8),
        // These are the only control characters that JSON allows, and only between
        // the parts of a value.
        '\0'..' ' => out.push(b' '),
        c => unicode(c, out),
    });
}

/// An object that is written field by field.
pub struct Object<'o>(&'o mut Vec<u8>);

impl<'o> Object<'o> {
    /// Begins an object with its first field: a string that needs no escapes.
    pub fn begin(key: &str, text: &str, out: &'o mut Vec<u8>) -> Self {
        for part in ["{\"", key, "\":\"", text, "\""] {
            out.extend_from_slice(part.as_bytes());
        }
        Object(out)
    }

    /// Adds a field: a string.
    #[must_use]
    pub fn text(self, key: &str, text: &str) -> Self {
        self::key(key, self.0);
        string(text, self.0);
        self
    }

    /// Adds a field: a number.
    #[must_use]
    pub fn number(self, key: &str, number: impl itoa::Integer) -> Self {
        self::key(key, self.0);
        self::number(number, self.0);
        self
    }

    /// Adds a field that is `null`.
    #[must_use]
    pub fn null(self, key: &str) -> Self {
        self::key(key, self.0);
        self.0.extend_from_slice(b"null");
        self
    }

    /// Ends the object with a last field `rows`: these JSON values, already separated by
    /// commas.
    pub fn end_with_rows(self, rows: &[u8]) {
        self.0.extend_from_slice(b",\"rows\":[");
        self.0.extend_from_slice(rows);
        self.0.extend_from_slice(b"]}");
    }

    /// Ends the object.
    pub fn end(self) {
        self.0.push(b'}');
    }
}

/// Appends the name of a further field, which must be one that needs no escapes.
pub fn key(name: &str, out: &mut Vec<u8>) {
    for part in [",\"", name, "\":"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends a number.
pub fn number(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends the id of a request, if it has one, as the last field.
pub fn id(id: Option<&str>, out: &mut Vec<u8>) {
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        value(id, out);
    }
}

/// Appends ordinary characters as they are, and each other one by `write`.
fn escaped(text: &str, out: &mut Vec<u8>, write: impl Fn(char, &mut Vec<u8>)) {
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let c = match *byte {
            b'"' | b'\\' | 0x7f | ..b' ' => char::from(*byte),
            // U+0080 to U+009F, in UTF-8: the second byte is the character.
            0xc2 if bytes.get(at + 1).is_some_and(|next| *next < 0xa0) => char::from(bytes[at + 1]),
            _ => continue,
        };
        out.extend_from_slice(&bytes[plain_from..at]);
        plain_from = at + c.len_utf8();
        write(c, out);
    }
    out.extend_from_slice(&bytes[plain_from..]);
}

fn unicode(c: char, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let code = c as usize;
    out.extend_from_slice(b"\\u00");
    out.extend_from_slice(&[HEX[code >> 4 & 15], HEX[code & 15]]);
}

/// The text of a JSON string; `None` for any other value.
///
/// # Errors
/// If the string holds half of a surrogate pair, which is no text.
pub fn text(value: &RawValue) -> Option<Result<std::borrow::Cow<'_, str>, serde_json::Error>> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Ok(inner.into()));
    }
    Some(serde_json::from_str::<String>(value.get()).map(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn control_characters_are_escaped() {
        let text = "a\"b\\\n\r\t\0\x1b[2J\x7f\u{9b}31m \u{a0}ü€😀";
        let json = written(|out| string(text, out));
        let expected = r#""a\"b\\\n\r\t\u0000\u001b[2J\u007f\u009b31m "#;
        assert_eq!(json, format!("{expected}\u{a0}ü€😀\""));
    }

    #[test]
    fn a_value_stays_itself() {
        for json in [r#"{"a":[1.50,1E+2,-0,12345678901234567890123]}"#, r#""\u0041\/""#, "null"] {
            assert_eq!(written(|out| value(json, out)), json);
        }
        let json = "{\r\n\t\"a\": \"\x7f\u{85}\"}";
        assert_eq!(written(|out| value(json, out)), r#"{   "a": "\u007f\u0085"}"#);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(said in any::<String>()) {
            let json = written(|out| string(&said, out));
            prop_assert!(!json.contains(char::is_control));
            let raw: &RawValue = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(text(raw).unwrap().unwrap(), said.as_str());
            // As a value, it is the same one.
            let again = written(|out| value(&json, out));
            prop_assert_eq!(again, json);
        }
    }
}
