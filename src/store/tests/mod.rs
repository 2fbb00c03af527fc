//! The store by itself, with a source that holds what it is told to.

mod damage;
mod dropped;
mod rows;

use super::*;
use crate::log::{Body, Chunk, Forms};
use crate::roster::Change;
use std::path::Path;
use std::sync::Condvar;
use std::sync::mpsc;

/// A channel as the store sees it.
#[derive(Default)]
struct Fake {
    id: ChannelId,
    state: Mutex<FakeState>,
    gate: (Mutex<bool>, Condvar),
}

#[derive(Default)]
struct FakeState {
    handover: Handover,
    extent: Option<Extent>,
    asked: usize,
    failed: usize,
    /// How many chunks are handed over, and neither settled nor failed.
    out: usize,
}

impl Source for Fake {
    fn id(&self) -> ChannelId {
        self.id
    }

    fn hand_over(&self, _: &Ticket) -> Handover {
        let mut shut = lock(&self.gate.0);
        lock(&self.state).asked += 1;
        while *shut {
            shut = self.gate.1.wait(shut).unwrap();
        }
        let mut state = lock(&self.state);
        state.out = state.handover.chunks.len();
        let Handover { chunks, changes, roster, reserve } = &state.handover;
        Handover {
            chunks: chunks.clone(),
            changes: changes.clone(),
            roster: roster.clone(),
            reserve: *reserve,
        }
    }

    fn settled(&self, extent: Option<Extent>) {
        let mut state = lock(&self.state);
        if extent.is_some() {
            let out = state.out;
            state.handover.chunks.drain(..out);
            (state.handover.changes, state.handover.roster) = (Vec::new(), None);
            state.extent = extent;
        } else {
            state.failed += 1;
        }
        state.out = 0;
    }
}

impl Fake {
    fn new(id: ChannelId) -> Arc<Fake> {
        Arc::new(Fake { id, ..Fake::default() })
    }

    fn append(&self, number: u64, first_seq: u64, entries: u32) {
        let line = format!("msg c {first_seq} x y\n");
        let length = u32::try_from(line.len()).unwrap();
        let ends = if entries == 1 { vec![] } else { (1..=entries).map(|n| n * length).collect() };
        let bytes = line.repeat(entries as usize).into_bytes();
        let body = Body::Messages { json: false };
        let forms = Forms::default();
        let chunk = Chunk { first_seq, author: 1, body, at_ms: 0, bytes, ends, forms };
        lock(&self.state).handover.chunks.push((number, Arc::new(chunk)));
    }

    fn change(&self, seq: u64, change: Change, who: Option<SeatRecord>) {
        lock(&self.state).handover.changes.push((seq, ChangeRecord { change, who }));
    }

    fn shut(&self, shut: bool) {
        *lock(&self.gate.0) = shut;
        self.gate.1.notify_all();
    }

    fn extent(&self) -> Extent {
        lock(&self.state).extent.unwrap()
    }
}

fn open(dir: &Path) -> (Store, Recovered) {
    Store::open(Options { dir: dir.to_owned(), margin: 0 }).unwrap()
}

fn refusal(dir: &Path) -> OpenError {
    Store::open(Options { dir: dir.to_owned(), margin: 0 }).map(drop).unwrap_err()
}

fn record(name: &str) -> ChannelRecord {
    ChannelRecord {
        name: name.into(),
        created_unix_ms: 1,
        members_max: None,
        history: None,
        history_age_ms: None,
        history_bytes: None,
        durable: true,
        hold_ms: 0,
        safe: false,
    }
}

fn seat(client: u64, term: u64) -> SeatRecord {
    SeatRecord {
        client,
        name: format!("m{client}"),
        session: None,
        term,
        joined: term,
        since_unix_ms: 0,
        observer: false,
    }
}

fn dirty(store: &Store, fake: &Arc<Fake>) -> Ticket {
    store.dirty(fake.clone())
}

/// A new store with one channel, whose entries are on disk, each a chunk.
fn filled(dir: &Path, record: ChannelRecord, entries: u64) -> (Store, ChannelId, Arc<Fake>) {
    let (store, _) = open(dir);
    let (id, ..) = store.create(record);
    let fake = Fake::new(id);
    (0..entries).for_each(|n| fake.append(n, n + 1, 1));
    dirty(&store, &fake).wait().unwrap();
    (store, id, fake)
}

