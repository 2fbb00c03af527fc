//! One request, from its words to its reply.

use super::publish::PublishRun;
use super::pubsub::Leaves;
use super::table::{self, Command};
use super::{Skip, Voice, Waiting};
use crate::connection::input::Stop;
use crate::connection::outgoing::Outgoing;
use crate::error::{Close, Fault, quoted};
use crate::reply::Reply;
use crate::request::{Request, Resp, Subscribe};
use crate::session::{Session, Under};
use crate::wire::resp::Writer;
use crate::wire::rules::bad;
use crate::wire::spoken::Tag;
use crate::wire::text;

/// What is needed to answer a request.
pub(super) struct Turn<'t> {
    pub(super) voice: &'t mut Voice,
    pub(super) session: &'t mut Session,
    pub(super) outgoing: &'t mut Outgoing,
    pub(super) now_ms: u64,
}

/// The words of a request behind the first.
pub(super) type Args<'w, 'a> = &'w [&'a [u8]];

impl Turn<'_> {
    /// Answers a request. A message may wait in the batch for others that follow.
    ///
    /// # Errors
    /// [`Stop`].
    pub(super) fn request<'a>(
        &mut self,
        words: Args<'_, 'a>,
        batch: &mut PublishRun<'a>,
    ) -> Result<(), Stop<'a>> {
        let skips = self.voice.skip == Skip::Next;
        if !skips && !self.is_subscriber() && self.batch(words, batch)? {
            return Ok(());
        }
        self.publish(batch)?;
        if self.has_to_wait(words) {
            return Err(Stop::Wait(batch.next));
        }
        if skips {
            (self.voice.skip, self.outgoing.muted) = (Skip::This, true);
        }
        let done = self.command(words).unwrap_or_else(|fault| {
            self.fault(fault);
            None
        });
        if !self.voice.is_waiting() && !self.session.is_awaiting() {
            self.voice.unmute(self.outgoing);
        }
        done.map_or(Ok(()), |reason| Err(reason.into()))
    }

    /// Whether the client has subscribed to something with version 2, in which
    /// what it is sent cannot be told from a reply.
    fn is_subscriber(&self) -> bool {
        self.voice.version == Resp::Two && self.voice.plain && self.has_subscribed()
    }

    /// Whether the client has subscribed to something.
    pub(super) fn has_subscribed(&self) -> bool {
        let hearing = self.session.hearing();
        hearing.subscriptions() + hearing.shards() > 0
    }

    fn command(&mut self, words: Args<'_, '_>) -> Result<Option<Close>, Fault> {
        let [name, args @ ..] = words else { return Ok(None) };
        let name = String::from_utf8_lossy(name);
        let Some(command) = table::find(&name) else {
            return self.own_verb(&name, args).map(|()| None);
        };
        if self.is_subscriber() && !command.for_subscribers {
            return Err(bad(format!(
                "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
                command.name.to_ascii_lowercase()
            )));
        }
        if !command.takes(words.len()) {
            return Err(wrong_arity(&command.name.to_ascii_lowercase()));
        }
        self.dispatch(command, args)
    }

    fn dispatch(&mut self, command: &Command, args: Args<'_, '_>) -> Result<Option<Close>, Fault> {
        match command.name {
            "PING" => self.ping(args)?,
            "ECHO" => self.say(|to| {
                to.bulk(args[0]);
            }),
            "HELLO" => self.hello(args)?,
            "AUTH" => self.auth(args)?,
            "SELECT" => self.select(args[0])?,
            "CLIENT" => self.client(args)?,
            "COMMAND" => self.commands(args)?,
            "CONFIG" => self.config(args)?,
            "INFO" => self.info(args),
            "RANKED" => self.ranked(args[0])?,
            "RESET" => self.reset(),
            "SESSION" => self.introduce(args)?,
            "LEASE" => self.ask(Request::Ping),
            "DESCRIBE" => {
                let channel = table::text(args[0])?.to_owned();
                self.ask(Request::Info { channel });
            }
            "SUBSCRIBE" => self.subscribe(Under::Name, args)?,
            "SSUBSCRIBE" => self.subscribe(Under::Shard, args)?,
            "UNSUBSCRIBE" => self.unsubscribe(Leaves::Channels(Under::Name), args)?,
            "SUNSUBSCRIBE" => self.unsubscribe(Leaves::Channels(Under::Shard), args)?,
            "PUNSUBSCRIBE" => self.unsubscribe(Leaves::Patterns, args)?,
            "PSUBSCRIBE" => self.psubscribe(args)?,
            "PUBSUB" => self.pubsub(args)?,
            "PUBLISH" | "SPUBLISH" => self.publish_alone(args),
            "XADD" => self.xadd(args)?,
            "XLEN" => self.xlen(args)?,
            "XRANGE" => self.xrange(args, false)?,
            "XREVRANGE" => self.xrange(args, true)?,
            "XREAD" => self.xread(args)?,
            "QUIT" => {
                self.ok();
                return Ok(Some(Close::Quit));
            }
            name => return Err(table::unknown(name)),
        }
        Ok(None)
    }

    /// A request of the text dialect, with its words as they are.
    fn own_verb(&mut self, name: &str, args: Args<'_, '_>) -> Result<(), Fault> {
        let verb = own_verb(name);
        if !table::is_own(&verb) {
            return Err(table::unknown(name));
        }
        if self.is_subscriber() {
            return Err(bad(format!(
                "Can't execute '{verb}' with a subscription in version 2 of the protocol: say RANKED ON, or HELLO 3"
            )));
        }
        let request = own_request(&verb, args)?;
        match &request {
            Request::Sub(Subscribe { observe: false, .. }) => self.know_frames(),
            // Its result comes as a push, and to nobody else.
            Request::Job { to: None, .. } if self.voice.plain => match self.voice.version {
                Resp::Three => self.know_frames(),
                Resp::Two => {
                    return Err(bad(format!(
                        "the result of {verb} would be told behind your back in version 2 of the protocol: say HELLO 3, or RANKED ON, or {verb} --to MEMBER"
                    )));
                }
            },
            _ => {}
        }
        self.ask(request);
        Ok(())
    }

    /// Answers a request as the session does.
    pub(super) fn ask(&mut self, request: Request<'_>) {
        let reply = self.session.handle(request, self.now_ms);
        if !self.session.is_awaiting() {
            self.answer(reply, "");
        }
    }

    /// Answers a request, or several of one kind, with this reply.
    pub(super) fn answer(&mut self, reply: Result<Option<Reply>, Fault>, verb: &'static str) {
        let tag = Tag { verb, id: None };
        self.outgoing.answer(reply, self.voice.format(), &[tag], self.session);
    }

    /// Answers that a request failed.
    pub(super) fn fault(&mut self, fault: Fault) {
        self.answer(Err(fault), "");
    }

    /// Answers with a reply that waits for nothing.
    pub(super) fn say(&mut self, write: impl FnOnce(&mut Writer<'_>)) {
        let mut out = Vec::new();
        write(&mut Writer::new(self.voice.version, &mut out));
        self.outgoing.ready(&out, self.voice.format());
    }

    /// Answers `OK`.
    pub(super) fn ok(&mut self) {
        self.say(|to| {
            to.word("OK");
        });
    }

    /// Makes the client wait; what it says meanwhile is kept.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        self.voice.waiting = Some(waiting);
    }
}

/// A verb as the text dialect writes it.
fn own_verb(name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { name.to_ascii_lowercase() }
}

/// A request of the text dialect, with its words as they are.
pub(super) fn own_request(name: &str, args: Args<'_, '_>) -> Result<Request<'static>, Fault> {
    let words = args.iter().map(|word| table::text(word).map(str::to_owned));
    text::request(&own_verb(name), words.collect::<Result<_, _>>()?)
}

/// The fault for a wrong number of words, in Redis' own words.
pub(super) fn wrong_arity(command: &str) -> Fault {
    bad(format!("wrong number of arguments for '{command}' command"))
}

/// The fault for a word that a command does not know.
pub(super) fn no_such(command: &str, word: &[u8]) -> Fault {
    let word = String::from_utf8_lossy(word);
    bad(format!("{command} knows no {}", quoted(&word)))
}
