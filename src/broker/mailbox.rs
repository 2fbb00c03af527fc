//! What others leave for a connection, and how they wake it.
//!
//! Three kinds of mail: *news*, the numbers of subscriptions whose channel has
//! new entries; the *control lane*, frames that overtake the log on their way
//! out; and *orders*, to close or to take up a subscription. Leaving mail never
//! waits.

use super::directory::Client;
use super::member::{Adopted, Member};
use crate::error::Close;
use crate::frame::Frame;
use crate::store::{Fetched, Waiter};
use crate::sync::lock;
use futures::task::AtomicWaker;
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// Frames that wait in one control lane at most: room for the results of a
/// command to the largest channel.
pub const LANE_FRAMES_MAX: usize = 1 << 18;
/// Bytes that the frames of one control lane take at most.
pub const LANE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Above this, frames that their recipient could do without (`tell`, `broadcast`)
/// are refused, so that no client can overflow another's lane.
pub const LANE_BYTES_OPTIONAL: usize = 64 * 1024;

/// About how many bytes a channel and a subscription take besides the log.
pub const CHANNEL_BYTES: usize = 1_024;

/// Numbers of subscriptions. Most clients have one, which needs no allocation.
pub type Slots = SmallVec<[u32; 2]>;

/// What waits for a connection, apart from its news.
#[derive(Debug, Default)]
pub struct Mail {
    /// Frames, in order.
    pub lane: VecDeque<Frame>,
    /// Subscriptions that the broker made for this client, by their numbers, each
    /// with its place in the order in which they came.
    adopted: BTreeMap<u32, (u64, Adoption)>,
    /// The place of the last such subscription.
    last_adopted: u64,
    /// Bytes kept for those of them whose channel has ended, and has a successor of
    /// the same name.
    ended_bytes: usize,
    /// What was read from the disk for the client, by the number of the read.
    pub fetched: Vec<(u64, Fetched)>,
    /// Why the connection is to be closed, if it is.
    pub close: Option<Close>,
    /// How many times [`Frame::Done`] found no room in the lane.
    lost_done: usize,
    lane_bytes: usize,
}

impl Mail {
    /// Whoever was to be closed for its silence may be found not to be silent.
    fn order_close(&mut self, reason: Close) {
        if self.close.is_none_or(|first| first == Close::Timeout) {
            self.close = Some(reason);
        }
    }

    /// Takes the subscriptions that the broker made for this client, in the order in
    /// which they came.
    pub fn take_adopted(&mut self) -> Vec<Adoption> {
        self.ended_bytes = 0;
        let mut adopted: Vec<_> = take(&mut self.adopted).into_values().collect();
        adopted.sort_unstable_by_key(|(place, _)| *place);
        adopted.into_iter().map(|(_, adoption)| adoption).collect()
    }

    /// How many of the client's commands are over by now.
    pub fn commands_over(&self) -> usize {
        self.lost_done + self.lane.iter().filter(|frame| frame.is_done()).count()
    }
}

/// A subscription that the broker made for a client.
#[derive(Clone, Debug)]
pub struct Adoption {
    /// The subscription.
    pub adopted: Adopted,
    /// The client's earlier subscription to a channel of that name, to be read
    /// first.
    pub after: Option<Arc<Member>>,
    /// What the client never gets of an earlier channel of that name.
    pub forgone: Option<Forgone>,
}

impl Adoption {
    /// How many entries that the client would have got are gone.
    pub fn missed(&self) -> u64 {
        let Adopted { channel, member, next_seq, .. } = &self.adopted;
        let forgone = self.forgone.and_then(|forgone| forgone.entries);
        forgone.map_or(0, |(from, to)| to - from + 1) + channel.missed_by(member, *next_seq)
    }
}

/// What a client never gets of a channel whose name another one has by now.
#[derive(Clone, Copy, Debug)]
pub struct Forgone {
    /// Entries: the first and the last seq.
    pub entries: Option<(u64, u64)>,
    /// The seq at which the channel was dropped, if that is how the client left it:
    /// then a client that counts knows that the seqs begin anew.
    pub dropped: Option<u64>,
    /// The rank that it had there, as far as it knows.
    pub rank: Option<u32>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Subscriptions whose channel has something new.
    news: Slots,
    /// Boxed, because most connections never get any.
    mail: Option<Box<Mail>>,
    /// The owner is gone for good, and nobody will look any more.
    abandoned: bool,
}

