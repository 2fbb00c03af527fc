//! Members without a connection: an ordinary client with an ordinary session
//! that no socket drives. Whoever has its token speaks for it.
//!
//! A resident holds its seat for as long as its lease is renewed. It slows
//! nobody: publishers never wait for it, and what it does not take it finds a
//! gap for. A task of its own reads what it is sent, and ends it when its time
//! is up.

mod drive;
mod given;
mod inbox;
mod token;

pub use given::{Answered, Given};
pub use inbox::{Event, Inbox, Wants};
pub use token::Token;

use crate::broker::{Broker, Client};
use crate::error::{Close, Code, Fault};
use crate::reply::{Line, Reply};
use crate::request::{Request, Start};
use crate::runtime;
use crate::session::Held;
use crate::speaker::Speaker;
use crate::sync::lock;
use drive::End;
use given::AllGiven;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use uuid::Uuid;

/// Residents that are remembered after they have gone, so that whoever comes
/// late is told why.
const GONE_MAX: usize = 1_000;

/// A member without a connection.
#[derive(Debug)]
pub struct Resident {
    /// Its channel.
    pub channel: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What proves that somebody speaks for it.
    pub token: Token,
    /// Asks on its behalf.
    pub speaker: Speaker,
    client: Arc<Client>,
    broker: Arc<Broker>,
    state: Mutex<State>,
}

/// What changes about a resident. Locked within its session, or alone.
#[derive(Debug, Default)]
pub struct State {
    /// What it has been sent.
    pub inbox: Inbox,
    /// The commands that it has given.
    given: AllGiven,
    /// Why it has gone, if it has.
    gone: Option<&'static str>,
    /// How it left its channel, as its channel says.
    left: Option<&'static str>,
}

/// How somebody comes in.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The channel.
    pub channel: String,
    /// The name; a guest's if there is none.
    pub name: Option<String>,
    /// Whether to make the channel if it is missing.
    pub create: bool,
    /// What it takes, besides commands.
    pub wants: Wants,
}

/// A resident that is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absent {
    /// There is none with this token.
    Unknown,
    /// It has gone, for this reason.
    Gone {
        /// The channel.
        channel: Arc<str>,
        /// Its name.
        name: Arc<str>,
        /// Why.
        reason: &'static str,
    },
}

impl Resident {
    /// What changes about it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Somebody has asked on its behalf: its lease begins anew, and it keeps its
    /// seat, if that was held. The end, if it has none any more.
    fn renew(&self) -> Result<(), End> {
        // Within the session, so that it is not given up at the same time.
        let mut session = self.speaker.session();
        if let Some(reason) = self.state().gone {
            return Err((Close::Quit, reason));
        }
        self.client.heard(self.broker.now_ms());
        self.broker.keep_seats(&self.client);
        match self.client.member(&self.channel) {
            Some(_) => Ok(()),
            None => Err(self.read_end(&mut session)),
        }
    }

    /// Gives a command; its seq, and what its reply has to wait for.
    ///
    /// # Errors
    /// As for `cmd`; [`Code::Busy`] while too many of its commands are open.
    pub async fn command(&self, request: Request<'_>) -> Result<u64, Fault> {
        let (reply, held) = {
            let mut session = self.speaker.session();
            self.state().given.reserve()?;
            let reply = session.handle(request, self.broker.now_ms());
            let given = reply.map(|reply| match reply {
                Some(Reply::Line(line)) => (line.number("seq"), line.number("to")),
                _ => (None, None),
            });
            if let Ok((Some(seq), Some(to))) = given {
                // Results cannot have come: the mail is taken within the session.
                self.state().given.add(seq, to);
            }
            session.flush();
            (given, session.take_held())
        };
        self.speaker.told(reply, held).await?.0.ok_or_else(crate::speaker::no_reply)
    }

    /// A command that it has given, if that is still remembered.
    pub fn given(&self, seq: u64) -> Option<Given> {
        self.state().given.get(seq).cloned()
    }

    /// Whether all results of a command are in; so it is of one that is
    /// forgotten.
    pub fn is_over(&self, seq: u64) -> bool {
        self.state().given.get(seq).is_none_or(|given| given.ok.is_some())
    }

    /// Whether it has gone.
    pub fn has_gone(&self) -> bool {
        self.state().gone.is_some()
    }

    /// Lets go of the commands that wait for its answer no more.
    pub fn drop_answered(&self) {
        let Ok(channel) = self.broker.channel(&self.channel) else { return };
        let Some(member) = self.client.member(&self.channel) else { return };
        let open = channel.commands_due(&member);
        self.state().inbox.keep_open(&open);
    }

