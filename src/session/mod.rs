//! One client, free of any wire format: requests in, replies out, and what its
//! subscriptions have to read.
//!
//! The connection that owns a session calls it in turns: [`Session::handle`]
//! and [`Session::publish`] for all requests of one read, [`Session::flush`] to
//! wake the members concerned, then [`Session::gather`] and [`Session::settle`]
//! for each write.

mod adoption;
mod deliver;
mod disk;
mod extra;
mod greeting;
mod hearing;
mod identity;
mod jobs;
mod keyed;
mod lookup;
mod orders;
mod pieces;
mod publish;
mod queries;
mod reply_order;
mod scroll;
mod succession;
mod target;

pub use hearing::{Hearing, Under};
pub use lookup::{Found, Lookup, Wanted};
pub use pieces::{Batch, Piece};
pub use reply_order::{AwaitsDisk, Caused};
pub use scroll::Step;

use crate::broker::channel::{Channel, not_member};
use crate::broker::{Broker, Client, Member, Slots};
use crate::error::{Close, Code, Fault};
use crate::frame::Frame;
use crate::log::Departure;
use crate::rare::Rare;
use crate::reply::{Line, Reply};
use crate::request::Request;
use crate::store::Waiter;
use deliver::Subscription;
use ecow::EcoString;
use extra::Extra;
use identity::Introduction;
use publish::Throttled;
use std::sync::Arc;
use std::task::Waker;
use target::Target;

/// The version of the protocol that this broker speaks.
pub const PROTOCOL_VERSION: u64 = 1;

/// One client.
#[derive(Debug)]
pub struct Session {
    broker: Arc<Broker>,
    client: Arc<Client>,
    /// The client's name, cached.
    name: EcoString,
    /// The client's subscriptions, by slot.
    subscriptions: Vec<Option<Subscription>>,
    /// Slots of the subscriptions that have news.
    queue: Slots,
    /// The current channel, to which `/…` lines go.
    current: Option<EcoString>,
    /// Whether the `ok` of `pub` and `ack` is left out.
    quiet: bool,
    /// The number of this client's commands whose results are not all in.
    commands: usize,
    /// Channels with something new, whose members are yet to be woken.
    touched: Vec<Arc<Channel>>,
    /// The channels for which this client has to wait as a publisher.
    throttled: Option<Box<Throttled>>,
    /// Whether the session has another client, and so another mailbox, than before.
    changed_client: bool,
    /// What the last request has caused on this connection.
    caused: Option<Caused>,
    extra: Rare<Extra>,
    /// What the reply to the last request has to wait for. Boxed, because
    /// most wait for nothing.
    awaited: Option<Box<AwaitsDisk>>,
}

impl Session {
    /// A session for a client that has just come.
    pub fn new(broker: Arc<Broker>, client: Arc<Client>) -> Self {
        Session {
            broker,
            name: client.name(),
            client,
            subscriptions: Vec::new(),
            queue: Slots::new(),
            current: None,
            quiet: false,
            commands: 0,
            touched: Vec::new(),
            throttled: None,
            changed_client: false,
            caused: None,
            extra: Rare::default(),
            awaited: None,
        }
    }

    /// The broker, which all sessions share.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// The client.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Answers a request, as [`Session::handle`] does. If a view is given, a roster
    /// is changed, or a channel dropped, only if that is still the roster's view.
    ///
    /// # Errors
    /// As for [`Session::handle`], and [`Code::Fenced`] if the view is another one.
    pub fn handle_in(
        &mut self,
        view: Option<u64>,
        request: Request<'_>,
        now_ms: u64,
    ) -> Result<Option<Reply>, Fault> {
        if self.broker.store().is_none() {
            return self.answer(view, request, now_ms);
        }
        let name = match Target::of(&request) {
            Target::Nothing => None,
            Target::Current => self.current.clone(),
            Target::Named(name) => Some(EcoString::from(name)),
        };
        let reply = self.answer(view, request, now_ms);
        // Whatever the reply says about that channel has to be on disk first.
        if let Some(Ok(channel)) = name.map(|name| self.broker.channel(&name)) {
            self.await_disk(&channel, 1);
        }
        reply
    }

