//! What is asked of the other end, what it may cost, and what it answered.

use super::error::OutboundError;
use super::target;
use bytes::Bytes;
use hyper::{HeaderMap, Method, StatusCode};
use std::time::Duration;
use url::Url;

/// One request outwards.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method; redirects keep it, or are not followed.
    pub method: Method,
    /// Whom to call.
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
    /// A call of this URL, without headers of its own and without a body.
    ///
    /// # Errors
    /// If the URL is none that is called; see [`target::parse`].
    pub fn new(method: Method, url: &str) -> Result<Call, OutboundError> {
        let url = target::parse(url)?;
        Ok(Call { method, url, headers: HeaderMap::new(), body: Bytes::new() })
    }

    /// The same call of another URL, without what was for the first one's
    /// origin only; once gone, that does not come back.
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
    /// The whole of it: names, connections, redirects, and the answer.
    pub time: Duration,
    /// Each attempt to connect to one address.
    pub connect_time: Duration,
    /// Redirects that are followed.
    pub redirects_max: usize,
    /// Bytes of the answer's head.
    pub head_bytes_max: usize,
    /// Bytes of the answer's body that are read; after them the connection is
    /// closed and the answer is not `whole`.
    pub body_bytes_max: u64,
    /// Bytes of it that are kept, from its beginning; the others are counted.
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

/// What the other end answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Who answered in the end.
    pub url: Url,
    /// The status; whether it is one to be glad of is for the caller to say.
    pub status: StatusCode,
    /// Its headers, at most 100 of them.
    pub headers: HeaderMap,
    /// The beginning of its body. That of a redirect is not read.
    pub body: Vec<u8>,
    /// How many bytes of the body came.
    pub body_bytes: u64,
    /// Whether that was all of it.
    pub whole: bool,
}
