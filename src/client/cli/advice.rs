//! What a person may do about an error of the client.

use crate::client::Error;
use std::io;
use std::net::Ipv6Addr;

/// The error, and what to do about it.
pub fn explained(error: &Error) -> String {
    match error {
        Error::Connect { host, port, why } => format!("{error}; {}", advice(host, *port, why)),
        error => error.to_string(),
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
