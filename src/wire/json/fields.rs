//! The fields of a request's object.

use super::{ID_BYTES_MAX, write};
use crate::error::{Code, Fault, excerpt, quoted};
use crate::wire::rules::{self, bad};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The most fields that a request may have, known or not: more than any verb knows.
const FIELDS_MAX: usize = 32;

/// How many leftover fields a fault names when another one is missing.
const NAMED_MAX: usize = 4;

/// The fields of one object that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Fields<'a> {
    op: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    others: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// Why the fields are refused although they are valid JSON.
    refused: Option<String>,
}

impl<'a> Fields<'a> {
    /// The fields of all these objects together, for a request whose verb is known
    /// already; `what` names them in faults.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for what is no JSON object, or has a field twice, or
    /// has an `op` or an `id`.
    pub fn of(what: &str, objects: &[&'a [u8]]) -> Result<Fields<'a>, Fault> {
        let mut fields = Fields::default();
        for object in objects {
            let read = fields.read(what, object);
            // A refused field may come from another object than `what` names, such
            // as the address; then the fault must not say that `what` is no JSON.
            read.map_err(|fault| fields.refused.take().map_or(fault, bad))?;
        }
        match (fields.op, fields.id) {
            (None, None) => Ok(fields),
            _ => Err(bad("op and id have no place here: the address says what is asked")),
        }
    }

    /// Reads an object; `what` names it in faults. The fields read before a fault
    /// are kept, so that the reply can carry the id.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for what is no JSON object, or has a field twice.
    pub fn read(&mut self, what: &str, line: &'a [u8]) -> Result<(), Fault> {
        let mut reader = serde_json::Deserializer::from_slice(line);
        let read = Object(self).deserialize(&mut reader).and_then(|()| reader.end());
        read.map_err(|e| match std::str::from_utf8(line) {
            Ok(_) => bad(format!("{what} must be one JSON object: {e}")),
            Err(_) => bad(format!("{what} must be UTF-8")),
        })
    }

    fn refuse<E: Error>(&mut self, text: String) -> E {
        self.refused = Some(text.clone());
        E::custom(text)
    }

    /// The verb that is asked for.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if it is missing, or no string.
    pub fn op(&self) -> Result<Cow<'a, str>, Fault> {
        let op = self.op.ok_or_else(|| bad("op is missing: what is asked; see: help"))?;
        text("op", op)
    }

    /// The id, if there is one and it may be echoed.
    ///
    /// # Errors
    /// [`Code::TooLong`], and [`Code::BadRequest`] for one nested too deep.
    pub fn id(&self) -> Result<Option<&'a str>, Fault> {
        let Some(id) = self.id.map(RawValue::get) else { return Ok(None) };
        if id.len() > ID_BYTES_MAX {
            let text = format!("an id has at most {ID_BYTES_MAX} bytes, not {}", id.len());
            return Err(Fault::new(Code::TooLong, text));
        }
        rules::nesting("id", id).map(|()| Some(id))
    }

    /// Takes a field, whatever its value is, `null` included.
    pub fn value(&mut self, key: &str) -> Option<&'a RawValue> {
        let at = self.others.iter().position(|(name, _)| name == key)?;
        Some(self.others.swap_remove(at).1)
    }

    /// Takes a field. `null` counts as missing.
    pub fn take(&mut self, key: &str) -> Option<&'a RawValue> {
        self.value(key).filter(|value| value.get() != "null")
    }

    /// Takes a string.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if it is something else.
    pub fn text(&mut self, key: &str) -> Result<Option<Cow<'a, str>>, Fault> {
        self.take(key).map(|value| text(key, value)).transpose()
    }

    /// Takes a string, as `text` does, but owned.
    ///
    /// # Errors
    /// As for `text`.
    pub fn string(&mut self, key: &str) -> Result<Option<String>, Fault> {
        Ok(self.text(key)?.map(Cow::into_owned))
    }

    /// Takes a string or a number, as a string.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if it is neither.
    pub fn word(&mut self, key: &str) -> Result<Option<String>, Fault> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match value.get() {
            quoted if quoted.starts_with('"') => Ok(Some(text(key, value)?.into_owned())),
            number if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                Ok(Some(number.to_owned()))
            }
            other => Err(wrong(key, "a string or a number", other)),
        }
    }

    /// Takes a string that must be there.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if it is something else, or missing.
    pub fn need(&mut self, key: &str) -> Result<String, Fault> {
        self.string(key)?.ok_or_else(|| self.missing(key))
    }

    /// Takes a whole number.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if it is something else, or out of range.
    pub fn number<T: Deserialize<'a>>(&mut self, key: &str) -> Result<Option<T>, Fault> {
        self.take(key).map(|value| number(key, value)).transpose()
    }

    /// Takes a whole number that must be there.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if it is something else, out of range, or missing.
    pub fn need_number<T: Deserialize<'a>>(&mut self, key: &str) -> Result<T, Fault> {
        self.number(key)?.ok_or_else(|| self.missing(key))
    }

    /// Takes `true` or `false`; a missing one is `false`.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for something else.
    pub fn flag(&mut self, key: &str) -> Result<bool, Fault> {
        match self.take(key).map(RawValue::get) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(wrong(key, "true or false", other)),
        }
    }

    /// Takes a time in seconds.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for what is no number above 0 and up to `most`.
    pub fn seconds(&mut self, key: &str, most: f64) -> Result<Option<Duration>, Fault> {
        self.take(key).map(|value| seconds(key, value, most)).transpose()
    }

    /// Takes a time in seconds, as `seconds` does; 0 and a missing field are no
    /// time at all.
    ///
    /// # Errors
    /// As for `seconds`.
    pub fn seconds_or_none(&mut self, key: &str, most: f64) -> Result<Duration, Fault> {
        match self.take(key) {
            None => Ok(Duration::ZERO),
            Some(zero) if zero.get() == "0" => Ok(Duration::ZERO),
            Some(value) => seconds(&format!("{key} (0: not at all)"), value, most),
        }
    }

    /// Takes a list of strings; a missing one is empty.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for something else.
    pub fn texts(&mut self, key: &str) -> Result<Vec<String>, Fault> {
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        serde_json::from_str(value.get())
            .map_err(|_| wrong(key, "an array of strings", value.get()))
    }

    /// Takes an object of whole numbers; a missing one is empty.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for something else, and for a key that is there
    /// twice.
    pub fn numbers(&mut self, key: &str) -> Result<Vec<(String, u64)>, Fault> {
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        let wanted = "an object of channels, each once, with whole numbers in range";
        let read = serde_json::from_str::<Numbers>(value.get());
        let Numbers(numbers) = read.map_err(|_| wrong(key, wanted, value.get()))?;
        Ok(numbers.into_iter().collect())
    }

    /// The fault for a missing field. It names some of the fields that are left,
    /// one of which may be the missing one, misspelt.
    pub fn missing(&self, key: &str) -> Fault {
        let left: Vec<String> =
            self.others.iter().take(NAMED_MAX).map(|(name, _)| quoted(name)).collect();
        let left =
            if left.is_empty() { left.concat() } else { format!("; there is {}", left.join(", ")) };
        bad(format!("{key} is missing{left}"))
    }

    /// Checks that no field is left over of a request that `verb` began.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if one is.
    pub fn done(&self, verb: &str) -> Result<(), Fault> {
        let Some((key, _)) = self.others.first() else { return Ok(()) };
        Err(bad(format!("{verb} has no field {}; see: help {verb}", quoted(key))))
    }

    /// Checks that no field is left over of a request whose sender need not know
    /// its verb.
    ///
    /// # Errors
    /// As for `done`.
    pub fn done_here(&self) -> Result<(), Fault> {
        let Some((key, _)) = self.others.first() else { return Ok(()) };
        Err(bad(format!("there is no field {} here", quoted(key))))
    }
}

