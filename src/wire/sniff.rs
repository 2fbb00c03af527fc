//! Which dialect a connection speaks, from its first bytes.
//!
//! Chosen once, for the whole connection; only between text and JSON a client may
//! switch. A refused client is told so in its own dialect, so that the program at
//! the other end says something its user understands.

use crate::error::Code;
use crate::request::{Format, Resp, dialect};

/// A way of writing requests, replies and frames on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
    /// HTTP/1.1.
    Http,
    /// The Redis serialization protocol.
    Resp,
    /// Resumable number sequences.
    Numseq,
    /// Any of the others, encrypted.
    Tls,
}

const HTTP_METHODS: [&[u8]; 7] =
    [b"GET ", b"POST ", b"PUT ", b"DELETE ", b"HEAD ", b"OPTIONS ", b"PATCH "];
const NUMSEQ_OPENINGS: [&[u8]; 2] = [b"INIT,", b"CONT,"];
const TLS_HANDSHAKE: u8 = 0x16;

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room for it.
    Full,
    /// It is not encrypted, and has to be.
    Plain,
    /// It is encrypted, and the broker has no certificate; or twice.
    Encrypted,
}

impl Refusal {
    /// The word for it in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Refusal::Full => "full",
            Refusal::Plain => "unencrypted",
            Refusal::Encrypted => "unserved",
        }
    }

    /// The code and the text for the client; for HTTP also the status and its title.
    const fn told(self) -> (Code, &'static str, u16, &'static str) {
        match self {
            Refusal::Full => {
                let text = "too many clients; try again later";
                (Code::Full, text, 503, "Service Unavailable")
            }
            Refusal::Plain => {
                let text = "only encrypted connections are taken here: use TLS";
                (Code::Denied, text, 403, "Forbidden")
            }
            Refusal::Encrypted => {
                (Code::Unavailable, "nothing is encrypted here", 503, "Service Unavailable")
            }
        }
    }
}

impl Dialect {
    /// The dialect that these first bytes choose; `None` while more are needed.
    pub fn sniff(first: &[u8]) -> Option<Dialect> {
        match first.first()? {
            b'{' => return Some(Dialect::Json),
            b'*' => return Some(Dialect::Resp),
            &TLS_HANDSHAKE => return Some(Dialect::Tls),
            _ => {}
        }
        let http = HTTP_METHODS.iter().map(|opening| (*opening, Dialect::Http));
        let numseq = NUMSEQ_OPENINGS.iter().map(|opening| (*opening, Dialect::Numseq));
        match first {
            // A request of HTTP may have an empty line before it (RFC 9112, section
            // 2.2).
            [b'\r'] => None,
            [b'\r', b'\n', rest @ ..] => Dialect::of(http, rest),
            _ => Dialect::of(http.chain(numseq), first),
        }
    }

    /// The dialect with whose opening the bytes begin, or else text; `None` while
    /// more bytes are needed.
    fn of(
        openings: impl Iterator<Item = (&'static [u8], Dialect)>,
        first: &[u8],
    ) -> Option<Dialect> {
        let mut undecided = false;
        for (opening, dialect) in openings {
            if first.starts_with(opening) {
                return Some(dialect);
            }
            undecided |= opening.starts_with(first);
        }
        (!undecided).then_some(Dialect::Text)
    }

    /// The format that it begins in; `None` for a dialect that has none, or is not
    /// served yet.
    pub const fn format(self) -> Option<Format> {
        match self {
            Dialect::Text => Some(Format::Text),
            Dialect::Json => Some(Format::Json),
            Dialect::Resp => Some(Format::Resp { version: Resp::Two, plain: true }),
            _ => None,
        }
    }

    /// Its name, as `who` shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Dialect::Text => dialect::TEXT,
            Dialect::Json => dialect::JSON,
            Dialect::Http => dialect::HTTP,
            Dialect::Resp => dialect::RESP,
            Dialect::Numseq => dialect::NUMSEQ,
            Dialect::Tls => dialect::TLS,
        }
    }

    /// The answer before closing, in the dialect's own form.
    pub fn refusal(self, why: Refusal) -> Vec<u8> {
        let (code, message, status, title) = why.told();
        let code = code.as_str();
        match self {
            Dialect::Text => format!("err {code} {message}\nbye {code}\n").into_bytes(),
            Dialect::Json => format!(
                "{{\"reply\":\"error\",\"ok\":false,\"error\":{{\"code\":\"{code}\",\"message\":\"{message}\"}}}}\n\
                 {{\"frame\":\"bye\",\"reason\":\"{code}\"}}\n"
            )
            .into_bytes(),
            Dialect::Http => {
                let body = format!(
                    "{{\"title\":\"{title}\",\"status\":{status},\"code\":\"{code}\",\"detail\":\"{message}\"}}\n"
                );
                format!(
                    "HTTP/1.1 {status} {title}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                )
                .into_bytes()
            }
            Dialect::Resp => format!("-ERR {code} {message}\r\n").into_bytes(),
            // A semicolon would end the message.
            Dialect::Numseq => format!("ERR,{code} {};", message.replace(';', ",")).into_bytes(),
            // A fatal alert (RFC 8446, section 6): record type 21, version 3.3,
            // two bytes: level fatal, description internal_error (there is
            // none that says "no TLS here").
            Dialect::Tls => vec![21, 3, 3, 0, 2, 2, 80],
        }
    }
}

