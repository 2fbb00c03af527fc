//! The events that a resident has been sent and has yet to take.

use crate::frame::Frame;
use crate::log::{Body, Chunk};
use crate::reply::Excerpt;
use std::collections::VecDeque;

/// The most events in one inbox. When it is full the resident stops reading: it
/// holds up nobody, and finds a gap if it lets them lie for too long.
const EVENTS_MAX: usize = 1_000;
/// The most bytes of the entries and frames in it, or one event if that is larger.
const BYTES_MAX: usize = 256 * 1024;

/// The events that a resident wants, besides commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Messages.
    pub messages: bool,
    /// Members that join, leave and move.
    pub roster: bool,
    /// Frames for it alone: its rank, gaps, and that it has left.
    pub frames: bool,
}

/// An event for a resident.
#[derive(Clone, Debug)]
pub enum Event {
    /// Entries of its channel.
    Entries(Excerpt),
    /// A frame for it alone.
    Frame(Frame),
}

/// The events that wait, in order.
#[derive(Debug, Default)]
pub struct Inbox {
    wants: Wants,
    events: VecDeque<Event>,
    bytes: usize,
}

impl Inbox {
    /// An empty inbox for these wants.
    pub fn new(wants: Wants) -> Inbox {
        Inbox { wants, ..Inbox::default() }
    }

    /// Whether more may come.
    pub fn has_room(&self) -> bool {
        self.events.len() < EVENTS_MAX && self.bytes < BYTES_MAX
    }

    /// Adds entries, if they are wanted; returns whether they are.
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

    /// Whether frames for it alone may be taken from its mailbox.
    pub fn takes_frames(&self) -> bool {
        self.has_room() || !self.wants.frames
    }

    /// Adds a frame, if it is wanted.
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

    /// Takes the next event.
    pub fn take(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.bytes -= weight(&event);
        Some(event)
    }

    /// The commands, in order.
    pub fn commands(&self) -> impl Iterator<Item = &Chunk> {
        self.events.iter().filter_map(command)
    }

    /// Keeps only those commands for whose seq `is_kept` holds.
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

/// The command of an event, if it is one. Each command has a chunk of its own.
fn command(event: &Event) -> Option<&Chunk> {
    match event {
        Event::Entries(Excerpt { chunk, .. }) => {
            Some(&**chunk).filter(|chunk| matches!(chunk.body, Body::Command { .. }))
        }
        Event::Frame(_) => None,
    }
}
