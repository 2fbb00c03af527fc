//! Creating channels. Everything else that can be asked about them are plain
//! requests of the protocol.

use super::answer::{self, Answer};
use super::exchange::Exchange;
use super::problem::Problem;
use crate::request::Request;
use crate::wire::json;
use hyper::StatusCode;
use hyper::header::LOCATION;

/// Creates a channel.
///
/// # Errors
/// As for `create`.
pub async fn create(mut exchange: Exchange) -> Result<Answer, Problem> {
    let (address, body) = (exchange.address(), exchange.read_object().await?);
    let request = json::ask("create", "the body", &[&address, &body])?;
    let location = match &request {
        Request::Create { channel, .. } => format!("/v1/channels/{channel}"),
        _ => String::new(),
    };
    let reading = exchange.caller.ask(request).await?;
    let answer = answer::json(StatusCode::CREATED, reading.object());
    // A name that was accepted holds no characters that are special in a header.
    Ok(answer::with(answer, LOCATION, &location))
}
