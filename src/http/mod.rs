//! HTTP/1.1: everything that a channel can do, under `/v1`, for `curl`, web
//! pages and programs without a client of their own.
//!
//! ```text
//! POST /v1/channels/news/messages   {"data": {"a": 1}}
//! 201 Created                       {"channel":"news","seq":7}
//! ```
//!
//! The fields in the address and the body are those of the same request in the JSON
//! dialect, and so are those of the answer. A failure is answered as
//! `application/problem+json` with the protocol's code.
//!
//! One connection is one client with a session of its own, and one task serves
//! it: hyper reads and writes, `routes` says what an address means, and
//! `caller` asks it.

mod answer;
mod authority;
mod body;
mod caller;
mod channels;
mod commands;
mod events;
mod exchange;
mod fields;
mod health;
mod jobs;
mod members;
mod messages;
mod openapi;
mod origin;
mod page;
mod part;
mod problem;
mod routes;
mod views;
mod websocket;

use crate::broker::{Broker, Keys};
use crate::error::{Close, Code};
use crate::farewell::{LINGER, linger};
use crate::hyper_io::{Clock, Stream};
use crate::metrics::Metrics;
use crate::resident::Residents;
use crate::runtime;
use crate::session::Session;
use crate::webhook::Couriers;
use answer::Answer;
use caller::Caller;
use exchange::Exchange;
use futures::{AsyncRead, AsyncWrite, FutureExt};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode, Version};
use origin::Origins;
use problem::Problem;
use routes::{Act, Found};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// The most headers that a request may have.
const HEADERS_MAX: usize = 64;
/// About how many bytes a request's line and headers may have: what hyper buffers.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// How many milliseconds a request may take without being called long.
const LONG_MS: u64 = 2;

/// What all HTTP connections of a broker share.
#[derive(Debug)]
pub struct Http {
    broker: Arc<Broker>,
    origins: Origins,
    share: body::Share,
    residents: Arc<Residents>,
    couriers: Couriers,
    /// The seqs that were answered to the keys of guests.
    guest_keys: Mutex<Keys>,
    metrics: Metrics,
}

impl Http {
    /// The shared state of this broker's HTTP connections.
    pub fn new(broker: Arc<Broker>) -> Arc<Http> {
        let config = &broker.config;
        let origins = Origins::new(&config.allow_origin, &config.host);
        let residents = Residents::new(broker.clone());
        let couriers = Couriers::new(broker.clone());
        couriers.resume(&residents);
        let (share, guest_keys) = (body::Share::default(), Mutex::default());
        let metrics = Metrics::new(broker.clone());
        Arc::new(Http { broker, origins, share, residents, couriers, guest_keys, metrics })
    }
}

/// A connection that goes on as a WebSocket.
#[derive(Debug)]
pub struct Upgraded<S> {
    /// The stream.
    pub stream: S,
    /// What has been read of it already.
    pub first: Vec<u8>,
    /// The client.
    pub session: Session,
}

/// Serves a connection, of which `first` has been read, until it ends or goes on as
/// a WebSocket.
pub async fn serve<S>(
    http: Arc<Http>,
    stream: S,
    first: Vec<u8>,
    addr: SocketAddr,
) -> Option<Upgraded<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let caller = Arc::new(Caller::enter(&http.broker, addr));
    let service = service_fn(|request| {
        let answering = dispatch(http.clone(), caller.clone(), request);
        async { Ok::<_, Infallible>(answering.await) }.boxed()
    });
    let mut connection = http1::Builder::new()
        .timer(Clock)
        .header_read_timeout(http.broker.current().request_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(
            Stream::new(stream, first).counted(http.broker.stats.traffic.clone()),
            service,
        );
    // When the broker stops, requests under way may end within this time.
    let mut drain = None;
    let served = poll_fn(|cx| {
        if let Some(reason @ (Close::Shutdown | Close::Drain)) = caller.take_mail(cx) {
            Pin::new(&mut connection).graceful_shutdown();
            drain = Some((reason, Box::pin(runtime::sleep(http.broker.current().drain))));
        }
        if let Poll::Ready(served) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(served);
        }
        match drain.as_mut().map(|(_, drain)| drain.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => {
                http.broker.note_cut_off();
                Poll::Ready(Ok(()))
            }
            _ => Poll::Pending,
        }
    })
    .await;
    let reason = match (&drain, &served) {
        (Some((reason, _)), _) => *reason,
        (None, Ok(())) => Close::Quit,
        (None, Err(_)) => Close::Lost,
    };
    let http1::Parts { io, read_buf, .. } = connection.into_parts();
    let (mut stream, unread) = io.into_parts();
    if served.is_ok() && caller.is_upgraded() {
        // Nobody else holds the caller: all requests have been answered.
        let session = Arc::into_inner(caller)?.into_upgraded()?;
        let first = [&read_buf[..], &unread].concat();
        return Some(Upgraded { stream, first, session });
    }
    caller.end(reason);
    // It does not matter whether the client stays to the end.
    let _ = runtime::timeout(LINGER, linger(&mut stream)).await;
    None
}

/// Answers a request. hyper would go on to the next one at once: after one that took
/// long, others come first.
async fn dispatch(http: Arc<Http>, caller: Arc<Caller>, request: Request<Incoming>) -> Answer {
    let began_ms = http.broker.now_ms();
    let answer = answer(http.clone(), caller, request).await;
    if http.broker.now_ms() > began_ms + LONG_MS {
        runtime::note_long();
        runtime::yield_now().await;
    }
    answer
}

