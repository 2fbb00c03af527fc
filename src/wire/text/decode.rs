//! One line to one request.

use super::options::{Known, Words, flag, key, not_yet, value, values};
use super::{publish, words};
use crate::error::{Fault, quoted};
use crate::jobs::{self, Registered};
use crate::request::{Format, OnClose, Request, Settings, Start, Subscribe, find_verb};
use crate::wire::escape::unescape;
use crate::wire::rules::{self, AGE_SECONDS_MAX, SECONDS_MAX, bad, command, number, seconds};
use std::time::Duration;

/// Reads one line, without its end. `None` for a blank line, a comment, and the
/// answer to a `ping`: they are not requests, and nothing answers them.
///
/// # Errors
/// `bad-request`, `unknown-command`, `too-long` for a key, and `unavailable` for what is in the protocol but not served yet.
pub fn decode(line: &[u8]) -> Result<Option<Request<'_>>, Fault> {
    if let Some(publish) = publish::decode_plain(line) {
        return Ok(Some(Request::Pub(publish)));
    }
    let line = std::str::from_utf8(line).map_err(|_| bad("a line must be UTF-8"))?;
    let line = line.trim_start_matches([' ', '\t']);
    let verb = line.split([' ', '\t']).next().unwrap_or_default();
    match verb {
        "" | "pong" => Ok(None),
        _ if verb.starts_with('#') => Ok(None),
        "pub" => publish::decode(line).map(|publish| Some(Request::Pub(publish))),
        _ => {
            let mut words = words::split(line)?.into_iter();
            let verb = words.next().unwrap_or_default();
            request(&verb, words.collect()).map(Some)
        }
    }
}

/// Reads a request that has been split into words.
///
/// # Errors
/// As [`decode`].
pub fn request(verb: &str, words: Vec<String>) -> Result<Request<'static>, Fault> {
    if let Some(name) = verb.strip_prefix('/') {
        return command(None, None, None, None, name.to_owned(), words);
    }
    let Some(verb) = find_verb(verb) else {
        let known = jobs::find(verb).ok_or_else(|| rules::unknown(verb))?;
        return job(known, words);
    };
    if verb == "pub" {
        return publish::of_words(words).map(Request::Pub);
    }
    let sort = |known, places| Words::sort(verb, words, known, places);
    match verb {
        "hello" => hello(sort(HELLO_OPTIONS, 0)?),
        "create" => create(sort(CREATE_OPTIONS, 1)?),
        "sub" => sub(sort(SUB_OPTIONS, 1)?),
        "cmd" => cmd(sort(&[value("to"), value("timeout"), value("key")], 1)?),
        "ack" => ack(sort(&[value("code"), flag("escaped")], 2)?),
        "promote" => promote(sort(&[], 3)?),
        "check" => check(sort(&[], 2)?),
        "seen" => seen(sort(&[], 2)?),
        "digest" => digest(sort(&[], 3)?),
        "kick" => kick(sort(&[], 2)?),
        "history" => history(sort(&[value("from"), value("last")], 1)?),
        "clients" => clients(sort(&[flag("history"), value("last")], 0)?),
        "tell" => tell(sort(&[], 1)?),
        "broadcast" => broadcast(sort(&[], 0)?),
        "drop" | "unsub" | "use" | "info" => {
            let mut words = sort(&[], 1)?;
            let channel = words.need("CH")?;
            words.done()?;
            Ok(match verb {
                "drop" => Request::Drop { channel },
                // No channel's name holds these characters.
                "unsub" if channel.contains(['*', '?', '[']) => {
                    Request::UnsubPattern { glob: channel }
                }
                "unsub" => Request::Unsub { channel },
                "use" => Request::Use { channel },
                _ => Request::Info { channel },
            })
        }
        "rank" | "ranks" | "yield" | "who" | "help" => {
            let mut words = sort(&[], 1)?;
            let word = words.next();
            words.done()?;
            Ok(match verb {
                "rank" => Request::Rank { channel: word },
                "ranks" => Request::Ranks { channel: word },
                "yield" => Request::Yield { channel: word },
                "help" => Request::Help { verb: word },
                _ => Request::Who { channel: word },
            })
        }
        "channels" | "stats" | "version" | "ping" | "quit" => {
            sort(&[], 0)?.done()?;
            Ok(match verb {
                "channels" => Request::Channels,
                "stats" => Request::Stats,
                "version" => Request::Version,
                "ping" => Request::Ping,
                _ => Request::Quit,
            })
        }
        "jobs" => sort(&[], 0)?.done().map(|()| Request::Jobs),
        "cancel" => cancel(sort(&[], 1)?),
        _ => Err(rules::unknown(verb)),
    }
}