    fn answer(
        &mut self,
        view: Option<u64>,
        request: Request<'_>,
        now_ms: u64,
    ) -> Result<Option<Reply>, Fault> {
        let reply = match request {
            Request::Hello { name, quiet, session, secret, seen, format: _ } => {
                return self.hello(Introduction { name, quiet, session, secret, seen }, now_ms);
            }
            Request::Seen { channel, seq } => self.seen(&channel, seq)?,
            Request::Digest { channel, from, to } => self.digest(&channel, from, to, now_ms)?,
            Request::History { channel, start } => {
                let viewer = self.client.member(&channel);
                return self.history(&channel, start, viewer, now_ms);
            }
            Request::Create { channel, settings, if_missing } => {
                if if_missing {
                    self.broker.create_if_missing(&channel, settings, now_ms)?;
                } else {
                    self.broker.create(&channel, settings, now_ms)?;
                }
                Line::new("create").at("channel", channel).into()
            }
            Request::Drop { channel } => self.drop_channel(&channel, view)?,
            Request::Sub(request) => self.sub(&request, now_ms)?,
            Request::SubPattern { glob } => self.observe(&glob, now_ms)?,
            Request::Unsub { channel } => self.unsub(&channel, now_ms)?,
            Request::UnsubPattern { glob } => self.unsub_pattern(&glob, now_ms)?,
            Request::Use { channel } => self.use_channel(&channel)?,
            Request::Pub(publish) => return self.publish_one(publish, now_ms),
            Request::Cmd { channel, to, timeout, key, name, args } => {
                let channel = self.named(channel)?;
                let command = crate::log::Command { name: &name, args: &args };
                self.command_once(&channel, to.as_deref(), timeout, key, command, now_ms)?
            }
            Request::Ack { channel, seq, code, text } => {
                self.ack(&channel, seq, code, text)?;
                if self.quiet {
                    return Ok(None);
                }
                Line::new("ack").at("channel", channel).at("seq", seq).into()
            }
            Request::Yield { channel } => self.yield_rank(channel, view, now_ms)?,
            Request::Promote { channel, member, rank } => {
                self.promote(&channel, &member, rank, view, now_ms)?
            }
            Request::Kick { channel, member, reason } => {
                self.kick(&channel, &member, &reason, view, now_ms)?
            }
            Request::Job { verb, to, arguments } => self.job(verb, to.as_deref(), &arguments)?,
            Request::Cancel { job } => self.cancel(job)?,
            Request::Tell { member, text } => self.tell(&member, text)?,
            Request::Broadcast { text } => self.broadcast(text),
            Request::Ping => {
                self.broker.keep_lease(&self.client, now_ms);
                Line::new("ping").with("lease", self.broker.lease_ms()).into()
            }
            // Left to the connection: everything that is due has to go out first.
            Request::Quit => Reply::Quit,
            Request::Rank { channel } => self.rank(channel)?,
            Request::Ranks { channel } => self.ranks(channel)?,
            Request::Check { channel, term } => self.check(&channel, term)?,
            Request::Channels => self.channels(),
            Request::Info { channel } => self.info(&channel, now_ms)?,
            Request::Who { channel } => self.who(channel.as_deref(), now_ms)?,
            Request::Clients { last } => self.past_clients(last),
            Request::Jobs => self.jobs(),
            Request::Stats => self.stats(now_ms),
            Request::Version => queries::version(),
            Request::Help { verb } => queries::help(verb.as_deref())?,
        };
        Ok(Some(reply))
    }

    /// Wakes the members of all channels that were touched since the last call.
    pub fn flush(&mut self) {
        // Takes the buffer along: most clients that touch a channel never do again.
        for channel in std::mem::take(&mut self.touched) {
            channel.wake_touched();
        }
    }

