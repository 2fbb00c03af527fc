//! Publishing: one message, or many, one a line.

use super::Http;
use super::answer::{self, Answer};
use super::exchange::{Exchange, unread};
use super::fields::Fields;
use super::problem::Problem;
use super::{body, views};
use crate::error::{Code, Fault};
use crate::payload::Payload;
use crate::reply::Reply;
use crate::request::{Publish, Request};
use crate::resident::Resident;
use crate::session::Session;
use crate::speaker::{self, Reading, Speaker};
use crate::store::Ticket;
use crate::wire::json::{self, Object};
use crate::wire::rules::bad;
use hyper::StatusCode;
use std::sync::Arc;

/// The most messages that one body may hold: as many as the shortest lines of a
/// mebibyte make, so that it matters only where `--max-body` is raised, and what is
/// kept for their answers has a limit of its own.
const MESSAGES_MAX: usize = 100_000;

/// The kinds of body that are read: an object, a text, and objects on lines of
/// their own.
const KINDS: [&str; 3] = ["application/json", "text/plain", "application/x-ndjson"];

/// Publishes what the body holds: as the resident whose token the request has, or
/// as the guest that the connection is.
///
/// # Errors
/// As for `pub`; 415 for a body of a kind that is not read.
pub async fn publish(mut exchange: Exchange) -> Result<Answer, Problem> {
    let (kind, address, key) = (exchange.kind()?, exchange.address(), exchange.key()?);
    let resident = exchange.resident()?;
    let is_read = |kind: &str| KINDS.contains(&kind);
    if !kind.as_deref().is_some_and(is_read) {
        return Err(unread("application/json, text/plain or application/x-ndjson"));
    }
    let body = exchange.read_body(body::Expected::Any).await?;
    let publisher = Publisher {
        http: &exchange.http,
        speaker: resident.as_ref().map_or(&**exchange.caller, |resident| &resident.speaker),
        is_guest: resident.is_none(),
        channel: exchange.part("channel"),
    };
    match kind.as_deref() {
        Some("text/plain") => {
            let text = std::str::from_utf8(&body).map_err(|_| bad("the body must be UTF-8"))?;
            let mut data = Fields::default();
            data.text("data", text);
            publisher.one(&[&address, &key, &data.end()]).await
        }
        Some("application/x-ndjson") if key != b"{}" => {
            let text = "each line has a key of its own: the header would be for all of them";
            Err(bad(text).into())
        }
        Some("application/x-ndjson") => publisher.many(&address, &body).await,
        _ => publisher.one(&[&address, &key, &body]).await,
    }
}

/// What a channel's log still holds. A member of the channel, known by its token,
/// is not shown the commands that were not for it.
///
/// # Errors
/// As for `history`; 401 for what is no token, 410 for a resident that has gone.
pub async fn history(mut exchange: Exchange) -> Result<Answer, Problem> {
    let (resident, channel) = (exchange.resident()?, exchange.part("channel"));
    let member = |resident: Arc<Resident>| resident.speaker.session().client().member(channel);
    let viewer = resident.and_then(member);
    let (address, body) = (exchange.address(), exchange.read_object().await?);
    let Request::History { channel, start } = json::ask("history", "the body", &[&address, &body])?
    else {
        return Err(Fault::new(Code::Internal, "it is no history").into());
    };
    let ask = |session: &mut Session, now_ms| session.history(&channel, start, viewer, now_ms);
    let reading = exchange.caller.ask_by(ask).await?;
    views::answer(&exchange, &reading)
}

/// The reply to a request.
type Replied = Result<Option<Reply>, Fault>;

/// Who publishes, and where.
struct Publisher<'e> {
    http: &'e Http,
    speaker: &'e Speaker,
    /// Whether the publisher is known by nothing that the next request would have,
    /// too.
    is_guest: bool,
    channel: &'e str,
}

