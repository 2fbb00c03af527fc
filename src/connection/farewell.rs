//! Closing a socket so that the other end gets everything.

use crate::runtime::{self, EndOutput, TcpStream};
use futures::{AsyncReadExt, AsyncWriteExt};
use std::io;
use std::time::Duration;

/// How long to go on reading what a client sends after the good-bye: closing a
/// socket with unread bytes resets it, and the client might never see the rest.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// Bytes of that at most.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// Says a last word, and closes.
pub(super) async fn say_and_close(mut stream: TcpStream, bytes: &[u8]) {
    let saying = async {
        stream.write_all(bytes).await?;
        linger(&mut stream).await
    };
    // Whether the refused one heard it is its own affair.
    let _ = Box::pin(runtime::timeout(LINGER, saying)).await;
}

/// Closes a socket so that the other end gets everything: ends the output, then
/// reads to the end of the input.
pub(super) async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.end_output()?;
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
