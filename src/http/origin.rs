//! Which web pages may do what.
//!
//! A browser sends requests for any page that it shows, also to this machine, and
//! names the page's origin in `Origin`. A program that is no browser sends no such
//! header, and need not be checked.
//!
//! A browser sends none either when a page reads from where it came from. So a page
//! whose name resolved to its own server first, and to this machine after that (DNS
//! rebinding), is recognized by that name: it stands in `Host`, or in the request's
//! target if that is an absolute URL.

use super::problem::Problem;
use crate::error::Code;
use hyper::StatusCode;
use hyper::Uri;
use hyper::header::{HOST, HeaderMap, ORIGIN};
use std::borrow::Cow;
use std::net::IpAddr;

/// Suffixes of the names that nobody can own on the internet, besides those of one
/// word.
const PRIVATE: [&str; 4] = [".localhost", ".local", ".internal", ".home.arpa"];

/// The origins whose pages may change something, or open a WebSocket.
#[derive(Debug)]
pub struct Origins {
    /// The origins that are allowed by name, in lower case.
    allowed: Vec<String>,
    /// The name under which the broker was asked to listen.
    host: String,
}

impl Origins {
    /// These origins, and the broker's own pages.
    pub fn new(allowed: &[String], host: &str) -> Origins {
        let allowed = allowed.iter().map(|origin| origin.to_ascii_lowercase()).collect();
        Origins { allowed, host: host.to_ascii_lowercase() }
    }

    /// The origin of a request, if it is allowed by name: its pages may read the
    /// answers, too.
    pub fn named<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let origin = headers.get(ORIGIN)?.to_str().ok()?;
        self.allowed.contains(&origin.to_ascii_lowercase()).then_some(origin)
    }

    /// Checks that a request may change something: it comes from no page, from one
    /// of the broker's own, or from one that is allowed.
    ///
    /// # Errors
    /// 403 otherwise.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        if origins.next().is_none() && (self.named(headers).is_some() || self.is_own(headers)) {
            return Ok(());
        }
        let shown = crate::error::quoted(&String::from_utf8_lossy(origin.as_bytes()));
        let text = format!("pages from {shown} may change nothing here; see broker --allow-origin");
        Err(Problem::new(StatusCode::FORBIDDEN, Code::Denied, text))
    }

    /// Checks that a request goes to a name of the broker: one that nobody else
    /// could have pointed here, or the host of an origin that is allowed.
    ///
    /// # Errors
    /// 403 otherwise.
    pub fn check_host(&self, target: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let host = headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
        let target = target.authority().map(|authority| Cow::Borrowed(authority.as_str()));
        let mut places = host.into_iter().chain(target).filter(|place| !place.is_empty());
        let Some(foreign) = places.find(|place| !self.is_place_of_ours(place)) else {
            return Ok(());
        };
        let shown = crate::error::quoted(&foreign);
        let text = format!(
            "this broker is not known to be {shown}: ask it by its address, or see broker --allow-origin"
        );
        Err(Problem::new(StatusCode::FORBIDDEN, Code::Denied, text))
    }

    fn is_place_of_ours(&self, place: &str) -> bool {
        port_apart(place, 0)
            .is_some_and(|(name, _)| self.is_ours(name) || self.is_host_of_allowed(name))
    }

    /// Whether this is the host of an allowed origin: then the broker is behind it.
    fn is_host_of_allowed(&self, name: &str) -> bool {
        let hosts = self.allowed.iter().filter_map(|origin| origin.split_once("://"));
        hosts
            .filter_map(|(_, place)| port_apart(place, 0))
            .any(|(host, _)| host.eq_ignore_ascii_case(name))
    }

    /// Whether nobody else could have pointed this name here: an address, the name
    /// that the broker listens on, or one that does not exist on the internet.
    fn is_ours(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        is_address
            || name == self.host
            || !name.contains('.')
            || PRIVATE.iter().any(|end| name.ends_with(end))
    }

    /// Whether the page comes from the host that the request goes to, and that is a
    /// name of ours.
    fn is_own(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(origin), Some(host)) = (text(ORIGIN), text(HOST)) else { return false };
        let (default_port, origin) = match origin.split_once("://") {
            Some(("http", rest)) => (80, rest),
            Some(("https", rest)) => (443, rest),
            _ => return false,
        };
        let place = |place| port_apart(place, default_port);
        let (Some((name, port)), Some(host)) = (place(origin), place(host)) else { return false };
        host.0.eq_ignore_ascii_case(name) && host.1 == port && self.is_ours(name)
    }
}

