//! Failures as `application/problem+json` (RFC 9457) with the protocol's own code.

use super::answer::{self, Answer};
use crate::error::{Code, Fault};
use crate::wire::json::Object;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

/// What went wrong with a request.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: Code,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    fields: Vec<(&'static str, String)>,
}

impl Problem {
    /// A problem that only HTTP has, with the nearest code of the protocol.
    pub fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        let (headers, fields) = (Vec::new(), Vec::new());
        Problem { status, code, detail: detail.into(), headers, fields }
    }

    /// With a header in its answer.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With one more field, a string.
    #[must_use]
    pub fn saying(mut self, key: &'static str, text: impl Into<String>) -> Self {
        self.fields.push((key, text.into()));
        self
    }

    /// The answer that reports it.
    pub fn answer(self) -> Answer {
        let mut body = Vec::new();
        let title = self.status.canonical_reason().unwrap_or("Unknown");
        let mut object = Object::begin("title", title, &mut body)
            .number("status", self.status.as_u16())
            .text("code", self.code.as_str())
            .text("detail", &self.detail);
        for (key, text) in &self.fields {
            object = object.text(key, text);
        }
        object.end();
        body.push(b'\n');
        let mut answer = answer::whole(self.status, "application/problem+json", body);
        answer.headers_mut().extend(self.headers);
        answer
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let problem = Problem::new(status(fault.code), fault.code, fault.message);
        match fault.code {
            Code::Busy => problem.with(hyper::header::RETRY_AFTER, HeaderValue::from_static("1")),
            _ => problem,
        }
    }
}

/// The status of each code.
pub const fn status(code: Code) -> StatusCode {
    match code {
        Code::BadRequest => StatusCode::BAD_REQUEST,
        Code::UnknownCommand | Code::NoChannel | Code::NoMember => StatusCode::NOT_FOUND,
        // Nobody made a mistake, and it may succeed later.
        Code::Exists | Code::AlreadyMember | Code::NameTaken | Code::Full => StatusCode::CONFLICT,
        Code::NotMember | Code::Rank | Code::Denied => StatusCode::FORBIDDEN,
        Code::Fenced => StatusCode::PRECONDITION_FAILED,
        Code::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        Code::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Code::Gone => StatusCode::GONE,
        Code::Unavailable | Code::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
