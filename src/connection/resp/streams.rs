//! A channel's history, as Redis has streams.

use super::publish::STREAM;
use super::reading::{Part, Reading, What, keeps_some};
use super::turn::{Args, Turn, no_such, wrong_arity};
use super::{Waiting, table};
use crate::error::Fault;
use crate::request::Settings;
use crate::session::Wanted;
use crate::wire::resp::{after, fields, first_at, last_at};
use crate::wire::rules::bad;
use ecow::EcoString;

impl Turn<'_> {
    /// `XADD CH [NOMKSTREAM] [MAXLEN [=|~] N] * FIELD VALUE [FIELD VALUE]…`
    pub(super) fn xadd(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        let channel = table::text(args[0])?;
        let mut words = &args[1..];
        let (mut makes, mut most) = (true, None);
        loop {
            match words {
                [word, rest @ ..] if word.eq_ignore_ascii_case(b"NOMKSTREAM") => {
                    (makes, words) = (false, rest);
                }
                [word, sign @ (b"=" | b"~"), number, rest @ ..] if is_maxlen(word) => {
                    most = Some((table::number("MAXLEN", number)?, *sign != b"~"));
                    words = rest;
                }
                [word, number, rest @ ..] if is_maxlen(word) => {
                    most = Some((table::number("MAXLEN", number)?, true));
                    words = rest;
                }
                [word, ..] if word.eq_ignore_ascii_case(b"MINID") => {
                    return Err(bad(
                        "MINID is not served: how much a channel keeps is said when it is made",
                    ));
                }
                _ => break,
            }
        }
        let [id, pairs @ ..] = words else { return Err(wrong_arity("xadd")) };
        if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
            return Err(wrong_arity("xadd"));
        }
        if *id != b"*" {
            return Err(bad(
                "the id must be *: an entry's id is its seq in the channel, which the broker gives",
            ));
        }
        let payload = fields(pairs)?;
        let kept = self.session.broker().channel(channel).ok().map(|c| c.settings().entries_kept());
        match (kept, most) {
            (Some(kept), Some((most, true))) if kept > most => {
                return Err(bad(format!(
                    "{channel} keeps more than {most} entries: how many was said when it was made (MAXLEN ~ is let be)"
                )));
            }
            (None, _) if !makes => {
                self.say(|to| {
                    to.null();
                });
                return Ok(());
            }
            _ => {}
        }
        let history = most.map_or(STREAM.history, |(most, _)| Some(most));
        let settings = Settings { history, ..STREAM };
        self.append(channel, &[payload], Some(settings), "xadd");
        Ok(())
    }

    /// `XLEN CH`
    pub(super) fn xlen(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        let part = Part::new(table::text(args[0])?.into(), Some(0));
        let reading = Reading::new(What::Length, vec![part], u64::MAX, Wanted::Count);
        self.wait(Waiting::Reading(Box::new(reading)));
        Ok(())
    }

    /// `XRANGE CH FIRST LAST [COUNT N]`, `XREVRANGE CH LAST FIRST [COUNT N]`
    pub(super) fn xrange(&mut self, args: Args<'_, '_>, is_reverse: bool) -> Result<(), Fault> {
        let (channel, mut ends, most) = match args {
            [channel, first, last] => (channel, [first, last], usize::MAX),
            [channel, first, last, word, count] if word.eq_ignore_ascii_case(b"COUNT") => {
                let count = usize::try_from(table::number("COUNT", count)?).unwrap_or(usize::MAX);
                (channel, [first, last], count)
            }
            _ => return Err(wrong_arity(if is_reverse { "xrevrange" } else { "xrange" })),
        };
        if is_reverse {
            ends.reverse();
        }
        let (from, to) = (first_at(ends[0])?, last_at(ends[1])?);
        let part = Part::new(table::text(channel)?.into(), Some(from));
        let wanted = if is_reverse { Wanted::Newest(most) } else { Wanted::Oldest(most) };
        let reading = Reading::new(What::Range, vec![part], to, wanted);
        self.wait(Waiting::Reading(Box::new(reading)));
        Ok(())
    }

    /// `XREAD [COUNT N] [BLOCK MS] STREAMS CH… ID…`
    pub(super) fn xread(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        let broker = self.session.broker();
        let (mut most, mut until_ms, mut words) = (usize::MAX, None, args);
        let streams = loop {
            match words {
                [word, rest @ ..] if word.eq_ignore_ascii_case(b"STREAMS") => break rest,
                [word, number, rest @ ..] if word.eq_ignore_ascii_case(b"COUNT") => {
                    let count = table::number("COUNT", number)?;
                    // As in Redis, a count of 0 means all.
                    most = usize::try_from(count).ok().filter(|n| *n > 0).unwrap_or(usize::MAX);
                    words = rest;
                }
                [word, number, rest @ ..] if word.eq_ignore_ascii_case(b"BLOCK") => {
                    until_ms = Some(match table::number("BLOCK", number)? {
                        0 => u64::MAX,
                        ms => self.now_ms.saturating_add(ms),
                    });
                    words = rest;
                }
                [word, ..] => return Err(no_such("XREAD", word)),
                [] => return Err(wrong_arity("xread")),
            }
        };
        if streams.is_empty() || !streams.len().is_multiple_of(2) {
            return Err(bad(
                "Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
            ));
        }
        let (channels, ids) = streams.split_at(streams.len() / 2);
        let part = |(channel, id): (&&[u8], &&[u8])| {
            let channel: EcoString = table::text(channel)?.into();
            let from = if *id == b"$" { None } else { Some(after(id)?) };
            Ok(Part::new(channel, from))
        };
        let parts = channels.iter().zip(ids).map(part).collect::<Result<Vec<_>, Fault>>()?;
        if until_ms.is_some() {
            let names = || parts.iter().map(|part| &*part.channel);
            // Checked first: no channel is made if one cannot be waited for.
            names()
                .filter_map(|name| broker.channel(name).ok())
                .try_for_each(|c| keeps_some(&c))?;
            broker.create_all_missing(names(), STREAM, self.now_ms)?;
        }
        let reading = Reading::new(What::After { until_ms }, parts, u64::MAX, Wanted::First(most));
        self.wait(Waiting::Reading(Box::new(reading)));
        Ok(())
    }
}

fn is_maxlen(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"MAXLEN")
}
