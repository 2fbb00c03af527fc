//! Jobs. A job that a resident asks for belongs to the resident; any other one gets
//! a token of its own, because the client that asks may be gone the next moment.

use super::answer::{self, Answer};
use super::authority::unknown;
use super::exchange::Exchange;
use super::problem::Problem;
use super::views;
use crate::error::{Code, Fault};
use crate::frame::JobState;
use crate::reply::Line;
use crate::request::Request;
use crate::speaker::Reading;
use crate::wire::json;
use crate::workers::Owner;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, LOCATION};
use uuid::Uuid;

/// Submits a job: 202, because it has yet to run.
///
/// # Errors
/// As for the job's verb.
pub async fn begin(mut exchange: Exchange) -> Result<Answer, Problem> {
    let resident = exchange.resident()?;
    let (query, body) = (exchange.query(), exchange.read_object().await?);
    let request = json::ask_job("the body", &[&query, &body])?;
    let Request::Job { verb, to, arguments } = request else {
        return Err(Fault::new(Code::Internal, "a job was read as something else").into());
    };
    drop(body);
    let broker = &exchange.http.broker;
    let (client, key) = match &resident {
        Some(resident) => (resident.speaker.session().client().clone(), None),
        None => (exchange.caller.session().client().clone(), Some(Uuid::new_v4())),
    };
    let job = broker.submit_job(&client, verb, to.as_deref(), &arguments, key)?;
    let mut line = Line::new("job").at("job", job);
    if let Some(key) = key {
        line = line.with("token", key.to_string());
    }
    let answer = answer::json(StatusCode::ACCEPTED, Reading::from(line).object());
    let answer = answer::with(answer, LOCATION, &format!("/v1/jobs/{job}"));
    // An answer with a secret in it is not to be cached.
    Ok(answer::with(answer, CACHE_CONTROL, "no-store"))
}

/// The state of a job; of the last ones also after they have ended.
///
/// # Errors
/// 401 without its token, 403 with that of a member who did not ask for it, 410 for
/// a job that is not remembered.
pub fn look(exchange: &Exchange) -> Result<Answer, Problem> {
    let (owner, job) = owner(exchange)?;
    let shown = exchange.http.broker.jobs().find(owner, job)?;
    let line = Line::new("job").at("job", job).at("state", shown.state.as_str());
    let line = line.at("verb", shown.verb).with("since", shown.since).with("text", &*shown.text);
    let is_over = !matches!(shown.state, JobState::Queued | JobState::Running);
    let answer = views::answer(exchange, &Reading::from(line))?;
    Ok(answer::with(answer, CACHE_CONTROL, if is_over { "private" } else { "no-store" }))
}

/// Cancels a job.
///
/// # Errors
/// As for [`look`]; 410 also for a job that has ended.
pub fn end(exchange: &Exchange) -> Result<Answer, Problem> {
    let (owner, job) = owner(exchange)?;
    exchange.http.broker.jobs().cancel(owner, job)?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// The job that the path names, and its owner, who asks: a resident, or whoever has
/// the job's own token.
fn owner(exchange: &Exchange) -> Result<(Owner, u64), Problem> {
    let job = exchange.number("job")?;
    let key = exchange.bearer()?.and_then(|token| token.parse().ok());
    let resident = if key.is_none() { exchange.resident()? } else { None };
    let (owner, stranger) = match (key, resident) {
        (Some(key), _) => (Owner::Key(key), Some("this is not the token of this job")),
        (_, Some(resident)) => (Owner::Client(resident.speaker.session().client().id), None),
        // The connection that asked for it, while that lasts.
        _ => {
            let text = "this needs the token of the job, as Authorization: Bearer TOKEN; the \
                        answer to the POST had it, or it is that of the member who asked";
            (Owner::Client(exchange.caller.session().client().id), Some(text))
        }
    };
    match (exchange.http.broker.jobs().find(owner, job), stranger) {
        (Err(Fault { code: Code::Denied, .. }), Some(text)) => Err(unknown(text)),
        (found, _) => Ok(found.map(|_| (owner, job))?),
    }
}
