//! The sending side of the stream of frames.

use super::event::Frame;
use futures::channel::mpsc;
use futures::future::{Either, poll_fn, select};

/// The sending side of the stream of frames.
pub(super) struct Delivery {
    tx: mpsc::Sender<Frame>,
    missed: u64,
}

impl Delivery {
    pub(super) fn new(tx: mpsc::Sender<Frame>) -> Self {
        Delivery { tx, missed: 0 }
    }

    /// Waits for room, but only until `awaited` says that a caller waits for something
    /// behind this frame: then a frame without room is dropped, and counted.
    pub(super) async fn deliver(&mut self, frame: Frame, awaited: impl Future<Output = ()>) {
        let mut awaited = std::pin::pin!(awaited);
        loop {
            match select(poll_fn(|cx| self.tx.poll_ready(cx)), awaited.as_mut()).await {
                Either::Left((Err(_), _)) => return,
                Either::Left((Ok(()), _)) if self.missed == 0 => break,
                // The program hears of the loss where it happened.
                Either::Left((Ok(()), _)) => {
                    let frames = std::mem::take(&mut self.missed);
                    let _ = self.tx.start_send(Frame::Missed { frames });
                }
                Either::Right(_) => {
                    self.missed += 1;
                    return;
                }
            }
        }
        let _ = self.tx.start_send(frame);
    }
}
