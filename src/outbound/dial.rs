//! Connects to addresses that `address` allows, and to no other.

use super::error::{ErrorKind, OutboundError};
use crate::runtime::{self, TcpStream};
use futures::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// A stream, encrypted or not.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// Makes connections.
pub(super) struct Dialler {
    tls: TlsConnector,
}

impl Dialler {
    /// A dialler that trusts these certificate authorities.
    pub(super) fn new(roots: RootCertStore) -> Self {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            // It fails only for a provider that lacks their ciphers; ring has them
            // all.
            .map(|builder| builder.with_root_certificates(roots).with_no_client_auth());
        #[allow(clippy::expect_used)]
        let mut config = config.expect("ring has the ciphers of TLS 1.2 and 1.3");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Dialler { tls: TlsConnector::from(Arc::new(config)) }
    }

    /// Connects to the first of the addresses that accepts, each of which has
    /// `time` for that; for `https`, the other end must prove to be the URL's host.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] with the last address's error,
    /// [`ErrorKind::Tls`].
    pub(super) async fn connect(
        &self,
        url: &Url,
        addresses: &[SocketAddr],
        time: Duration,
    ) -> Result<Box<dyn Duplex>, OutboundError> {
        let stream = first_of(addresses, time).await?;
        // A request is written at once and waited for: there is nothing to gather.
        let _ = stream.set_nodelay(true);
        if url.scheme() != "https" {
            return Ok(Box::new(stream));
        }
        let name = server_name(url)?;
        let stream = self.tls.connect(name, stream).await.map_err(|e| {
            let host = url.host_str().unwrap_or_default();
            OutboundError::new(ErrorKind::Tls, format!("no encrypted connection to {host}: {e}"))
        })?;
        Ok(Box::new(stream))
    }
}

async fn first_of(addresses: &[SocketAddr], time: Duration) -> Result<TcpStream, OutboundError> {
    let mut why = "it has no address".to_string();
    for addr in addresses {
        match runtime::timeout(time, TcpStream::connect_to(*addr)).await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(e)) => why = format!("{addr}: {e}"),
            None => why = format!("{addr}: it does not answer within {time:?}"),
        }
    }
    Err(OutboundError::new(ErrorKind::Unreachable, format!("cannot connect to {why}")))
}

fn server_name(url: &Url) -> Result<ServerName<'static>, OutboundError> {
    match url.host() {
        Some(Host::Ipv4(addr)) => Ok(ServerName::from(std::net::IpAddr::V4(addr))),
        Some(Host::Ipv6(addr)) => Ok(ServerName::from(std::net::IpAddr::V6(addr))),
        Some(Host::Domain(name)) => ServerName::try_from(name.to_string()).map_err(|_| {
            let message = format!("no certificate can be for the host name {name:?}");
            OutboundError::new(ErrorKind::Tls, message)
        }),
        None => Err(OutboundError::new(ErrorKind::BadUrl, "the URL names no host")),
    }
}
