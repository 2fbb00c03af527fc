//! What a receiver's answer to a delivery means.

use crate::outbound::{Answer, OutboundError};
use hyper::StatusCode;
use serde::{Deserialize, Deserializer};

/// How many characters of a result's text are passed on; a longer text should be
/// published as a message.
const TEXT_CHARS_MAX: usize = 4_096;
/// The code of a result that cannot be read, which is not a success.
const UNREADABLE: i32 = 1;

/// What a receiver's answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has taken the delivery; a command has this result.
    Done(Outcome),
    /// It has taken the delivery, and will give a command's result by itself (202).
    Accepted,
    /// It does not want this delivery, and asking again will not help.
    Refused(StatusCode),
    /// It wants no more deliveries (410).
    Unwanted,
    /// It could not be reached, or not now.
    Failed(String),
}

/// A command's result in the receiver's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Outcome {
    /// 0 is success.
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) code: i32,
    /// More about it.
    #[serde(default, deserialize_with = "or_nothing")]
    pub(super) text: String,
}

/// `null` counts as missing, as in a request.
fn or_nothing<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Verdict {
    /// The meaning of an answer.
    pub(super) fn of(answer: Result<Answer, OutboundError>) -> Verdict {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Verdict::Failed(format!("{}: {error}", error.kind.as_str())),
        };
        let status = answer.status;
        if status == StatusCode::ACCEPTED {
            return Verdict::Accepted;
        }
        if status.is_success() {
            return Verdict::Done(Outcome::read(&answer));
        }
        let said = format!("it answered {status}");
        match status {
            StatusCode::GONE => Verdict::Unwanted,
            // These mean "not now", which says nothing about what was delivered.
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::CONFLICT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS => Verdict::Failed(said),
            _ if status.is_client_error() => Verdict::Refused(status),
            _ => Verdict::Failed(said),
        }
    }
}

impl Outcome {
    /// Reads the result in an answer: success without a text, unless the body
    /// begins as a JSON object.
    fn read(answer: &Answer) -> Outcome {
        if answer.body.trim_ascii_start().first() != Some(&b'{') {
            return Outcome::default();
        }
        let read = serde_json::from_slice(&answer.body);
        let mut outcome = read.unwrap_or_else(|e| {
            let why = if answer.whole { e.to_string() } else { "it is too long".into() };
            Outcome { code: UNREADABLE, text: format!("the result cannot be read: {why}") }
        });
        if let Some((end, _)) = outcome.text.char_indices().nth(TEXT_CHARS_MAX) {
            outcome.text.truncate(end);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::HeaderMap;

    fn of(status: u16, body: &str, whole: bool) -> Verdict {
        Verdict::of(Ok(Answer {
            url: "http://a/".parse().unwrap(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.into(),
            body_bytes: body.len() as u64,
            whole,
        }))
    }

    fn done(code: i32, text: &str) -> Verdict {
        Verdict::Done(Outcome { code, text: text.into() })
    }

    #[test]
    fn a_success_is_an_ack_and_its_body_may_say_more() {
        for (body, expected) in [
            ("", done(0, "")),
            ("ok", done(0, "")),
            ("[1]", done(0, "")),
            ("{}", done(0, "")),
            (r#" {"code":3,"text":"no","more":1}"#, done(3, "no")),
            (r#"{"text":"fine"}"#, done(0, "fine")),
            (r#"{"code":-1}"#, done(-1, "")),
            (r#"{"code":null,"text":null}"#, done(0, "")),
        ] {
            assert_eq!(of(200, body, true), expected, "{body}");
            assert_eq!(of(299, body, true), expected, "{body}");
            assert_eq!(of(202, body, true), Verdict::Accepted, "{body}");
        }
    }

    #[test]
    fn a_result_that_cannot_be_read_is_no_success() {
        for body in [r#"{"code":"0"}"#, r#"{"code":1.5}"#, r#"{"code":99999999999}"#, "{", "{}x"] {
            let Verdict::Done(outcome) = of(200, body, true) else { panic!("{body}") };
            assert_eq!(outcome.code, UNREADABLE, "{body}");
        }
        let Verdict::Done(outcome) = of(200, r#"{"text":"abc"#, false) else { panic!() };
        assert_eq!(outcome.text, "the result cannot be read: it is too long");
        let long = format!(r#"{{"text":"{}"}}"#, "ü".repeat(TEXT_CHARS_MAX + 1));
        assert_eq!(of(200, &long, true), done(0, &"ü".repeat(TEXT_CHARS_MAX)));
    }

    #[test]
    fn what_is_tried_again_and_what_is_not() {
        for status in [301, 302, 304, 408, 409, 425, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(of(status, "{}", true), Verdict::Failed(_)), "{status}");
        }
        for status in [400, 401, 403, 404, 405, 413, 422] {
            assert!(matches!(of(status, "{}", true), Verdict::Refused(_)), "{status}");
        }
        assert_eq!(of(410, "", true), Verdict::Unwanted);
    }
}
