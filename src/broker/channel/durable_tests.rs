//! When things are on disk, with a committing thread that goes on when it is told.

use super::super::{Channel, Charter, Entrance, Rules};
use crate::broker::directory::{Client, Directory};
use crate::broker::member::Member;
use crate::broker::sessions::Identity;
use crate::log::Departure;
use crate::payload::Payload;
use crate::request::{Settings, Start};
use crate::store::{ChannelId, Extent, Fetch, Handover, Options, Source, Store, Table, Ticket};
use crate::sync::lock;
use crate::wire::text::TextEncoder;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// Stops the committing thread where it asks what there is to write.
struct Gate {
    asked: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Source for Gate {
    fn id(&self) -> ChannelId {
        ChannelId::MAX
    }

    fn hand_over(&self, _: &Ticket) -> Handover {
        self.asked.send(()).unwrap();
        lock(&self.go_on).recv().unwrap();
        Handover::default()
    }

    fn settled(&self, _: Option<Extent>) {}
}

/// A durable channel with one member, and the thread that is told to go on.
struct Scene {
    store: Store,
    channel: Arc<Channel>,
    member: Arc<Member>,
    gate: Arc<Gate>,
    asked: Receiver<()>,
    go_on: Sender<()>,
}

impl Scene {
    fn new(dir: &Path) -> Self {
        let (store, _) = Store::open(Options { dir: dir.to_owned(), margin: 0 }).unwrap();
        let rules = Rules {
            encode: Box::new(TextEncoder),
            members_max: 10,
            log_bytes: 1 << 20,
            stall_ms: 1_000,
            store: Some(store.clone()),
            stats: Arc::default(),
        };
        let settings = Settings { durable: true, ..Settings::default() };
        let channel = Channel::new("c".into(), settings, &Charter::plain(Arc::new(rules)));
        let addr = "127.0.0.1:1".parse().unwrap();
        let client: Arc<Client> = Directory::after(0).enter(addr, "text", 0);
        let (adopted, ..) = channel.join(&client, 0, Entrance::at(Start::Now), 0).unwrap();
        channel.pending().unwrap().wait().unwrap();
        let ((tell, asked), (go_on, told)) = (self::channel(), self::channel());
        let gate = Arc::new(Gate { asked: tell, go_on: Mutex::new(told) });
        Scene { store, channel, member: adopted.member, gate, asked, go_on }
    }

    /// Stops the next commit until it is told to go on.
    fn stop_next(&self) {
        self.store.dirty(self.gate.clone());
    }

    /// A message, and the ticket that its publisher waits for.
    fn publish(&self) -> Ticket {
        let payloads = [Payload::Plain(b"hello")];
        self.channel.publish(&self.member.client, "m", None, &payloads, |_| {}, 0).unwrap();
        self.channel.pending().unwrap()
    }

    /// The seq of the last entry that is on disk.
    fn last_on_disk(&self) -> u64 {
        let (tx, rx) = self::channel();
        let then = Box::new(move |fetched| tx.send(fetched).unwrap());
        let (channel, bytes_max) = (self.channel.id().unwrap(), usize::MAX);
        let wanted = Box::new(|| true);
        self.store.fetch(Fetch { channel, from: 1, to: 100, bytes_max, rank: None, wanted, then });
        rx.recv().unwrap().chunks.last().map_or(0, |(_, chunk)| chunk.last_seq())
    }
}

/// The publisher is told that its message is on disk, and the power may fail before
/// the drop of the channel is.
#[test]
fn what_was_published_before_a_drop_is_on_disk_when_its_ticket_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::new(dir.path());
    scene.stop_next();
    scene.asked.recv().unwrap();
    scene.stop_next();
    let published = scene.publish();
    scene.go_on.send(()).unwrap();
    scene.asked.recv().unwrap();
    // Its commit takes no more, and has not asked the channel yet.
    assert!(!published.is_open());
    scene.stop_next();
    scene.channel.end(&scene.member, None).unwrap();
    let dropped = scene.channel.pending().unwrap();
    scene.go_on.send(()).unwrap();
    scene.asked.recv().unwrap();
    assert_eq!((published.outcome(), dropped.outcome()), (Some(&Ok(())), None));
    assert_eq!((scene.last_on_disk(), scene.channel.last_visible()), (2, 2));
    scene.go_on.send(()).unwrap();
    assert_eq!((dropped.wait(), scene.channel.last_visible()), (Ok(()), 3));
    scene.store.close(vec![]);
}

/// A member cannot be behind with what nobody may see yet.
#[test]
fn what_is_not_on_disk_yet_is_no_lag() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::new(dir.path());
    let lag = || {
        let (mut lag, (ranks, _)) = (0, scene.channel.ranks());
        scene.channel.lags(|entries| lag += entries);
        assert_eq!(lag, ranks[0].behind);
        lag
    };
    scene.stop_next();
    scene.asked.recv().unwrap();
    let published = scene.publish();
    assert_eq!(lag(), 0);
    scene.go_on.send(()).unwrap();
    published.wait().unwrap();
    assert_eq!(lag(), 1);
    scene.store.close(vec![]);
}

