//! A message's payload as the fields of a stream entry, and back.
//!
//! A single field called `data` is a text payload; any other fields make a JSON
//! object. So what was added with `XADD` reads back as it was, and messages that
//! others have published have fields, too.

use super::write::Writer;
use crate::error::{Fault, quoted};
use crate::payload::Payload;
use crate::wire::rules::bad;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The name of the field that holds a text payload.
const DATA: &[u8] = b"data";

/// The payload of a `PUBLISH`: any bytes.
#[allow(clippy::needless_bitwise_bool)]
pub fn payload(bytes: &[u8]) -> Payload<'_> {
    // Every published message passes through here: no early exit, so that the
    // compiler makes vector instructions of it.
    let special = |byte: &u8| (*byte < b' ') | (*byte > b'~') | (*byte == b'\\');
    if !bytes.iter().fold(false, |any, byte| any | special(byte)) {
        return Payload::Plain(bytes);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Payload::Text(text.into()),
        Err(_) => Payload::Bytes(bytes),
    }
}

/// The payload of an `XADD`: fields and values in turn, as many of each.
///
/// # Errors
/// [`crate::error::Code::BadRequest`] for what is no UTF-8, which a JSON object
/// cannot hold.
pub fn fields<'a>(words: &[&'a [u8]]) -> Result<Payload<'a>, Fault> {
    if let [DATA, data] = words {
        return Ok(payload(data));
    }
    let mut json = String::from("{");
    for (at, word) in words.iter().enumerate() {
        let text = std::str::from_utf8(word).map_err(|_| {
            let word = String::from_utf8_lossy(word);
            bad(format!(
                "{} is not UTF-8; only the value of a single field data may be none",
                quoted(&word)
            ))
        })?;
        // No text fails to be a JSON string.
        json.push_str(&serde_json::to_string(text).unwrap_or_default());
        json.push(if at % 2 == 0 { ':' } else { ',' });
    }
    json.pop();
    json.push('}');
    Ok(Payload::Json(json.into()))
}

/// Appends the fields of a payload: names and values in turn. A value that is no
/// string is written as its JSON.
pub(super) fn write(payload: &[u8], is_json: bool, to: &mut Writer<'_>) {
    let json = std::str::from_utf8(payload).ok().filter(|_| is_json);
    let pairs =
        json.and_then(|json| serde_json::Deserializer::from_str(json).deserialize_map(Pairs).ok());
    match pairs.filter(|pairs| !pairs.is_empty()) {
        Some(pairs) => {
            to.array(2 * pairs.len());
            for (name, value) in pairs {
                to.bulk(name);
                match serde_json::from_str::<String>(value.get()) {
                    Ok(text) => to.bulk(text),
                    Err(_) => to.bulk(value.get()),
                };
            }
        }
        None => {
            to.array(2).bulk(DATA).bulk(payload);
        }
    }
}

/// Reads an object's fields in order, repeated names included.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Resp;
    use proptest::prelude::*;

    fn written(payload: &Payload<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        write(payload.as_bytes(), payload.is_json(), &mut Writer::new(Resp::Two, &mut out));
        out
    }

    fn array(words: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut to = Writer::new(Resp::Two, &mut out);
        to.array(words.len());
        for word in words {
            to.bulk(word);
        }
        out
    }

    #[test]
    fn one_field_called_data_is_a_text_and_others_an_object() {
        assert_eq!(fields(&[b"data", b"a b"]), Ok(Payload::Plain(b"a b")));
        assert_eq!(fields(&[b"data", b"a\n"]), Ok(Payload::Text("a\n".into())));
        assert_eq!(fields(&[b"data", b"\xff"]), Ok(Payload::Bytes(b"\xff")));
        let json = |json: &str| Ok(Payload::Json(json.to_owned().into()));
        assert_eq!(fields(&[b"t", b"1\""]), json(r#"{"t":"1\""}"#));
        let twice: [&[u8]; 4] = [b"data", b"1", b"data", b"2"];
        assert_eq!(fields(&twice), json(r#"{"data":"1","data":"2"}"#));
        assert!(fields(&[b"t", b"\xff"]).is_err());
    }

    #[test]
    fn what_others_have_published_has_fields() {
        for (json, fields) in [
            (
                r#"{"a":1.50,"b":"x\ny","c":{"d":null}}"#,
                vec!["a", "1.50", "b", "x\ny", "c", "{\"d\":null}"],
            ),
            ("[1,2]", vec!["data", "[1,2]"]),
            ("\"text\"", vec!["data", "\"text\""]),
            ("{}", vec!["data", "{}"]),
        ] {
            let words: Vec<&[u8]> = fields.iter().map(|field| field.as_bytes()).collect();
            assert_eq!(written(&Payload::Json(json.into())), array(&words), "{json}");
        }
        assert_eq!(written(&Payload::Text("{\"a\":1}".into())), array(&[b"data", b"{\"a\":1}"]));
    }

    proptest! {
        #[test]
        fn fields_come_back(
            words in prop::collection::vec(("(?s).{0,8}", "(?s).{0,8}"), 1..5),
        ) {
            let words: Vec<&[u8]> =
                words.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]).collect();
            prop_assert_eq!(written(&fields(&words).unwrap()), array(&words));
        }
    }
}
