//! One delivery to a member, and the call that makes it.

use super::signature;
use crate::outbound::Call;
use bytes::Bytes;
use ecow::EcoString;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use uuid::Uuid;

const DELIVERY: HeaderName = HeaderName::from_static("broker-delivery");
const EVENT: HeaderName = HeaderName::from_static("broker-event");
const CHANNEL: HeaderName = HeaderName::from_static("broker-channel");
const MEMBER: HeaderName = HeaderName::from_static("broker-member");
const SEQ: HeaderName = HeaderName::from_static("broker-seq");
const TIMESTAMP: HeaderName = HeaderName::from_static("broker-timestamp");
const ATTEMPT: HeaderName = HeaderName::from_static("broker-attempt");
const LEASE: HeaderName = HeaderName::from_static("broker-lease");
const RENEWED: HeaderName = HeaderName::from_static("broker-renewed");
const SIGNATURE: HeaderName = HeaderName::from_static("broker-signature");

/// The receiver of deliveries.
#[derive(Clone)]
pub(super) struct Addressee {
    /// The URL to call.
    pub(super) url: Url,
    /// The channel, and the member's name in it.
    pub(super) channel: EcoString,
    pub(super) member: EcoString,
    /// The key that signs the deliveries.
    pub(super) secret: Arc<str>,
}

/// The form for log lines: without the URL's path and query, which may be secret.
impl fmt::Display for Addressee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "channel={} member={} host={host}", self.channel, self.member)
    }
}

/// What every delivery says about the receiver's lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    /// How long it is.
    pub(super) time: Duration,
    /// The last delivery that the receiver took, as far as its answer has arrived
    /// here.
    pub(super) renewed_by: Option<Uuid>,
}

/// Something to deliver.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    /// The same for every attempt, so that a receiver can recognize a repetition.
    pub(super) id: Uuid,
    /// The kind of frame.
    pub(super) event: &'static str,
    /// The seq, if it is an entry.
    pub(super) seq: Option<u64>,
    /// The range of entries, from the first to the last, that it delivers or
    /// reports as gone.
    pub(super) covers: Option<(u64, u64)>,
    /// The frame of the JSON dialect, without a line's end.
    pub(super) body: Bytes,
}

impl Delivery {
    pub(super) fn new(event: &'static str, seq: Option<u64>, body: impl Into<Bytes>) -> Self {
        Delivery { id: Uuid::new_v4(), event, seq, covers: None, body: body.into() }
    }

    /// The same, covering these entries.
    pub(super) fn covering(self, covers: Option<(u64, u64)>) -> Self {
        Delivery { covers, ..self }
    }

    /// A ping, which asks whether the receiver is there.
    pub(super) fn ping(number: u64) -> Self {
        Delivery::new("ping", None, format!(r#"{{"frame":"ping","n":{number}}}"#))
    }

    pub(super) fn is_command(&self) -> bool {
        self.event == "cmd"
    }

    /// The call for an attempt; attempts are numbered from 1 up.
    pub(super) fn call(&self, to: &Addressee, attempt: u32, lease: Lease, now: Timestamp) -> Call {
        let seconds = now.as_second();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(EVENT, HeaderValue::from_static(self.event));
        let mut put = |name, value: &dyn Display| {
            // Names of channels and members, numbers, and hexadecimal digits
            // are all fit for a header.
            if let Ok(value) = HeaderValue::try_from(value.to_string()) {
                headers.insert(name, value);
            }
        };
        put(DELIVERY, &self.id);
        put(CHANNEL, &to.channel);
        put(MEMBER, &to.member);
        if let Some(seq) = &self.seq {
            put(SEQ, seq);
        }
        put(TIMESTAMP, &seconds);
        put(ATTEMPT, &attempt);
        put(LEASE, &lease.time.as_millis());
        if let Some(renewed) = &lease.renewed_by {
            put(RENEWED, renewed);
        }
        put(SIGNATURE, &signature::sign(to.secret.as_bytes(), seconds, &self.body));
        // A redirect to another origin must not see our signature.
        if let Some(signature) = headers.get_mut(SIGNATURE) {
            signature.set_sensitive(true);
        }
        Call { method: Method::POST, url: to.url.clone(), headers, body: self.body.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_says_what_it_is_and_signs_it() {
        let to = Addressee {
            url: "https://a.test/hook".parse().unwrap(),
            channel: "ops".into(),
            member: "bob".into(),
            secret: "key".into(),
        };
        let delivery = Delivery::new("cmd", Some(7), r#"{"frame":"cmd"}"#);
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let time = Duration::from_secs(8);
        let new = Lease { time, renewed_by: None };
        let (first, third) = (delivery.call(&to, 1, new, now), delivery.call(&to, 3, new, now));
        let signature = signature::sign(b"key", 1_700_000_000, &delivery.body);
        for (name, value) in [
            ("content-type", "application/json"),
            ("broker-event", "cmd"),
            ("broker-channel", "ops"),
            ("broker-member", "bob"),
            ("broker-seq", "7"),
            ("broker-timestamp", "1700000000"),
            ("broker-attempt", "1"),
            ("broker-lease", "8000"),
            ("broker-signature", &signature),
        ] {
            assert_eq!(first.headers[name], value, "{name}");
        }
        assert_eq!(first.headers.len(), 10);
        assert!(first.headers["broker-signature"].is_sensitive());
        assert_eq!(third.headers["broker-attempt"], "3");
        assert_eq!(third.headers["broker-delivery"], first.headers["broker-delivery"]);
        assert_eq!((first.method, first.body), (Method::POST, delivery.body));
        let kept = Lease { time, renewed_by: Some(delivery.id) };
        let rank = Delivery::new("rank", None, "{}").call(&to, 1, kept, now);
        assert!(rank.headers.get("broker-seq").is_none());
        assert_eq!(rank.headers["broker-renewed"], first.headers["broker-delivery"]);
    }
}
