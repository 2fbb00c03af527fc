//! Commands: a resident gives them, and answers those it gets.

use super::answer::{self, Answer};
use super::exchange::Exchange;
use super::problem::Problem;
use super::views;
use crate::error::{Code, Fault};
use crate::resident::{Given, Resident};
use crate::runtime;
use crate::wire::json::{self, Object};
use hyper::StatusCode;
use hyper::header::{HeaderName, LOCATION};
use std::task::Poll;
use std::time::Duration;

/// The header by which a client asks not to wait (RFC 7240).
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// The preference in it.
const RESPOND_ASYNC: &str = "respond-async";

/// The longest wait for commands that a client may ask for, in seconds: less than
/// the time after which proxies on the way give up a silent connection.
const WAIT_SECONDS_MAX: f64 = 60.0;

/// Gives a command as a resident, and waits for all results unless the client
/// prefers not to.
///
/// # Errors
/// As for `cmd`; 401 without a token.
pub async fn give(mut exchange: Exchange) -> Result<Answer, Problem> {
    let resident = exchange.member()?;
    let wishes = exchange.head.headers.get_all(PREFER).iter();
    let mut wishes = wishes.filter_map(|wishes| wishes.to_str().ok()).flat_map(|w| w.split(','));
    let is_patient = !wishes.any(|wish| wish.trim().eq_ignore_ascii_case(RESPOND_ASYNC));
    let (address, key) = (exchange.address(), exchange.key()?);
    let body = exchange.read_object().await?;
    let request = json::ask("cmd", "the body", &[&address, &key, &body])?;
    let asked = resident.command(request).await?;
    let seq = asked.seq;
    drop(body);
    if is_patient {
        let is_settled = || resident.is_over(seq) || resident.has_gone();
        let look = |_: &mut _| if is_settled() { Poll::Ready(()) } else { Poll::Pending };
        resident.speaker.until(look).await;
        if !resident.is_over(seq) {
            // The resident has gone, and nobody collects the results any more.
            exchange.http.residents.renew(&resident)?;
        }
        return Ok(answer::json(StatusCode::OK, results(&resident, seq)?));
    }
    let answer = answer::json(StatusCode::ACCEPTED, results(&resident, seq)?);
    let answer = answer::with(answer, PREFERENCE_APPLIED, RESPOND_ASYNC);
    let location = format!("/v1/channels/{}/commands/{seq}", resident.channel);
    Ok(answer::with(answer, LOCATION, &location))
}

/// The results of a command, for the resident that gave it.
///
/// # Errors
/// 410 for a command whose results are not remembered, 401 without a token.
pub fn look_up(exchange: &Exchange) -> Result<Answer, Problem> {
    let resident = exchange.member()?;
    views::json(exchange, None, results(&resident, exchange.number("seq")?)?)
}

/// The commands that wait for a resident's answer, at once or as soon as there is
/// one.
///
/// # Errors
/// 401 without its token, 410 when it has gone.
pub async fn due(exchange: Exchange) -> Result<Answer, Problem> {
    let resident = exchange.own()?;
    let rows = || {
        resident.drop_answered();
        rows(&resident)
    };
    let wait = wait(&exchange)?;
    if !wait.is_zero() {
        let waiting = resident.speaker.until(|_| {
            if rows().is_some() || resident.has_gone() { Poll::Ready(()) } else { Poll::Pending }
        });
        runtime::timeout(wait, waiting).await;
        // Fails if the resident has gone meanwhile; if not, it has been here all
        // the time.
        exchange.http.residents.renew(&resident)?;
    }
    let (count, rows) = rows().unwrap_or_default();
    let mut out = Vec::new();
    Object::begin("channel", &resident.channel, &mut out)
        .text("member", &resident.name)
        .number("count", count)
        .end_with_rows(&rows);
    views::json(&exchange, None, out)
}

/// How long the client wants to wait.
fn wait(exchange: &Exchange) -> Result<Duration, Fault> {
    let query = exchange.query();
    let mut fields = json::Fields::of("the address", &[&query])?;
    let wait = fields.seconds_or_none("wait", WAIT_SECONDS_MAX)?;
    fields.done_here().map(|()| wait)
}

/// The number of commands that wait for an answer and their rows, if there are any.
fn rows(resident: &Resident) -> Option<(u64, Vec<u8>)> {
    let (mut count, mut rows) = (0, Vec::new());
    for chunk in resident.state().inbox.commands() {
        if count > 0 {
            rows.push(b',');
        }
        count += 1;
        json::entry(chunk, &chunk.bytes, &mut rows);
    }
    (count > 0).then_some((count, rows))
}

/// Answers a command as a resident.
///
/// # Errors
/// As for `ack`; 401 without its token.
pub async fn answer(mut exchange: Exchange) -> Result<Answer, Problem> {
    let resident = exchange.member()?;
    let (address, body) = (exchange.address(), exchange.read_object().await?);
    let reading = resident.speaker.ask(json::ask("ack", "the body", &[&address, &body])?).await?;
    resident.drop_answered();
    Ok(answer::json(StatusCode::OK, reading.object()))
}

/// The results of a command so far.
fn results(resident: &Resident, seq: u64) -> Result<Vec<u8>, Fault> {
    let Some(given) = resident.given(seq) else {
        let text = format!(
            "the results of command {seq} are not remembered, or {} never gave it",
            resident.name
        );
        return Err(Fault::new(Code::Gone, text));
    };
    let Given { to, ok, results, .. } = given;
    let mut out = Vec::new();
    let object = Object::begin("channel", &resident.channel, &mut out).number("seq", seq);
    match ok {
        Some(ok) => object.number("to", to).number("ok", ok),
        None => object.number("to", to).null("ok"),
    };
    out.extend_from_slice(b",\"results\":[");
    for (at, answered) in results.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let row = Object::begin("member", &answered.member, &mut out).number("rank", answered.rank);
        let row = match answered.outcome.code() {
            Ok(code) => row.number("result", code),
            Err(word) => row.text("result", word),
        };
        row.text("text", &answered.text).end();
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}
