//! What can go wrong for a program that uses the client.

use crate::error::Code;
use std::io;
use std::net::Ipv6Addr;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The broker could not be reached.
    #[error("cannot connect to {host}:{port}: {}; {}", reason(source), advice(host, *port, source))]
    Connect {
        /// Where it was looked for.
        host: String,
        /// On which port.
        port: u16,
        /// Why not.
        source: io::Error,
    },
    /// The broker refused the request; nothing has changed.
    #[error("the broker refused: {message}")]
    Refused {
        /// Its code; `None` for one that this version does not know.
        code: Option<Code>,
        /// The code and the broker's words for people.
        message: String,
    },
    /// The connection ended before the reply came. Whether the request took
    /// effect is not known.
    #[error("the connection was lost before the reply came; whether it took effect is not known")]
    Lost,
    /// Another connection has resumed this client's session, with its secret.
    #[error(
        "another connection has taken this session over; give each client a session of its own"
    )]
    TakenOver,
    /// The text dialect cannot say this: it holds a line end or a NUL.
    #[error("{what} holds a line end or NUL, which a line of the text dialect cannot")]
    Unsendable {
        /// What it is.
        what: &'static str,
    },
    /// The broker answered something that this version cannot read.
    #[error("the broker's reply cannot be understood: {reply}")]
    Odd {
        /// The reply.
        reply: String,
    },
}

impl Error {
    /// The broker's code, if it was the broker that refused.
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Refused { code, .. } => *code,
            _ => None,
        }
    }
}

/// An I/O error in a few words, without the number of the operating system.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset".into(),
        io::ErrorKind::TimedOut => "no answer in time".into(),
        io::ErrorKind::HostUnreachable => "no way to that host".into(),
        _ => error.to_string(),
    }
}

/// What to do about a broker that cannot be reached.
fn advice(host: &str, port: u16, error: &io::Error) -> String {
    if let Some((host, port)) = written_as_one(host) {
        return format!("write host and port apart: broker-client {host} {port}");
    }
    // A bare number is a valid IPv4 address, too, but not one that anybody means.
    if let Ok(port @ 1..) = host.parse::<u16>() {
        return format!("a port comes second: broker-client 127.0.0.1 {port}");
    }
    if error.kind() == io::ErrorKind::NotFound {
        return format!("is {host:?} the name of a host?");
    }
    if error.kind() == io::ErrorKind::InvalidData {
        return format!(
            "does the broker encrypt (--tls-cert), for the name {host:?}, by an authority of --tls-ca?"
        );
    }
    format!("is the broker running? start it with: broker {host} {port}")
}

/// The two halves of a host that is `HOST:PORT`, or `[ADDRESS]:PORT`.
fn written_as_one(host: &str) -> Option<(&str, u16)> {
    let (name, port) = host.rsplit_once(':').filter(|_| host.parse::<Ipv6Addr>().is_err())?;
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let name = address.or(Some(name).filter(|name| !name.contains(':')))?;
    Some((name, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_depends_on_what_is_wrong() {
        let said = |host: &str, kind: io::ErrorKind| advice(host, 7, &kind.into());
        let (unknown, refused) = (io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused);
        for host in ["127.0.0.1:7700", "[127.0.0.1]:7700"] {
            let apart = "write host and port apart: broker-client 127.0.0.1 7700";
            assert_eq!(said(host, unknown), apart, "{host}");
        }
        let apart = "write host and port apart: broker-client ::1 7700";
        assert_eq!(said("[::1]:7700", unknown), apart);
        let second = "a port comes second: broker-client 127.0.0.1 23068";
        assert_eq!(said("23068", refused), second);
        for host in ["::1", "fe80::1:7700", "hub", "0"] {
            let start = format!("is the broker running? start it with: broker {host} 7");
            assert_eq!(said(host, refused), start);
        }
        for host in ["nohost.invalid", "http://hub:7700", "hub:port", "[::1]", ":", ""] {
            assert_eq!(said(host, unknown), format!("is {host:?} the name of a host?"));
        }
    }
}