impl Inner {
    fn mail(&mut self) -> &mut Mail {
        self.mail.get_or_insert_default()
    }
}

/// The letter box of one connection.
#[derive(Debug, Default)]
pub struct Mailbox {
    waker: AtomicWaker,
    /// Something may have come since the owner last looked.
    dirty: AtomicBool,
    /// The owner has looked, and left the control lane where it was.
    lane_left: AtomicBool,
    inner: Mutex<Inner>,
}

impl Mailbox {
    /// Registers the task to be woken. Call it before [`Mailbox::take`], so that no
    /// mail falls between the two.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Takes everything that has come: the numbers of subscriptions that have
    /// news go to `news`. An owner that cannot pass the control lane on leaves it
    /// here (`with_lane` false), where it is bounded, and asks again.
    pub fn take(&self, news: &mut Slots, with_lane: bool) -> Option<Box<Mail>> {
        let is_dirty = self.dirty.swap(false, Ordering::AcqRel);
        if !(is_dirty || with_lane && self.lane_left.load(Ordering::Relaxed)) {
            return None;
        }
        let mut inner = lock(&self.inner);
        news.extend(inner.news.drain(..));
        let mut mail = inner.mail.take();
        // If the session goes on from another connection, its frames do too.
        let with_lane =
            with_lane && mail.as_ref().is_none_or(|mail| mail.close != Some(Close::TakenOver));
        if !with_lane && let Some(mail) = &mut mail {
            let (lane, lane_bytes) = (take(&mut mail.lane), mail.lane_bytes);
            if !lane.is_empty() {
                inner.mail = Some(Box::new(Mail { lane, lane_bytes, ..Mail::default() }));
            }
        }
        self.lane_left.store(inner.mail.is_some(), Ordering::Relaxed);
        mail
    }

