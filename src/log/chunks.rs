//! The chunks that a log keeps.

use super::entry::Chunk;
use std::collections::VecDeque;
use std::sync::Arc;

/// Consecutive chunks, oldest first. Most logs keep none or one, which need no
/// queue: they take 16 bytes and no allocation then, instead of 40 bytes and one
/// allocation. Once made, a queue stays until it is empty: it will be needed again.
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
    /// The total weight of the chunks, in bytes.
    weight: usize,
    /// The total size of their entries, in bytes on the wire.
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

    /// The chunk at this place, counted from the oldest.
    pub(super) fn get(&self, at: usize) -> Option<&Arc<Chunk>> {
        match self {
            Chunks::One(chunk) if at == 0 => Some(chunk),
            Chunks::Many(queue) => queue.chunks.get(at),
            _ => None,
        }
    }

    /// The total weight of the chunks, in bytes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Chunks::None => 0,
            Chunks::One(chunk) => chunk.weight(),
            Chunks::Many(queue) => queue.weight,
        }
    }

    /// The total size of their entries, in bytes on the wire.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Chunks::None => 0,
            Chunks::One(chunk) => chunk.bytes.len() as u64,
            Chunks::Many(queue) => queue.bytes,
        }
    }

    /// Notes that one of the chunks weighs so much more from now on.
    pub(super) fn gain(&mut self, weight: usize) {
        if let Chunks::Many(queue) = self {
            queue.weight += weight;
        }
    }

    /// How many chunks `is_before` holds for; it must hold for the oldest ones, up
    /// to some place.
    pub(super) fn count_while(&self, is_before: impl Fn(&Chunk) -> bool) -> usize {
        match self {
            Chunks::None => 0,
            Chunks::One(chunk) => usize::from(is_before(chunk)),
            Chunks::Many(queue) => queue.chunks.partition_point(|chunk| is_before(chunk)),
        }
    }

    /// Appends the newest chunk.
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

    /// Takes the oldest chunk.
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