/// Each job has its own options and words; some take `--to MEMBER`.
fn job(job: &'static dyn Registered, words: Vec<String>) -> Result<Request<'static>, Fault> {
    let parameters = job.parameters();
    let to = job.goes_to_others().then(|| value("to"));
    let options = parameters.iter().filter(|parameter| !parameter.is_word);
    let known: Vec<Known> = options.map(|parameter| value(parameter.name)).chain(to).collect();
    let places = parameters.iter().filter(|parameter| parameter.is_word).count();
    let verb = job.usage().verb;
    let mut words = Words::sort(verb, words, &known, places)?;
    let mut arguments = Vec::new();
    for parameter in parameters {
        let given = if parameter.is_word {
            Some(words.need(&parameter.shown())?)
        } else {
            words.value(parameter.name)
        };
        arguments.extend(given.map(|given| (parameter.name, given)));
    }
    words.done()?;
    Ok(Request::Job { verb, to: words.value("to"), arguments })
}

fn cancel(mut words: Words) -> Result<Request<'static>, Fault> {
    let job = number("JOB", &words.need("JOB")?)?;
    words.done()?;
    Ok(Request::Cancel { job })
}

const HELLO_OPTIONS: &[Known] = &[
    value("name"),
    flag("quiet"),
    value("session"),
    value("secret"),
    values("seen"),
    value("format"),
    not_yet("token"),
];

fn hello(mut words: Words) -> Result<Request<'static>, Fault> {
    words.done()?;
    let format = words.value("format").map(|word| Format::parse("--format", &word)).transpose()?;
    let session = words.value("session").map(|word| rules::session("--session", &word));
    let session = session.transpose()?;
    let secret = words.value("secret");
    let seen =
        words.all("seen").iter().map(|text| position(text)).collect::<Result<Vec<_>, _>>()?;
    if session.is_none() && (secret.is_some() || !seen.is_empty()) {
        return Err(bad("--secret and --seen go with --session"));
    }
    let (name, quiet) = (words.value("name"), words.has("quiet"));
    Ok(Request::Hello { name, quiet, format, session, secret, seen })
}

/// Parses the value of `--seen`: a channel and the last seq that the client has of
/// it.
fn position(text: &str) -> Result<(String, u64), Fault> {
    let (channel, seq) = text
        .split_once('=')
        .ok_or_else(|| bad(format!("--seen takes CH=SEQ, not {}", quoted(text))))?;
    Ok((channel.to_owned(), number("the SEQ of --seen", seq)?))
}

fn seen(mut words: Words) -> Result<Request<'static>, Fault> {
    let (channel, seq) = (words.need("CH")?, number("SEQ", &words.need("SEQ")?)?);
    words.done()?;
    Ok(Request::Seen { channel, seq })
}

fn digest(mut words: Words) -> Result<Request<'static>, Fault> {
    let channel = words.need("CH")?;
    let (from, to) = (number("FROM", &words.need("FROM")?)?, number("TO", &words.need("TO")?)?);
    words.done()?;
    Ok(Request::Digest { channel, from, to })
}

const CREATE_OPTIONS: &[Known] = &[
    value("max"),
    value("history"),
    value("history-age"),
    value("history-bytes"),
    flag("if-missing"),
    flag("durable"),
    value("hold"),
    value("on-close"),
];

fn create(mut words: Words) -> Result<Request<'static>, Fault> {
    let channel = words.need("CH")?;
    words.done()?;
    let on_close = match words.value("on-close").as_deref() {
        None | Some("fast") => OnClose::Fast,
        Some("safe") => OnClose::Safe,
        Some(_) => return Err(bad("--on-close is fast or safe")),
    };
    let members_max = words.number("max")?;
    if members_max == Some(0) {
        return Err(bad("--max must be at least 1"));
    }
    let hold = match words.value("hold").as_deref() {
        None | Some("0") => Duration::ZERO,
        Some(secs) => seconds("--hold (0: not at all)", secs, SECONDS_MAX)?,
    };
    let age = words.value("history-age");
    let settings = Settings {
        members_max,
        history: words.number("history")?,
        history_age: age
            .map(|secs| seconds("--history-age", &secs, AGE_SECONDS_MAX))
            .transpose()?,
        history_bytes: words.number("history-bytes")?,
        durable: words.has("durable"),
        hold,
        on_close,
    };
    Ok(Request::Create { channel, settings, if_missing: words.has("if-missing") })
}

