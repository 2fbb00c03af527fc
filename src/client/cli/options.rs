//! Options that `broker-client` and some of its subcommands share.

use crate::client::store;
use crate::tls::{Connector, TlsError, Trust};
use clap::Args;
use std::path::PathBuf;

/// How the connection is encrypted; said before what to do instead of talking.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)]
pub struct Encryption {
    /// Encrypt the connection, and make sure that it leads to HOST: by a certificate
    /// from an authority that browsers trust
    #[arg(long)]
    tls: bool,
    /// The same, by a certificate from an authority in this file (PEM), or by that
    /// certificate itself
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// The same, with a certificate of one's own (PEM) for a broker that asks for one
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert (PEM); by default it is in the same file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl Encryption {
    /// What to encrypt the connection with; `None` if it is not to be encrypted.
    ///
    /// # Errors
    /// [`TlsError`] if a file cannot be used.
    pub fn connector(&mut self) -> Result<Option<Connector>, TlsError> {
        let (authorities, cert) = (self.tls_ca.take(), self.tls_cert.take());
        if !self.tls && authorities.is_none() && cert.is_none() {
            return Ok(None);
        }
        let trust = Trust { authorities, cert, key: self.tls_key.take() };
        Connector::new(&trust).map(Some)
    }
}

/// Who one is; said before what to do instead of talking, or behind it.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)]
pub struct Identity {
    /// The name to bear; otherwise the broker gives one
    #[arg(long)]
    pub name: Option<String>,
    /// Have a session that outlives the connection, and this program: it is
    /// remembered under $XDG_STATE_HOME (~/.local/state) by this name and
    /// resumed by the next start. Every entry since comes once, or a gap says
    /// what is gone. Reconnects. Ends without taking leave of the broker, which
    /// keeps the session for --session-grace; the request quit does take leave
    #[arg(
        long, value_name = "NAME", num_args = 0..=1,
        default_missing_value = store::DEFAULT_NAME
    )]
    pub session: Option<String>,
}

impl Identity {
    /// These, and where there are none, the others.
    #[must_use]
    pub fn or(self, other: Identity) -> Identity {
        Identity { name: self.name.or(other.name), session: self.session.or(other.session) }
    }
}
