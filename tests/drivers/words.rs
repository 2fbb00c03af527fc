//! The words that text and the Redis protocol have for the names of the JSON
//! dialect, in both directions.

use serde_json::{Map, Value, json};

/// A value as a word.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The words of a request.
pub fn request(op: &str, fields: &Value) -> Vec<String> {
    let mut words = vec![op.to_owned()];
    let mut option = |key: &str, flag: &str| {
        if !fields[key].is_null() {
            words.extend([flag.to_owned(), word(&fields[key])]);
        }
    };
    for key in ["hold", "history", "term", "code"] {
        option(key, &format!("--{key}"));
    }
    if op == "cmd" {
        option("to", "--to");
    }
    if op == "pub" && !fields["data"].is_string() {
        words.push("--json".into());
    }
    let mut given = |key: &str| match &fields[key] {
        Value::Null => {}
        Value::Array(all) => words.extend(all.iter().map(word)),
        value => words.push(word(value)),
    };
    for key in ["channel", "seq", "member", "name", "args", "text", "data"] {
        given(key);
    }
    words
}

/// What stands behind the kind of a frame, in order; `args` is what is left.
pub fn names(kind: &str) -> &'static [&'static str] {
    match kind {
        "msg" => &["channel", "seq", "from", "data"],
        "message" => &["channel", "data"],
        "cmd" => &["channel", "seq", "from", "from_rank", "from_term", "name", "args"],
        "join" => &["channel", "seq", "member", "rank"],
        "left" => &["channel", "seq", "member", "rank", "reason"],
        "move" => &["channel", "seq", "member", "old", "new"],
        "rank" => &["channel", "rank", "term", "view"],
        "ack" => &["channel", "seq", "member", "rank", "result", "text"],
        "done" => &["channel", "seq", "ok", "sent"],
        "gap" => &["channel", "from", "to"],
        other => panic!("an unforeseen frame: {other}"),
    }
}

/// The frame of this kind with these words behind it.
pub fn frame(kind: &str, words: &[Value]) -> Value {
    let mut frame = Map::new();
    frame.insert("frame".into(), if kind == "message" { "msg".into() } else { kind.into() });
    for (at, name) in names(kind).iter().enumerate() {
        let value = match *name {
            "args" => json!(words[at..]),
            _ => words[at].clone(),
        };
        frame.insert((*name).into(), value);
    }
    Value::Object(frame)
}