/// Whether a line of the text dialect is the first of an HTTP request (three words,
/// the last of them a version) or its `Host` header. Such a request has a method
/// that [`Dialect::sniff`] does not know, and no line of its body was meant for the
/// broker: a browser sends what a web page tells it to.
pub fn is_http(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let is_host = line.get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case(b"host:"));
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let last = words.nth(2).and_then(|word| word.strip_prefix(b"HTTP/1."));
    let is_version = last.is_some_and(|minor| matches!(minor, [b'0'..=b'9']));
    is_host || is_version && words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fed one byte at a time, as the network may.
    fn sniffed(bytes: &[u8]) -> Option<(usize, Dialect)> {
        (0..=bytes.len()).find_map(|n| Dialect::sniff(&bytes[..n]).map(|dialect| (n, dialect)))
    }

    #[test]
    fn every_row_of_the_protocol_table() {
        for (opening, dialect) in [
            ("{\"op\":1}", Dialect::Json),
            ("GET / HTTP/1.1", Dialect::Http),
            ("POST /", Dialect::Http),
            ("PUT /", Dialect::Http),
            ("DELETE /", Dialect::Http),
            ("HEAD /", Dialect::Http),
            ("OPTIONS *", Dialect::Http),
            ("PATCH /", Dialect::Http),
            ("*1\r\n", Dialect::Resp),
            ("INIT,x", Dialect::Numseq),
            ("CONT,x", Dialect::Numseq),
            ("\x16\x03\x01", Dialect::Tls),
            ("hello", Dialect::Text),
            ("\n", Dialect::Text),
            ("\r\nPOST /", Dialect::Http),
            ("\r\n\r\nGET /", Dialect::Text),
            ("\nGET /", Dialect::Text),
            ("\rGET /", Dialect::Text),
            ("\r\n{", Dialect::Text),
            ("\r\nINIT,", Dialect::Text),
            ("\r\nping", Dialect::Text),
            ("GETTING up", Dialect::Text),
            ("PUTTING", Dialect::Text),
            ("INITIAL", Dialect::Text),
            ("# comment", Dialect::Text),
            ("\u{fe}\u{ff}", Dialect::Text),
        ] {
            assert_eq!(sniffed(opening.as_bytes()).map(|s| s.1), Some(dialect), "{opening:?}");
        }
    }

    #[test]
    fn a_request_whatever_its_method() {
        for line in [
            "FOO / HTTP/1.1",
            "broadcast /x HTTP/1.0",
            "* http://a/ HTTP/1.1",
            "CONNECT h:1 HTTP/1.1",
            "FOO * HTTP/1.1",
            " GET / HTTP/1.1",
            "HOST: a",
            "host:",
        ] {
            assert!(is_http(line.as_bytes()), "{line}");
        }
        for line in ["broadcast see /x HTTP/1.1", "pub n HTTP/1.1x", "hosts", "/go HTTP/1.1", ""] {
            assert!(!is_http(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn decides_as_early_as_it_can_and_no_earlier() {
        assert_eq!(sniffed(b"GET /"), Some((4, Dialect::Http)));
        assert_eq!(sniffed(b"GETX"), Some((4, Dialect::Text)));
        assert_eq!(sniffed(b"help"), Some((1, Dialect::Text)));
        assert_eq!(sniffed(b""), None);
        assert_eq!(sniffed(b"GET"), None);
        assert_eq!(sniffed(b"\r\nGE"), None);
        assert_eq!(sniffed(b"\r\nhelp"), Some((3, Dialect::Text)));
    }
}
