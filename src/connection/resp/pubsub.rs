//! Subscriptions, as Redis has them.

use super::table;
use super::turn::{Args, Turn, no_such, wrong_arity};
use super::{Progress, Waiting};
use crate::error::Fault;
use crate::reply::{Line, Reply};
use crate::request::{Request, Subscribe, check_name};
use crate::session::Under;
use crate::wire::resp::subscribed;
use crate::wire::rules::bad;
use ecow::EcoString;
use std::collections::VecDeque;

/// How many channels and patterns are left in one go.
const LEFT_AT_ONCE: usize = 256;

/// The leaving of channels or patterns. The client is told of it when it has got
/// everything from before: an entry that came after the answer would be out of
/// place, and in version 2 could be taken for a reply.
pub(super) struct Parting {
    kind: Leaves,
    todo: VecDeque<EcoString>,
    /// What it has left, and whether it was subscribed to that.
    left: Vec<(EcoString, bool)>,
}

/// What it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    Channels(Under),
    Patterns,
    /// Everything: `RESET`.
    All,
}

impl Leaves {
    /// Its word in the answer.
    fn as_str(self) -> &'static str {
        match self {
            Leaves::Channels(under) => under.end(),
            Leaves::Patterns => "punsubscribe",
            Leaves::All => "RESET",
        }
    }
}

impl Turn<'_> {
    /// `SUBSCRIBE CH…`, `SSUBSCRIBE CH…`
    pub(super) fn subscribe(&mut self, under: Under, args: Args<'_, '_>) -> Result<(), Fault> {
        let (kind, other) = match under {
            Under::Name => ("subscribe", Under::Shard),
            Under::Shard => ("ssubscribe", Under::Name),
        };
        let names = args.iter().map(|word| table::text(word)).collect::<Result<Vec<_>, _>>()?;
        names.iter().try_for_each(|name| check_name(name))?;
        for name in names {
            let mut line = Line::new(kind).at("channel", name);
            if self.session.heard(name).is_none() {
                let observe = !self.voice.ranked;
                let sub = Subscribe { create: true, observe, ..Subscribe::to(name) };
                match self.session.handle(Request::Sub(sub), self.now_ms) {
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
            let line = line.with("count", self.session.hearing().count(under));
            self.answer(Ok(Some(line.into())), "");
        }
        Ok(())
    }

    /// `PSUBSCRIBE PATTERN…`
    pub(super) fn psubscribe(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        for pattern in args.iter().map(|word| table::text(word)).collect::<Result<Vec<_>, _>>()? {
            let is_there = self.session.patterns().iter().any(|known| **known == *pattern);
            let observe = Request::SubPattern { glob: pattern.to_owned() };
            if !is_there && let Err(fault) = self.session.handle(observe, self.now_ms) {
                self.fault(fault);
                continue;
            }
            let count = self.session.hearing().subscriptions();
            let line = Line::new("psubscribe").at("channel", pattern).with("count", count);
            self.answer(Ok(Some(line.into())), "");
        }
        Ok(())
    }

    /// `UNSUBSCRIBE [CH…]`, `SUNSUBSCRIBE [CH…]`, `PUNSUBSCRIBE [PATTERN…]`
    pub(super) fn unsubscribe(&mut self, kind: Leaves, args: Args<'_, '_>) -> Result<(), Fault> {
        let named = args.iter().map(|name| Ok(table::text(name)?.into()));
        let todo = match kind {
            _ if !args.is_empty() => named.collect::<Result<_, Fault>>()?,
            Leaves::Channels(under) => self.session.all_heard(under).into(),
            _ => self.session.patterns().into(),
        };
        self.wait(Waiting::Parting(Parting { kind, todo, left: Vec::new() }));
        Ok(())
    }

    /// `RESET`
    pub(super) fn leave_all(&mut self) {
        let mut todo = VecDeque::from(self.session.patterns());
        todo.extend(self.session.all_heard(Under::Name));
        todo.extend(self.session.all_heard(Under::Shard));
        self.wait(Waiting::Parting(Parting { kind: Leaves::All, todo, left: Vec::new() }));
    }

    /// Leaves one of them. Returns whether the client was subscribed to it.
    fn leave_one(&mut self, kind: Leaves, name: &str) -> bool {
        match kind {
            Leaves::Channels(under) => self.leave(name, under),
            Leaves::Patterns => self.session.unobserve(name, self.now_ms).is_ok(),
            Leaves::All => {
                let was_pattern = self.session.unobserve(name, self.now_ms).is_ok();
                let was_named = self.leave(name, Under::Name);
                self.leave(name, Under::Shard) || was_named || was_pattern
            }
        }
    }

    /// Stops hearing a channel under this kind of name. Returns whether the client
    /// heard it so.
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
            // It may have been dropped meanwhile: that does not matter.
            let _ = self.session.handle(Request::Unsub { channel }, self.now_ms);
        }
        own
    }

    /// Goes on with leaving.
    pub(super) fn part(&mut self, parting: &mut Parting) -> Progress {
        if self.session.is_leaving() {
            return Progress::None;
        }
        let Parting { kind, todo, left } = parting;
        if !todo.is_empty() {
            for name in todo.drain(..todo.len().min(LEFT_AT_ONCE)) {
                let was_there = self.leave_one(*kind, &name);
                left.push((name, was_there));
            }
            return Progress::Some;
        }
        let word = kind.as_str();
        let under = match kind {
            Leaves::Channels(under) => *under,
            Leaves::Patterns => Under::Name,
            Leaves::All => {
                self.say(|to| {
                    to.word(word);
                });
                return Progress::Done;
            }
        };
        let mut count = self.session.hearing().count(under);
        if left.is_empty() {
            self.say(|to| subscribed(word, None, count, to));
        }
        count += left.iter().filter(|(_, was_there)| *was_there).count() as u64;
        for (name, was_there) in left.drain(..) {
            count -= u64::from(was_there);
            let line = Line::new(word).at("channel", name).with("count", count);
            self.answer(Ok(Some(line.into())), "");
        }
        Progress::Done
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
                    for channel in &channels {
                        to.bulk(&**channel.name());
                    }
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
