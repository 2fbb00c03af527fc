//! The words for what a connection speaks, as `who`, the log and the metrics have
//! them.

/// Lines of words.
pub const TEXT: &str = "text";
/// Lines of one JSON object each.
pub const JSON: &str = "json";
/// HTTP/1.1.
pub const HTTP: &str = "http";
/// Server-sent events. Such a connection was opened, and is counted, as [`HTTP`].
pub const EVENTS: &str = "events";
/// JSON over a WebSocket.
pub const WEBSOCKET: &str = "websocket";
/// The Redis serialization protocol.
pub const RESP: &str = "resp";
/// Resumable number sequences.
pub const NUMSEQ: &str = "numseq";
/// Any of the others, encrypted.
pub const TLS: &str = "tls";

/// What a connection may speak when it opens.
pub const OPENING: [&str; 7] = [TEXT, JSON, HTTP, WEBSOCKET, RESP, NUMSEQ, TLS];