/// The store takes no more, so that the channel is not dropped on disk.
#[test]
fn what_was_published_is_on_disk_though_the_drop_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::new(dir.path());
    scene.stop_next();
    scene.asked.recv().unwrap();
    let published = scene.publish();
    let closing = std::thread::spawn({
        let store = scene.store.clone();
        move || store.close(vec![])
    });
    while scene.store.sync().outcome().is_none() {
        std::thread::yield_now();
    }
    scene.channel.end(&scene.member, None).unwrap();
    scene.go_on.send(()).unwrap();
    assert_eq!(published.wait(), Ok(()));
    closing.join().unwrap();
    let options = Options { dir: dir.path().to_owned(), margin: 0 };
    let (store, recovered) = Store::open(options).unwrap();
    assert_eq!((recovered.channels.len(), recovered.entries), (1, 2));
    store.close(vec![]);
}

/// Its `left` is on disk, and the power may fail before anything else is: no
/// restart is to bring back a member that was told that it has left.
#[test]
fn whose_left_is_on_disk_is_not_noted_there_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::new(dir.path());
    let names = Directory::after(1);
    let join = |slot| {
        let client = names.enter("127.0.0.1:1".parse().unwrap(), "text", 0);
        client.identify(Identity::new(Some(Uuid::from_u128(u128::from(slot)))));
        let entrance = Entrance { keeps: true, ..Entrance::at(Start::Now) };
        scene.channel.join(&client, slot, entrance, 0).unwrap().0.member
    };
    let (leaver, kicked) = (join(1), join(2));
    let noted = || scene.store.all(Table::Sessions).unwrap().len();
    assert_eq!(noted(), 2);
    scene.channel.leave(&leaver, Departure::Unsub, 0).unwrap();
    assert_eq!(noted(), 1);
    scene.channel.kick(&kicked, &scene.member, None, 0).unwrap_err();
    scene.channel.kick(&scene.member, &kicked, None, 0).unwrap();
    assert_eq!(noted(), 0);
    scene.store.close(vec![]);
}

/// A channel that is not durable once kept every change until it was on disk,
/// however long the disk took nothing: with what came before on disk, or on its way
/// there.
#[test]
fn changes_do_not_pile_up_while_nothing_is_written() {
    for is_under_way in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let scene = Scene::new(dir.path());
        if is_under_way {
            scene.stop_next();
            scene.asked.recv().unwrap();
        }
        let charter = Charter::plain(scene.channel.charter.rules().clone());
        let channel = Channel::new("plain".into(), Settings::default(), &charter);
        channel.note_made();
        let names = Directory::after(1);
        let join = || {
            let client = names.enter("127.0.0.1:1".parse().unwrap(), "text", 0);
            channel.join(&client, 0, Entrance::at(Start::Now), 0).unwrap().0.member
        };
        let first = join();
        if is_under_way {
            scene.stop_next();
            scene.go_on.send(()).unwrap();
        } else {
            scene.store.sync().wait().unwrap();
            scene.stop_next();
        }
        scene.asked.recv().unwrap();
        assert_eq!(channel.lock().extra.disk().unwrap().handed.is_some(), is_under_way);
        for _ in 0..1_000 {
            channel.leave(&join(), Departure::Unsub, 0).unwrap();
        }
        channel.leave(&first, Departure::Unsub, 0).unwrap();
        (0..3).for_each(|_| drop(join()));
        let waiting = channel.lock().extra.disk().unwrap().changes.len();
        assert!((1..=32).contains(&waiting), "{waiting} changes");
        scene.go_on.send(()).unwrap();
        scene.store.close(vec![]);
        let options = Options { dir: dir.path().to_owned(), margin: 0 };
        let (store, recovered) = Store::open(options).unwrap();
        let found = recovered.channels.iter().find(|found| found.record.name == "plain").unwrap();
        let joined: Vec<u64> = found.roster.seats.iter().map(|seat| seat.joined).collect();
        assert_eq!(joined, [2_003, 2_004, 2_005]);
        store.close(vec![]);
    }
}

/// Requests to such a channel were once refused for ever, though what was published
/// to it was taken.
#[test]
fn a_channel_that_was_made_while_a_write_failed_is_on_disk_with_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::new(dir.path());
    let charter = Charter::plain(scene.channel.charter.rules().clone());
    let channel = Channel::new("plain".into(), Settings::default(), &charter);
    let extent = {
        let mut state = channel.lock();
        let disk = state.extra.disk_mut().unwrap();
        disk.ticket = Some(Ticket::settled(Err("the disk is full".into())));
        disk.extent
    };
    assert!(channel.pending().is_some());
    channel.hand_over(&Ticket::settled(Ok(())));
    // Meanwhile somebody publishes.
    let payloads = [Payload::Plain(b"hello")];
    channel.publish(&scene.member.client, "m", None, &payloads, |_| {}, 0).unwrap();
    channel.settled(Some(extent));
    assert!(channel.pending().is_none());
    scene.store.close(vec![]);
}

/// Whoever publishes to a store that has failed is told so: it is not left waiting
/// for what it has filled the log with.
#[test]
fn nobody_waits_for_a_store_that_has_failed() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::new(dir.path());
    let (channel, publisher) = (&scene.channel, &scene.member.client);
    scene.stop_next();
    scene.asked.recv().unwrap();
    let text = vec![b'x'; 2 << 20];
    let payloads = [Payload::Plain(&text)];
    channel.publish(publisher, "m", None, &payloads, |_| {}, 0).unwrap();
    assert!(channel.must_wait(publisher, &mut None));
    channel.settled(None);
    assert!(!channel.must_wait(publisher, &mut None));
    let pending = channel.pending().unwrap();
    scene.go_on.send(()).unwrap();
    pending.wait().unwrap();
    scene.store.close(vec![]);
}
