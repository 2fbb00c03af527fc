//! Publishing, and waiting for slow members.

use super::Session;
use crate::broker::channel::{Appended, Channel, Round};
use crate::broker::{Broker, Client};
use crate::error::Fault;
use crate::payload::Payload;
use crate::reply::Reply;
use crate::request::Request;
use std::sync::Arc;
use std::task::Poll;

/// The channels for which a publisher has to wait.
#[derive(Debug, Default)]
pub(super) struct Throttled(Vec<Wait>);

/// Lasts for as long as the publisher waits, and no longer.
#[derive(Debug)]
struct Wait {
    channel: Arc<Channel>,
    publisher: Arc<Client>,
    /// The round in which it enlisted to be woken, if it has.
    since: Option<Round>,
}

impl Throttled {
    fn wait_for(&mut self, channel: &Arc<Channel>, publisher: &Arc<Client>) {
        if !self.0.iter().any(|wait| Arc::ptr_eq(&wait.channel, channel)) {
            self.0.push(Wait::new(channel, publisher));
        }
    }

    /// Enlists anew at the next look, because the publisher is another client now.
    pub(super) fn wait_anew(&mut self, publisher: &Arc<Client>) {
        for wait in &mut self.0 {
            *wait = Wait::new(&wait.channel, publisher);
        }
    }
}

impl Wait {
    fn new(channel: &Arc<Channel>, publisher: &Arc<Client>) -> Self {
        Wait { channel: channel.clone(), publisher: publisher.clone(), since: None }
    }

    /// Whether this publisher has to go on waiting.
    fn goes_on(&mut self, broker: &Broker) -> bool {
        let before = self.since;
        let is_throttled = self.channel.must_wait(&self.publisher, &mut self.since);
        if is_throttled && self.since != before {
            broker.watch_stall(&self.channel, broker.now_ms());
        }
        is_throttled
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(since) = self.since {
            self.channel.stop_waiting(&self.publisher, since);
        }
    }
}

