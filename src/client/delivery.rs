//! The frames on their way from the task behind a client to the program.

use super::event::Frame;
use crate::sync;
use futures::task::AtomicWaker;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Mutex;
use std::task::{Context, Poll};

/// Frames that wait for the program to take them, at most. Beyond that the
/// client stops reading, so that the broker keeps them in the channel's log.
const FRAMES_MAX: usize = 4096;

#[derive(Debug, Default)]
struct Inner {
    frames: VecDeque<Frame>,
    /// How many were dropped behind those.
    missed: u64,
    /// No more will come.
    is_over: bool,
    /// Nobody will take any.
    is_unwanted: bool,
}

/// The frames on their way from the task behind a client to the program.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    inner: Mutex<Inner>,
    /// Woken when there may be room.
    giver: AtomicWaker,
    /// Woken when there is something to take.
    taker: AtomicWaker,
}

impl Delivery {
    /// Whether there is room for another frame.
    pub(super) fn has_room(&self) -> bool {
        let inner = sync::lock(&self.inner);
        inner.is_unwanted || inner.frames.len() < FRAMES_MAX
    }

    /// Waits until there is. For one task only.
    pub(super) async fn room(&self) {
        poll_fn(|cx| {
            self.giver.register(cx.waker());
            if self.has_room() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Hands a frame over, whether there is room or not.
    pub(super) fn deliver(&self, frame: Frame) {
        let mut inner = sync::lock(&self.inner);
        if inner.is_unwanted {
            return;
        }
        // The program hears of a loss where it happened.
        inner.tell_missed();
        inner.frames.push_back(frame);
        drop(inner);
        self.taker.wake();
    }

    /// Counts a frame that is dropped for want of room.
    pub(super) fn miss(&self) {
        sync::lock(&self.inner).missed += 1;
        self.taker.wake();
    }

    /// No more frames will come.
    pub(super) fn end(&self) {
        sync::lock(&self.inner).is_over = true;
        self.taker.wake();
    }

    /// Takes the next frame. For one task only.
    pub(super) fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Frame>> {
        self.taker.register(cx.waker());
        let mut inner = sync::lock(&self.inner);
        if inner.frames.is_empty() {
            inner.tell_missed();
        }
        let Some(frame) = inner.frames.pop_front() else {
            return if inner.is_over { Poll::Ready(None) } else { Poll::Pending };
        };
        drop(inner);
        self.giver.wake();
        Poll::Ready(Some(frame))
    }

    /// Whether all has been taken, and no more will come.
    pub(super) fn is_exhausted(&self) -> bool {
        let inner = sync::lock(&self.inner);
        inner.is_over && inner.frames.is_empty() && inner.missed == 0
    }

    /// Drops the frames that wait, and all that come: nobody will take any more.
    pub(super) fn abandon(&self) {
        let mut inner = sync::lock(&self.inner);
        *inner = Inner { is_unwanted: true, ..Inner::default() };
        drop(inner);
        self.giver.wake();
    }
}

impl Inner {
    fn tell_missed(&mut self) {
        if self.missed > 0 {
            let frames = std::mem::take(&mut self.missed);
            self.frames.push_back(Frame::Missed { frames });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::task::noop_waker_ref;

    fn frame(number: u64) -> Frame {
        Frame::Ping { number: number.to_string() }
    }

    #[test]
    fn a_loss_is_told_where_it_happened_and_also_when_nothing_follows() {
        let delivery = Delivery::default();
        let take = || delivery.poll_take(&Context::from_waker(noop_waker_ref()));
        assert!(take().is_pending());
        (0..FRAMES_MAX as u64).for_each(|number| delivery.deliver(frame(number)));
        assert!(!delivery.has_room() && delivery.room().now_or_never().is_none());
        delivery.miss();
        delivery.miss();
        assert_eq!(take(), Poll::Ready(Some(frame(0))));
        assert!(delivery.room().now_or_never().is_some());
        delivery.deliver(frame(9));
        delivery.miss();
        delivery.end();
        for number in 1..FRAMES_MAX as u64 {
            assert_eq!(take(), Poll::Ready(Some(frame(number))));
        }
        for last in [Frame::Missed { frames: 2 }, frame(9), Frame::Missed { frames: 1 }] {
            assert!(!delivery.is_exhausted());
            assert_eq!(take(), Poll::Ready(Some(last)));
        }
        assert!(delivery.is_exhausted());
        assert_eq!(take(), Poll::Ready(None));
    }

    #[test]
    fn for_a_program_that_takes_none_there_is_always_room() {
        let delivery = Delivery::default();
        (0..FRAMES_MAX as u64).for_each(|number| delivery.deliver(frame(number)));
        delivery.abandon();
        delivery.deliver(frame(0));
        assert!(delivery.has_room() && sync::lock(&delivery.inner).frames.is_empty());
    }
}
