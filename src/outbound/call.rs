//! An outgoing request, what it may cost, and the answer.

use super::error::OutboundError;
use super::target;
use bytes::Bytes;
use hyper::{HeaderMap, Method, StatusCode};
use std::time::Duration;
use url::Url;

/// An outgoing request.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method; redirects keep it, or are not followed.
    pub method: Method,
    /// The URL to call.
    pub url: Url,
    /// Headers besides those that every call has (`host`, `user-agent`,
    /// `accept-encoding: identity`, `connection: close`, `content-length`). One
    /// whose value is marked sensitive is for this URL's origin only, and not
    /// sent on to where a redirect leads.
    pub headers: HeaderMap,
    /// What is sent; empty for `GET` and `HEAD`.
    pub body: Bytes,
}

impl Call {
    /// A call of this URL, without further headers and without a body.
    ///
    /// # Errors
    /// If the URL is not one that may be called; see [`target::parse`].
    pub fn new(method: Method, url: &str) -> Result<Call, OutboundError> {
        let url = target::parse(url)?;
        Ok(Call { method, url, headers: HeaderMap::new(), body: Bytes::new() })
    }

    /// Changes the URL. Headers that were for the first URL's origin only are
    /// removed when the origin changes, and do not come back.
    pub(super) fn go_to(&mut self, url: Url) {
        if url.origin() != self.url.origin() {
            let headers = self.headers.iter();
            let private = headers.filter(|(_, value)| value.is_sensitive());
            let private: Vec<_> = private.map(|(name, _)| name.clone()).collect();
            for name in private {
                self.headers.remove(name);
            }
        }
        self.url = url;
    }
}

/// What a call may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The time for all of it: look-ups, connections, redirects, and the answer.
    pub time: Duration,
    /// The time for each attempt to connect to an address.
    pub connect_time: Duration,
    /// How many redirects are followed.
    pub redirects_max: usize,
    /// The most bytes of the answer's head.
    pub head_bytes_max: usize,
    /// The most bytes of the answer's body that are read; after them the connection
    /// is closed and the answer is not `whole`.
    pub body_bytes_max: u64,
    /// The most bytes of the body that are kept, from its beginning; the others are
    /// only counted.
    pub kept_bytes_max: usize,
}

impl Default for Limits {
    /// For an answer that matters little: 10 s, 3 redirects, 64 KiB, all kept.
    fn default() -> Self {
        Limits {
            time: Duration::from_secs(10),
            connect_time: Duration::from_secs(5),
            redirects_max: 3,
            head_bytes_max: 16 * 1024,
            body_bytes_max: 64 * 1024,
            kept_bytes_max: 64 * 1024,
        }
    }
}

/// The answer to a call.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The URL that answered in the end.
    pub url: Url,
    /// The status; the caller decides whether it is a success.
    pub status: StatusCode,
    /// Its headers, at most 100 of them.
    pub headers: HeaderMap,
    /// The beginning of the body. That of a redirect is not read.
    pub body: Vec<u8>,
    /// How many bytes of the body came.
    pub body_bytes: u64,
    /// Whether that was all of it.
    pub whole: bool,
}
