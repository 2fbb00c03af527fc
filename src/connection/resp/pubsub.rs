//! Subscriptions, as Redis has them.

use super::Waiting;
use super::table;
use super::turn::{Args, Turn, no_such, wrong_arity};
use crate::error::Fault;
use crate::reply::{Line, Reply};
use crate::request::{Request, Start, check_name};
use crate::session::{Hearing, Under};
use crate::wire::resp::subscribed;
use crate::wire::rules::bad;
use std::sync::Arc;

/// A client leaves channels or patterns. It is told so when it has everything
/// that was there before: what comes after that is none of its business, and in
/// version 2 could be taken for a reply.
pub(super) struct Parting {
    end: End,
}

/// What it is told.
enum End {
    /// That it has left these; and whether it had been there.
    Left { kind: &'static str, names: Vec<(Arc<str>, bool)> },
    /// A word.
    Word(&'static str),
}

/// How many subscriptions of a kind there are.
fn count(hearing: &Hearing, kind: &str) -> u64 {
    if kind.starts_with('s') && kind != "subscribe" {
        hearing.shards()
    } else {
        hearing.subscriptions()
    }
}

impl Turn<'_> {
    /// `SUBSCRIBE CH…`, `SSUBSCRIBE CH…`
    pub(super) fn subscribe(&mut self, command: &str, args: Args<'_, '_>) -> Result<(), Fault> {
        let (kind, under, other) = match command {
            "SSUBSCRIBE" => ("ssubscribe", Under::Shard, Under::Name),
            _ => ("subscribe", Under::Name, Under::Shard),
        };
        let names = args.iter().map(|word| table::text(word)).collect::<Result<Vec<_>, _>>()?;
        names.iter().try_for_each(|name| check_name(name))?;
        for name in names {
            let mut line = Line::new(kind).at("channel", name);
            if self.session.heard(name).is_none() {
                let (channel, observe) = (name.to_owned(), !self.voice.ranked);
                let (start, create, echo) = (Start::Now, true, true);
                let sub = Request::Sub { channel, start, create, echo, observe };
                match self.session.handle(sub, self.now_ms) {
                    Ok(Some(Reply::Line(done))) => {
                        let rank = |key: &str| matches!(key, "rank" | "term" | "view");
                        let known = done.fields.into_iter().filter(|field| rank(field.key));
                        line.fields.extend(known.filter(|_| !observe));
                    }
                    Ok(_) => {}
                    Err(fault) => {
                        self.fault(fault);
                        continue;
                    }
                }
                self.session.hear(name, other, false);
            }
            self.session.hear(name, under, true);
            let line = line.with("count", count(&self.session.hearing(), kind));
            self.answer(Ok(Some(line.into())), "");
        }
        Ok(())
    }

    /// `PSUBSCRIBE PATTERN…`
    pub(super) fn psubscribe(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        for pattern in args.iter().map(|word| table::text(word)).collect::<Result<Vec<_>, _>>()? {
            let is_there = self.session.patterns().iter().any(|known| **known == *pattern);
            if !is_there && let Err(fault) = self.session.observe(pattern, self.now_ms) {
                self.fault(fault);
                continue;
            }
            let count = self.session.hearing().subscriptions();
            let line = Line::new("psubscribe").at("channel", pattern).with("count", count);
            self.answer(Ok(Some(line.into())), "");
        }
        Ok(())
    }

    /// `UNSUBSCRIBE [CH…]`, `SUNSUBSCRIBE [CH…]`
    pub(super) fn unsubscribe(&mut self, command: &str, args: Args<'_, '_>) -> Result<(), Fault> {
        let (kind, under) = match command {
            "SUNSUBSCRIBE" => ("sunsubscribe", Under::Shard),
            _ => ("unsubscribe", Under::Name),
        };
        let mut names: Vec<Arc<str>> =
            args.iter().map(|name| Ok(table::text(name)?.into())).collect::<Result<_, Fault>>()?;
        if args.is_empty() {
            names = self.session.all_heard(under);
        }
        let leave = |name: Arc<str>| {
            let was_there = self.leave(&name, under);
            (name, was_there)
        };
        let names = names.into_iter().map(leave).collect();
        self.wait(Waiting::Parting(Parting { end: End::Left { kind, names } }));
        Ok(())
    }

    /// A channel is heard under this name no more; whether it was.
    fn leave(&mut self, name: &str, under: Under) -> bool {
        let Some(heard) = self.session.heard(name) else { return false };
        let (own, others) = match under {
            Under::Name => (heard.by_name, heard.by_shard),
            Under::Shard => (heard.by_shard, heard.by_name),
        };
        if own && others {
            self.session.hear(name, under, false);
        } else if own {
            let channel = name.to_owned();
            // It may have been dropped meanwhile: all the same.
            let _ = self.session.handle(Request::Unsub { channel }, self.now_ms);
        }
        own
    }

    /// `PUNSUBSCRIBE [PATTERN…]`
    pub(super) fn punsubscribe(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        let mut patterns: Vec<Arc<str>> =
            args.iter().map(|name| Ok(table::text(name)?.into())).collect::<Result<_, Fault>>()?;
        if args.is_empty() {
            patterns = self.session.patterns();
        }
        let leave = |pattern: Arc<str>| {
            let was_there = self.session.unobserve(&pattern, self.now_ms).is_ok();
            (pattern, was_there)
        };
        let names = patterns.into_iter().map(leave).collect();
        self.wait(Waiting::Parting(Parting { end: End::Left { kind: "punsubscribe", names } }));
        Ok(())
    }

    /// Says this word when the client has what was there before.
    pub(super) fn end_with_word(&mut self, word: &'static str) {
        self.wait(Waiting::Parting(Parting { end: End::Word(word) }));
    }

    /// Goes on with leaving; whether that is over.
    pub(super) fn part(&mut self, parting: &mut Parting) -> bool {
        if self.session.is_leaving() {
            return false;
        }
        let (kind, names) = match &parting.end {
            End::Word(word) => {
                self.say(|to| {
                    to.word(word);
                });
                return true;
            }
            End::Left { kind, names } => (*kind, names),
        };
        let mut left = count(&self.session.hearing(), kind);
        if names.is_empty() {
            self.say(|to| subscribed(kind, None, left, to));
        }
        left += names.iter().filter(|(_, was_there)| *was_there).count() as u64;
        for (name, was_there) in names {
            left -= u64::from(*was_there);
            let line = Line::new(kind).at("channel", name.clone()).with("count", left);
            self.answer(Ok(Some(line.into())), "");
        }
        true
    }

    /// `PUBSUB CHANNELS [PATTERN]`, `NUMSUB [CH…]`, `NUMPAT`, and the same of
    /// shards, which are the same channels.
    pub(super) fn pubsub(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        let [word, args @ ..] = args else { return Err(wrong_arity("pubsub")) };
        let broker = self.session.broker().clone();
        match (&*word.to_ascii_uppercase(), args) {
            (b"CHANNELS" | b"SHARDCHANNELS", [] | [_]) => {
                let pattern =
                    args.first().map(|word| table::text(word)).transpose()?.unwrap_or("*");
                let pattern = glob::Pattern::new(pattern)
                    .map_err(|e| bad(format!("{pattern} is no pattern: {}", e.msg)))?;
                let mut channels = broker.channels();
                channels
                    .retain(|channel| pattern.matches(channel.name()) && channel.subscribers() > 0);
                self.say(|to| {
                    to.array(channels.len());
                    channels.iter().for_each(|channel| {
                        to.bulk(&**channel.name());
                    });
                });
            }
            (b"NUMSUB" | b"SHARDNUMSUB", names) => self.say(|to| {
                to.array(2 * names.len());
                for name in names {
                    let channel = broker.channel(&String::from_utf8_lossy(name));
                    to.bulk(name).number(channel.map_or(0, |channel| channel.subscribers()));
                }
            }),
            (b"NUMPAT", []) => self.say(|to| {
                to.number(broker.pattern_count());
            }),
            (word, _) => return Err(no_such("PUBSUB", word)),
        }
        Ok(())
    }
}