    fn absent(&self, reason: &'static str) -> Absent {
        Absent::Gone { channel: self.channel.clone(), name: self.name.clone(), reason }
    }
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
    /// Those that have gone, oldest first, with their tokens.
    gone: VecDeque<(Token, Absent)>,
}

impl Residents {
    /// None yet.
    pub fn new(broker: Arc<Broker>) -> Arc<Residents> {
        Arc::new(Residents { broker, table: Mutex::default() })
    }

    /// Somebody comes in; gives the resident and the reply to its `sub`.
    ///
    /// # Errors
    /// As for `hello` and `sub`; [`Code::Full`] if there are too many.
    pub async fn enter(
        self: &Arc<Self>,
        entry: Entry,
        addr: SocketAddr,
    ) -> Result<(Arc<Resident>, Line), Fault> {
        let most = self.broker.config.max_residents;
        if lock(&self.table).here.len() >= most {
            let text = format!("all {most} seats without a connection are taken");
            return Err(Fault::new(Code::Full, text));
        }
        // Its lease is looked at, not its silence.
        let client = self.broker.enter_unwatched(addr, "http");
        let speaker = Speaker::with_bell(self.broker.clone(), client);
        let seated = {
            let mut session = speaker.session();
            session.client().be_unwaited();
            seat(&mut session, &entry, self.broker.now_ms())
        };
        let (reply, held) = match seated {
            Ok(seated) => seated,
            Err(fault) => {
                speaker.session().leave(Close::Quit, self.broker.now_ms());
                return Err(fault);
            }
        };
        let resident = Arc::new(self.resident(speaker, &entry));
        lock(&self.table).here.insert(resident.token.session, resident.clone());
        runtime::spawn(drive::run(self.clone(), resident.clone()));
        if let Err(fault) = resident.speaker.on_disk(held).await {
            self.end(&resident, Close::Quit, "lost");
            return Err(fault);
        }
        Ok((resident, reply))
    }

    fn resident(&self, speaker: Speaker, entry: &Entry) -> Resident {
        let client = speaker.session().client().clone();
        // It has said hello.
        let identity = client.identity().unwrap_or_else(|| crate::broker::Identity::new(None));
        let state = State { inbox: Inbox::new(entry.wants), ..State::default() };
        Resident {
            channel: entry.channel.as_str().into(),
            name: client.name(),
            token: Token { session: identity.session, secret: identity.secret },
            speaker,
            client,
            broker: self.broker.clone(),
            state: Mutex::new(state),
        }
    }

    /// The resident with this token. Its lease begins anew.
    ///
    /// # Errors
    /// [`Absent`].
    pub fn find(&self, token: &Token) -> Result<Arc<Resident>, Absent> {
        let table = lock(&self.table);
        let here = table.here.get(&token.session).filter(|resident| resident.token == *token);
        if let Some(resident) = here.cloned() {
            drop(table);
            return self.renew(&resident).map(|()| resident);
        }
        let gone = table.gone.iter().rev().find(|(known, _)| known == token);
        Err(gone.map_or(Absent::Unknown, |(_, absent)| absent.clone()))
    }

    /// A resident's lease begins anew.
    ///
    /// # Errors
    /// [`Absent`] if it has gone.
    pub fn renew(&self, resident: &Arc<Resident>) -> Result<(), Absent> {
        resident.renew().map_err(|(close, reason)| {
            // Whoever hears of it may come in anew at once.
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

    /// A resident goes. Once is enough.
    pub fn end(&self, resident: &Arc<Resident>, close: Close, reason: &'static str) {
        {
            let mut session = resident.speaker.session();
            if resident.state().gone.replace(reason).is_some() {
                return;
            }
            let now_ms = self.broker.now_ms();
            match close {
                // Somebody else has its session now.
                Close::TakenOver => session.end(close, now_ms),
                _ => session.leave(close, now_ms),
            }
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
        // Its task, and those who wait on its behalf.
        resident.client.mailbox.wake();
        resident.speaker.ring();
    }
}

/// Introduces a client, and has it join.
fn seat(
    session: &mut crate::session::Session,
    entry: &Entry,
    now_ms: u64,
) -> Result<(Line, Option<Held>), Fault> {
    let name = entry.name.clone();
    let (session_id, secret, seen) = (None, None, Vec::new());
    session.handle(
        Request::Hello { name, quiet: false, format: None, session: session_id, secret, seen },
        now_ms,
    )?;
    let (channel, create) = (entry.channel.clone(), entry.create);
    let sub = Request::Sub { channel, start: Start::Now, create, echo: true, observe: false };
    let reply = session.handle(sub, now_ms)?;
    let fresh = session.take_fresh();
    session.announce(&fresh, true);
    session.flush();
    match reply {
        Some(Reply::Line(line)) => Ok((line, session.take_held())),
        _ => Err(crate::speaker::no_reply()),
    }
}
