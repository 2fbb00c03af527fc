//! One request, on its way to an answer.

use super::answer::Answer;
use super::caller::Caller;
use super::fields::Fields;
use super::problem::Problem;
use super::{Http, body, views};
use crate::error::{Code, Fault, quoted};
use crate::wire::{json, rules};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, EXPECT, HeaderName};
use hyper::http::request::Parts;
use std::sync::Arc;

/// The key of a message or a command, as a header: the field `key` of a body.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The kind of a body that has fields.
const JSON: &str = "application/json";
/// The names of charsets whose texts are UTF-8.
const CHARSETS: [&str; 3] = ["utf-8", "utf8", "us-ascii"];

/// One request.
pub struct Exchange {
    /// What all connections share.
    pub http: Arc<Http>,
    /// The client that asks.
    pub caller: Arc<Caller>,
    /// The request line and the headers.
    pub head: Parts,
    /// The named parts of the path.
    pub parts: Vec<(&'static str, String)>,
    /// The body, until it is read.
    pub body: Incoming,
}

impl Exchange {
    /// A named part of the path; the route must have it.
    pub fn part(&self, name: &str) -> &str {
        let part = self.parts.iter().find(|(known, _)| *known == name);
        part.map_or("", |(_, part)| part)
    }

    /// A header that must be text and come only once.
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

    /// The media type of the body, without its parameters, in lower case.
    ///
    /// # Errors
    /// 400 for a header that is no text; 415 for a charset that is not UTF-8.
    pub fn kind(&self) -> Result<Option<String>, Problem> {
        let Some(kind) = self.header(&CONTENT_TYPE)? else { return Ok(None) };
        let mut words = kind.split(';').map(str::trim);
        let kind = words.next().unwrap_or_default().to_ascii_lowercase();
        let mut parameters = words.filter_map(|word| word.split_once('='));
        let charset = parameters.find(|(name, _)| name.eq_ignore_ascii_case("charset"));
        let charset = charset.map_or(CHARSETS[0], |(_, charset)| charset.trim_matches('"'));
        if CHARSETS.iter().any(|known| known.eq_ignore_ascii_case(charset)) {
            return Ok(Some(kind));
        }
        let text = format!("send it as UTF-8, not as {}", quoted(charset));
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, text))
    }

    /// The fields of the address, as a JSON object: the named parts of the path and
    /// the query.
    pub fn address(&self) -> Vec<u8> {
        let mut fields = Fields::default();
        for (key, value) in &self.parts {
            fields.add(key, value);
        }
        self.add_query(fields)
    }

    /// The fields of the query, as a JSON object.
    pub fn query(&self) -> Vec<u8> {
        self.add_query(Fields::default())
    }

    fn add_query(&self, mut fields: Fields) -> Vec<u8> {
        let query = self.head.uri.query().unwrap_or_default();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            fields.add(&key, &value);
        }
        fields.end()
    }

    /// A named part of the path that is a whole number.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if it is no whole number.
    pub fn number(&self, name: &str) -> Result<u64, Fault> {
        rules::number(name, self.part(name))
    }

    /// Checks that the query has no fields.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if it has.
    pub fn has_no_query(&self) -> Result<(), Fault> {
        json::Fields::of("the address", &[&self.query()])?.done_here()
    }

    /// Checks that neither query nor body has fields.
    ///
    /// # Errors
    /// As for [`Exchange::has_no_query`] and [`Exchange::read_object`].
    pub async fn says_nothing(&mut self) -> Result<(), Problem> {
        self.has_no_query()?;
        let body = self.read_object().await?;
        Ok(json::Fields::of("the body", &[&body])?.done_here()?)
    }

    /// The key by which a repetition is recognized, if the header has one, as a
    /// JSON object.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for a header that is no text.
    pub fn key(&self) -> Result<Vec<u8>, Fault> {
        let mut fields = Fields::default();
        if let Some(key) = self.header(&IDEMPOTENCY_KEY)? {
            fields.text("key", key);
        }
        Ok(fields.end())
    }

    /// Reads the body; to be called last.
    ///
    /// # Errors
    /// As [`body::read`] has them.
    pub async fn read_body(&mut self, kind: body::Expected) -> Result<body::Body, Problem> {
        let body = body::read(&self.http, &mut self.body, kind).await?;
        self.caller.body_was_read();
        Ok(body)
    }

    /// Reads the body, if there is one: a JSON object with the request's fields.
    ///
    /// # Errors
    /// As for [`Exchange::read_body`], and 415 for a body of another kind.
    pub async fn read_object(&mut self) -> Result<body::Body, Problem> {
        let is_awaited = self.head.headers.contains_key(EXPECT);
        let is_there = !self.body.is_end_stream();
        // A client that waits for `100 Continue` is refused before it has sent the
        // body.
        if is_there && is_awaited {
            self.must_be_json()?;
        }
        let body = self.read_body(body::Expected::Request).await?;
        if body.is_empty() {
            return Ok(body::Body::of(Bytes::from_static(b"{}")));
        }
        self.must_be_json()?;
        Ok(body)
    }

    fn must_be_json(&self) -> Result<(), Problem> {
        if self.kind()?.as_deref() == Some(JSON) { Ok(()) } else { Err(unread(JSON)) }
    }

    /// Asks the request whose fields are in the address and the body.
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

/// The problem of a body of a kind that this route does not read.
pub fn unread(kinds: &str) -> Problem {
    let text = format!("send it as {kinds}, and say so in Content-Type");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, text)
}
