//! Answers about older entries: the entries, or a digest of them, read from the disk
//! piece by piece. However long a channel's history is, only one piece of it is in
//! memory at a time. Entries that are in memory anyway are written piece by piece.

use super::Session;
use crate::broker::Member;
use crate::broker::channel::{Behind, Channel, Past};
use crate::error::{Code, Fault};
use crate::log::Body;
use crate::reply::{Excerpt, Line, Reply};
use crate::request::Start;
use crate::store::Fetched;
use ecow::EcoString;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::sync::Arc;

/// About how many bytes of entries in memory are passed on at a time; at least one
/// chunk is.
const PIECE_BYTES: usize = 64 * 1024;

/// An answer that is read piece by piece.
#[derive(Debug)]
pub(super) struct Scroll {
    channel: Arc<Channel>,
    /// What was asked for, and the last seq at that time. It is looked up when the
    /// answer is due, so that it has what the client published before, and nothing
    /// that came later.
    ask: Option<(Ask, u64)>,
    /// What is left of what was found in memory.
    here: VecDeque<Excerpt>,
    /// What is left to read from the disk.
    behind: Option<Behind>,
    /// The number of the read under way.
    pub(super) asked: Option<u64>,
    pub(super) read: Option<Fetched>,
    sum: Sum,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
enum Ask {
    History(Start),
    Digest { from: u64, to: u64 },
}

/// What becomes of the entries that are read.
#[derive(Debug)]
enum Sum {
    /// They are shown, except commands that were not for this member.
    Shown { viewer: Option<Arc<Member>>, rank: u32, count: u64 },
    /// Their messages go into a digest.
    Digest { from: u64, to: u64, next: u64, sha256: Box<Sha256>, count: u64 },
}

/// What comes next of an answer.
#[derive(Debug)]
pub enum Step {
    /// Rows, and perhaps more later.
    Rows(Vec<Excerpt>),
    /// Nothing yet: a read is under way.
    Pending,
    /// The last line.
    Done(Result<Line, Fault>),
}

impl Session {
    /// Shows what a channel's log still holds. With a viewer, who may be another
    /// client, commands that were not for that member are left out.
    ///
    /// # Errors
    /// [`Code::NoChannel`].
    pub fn history(
        &mut self,
        name: &str,
        start: Start,
        viewer: Option<Arc<Member>>,
        now_ms: u64,
    ) -> Result<Option<Reply>, Fault> {
        let channel = self.broker.channel(name)?;
        channel.drop_aged(now_ms);
        let mut sum = Sum::Shown { viewer, rank: 0, count: 0 };
        if is_to_come(&channel) {
            // What it tells of is on disk when it is looked up.
            self.await_disk(&channel, 1);
            let ask = Some(Ask::History(start));
            return Ok(Some(self.begin_scroll(channel, ask, Vec::new(), sum)));
        }
        let (excerpts, _) = look_up(&channel, Ask::History(start), u64::MAX, &mut sum, now_ms)?;
        if bytes(&excerpts) > PIECE_BYTES {
            return Ok(Some(self.begin_scroll(channel, None, excerpts, sum)));
        }
        Ok(Some(Reply::Entries(excerpts, sum.last(&channel)?)))
    }

    pub(super) fn digest(
        &mut self,
        name: &str,
        from: u64,
        to: u64,
        now_ms: u64,
    ) -> Result<Reply, Fault> {
        let channel = self.broker.channel(name)?;
        let ask = Ask::Digest { from, to };
        let mut sum = Sum::Digest { from, to, next: from, sha256: Box::default(), count: 0 };
        if is_to_come(&channel) {
            return Ok(self.begin_scroll(channel, Some(ask), Vec::new(), sum));
        }
        let (excerpts, _) = look_up(&channel, ask, u64::MAX, &mut sum, now_ms)?;
        if bytes(&excerpts) > PIECE_BYTES {
            // Looked up anew when it is due: thousands of them may wait.
            return Ok(self.begin_scroll(channel, Some(ask), Vec::new(), sum));
        }
        sum.take_all(&channel, excerpts)?;
        Ok(sum.last(&channel)?.into())
    }

