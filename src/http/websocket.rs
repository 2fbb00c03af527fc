//! The upgrade from HTTP to a WebSocket (RFC 6455, section 4.2).

use super::answer::{self, Answer};
use super::exchange::Exchange;
use super::problem::Problem;
use crate::error::{Code, Fault};
use hyper::body::Body;
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, StatusCode, Version};
use tungstenite::handshake::derive_accept_key;

/// The only version that there is.
const VERSION: &str = "13";
/// Length of a key of 16 bytes, in base64.
const KEY_CHARS: usize = 24;

/// Accepts the upgrade to a WebSocket. Extensions and subprotocols that a client
/// offers are ignored.
///
/// # Errors
/// 426 for a request for something else, or for another version; 403 for one from a
/// page that is not allowed; 400 for a malformed one.
pub fn upgrade(exchange: &Exchange) -> Result<Answer, Problem> {
    // A page that must not change a channel may not listen to it either.
    exchange.http.origins.check(&exchange.head.headers)?;
    exchange.has_no_query()?;
    let is_asked_for = exchange.head.method == Method::GET
        && exchange.head.version == Version::HTTP_11
        && names(exchange, &CONNECTION, "upgrade")
        && names(exchange, &UPGRADE, "websocket");
    if !is_asked_for {
        return Err(required("this is a WebSocket: ask for it by Upgrade: websocket"));
    }
    if exchange.header(&SEC_WEBSOCKET_VERSION)? != Some(VERSION) {
        return Err(required("only version 13 of WebSocket is spoken here"));
    }
    let key = exchange.header(&SEC_WEBSOCKET_KEY)?.filter(|key| key.len() == KEY_CHARS);
    let Some(key) = key.filter(|_| exchange.body.is_end_stream()) else {
        let text = "a WebSocket begins with a Sec-WebSocket-Key of 16 bytes and without a body";
        return Err(Fault::new(Code::BadRequest, text).into());
    };
    exchange.caller.upgrade();
    let answer = answer::empty(StatusCode::SWITCHING_PROTOCOLS);
    let answer = answer::with(answer, CONNECTION, "Upgrade");
    let answer = answer::with(answer, UPGRADE, "websocket");
    Ok(answer::with(answer, SEC_WEBSOCKET_ACCEPT, &derive_accept_key(key.as_bytes())))
}

/// Whether a header has this word.
fn names(exchange: &Exchange, header: &HeaderName, word: &str) -> bool {
    let values = exchange.head.headers.get_all(header).iter();
    let mut words = values.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    words.any(|named| named.trim().eq_ignore_ascii_case(word))
}

fn required(text: &str) -> Problem {
    Problem::new(StatusCode::UPGRADE_REQUIRED, Code::BadRequest, text)
        .with(CONNECTION, HeaderValue::from_static("Upgrade"))
        .with(UPGRADE, HeaderValue::from_static("websocket"))
        .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION))
}
