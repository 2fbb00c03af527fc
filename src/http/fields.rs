//! The fields of an address, as a JSON object.

use crate::wire::json::string;
use serde::de::IgnoredAny;

/// Fields that are always strings, even if they look like something else, as names
/// may.
const TEXTS: [&str; 7] = ["callback", "channel", "key", "member", "name", "reason", "text"];

/// An object that is written field by field.
#[derive(Debug, Default)]
pub struct Fields(Vec<u8>);

impl Fields {
    /// Adds a field: a number, `true` or `false` if it can be one.
    pub fn add(&mut self, key: &str, value: &str) {
        if TEXTS.contains(&key) {
            return self.text(key, value);
        }
        // JSON has no zeros before a number, but people write them.
        let number = value.parse::<u64>().map(|number| number.to_string());
        let value = number.as_deref().unwrap_or(value);
        if matches!(value, "true" | "false") || is_number(value) {
            self.key(key);
            self.0.extend_from_slice(value.as_bytes());
        } else {
            self.text(key, value);
        }
    }

    /// Adds a field: a string.
    pub fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        string(value, &mut self.0);
    }

    fn key(&mut self, key: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        string(key, &mut self.0);
        self.0.push(b':');
    }

    /// The object.
    pub fn end(mut self) -> Vec<u8> {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        self.0
    }
}

/// Whether this is a JSON number, and nothing around it.
fn is_number(word: &str) -> bool {
    let is_begun = word.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let is_ended = word.ends_with(|c: char| c.is_ascii_digit());
    is_begun && is_ended && serde_json::from_str::<IgnoredAny>(word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_it_looks_like_and_a_name_is_a_text() {
        for (key, value, said) in [
            ("channel", "7", r#""7""#),
            ("name", "true", r#""true""#),
            ("key", "1", r#""1""#),
            ("from", "12", "12"),
            ("from", "-1", "-1"),
            ("from", "007", "7"),
            ("term", "99999999999999999999", "99999999999999999999"),
            ("hold", "0.5", "0.5"),
            ("hold", "00.5", r#""00.5""#),
            ("hold", "1.", r#""1.""#),
            ("hold", " 1", r#"" 1""#),
            ("hold", "1 ", r#""1 ""#),
            ("create", "true", "true"),
            ("create", "false", "false"),
            ("create", "True", r#""True""#),
            ("create", "null", r#""null""#),
            ("last", "x\"y", r#""x\"y""#),
            ("last", "", r#""""#),
            ("last", "[1]", r#""[1]""#),
        ] {
            let mut fields = Fields::default();
            fields.add(key, value);
            let object = String::from_utf8(fields.end()).unwrap();
            assert_eq!(object, format!("{{\"{key}\":{said}}}"));
        }
        let mut fields = Fields::default();
        fields.add("a\n", "1");
        fields.add("b", "x");
        assert_eq!(fields.end(), br#"{"a\n":1,"b":"x"}"#);
        assert_eq!(Fields::default().end(), b"{}");
    }
}
