//! The chunks that a log keeps.

use super::entry::Chunk;
use std::collections::VecDeque;
use std::sync::Arc;

/// Consecutive chunks, oldest first. Most logs keep none or one, which need no
/// queue: they take 16 bytes and no allocation then, and not 40 and one. A queue
/// that was made stays until it is empty: it will be needed again.
#[derive(Debug, Default)]
pub(super) enum Chunks {
    #[default]
    None,
    One(Arc<Chunk>),
    Many(Box<Queue>),
}

#[derive(Debug)]
pub(super) struct Queue {
    chunks: VecDeque<Arc<Chunk>>,
    /// What they weigh together, in bytes.
    weight: usize,
    /// What their entries take together.
    bytes: u64,
}

impl Chunks {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Chunks::None => 0,
            Chunks::One(_) => 1,
            Chunks::Many(queue) => queue.chunks.len(),
        }
    }

    /// The one at this place, counted from the oldest.
    pub(super) fn get(&self, at: usize) -> Option<&Arc<Chunk>> {
        match self {
            Chunks::One(chunk) if at == 0 => Some(chunk),
            Chunks::Many(queue) => queue.chunks.get(at),
            _ => None,
        }
    }

    /// What they weigh together, in bytes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Chunks::None => 0,
            Chunks::One(chunk) => chunk.weight(),
            Chunks::Many(queue) => queue.weight,
        }
    }

    /// What their entries take together, in bytes on the wire.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Chunks::None => 0,
            Chunks::One(chunk) => chunk.bytes.len() as u64,
            Chunks::Many(queue) => queue.bytes,
        }
    }

    /// One that is here weighs so much more from now on.
    pub(super) fn gain(&mut self, weight: usize) {
        if let Chunks::Many(queue) = self {
            queue.weight += weight;
        }
    }

    /// How many of them this is true for: it is for the oldest, up to some place.
    pub(super) fn count_while(&self, is_before: impl Fn(&Chunk) -> bool) -> usize {
        match self {
            Chunks::None => 0,
            Chunks::One(chunk) => usize::from(is_before(chunk)),
            Chunks::Many(queue) => queue.chunks.partition_point(|chunk| is_before(chunk)),
        }
    }

    /// The newest one.
    pub(super) fn push(&mut self, chunk: Chunk) {
        let chunk = Arc::new(chunk);
        *self = match std::mem::take(self) {
            Chunks::None => Chunks::One(chunk),
            Chunks::One(first) => {
                let weight = first.weight() + chunk.weight();
                let bytes = (first.bytes.len() + chunk.bytes.len()) as u64;
                let chunks = VecDeque::from([first, chunk]);
                Chunks::Many(Box::new(Queue { chunks, weight, bytes }))
            }
            Chunks::Many(mut queue) => {
                queue.weight += chunk.weight();
                queue.bytes += chunk.bytes.len() as u64;
                queue.chunks.push_back(chunk);
                Chunks::Many(queue)
            }
        };
    }

    /// Takes the oldest one.
    pub(super) fn pop(&mut self) -> Option<Arc<Chunk>> {
        let Chunks::Many(queue) = self else {
            return match std::mem::take(self) {
                Chunks::One(chunk) => Some(chunk),
                _ => None,
            };
        };
        let chunk = queue.chunks.pop_front()?;
        queue.weight -= chunk.weight();
        queue.bytes -= chunk.bytes.len() as u64;
        if queue.chunks.is_empty() {
            *self = Chunks::None;
        }
        Some(chunk)
    }
}