impl Session {
    /// Publishes consecutive messages, all text or all JSON; with a term only if
    /// that is still rank 0's. Each of them is a request of its own; the one reply
    /// answers them all.
    ///
    /// # Errors
    /// [`Code::NoChannel`](crate::error::Code::NoChannel),
    /// [`Code::Fenced`](crate::error::Code::Fenced),
    /// [`Code::Unavailable`](crate::error::Code::Unavailable): then none is published.
    pub fn publish(
        &mut self,
        channel: &str,
        term: Option<u64>,
        payloads: &[Payload<'_>],
        now_ms: u64,
    ) -> Result<Option<Reply>, Fault> {
        let channel = self.broker.channel(channel)?;
        let published = self.append(channel, term, payloads, |_| {}, now_ms)?;
        Ok((!self.quiet).then_some(published))
    }

    /// Publishes messages as [`Session::publish`] does, unless this client has to
    /// wait: then nothing is done, and it tries again when it may be read.
    pub fn try_publish(
        &mut self,
        channel: &str,
        payloads: &[Payload<'_>],
        now_ms: u64,
    ) -> Poll<Result<Option<Reply>, Fault>> {
        let channel = match self.broker.channel(channel) {
            Ok(channel) => channel,
            Err(fault) => return Poll::Ready(Err(fault)),
        };
        if self.has_to_wait(&channel) {
            return Poll::Pending;
        }
        let published = self.append(channel, None, payloads, |_| {}, now_ms);
        Poll::Ready(published.map(|published| (!self.quiet).then_some(published)))
    }

    /// Publishes messages to this very channel: one that was made anew under its
    /// name is another one. `note` is as for [`Channel::publish`].
    ///
    /// # Errors
    /// As for [`Session::publish`].
    pub(super) fn append(
        &mut self,
        channel: Arc<Channel>,
        term: Option<u64>,
        payloads: &[Payload<'_>],
        note: impl FnOnce(u64),
        now_ms: u64,
    ) -> Result<Reply, Fault> {
        let appended = channel.publish(&self.client, &self.name, term, payloads, note, now_ms);
        let count = payloads.len() as u64;
        if channel.is_kept() {
            self.await_disk(&channel, count);
        }
        let Appended { seq: first_seq, throttled, receivers } = appended?;
        self.broker.stats.published.add(count);
        let name = channel.name().clone();
        self.note_append(channel, throttled);
        Ok(Reply::Published { channel: name, first_seq, count, receivers })
    }

    /// Whether more requests may be read: not while a live member of a channel
    /// that this client publishes to, or wants to, is a whole log behind.
    pub fn may_read(&mut self) -> bool {
        let Some(throttled) = &mut self.throttled else { return true };
        throttled.0.retain_mut(|wait| wait.goes_on(&self.broker));
        let is_throttled = !throttled.0.is_empty();
        // What it sends meanwhile is read later: it must not count as silent.
        self.client.set_throttled(is_throttled);
        if !is_throttled {
            self.throttled = None;
        }
        !is_throttled
    }

    /// Whether this client has to wait before it appends anything to a channel. If
    /// so, it may not be read until its turn comes, and has to ask again then:
    /// others may have been quicker.
    pub fn has_to_wait(&mut self, channel: &Arc<Channel>) -> bool {
        let is_throttled = channel.is_throttled();
        if is_throttled {
            self.throttled.get_or_insert_default().wait_for(channel, &self.client);
        }
        is_throttled
    }

    /// Whether this client has to wait before a request that appends a message or a
    /// command of its own.
    pub fn has_to_wait_with(&mut self, request: &Request<'_>) -> bool {
        let name = match request {
            Request::Pub(publish) => Some(&*publish.channel),
            Request::Cmd { channel, .. } => channel.as_deref().or(self.current.as_deref()),
            _ => None,
        };
        let channel = name.and_then(|name| self.broker.channel(name).ok());
        channel.is_some_and(|channel| self.has_to_wait(&channel))
    }

    pub(super) fn note_append(&mut self, channel: Arc<Channel>, throttled: bool) {
        if throttled {
            self.throttled.get_or_insert_default().wait_for(&channel, &self.client);
        }
        self.touch(channel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Broker, Slots};
    use crate::config::Config;
    use crate::error::Close;
    use crate::request::Subscribe;
    use crate::sync::lock;
    use crate::wire::text::TextEncoder;
    use std::sync::Mutex;
    use std::task::Wake;

    /// A waker that adds its number to a list when it is woken.
    struct Woken(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            lock(&self.1).push(self.0);
        }
    }

    /// Begins a session, or resumes it.
    fn hello() -> Request<'static> {
        let (name, format, secret, seen) = (None, None, None, Vec::new());
        let session = Some(uuid::Uuid::from_u128(1));
        Request::Hello { name, quiet: false, format, session, secret, seen }
    }

    /// A publisher that fills the log whenever it is open does not keep others from
    /// ever getting their turn.
    #[test]
    fn who_has_waited_in_vain_is_woken_first() {
        let config = Config { log_bytes: 10_000, ..Config::default() };
        let broker = Broker::open(config, Box::new(TextEncoder)).unwrap();
        let come = || {
            let client = broker.enter("127.0.0.1:1".parse().unwrap(), "text");
            Session::new(broker.clone(), client)
        };
        let (mut quick, mut patient, woken) = (come(), come(), Arc::default());
        let text = vec![b'x'; 20_000];
        let payloads = [Payload::Plain(&text)];
        for round in 0..2 {
            let mut slow = come();
            slow.sub(&Subscribe { create: true, ..Subscribe::to("c") }, 0).unwrap();
            assert!(quick.may_read());
            quick.publish("c", None, &payloads, 0).unwrap();
            for (number, waits) in [&mut quick, &mut patient].into_iter().enumerate() {
                // The one has published, the other would like to.
                assert!(round > 0 || waits.try_publish("c", &payloads, 0).is_pending());
                waits.client.mailbox.take(&mut Slots::new(), true);
                waits.register(&Arc::new(Woken(number, Arc::clone(&woken))).into());
                assert!(!waits.may_read());
            }
            slow.end(Close::Quit, 0);
        }
        assert_eq!(*lock(&woken), [0, 1, 1, 0]);
        assert!(patient.may_read() && patient.try_publish("c", &payloads, 0).is_ready());
    }

    #[test]
    fn who_publishes_to_several_channels_waits_for_all_of_them() {
        let config = Config { log_bytes: 10_000, ..Config::default() };
        let broker = Broker::open(config, Box::new(TextEncoder)).unwrap();
        let come = || {
            let client = broker.enter("127.0.0.1:1".parse().unwrap(), "text");
            Session::new(broker.clone(), client)
        };
        let (mut publisher, mut slow, mut slower) = (come(), come(), come());
        for (reader, channel) in [(&mut slower, "a"), (&mut slow, "b")] {
            reader.sub(&Subscribe { create: true, ..Subscribe::to(channel) }, 0).unwrap();
        }
        let text = vec![b'x'; 20_000];
        let payloads = [Payload::Plain(&text)];
        for channel in ["a", "b"] {
            publisher.publish(channel, None, &payloads, 0).unwrap();
        }
        assert!(!publisher.may_read());
        slow.end(Close::Quit, 0);
        assert!(!publisher.may_read(), "nothing has been read of the first one");
        slower.end(Close::Quit, 0);
        assert!(publisher.may_read());
    }

    /// While members or the disk catch up, many may come, try, and go.
    #[test]
    fn who_goes_or_becomes_another_one_while_it_waits_is_not_kept() {
        let config = Config { log_bytes: 10_000, ..Config::default() };
        let broker = Broker::open(config, Box::new(TextEncoder)).unwrap();
        let come = || {
            let client = broker.enter("127.0.0.1:1".parse().unwrap(), "text");
            Session::new(broker.clone(), client)
        };
        let (mut publisher, mut slow, mut known) = (come(), come(), come());
        slow.sub(&Subscribe { create: true, ..Subscribe::to("c") }, 0).unwrap();
        let text = vec![b'x'; 20_000];
        let payloads = [Payload::Plain(&text)];
        publisher.publish("c", None, &payloads, 0).unwrap();
        known.handle(hello(), 0).unwrap();
        known.end(Close::Lost, 0);
        let waits = |session: &mut Session| {
            assert!(session.try_publish("c", &payloads, 0).is_pending() && !session.may_read());
            Arc::downgrade(&session.client)
        };
        let (mut gone, mut resumed) = (Vec::new(), come());
        gone.push(waits(&mut resumed));
        resumed.handle(hello(), 0).unwrap();
        assert!(!resumed.may_read());
        for close in [Close::Quit, Close::Lost, Close::Timeout] {
            let mut session = come();
            gone.push(waits(&mut session));
            session.end(close, 0);
        }
        assert!(gone.iter().all(|client| client.upgrade().is_none()));
        slow.end(Close::Quit, 0);
        assert!(publisher.may_read() && resumed.may_read());
    }

    /// The connection that is over may take its time until its session is dropped.
    #[test]
    fn who_waits_on_another_connection_is_woken_there() {
        let config = Config { log_bytes: 10_000, ..Config::default() };
        let broker = Broker::open(config, Box::new(TextEncoder)).unwrap();
        let come = || {
            let client = broker.enter("127.0.0.1:1".parse().unwrap(), "text");
            Session::new(broker.clone(), client)
        };
        let (mut before, mut after, mut slow) = (come(), come(), come());
        slow.sub(&Subscribe { create: true, ..Subscribe::to("c") }, 0).unwrap();
        let text = vec![b'x'; 20_000];
        let payloads = [Payload::Plain(&text)];
        before.handle(hello(), 0).unwrap();
        before.publish("c", None, &payloads, 0).unwrap();
        assert!(!before.may_read());
        before.end(Close::Lost, 0);
        after.handle(hello(), 0).unwrap();
        assert!(after.try_publish("c", &payloads, 0).is_pending());
        after.client.mailbox.take(&mut Slots::new(), true);
        let woken = Arc::default();
        after.register(&Arc::new(Woken(1, Arc::clone(&woken))).into());
        assert!(!after.may_read());
        drop(before);
        slow.end(Close::Quit, 0);
        assert_eq!(*lock(&woken), [1]);
    }
}