/// Answers a request.
async fn answer(http: Arc<Http>, caller: Arc<Caller>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let named = http.origins.named(&head.headers).and_then(|o| HeaderValue::from_str(o).ok());
    if !body.is_end_stream() {
        caller.expect_body();
    }
    let mut answer = match route(http.clone(), caller.clone(), head, body).await {
        Ok(answer) => answer,
        Err(problem) => {
            caller.session().note_fault();
            problem.answer()
        }
    };
    let headers = answer.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    if http.broker.is_stopping() || caller.has_unread_body() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(origin) = named {
        share_with(origin, headers);
    }
    answer
}

/// Lets the pages of this origin read the answer.
fn share_with(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let exposed = HeaderValue::from_static("ETag, Location, Retry-After");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

async fn route(
    http: Arc<Http>,
    caller: Arc<Caller>,
    head: hyper::http::request::Parts,
    body: Incoming,
) -> Result<Answer, Problem> {
    has_one_host(head.version, &head.headers)?;
    body::check_codings(&head.headers)?;
    let (method, path) = (&head.method, head.uri.path());
    let (route, parts) = match routes::find(method, path) {
        Found::Route(route, parts) => (route, parts),
        Found::OtherMethods(methods) => return other_method(method, &methods, &head.headers),
        Found::Nothing => {
            let shown = crate::error::quoted(path);
            let text = format!("there is nothing at {shown}; see /v1/openapi.json");
            return Err(Problem::new(StatusCode::NOT_FOUND, Code::UnknownCommand, text));
        }
    };
    if http.broker.is_draining() && !route.is_for_operators {
        return Err(health::draining());
    }
    // Operators may ask for metrics under any host name.
    if !route.is_for_operators {
        http.origins.check_host(&head.uri, &head.headers)?;
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        http.origins.check(&head.headers)?;
    }
    let mut exchange = Exchange { http, caller, head, parts, body };
    exchange.renew();
    if route.is_bare {
        exchange.says_nothing().await?;
    }
    match route.act {
        Act::Ask(verb) => exchange.ask(verb).await,
        Act::Speak(verb) => members::speak(exchange, verb).await,
        Act::Describe => views::json(&exchange, None, openapi::DOCUMENT.trim_end().into()),
        Act::Create => channels::create(exchange).await,
        Act::History => messages::history(exchange).await,
        Act::Publish => messages::publish(exchange).await,
        Act::Join => members::join(exchange).await,
        Act::Show => members::show(exchange).await,
        Act::Renew => members::renew(exchange).await,
        Act::Leave => members::leave(exchange).await,
        Act::Yield => members::yield_rank(exchange).await,
        Act::Command => commands::give(exchange).await,
        Act::Results => commands::look_up(&exchange),
        Act::Due => {
            let caller = exchange.caller.clone();
            unless_sent_away(&caller, commands::due(exchange)).await
        }
        Act::Acknowledge => commands::answer(exchange).await,
        Act::Job => jobs::begin(exchange).await,
        Act::LookAtJob => jobs::look(&exchange),
        Act::EndJob => jobs::end(&exchange),
        Act::Events => events::observe(exchange).await,
        Act::WebSocket => websocket::upgrade(&exchange),
        Act::Live => Ok(health::live()),
        Act::Metrics => health::metrics(exchange.http).await,
        Act::Ready => Ok(health::ready(&exchange.http.broker)),
        Act::Index => page::index(&exchange),
        Act::Asset(folder) => page::asset(&exchange, folder),
    }
}

/// Waits for an answer, unless the broker drains meanwhile. That is looked at
/// whenever the connection is polled.
async fn unless_sent_away(
    caller: &Caller,
    answering: impl Future<Output = Result<Answer, Problem>>,
) -> Result<Answer, Problem> {
    let mut answering = pin!(answering);
    poll_fn(|cx| match answering.as_mut().poll(cx) {
        Poll::Pending if caller.closing() == Some(Close::Drain) => {
            Poll::Ready(Err(health::draining()))
        }
        polled => polled,
    })
    .await
}

/// Checks that a request of HTTP/1.1 has a `Host` header, and only one.
fn has_one_host(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get_all(header::HOST).iter().count() {
        1 => Ok(()),
        0 if version < Version::HTTP_11 => Ok(()),
        count => {
            let text = format!("a request has one Host, not {count}");
            Err(Problem::new(StatusCode::BAD_REQUEST, Code::BadRequest, text))
        }
    }
}

/// The answer where the path exists, but not for this method; to `OPTIONS` it says
/// for which.
fn other_method(
    method: &Method,
    methods: &[Method],
    headers: &HeaderMap,
) -> Result<Answer, Problem> {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let allow = names.join(", ");
    if method == Method::OPTIONS {
        let mut answer = answer::with(answer::empty(StatusCode::NO_CONTENT), header::ALLOW, &allow);
        // A browser's preflight. Whether the page that it asks for may go on is
        // said by another header, which depends on its origin.
        if headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            answer = answer::with(answer, header::ACCESS_CONTROL_ALLOW_METHODS, &allow);
            let wanted =
                "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer";
            answer = answer::with(answer, header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
        }
        return Ok(answer);
    }
    let text = format!("{method} does nothing here; what does: {allow}");
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::UnknownCommand, text);
    // Names of methods are valid in a header.
    Err(match HeaderValue::from_str(&allow) {
        Ok(allow) => problem.with(header::ALLOW, allow),
        Err(_) => problem,
    })
}