fn fetch(store: &Store, channel: ChannelId, from: u64, to: u64, bytes_max: usize) -> Fetched {
    let (tx, rx) = mpsc::channel();
    let then = Box::new(move |fetched| tx.send(fetched).unwrap());
    let wanted = Box::new(|| true);
    store.fetch(Fetch { channel, from, to, bytes_max, rank: None, wanted, then });
    rx.recv().unwrap()
}

fn numbers(fetched: &Fetched) -> Vec<u64> {
    fetched.chunks.iter().map(|(number, _)| *number).collect()
}

#[test]
fn all_who_come_while_it_commits_share_the_next_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (id, after, ticket) = store.create(record("c"));
    assert_eq!((ticket.wait(), after), (Ok(()), 0));
    let (fake, before) = (Fake::new(id), store.figures().commits.load(Ordering::SeqCst));
    fake.shut(true);
    fake.append(0, 1, 1);
    let first = dirty(&store, &fake);
    while lock(&fake.state).asked == 0 {
        std::thread::yield_now();
    }
    assert!(!first.is_open() && first.outcome().is_none());
    let others: Vec<Ticket> = (1..100)
        .map(|n| {
            fake.append(n, n + 1, 1);
            dirty(&store, &fake)
        })
        .collect();
    fake.shut(false);
    for ticket in others.iter().chain([&first]) {
        assert_eq!(ticket.wait(), Ok(()));
    }
    let commits = store.figures().commits.load(Ordering::SeqCst) - before;
    assert!((1..=2).contains(&commits), "{commits} commits for 100 chunks");
    assert_eq!((fake.extent().last_seq, fake.extent().next_chunk), (100, 100));
    store.close(vec![]);
}

#[test]
fn what_was_there_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, recovered) = open(dir.path());
    assert!(recovered.channels.is_empty() && recovered.last_client == 0);
    let (id, _, _) = store.create(record("c"));
    let (other, _, _) = store.create(ChannelRecord { durable: false, ..record("o") });
    let fake = Fake::new(id);
    for (number, first) in [(0, 1), (1, 4), (2, 7)] {
        fake.append(number, first, 3);
    }
    // A, B and C come; A leaves, C goes before B.
    for (seq, client) in [(1, 10), (2, 11), (3, 12)] {
        let rank = u32::try_from(seq - 1).unwrap();
        fake.change(seq, Change::Join { rank }, Some(seat(client, seq)));
    }
    fake.change(4, Change::Left { rank: 0 }, None);
    fake.change(5, Change::Move { old: 1, new: 0 }, None);
    let saved = RosterRecord { view: 2, seats: vec![seat(10, 1), seat(11, 2)] };
    lock(&fake.state).handover.roster = Some(saved);
    let quiet = Fake::new(other);
    lock(&quiet.state).handover.reserve = Some(1 << 24);
    store.note(quiet.clone());
    assert_eq!(dirty(&store, &fake).wait(), Ok(()));
    store.put(Table::Sessions, b"u", vec![1, 2]);
    store.close(vec![(other, 17)]);

    let (store, recovered) = open(dir.path());
    let [c, o] = &recovered.channels[..] else { panic!("{recovered:?}") };
    assert_eq!((c.id, &*c.record.name, c.extent.last_seq, c.extent.next_chunk), (id, "c", 9, 3));
    let seats: Vec<(u64, u64)> = c.roster.seats.iter().map(|s| (s.client, s.term)).collect();
    assert_eq!((c.roster.view, seats), (5, vec![(12, 5), (11, 5)]));
    assert_eq!((o.id, o.extent.last_seq, recovered.entries), (other, 17, 9));
    assert_eq!(recovered.last_client, 1 << 32);
    assert_eq!(store.all(Table::Sessions), Ok(vec![(b"u".to_vec(), vec![1, 2])]));
    assert!(store.create(record("x")).0 > other);

    let all = fetch(&store, id, 1, 9, usize::MAX);
    assert_eq!((numbers(&all), all.to, all.error), (vec![0, 1, 2], 9, None));
    let some = fetch(&store, id, 5, 9, 1);
    assert_eq!((numbers(&some), some.to), (vec![1], 6));
    store.close(vec![]);
}

