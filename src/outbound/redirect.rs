//! Where a redirect leads, and whether to follow it.

use super::error::{ErrorKind, OutboundError};
use super::target;
use crate::error::quoted;
use hyper::header::LOCATION;
use hyper::{HeaderMap, Method, StatusCode};
use url::Url;

/// The URL to go on to from `at`; `None` if the answer is the last one.
///
/// A method never changes on the way. So a `POST` is sent on by 307 and 308, which
/// demand that; 301, 302 and 303 would make a `GET` of it, which delivers nothing,
/// so they are answers like any other.
///
/// # Errors
/// [`ErrorKind::Redirect`] if it leads to a URL that is not called, or from `https`
/// to `http`, where anybody on the way could read and change it.
pub(super) fn target(
    method: &Method,
    at: &Url,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<Url>, OutboundError> {
    let is_safe = *method == Method::GET || *method == Method::HEAD;
    let leads_on = match status.as_u16() {
        301..=303 => is_safe,
        307 | 308 => true,
        _ => false,
    };
    let Some(location) = headers.get(LOCATION).filter(|_| leads_on) else { return Ok(None) };
    let words = String::from_utf8_lossy(location.as_bytes());
    let refused = |why: &str| {
        let message = format!("it redirects to {}, {why}", quoted(&words));
        OutboundError::new(ErrorKind::Redirect, message)
    };
    let to = std::str::from_utf8(location.as_bytes()).ok().and_then(|text| at.join(text).ok());
    let to = to.ok_or_else(|| refused("which is no URL"))?;
    let to = target::checked(to).map_err(|e| refused(&format!("which is not called: {e}")))?;
    if at.scheme() == "https" && to.scheme() == "http" {
        return Err(refused("which is not encrypted, although it is"));
    }
    Ok(Some(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead(method: &Method, at: &str, status: u16, location: &[u8]) -> Result<String, ErrorKind> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.try_into().unwrap());
        let at = Url::parse(at).unwrap();
        let to = target(method, &at, StatusCode::from_u16(status).unwrap(), &headers);
        to.map(|url| url.map(String::from).unwrap_or_default()).map_err(|e| e.kind)
    }

    #[test]
    fn what_is_followed_and_where_to() {
        let at = "http://a/b/c?d";
        for (method, status, location, to) in [
            (Method::GET, 301, "/x", "http://a/x"),
            (Method::GET, 302, "x", "http://a/b/x"),
            (Method::HEAD, 303, "//b/x", "http://b/x"),
            (Method::GET, 307, "https://b/#f", "https://b/"),
            (Method::POST, 307, "?e", "http://a/b/c?e"),
            (Method::POST, 308, "http://0x7f.1/", "http://127.0.0.1/"),
            (Method::POST, 301, "/x", ""),
            (Method::POST, 302, "/x", ""),
            (Method::POST, 303, "/x", ""),
            (Method::GET, 200, "/x", ""),
            (Method::GET, 300, "/x", ""),
            (Method::GET, 304, "/x", ""),
        ] {
            let found = lead(&method, at, status, location.as_bytes());
            assert_eq!(found.as_deref(), Ok(to), "{method} {status} {location}");
        }
        let none =
            target(&Method::GET, &Url::parse(at).unwrap(), StatusCode::FOUND, &HeaderMap::new());
        assert_eq!(none, Ok(None));
    }

    #[test]
    fn what_is_refused() {
        for (at, location) in [
            ("https://a/", &b"http://a/"[..]),
            ("http://a/", b"file:///etc/passwd"),
            ("http://a/", b"http://u:p@b/"),
            ("http://a/", b"http://[::1"),
            ("http://a/", b"\xff\xfe"),
        ] {
            assert_eq!(
                lead(&Method::GET, at, 302, location),
                Err(ErrorKind::Redirect),
                "{location:?}"
            );
        }
        assert!(lead(&Method::GET, "https://a/", 302, b"https://b/").is_ok());
    }
}
