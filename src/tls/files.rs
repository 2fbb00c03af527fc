//! Certificates and keys, from PEM files.

use crate::config::Config;
use futures_rustls::TlsAcceptor;
use futures_rustls::pki_types::pem::{self, PemObject};
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use futures_rustls::rustls::{self, RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why a broker or a client cannot use the files that it was given.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM.
    #[error("cannot read a {what} from {}: {source}", path.display())]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// A file has none of what was looked for.
    #[error("there is no {what} in {}: it has to be a PEM file", path.display())]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// Certificate and key do not belong together, or are of no use.
    #[error("{} and {} cannot be used: {source}", cert.display(), key.display())]
    Identity {
        /// The certificates.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// An authority's certificate is of no use.
    #[error("{} cannot be trusted: {source}", path.display())]
    Authority {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// No client can be checked by these authorities.
    #[error("clients cannot be checked by {}: {source}", path.display())]
    Clients {
        /// The authorities.
        path: PathBuf,
        /// What is wrong.
        source: VerifierBuilderError,
    },
}

/// The files that a broker's TLS is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The broker's certificate, and those between it and the authority.
    cert: PathBuf,
    /// The key of the broker's certificate.
    key: PathBuf,
    /// The authorities that must have signed clients' certificates, if clients need any.
    clients: Option<PathBuf>,
}

impl Files {
    /// The files that the settings name; `None` if they name no certificate. The key
    /// may be in the certificate's file.
    pub fn from_config(config: &Config) -> Option<Files> {
        let cert = config.tls_cert.clone()?;
        let key = config.tls_key.clone().unwrap_or_else(|| cert.clone());
        Some(Files { cert, key, clients: config.tls_clients.clone() })
    }

    /// Returns an acceptor that uses these files.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let verifier = match &self.clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(path) => {
                let roots = Arc::new(authorities(path)?);
                WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
                    .build()
                    .map_err(|source| TlsError::Clients { path: path.clone(), source })?
            }
        };
        let (cert, key) = (&self.cert, &self.key);
        let unusable = |source| TlsError::Identity { cert: cert.clone(), key: key.clone(), source };
        let (chain, secret) = identity(cert, key)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, secret)
            .map_err(unusable)?;
        // A client that offers protocols (ALPN) is told that of HTTP it is this one;
        // one that offers none may speak any dialect.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// A certificate with those between it and its authority, and its key.
///
/// # Errors
/// [`TlsError::Pem`], [`TlsError::Missing`].
pub fn identity(
    cert: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates(cert)?;
    let what = "private key";
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::Missing { what, path: key.into() },
        source => TlsError::Pem { what, path: key.into(), source },
    })?;
    Ok((chain, secret))
}

/// The authorities in a file.
///
/// # Errors
/// [`TlsError::Pem`], [`TlsError::Missing`], [`TlsError::Authority`].
pub fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for cert in certificates(path)? {
        roots.add(cert).map_err(|source| TlsError::Authority { path: path.into(), source })?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = "certificate";
    let broken = |source| TlsError::Pem { what, path: path.into(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(broken)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(broken)?;
    if found.is_empty() {
        return Err(TlsError::Missing { what, path: path.into() });
    }
    Ok(found)
}
