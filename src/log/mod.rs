//! A channel's log: entries in seq order, kept in chunks that never change.
//!
//! An append is one chunk: its entries get consecutive seqs and their bytes on
//! the wire, once for all members. A cursor is a place in the log; whoever
//! holds one reads straight from the chunks, without a copy and without a queue
//! of its own.
//!
//! A chunk's form in another dialect is kept beside it ([`Form`]).
//!
//! The log knows neither dialects nor members: how an entry looks on the wire
//! is [`Encode`]'s business, which the wire implements.

mod chunks;
mod entry;
mod form;
mod memory;
mod spare;

pub use entry::{Body, Chunk, ClientId, Command, Departure, Encode, Position};
pub use form::{Form, Forms, Maker, Shape};
pub use memory::{Cursor, Edge, MemoryLog};
pub use spare::with_room;
