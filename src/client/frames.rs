//! The frames as a program takes them.

use super::event::Frame;
use super::handle::LeaveOnDrop;
use futures::Stream;
use futures::stream::FusedStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The frames that come for a client, in the order in which they came. The
/// stream ends with the connection.
///
/// Keep taking frames, or drop this if they do not matter. While
/// nobody takes them the client stops reading, except while a request waits for
/// its reply, or an [`Issued`](super::Issued) is kept whose results are not all in: then what does not fit
/// is dropped, and [`Frame::Missed`] says so. A program that publishes for each message
/// that it takes must expect that when it is far behind: let it have two clients, one to
/// take and one to publish.
///
/// With a session, an entry counts as seen once it was taken here: after a crash the
/// [`Client::ticket`](super::Client::ticket) brings again what was not.
#[derive(Debug)]
pub struct Frames {
    pub(super) guard: Arc<LeaveOnDrop>,
}

impl Stream for Frames {
    type Item = Frame;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        self.guard.0.poll_take(cx)
    }
}

impl FusedStream for Frames {
    fn is_terminated(&self) -> bool {
        self.guard.0.frames.is_exhausted()
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.guard.0.frames.abandon();
    }
}
