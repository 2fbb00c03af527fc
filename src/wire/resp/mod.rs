//! The Redis protocol, versions 2 and 3: what any Redis client speaks.
//!
//! ```text
//! *3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$2\r\nhi\r\n    a request: PUBLISH news hi
//! :2\r\n                                            its reply: two clients get it
//! *3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n    what each of them gets
//! ```
//!
//! A request is an array of words. What Redis itself has (`PUBLISH`,
//! `SUBSCRIBE`, `XADD` …) is answered as Redis does; every other word is a
//! request of the text dialect, with the same options, and its reply has the
//! names that the JSON dialect has.

mod decode;
mod encode;
mod entries;
mod fields;
mod frames;
mod id;
mod write;

#[cfg(test)]
pub use decode::LENGTHS_READ;
pub use decode::{Begun, Decoded, decode, request_max};
pub use encode::{Rows, fault, reply, subscribed};
pub use entries::{form, heard_form, stream_entry};
pub use fields::{fields, payload};
pub use frames::frame;
pub use id::{after, first_at, last_at};
pub use write::Writer;
