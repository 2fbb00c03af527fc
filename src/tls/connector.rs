//! The client's end of TLS.

use super::files::{TlsError, authorities, identity};
use super::{HANDSHAKE_TIMEOUT, Stream};
use crate::runtime::{self, TcpStream};
use futures_rustls::TlsConnector;
use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What a client trusts and what it presents, each a PEM file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The authorities that may have signed the broker's certificate, or that
    /// certificate itself; `None`: those that browsers trust.
    pub authorities: Option<PathBuf>,
    /// The client's own certificate, for a broker that asks for one.
    pub cert: Option<PathBuf>,
    /// The key of that certificate; `None`: it is in the same file.
    pub key: Option<PathBuf>,
}

/// Makes encrypted connections. Clones share everything.
#[derive(Clone)]
pub struct Connector(TlsConnector);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] if one cannot be read, or is not what it should be.
    pub fn new(trust: &Trust) -> Result<Connector, TlsError> {
        let roots = match &trust.authorities {
            Some(path) => authorities(path)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_root_certificates(roots));
        // Fails only for a provider without ciphers for these versions; ring has them.
        #[allow(clippy::expect_used)]
        let config = config.expect("ring has the ciphers of TLS 1.2 and 1.3");
        let config = match &trust.cert {
            None => config.with_no_client_auth(),
            Some(cert) => {
                let key = trust.key.as_ref().unwrap_or(cert);
                let (chain, secret) = identity(cert, key)?;
                let (cert, key) = (cert.clone(), key.clone());
                config
                    .with_client_auth_cert(chain, secret)
                    .map_err(|source| TlsError::Identity { cert, key, source })?
            }
        };
        Ok(Connector(TlsConnector::from(Arc::new(config))))
    }

    /// Performs the handshake with the broker that was asked for by the name or address
    /// `host`.
    ///
    /// # Errors
    /// `InvalidData` if the handshake fails or takes too long: the peer does not
    /// encrypt, or does not prove to be that broker.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<Stream> {
        let failed = |what: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("no encryption: {what}"))
        };
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| failed(format!("no certificate can be for {host:?}")))?;
        let shaking = runtime::timeout(HANDSHAKE_TIMEOUT, self.0.connect(name, stream));
        match shaking.await {
            Some(Ok(stream)) => Ok(Stream::encrypted(stream.into())),
            Some(Err(e)) => Err(failed(e.to_string())),
            None => Err(failed("no answer in time".into())),
        }
    }
}
