//! The JSON dialect: one JSON object a line, for programs.
//!
//! ```text
//! {"op":"pub","channel":"news","data":{"a":1},"id":7}                       a request
//! {"reply":"pub","ok":true,"channel":"news","seq":7,"id":7}                 its reply
//! {"frame":"msg","channel":"news","seq":7,"from":"alice","data":{"a":1}}    a frame
//! ```
//!
//! Everything has the name that it has in the text dialect, with `_` for `-`.
//! A value that a client made up (a message's data, a request's id) is never
//! taken apart: it goes out as it came in.

mod decode;
mod encode;
mod entries;
mod fields;
mod frames;
mod write;

pub use decode::{ask, ask_job, decode};
pub use encode::{Rows, cut, fault, object, reply};
pub use entries::{entry, form};
pub use fields::Fields;
pub use frames::frame;
pub use write::{Object, string};

/// The most bytes of a request's `id`: enough for any kind of number
/// that programs give to their requests, and little to keep until the reply.
pub const ID_BYTES_MAX: usize = 128;
