//! What a client says of itself and its connection.

use super::turn::{Args, Turn, no_such, wrong_arity};
use super::{Skip, server, table};
use crate::broker::Client;
use crate::error::{Fault, quoted};
use crate::request::{Request, Resp};
use crate::wire::rules::bad;
use crate::wire::text;
use std::fmt::Write;
use std::sync::Arc;

/// The most bytes of a connection's label.
const LABEL_BYTES_MAX: usize = 128;

/// Errors in Redis' own words, by which clients know them.
const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";
const WRONG_USER: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_VERSION: &str = "NOPROTO unsupported protocol version";

impl Turn<'_> {
    pub(super) fn ping(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        if args.len() > 1 {
            return Err(wrong_arity("ping"));
        }
        if !self.voice.plain {
            // A client that may hold a rank may have a lease to renew.
            self.session.handle(Request::Ping, self.now_ms)?;
        }
        let as_push = self.has_subscribed() && self.voice.version == Resp::Two;
        self.say(|to| match args.first() {
            word if as_push => {
                to.array(2).bulk("pong").bulk(word.unwrap_or(&&b""[..]));
            }
            None => {
                to.word("PONG");
            }
            Some(word) => {
                to.bulk(word);
            }
        });
        Ok(())
    }

    /// `HELLO [VERSION [AUTH USER PASSWORD] [SETNAME NAME]]`
    pub(super) fn hello(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        let (mut version, mut label) = (self.voice.version, None);
        let mut words = args.iter();
        if let Some(word) = words.next() {
            version = match *word {
                b"2" => Resp::Two,
                b"3" => Resp::Three,
                _ => {
                    self.say(|to| {
                        to.error(NO_VERSION);
                    });
                    return Ok(());
                }
            };
        }
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"AUTH") {
                let (Some(user), Some(_)) = (words.next(), words.next()) else {
                    return Err(wrong_arity("hello"));
                };
                if *user != b"default" {
                    self.say(|to| {
                        to.error(WRONG_USER);
                    });
                    return Ok(());
                }
            } else if word.eq_ignore_ascii_case(b"SETNAME") {
                label = Some(*words.next().ok_or_else(|| wrong_arity("hello"))?);
            } else {
                return Err(no_such("HELLO", word));
            }
        }
        if let Some(label) = label {
            self.set_label(label)?;
        }
        self.voice.version = version;
        let id = self.session.client().id;
        self.say(|to| {
            to.map(7).bulk("server").bulk("redis").bulk("version").bulk(server::LIKE_REDIS);
            to.bulk("proto").number(if version == Resp::Three { 3 } else { 2 });
            to.bulk("id").number(id).bulk("mode").bulk("standalone");
            to.bulk("role").bulk("master").bulk("modules").array(0);
        });
        Ok(())
    }

    /// Answers as Redis does when it has no passwords: there are none.
    pub(super) fn auth(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        match args {
            [_] => self.say(|to| {
                to.error(NO_PASSWORD);
            }),
            [b"default", _] => self.ok(),
            [_, _] => self.say(|to| {
                to.error(WRONG_USER);
            }),
            _ => return Err(wrong_arity("auth")),
        }
        Ok(())
    }

    pub(super) fn select(&mut self, database: &[u8]) -> Result<(), Fault> {
        match database {
            b"0" => self.ok(),
            _ => return Err(bad("DB index is out of range: there is one database, 0")),
        }
        Ok(())
    }

    /// `RANKED ON` or `OFF`
    pub(super) fn ranked(&mut self, word: &[u8]) -> Result<(), Fault> {
        self.voice.ranked = on_or_off("RANKED", word)?;
        if self.voice.ranked {
            self.know_frames();
        }
        self.ok();
        Ok(())
    }

    /// Treats the client from now on as one that knows what this broker has beyond
    /// Redis.
    pub(super) fn know_frames(&mut self) {
        if std::mem::take(&mut self.voice.plain) {
            let client = self.session.client();
            client.be_plain(false);
            // A client that may hold a rank has to give signs of life.
            self.session.broker().watch(client, self.voice.format().as_str());
        }
    }

    /// `SESSION`: what `hello` is in the text dialect.
    pub(super) fn introduce(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        let words = args.iter().map(|word| table::text(word).map(str::to_owned));
        let request = text::request("hello", words.collect::<Result<_, _>>()?)?;
        if matches!(&request, Request::Hello { format, quiet, .. } if format.is_some() || *quiet) {
            return Err(bad("SESSION has neither --format nor --quiet; see CLIENT REPLY"));
        }
        self.know_frames();
        self.ask(request);
        Ok(())
    }

    /// Makes the connection as if new, except for a session that has been begun.
    pub(super) fn reset(&mut self) {
        (self.voice.version, self.voice.ranked) = (Resp::Two, false);
        self.voice.label = Box::default();
        self.outgoing.muted = false;
        self.leave_all();
    }

    pub(super) fn client(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        let [word, args @ ..] = args else { return Err(wrong_arity("client")) };
        let word = word.to_ascii_uppercase();
        match (&*word, args) {
            (b"ID", []) => {
                let id = self.session.client().id;
                self.say(|to| {
                    to.number(id);
                });
            }
            (b"GETNAME", []) => {
                let label = self.voice.label.clone();
                self.say(|to| {
                    if label.is_empty() {
                        to.null()
                    } else {
                        to.bulk(&*label)
                    };
                });
            }
            (b"SETNAME", [label]) => {
                self.set_label(label)?;
                self.ok();
            }
            (b"INFO", []) => {
                let line = self.line(&self.session.client().clone());
                self.say(|to| {
                    to.bulk(line);
                });
            }
            (b"LIST", _) => {
                let all = self.session.broker().everyone();
                let lines: String = all.iter().map(|client| self.line(client)).collect();
                self.say(|to| {
                    to.bulk(lines);
                });
            }
            (b"REPLY", [word]) if word.eq_ignore_ascii_case(b"SKIP") => {
                if !self.outgoing.muted {
                    self.voice.skip = Skip::Next;
                }
            }
            (b"REPLY", [word]) => {
                self.outgoing.muted = !on_or_off("CLIENT REPLY", word)?;
                self.ok();
            }
            // What they ask for changes nothing here.
            (b"SETINFO", [_, _]) | (b"NO-EVICT" | b"NO-TOUCH", [_]) => self.ok(),
            _ => return Err(no_such("CLIENT", &word)),
        }
        Ok(())
    }

    /// Sets the connection's label, which others may have as well. If it can be the
    /// client's name on the broker, and nobody has that, it becomes that, too.
    fn set_label(&mut self, label: &[u8]) -> Result<(), Fault> {
        let label = table::text(label)?;
        let is_allowed = label.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_allowed || label.len() > LABEL_BYTES_MAX {
            return Err(bad(format!(
                "{} is no label: at most {LABEL_BYTES_MAX} printable characters, no blanks",
                quoted(label)
            )));
        }
        self.voice.label = label.into();
        if !label.is_empty() {
            self.session.bear_name(label);
        }
        Ok(())
    }

    /// A line of `CLIENT LIST`.
    fn line(&self, client: &Arc<Client>) -> String {
        let origin = client.origin();
        let age = self.now_ms.saturating_sub(origin.since_ms) / 1_000;
        let idle = self.now_ms.saturating_sub(client.heard_ms()) / 1_000;
        let (subscriptions, patterns) = {
            let subscriptions = crate::sync::lock(&client.subscriptions);
            (subscriptions.len(), subscriptions.patterns().len())
        };
        let mut line = format!("id={} addr={} name={}", client.id, origin.addr, client.name());
        let _ = write!(line, " age={age} idle={idle} db=0 sub={subscriptions} psub={patterns}");
        let _ = writeln!(line, " dialect={}", origin.dialect);
        line
    }
}

fn on_or_off(what: &str, word: &[u8]) -> Result<bool, Fault> {
    match word.to_ascii_uppercase().as_slice() {
        b"ON" => Ok(true),
        b"OFF" => Ok(false),
        _ => Err(no_such(what, word)),
    }
}