    fn begin_scroll(
        &mut self,
        channel: Arc<Channel>,
        ask: Option<Ask>,
        here: Vec<Excerpt>,
        sum: Sum,
    ) -> Reply {
        let (here, ask) = (here.into(), ask.map(|ask| (ask, channel.last_seq())));
        let scroll = Scroll { channel, ask, here, behind: None, asked: None, read: None, sum };
        self.extra.parts().disk.get_or_insert_default().scrolls.push_back(scroll);
        Reply::Scroll
    }

    /// Goes on with the first answer that is read from the disk.
    pub fn scroll(&mut self) -> Step {
        let Some(mut scroll) = self.extra.disk_mut().and_then(|disk| disk.scrolls.pop_front())
        else {
            return Step::Done(Err(Fault::new(Code::Internal, "there is nothing to read")));
        };
        let step = self.step(&mut scroll).unwrap_or_else(|fault| Step::Done(Err(fault)));
        if !matches!(step, Step::Done(_)) {
            self.extra.parts().disk.get_or_insert_default().scrolls.push_front(scroll);
        }
        step
    }

    /// Drops the first answer that is read from the disk, because enough of it has
    /// been read. Returns the name of its channel.
    pub fn cut_scroll(&mut self) -> Option<EcoString> {
        let scroll = self.extra.disk_mut()?.scrolls.pop_front()?;
        Some(scroll.channel.name().clone())
    }

    /// Drops the answer that was begun last, to be read from the disk, because nobody
    /// wants it.
    pub fn drop_last_scroll(&mut self) {
        if let Some(disk) = self.extra.disk_mut() {
            disk.scrolls.pop_back();
        }
    }

    fn step(&mut self, scroll: &mut Scroll) -> Result<Step, Fault> {
        let Scroll { channel, ask, here, behind, asked, read, sum } = scroll;
        if let Some((ask, last)) = ask.take() {
            let (rows, rest) = look_up(channel, ask, last, sum, self.broker.now_ms())?;
            (*here, *behind) = (rows.into(), rest);
        }
        if !here.is_empty() {
            let piece = piece(here);
            return Ok(Step::Rows(match sum {
                // They were chosen, and counted, when they were looked up.
                Sum::Shown { .. } => piece,
                Sum::Digest { .. } => sum.take_all(channel, piece)?,
            }));
        }
        if asked.is_some() {
            return Ok(Step::Pending);
        }
        let Some(left) = behind.as_mut().filter(|left| left.from <= left.to) else {
            return Ok(Step::Done(sum.last(channel)));
        };
        let Some(fetched) = read.take() else {
            *asked = Some(self.fetch(*left));
            return Ok(Step::Pending);
        };
        if let Some(error) = fetched.error {
            return Err(Fault::new(Code::Unavailable, error));
        }
        if let (Sum::Shown { rank, .. }, Some(found)) = (&mut *sum, fetched.rank) {
            *rank = found;
        }
        let mut rows = Vec::new();
        for (_, chunk) in fetched.chunks {
            rows.extend(sum.take(channel, Excerpt::cut(&chunk, left.from, left.to))?);
        }
        (left.from, left.rank) = (fetched.to + 1, None);
        Ok(Step::Rows(rows))
    }
}

/// How many bytes these have.
fn bytes(excerpts: &[Excerpt]) -> usize {
    excerpts.iter().map(|excerpt| excerpt.range.len()).sum()
}

/// Takes the first piece of these.
fn piece(here: &mut VecDeque<Excerpt>) -> Vec<Excerpt> {
    let mut bytes = 0;
    let is_full = |excerpt: &Excerpt| {
        let was_full = bytes >= PIECE_BYTES;
        bytes += excerpt.range.len();
        was_full
    };
    let end = here.iter().position(is_full).unwrap_or(here.len());
    here.drain(..end).collect()
}

/// Whether some entries of a channel may not be in memory, or not be visible, yet.
fn is_to_come(channel: &Channel) -> bool {
    channel.is_durable() || channel.pending().is_some()
}

/// Looks up what was asked for, as far as this seq. Returns what of it is in
/// memory, and what has to be read from the disk.
fn look_up(
    channel: &Channel,
    ask: Ask,
    last: u64,
    sum: &mut Sum,
    now_ms: u64,
) -> Result<(Vec<Excerpt>, Option<Behind>), Fault> {
    let past = match (ask, &mut *sum) {
        (Ask::History(start), Sum::Shown { viewer, .. }) => {
            channel.history(viewer.as_deref(), start, last, now_ms)
        }
        (Ask::Digest { from, to }, sum) => {
            let (past, last) = channel.range(from, to.min(last), now_ms)?;
            if let Sum::Digest { to, .. } = sum {
                *to = last;
            }
            past
        }
        (Ask::History(start), Sum::Digest { .. }) => channel.history(None, start, last, now_ms),
    };
    match (past, sum) {
        (Past::OnDisk(behind), _) => Ok((Vec::new(), Some(behind))),
        (Past::Here(rows), sum) => {
            if let Sum::Shown { count, .. } = sum {
                *count = rows.iter().map(entries).sum();
            }
            Ok((rows, None))
        }
    }
}

impl Sum {
    /// Adds all of these. Returns those that are to be shown.
    fn take_all(&mut self, channel: &Channel, all: Vec<Excerpt>) -> Result<Vec<Excerpt>, Fault> {
        all.into_iter().filter_map(|excerpt| self.take(channel, excerpt).transpose()).collect()
    }

