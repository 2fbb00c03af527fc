//! Closing a socket so that the other end gets everything.

use crate::runtime;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::io;
use std::time::Duration;

/// How long to go on reading what a client sends after the `bye`: closing a socket
/// with unread bytes resets it, and the client might never see the rest.
pub const LINGER: Duration = Duration::from_secs(1);
/// The most bytes to read then.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// Writes some last bytes, and closes.
pub async fn say_and_close(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) {
    let saying = async {
        stream.write_all(bytes).await?;
        linger(&mut stream).await
    };
    // It does not matter whether the client received them.
    let _ = Box::pin(runtime::timeout(LINGER, saying)).await;
}

/// Closes a socket so that the other end gets everything: ends the output, then
/// reads to the end of the input. Bounded in bytes, not in time: see [`LINGER`].
///
/// # Errors
/// The system's; then nobody is left at the other end.
pub async fn linger(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.close().await?;
    let mut scrap = [0; 512];
    let mut left = LINGER_BYTES_MAX;
    while left > 0 {
        match stream.read(&mut scrap).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}
