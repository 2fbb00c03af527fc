//! Encrypted connections: the broker's end, an [`Acceptor`], and the client's, a
//! [`Connector`].
//!
//! TLS comes in on the port that everything else comes in on: a connection whose
//! first byte is a TLS record's is encrypted, and what is inside is sniffed as
//! usual. Once a broker has a certificate it takes unencrypted connections only
//! from the networks of `--allow-plain`.

mod connector;
mod files;
mod stream;

pub use connector::{Connector, Trust};
pub use files::{Files, TlsError};
pub use stream::Stream;

use crate::config::Config;
use crate::permits::Permits;
use crate::runtime::{self, TcpStream};
use crate::sync;
use futures_rustls::TlsAcceptor;
use ipnet::IpNet;
use std::io;
use std::net::IpAddr;
use std::sync::RwLock;
use std::time::Duration;

/// How long a handshake, which is two round trips, may take at either end.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most handshakes at once: each holds 12 KiB, and up to 64 KiB if the client makes
/// it long, so that all of them hold 256 MiB at most.
const HANDSHAKES_MAX: usize = 4_096;

/// Accepts encrypted connections, and knows which addresses need not encrypt.
pub struct Acceptor {
    files: Files,
    current: RwLock<TlsAcceptor>,
    allow_plain: Vec<IpNet>,
    handshakes: Permits,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// Returns the acceptor that the settings ask for; `None` if the broker has no
    /// certificate.
    ///
    /// # Errors
    /// [`TlsError`] if a file cannot be read, or is not what it should be.
    pub fn from_config(config: &Config) -> Result<Option<Acceptor>, TlsError> {
        let Some(files) = Files::from_config(config) else { return Ok(None) };
        let current = RwLock::new(files.acceptor()?);
        let (allow_plain, handshakes) = (config.allow_plain.clone(), Permits::default());
        Ok(Some(Acceptor { files, current, allow_plain, handshakes }))
    }

    /// Reads the files again, as after the renewal of a certificate. Existing
    /// connections keep what they have.
    ///
    /// # Errors
    /// [`TlsError`]; then everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let renewed = self.files.acceptor()?;
        *sync::write(&self.current) = renewed;
        Ok(())
    }

    /// Whether a connection from this address may be unencrypted.
    pub fn admits_plain(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        self.allow_plain.iter().any(|network| network.contains(&addr))
    }

    /// Performs the handshake with a client whose first bytes were `first`.
    ///
    /// # Errors
    /// `TimedOut`, the network's error, or why what the client offers is not good enough.
    pub async fn accept(&self, stream: TcpStream, first: &[u8]) -> io::Result<Stream> {
        let Some(_permit) = self.handshakes.take(HANDSHAKES_MAX) else {
            return Err(io::Error::other("too many handshakes are under way; try again later"));
        };
        let acceptor = sync::read(&self.current).clone();
        let mut begun = Ok(());
        let handshake = acceptor.accept_with(stream, |tls| {
            let mut first = first;
            while begun.is_ok() && !first.is_empty() {
                let read = tls.read_tls(&mut first);
                begun = read
                    .and_then(|_| tls.process_new_packets().map_err(io::Error::other))
                    .map(|_| ());
            }
        });
        // The handshake goes on even if the first flight makes no sense, to answer it
        // by an alert.
        let shaken = runtime::timeout(HANDSHAKE_TIMEOUT, handshake).await;
        begun?;
        match shaken {
            Some(shaken) => Ok(Stream::encrypted(shaken?.into())),
            None => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}
