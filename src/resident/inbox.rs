//! What a resident has been sent and has yet to take.

use crate::frame::Frame;
use crate::log::{Body, Chunk};
use crate::reply::Excerpt;
use std::collections::VecDeque;

/// Events that wait in one inbox at most. Beyond them the resident does not
/// read on: it holds up nobody, and finds a gap if it lets them lie for too
/// long.
const EVENTS_MAX: usize = 1_000;
/// Bytes of entries and frames that they hold on to at most, or one if that is
/// more.
const BYTES_MAX: usize = 256 * 1024;

/// What a resident takes, besides commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Messages.
    pub messages: bool,
    /// Who comes, goes and moves.
    pub roster: bool,
    /// What is said to it alone: its rank, gaps, and that it has left.
    pub frames: bool,
}

/// Something that a resident has been sent.
#[derive(Clone, Debug)]
pub enum Event {
    /// Entries of its channel.
    Entries(Excerpt),
    /// What is said to it alone.
    Frame(Frame),
}

/// What waits, in order.
#[derive(Debug, Default)]
pub struct Inbox {
    wants: Wants,
    events: VecDeque<Event>,
    bytes: usize,
}

impl Inbox {
    /// Empty, for somebody who wants this.
    pub fn new(wants: Wants) -> Inbox {
        Inbox { wants, ..Inbox::default() }
    }

    /// Whether more may come.
    pub fn has_room(&self) -> bool {
        self.events.len() < EVENTS_MAX && self.bytes < BYTES_MAX
    }

    /// Entries have come; whether they are wanted.
    pub fn entries(&mut self, excerpt: Excerpt) -> bool {
        let is_wanted = match excerpt.chunk.body {
            Body::Command { .. } => true,
            Body::Messages { .. } => self.wants.messages,
            Body::Change(_) => self.wants.roster,
        };
        if is_wanted {
            self.bytes += excerpt.range.len();
            self.events.push_back(Event::Entries(excerpt));
        }
        is_wanted
    }

    /// Whether what others say to it alone may be taken from where it waits.
    pub fn takes_frames(&self) -> bool {
        self.has_room() || !self.wants.frames
    }

    /// A frame has come.
    pub fn frame(&mut self, frame: Frame) {
        let is_wanted = matches!(
            frame,
            Frame::Rank { .. }
                | Frame::Gap { .. }
                | Frame::Left { .. }
                | Frame::Tell { .. }
                | Frame::Broadcast { .. }
                // The result of a job that somebody else has asked for.
                | Frame::Job { from: Some(_), .. }
        );
        if is_wanted && self.wants.frames {
            self.bytes += frame.weight();
            self.events.push_back(Event::Frame(frame));
        }
    }

    /// Takes what comes next.
    pub fn take(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.bytes -= weight(&event);
        Some(event)
    }

    /// The commands, in order.
    pub fn commands(&self) -> impl Iterator<Item = &Chunk> {
        self.events.iter().filter_map(command)
    }

    /// Keeps of the commands those only of which this says so, by their seqs.
    pub fn keep(&mut self, is_kept: impl Fn(u64) -> bool) {
        self.events.retain(|event| command(event).is_none_or(|chunk| is_kept(chunk.first_seq)));
        self.bytes = self.events.iter().map(weight).sum();
    }
}

fn weight(event: &Event) -> usize {
    match event {
        Event::Entries(excerpt) => excerpt.range.len(),
        Event::Frame(frame) => frame.weight(),
    }
}

/// The command that an event is. Each of them has a chunk of its own.
fn command(event: &Event) -> Option<&Chunk> {
    match event {
        Event::Entries(Excerpt { chunk, .. }) => {
            Some(&**chunk).filter(|chunk| matches!(chunk.body, Body::Command { .. }))
        }
        Event::Frame(_) => None,
    }
}
