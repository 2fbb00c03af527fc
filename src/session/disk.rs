//! What has to be read from the disk: entries for subscriptions that are behind
//! what is in memory, and answers about older entries.
//!
//! A session has at most one read for its subscriptions and one for its answers
//! under way, and drops what was read once it is written. That bounds its memory,
//! however many subscriptions are behind, and however far.

use super::Session;
use super::deliver::Subscription;
use super::pieces::Batch;
use super::scroll::Scroll;
use crate::broker::channel::{Behind, Room};
use crate::frame::Frame;
use crate::log::{Chunk, Cursor};
use crate::store::{Fetch, Fetched};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Bytes that are read from the disk at once.
const READ_BYTES: usize = 256 * 1024;

/// Entries that were read for a subscription.
#[derive(Debug)]
pub(super) struct Part {
    chunks: VecDeque<(u64, Arc<Chunk>)>,
    /// Entries up to this seq that are not among the chunks are gone.
    to: u64,
    /// The member's rank before the first of them.
    rank: Option<u32>,
}

/// The reads of a session.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// The number of the read under way for a subscription, and that one's slot.
    asked: Option<(u64, u32)>,
    /// The slot of the subscription that still has what was read for it.
    holder: Option<u32>,
    /// Subscriptions that wait for their turn.
    waiting: Line,
    /// Answers, in order; the first is being read.
    pub(super) scrolls: VecDeque<Scroll>,
    /// The number of the read under way for a look-up.
    pub(super) lookup: Option<u64>,
    /// What was read for it.
    pub(super) looked_up: Option<Fetched>,
}

/// Slots, in the order in which they came. There may be very many.
#[derive(Debug, Default)]
struct Line {
    places: HashMap<u32, u64>,
    slots: BTreeMap<u64, u32>,
    /// The last place that was taken.
    last: u64,
}

impl Line {
    /// Puts a slot at the end, unless it has a place.
    fn join(&mut self, slot: u32) {
        if let Entry::Vacant(place) = self.places.entry(slot) {
            self.last += 1;
            self.slots.insert(*place.insert(self.last), slot);
        }
    }

    /// Takes a slot out, if it is there.
    fn leave(&mut self, slot: u32) {
        if let Some(place) = self.places.remove(&slot) {
            self.slots.remove(&place);
        }
    }

    fn first(&self) -> Option<u32> {
        self.slots.first_key_value().map(|(_, slot)| *slot)
    }
}

impl Disk {
    /// Whether answers are being read, which the replies behind them wait for.
    pub(super) fn is_asked(&self) -> bool {
        !self.scrolls.is_empty()
    }

    /// Whether a read for a subscription is under way, or its result still needed.
    fn is_busy(&self) -> bool {
        self.asked.is_some() || self.holder.is_some()
    }
}

impl Subscription {
    /// Adds what was read from the disk to the batch. Returns `false` if something
    /// has to be read first.
    pub(super) fn read_part(
        &mut self,
        slot: u32,
        room: Room,
        batch: &mut Batch,
        gaps: &mut u64,
    ) -> bool {
        let next_seq = self.next_seq;
        let Some(part) = self.part_mut() else { return false };
        while part.chunks.front().is_some_and(|(_, chunk)| chunk.last_seq() < next_seq) {
            part.chunks.pop_front();
        }
        if next_seq > part.to {
            self.drop_part();
            return false;
        }
        // The chunks stay in the part for now: the socket may take less.
        for at in 0.. {
            if batch.pieces.len() >= room.chunks || batch.bytes >= room.bytes {
                break;
            }
            let Some(part) = self.part() else { break };
            let (to, rank) = (part.to, part.rank.filter(|_| at == 0));
            let Some((number, chunk)) = part.chunks.get(at).cloned() else {
                if at > 0 {
                    break;
                }
                self.skip_to(to + 1, batch, gaps);
                self.drop_part();
                break;
            };
            if chunk.first_seq > self.member.end() {
                self.next_seq = chunk.first_seq;
                break;
            }
            if chunk.first_seq > self.next_seq {
                if at > 0 {
                    // A batch's frames go out before its pieces: the gap has to wait.
                    break;
                }
                self.skip_to(chunk.first_seq, batch, gaps);
            }
            if let Some(rank) = rank {
                self.rank = rank;
                self.extra.parts().is_ranked = true;
                self.forget_rank();
            }
            // Entries end at u32 offsets.
            let offset = u32::try_from(chunk.offset_of(self.next_seq)).unwrap_or(u32::MAX);
            self.go_to(Cursor { chunk: number, offset });
            self.pass(slot, chunk, batch);
        }
        true
    }

    fn forget_rank(&mut self) {
        if let Some(part) = self.part_mut() {
            part.rank = None;
        }
    }

    /// Skips to this seq, and tells the client of the gap before it, if there is one.
    pub(super) fn skip_to(&mut self, seq: u64, batch: &mut Batch, gaps: &mut u64) {
        let (from, to) = (self.next_seq, (seq - 1).min(self.member.end()));
        if from <= to {
            let channel = self.channel.name().clone();
            batch.frames.push(Frame::Gap { channel, from, to });
            *gaps += 1;
        }
        self.next_seq = self.next_seq.max(seq);
    }
}

