//! The text dialect: lines that people can type and read.
//!
//! ```text
//! pub news "hello world"        a request
//! ok pub news 7                 its reply
//! msg news 7 alice hello world  a frame
//! ```

mod decode;
mod encode;
mod options;
mod publish;
mod words;

pub use decode::{decode, request};
pub use encode::{TextEncoder, entries, fault, frame, reply};
pub use publish::plain_text;
pub use words::split;
