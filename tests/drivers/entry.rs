//! An entry of a channel, as somebody was told it.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which it is and who wrote it; the Redis protocol does not say that of a
    /// message.
    pub seq: Option<u64>,
    pub from: Option<String>,
    /// The rest of it.
    pub what: String,
}

impl Entry {
    /// The entry of a frame; `None` for a frame that is no entry.
    pub fn of(frame: &Value) -> Option<Entry> {
        let word = |key: &str| match &frame[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let words = |keys: &[&str]| keys.iter().map(|key| word(key)).collect::<Vec<_>>().join(" ");
        let what = match frame["frame"].as_str().expect("a kind") {
            "msg" => words(&["frame", "data"]),
            "cmd" => words(&["frame", "from_rank", "from_term", "name", "args"]),
            "join" => words(&["frame", "member", "rank"]),
            "left" => words(&["frame", "member", "rank", "reason"]),
            "move" => words(&["frame", "member", "old", "new"]),
            _ => return None,
        };
        Some(Entry {
            seq: frame["seq"].as_u64(),
            from: frame["from"].as_str().map(Into::into),
            what,
        })
    }

    /// Whether both are the same entry, as far as each of them says.
    pub fn agrees(&self, other: &Entry) -> bool {
        let same = |one: Option<&str>, other: Option<&str>| {
            one.is_none() || other.is_none() || one == other
        };
        self.what == other.what
            && same(self.from.as_deref(), other.from.as_deref())
            && (self.seq.is_none() || other.seq.is_none() || self.seq == other.seq)
    }
}
