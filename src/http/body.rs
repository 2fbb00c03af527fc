//! Reading what a client sends: within a size, a time, and a share of memory.

use super::Http;
use super::problem::Problem;
use crate::config::ALL_BODIES_BYTES_MAX;
use crate::error::{Code, Fault};
use crate::runtime;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes of bodies are in memory. What one connection sends is bounded by a
/// setting, and so is their number, but not the product of the two.
#[derive(Debug, Default)]
pub struct Share(Arc<AtomicUsize>);

/// A body, which holds its share of memory until it is dropped.
#[derive(Debug)]
pub struct Body {
    bytes: Bytes,
    _taken: Taken,
}

/// Bytes of the share, given back on drop.
#[derive(Debug, Default)]
struct Taken {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Taken {
    /// Takes more; returns whether there was room for it.
    fn take(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.all.fetch_add(bytes, Ordering::SeqCst) + bytes <= ALL_BODIES_BYTES_MAX
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl Body {
    /// A body that no client has sent.
    pub fn of(bytes: Bytes) -> Body {
        Body { bytes, _taken: Taken::default() }
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Checks that a body is sent as it is, whole or in chunks.
///
/// # Errors
/// 501 for another transfer coding, 415 for another content coding.
pub fn check_codings(headers: &HeaderMap) -> Result<(), Problem> {
    let codings = |name| {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?"));
        values.flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
    };
    let mut transfer = codings(TRANSFER_ENCODING).enumerate();
    if transfer.any(|(at, coding)| at > 0 || !coding.eq_ignore_ascii_case("chunked")) {
        let text = "of the transfer codings only chunked is read here, by itself";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, Code::Unavailable, text));
    }
    if codings(CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case("identity")) {
        let text = "send it as it is: no Content-Encoding is read here";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, text)
            .with(ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    Ok(())
}

/// What a body holds, and so how long it may be.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// One request, like a line of the other dialects and as long as one: what
    /// others are told of it is as long.
    Request,
    /// Anything else: each message in it has a limit of its own.
    Any,
}

impl Expected {
    /// The most bytes that it may have, and the setting that says so.
    fn most(self, http: &Http) -> (usize, &'static str) {
        let (body, line) = (http.broker.current().max_body, http.broker.config.max_line);
        match self {
            Expected::Request if line < body => (line, "--max-line"),
            _ => (body, "--max-body"),
        }
    }
}

/// Reads a body to its end.
///
/// # Errors
/// 413 for one that is too long, 408 for one that takes too long, 503 while
/// others send too much, 400 for one that breaks off or breaks the rules.
pub async fn read(http: &Http, body: &mut Incoming, expected: Expected) -> Result<Body, Problem> {
    let (most, setting) = expected.most(http);
    let too_long = || {
        let text = format!("a body has at most {most} bytes here; see broker {setting}");
        Problem::from(Fault::new(Code::TooLong, text))
    };
    if body.size_hint().lower() > most as u64 {
        return Err(too_long());
    }
    let mut taken = Taken { all: http.share.0.clone(), bytes: 0 };
    let mut bytes = BytesMut::new();
    let reading = async {
        while let Some(frame) = body.frame().await {
            let broken = |e| Fault::new(Code::BadRequest, format!("the body cannot be read: {e}"));
            // Frames without data are trailers, which we ignore.
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            if bytes.len() + data.len() > most {
                return Err(too_long());
            }
            if !taken.take(data.len()) {
                let text = "too much is being sent to this broker at once; try again";
                return Err(Fault::new(Code::Busy, text).into());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(())
    };
    let Some(read) = runtime::timeout(http.broker.current().request_timeout, reading).await else {
        let text = "the body did not come in time; see broker --request-timeout";
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, Code::BadRequest, text));
    };
    read?;
    Ok(Body { bytes: bytes.freeze(), _taken: taken })
}
