//! Publishing: one message, or many as lines, each of them a message of its own.

use super::answer::{self, Answer};
use super::exchange::{Exchange, unread};
use super::fields::Fields;
use super::problem::Problem;
use crate::error::{Code, Fault};
use crate::payload::Payload;
use crate::reply::Reply;
use crate::request::{Publish, Request};
use crate::session::Held;
use crate::wire::json::{self, Object};
use crate::wire::rules;
use hyper::StatusCode;
use hyper::header::HeaderName;

/// The key of a message, as a header: what the field `key` is in a body.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Messages that one body holds at most: as many as the shortest lines of a
/// mebibyte make, so that it matters only where `--max-body` is raised, and what
/// is kept for their answers has a limit of its own.
const MESSAGES_MAX: usize = 100_000;

/// Publishes what the body says.
///
/// # Errors
/// As for `pub`; 415 for a body of a kind that is not read.
pub async fn publish(mut exchange: Exchange) -> Result<Answer, Problem> {
    let (kind, key) = (exchange.kind()?, exchange.header(&IDEMPOTENCY_KEY)?.map(str::to_owned));
    let address = exchange.address();
    let mut header = Fields::default();
    if let Some(key) = &key {
        header.text("key", key);
    }
    let header = header.end();
    let body = exchange.read_body().await?;
    let request = match kind.as_deref() {
        Some("application/json") => json::ask("pub", &[&address, &header, &body])?,
        Some("text/plain") => {
            let mut data = Fields::default();
            data.text("data", text(&body)?);
            let data = data.end();
            return one(&exchange, json::ask("pub", &[&address, &header, &data])?).await;
        }
        Some("application/x-ndjson") if key.is_some() => {
            let text = "each line has a key of its own: the header would be for all of them";
            return Err(Fault::new(Code::BadRequest, text).into());
        }
        Some("application/x-ndjson") => return many(&exchange, &address, &body).await,
        _ => return Err(unread("application/json, text/plain or application/x-ndjson")),
    };
    one(&exchange, request).await
}

/// Publishes one message.
async fn one(exchange: &Exchange, request: Request<'_>) -> Result<Answer, Problem> {
    if let Request::Pub(publish) = &request {
        fits(exchange, &publish.payload)?;
    }
    let reading = exchange.caller.ask(request).await?;
    Ok(answer::json(StatusCode::CREATED, reading.object()))
}

/// What became of some lines.
struct Outcome {
    lines: u64,
    /// The seq of the first of them.
    first_seq: Result<u64, Fault>,
    held: Option<Held>,
}

/// Publishes many messages. Those that follow each other and are of one kind are
/// one append; each is answered by itself, and one that fails leaves the others
/// alone.
async fn many(exchange: &Exchange, address: &[u8], body: &[u8]) -> Result<Answer, Problem> {
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).take(MESSAGES_MAX + 1).collect();
    if lines.len() > MESSAGES_MAX {
        let text = format!("a body has at most {MESSAGES_MAX} messages");
        return Err(Fault::new(Code::TooMany, text).into());
    }
    let channel = exchange.part("channel");
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut run: Vec<Payload<'_>> = Vec::new();
    for line in lines {
        let publish = message(exchange, address, line);
        let continues = |publish: &Publish<'_>| {
            publish.term.is_none()
                && publish.key.is_none()
                && run.first().is_none_or(|first| first.is_json() == publish.payload.is_json())
        };
        match publish {
            Ok(publish) if continues(&publish) => run.push(publish.payload),
            publish => {
                append(exchange, channel, &mut run, &mut outcomes);
                match publish {
                    Ok(publish) if publish.term.is_none() && publish.key.is_none() => {
                        run.push(publish.payload);
                    }
                    Ok(publish) => {
                        let mut session = exchange.caller.session();
                        let now_ms = exchange.http.broker.now_ms();
                        let reply = session.handle(Request::Pub(publish), now_ms);
                        outcomes.push(outcome(reply, 1, session.take_held()));
                    }
                    Err(fault) => {
                        outcomes.push(Outcome { lines: 1, first_seq: Err(fault), held: None });
                    }
                }
            }
        }
    }
    append(exchange, channel, &mut run, &mut outcomes);
    exchange.caller.session().flush();
    let rows = rows(exchange, channel, outcomes).await;
    exchange.caller.room().await;
    Ok(answer::json(StatusCode::OK, rows))
}

/// The message that a line says.
fn message<'a>(
    exchange: &Exchange,
    address: &'a [u8],
    line: &'a [u8],
) -> Result<Publish<'a>, Fault> {
    match json::ask("pub", &[address, line])? {
        Request::Pub(publish) => fits(exchange, &publish.payload).map(|()| publish),
        _ => Err(Fault::new(Code::Internal, "it is no message")),
    }
}

/// Publishes messages that follow each other.
fn append(
    exchange: &Exchange,
    channel: &str,
    run: &mut Vec<Payload<'_>>,
    outcomes: &mut Vec<Outcome>,
) {
    if run.is_empty() {
        return;
    }
    let mut session = exchange.caller.session();
    let reply = session.publish(channel, None, run, exchange.http.broker.now_ms());
    outcomes.push(outcome(reply, run.len() as u64, session.take_held()));
    run.clear();
}

fn outcome(reply: Result<Option<Reply>, Fault>, lines: u64, held: Option<Held>) -> Outcome {
    let first_seq = reply.and_then(|reply| match reply {
        Some(Reply::Published { first_seq, .. }) => Ok(first_seq),
        _ => Err(Fault::new(Code::Internal, "there is no reply")),
    });
    Outcome { lines, first_seq, held }
}

/// The answer to many lines: a row for each, when all are on disk that have to
/// be.
async fn rows(exchange: &Exchange, channel: &str, outcomes: Vec<Outcome>) -> Vec<u8> {
    let (mut rows, mut count, mut failed) = (Vec::new(), 0_u64, 0_u64);
    for Outcome { lines, first_seq, held } in outcomes {
        let first_seq = match (first_seq, exchange.caller.on_disk(held).await) {
            (Err(fault), _) | (Ok(_), Err(fault)) => Err(fault),
            (Ok(seq), Ok(())) => Ok(seq),
        };
        for at in 0..lines {
            if count > 0 {
                rows.push(b',');
            }
            count += 1;
            match &first_seq {
                Ok(seq) => {
                    rows.extend_from_slice(
                        format!("{{\"ok\":true,\"seq\":{}}}", seq + at).as_bytes(),
                    );
                }
                Err(fault) => {
                    failed += 1;
                    rows.extend_from_slice(b"{\"ok\":false,\"error\":");
                    let error = Object::begin("code", fault.code.as_str(), &mut rows);
                    error.text("message", &fault.message).end();
                    rows.push(b'}');
                }
            }
        }
    }
    let mut out = Vec::new();
    Object::begin("channel", channel, &mut out).number("count", count).number("failed", failed);
    out.extend_from_slice(b",\"rows\":[");
    out.append(&mut rows);
    out.extend_from_slice(b"]}");
    out
}

/// That a message is no longer than one of the other dialects.
fn fits(exchange: &Exchange, payload: &Payload<'_>) -> Result<(), Fault> {
    let (bytes, most) = (payload.as_bytes().len(), exchange.http.broker.config.max_line);
    if bytes <= most {
        return Ok(());
    }
    let text = format!("a message has at most {most} bytes, not {bytes}; see broker --max-line");
    Err(Fault::new(Code::TooLong, text))
}

fn text(body: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(body).map_err(|_| rules::bad("the body must be UTF-8"))
}
