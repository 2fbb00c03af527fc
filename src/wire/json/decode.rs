//! One line to one request.

use super::fields::{self, Fields, wrong};
use super::write;
use crate::error::{Code, Fault, quoted};
use crate::jobs::{self, Registered};
use crate::payload::Payload;
use crate::request::{Format, OnClose, Publish, Request, Settings, Start, Subscribe, find_verb};
use crate::wire::rules::{self, AGE_SECONDS_MAX, SECONDS_MAX, bad};
use crate::wire::spoken::{Asked, Tag};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Reads one line, without its end. A blank line and a `pong` are no requests, and
/// nothing answers them. The reply to an unreadable line still carries its verb and
/// id, as far as they were read.
pub fn decode(line: &[u8]) -> Asked<'_> {
    let mut tag = Tag::default();
    if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
        return Asked { tag, request: Ok(None) };
    }
    let mut fields = Fields::default();
    let read = fields.read("a line", line);
    let (op, id) = (fields.op(), fields.id());
    let verb = op.as_ref().ok().and_then(|op| verb(op));
    tag.verb = verb.map_or(tag.verb, name_of_reply);
    if let Ok(id) = id {
        tag.id = id;
    }
    let request = read.and(id.map(drop)).and(op).and_then(|op| match verb {
        Some("pong") => Ok(None),
        Some(verb) => {
            let request = request(verb, &mut fields)?;
            fields.done(verb).map(|()| Some(request))
        }
        None => Err(rules::unknown(&op)),
    });
    Asked { tag, request }
}

/// Reads a request whose verb is known already, for example from an HTTP route. Its
/// fields are those of all these objects together; `what` names them in faults.
///
/// # Errors
/// As for a line of the dialect.
pub fn ask<'a>(verb: &'static str, what: &str, objects: &[&'a [u8]]) -> Result<Request<'a>, Fault> {
    let mut fields = Fields::of(what, objects)?;
    let request = request(verb, &mut fields)?;
    fields.done_here().map(|()| request)
}

/// Reads a request for a job, whose verb is the field `job`.
///
/// # Errors
/// As for a line of the dialect.
pub fn ask_job<'a>(what: &str, objects: &[&'a [u8]]) -> Result<Request<'a>, Fault> {
    let mut fields = Fields::of(what, objects)?;
    let verb = fields.need("job")?;
    let known = jobs::find(&verb).ok_or_else(|| {
        let verbs: Vec<&str> = jobs::JOBS.iter().map(|job| job.usage().verb).collect();
        bad(format!("job is one of {}, not {}", verbs.join(", "), quoted(&verb)))
    })?;
    let request = job(known, &mut fields)?;
    fields.done_here().map(|()| request)
}

/// The verb that a word names; a `pong` is read as one.
fn verb(op: &str) -> Option<&'static str> {
    if op == "pong" {
        return Some("pong");
    }
    find_verb(op).or_else(|| Some(jobs::find(op)?.usage().verb))
}

/// What the reply to a verb is called: all jobs are answered alike.
fn name_of_reply(verb: &'static str) -> &'static str {
    if jobs::find(verb).is_some() { "job" } else { verb }
}

fn request<'a>(verb: &'static str, f: &mut Fields<'a>) -> Result<Request<'a>, Fault> {
    Ok(match verb {
        "pub" => publish(f)?,
        "hello" => hello(f)?,
        "create" => create(f)?,
        "sub" => sub(f)?,
        "cmd" => cmd(f)?,
        "seen" => Request::Seen { channel: f.need("channel")?, seq: f.need_number("seq")? },
        "ack" => Request::Ack {
            channel: f.need("channel")?,
            seq: f.need_number("seq")?,
            code: f.number("code")?.unwrap_or(0),
            text: f.string("text")?.unwrap_or_default(),
        },
        "drop" => Request::Drop { channel: f.need("channel")? },
        "unsub" => match f.string("pattern")? {
            Some(_) if f.take("channel").is_some() => {
                return Err(bad("channel and pattern exclude each other"));
            }
            Some(glob) => Request::UnsubPattern { glob },
            None => Request::Unsub { channel: f.need("channel")? },
        },
        "use" => Request::Use { channel: f.need("channel")? },
        "rank" => Request::Rank { channel: f.string("channel")? },
        "ranks" => Request::Ranks { channel: f.string("channel")? },
        "yield" => Request::Yield { channel: f.string("channel")? },
        "promote" => Request::Promote {
            channel: f.need("channel")?,
            member: f.need("member")?,
            rank: f.number("rank")?.unwrap_or(0),
        },
        "check" => Request::Check { channel: f.need("channel")?, term: f.need_number("term")? },
        "kick" => Request::Kick {
            channel: f.need("channel")?,
            member: f.need("member")?,
            reason: f.string("reason")?.unwrap_or_default(),
        },
        "info" => Request::Info { channel: f.need("channel")? },
        "history" => Request::History {
            channel: f.need("channel")?,
            start: start(f)?.unwrap_or(Start::First),
        },
        "digest" => Request::Digest {
            channel: f.need("channel")?,
            from: f.need_number("from")?,
            to: f.need_number("to")?,
        },
        "who" => Request::Who { channel: f.string("channel")? },
        "clients" => clients(f)?,
        "tell" => Request::Tell { member: f.need("member")?, text: f.need("text")? },
        "broadcast" => Request::Broadcast { text: f.need("text")? },
        "help" => Request::Help { verb: f.string("verb")? },
        "channels" => Request::Channels,
        "jobs" => Request::Jobs,
        "cancel" => Request::Cancel { job: f.need_number("job")? },
        "stats" => Request::Stats,
        "version" => Request::Version,
        "ping" => Request::Ping,
        "quit" => Request::Quit,
        verb => job(jobs::find(verb).ok_or_else(|| rules::unknown(verb))?, f)?,
    })
}

fn publish<'a>(f: &mut Fields<'a>) -> Result<Request<'a>, Fault> {
    let channel = f.text("channel")?.ok_or_else(|| f.missing("channel"))?;
    let data = f.value("data").ok_or_else(|| f.missing("data"))?;
    let payload = payload(data)?;
    let term = f.number("term")?;
    let key = f.string("key")?.map(|key| rules::key("key", key)).transpose()?;
    Ok(Request::Pub(Publish { channel, term, key, payload }))
}