/// The outcome of some consecutive lines.
struct Outcome {
    lines: u64,
    /// The seq of the first of them.
    first_seq: Result<u64, Fault>,
    /// What must be on disk before the client is told.
    ticket: Option<Ticket>,
}

impl Publisher<'_> {
    /// Publishes one message.
    async fn one(&self, objects: &[&[u8]]) -> Result<Answer, Problem> {
        let publish = self.message("the body", objects)?;
        self.speaker.room_in(self.channel).await;
        let (reply, ticket) = {
            let mut session = self.speaker.session();
            let put = self.put(&mut session, publish);
            session.flush();
            put
        };
        let reply = self.speaker.told(reply, ticket).await?.ok_or_else(speaker::no_reply)?;
        self.speaker.room().await;
        Ok(answer::json(StatusCode::CREATED, Reading::Reply(reply).object()))
    }

    /// Publishes a message by itself; returns the reply, and what that has to wait
    /// for.
    fn put(&self, session: &mut Session, mut publish: Publish<'_>) -> (Replied, Option<Ticket>) {
        let (now_ms, guests) = (self.http.broker.now_ms(), &self.http.guest_keys);
        let reply = match publish.key.take_if(|_| self.is_guest) {
            Some(key) => session.publish_as_guest(publish, key, guests, now_ms).map(Some),
            None => session.handle(Request::Pub(publish), now_ms),
        };
        (reply, session.take_ticket())
    }

    /// Publishes many messages. Consecutive ones of one kind become one append;
    /// each is answered by itself, and one that fails leaves the others alone.
    async fn many(&self, address: &[u8], body: &[u8]) -> Result<Answer, Problem> {
        let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines: Vec<&[u8]> =
            lines.filter(|line| !line.is_empty()).take(MESSAGES_MAX + 1).collect();
        if lines.len() > MESSAGES_MAX {
            let text = format!("a body has at most {MESSAGES_MAX} messages");
            return Err(Fault::new(Code::TooMany, text).into());
        }
        self.speaker.room_in(self.channel).await;
        let mut outcomes: Vec<Outcome> = Vec::new();
        let mut run: Vec<Payload<'_>> = Vec::new();
        for line in lines {
            let publish = self.message("a line", &[address, line]);
            let is_plain = publish.as_ref().is_ok_and(|p| p.term.is_none() && p.key.is_none());
            let continues = |payload: &Payload<'_>| {
                run.first().is_none_or(|first| first.is_json() == payload.is_json())
            };
            if !is_plain || !publish.as_ref().is_ok_and(|publish| continues(&publish.payload)) {
                self.append(&mut run, &mut outcomes);
            }
            match publish {
                Ok(publish) if is_plain => run.push(publish.payload),
                Ok(publish) => {
                    let mut session = self.speaker.session();
                    let (reply, ticket) = self.put(&mut session, publish);
                    outcomes.push(outcome(reply, 1, ticket));
                }
                Err(fault) => outcomes.push(outcome(Err(fault), 1, None)),
            }
        }
        self.append(&mut run, &mut outcomes);
        self.speaker.session().flush();
        let rows = self.rows(outcomes).await;
        self.speaker.room().await;
        Ok(answer::json(StatusCode::OK, rows))
    }

    /// The message in these objects; `what` names the last of them in faults.
    fn message<'a>(&self, what: &str, objects: &[&'a [u8]]) -> Result<Publish<'a>, Fault> {
        let Request::Pub(publish) = json::ask("pub", what, objects)? else {
            return Err(Fault::new(Code::Internal, "it is no message"));
        };
        // Longer ones could not be published in the other dialects either.
        let (bytes, most) = (publish.payload.as_bytes().len(), self.http.broker.config.max_line);
        if bytes > most {
            let text =
                format!("a message has at most {most} bytes, not {bytes}; see broker --max-line");
            return Err(Fault::new(Code::TooLong, text));
        }
        Ok(publish)
    }

    /// Publishes consecutive messages as one append.
    fn append(&self, run: &mut Vec<Payload<'_>>, outcomes: &mut Vec<Outcome>) {
        if run.is_empty() {
            return;
        }
        let mut session = self.speaker.session();
        let reply = session.publish(self.channel, None, run, self.http.broker.now_ms());
        outcomes.push(outcome(reply, run.len() as u64, session.take_ticket()));
        run.clear();
    }

    /// The answer to many lines: a row for each, once all are on disk that have to
    /// be.
    async fn rows(&self, outcomes: Vec<Outcome>) -> Vec<u8> {
        let (mut rows, mut count, mut failed) = (Vec::new(), 0_u64, 0_u64);
        for Outcome { lines, first_seq, ticket } in outcomes {
            let first_seq = self.speaker.told(first_seq, ticket).await;
            for at in 0..lines {
                if count > 0 {
                    rows.push(b',');
                }
                count += 1;
                failed += u64::from(first_seq.is_err());
                row(&first_seq, at, &mut rows);
            }
        }
        let mut out = Vec::new();
        let object = Object::begin("channel", self.channel, &mut out).number("count", count);
        object.number("failed", failed).end_with_rows(&rows);
        out
    }
}