const SUB_OPTIONS: &[Known] = &[
    value("from"),
    value("last"),
    flag("create"),
    flag("no-echo"),
    flag("observe"),
    value("pattern"),
];

fn sub(mut words: Words) -> Result<Request<'static>, Fault> {
    if let Some(glob) = words.value("pattern") {
        if ["from", "last", "create", "no-echo", "observe"].iter().any(|name| words.has(name)) {
            return Err(bad("--pattern stands alone: it observes, from now on"));
        }
        words.done()?;
        return Ok(Request::SubPattern { glob });
    }
    let channel = words.need("CH")?;
    words.done()?;
    let start = start(&mut words)?.unwrap_or(Start::Now);
    let (create, echo, observe) =
        (words.has("create"), !words.has("no-echo"), words.has("observe"));
    Ok(Request::Sub(Subscribe { channel, start, create, echo, observe }))
}

fn start(words: &mut Words) -> Result<Option<Start>, Fault> {
    match (words.value("from"), words.number("last")?) {
        (Some(_), Some(_)) => Err(bad("--from and --last exclude each other")),
        (None, Some(last)) => Ok(Some(Start::Last(last))),
        (None, None) => Ok(None),
        (Some(from), None) => match from.as_str() {
            "now" => Ok(Some(Start::Now)),
            "first" => Ok(Some(Start::First)),
            seq => number("--from", seq).map(|seq| Some(Start::Seq(seq))),
        },
    }
}

fn cmd(mut words: Words) -> Result<Request<'static>, Fault> {
    let channel = Some(words.need("CH")?);
    let to = words.value("to");
    let timeout = words.value("timeout");
    let timeout = timeout.map(|secs| seconds("--timeout", &secs, SECONDS_MAX)).transpose()?;
    let key = key(&mut words)?;
    let missing = words.missing("NAME");
    let mut text = words.into_text().into_iter();
    let name = text.next().ok_or(missing)?;
    command(channel, to, timeout, key, name, text.collect())
}

fn ack(mut words: Words) -> Result<Request<'static>, Fault> {
    let channel = words.need("CH")?;
    let seq = number("SEQ", &words.need("SEQ")?)?;
    let code = words.number("code")?.unwrap_or(0);
    let is_escaped = words.value("escaped").is_some();
    let text = words.into_text().join(" ");
    let text = if is_escaped { unescape(&text) } else { text };
    Ok(Request::Ack { channel, seq, code, text })
}

fn promote(mut words: Words) -> Result<Request<'static>, Fault> {
    let (channel, member) = (words.need("CH")?, words.need("MEMBER")?);
    let rank = words.next().map_or(Ok(0), |word| number("RANK", &word))?;
    words.done()?;
    Ok(Request::Promote { channel, member, rank })
}

fn check(mut words: Words) -> Result<Request<'static>, Fault> {
    let (channel, term) = (words.need("CH")?, number("TERM", &words.need("TERM")?)?);
    words.done()?;
    Ok(Request::Check { channel, term })
}

fn kick(mut words: Words) -> Result<Request<'static>, Fault> {
    let (channel, member) = (words.need("CH")?, words.need("MEMBER")?);
    Ok(Request::Kick { channel, member, reason: words.into_text().join(" ") })
}

fn history(mut words: Words) -> Result<Request<'static>, Fault> {
    let channel = words.need("CH")?;
    words.done()?;
    let start = start(&mut words)?.unwrap_or(Start::First);
    Ok(Request::History { channel, start })
}

fn clients(mut words: Words) -> Result<Request<'static>, Fault> {
    words.done()?;
    if !words.has("history") {
        return Err(bad("clients needs --history; who lists those that are here"));
    }
    Ok(Request::Clients { last: words.number("last")? })
}

fn tell(mut words: Words) -> Result<Request<'static>, Fault> {
    let member = words.need("MEMBER")?;
    let missing = words.missing("TEXT");
    match words.into_text() {
        text if text.is_empty() => Err(missing),
        text => Ok(Request::Tell { member, text: text.join(" ") }),
    }
}

fn broadcast(words: Words) -> Result<Request<'static>, Fault> {
    let missing = words.missing("TEXT");
    match words.into_text() {
        text if text.is_empty() => Err(missing),
        text => Ok(Request::Broadcast { text: text.join(" ") }),
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