/// A string becomes its text; any other value stays JSON as it came.
fn payload(data: &RawValue) -> Result<Payload<'_>, Fault> {
    if write::text(data).is_none() {
        rules::nesting("data", data.get())?;
        return Ok(Payload::Json(data.get().into()));
    }
    Ok(match fields::text("data", data)? {
        Cow::Borrowed(text) if !text.chars().any(char::is_control) => {
            Payload::Plain(text.as_bytes())
        }
        text => Payload::Text(text),
    })
}

fn hello<'a>(f: &mut Fields<'a>) -> Result<Request<'a>, Fault> {
    if f.take("token").is_some() {
        return Err(Fault::new(Code::Unavailable, "token is not served by this version"));
    }
    let format = f.text("format")?.map(|word| Format::parse("format", &word)).transpose()?;
    let session = f.text("session")?.map(|word| rules::session("session", &word)).transpose()?;
    let (secret, seen) = (f.string("secret")?, f.numbers("seen")?);
    if session.is_none() && (secret.is_some() || !seen.is_empty()) {
        return Err(bad("secret and seen go with session"));
    }
    let (name, quiet) = (f.string("name")?, f.flag("quiet")?);
    Ok(Request::Hello { name, quiet, format, session, secret, seen })
}

fn create<'a>(f: &mut Fields<'a>) -> Result<Request<'a>, Fault> {
    let channel = f.need("channel")?;
    let on_close = match f.text("on_close")?.as_deref() {
        None | Some("fast") => OnClose::Fast,
        Some("safe") => OnClose::Safe,
        Some(_) => return Err(bad("on_close is fast or safe")),
    };
    let members_max = f.number("max")?;
    if members_max == Some(0) {
        return Err(bad("max must be at least 1"));
    }
    let settings = Settings {
        members_max,
        history: f.number("history")?,
        history_age: f.seconds("history_age", AGE_SECONDS_MAX)?,
        history_bytes: f.number("history_bytes")?,
        durable: f.flag("durable")?,
        hold: f.seconds_or_none("hold", SECONDS_MAX)?,
        on_close,
    };
    Ok(Request::Create { channel, settings, if_missing: f.flag("if_missing")? })
}

fn sub<'a>(f: &mut Fields<'a>) -> Result<Request<'a>, Fault> {
    if let Some(glob) = f.string("pattern")? {
        for key in ["channel", "from", "last", "create", "no_echo", "observe"] {
            if f.take(key).is_some_and(|value| value.get() != "false") {
                return Err(bad("pattern stands alone: it observes, from now on"));
            }
        }
        return Ok(Request::SubPattern { glob });
    }
    let (channel, start) = (f.need("channel")?, start(f)?.unwrap_or(Start::Now));
    let (create, echo, observe) = (f.flag("create")?, !f.flag("no_echo")?, f.flag("observe")?);
    Ok(Request::Sub(Subscribe { channel, start, create, echo, observe }))
}

fn start(f: &mut Fields<'_>) -> Result<Option<Start>, Fault> {
    match (f.take("from"), f.number("last")?) {
        (Some(_), Some(_)) => Err(bad("from and last exclude each other")),
        (None, Some(last)) => Ok(Some(Start::Last(last))),
        (None, None) => Ok(None),
        (Some(from), None) => match from.get() {
            "\"now\"" => Ok(Some(Start::Now)),
            "\"first\"" => Ok(Some(Start::First)),
            text if text.starts_with('"') => {
                Err(wrong("from", "a whole number, \"first\" or \"now\"", text))
            }
            _ => fields::number("from", from).map(|seq| Some(Start::Seq(seq))),
        },
    }
}

fn cmd<'a>(f: &mut Fields<'a>) -> Result<Request<'a>, Fault> {
    let (channel, to) = (f.string("channel")?, f.string("to")?);
    let timeout = f.seconds("timeout", SECONDS_MAX)?;
    let key = f.string("key")?.map(|key| rules::key("key", key)).transpose()?;
    let (name, args) = (f.need("name")?, f.texts("args")?);
    rules::command(channel, to, timeout, key, name, args)
}

fn job<'a>(job: &'static dyn Registered, f: &mut Fields<'a>) -> Result<Request<'a>, Fault> {
    let to = if job.goes_to_others() { f.string("to")? } else { None };
    let mut arguments = Vec::new();
    for parameter in job.parameters() {
        let given = f.word(parameter.name)?;
        if parameter.is_word && given.is_none() {
            return Err(f.missing(parameter.name));
        }
        arguments.extend(given.map(|given| (parameter.name, given)));
    }
    Ok(Request::Job { verb: job.usage().verb, to, arguments })
}

fn clients<'a>(f: &mut Fields<'a>) -> Result<Request<'a>, Fault> {
    if !f.flag("history")? {
        return Err(bad("clients needs history: true; who lists those that are here"));
    }
    Ok(Request::Clients { last: f.number("last")? })
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