impl Session {
    /// Fetches entries for a subscription from the disk, or has it wait for its turn.
    pub(super) fn want(&mut self, slot: u32, behind: Behind) {
        let disk = self.extra.parts().disk.get_or_insert_default();
        if disk.holder == Some(slot) {
            disk.holder = None;
        }
        // The one that waited longest comes first.
        let is_first = disk.waiting.first().is_none_or(|first| first == slot);
        if disk.is_busy() || !is_first {
            disk.waiting.join(slot);
            return self.wake_waiting();
        }
        disk.waiting.leave(slot);
        let number = self.fetch(behind);
        self.extra.parts().disk.get_or_insert_default().asked = Some((number, slot));
    }

    /// Queues the subscription whose turn it is to be read again.
    fn wake_waiting(&mut self) {
        let Some(disk) = self.extra.disk_mut().filter(|disk| !disk.is_busy()) else { return };
        while let Some(slot) = disk.waiting.first() {
            if let Some(Some(subscription)) = self.subscriptions.get(slot as usize) {
                if subscription.member.queue() {
                    self.queue.push(slot);
                }
                return;
            }
            disk.waiting.leave(slot);
        }
    }

    /// Notes that a subscription needs nothing from the disk any more.
    pub(super) fn release_disk(&mut self, slot: u32) {
        let Some(disk) = self.extra.disk_mut() else { return };
        if !disk.is_busy() && disk.waiting.first().is_none() {
            return;
        }
        disk.waiting.leave(slot);
        if disk.holder == Some(slot) {
            disk.holder = None;
        }
        if disk.asked.is_some_and(|(_, of)| of == slot) {
            disk.asked = None;
        }
        self.wake_waiting();
    }

    pub(super) fn fetch(&mut self, behind: Behind) -> u64 {
        let (number, client) = (self.broker.number_read(), Arc::downgrade(&self.client));
        let Behind { channel, from, to, rank } = behind;
        // A client that comes back has it read anew.
        let reader = move || client.upgrade().filter(|client| !client.is_away());
        let is_there = reader.clone();
        let wanted = Box::new(move || is_there().is_some());
        let then = Box::new(move |fetched| {
            if let Some(client) = reader() {
                client.mailbox.fetched(number, fetched);
            }
        });
        if let Some(store) = self.broker.store() {
            store.fetch(Fetch { channel, from, to, bytes_max: READ_BYTES, rank, wanted, then });
        }
        number
    }

    /// Takes what has been read. It was for a connection that this client had before
    /// if nothing here has that number.
    pub(super) fn take_fetched(&mut self, number: u64, fetched: Fetched) {
        let Some(disk) = self.extra.disk_mut() else { return };
        if let Some(scroll) = disk.scrolls.front_mut().filter(|s| s.asked == Some(number)) {
            (scroll.asked, scroll.read) = (None, Some(fetched));
            return;
        }
        if disk.lookup == Some(number) {
            (disk.lookup, disk.looked_up) = (None, Some(fetched));
            return;
        }
        let Some((_, slot)) = disk.asked.filter(|(asked, _)| *asked == number) else { return };
        disk.asked = None;
        let Some(Some(subscription)) = self.subscriptions.get_mut(slot as usize) else {
            return self.wake_waiting();
        };
        // What cannot be read is gone, as far as its reader is concerned.
        let Fetched { chunks, to, rank, .. } = fetched;
        subscription.extra.parts().part = Some(Box::new(Part { chunks: chunks.into(), to, rank }));
        disk.holder = Some(slot);
        if subscription.member.queue() {
            self.queue.push(slot);
        }
    }

    /// Whether something that is due to this client has yet to be read from the
    /// disk, or to be written to it.
    pub fn awaits_disk(&self) -> bool {
        let is_stopping = self.broker.is_stopping();
        let awaits = |subscription: &Subscription| {
            let Subscription { channel, member, .. } = subscription;
            // A client that a stop sends away has not left, and gets what was appended
            // before. Visible entries count too: it may not have been woken for them yet.
            let goes_on = || channel.goes_on_at(subscription.cursor().chunk);
            let is_due = member.has_left() || is_stopping && goes_on();
            channel.is_kept() && is_due && !member.is_lost()
        };
        let is_read = self.extra.disk().is_some_and(|disk| disk.asked.is_some());
        is_read || self.subscriptions.iter().flatten().any(awaits)
    }