/// Splits a host and its port.
fn port_apart(place: &str, default: u16) -> Option<(&str, u16)> {
    match place.rsplit_once(':') {
        // The colons of an IPv6 address are within brackets.
        Some((host, port)) if !port.ends_with(']') => Some((host, port.parse().ok()?)),
        _ => Some((place, default)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn is_allowed(origin: &str, host: &str) -> bool {
        let origins = Origins::new(&["https://App.example:8443".into()], "broker.example");
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        origins.check(&headers).is_ok()
    }

    #[test]
    fn pages_of_the_broker_and_of_those_who_are_named() {
        for (origin, host) in [
            ("http://127.0.0.1:7700", "127.0.0.1:7700"),
            ("http://localhost:7700", "LOCALHOST:7700"),
            ("http://[::1]:7700", "[::1]:7700"),
            ("http://[::1]", "[::1]"),
            ("http://127.0.0.1", "127.0.0.1:80"),
            ("https://broker.example", "broker.example"),
            ("http://broker:7700", "broker:7700"),
            ("http://desk.local:7700", "desk.local:7700"),
            ("https://app.example:8443", "127.0.0.1:7700"),
            ("https://APP.example:8443", "evil.example"),
        ] {
            assert!(is_allowed(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "127.0.0.1:7700"),
            ("", "127.0.0.1:7700"),
            ("http://127.0.0.1:80", "127.0.0.1:7700"),
            ("http://127.0.0.1:7700", "localhost:7700"),
            // A foreign name that leads here: the page comes from where it asks.
            ("http://evil.example:7700", "evil.example:7700"),
            ("http://localhost.evil.example", "localhost.evil.example"),
            ("http://evil.example.:7700", "evil.example.:7700"),
            ("http://notlocal", "evil.notlocal"),
            ("https://app.example", "127.0.0.1:7700"),
            ("http://app.example:8443", "127.0.0.1:7700"),
            ("https://app.example:8443.evil.example", "127.0.0.1:7700"),
            ("file://", "127.0.0.1:7700"),
            ("http://127.0.0.1:x", "127.0.0.1:x"),
        ] {
            assert!(!is_allowed(origin, host), "{origin} {host}");
        }
        let mut twice = HeaderMap::new();
        twice.append(ORIGIN, HeaderValue::from_static("https://app.example:8443"));
        twice.append(ORIGIN, HeaderValue::from_static("http://evil.example"));
        assert!(Origins::new(&["https://app.example:8443".into()], "").check(&twice).is_err());
        assert!(Origins::new(&[], "").check(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn names_that_somebody_else_could_have_pointed_here() {
        let origins = Origins::new(&["https://App.example:8443".into()], "broker.example");
        let is_ours = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
            let here = Uri::from_static("/v1/channels");
            let whole = Uri::try_from(format!("http://{host}/v1/channels"));
            let named =
                whole.is_ok_and(|whole| origins.check_host(&whole, &HeaderMap::new()).is_ok());
            let is_ours = origins.check_host(&here, &headers).is_ok();
            assert!(is_ours == named || host.is_empty(), "{host}");
            is_ours
        };
        for host in [
            "127.0.0.1:7700",
            "[::1]",
            "192.0.2.7:80",
            "LOCALHOST:7700",
            "localhost.:7700",
            "broker:7700",
            "desk.local",
            "broker.svc.cluster.local:7700",
            "Broker.example",
            "app.example:7700",
            "",
        ] {
            assert!(is_ours(host), "{host}");
        }
        for host in [
            "evil.example:7700",
            "evil.example.:7700",
            "127.0.0.1.evil.example",
            "localhost.evil.example:7700",
            "evil.notlocal",
            "app.example.evil.example",
            "127.0.0.1:x",
            "[::1].evil.example",
        ] {
            assert!(!is_ours(host), "{host}");
        }
        assert!(origins.check_host(&Uri::from_static("/"), &HeaderMap::new()).is_ok());
    }
}