    /// Adds entries. Returns those that are to be shown.
    fn take(&mut self, channel: &Channel, excerpt: Excerpt) -> Result<Option<Excerpt>, Fault> {
        let first_seq = excerpt.chunk.seq_at(excerpt.range.start);
        match self {
            Sum::Shown { viewer, rank, count } => {
                let chunk = &excerpt.chunk;
                let is_shown = viewer.as_ref().is_none_or(|viewer| viewer.may_see(chunk, *rank));
                if let (Some(viewer), Body::Change(change)) = (viewer, chunk.body)
                    && chunk.first_seq > viewer.joined
                {
                    *rank = change.after(*rank);
                }
                *count += if is_shown { entries(&excerpt) } else { 0 };
                Ok(is_shown.then_some(excerpt))
            }
            Sum::Digest { next, sha256, count, .. } => {
                if first_seq != *next {
                    return Err(Fault::new(
                        Code::Gone,
                        format!(
                            "entries {next} to {} of {} are gone",
                            first_seq - 1,
                            channel.name()
                        ),
                    ));
                }
                *next = first_seq + entries(&excerpt);
                for payload in channel.payloads(&excerpt) {
                    sha256.update(payload);
                    sha256.update(b"\n");
                    *count += 1;
                }
                Ok(None)
            }
        }
    }

    /// The last line, when all entries have been taken.
    fn last(&mut self, channel: &Channel) -> Result<Line, Fault> {
        let name = channel.name().clone();
        match self {
            Sum::Shown { count, .. } => {
                Ok(Line::new("history").at("channel", name).at("count", *count))
            }
            Sum::Digest { next, to, .. } if *next <= *to => {
                let text = format!("entries {next} to {to} of {name} are gone");
                Err(Fault::new(Code::Gone, text))
            }
            Sum::Digest { from, to, sha256, count, .. } => {
                let hex = format!("{:x}", std::mem::take(sha256).finalize());
                let line = Line::new("digest").at("channel", name).at("from", *from).at("to", *to);
                Ok(line.with("count", *count).with("sha256", hex))
            }
        }
    }
}

fn entries(excerpt: &Excerpt) -> u64 {
    excerpt.chunk.entries_in(&excerpt.range).len() as u64
}
