//! All residents of a broker, by their tokens.

use super::drive;
use super::{Inbox, Resident, State, Token, Wants};
use crate::broker::{Broker, CallbackRecord, Identity};
use crate::error::{Close, Code, Fault};
use crate::reply::{Line, Reply};
use crate::request::{Request, Subscribe, dialect};
use crate::runtime;
use crate::session::Session;
use crate::speaker::Speaker;
use crate::store::Ticket;
use crate::sync::lock;
use ecow::EcoString;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// How many residents are remembered after they have gone, so that a late request
/// is told why.
const GONE_MAX: usize = 1_000;

/// What it takes to become a resident.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The channel.
    pub channel: String,
    /// The name; a guest's if there is none.
    pub name: Option<String>,
    /// Whether to make the channel if it is missing.
    pub create: bool,
    /// The events that it wants, besides commands.
    pub wants: Wants,
    /// Where to call it, if it does not ask for its events.
    pub callback: Option<CallbackRecord>,
}

/// A resident that is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absent {
    /// No resident has this token.
    Unknown,
    /// It has gone, for this reason.
    Gone {
        /// The channel.
        channel: EcoString,
        /// Its name.
        name: EcoString,
        /// Why.
        reason: &'static str,
    },
}

/// All residents of a broker.
#[derive(Debug)]
pub struct Residents {
    broker: Arc<Broker>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    here: HashMap<Uuid, Arc<Resident>>,
    /// How many are about to enter.
    entering: usize,
    /// Those that have gone, oldest first, with their tokens.
    gone: VecDeque<(Token, Absent)>,
}

/// A place in the table for a resident that has not entered yet.
#[derive(Debug)]
struct Reserved<'r>(&'r Residents);

impl Reserved<'_> {
    /// Puts the resident into the place.
    fn take(self, resident: &Arc<Resident>) {
        let mut table = lock(&self.0.table);
        table.here.insert(resident.token.session, resident.clone());
        table.entering -= 1;
        std::mem::forget(self);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        lock(&self.0.table).entering -= 1;
    }
}

impl Residents {
    /// The residents of this broker, none yet.
    pub fn new(broker: Arc<Broker>) -> Arc<Residents> {
        Arc::new(Residents { broker, table: Mutex::default() })
    }

    /// Enters a resident; returns it and the reply to its `sub`.
    ///
    /// # Errors
    /// As for `hello` and `sub`; [`Code::Full`] if there are too many.
    pub async fn enter(
        self: &Arc<Self>,
        entry: Entry,
        addr: SocketAddr,
    ) -> Result<(Arc<Resident>, Line), Fault> {
        let place = self.place()?;
        // The lease is checked by its own task, not by the broker's idle check.
        let client = self.broker.enter_unwatched(addr, dialect::HTTP);
        let speaker = Speaker::with_bell(self.broker.clone(), client);
        let seated = {
            let mut session = speaker.session();
            session.client().be_unwaited(true);
            seat(&mut session, &entry, self.broker.now_ms())
        };
        let (reply, ticket) = match seated {
            Ok(seated) => seated,
            Err(fault) => {
                speaker.session().leave(Close::Quit, self.broker.now_ms());
                return Err(fault);
            }
        };
        let resident = self.settle(speaker, entry.channel.into(), entry.wants, 0, place);
        if let Err(fault) = crate::speaker::on_disk(ticket).await {
            self.end(&resident, Close::Quit, "lost");
            return Err(fault);
        }
        Ok((resident, reply))
    }