/// The fault for a field that is not what it should be. The value is shown as it
/// came: a string has its quotes already.
pub fn wrong(key: &str, wanted: &str, json: &str) -> Fault {
    bad(format!("{key} must be {wanted}, not {}", excerpt(json)))
}

/// The text of a field that is a string.
///
/// # Errors
/// [`Code::BadRequest`] if it is no string, or one that is no text.
pub fn text<'a>(key: &str, value: &'a RawValue) -> Result<Cow<'a, str>, Fault> {
    match write::text(value) {
        Some(Ok(text)) => Ok(text),
        Some(Err(_)) => {
            Err(bad(format!("{key} holds half of a surrogate pair: {}", excerpt(value.get()))))
        }
        None => Err(wrong(key, "a string", value.get())),
    }
}

/// A field as a whole number.
///
/// # Errors
/// [`Code::BadRequest`] if it is something else, or out of range.
pub fn number<'a, T: Deserialize<'a>>(key: &str, value: &'a RawValue) -> Result<T, Fault> {
    let wanted = "a whole number in range";
    serde_json::from_str(value.get()).map_err(|_| wrong(key, wanted, value.get()))
}

/// A field as a time in seconds.
///
/// # Errors
/// [`Code::BadRequest`] if it is no number above 0 and up to `most`.
pub fn seconds(key: &str, value: &RawValue, most: f64) -> Result<Duration, Fault> {
    // `rules::seconds` also refuses what is no number.
    rules::seconds(key, value.get(), most).map_err(|_| {
        wrong(key, &format!("a number of seconds, above 0 and up to {most}"), value.get())
    })
}

struct Object<'f, 'a>(&'f mut Fields<'a>);

impl<'a> DeserializeSeed<'a> for Object<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Visitor<'a> for Object<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = self.0;
        while let Some(Key(key)) = map.next_key()? {
            let value = map.next_value()?;
            let is_twice = match &*key {
                "op" => fields.op.replace(value).is_some(),
                // The first id is kept, so that the reply that complains of the
                // second can carry it.
                "id" if fields.id.is_some() => true,
                "id" => fields.id.replace(value).is_some(),
                _ => {
                    let is_twice = fields.others.iter().any(|(name, _)| *name == key);
                    if fields.others.len() == FIELDS_MAX {
                        let text = format!("it has more than {FIELDS_MAX} fields");
                        return Err(fields.refuse(text));
                    }
                    fields.others.push((key.clone(), value));
                    is_twice
                }
            };
            if is_twice {
                return Err(fields.refuse(format!("the field {} is there twice", quoted(&key))));
            }
        }
        Ok(())
    }
}

/// An object of whole numbers that has each key once.
struct Numbers(BTreeMap<String, u64>);

impl<'a> Deserialize<'a> for Numbers {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NumbersVisitor)
    }
}

struct NumbersVisitor;

impl<'a> Visitor<'a> for NumbersVisitor {
    type Value = Numbers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of numbers")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Numbers, A::Error> {
        let mut numbers = BTreeMap::new();
        while let Some((key, number)) = map.next_entry()? {
            if numbers.insert(key, number).is_some() {
                return Err(A::Error::custom("a key is there twice"));
            }
        }
        Ok(Numbers(numbers))
    }
}
