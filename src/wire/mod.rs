//! Bytes to requests, and replies and frames to bytes. Pure: nothing here
//! knows of sockets, channels or time.

pub mod escape;
pub mod events;
pub mod json;
pub mod lines;
pub mod numseq;
pub mod resp;
pub mod rows;
pub mod rules;
pub mod sniff;
pub mod spoken;
pub mod text;
pub mod websocket;
