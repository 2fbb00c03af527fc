//! Members without a connection: coming, staying and going.

use super::answer::{self, Answer};
use super::exchange::Exchange;
use super::problem::Problem;
use super::views;
use crate::error::{Close, Fault};
use crate::reply::Line;
use crate::request::Request;
use crate::resident::Entry;
use crate::speaker::{self, Reading};
use crate::webhook::{Admitted, Callback};
use crate::wire::json;
use crate::wire::rules::bad;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, LOCATION};

/// The request to join.
#[derive(Debug)]
struct Joining {
    /// The name to take; a guest's if there is none.
    name: Option<String>,
    /// Whether to make the channel if it is missing.
    create: bool,
    /// The URL that its notices are to be sent to.
    callback: Option<String>,
    /// The events that it is to be told of besides.
    events: Vec<String>,
}

impl Joining {
    /// Reads the fields of these objects together.
    fn read(objects: &[&[u8]]) -> Result<Joining, Fault> {
        let mut fields = json::Fields::of("the body", objects)?;
        let (name, create) = (fields.string("name")?, fields.flag("create")?);
        let (callback, events) = (fields.string("callback")?, fields.texts("events")?);
        fields.done_here().map(|()| Joining { name, create, callback, events })
    }

    /// The callback, if it wants one.
    fn callback(&self) -> Result<Option<Callback>, Fault> {
        match &self.callback {
            Some(url) => Callback::new(url, self.events.iter().map(String::as_str)).map(Some),
            None if self.events.is_empty() => Ok(None),
            None => Err(bad("events are for a callback, which is missing")),
        }
    }
}

/// Joins a channel as a resident.
///
/// # Errors
/// As for `hello` and `sub`.
pub async fn join(mut exchange: Exchange) -> Result<Answer, Problem> {
    let (query, body) = (exchange.query(), exchange.read_object().await?);
    let joining = Joining::read(&[&query, &body])?;
    drop(body);
    let callback = match joining.callback()? {
        Some(callback) => Some(exchange.http.couriers.admit(callback).await?),
        None => None,
    };
    let residents = &exchange.http.residents;
    let addr = exchange.caller.session().client().origin().addr;
    let entry = Entry {
        channel: exchange.part("channel").to_owned(),
        name: joining.name,
        create: joining.create,
        wants: callback.as_ref().map(Admitted::wants).unwrap_or_default(),
        callback: callback.as_ref().map(|callback| callback.record(addr)),
    };
    let (resident, reply) = residents.enter(entry, addr).await?;
    if let Some(callback) = callback {
        exchange.http.couriers.serve(callback, residents.clone(), resident.clone());
    }
    let mut line = Line::new("member").at("channel", resident.channel.clone());
    line = line.at("member", resident.name.clone());
    line.fields.extend(reply.fields.into_iter().filter(|field| field.key != "channel"));
    let line = line
        .with("lease", exchange.http.broker.lease_ms())
        .with("token", resident.token.to_string());
    let answer = answer::json(StatusCode::CREATED, Reading::from(line).object());
    let location = format!("/v1/channels/{}/members/{}", resident.channel, resident.name);
    // An answer with a secret in it is not to be cached.
    Ok(answer::with(answer::with(answer, LOCATION, &location), CACHE_CONTROL, "no-store"))
}

/// Shows a member, and its rank.
///
/// # Errors
/// 404 for a name that is no member's, 410 for a resident that has gone.
pub async fn show(exchange: Exchange) -> Result<Answer, Problem> {
    let line = standing(&exchange).await?;
    views::answer(&exchange, &Reading::from(line))
}

/// Renews a resident's lease.
///
/// # Errors
/// 401 without its token, 410 if it has gone.
pub async fn renew(exchange: Exchange) -> Result<Answer, Problem> {
    exchange.own()?;
    let line = standing(&exchange).await?.with("lease", exchange.http.broker.lease_ms());
    Ok(answer::json(StatusCode::OK, Reading::from(line).object()))
}

/// Ends a resident's membership.
///
/// # Errors
/// 401 without its token, 410 if it has gone.
pub async fn leave(exchange: Exchange) -> Result<Answer, Problem> {
    let resident = exchange.own()?;
    exchange.http.residents.end(&resident, Close::Quit, Close::Quit.as_str());
    let channel = exchange.http.broker.channel(&resident.channel);
    // If its joining is on disk, its leaving has to be, too.
    let ticket = channel.ok().and_then(|channel| channel.pending());
    speaker::on_disk(ticket).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// The rank of the member that the path names, with the term and the view.
async fn standing(exchange: &Exchange) -> Result<Line, Problem> {
    let (name, called) = (exchange.part("channel"), exchange.part("member"));
    let broker = &exchange.http.broker;
    let channel = broker.channel(name)?;
    let member = broker.client(called).ok().and_then(|client| client.member(name));
    let Some(member) = member.filter(|member| !member.is_observer()) else {
        return Err(match exchange.http.residents.gone(name, called) {
            Some(gone) => gone.into(),
            None => Problem::from(channel.no_member(called)),
        });
    };
    let standing = channel.standing(&member)?;
    speaker::on_disk(channel.pending()).await?;
    let line = Line::new("member").at("channel", name).at("member", called);
    let line = line.with("rank", standing.rank).with("term", standing.term);
    let line = line.with("view", standing.view).with("members", standing.members);
    Ok(line.with("away", member.away_until_ms().is_some()))
}

/// Asks a request of the protocol as a resident.
///
/// # Errors
/// As for the verb; 401 without a token.
pub async fn speak(mut exchange: Exchange, verb: &'static str) -> Result<Answer, Problem> {
    let resident = exchange.member()?;
    let (address, body) = (exchange.address(), exchange.read_object().await?);
    let request = json::ask(verb, "the body", &[&address, &body])?;
    let reading = resident.speaker.ask_in(views::expected(&exchange)?, request).await?;
    Ok(answer::json(StatusCode::OK, reading.object()))
}

/// Moves a resident to the bottom of the roster.
///
/// # Errors
/// As for `yield`; 401 without its token.
pub async fn yield_rank(exchange: Exchange) -> Result<Answer, Problem> {
    let resident = exchange.own()?;
    let channel = Some(resident.channel.to_string());
    let view = views::expected(&exchange)?;
    let reading = resident.speaker.ask_in(view, Request::Yield { channel }).await?;
    Ok(answer::json(StatusCode::OK, reading.object()))
}