    /// Reserves a place for one more.
    fn place(&self) -> Result<Reserved<'_>, Fault> {
        let most = self.broker.current().max_residents;
        let mut table = lock(&self.table);
        if table.here.len() + table.entering >= most {
            let text = format!("all {most} seats without a connection are taken");
            return Err(Fault::new(Code::Full, text));
        }
        table.entering += 1;
        Ok(Reserved(self))
    }

    /// Reserves a place even beyond the limit.
    fn one_more(&self) -> Reserved<'_> {
        lock(&self.table).entering += 1;
        Reserved(self)
    }

    /// Makes a resident of a client that has its seat, and starts its task.
    fn settle(
        self: &Arc<Self>,
        speaker: Speaker,
        channel: EcoString,
        wants: Wants,
        last_of_before: u64,
        place: Reserved<'_>,
    ) -> Arc<Resident> {
        let client = speaker.session().client().clone();
        client.be_plain(!wants.frames);
        // It has said hello, so it has an identity.
        let identity = client.identity().unwrap_or_else(|| Identity::new(None));
        let state = State { inbox: Inbox::new(wants), ..State::default() };
        let resident = Arc::new(Resident {
            channel,
            name: client.name(),
            token: Token { session: identity.session, secret: identity.secret },
            speaker,
            client,
            broker: self.broker.clone(),
            last_of_before,
            state: Mutex::new(state),
        });
        place.take(&resident);
        runtime::spawn(drive::run(self.clone(), resident.clone()));
        resident
    }

    /// The resident with this token, for a request from `addr`. Renews its lease.
    ///
    /// # Errors
    /// [`Absent`].
    pub fn find(
        self: &Arc<Self>,
        token: &Token,
        addr: SocketAddr,
    ) -> Result<Arc<Resident>, Absent> {
        let known = {
            let table = lock(&self.table);
            let here = table.here.get(&token.session).filter(|resident| resident.token == *token);
            let gone = || table.gone.iter().rev().find(|(known, _)| known == token);
            match (here, gone) {
                (Some(resident), _) => Some(Ok(resident.clone())),
                (None, gone) => gone().map(|(_, absent)| Err(absent.clone())),
            }
        };
        match known {
            Some(Ok(resident)) => self.renew(&resident).map(|()| resident),
            Some(Err(absent)) => Err(absent),
            None => self.revive(token, Wants::default(), addr).ok_or(Absent::Unknown),
        }
    }

    /// A resident from before a restart of the broker, if its seat is still kept.
    pub fn revive(
        self: &Arc<Self>,
        token: &Token,
        wants: Wants,
        addr: SocketAddr,
    ) -> Option<Arc<Resident>> {
        // Sessions that are no resident's are not even resumed: others would see
        // them come and go.
        if !self.broker.is_parked_in_one(token.session) {
            return None;
        }
        let client = self.broker.enter_unwatched(addr, dialect::HTTP);
        let speaker = Speaker::with_bell(self.broker.clone(), client);
        let channel = {
            let mut session = speaker.session();
            session.client().be_unwaited(true);
            let channel = resume(&mut session, token, self.broker.now_ms());
            if channel.is_none() {
                session.end(Close::Lost, self.broker.now_ms());
            }
            channel?
        };
        // A resident with a seat is not turned away, however many there are by now.
        let place = self.one_more();
        // A resident without a callback asks for commands, and gets only those that
        // still wait for an answer.
        let before = if wants.frames { self.broker.last_of_before(&channel) } else { 0 };
        let resident = self.settle(speaker, channel, wants, before, place);
        log::info!("event=resident-back channel={} member={}", resident.channel, resident.name);
        Some(resident)
    }

    /// Renews a resident's lease.
    ///
    /// # Errors
    /// [`Absent`] if it has gone.
    pub fn renew(&self, resident: &Arc<Resident>) -> Result<(), Absent> {
        resident.renew().map_err(|(close, reason)| {
            // The caller may enter anew at once, so it ends here.
            self.end(resident, close, reason);
            resident.absent(reason)
        })
    }

    /// The last resident of this name that has gone from this channel.
    pub fn gone(&self, of: &str, called: &str) -> Option<Absent> {
        let table = lock(&self.table);
        let gone = table.gone.iter().rev().map(|(_, absent)| absent);
        let mut gone = gone.filter(|absent| {
            matches!(absent, Absent::Gone { channel, name, .. } if **channel == *of && **name == *called)
        });
        gone.next().cloned()
    }

    /// Ends a resident. Only the first call has an effect.
    pub fn end(&self, resident: &Arc<Resident>, close: Close, reason: &'static str) {
        {
            let mut session = resident.speaker.session();
            if resident.state().gone.replace(reason).is_some() {
                return;
            }
            let now_ms = self.broker.now_ms();
            match close {
                // Another connection has its session now.
                Close::TakenOver => session.end(close, now_ms),
                _ => session.leave(close, now_ms),
            }
        }
        // A callback outlives a stop of the broker: the next one calls it.
        if !matches!(close, Close::Shutdown | Close::Drain) {
            self.broker.forget_callback(resident.token.session);
        }
        log::info!(
            "event=resident-gone channel={} member={} reason={reason}",
            resident.channel,
            resident.name
        );
        let mut table = lock(&self.table);
        table.here.remove(&resident.token.session);
        if table.gone.len() == GONE_MAX {
            table.gone.pop_front();
        }
        table.gone.push_back((resident.token, resident.absent(reason)));
        drop(table);
        // Wakes its task, and those that wait on its behalf.
        resident.client.mailbox.wake();
        resident.speaker.ring_out();
    }
}

