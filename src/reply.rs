//! The one answer that each request gets, free of any wire format.

use crate::log::Chunk;
use ecow::EcoString;
use jiff::Timestamp;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The value of a field.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text; may hold anything a client sent.
    Text(EcoString),
    /// A count, a seq, a rank, …
    Number(u64),
    /// `yes` or `no`.
    Flag(bool),
    /// A point in time.
    Time(Timestamp),
    /// A time in seconds, with a fraction if there is one.
    Seconds(Duration),
    /// Names.
    Names(Vec<EcoString>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text.into())
    }
}

impl From<EcoString> for Value {
    fn from(text: EcoString) -> Self {
        Value::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::Number(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Value::Number(number as u64)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Flag(flag)
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Value::Seconds(time)
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Value::Time(time)
    }
}

/// A named value in a reply or in one of its rows.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub key: &'static str,
    /// Its value.
    pub value: Value,
    /// Whether the text dialect shows it by its position alone, without the name.
    /// Such fields never change; others may be added.
    pub positional: bool,
}

impl Field {
    /// Its name as JSON and RESP have it.
    pub fn name(&self) -> Cow<'static, str> {
        if self.key.contains('-') { self.key.replace('-', "_").into() } else { self.key.into() }
    }
}

/// A kind and its fields: a reply's last line, or one of its rows.
#[derive(Clone, Debug)]
pub struct Line {
    /// The verb that is answered, or the kind of row.
    pub kind: &'static str,
    /// Its fields, in order.
    pub fields: Vec<Field>,
}

impl Line {
    /// A line of this kind without fields.
    pub fn new(kind: &'static str) -> Self {
        Line { kind, fields: Vec::new() }
    }

    /// With one more field, shown by its position.
    #[must_use]
    pub fn at(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push(Field { key, value: value.into(), positional: true });
        self
    }

    /// With one more field, shown as `key=value`.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push(Field { key, value: value.into(), positional: false });
        self
    }

    /// The value of the field of this name, if it is a number.
    pub fn number(&self, key: &str) -> Option<u64> {
        let field = self.fields.iter().find(|field| field.key == key)?;
        match field.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }
}

/// Entries of a log: a range of a chunk that begins and ends between entries.
#[derive(Clone, Debug)]
pub struct Excerpt {
    /// The chunk.
    pub chunk: Arc<Chunk>,
    /// The range of its bytes.
    pub range: Range<usize>,
}

impl Excerpt {
    /// The entries of a chunk from one seq to another.
    pub fn cut(chunk: &Arc<Chunk>, from: u64, to: u64) -> Self {
        let range = chunk.offset_of(from)..chunk.offset_of(to.saturating_add(1));
        Excerpt { chunk: chunk.clone(), range }
    }
}

/// The answer to a request that succeeded.
#[derive(Clone, Debug)]
pub enum Reply {
    /// One line.
    Line(Line),
    /// Rows, then the final line.
    List(Vec<Line>, Line),
    /// Entries as rows, then the final line.
    Entries(Vec<Excerpt>, Line),
    /// Entries, or a digest of them, read from the disk piece by piece. The session
    /// has the state.
    Scroll,
    /// The replies to a whole batch of published messages.
    Published {
        /// The channel.
        channel: EcoString,
        /// The seq of the first message.
        first_seq: u64,
        /// How many there were, each of them a request of its own.
        count: u64,
        /// How many clients get them.
        receivers: usize,
    },
    /// The connection is to be closed once everything due to it is written.
    Quit,
}

impl From<Line> for Reply {
    fn from(line: Line) -> Self {
        Reply::Line(line)
    }
}
