//! Messages that are looked up: in memory at once, on the disk piece by piece.

use super::Session;
use crate::broker::channel::{Behind, Channel, Past};
use crate::error::{Code, Fault};
use crate::log::Body;
use crate::reply::Excerpt;
use crate::store::Fetched;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;

/// The most bytes that the messages of one look-up may take: by default, about as
/// many as a channel has in memory.
pub const LOOKUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Entries that are read from the disk at once when the newest ones are wanted:
/// enough for most, and not the whole channel for one.
const WINDOW: u64 = 256;

/// Which messages are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// At most this many of the first ones.
    Oldest(usize),
    /// The same, or fewer if they would take too much.
    First(usize),
    /// At most this many of the last ones, newest first.
    Newest(usize),
    /// Only how many there are.
    Count,
}

/// A look-up under way.
#[derive(Debug)]
pub struct Lookup {
    channel: Arc<Channel>,
    wanted: Wanted,
    /// The seqs left to look at.
    from: u64,
    to: u64,
    /// What is being read from the disk, and the seq at which that began.
    window: Option<Behind>,
    first: u64,
    /// What has been found in it, oldest first.
    read: VecDeque<Excerpt>,
    found: Found,
    bytes: usize,
    /// There is no room for more.
    is_full: bool,
}

/// What a look-up has found.
#[derive(Debug, Default)]
pub struct Found {
    /// The messages, each an excerpt of its own, in the order in which they are
    /// wanted.
    pub messages: Vec<Excerpt>,
    /// How many there are.
    pub count: u64,
}

impl Lookup {
    /// A look-up of a channel's messages from one seq to another.
    pub fn new(channel: Arc<Channel>, from: u64, to: u64, wanted: Wanted) -> Self {
        let (window, read, found) = (None, VecDeque::new(), Found::default());
        Lookup {
            channel,
            wanted,
            from,
            to,
            window,
            first: 0,
            read,
            found,
            bytes: 0,
            is_full: false,
        }
    }

    /// How many more messages are wanted.
    fn left(&self) -> usize {
        match self.wanted {
            _ if self.is_full => 0,
            Wanted::Oldest(most) | Wanted::First(most) | Wanted::Newest(most) => {
                most.saturating_sub(self.found.messages.len())
            }
            Wanted::Count => usize::MAX,
        }
    }

    fn is_done(&self) -> bool {
        self.window.is_none() && (self.left() == 0 || self.from > self.to)
    }

    /// Takes what comes next if it is in memory, or else notes what to read.
    fn look(&mut self, now_ms: u64) -> Result<(), Fault> {
        self.to = self.to.min(self.channel.last_visible());
        let first = match self.wanted {
            Wanted::Newest(_) => self.from.max(self.to.saturating_sub(WINDOW - 1)),
            _ => self.from,
        };
        let (past, first_kept) = self.channel.between(first, self.to, now_ms);
        if first_kept > first {
            self.from = first_kept;
        }
        self.first = first_kept;
        match past {
            Past::OnDisk(behind) => self.window = Some(behind),
            Past::Here(excerpts) => {
                excerpts.iter().try_for_each(|excerpt| self.take(excerpt))?;
                self.keep(self.to);
            }
        }
        Ok(())
    }

    /// Takes the messages of what was read, oldest first.
    fn take(&mut self, excerpt: &Excerpt) -> Result<(), Fault> {
        let Excerpt { chunk, range } = excerpt;
        if !matches!(chunk.body, Body::Messages { .. }) {
            return Ok(());
        }
        if self.wanted == Wanted::Count {
            self.found.count += chunk.entries_in(range).len() as u64;
            return Ok(());
        }
        for (seq, line) in chunk.lines(range) {
            if self.read.len() >= self.left() {
                if !matches!(self.wanted, Wanted::Newest(_)) {
                    return Ok(());
                }
                self.bytes -= self.read.pop_front().map_or(0, |first| first.range.len());
            }
            self.bytes += line.len();
            if self.bytes > LOOKUP_BYTES_MAX {
                if let Wanted::First(_) = self.wanted {
                    self.is_full = true;
                    return Ok(());
                }
                let text = format!("the entries take over {LOOKUP_BYTES_MAX} bytes: ask for fewer");
                return Err(Fault::new(Code::TooLong, text));
            }
            self.read.push_back(Excerpt::cut(chunk, seq, seq));
        }
        Ok(())
    }

    /// Adds what was taken, up to this seq, to what was found, and narrows what is
    /// left to look at.
    fn keep(&mut self, to: u64) {
        if let Wanted::Newest(_) = self.wanted {
            self.found.messages.extend(self.read.drain(..).rev());
            self.to = self.first.saturating_sub(1);
        } else {
            self.found.messages.extend(self.read.drain(..));
            self.from = to.saturating_add(1);
        }
    }

    /// Takes what was read from the disk.
    fn take_window(&mut self, window: Behind, fetched: &Fetched) -> Result<(), Fault> {
        if let Some(error) = &fetched.error {
            return Err(Fault::new(Code::Unavailable, error));
        }
        for (_, chunk) in &fetched.chunks {
            self.take(&Excerpt::cut(chunk, window.from, window.to))?;
        }
        // A fetch reads something, or says that nothing is there: it goes on.
        let from = fetched.to.max(window.from).saturating_add(1);
        self.window = (from <= window.to).then_some(Behind { from, ..window });
        if self.window.is_none() || !matches!(self.wanted, Wanted::Newest(_)) {
            self.keep(from - 1);
        }
        if self.left() == 0 {
            self.window = None;
        }
        Ok(())
    }
}

impl Session {
    /// Goes on with a look-up, which has to be finished before another one begins.
    /// It finds what is visible: of a durable channel, what is on disk.
    ///
    /// # Errors
    /// [`Code::TooLong`] for more than `LOOKUP_BYTES_MAX`,
    /// [`Code::Unavailable`] if the disk cannot be read.
    pub fn look_up(&mut self, lookup: &mut Lookup) -> Poll<Result<Found, Fault>> {
        while !lookup.is_done() {
            let Some(window) = lookup.window else {
                lookup.look(self.broker.now_ms())?;
                continue;
            };
            if self.extra.disk().is_some_and(|disk| disk.lookup.is_some()) {
                return Poll::Pending;
            }
            let Some(fetched) = self.extra.disk_mut().and_then(|disk| disk.looked_up.take()) else {
                let number = self.fetch(window);
                self.extra.parts().disk.get_or_insert_default().lookup = Some(number);
                return Poll::Pending;
            };
            lookup.take_window(window, &fetched)?;
        }
        Poll::Ready(Ok(std::mem::take(&mut lookup.found)))
    }

    /// Has the client, member or not, woken once when there is news in a channel, or
    /// when that ends. Returns `false` if it has ended already.
    pub fn wait_for(&self, channel: &Channel) -> bool {
        channel.wait(&self.client)
    }

    /// Stops waiting for news in a channel.
    pub fn wait_no_more(&self, channel: &Channel) {
        channel.wait_no_more(&self.client);
    }
}
