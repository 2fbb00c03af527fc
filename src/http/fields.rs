//! What an address says, as a JSON object.

use crate::wire::json::string;

/// Fields that are texts, even if they look like a number: names are.
const TEXTS: [&str; 3] = ["channel", "member", "name"];

/// An object that is written field by field.
#[derive(Debug, Default)]
pub struct Fields(Vec<u8>);

impl Fields {
    /// One more field: a number if it can be one.
    pub fn add(&mut self, key: &str, value: &str) {
        match value.parse::<u64>() {
            Ok(number) if !TEXTS.contains(&key) => {
                self.key(key);
                self.0.extend_from_slice(number.to_string().as_bytes());
            }
            _ => self.text(key, value),
        }
    }

    /// One more field: a text.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers_and_names_are_texts() {
        let mut fields = Fields::default();
        for (key, value) in [("channel", "7"), ("from", "12"), ("last", "x\"y"), ("a\n", "-1")] {
            fields.add(key, value);
        }
        let object = String::from_utf8(fields.end()).unwrap();
        assert_eq!(object, r#"{"channel":"7","from":12,"last":"x\"y","a\n":"-1"}"#);
        assert_eq!(Fields::default().end(), b"{}");
    }
}
