//! What a request may hold, whichever dialect it came in.

use crate::error::{Code, Fault, quoted};
use crate::request::{KEY_BYTES_MAX, Request};
use std::str::FromStr;
use std::time::Duration;
use uuid::Uuid;

/// The longest wait that a client may ask for, in seconds.
pub const SECONDS_MAX: f64 = 24.0 * 3600.0;

/// The longest that messages may be asked to be kept, in seconds: ten years.
pub const AGE_SECONDS_MAX: f64 = 10.0 * 365.0 * 24.0 * 3600.0;

/// How deep arrays and objects of a JSON value may be nested: as deep as
/// `serde_json` reads them, and less than any other reader that we know.
pub const NESTING_MAX: usize = 128;

/// A request that the broker cannot read.
pub fn bad(text: impl Into<String>) -> Fault {
    Fault::new(Code::BadRequest, text)
}

/// The fault for an unknown verb.
pub fn unknown(verb: &str) -> Fault {
    Fault::new(Code::UnknownCommand, format!("{} is no verb; see: help", quoted(verb)))
}

/// Parses a word as a number; `what` names it in the fault.
///
/// # Errors
/// [`Code::BadRequest`] if it is no number.
pub fn number<T: FromStr>(what: &str, word: &str) -> Result<T, Fault> {
    word.parse()
        .map_err(|_| bad(format!("{what} must be a whole number in range, not {}", quoted(word))))
}

/// Parses `word` as a time in seconds; `what` names it in the fault.
///
/// # Errors
/// [`Code::BadRequest`] for one that is not above 0, or above `most`.
pub fn seconds(what: &str, word: &str, most: f64) -> Result<Duration, Fault> {
    match word.parse::<f64>() {
        Ok(secs) if secs > 0.0 && secs <= most => Ok(Duration::from_secs_f64(secs)),
        _ => Err(bad(format!(
            "{what} takes seconds, above 0 and up to {most}, not {}",
            quoted(word)
        ))),
    }
}

/// Checks the key of a message or a command; `what` names it in the fault.
///
/// # Errors
/// [`Code::BadRequest`] for an empty key, [`Code::TooLong`].
pub fn key(what: &str, key: String) -> Result<Box<str>, Fault> {
    if key.is_empty() {
        return Err(bad(format!("{what} must not be empty")));
    }
    if key.len() > KEY_BYTES_MAX {
        let text = format!("a key has at most {KEY_BYTES_MAX} bytes, not {}", key.len());
        return Err(Fault::new(Code::TooLong, text));
    }
    Ok(key.into())
}

/// Parses the name of a session; `what` names it in the fault.
///
/// # Errors
/// [`Code::BadRequest`] for what is no UUID.
pub fn session(what: &str, word: &str) -> Result<Uuid, Fault> {
    let is_refused = |_| bad(format!("{what} takes a UUID, not {}", quoted(word)));
    Uuid::parse_str(word).map_err(is_refused)
}

/// A command.
///
/// # Errors
/// [`Code::BadRequest`] for one without a name, or with control characters.
pub fn command(
    channel: Option<String>,
    to: Option<String>,
    timeout: Option<Duration>,
    key: Option<Box<str>>,
    name: String,
    args: Vec<String>,
) -> Result<Request<'static>, Fault> {
    if name.is_empty() {
        return Err(bad("a command needs a name: /NAME ARG…"));
    }
    if args.iter().chain([&name]).any(|word| word.chars().any(char::is_control)) {
        return Err(bad("a command and its arguments hold no control characters"));
    }
    Ok(Request::Cmd { channel, to, timeout, key, name, args })
}

/// Checks a JSON value that a message is to carry.
///
/// # Errors
/// [`Code::BadRequest`] for what is no JSON, or nested too deep.
pub fn json(text: &str) -> Result<&str, Fault> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => nesting("the text", text).map(|()| text),
        Err(e) => Err(bad(format!("the text is not JSON: {e}"))),
    }
}

/// Checks that a JSON value is not nested too deep for its readers; `what` names it
/// in the fault. It must be known to be valid JSON.
///
/// # Errors
/// [`Code::BadRequest`] if it is.
pub fn nesting(what: &str, json: &str) -> Result<(), Fault> {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                depth += 1;
                if depth > NESTING_MAX {
                    let text = format!("{what} nests arrays and objects over {NESTING_MAX} deep");
                    return Err(bad(text));
                }
            }
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_at_the_limit_and_one_past_it() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(json(&nested(NESTING_MAX)).is_ok());
        assert_eq!(json(&nested(NESTING_MAX + 1)).unwrap_err().code, Code::BadRequest);
        let wide = format!("[{}[]]", "[],{},".repeat(1_000));
        assert!(json(&wide).is_ok());
        let quoted = format!("[\"{}\\\"{}\"]", "[".repeat(1_000), "{".repeat(1_000));
        assert!(json(&quoted).is_ok());
    }
}
