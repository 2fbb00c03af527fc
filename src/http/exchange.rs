//! One request, on its way to an answer.

use super::answer::Answer;
use super::caller::Caller;
use super::fields::Fields;
use super::problem::Problem;
use super::{Http, body, views};
use crate::error::{Code, Fault};
use crate::wire::json;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName};
use hyper::http::request::Parts;
use std::sync::Arc;

/// The key of a message or a command, as a header: what the field `key` is in a
/// body.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// One request.
pub struct Exchange {
    /// What all connections share.
    pub http: Arc<Http>,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// The request line and the headers.
    pub head: Parts,
    /// The named parts of the path.
    pub parts: Vec<(&'static str, String)>,
    /// The body, until it is read.
    pub body: Incoming,
}

impl Exchange {
    /// A named part of the path. Every route has those that it asks for.
    pub fn part(&self, name: &str) -> &str {
        let part = self.parts.iter().find(|(known, _)| *known == name);
        part.map_or("", |(_, part)| part)
    }

    /// A header that is text, and there once.
    ///
    /// # Errors
    /// [`Code::BadRequest`] otherwise.
    pub fn header(&self, name: &HeaderName) -> Result<Option<&str>, Fault> {
        let mut values = self.head.headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let once = value.to_str().ok().filter(|_| values.next().is_none());
        let wrong = || Fault::new(Code::BadRequest, format!("{name} must be text, and there once"));
        once.map(Some).ok_or_else(wrong)
    }

    /// The kind of the body, without its parameters, in lower case.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for a header that is none.
    pub fn kind(&self) -> Result<Option<String>, Fault> {
        let kind = self.header(&CONTENT_TYPE)?;
        Ok(kind.map(|kind| {
            let kind = kind.split(';').next().unwrap_or_default();
            kind.trim().to_ascii_lowercase()
        }))
    }

    /// What the address says, as a JSON object: the named parts of the path and
    /// the query.
    pub fn address(&self) -> Vec<u8> {
        let query = self.head.uri.query().unwrap_or_default();
        let query = url::form_urlencoded::parse(query.as_bytes());
        let mut fields = Fields::default();
        for (key, value) in &self.parts {
            fields.add(key, value);
        }
        for (key, value) in query {
            fields.add(&key, &value);
        }
        fields.end()
    }

    /// The key by which a repetition is known, if the header has one, as a JSON
    /// object.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for a header that is none.
    pub fn key(&self) -> Result<Vec<u8>, Fault> {
        let mut fields = Fields::default();
        if let Some(key) = self.header(&IDEMPOTENCY_KEY)? {
            fields.text("key", key);
        }
        Ok(fields.end())
    }

    /// Reads the body, which is the exchange's last part.
    ///
    /// # Errors
    /// As [`body::read`] has them.
    pub async fn read_body(&mut self) -> Result<body::Held, Problem> {
        body::read(&self.http, &mut self.body).await
    }

    /// Reads the body, if there is one: a JSON object.
    ///
    /// # Errors
    /// The same, and 415 for a body of another kind.
    pub async fn read_object(&mut self) -> Result<body::Held, Problem> {
        let kind = self.kind()?;
        let body = self.read_body().await?;
        match kind.as_deref() {
            _ if body.is_empty() => Ok(body::Held::of(Bytes::from_static(b"{}"))),
            Some("application/json") => Ok(body),
            _ => Err(unread("application/json")),
        }
    }

    /// Asks what the address and the body say.
    ///
    /// # Errors
    /// As for the verb.
    pub async fn ask(mut self, verb: &'static str) -> Result<Answer, Problem> {
        let (address, body) = (self.address(), self.read_object().await?);
        let request = json::ask(verb, "the body", &[&address, &body])?;
        let reading = self.caller.ask(request).await?;
        views::answer(&self, &reading)
    }
}

/// The body is of a kind that this route does not read.
pub fn unread(kinds: &str) -> Problem {
    let text = format!("send it as {kinds}, and say so in Content-Type");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, text)
}