    /// Has answers read anew, as the client has become another one: what is being
    /// read for them goes to a mailbox at which nobody looks any more.
    pub(super) fn read_anew(&mut self) {
        let Some(disk) = self.extra.disk_mut() else { return };
        if let Some(scroll) = disk.scrolls.front_mut() {
            scroll.asked = None;
        }
        disk.lookup = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Caused;
    use super::super::identity::Introduction;
    use super::super::pieces::Piece;
    use super::*;
    use crate::broker::Broker;
    use crate::config::Config;
    use crate::error::Close;
    use crate::payload::Payload;
    use crate::request::{Settings, Start, Subscribe};
    use crate::wire::text::TextEncoder;
    use std::sync::atomic::Ordering;
    use std::time::{Duration, Instant};
    use uuid::Uuid;

    fn enter(broker: &Arc<Broker>) -> Session {
        let client = broker.enter("127.0.0.1:1".parse().unwrap(), "text");
        Session::new(broker.clone(), client)
    }

    fn hello(session: &mut Session, seen: Vec<(String, u64)>) {
        let (name, secret) = (None, None);
        let wanted = Some(Uuid::from_u128(1));
        let hello = Introduction { name, quiet: false, session: wanted, secret, seen };
        session.hello(hello, 0).unwrap().unwrap();
    }

    /// What its client gets until it has got this.
    fn written(session: &mut Session, until: &[&str]) -> String {
        let (mut text, mut batch, mut frames) = (String::new(), Batch::default(), Vec::new());
        let end = Instant::now() + Duration::from_secs(10);
        while !until.iter().all(|until| text.contains(until)) {
            assert!(Instant::now() < end, "no {until:?} in {text:?} {frames:?}");
            session.take_mail(&mut frames, true);
            session.gather(&mut batch);
            frames.append(&mut batch.frames);
            let bytes = batch.pieces.iter().flat_map(Piece::bytes).copied().collect();
            let now = String::from_utf8(bytes).unwrap();
            session.settle(&mut batch, now.len(), true, 0);
            text += &now;
            std::thread::sleep(Duration::from_millis(1));
        }
        text
    }

    /// Clients that ask for a long log and go would keep the disk busy for nothing.
    #[test]
    fn nothing_is_read_for_those_who_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data: Some(dir.path().into()), ..Config::default() };
        let broker = Broker::open(config, Box::new(TextEncoder)).unwrap();
        broker.create("c", Settings { durable: true, ..Settings::default() }, 0).unwrap();
        enter(&broker).publish("c", None, &[Payload::Plain(b"x")], 0).unwrap();
        let channel = broker.channel("c").unwrap();
        channel.pending().unwrap().wait().unwrap();
        let store = broker.store().unwrap();
        // Through `then`, the reading thread is held up until it is told to go on.
        let read = |then| {
            let (channel, wanted) = (channel.id().unwrap(), Box::new(|| true));
            store.fetch(Fetch { channel, from: 1, to: 1, bytes_max: 1, rank: None, wanted, then });
        };
        let (go_on, told) = std::sync::mpsc::channel();
        read(Box::new(move |_| told.recv().unwrap()));
        for reason in [Close::Quit, Close::Lost] {
            let mut session = enter(&broker);
            if reason == Close::Lost {
                // To be resumed.
                hello(&mut session, Vec::new());
            }
            session.sub(&Subscribe { start: Start::First, ..Subscribe::to("c") }, 0).unwrap();
            session.replied(Caused::Entries { slot: 0, from: 0 });
            session.gather(&mut Batch::default());
            assert!(session.extra.disk().unwrap().asked.is_some(), "it is read from the disk");
            session.end(reason, 0);
        }
        go_on.send(()).unwrap();
        let (done, all) = std::sync::mpsc::channel();
        read(Box::new(move |_| done.send(()).unwrap()));
        all.recv().unwrap();
        assert_eq!(store.figures().fetches.load(Ordering::Relaxed), 2);
        broker.close_store();
    }

    /// Otherwise the next connection could take the entries for those of another channel,
    /// which its own first read is for.
    #[test]
    fn what_a_lost_connection_has_begun_to_read_is_not_taken_by_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data: Some(dir.path().into()), ..Config::default() };
        let broker = Broker::open(config, Box::new(TextEncoder)).unwrap();
        let mut publisher = enter(&broker);
        for channel in ["a", "b"] {
            let settings = Settings { durable: true, ..Settings::default() };
            broker.create(channel, settings, 0).unwrap();
            for text in ["first", "last"] {
                let text = format!("{text} of {channel}");
                publisher.publish(channel, None, &[Payload::Plain(text.as_bytes())], 0).unwrap();
            }
            broker.channel(channel).unwrap().pending().unwrap().wait().unwrap();
        }
        let mut lost = enter(&broker);
        hello(&mut lost, Vec::new());
        lost.sub(&Subscribe::to("a"), 0).unwrap();
        lost.sub(&Subscribe { start: Start::First, ..Subscribe::to("b") }, 0).unwrap();
        lost.replied(Caused::Entries { slot: 1, from: 0 });
        lost.gather(&mut Batch::default());
        assert!(lost.extra.disk().unwrap().asked.is_some(), "it is read from the disk");
        lost.end(Close::Lost, 0);
        let mut next = enter(&broker);
        hello(&mut next, vec![("a".into(), 0)]);
        let text = written(&mut next, &["last of a", "last of b"]);
        for part in ["msg a 1", "first of a", "last of a", "msg b 1", "first of b", "last of b"] {
            assert_eq!(text.matches(part).count(), 1, "{part} in {text}");
        }
        broker.close_store();
    }
}