/// Appends the row of a line: the `at`th of those that were one append.
fn row(first_seq: &Result<u64, Fault>, at: u64, out: &mut Vec<u8>) {
    match first_seq {
        Ok(seq) => {
            out.extend_from_slice(format!("{{\"ok\":true,\"seq\":{}}}", seq + at).as_bytes());
        }
        Err(fault) => {
            out.extend_from_slice(b"{\"ok\":false,\"error\":");
            let error = Object::begin("code", fault.code.as_str(), out);
            error.text("message", &fault.message).end();
            out.push(b'}');
        }
    }
}

fn outcome(reply: Replied, lines: u64, ticket: Option<Ticket>) -> Outcome {
    let first_seq = reply.and_then(|reply| match reply {
        Some(Reply::Published { first_seq, .. }) => Ok(first_seq),
        _ => Err(speaker::no_reply()),
    });
    Outcome { lines, first_seq, ticket }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Broker;
    use crate::config::Config;
    use crate::request::Subscribe;
    use crate::sync::lock;
    use crate::wire::text::TextEncoder;

    /// A channel is dropped and made again after a guest's key was looked up for
    /// it: the message does not go to the new one, where the key would not count.
    #[test]
    fn a_key_is_for_the_channel_that_the_message_goes_to() {
        let broker = Broker::open(Config::default(), Box::new(TextEncoder)).unwrap();
        let http = Http::new(broker.clone());
        let enter = || broker.enter("127.0.0.1:1".parse().unwrap(), "http");
        let (mut owner, speaker) = (Session::new(broker.clone(), enter()), enter());
        let speaker = Speaker::new(broker.clone(), speaker);
        let mut make = |is_there: bool| {
            let drop = Request::Drop { channel: "c".into() };
            let sub = Request::Sub(Subscribe { create: true, ..Subscribe::to("c") });
            for request in is_there.then_some(drop).into_iter().chain([sub]) {
                owner.handle(request, 0).unwrap();
            }
            broker.channel("c").unwrap()
        };
        let first = make(false);
        let publisher = Publisher { http: &http, speaker: &speaker, is_guest: true, channel: "c" };
        let keys = lock(&http.guest_keys);
        let known = Arc::strong_count(&first);
        let (fault, second) = std::thread::scope(|scope| {
            let put = scope.spawn(|| {
                let objects: [&[u8]; 1] = [br#"{"channel":"c","key":"k","data":"x"}"#];
                let publish = publisher.message("the body", &objects).unwrap();
                publisher.put(&mut speaker.session(), publish).0.unwrap_err()
            });
            // Until it has found the channel, and waits for the keys.
            while Arc::strong_count(&first) == known {
                std::thread::yield_now();
            }
            let second = make(true);
            drop(keys);
            (put.join().unwrap(), second)
        });
        assert_eq!((fault.code, second.last_visible()), (Code::NoChannel, 1));
    }
}