#[test]
fn ranks_are_found_backwards() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (id, ..) = store.create(record("c"));
    let fake = Fake::new(id);
    (0..5).for_each(|n| fake.append(n, n + 1, 1));
    fake.change(2, Change::Left { rank: 0 }, None);
    fake.change(4, Change::Move { old: 0, new: 3 }, None);
    dirty(&store, &fake).wait().unwrap();
    let (tx, rx) = mpsc::channel();
    for (from, joined) in [(1, 0), (3, 0), (5, 0), (1, 3)] {
        let tx = tx.clone();
        let rank = Some(RankAt { rank: 1, seq: 5, joined });
        let then = Box::new(move |fetched: Fetched| tx.send(fetched.rank.unwrap()).unwrap());
        let wanted = Box::new(|| true);
        store.fetch(Fetch { channel: id, from, to: 5, bytes_max: 1, rank, wanted, then });
    }
    let ranks: Vec<u32> = (0..4).map(|_| rx.recv().unwrap()).collect();
    // 1 now; 2 before the move to the bottom; 3 before the first one left.
    assert_eq!(ranks, [3, 2, 1, 2]);
    store.close(vec![]);
}

#[test]
fn a_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    store.close(vec![]);
    open(dir.path()).0.close(vec![]);
}

#[test]
fn what_need_not_be_kept_goes() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (id, ..) = store.create(ChannelRecord { history: Some(10), ..record("c") });
    let (by_bytes, ..) = store.create(ChannelRecord { history_bytes: Some(1), ..record("b") });
    for fake in [Fake::new(id), Fake::new(by_bytes)] {
        for n in 0..3_000 {
            fake.append(n, n + 1, 1);
            if n % 500 == 0 {
                dirty(&store, &fake).wait().unwrap();
            }
        }
        for _ in 0..4 {
            dirty(&store, &fake).wait().unwrap();
        }
        let extent = fake.extent();
        assert_eq!((extent.last_seq, extent.next_chunk), (3_000, 3_000));
        // By entries all but 10 and some slack, by bytes all but the slack.
        assert!(extent.entries() < 300 || extent.bytes < 80_000, "{extent:?}");
        assert_eq!(
            numbers(&fetch(&store, fake.id, 1, 3_000, usize::MAX)).len() as u64,
            extent.entries()
        );
    }
    store.close(vec![]);
    let (store, recovered) = open(dir.path());
    assert_eq!(recovered.channels.len(), 2);
    store.close(vec![]);
}

/// Nothing is written any more until a restart, so no work is kept for that.
#[test]
fn nothing_waits_for_a_store_that_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (id, _, ticket) = store.create(record("c"));
    ticket.wait().unwrap();
    store.shared.health.broken("no");
    let fake = Fake::new(id);
    dirty(&store, &fake).wait().unwrap_err();
    let deadline = Instant::now() + Duration::from_secs(20);
    while Arc::strong_count(&fake) > 1 {
        assert!(Instant::now() < deadline, "it is kept");
        std::thread::sleep(Duration::from_millis(10));
    }
    store.close(vec![]);
}

#[test]
fn a_number_is_not_given_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (id, ..) = store.create(record("c"));
    store.drop_channel(Fake::new(id), "c", 1).wait().unwrap();
    store.forget(id);
    store.close(vec![]);
    let (store, recovered) = open(dir.path());
    assert!(recovered.channels.is_empty() && recovered.garbage.is_empty());
    assert!(store.create(record("c")).0 > id);
    store.close(vec![]);
}

/// A directory from before the numbers were noted has only those in use.
#[test]
fn numbers_go_on_in_an_older_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (id, ..) = store.create(record("c"));
    store.remove(Table::Meta, b"channels");
    store.close(vec![]);
    let (store, recovered) = open(dir.path());
    assert_eq!((recovered.channels.len(), store.create(record("d")).0), (1, id + 1));
    store.close(vec![]);
}

#[test]
fn whoever_asks_what_it_takes_does_not_wait_for_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (store, recovered) = open(dir.path());
    // What the files take: the journal is as if it were 64 MiB long.
    assert!((1..1 << 20).contains(&recovered.bytes), "{}", recovered.bytes);
    let (tx, rx) = mpsc::channel();
    // As while the engine is opened anew.
    let place = store.shared.disk.write().unwrap();
    std::thread::spawn({
        let store = store.clone();
        move || tx.send(store.bytes())
    });
    let bytes = rx.recv_timeout(Duration::from_secs(10));
    drop(place);
    assert!(bytes.unwrap() > 0);
    store.close(vec![]);
}
