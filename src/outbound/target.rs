//! The URL of a call, and which URLs may be called.

use super::error::{ErrorKind, OutboundError};
use crate::error::quoted;
use url::Url;

/// The most bytes of a URL: more than any browser's address bar shows, and few
/// enough to keep one for each member.
pub const URL_BYTES_MAX: usize = 2_048;

/// Parses a URL that is to be called. The result has the host in the form in which
/// it will be used (`0x7f.1` becomes `127.0.0.1`) and no fragment.
///
/// # Errors
/// [`ErrorKind::BadUrl`] if it is not a URL, not `http` or `https`, names a user or
/// a password, or is too long.
pub fn parse(text: &str) -> Result<Url, OutboundError> {
    // The parser drops tabs and line ends silently; a text with them is an attack
    // or a mistake, and its sender is to hear of it.
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(bad(format!("{} has blanks or control characters in it", quoted(text))));
    }
    if text.len() > URL_BYTES_MAX {
        return Err(too_long());
    }
    let url = Url::parse(text).map_err(|e| {
        bad(format!("{} is not a URL ({e}); one begins with http:// or https://", quoted(text)))
    })?;
    checked(url)
}

/// Applies the same rules to a URL that is parsed already, such as the target of a
/// redirect.
pub(super) fn checked(mut url: Url) -> Result<Url, OutboundError> {
    if url.as_str().len() > URL_BYTES_MAX {
        return Err(too_long());
    }
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = quoted(url.scheme());
        return Err(bad(format!("only http and https URLs are called, not {scheme} ones")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("a URL that is called must not hold a user name or a password"));
    }
    if url.host().is_none() || url.port() == Some(0) {
        return Err(bad(format!("{} names no host and port to call", quoted(url.as_str()))));
    }
    // The fragment is for the reader of the answer, and is never sent.
    url.set_fragment(None);
    Ok(url)
}

/// The port to call.
pub(super) fn port(url: &Url) -> u16 {
    // `checked` accepts only schemes that have a default port.
    url.port_or_known_default().unwrap_or(443)
}

fn bad(message: impl Into<String>) -> OutboundError {
    OutboundError::new(ErrorKind::BadUrl, message)
}

fn too_long() -> OutboundError {
    bad(format!("a URL that is called has at most {URL_BYTES_MAX} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_what_they_are() {
        for (text, host) in [
            ("http://127.0.0.1/", "127.0.0.1"),
            ("http://2130706433/", "127.0.0.1"),
            ("http://0x7f.1/", "127.0.0.1"),
            ("http://0177.0.0.1/", "127.0.0.1"),
            ("http://127.1./", "127.0.0.1"),
            ("http://%31%32%37.1/", "127.0.0.1"),
            ("http://１２７.0.0.1/", "127.0.0.1"),
            ("http://[::ffff:127.0.0.1]/", "[::ffff:7f00:1]"),
            ("http://[0:0::1]:80/", "[::1]"),
            ("https://EXAMPLE.org/a?b#c", "example.org"),
        ] {
            let url = parse(text).unwrap();
            assert_eq!(url.host_str(), Some(host), "{text}");
            assert_eq!(url.fragment(), None);
        }
        assert_eq!(port(&parse("http://a/").unwrap()), 80);
        assert_eq!(port(&parse("https://a/").unwrap()), 443);
        assert_eq!(port(&parse("https://a:8443/").unwrap()), 8443);
    }

    #[test]
    fn what_is_not_called() {
        let long = |bytes| format!("http://a/{}", "x".repeat(bytes - "http://a/".len()));
        assert!(parse(&long(URL_BYTES_MAX)).is_ok());
        for text in [
            "",
            "example.org",
            "//example.org/",
            "/path",
            "file:///etc/passwd",
            "ftp://example.org/",
            "gopher://example.org/",
            "unix:/run/x.sock",
            "http://",
            "http://user@example.org/",
            "http://user:secret@example.org/",
            "http://:secret@example.org/",
            "http://example.org:0/",
            "http://example.org:70000/",
            "http://exa mple.org/",
            "ht\ttp://example.org/",
            "http://example.org/\r\nHost: x",
            "http://256.256.256.256/",
            "http://[::1/",
            &long(URL_BYTES_MAX + 1),
        ] {
            assert_eq!(parse(text).unwrap_err().kind, ErrorKind::BadUrl, "{text}");
        }
        // A few characters that become many.
        let text = format!("http://a/{}", "ü".repeat(1000));
        assert!(text.len() <= URL_BYTES_MAX);
        assert_eq!(parse(&text).unwrap_err().kind, ErrorKind::BadUrl);
    }
}