/// Introduces a client, and joins its channel.
fn seat(
    session: &mut Session,
    entry: &Entry,
    now_ms: u64,
) -> Result<(Line, Option<Ticket>), Fault> {
    session.handle(hello(entry.name.clone(), None), now_ms)?;
    // Recorded before the seat, which so is never on disk without it.
    if let Some(callback) = &entry.callback {
        session.broker().remember_callback(session.client(), callback);
    }
    let sub = Subscribe { create: entry.create, ..Subscribe::to(&*entry.channel) };
    let reply = session.handle(Request::Sub(sub), now_ms)?;
    session.flush();
    match reply {
        Some(Reply::Line(line)) => Ok((line, session.take_ticket())),
        _ => Err(crate::speaker::no_reply()),
    }
}

/// Resumes a session that was parked; returns the channel that it is a member of,
/// if that is exactly one.
fn resume(session: &mut Session, token: &Token, now_ms: u64) -> Option<EcoString> {
    session.handle(hello(None, Some(token)), now_ms).ok().flatten()?;
    session.flush();
    let subscriptions = lock(&session.client().subscriptions);
    let mut here =
        subscriptions.iter().filter(|(_, member)| !member.has_left() && !member.is_observer());
    let (channel, _) = here.next()?;
    here.next().is_none().then(|| channel.name().clone())
}

