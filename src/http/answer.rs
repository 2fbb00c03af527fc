//! Answers, and what their bodies are made of.

use super::part::Part;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use std::convert::Infallible;

/// The body of an answer: bytes, or a stream of them.
pub type Body = UnsyncBoxBody<Part, Infallible>;
/// The answer to a request.
pub type Answer = Response<Body>;

/// An answer whose body is complete.
pub fn whole(status: StatusCode, kind: &'static str, body: impl Into<Part>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// An answer that is a JSON object.
pub fn json(status: StatusCode, mut object: Vec<u8>) -> Answer {
    object.push(b'\n');
    whole(status, "application/json", object)
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(http_body_util::Empty::new().boxed_unsync());
    *answer.status_mut() = status;
    answer
}

/// The answer with one more header, of characters that a header may hold.
pub fn with(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}