    /// Makes the owner look again.
    pub fn wake(&self) {
        // If it is dirty already, the owner was woken and has yet to look.
        if !self.dirty.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Notes that this subscription's channel has something new, and wakes the
    /// owner.
    pub fn news(&self, slot: u32) {
        lock(&self.inner).news.push(slot);
        self.wake();
    }

    /// Withdraws an order to close that was given for such a reason: the owner has
    /// another connection, or need not make room any more.
    pub fn withdraw_close(&self, is_void: impl Fn(Close) -> bool) {
        if let Some(mail) = &mut lock(&self.inner).mail {
            mail.close.take_if(|reason| is_void(*reason));
        }
    }

    /// Leaves a frame that must reach the client. If its lane is full, the
    /// connection is closed instead.
    pub fn post(&self, frame: Frame) {
        self.put(frame, LANE_BYTES_MAX);
    }

    /// Leaves a frame that the client could do without; returns whether there was
    /// room.
    pub fn offer(&self, frame: Frame) -> bool {
        self.put(frame, LANE_BYTES_OPTIONAL)
    }

    /// Leaves a frame, however long, that its sender can keep for later, if fewer
    /// than `bytes` wait; returns whether it did.
    pub fn offer_behind(&self, frame: Frame, bytes: usize) -> bool {
        let is_busy = {
            let inner = lock(&self.inner);
            let lane_bytes = inner.mail.as_ref().map_or(0, |mail| mail.lane_bytes);
            lane_bytes >= bytes && !inner.abandoned
        };
        // One byte less than the limit at which a frame that does not fit closes
        // the connection.
        !is_busy && self.put(frame, LANE_BYTES_MAX - 1)
    }

    /// Puts back frames that the owner took and could not pass on: they are the
    /// next again.
    pub fn put_back(&self, frames: Vec<Frame>) {
        if frames.is_empty() {
            return;
        }
        let mut inner = lock(&self.inner);
        let mail = inner.mail();
        for frame in frames.into_iter().rev() {
            mail.lane_bytes += frame.weight();
            mail.lane.push_front(frame);
        }
        self.lane_left.store(true, Ordering::Relaxed);
    }

    /// Whether such a frame waits here.
    pub fn holds(&self, is_it: impl Fn(&Frame) -> bool) -> bool {
        lock(&self.inner).mail.as_ref().is_some_and(|mail| mail.lane.iter().any(is_it))
    }

    /// Whether nobody will look any more.
    pub fn is_abandoned(&self) -> bool {
        lock(&self.inner).abandoned
    }

    fn put(&self, frame: Frame, bytes_max: usize) -> bool {
        {
            let mut inner = lock(&self.inner);
            if inner.abandoned {
                return true;
            }
            let mail = inner.mail();
            let lane_bytes = mail.lane_bytes + frame.weight();
            if lane_bytes > bytes_max || mail.lane.len() >= LANE_FRAMES_MAX {
                if bytes_max < LANE_BYTES_MAX {
                    return false;
                }
                mail.lost_done += usize::from(frame.is_done());
                mail.order_close(Close::Overflow);
            } else {
                mail.lane_bytes = lane_bytes;
                mail.lane.push_back(frame);
            }
        }
        self.wake();
        true
    }

    /// Leaves a subscription that the broker made for this client, with the
    /// client's earlier one to a channel of that name. Channels may be dropped and
    /// made anew while the client is away: of the subscriptions that still lie
    /// here, at most `bytes_max` bytes are kept then, besides the last one to each
    /// name. Without room for more, the new subscription takes the place of the one
    /// before it, whose number is free then and is returned.
    pub fn adopt(
        &self,
        adopted: Adopted,
        earlier: Option<Arc<Member>>,
        bytes_max: Option<usize>,
    ) -> Option<u32> {
        // Asked first: no channel may be locked under the mailbox's lock.
        let unread = earlier.as_ref().and_then(|earlier| self.unread(earlier));
        let ended = unread.zip(bytes_max).map(|(unread, bytes_max)| {
            let Adopted { channel, member, next_seq, .. } = unread;
            let forgone = channel.forgone(&member, next_seq, None);
            (member.slot, channel.bytes() + CHANNEL_BYTES, bytes_max, forgone)
        });
        let mut adoption = Adoption { adopted, after: earlier, forgone: None };
        let mut replaced = None;
        {
            let mut inner = lock(&self.inner);
            if inner.abandoned {
                return None;
            }
            let mail = inner.mail();
            if let Some((slot, bytes, bytes_max, forgone)) = ended {
                if mail.ended_bytes + bytes <= bytes_max {
                    mail.ended_bytes += bytes;
                } else if let Some((_, unread)) = mail.adopted.remove(&slot) {
                    adoption.forgone = Some(forgone);
                    adoption.after.clone_from(&unread.after);
                    replaced = Some(unread);
                }
            }
            mail.last_adopted += 1;
            mail.adopted.insert(adoption.adopted.member.slot, (mail.last_adopted, adoption));
            if let Some(replaced) = &replaced {
                inner.news.retain(|slot| *slot != replaced.adopted.member.slot);
            }
        }
        self.wake();
        replaced.map(|replaced| replaced.adopted.member.slot)
    }

    /// This subscription, if the broker made it and it still lies here.
    fn unread(&self, member: &Arc<Member>) -> Option<Adopted> {
        let inner = lock(&self.inner);
        let (_, adoption) = inner.mail.as_ref()?.adopted.get(&member.slot)?;
        Some(&adoption.adopted).filter(|found| Arc::ptr_eq(&found.member, member)).cloned()
    }

    /// Takes the subscriptions that the broker made for this client and its session
    /// has not seen yet. Called under the lock of the client's subscriptions, it
    /// returns all that came before whatever is done to them there.
    pub fn take_adopted(&self) -> Vec<Adoption> {
        lock(&self.inner).mail.as_mut().map_or_else(Vec::new, |mail| mail.take_adopted())
    }

    /// Leaves what was read from the disk for this client, with the number of the
    /// read.
    pub fn fetched(&self, number: u64, fetched: Fetched) {
        {
            let mut inner = lock(&self.inner);
            if inner.abandoned {
                return;
            }
            inner.mail().fetched.push((number, fetched));
        }
        self.wake();
    }

    /// Orders the connection to be closed. The first reason counts, unless that is
    /// its silence.
    pub fn close(&self, reason: Close) {
        lock(&self.inner).mail().order_close(reason);
        self.wake();
    }

    /// Notes that nobody will look any more: what comes is thrown away.
    pub fn abandon(&self) {
        let mut inner = lock(&self.inner);
        inner.abandoned = true;
        let Some(mail) = &mut inner.mail else { return };
        mail.lane = VecDeque::new();
        // A subscription holds its client, which holds this mailbox: they would
        // last for ever.
        let (adopted, fetched) = (take(&mut mail.adopted), take(&mut mail.fetched));
        drop(inner);
        drop((adopted, fetched));
    }
}

impl Waiter for Client {
    fn wake(&self) {
        self.mailbox.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Broker;
    use crate::config::Config;
    use crate::request::{Request, Subscribe};
    use crate::session::Session;
    use crate::wire::text::TextEncoder;

    fn tell(bytes: usize) -> Frame {
        Frame::Tell { from: "a".into(), text: "x".repeat(bytes).into() }
    }

    fn taken(mailbox: &Mailbox) -> Mail {
        mailbox.take(&mut Slots::new(), true).map_or_else(Mail::default, |mail| *mail)
    }

    #[test]
    fn what_is_optional_is_refused_when_the_lane_is_busy() {
        let mailbox = Mailbox::default();
        assert!(mailbox.offer(tell(LANE_BYTES_OPTIONAL - size_of::<Frame>())));
        assert!(!mailbox.offer(tell(0)));
        mailbox.post(tell(0));
        let mail = taken(&mailbox);
        assert_eq!((mail.lane.len(), mail.close), (2, None));
        assert!(mailbox.offer(tell(0)));
    }

    #[test]
    fn a_lane_that_runs_over_closes_the_connection() {
        let mailbox = Mailbox::default();
        for _ in 0..LANE_FRAMES_MAX {
            mailbox.post(Frame::Ping { number: 1 });
        }
        let frames = lock(&mailbox.inner).mail().lane.len();
        let full_by_bytes = LANE_BYTES_MAX / size_of::<Frame>();
        assert_eq!(frames, LANE_FRAMES_MAX.min(full_by_bytes));
        mailbox.post(Frame::Ping { number: 1 });
        assert_eq!(taken(&mailbox).close, Some(Close::Overflow));
    }

    #[test]
    fn the_first_reason_to_close_counts() {
        let mailbox = Mailbox::default();
        mailbox.close(Close::Shutdown);
        mailbox.close(Close::Timeout);
        mailbox.close(Close::Overflow);
        assert_eq!(taken(&mailbox).close, Some(Close::Shutdown));
        mailbox.close(Close::Timeout);
        mailbox.close(Close::Shutdown);
        assert_eq!(taken(&mailbox).close, Some(Close::Shutdown), "it may not be silent");
        assert!(mailbox.take(&mut Slots::new(), true).is_none());
    }

    /// A session would wait for it at each of its ends.
    #[test]
    fn nobody_waits_for_a_result_that_found_no_room() {
        let broker = Broker::open(Config::default(), Box::new(TextEncoder)).unwrap();
        let come = || {
            let client = broker.enter("127.0.0.1:1".parse().unwrap(), "text");
            let mut session = Session::new(broker.clone(), client);
            let sub = Subscribe { create: true, ..Subscribe::to("c") };
            let joined = session.handle(Request::Sub(sub), 0).map(drop);
            joined.map(|()| session).unwrap()
        };
        let (mut boss, mut clerk) = (come(), come());
        let channel = Some("c".to_owned());
        let (to, timeout, key, name, args) = (None, None, None, "go".to_owned(), Vec::new());
        boss.handle(Request::Cmd { channel, to, timeout, key, name, args }, 0).unwrap();
        let seq = broker.channel("c").unwrap().last_seq();
        boss.client().mailbox.post(tell(LANE_BYTES_MAX - size_of::<Frame>()));
        assert!(boss.awaits_results());
        let (channel, text) = ("c".to_owned(), String::new());
        clerk.handle(Request::Ack { channel, seq, code: 0, text }, 0).unwrap();
        assert_eq!(boss.take_mail(&mut Vec::new(), true), Some(Close::Overflow));
        assert!(!boss.awaits_results());
    }
}
