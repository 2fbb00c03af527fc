//! Encrypted calls: only to the host that a certificate names.

use super::*;
use futures_rustls::pki_types::PrivateKeyDer;
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use std::io::Write;

/// A certificate authority that nobody trusts yet.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server with a certificate of this authority for a name or an address; it may
/// close without the `close_notify` that TLS asks for.
fn server(
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    answer: &'static str,
    says_goodbye: bool,
) -> Server {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_string()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    Server::serving(move |stream, heard| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        let Some(request) = server::read_request(&mut stream) else { return };
        let _ = heard.send(request);
        let _ = stream.write_all(answer.as_bytes());
        if says_goodbye {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    })
}

/// A client for which `a.test` is this machine, and that trusts an authority.
fn trusting(authority: &CertifiedIssuer<'static, KeyPair>) -> Outbound {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let lookup = |_: &str| Ok(vec!["127.0.0.1".parse().unwrap()]);
    Outbound::with(Resolver::with(policy(), lookup), roots)
}

fn url(server: &Server, host: &str) -> String {
    format!("https://{host}:{}/", server.addr.port())
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

#[test]
fn a_certificate_for_that_name_or_address() {
    let authority = authority();
    for host in ["a.test", "127.0.0.1"] {
        let server = server(&authority, host, ANSWER, true);
        let answer = get(&trusting(&authority), &url(&server, host)).unwrap();
        assert_eq!(answer.body, b"hi");
        assert!(server.request().contains(&format!("host: {host}:")));
    }
}

#[test]
fn certificates_that_are_refused() {
    let authority = authority();
    let unknown = server(&authority, "127.0.0.1", ANSWER, true);
    assert_eq!(kind(get(&outbound(), &url(&unknown, "127.0.0.1"))), ErrorKind::Tls);
    // A certificate for another name.
    let other = server(&authority, "b.test", ANSWER, true);
    assert_eq!(kind(get(&trusting(&authority), &url(&other, "a.test"))), ErrorKind::Tls);
    // No certificate at all.
    let plain = Server::start(|_| respond("200 OK", "", ""));
    assert_eq!(kind(get(&trusting(&authority), &url(&plain, "a.test"))), ErrorKind::Tls);
}

#[test]
fn an_encrypted_answer_that_somebody_cut_short_is_none() {
    let authority = authority();
    for (says_goodbye, is_whole) in [(true, true), (false, false)] {
        // Without a length, only `close_notify` tells the end.
        let answer = "HTTP/1.1 200 OK\r\n\r\npay 100";
        let server = server(&authority, "a.test", answer, says_goodbye);
        let got = get(&trusting(&authority), &url(&server, "a.test"));
        assert_eq!(got.is_ok(), is_whole, "{got:?}");
    }
}

#[test]
fn from_encrypted_to_plain_is_not_followed() {
    let authority = authority();
    let answer = "HTTP/1.1 302 Found\r\nlocation: http://a.test/\r\ncontent-length: 0\r\n\r\n";
    let server = server(&authority, "a.test", answer, true);
    assert_eq!(kind(get(&trusting(&authority), &url(&server, "a.test"))), ErrorKind::Redirect);
}
