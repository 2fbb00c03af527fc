//! Closing a socket so that the other end gets everything.

use crate::runtime;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::io;
use std::time::Duration;

/// How long to go on reading what a client sends after the good-bye: closing a
/// socket with unread bytes resets it, and the client might never see the rest.
pub const LINGER: Duration = Duration::from_secs(1);
/// Bytes of that at most.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// Says a last word, and closes.
pub async fn say_and_close(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) {
    let saying = async {
        stream.write_all(bytes).await?;
        linger(&mut stream).await
    };
    // Whether the refused one heard it is its own affair.
    let _ = Box::pin(runtime::timeout(LINGER, saying)).await;
}

/// Closes a socket so that the other end gets everything: ends the output, then
/// reads to the end of the input. Bounded in bytes, not in time: see [`LINGER`].
///
/// # Errors
/// The system's; then there is nobody left to wait for.
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