    /// Registers the waker to be woken when there is something for this client.
    pub fn register(&self, waker: &Waker) {
        self.client.mailbox.register(waker);
    }

    /// The client, as the one to tell when a ticket is settled.
    pub fn waiter(&self) -> Arc<dyn Waiter> {
        self.client.clone()
    }

    /// Takes what others have left for this client, adding its frames to `frames`.
    /// Returns the reason if the connection is to be closed. Without `with_lane`
    /// the frames stay in the mailbox, for a later call.
    pub fn take_mail(&mut self, frames: &mut Vec<Frame>, with_lane: bool) -> Option<Close> {
        let mut mail = self.client.mailbox.take(&mut self.queue, with_lane)?;
        self.adopt_all(mail.take_adopted());
        self.commands = self.commands.saturating_sub(mail.commands_over());
        frames.extend(mail.lane);
        for (number, fetched) in mail.fetched {
            self.take_fetched(number, fetched);
        }
        mail.close
    }

    /// Puts taken frames back, for the connection with which the session goes on.
    pub fn give_back(&mut self, frames: Vec<Frame>) {
        self.commands += frames.iter().filter(|frame| frame.is_done()).count();
        self.client.mailbox.put_back(frames);
    }

    /// Counts a request that was answered `err`.
    pub fn note_fault(&self) {
        self.broker.stats.faults.add(1);
    }

    /// Whether a command of this client still waits for results.
    pub fn awaits_results(&self) -> bool {
        self.commands > 0
    }

    /// Makes the client leave all its channels. Earlier entries are still due to
    /// it.
    pub fn leave_channels(&mut self, why: Departure, now_ms: u64) {
        self.broker.leave_channels(&self.client, why, now_ms);
        self.current = None;
        let here = (0..).zip(&self.subscriptions);
        let slots: Vec<u32> =
            here.filter(|(_, place)| place.is_some()).map(|(slot, _)| slot).collect();
        self.queue.extend(slots);
    }

    /// Tells others that the connection is lost: seats that are not held for it
    /// are given up. Earlier entries are still due to the client.
    pub fn lose(&mut self, reason: Close, now_ms: u64) {
        self.broker.lose(&self.client, reason, now_ms);
        let here = (0..).zip(&self.subscriptions);
        self.queue.extend(here.filter(|(_, place)| place.is_some()).map(|(slot, _)| slot));
    }

    /// Whether the client has a subscription, if only one that has ended and still
    /// has something to read.
    pub fn is_subscribed(&self) -> bool {
        self.subscriptions.iter().any(Option::is_some)
    }

    /// Ends the session's connection: the client leaves, or can come back later.
    pub fn end(&mut self, reason: Close, now_ms: u64) {
        self.flush();
        match reason {
            Close::Quit | Close::Shutdown => self.leave(reason, now_ms),
            Close::TakenOver => self.park(reason, now_ms),
            _ => {
                self.lose(reason, now_ms);
                self.park(reason, now_ms);
            }
        }
    }

    /// The channel that a request names, or the current one.
    fn named(&self, channel: Option<String>) -> Result<EcoString, Fault> {
        let named = channel.map(EcoString::from).or_else(|| self.current.clone());
        named.ok_or_else(|| {
            Fault::new(Code::BadRequest, "which channel? name it, or choose one with sub or use")
        })
    }

    /// A channel, and this client's membership of it.
    fn membership(&self, name: &str) -> Result<(Arc<Channel>, Arc<Member>), Fault> {
        let channel = self.broker.channel(name)?;
        let member = self.client.member(name).ok_or_else(|| not_member(name))?;
        Ok((channel, member))
    }

    /// A member of a channel, by name.
    fn other_member(&self, channel: &Channel, name: &str) -> Result<Arc<Member>, Fault> {
        let client = self.broker.client(name)?;
        client.member(channel.name()).ok_or_else(|| channel.no_member(name))
    }

    fn touch(&mut self, channel: Arc<Channel>) {
        if channel.touch() {
            self.touched.push(channel);
        }
    }
}