fn hello(name: Option<String>, token: Option<&Token>) -> Request<'static> {
    let session = token.map(|token| token.session);
    let secret = token.map(|token| token.secret.simple().to_string());
    Request::Hello { name, quiet: false, format: None, session, secret, seen: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::payload::Payload;
    use crate::request::Settings;
    use crate::wire::text::TextEncoder;
    use futures::FutureExt;
    use std::sync::Barrier;
    use std::time::{Duration, Instant};

    /// However many come at once, and whatever keeps some of them out.
    #[test]
    fn there_are_never_too_many() {
        const MOST: usize = 3;
        let config = Config { max_residents: MOST, ..Config::default() };
        let broker = Broker::open(config, Box::new(TextEncoder)).unwrap();
        let residents = Residents::new(broker);
        let addr: SocketAddr = "127.0.0.1:1".parse().unwrap();
        for round in 0..100 {
            let barrier = Barrier::new(8);
            let enter = |n: usize| {
                let name = n.is_multiple_of(2).then(|| format!("r{round}-{}", n / 4));
                let wants = Wants::default();
                let (channel, callback) = ("ops".into(), None);
                let entry = Entry { channel, name, create: true, wants, callback };
                barrier.wait();
                runtime::block_on(residents.enter(entry, addr)).map(|(resident, _)| resident)
            };
            let entered = std::thread::scope(|scope| {
                let all: Vec<_> = (0..8)
                    .map(|n| {
                        scope.spawn({
                            let enter = &enter;
                            move || enter(n)
                        })
                    })
                    .collect();
                all.into_iter().filter_map(|one| one.join().unwrap().ok()).collect::<Vec<_>>()
            });
            // A place reserved for a moment may have kept another one out.
            assert!(entered.len() <= MOST, "{} in round {round}", entered.len());
            for resident in entered {
                residents.end(&resident, Close::Quit, "quit");
            }
        }
        assert_eq!(lock(&residents.table).entering, 0);
    }

    /// Long enough for whatever must not wait for ever.
    const SOON: Duration = Duration::from_secs(10);

    /// A broker, and a resident in a channel of it.
    fn resident_in(
        config: Config,
        settings: Settings,
    ) -> (Arc<Broker>, Arc<Residents>, Arc<Resident>) {
        let broker = Broker::open(config, Box::new(TextEncoder)).unwrap();
        broker.create("ops", settings, 0).unwrap();
        let residents = Residents::new(broker.clone());
        let (channel, wants) = ("ops".into(), Wants::default());
        let entry = Entry { channel, name: None, create: false, wants, callback: None };
        let addr = "127.0.0.1:1".parse().unwrap();
        let (resident, _) = runtime::block_on(residents.enter(entry, addr)).unwrap();
        (broker, residents, resident)
    }

    /// Publishes this many bytes on behalf of a resident; returns what the reply
    /// waits for.
    fn publish(resident: &Resident, bytes: usize) -> Option<Ticket> {
        let text = vec![b'x'; bytes];
        let mut session = resident.speaker.session();
        session.publish("ops", None, &[Payload::Plain(&text)], 0).unwrap();
        session.take_ticket()
    }

    #[test]
    fn who_waits_for_room_waits_no_more_when_the_resident_has_gone() {
        let stall = Duration::from_secs(600);
        let config = Config { log_bytes: 10_000, stall, ..Config::default() };
        let (broker, residents, resident) = resident_in(config, Settings::default());
        let mut slow =
            Session::new(broker.clone(), broker.enter("[::1]:1".parse().unwrap(), "text"));
        slow.handle(Request::Sub(Subscribe::to("ops")), 0).unwrap();
        publish(&resident, 20_000);
        let mut room = Box::pin(resident.speaker.room());
        assert!(room.as_mut().now_or_never().is_none(), "nothing is read");
        residents.end(&resident, Close::Quit, "quit");
        assert!(runtime::block_on(runtime::timeout(SOON, room)).is_some());
        // As after any request that was asked just before.
        let room = resident.speaker.room();
        assert!(runtime::block_on(runtime::timeout(SOON, room)).is_some());
    }

    /// Also before that is on disk, and while another one has the channel's name.
    #[test]
    fn whose_channel_was_dropped_is_not_told_that_it_was_kicked() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data: Some(dir.path().join("data")), ..Config::default() };
        let (broker, residents, resident) = resident_in(config, Settings::default());
        {
            let mut session = resident.speaker.session();
            session.handle(Request::Drop { channel: "ops".into() }, 0).unwrap();
            session.flush();
        }
        broker.create("ops", Settings::default(), 0).unwrap();
        assert_eq!(residents.renew(&resident), Err(resident.absent("dropped")));
    }

    /// A broker that keeps its data in this folder, and somebody about to enter who wants
    /// to be called back.
    fn called_back(dir: &std::path::Path) -> (Arc<Broker>, Session, Entry) {
        let config = Config { data: Some(dir.join("data")), ..Config::default() };
        let broker = Broker::open(config, Box::new(TextEncoder)).unwrap();
        let addr = "127.0.0.1:1".parse().unwrap();
        let url = "http://127.0.0.1/".into();
        let callback = Some(CallbackRecord { url, messages: true, roster: false, addr });
        let (wants, channel) = (Wants::default(), "ops".into());
        let entry = Entry { channel, name: None, create: true, wants, callback };
        let session = Session::new(broker.clone(), broker.enter_unwatched(addr, "http"));
        (broker, session, entry)
    }

    /// A broker that is killed after that knows where to call it.
    #[test]
    fn a_call_back_is_noted_before_the_seat() {
        let dir = tempfile::tempdir().unwrap();
        let (broker, mut session, entry) = called_back(dir.path());
        let record = entry.callback.clone().unwrap();
        seat(&mut session, &entry, 0).unwrap();
        let called = broker.callbacks_of_before().unwrap();
        assert_eq!(called.into_iter().map(|(_, record)| record).collect::<Vec<_>>(), [record]);
    }

    #[test]
    fn who_waits_for_the_disk_hears_of_it_when_the_resident_has_gone() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data: Some(dir.path().join("data")), ..Config::default() };
        let settings = Settings { durable: true, ..Settings::default() };
        let (_broker, residents, resident) = resident_in(config, settings);
        let ticket = publish(&resident, 1_000_000);
        assert!(ticket.is_some());
        let mut told = Box::pin(resident.speaker.told(Ok(()), ticket));
        // Unless the disk was faster.
        if told.as_mut().now_or_never().is_none() {
            residents.end(&resident, Close::Quit, "quit");
            let began = Instant::now();
            let told = runtime::block_on(runtime::timeout(SOON, told));
            assert!(told.is_some_and(|told| told.is_ok()));
            // When the time is up it is looked at once more.
            assert!(began.elapsed() < SOON);
        }
    }

    /// As that of one whose seat is given up, and that nobody revives.
    #[test]
    fn no_call_back_outlives_its_session_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (broker, mut session, entry) = called_back(dir.path());
        session.client().be_unwaited(true);
        seat(&mut session, &entry, 0).unwrap();
        session.leave(Close::Quit, 0);
        let rows = broker.store().unwrap().all(crate::store::Table::Sessions).unwrap();
        assert_eq!(rows.len(), 0);
    }
}
